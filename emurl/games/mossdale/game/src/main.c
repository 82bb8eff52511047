#include "assets.h"
#include "overworld.h"
#include "ram.h"
#include "screens.h"
#include "text.h"
#include "video.h"

void event_set(uint8_t event) { wEventFlags[event >> 3] |= (uint8_t)(1 << (event & 7)); }

uint8_t event_is_set(uint8_t event) { return wEventFlags[event >> 3] & (uint8_t)(1 << (event & 7)); }

uint8_t random(void) {
    uint8_t first = wRandom[0], second = wRandom[1];

    first = (uint8_t)((first << 2) + first) + rDIV + 1;
    second ^= first;
    second = (uint8_t)(second << 3) | (second >> 5);
    wRandom[0] = first;
    wRandom[1] = second;
    return second;
}

static void new_game(void) {
    word_copy(wPlayerName, word_name_1);
    wPlayerMoney[1] = 0x05; /* 000500, a digit a nibble */
    wOptions = 1;           /* a letter a frame */
    wPartySpecies[0] = 0xFF;
    wNumBagItems = 1;
    wBagItems[0] = ITEM_BALM;
    wBagItems[1] = 2;
    wBagItems[2] = 0xFF;
    wLamps = LAMPS_LIT;
    wHealMap = MAP_HEAL;
    wHealX = HEAL_X;
    wHealY = HEAL_Y;
}

void main(void) {
    rIE = 1; /* vertical blank only */
    if (rLCDC & 0x80) {
        while (rLY != 144)
            ;
        rLCDC = 0;
    }
    palette_set(3);
    font_load();
    far_copy(SPRITE_TILES, FAR_sprite_tiles, UNITS_sprite_tiles);
    new_game();
    screen_on();
    __asm
        ei
    __endasm;
    title_run();
    intro_run();
    wGameMode = MODE_OVERWORLD;
    overworld_enter(START_MAP, START_X, START_Y, START_FACING);
    overworld_run();
    ending_run();
    __asm
        di
    __endasm;
    reset();
}
