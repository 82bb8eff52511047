#include "assets.h"
#include "overworld.h"
#include "ram.h"
#include "screens.h"
#include "text.h"
#include "video.h"

void event_set(uint8_t event) { wEventFlags[event >> 3] |= (uint8_t)(1 << (event & 7)); }

static void new_game(void) {
    copy_bytes(wPlayerName, text_player_name, sizeof text_player_name);
    wPlayerMoney[1] = 0x05; /* 000500, a digit a nibble */
    wOptions = 1;           /* a letter a frame */
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
    copy_tiles(SPRITE_TILES, sprite_tiles, SPRITE_TILE_COUNT);
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
