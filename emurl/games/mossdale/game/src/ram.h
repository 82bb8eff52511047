/* Work RAM that readers outside the game rely on. The w-fields at Pokémon Red's addresses mean what they mean there,
 * so that one memory reader serves both games; the others are this game's own. build.py copies every line of the
 * form `#define wName ...(0xADDR)` into the symbol file. */
#ifndef RAM_H
#define RAM_H
#include <stdint.h>

#define BYTE_AT(address) (*(volatile uint8_t *)(address))
#define BYTES_AT(address) ((uint8_t *)(address))

/* C000: shadow sprite table (a DMA source must be page-aligned); C100-C39F: the compiler's variables. */
#define wShadowOAM BYTES_AT(0xC000)

/* Pokémon Red's fields. */
#define wTileMap BYTES_AT(0xC3A0)        /* 20 x 18 tile ids, the screen as text */
#define wTopMenuItemY BYTE_AT(0xCC24)    /* where a menu's first line stands, in tiles */
#define wTopMenuItemX BYTE_AT(0xCC25)
#define wCurrentMenuItem BYTE_AT(0xCC26) /* the line the cursor stands at, from 0 */
#define wMaxMenuItem BYTE_AT(0xCC28)     /* the last line */
#define wTextBuffer1 BYTES_AT(0xCD3D)    /* words filled into texts: {a}, {b}, {c} */
#define wTextBuffer2 BYTES_AT(0xCE9D)
#define wTextBuffer3 BYTES_AT(0xCF4B)
#define wFontLoaded BYTE_AT(0xCFC4)      /* bit 0: a text box is up */
#define wEnemyMon BYTES_AT(0xCFE5)       /* species, HP (2 bytes, high first), ...: struct enemy_mon */
#define wEnemyMonHP BYTES_AT(0xCFE6)
#define wIsInBattle BYTE_AT(0xD057)      /* 0 no, 1 wild, 2 trainer, FF lost */
#define wTextBoxID BYTE_AT(0xD125)
#define wPlayerName BYTES_AT(0xD158)     /* 11 bytes, ends with 50 */
#define wPartyCount BYTE_AT(0xD163)
#define wPartySpecies BYTES_AT(0xD164)   /* 6 species, then FF */
#define wPartyMons BYTES_AT(0xD16B)      /* 44 bytes a monster: struct partner_mon */
#define wPokedexOwned BYTES_AT(0xD2F7)   /* a bit a species */
#define wPokedexSeen BYTES_AT(0xD30A)
#define wNumBagItems BYTE_AT(0xD31D)
#define wBagItems BYTES_AT(0xD31E)       /* item and how many, ... FF */
#define wPlayerMoney BYTES_AT(0xD347)    /* 3 bytes, decimal digits */
#define wOptions BYTE_AT(0xD355)         /* low bits: frames a letter */
#define wObtainedBadges BYTE_AT(0xD356)
#define wCurMap BYTE_AT(0xD35E)
#define wYCoord BYTE_AT(0xD361)
#define wXCoord BYTE_AT(0xD362)
#define wCurMapTileset BYTE_AT(0xD367)
#define wEventFlags BYTES_AT(0xD747)     /* 320 bytes, a bit an event */
#define wPlayTimeHours BYTE_AT(0xDA41)
#define wPlayTimeMinutes BYTE_AT(0xDA43)
#define wPlayTimeSeconds BYTE_AT(0xDA44)
#define wPlayTimeFrames BYTE_AT(0xDA45)

/* Our own. */
#define wMapCells BYTES_AT(0xC600)       /* the present map, a metatile number a cell, 1024 at most */
#define wMapRows ((uint8_t **)0xCA00)    /* where each of its rows begins, 64 at most */
#define wTextPage BYTES_AT(0xCA80)       /* the text being printed, 192 bytes */
#define wGameMode BYTE_AT(0xD900)        /* MODE_... */
#define wStepLeft BYTE_AT(0xD901)        /* frames left of the walking step, 0 = standing */
#define wFacing BYTE_AT(0xD902)          /* FACE_... */
#define wTextWaiting BYTE_AT(0xD903)     /* 1: the text box waits for A */
#define wFading BYTE_AT(0xD904)          /* 1: a map transition runs, input is ignored */
#define wLagFrames BYTE_AT(0xD905)       /* overworld frames, no box up, that came before the last one's work was done */
#define wBusyLine BYTE_AT(0xD906)        /* screen line at which walking or opening a text box was done with the hardware */
#define wLamps BYTE_AT(0xD907)           /* the puzzle's lamps, a bit each */
#define wMenu BYTE_AT(0xD908)            /* MENU_...: the menu that waits for a choice, 0 = none */
#define wHealMap BYTE_AT(0xD909)         /* where one wakes up after a defeat: map, x, y */
#define wHealX BYTE_AT(0xD90A)
#define wHealY BYTE_AT(0xD90B)
#define wRandom BYTES_AT(0xD90C)         /* two bytes of the random numbers' state */
#define wTextStands BYTE_AT(0xD90F)      /* 1: a page stands complete and goes on by itself in a moment */
#define wPageSpecies BYTE_AT(0xD90E)     /* the species a page of the bestiary shows */

enum { MODE_BOOT, MODE_TITLE, MODE_INTRO, MODE_OVERWORLD, MODE_ENDING, MODE_BATTLE, MODE_PAGE };
enum { FACE_DOWN = 0, FACE_UP = 4, FACE_LEFT = 8, FACE_RIGHT = 12 };
enum {
    MENU_NONE, MENU_NAME, MENU_YES_NO, MENU_FIGHT, MENU_MOVES, MENU_ITEMS, MENU_START, MENU_PARTY, MENU_BAG, MENU_BEASTS,
    MENU_OPTIONS
};
#define EVENT_NONE 0xFF
#define ITEM_BALM 0x14
enum { TEXTBOX_INTRO = 1, TEXTBOX_BATTLE, TEXTBOX_MENU, TEXTBOX_EVENT, TEXTBOX_FIRST = 0x10 };

void event_set(uint8_t event);
uint8_t event_is_set(uint8_t event);
uint8_t random(void); /* 0-255, stirred by the divider register */

#endif
