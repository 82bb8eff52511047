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
#define wFontLoaded BYTE_AT(0xCFC4)      /* bit 0: a text box is up */
#define wIsInBattle BYTE_AT(0xD057)
#define wTextBoxID BYTE_AT(0xD125)
#define wPlayerName BYTES_AT(0xD158)     /* 11 bytes, ends with 50 */
#define wPartyCount BYTE_AT(0xD163)
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
#define wGameMode BYTE_AT(0xD900)        /* MODE_... */
#define wStepLeft BYTE_AT(0xD901)        /* frames left of the walking step, 0 = standing */
#define wFacing BYTE_AT(0xD902)          /* FACE_... */
#define wTextWaiting BYTE_AT(0xD903)     /* 1: the text box waits for A */
#define wFading BYTE_AT(0xD904)          /* 1: a map transition runs, input is ignored */
#define wLagFrames BYTE_AT(0xD905)       /* frames that came before the last one's work was done */
#define wBusyLine BYTE_AT(0xD906)        /* screen line at which walking or opening a text box was done with the hardware */

enum { MODE_BOOT, MODE_TITLE, MODE_INTRO, MODE_OVERWORLD, MODE_ENDING };
enum { FACE_DOWN = 0, FACE_UP = 4, FACE_LEFT = 8, FACE_RIGHT = 12 };
enum {
    EVENT_TITLE, EVENT_INTRO, EVENT_BEDROOM, EVENT_HOUSE, EVENT_ROUTE, EVENT_GOAL,
    EVENT_NONE = 0xFF
};
enum { TEXTBOX_INTRO = 1, TEXTBOX_FIRST = 0x10 };

void event_set(uint8_t event);

#endif
