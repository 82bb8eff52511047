#include "view.h"
#include "assets.h"
#include "party.h"
#include "ram.h"
#include "screens.h"
#include "text.h"
#include "video.h"

#define FOE_X 13
#define FOE_Y 0
#define OWN_X 1
#define OWN_Y 6

void face_load(uint8_t face, uint8_t tile) { far_load(BG_TILES + ((uint16_t)tile << 4), &faces[face]); }

void face_put(uint8_t x, uint8_t y, uint8_t tile) {
    uint8_t row, column;

    for (row = 6; row; --row, ++y)
        for (column = 0; column < 6; ++column)
            put(x + column, y, tile++);
}

uint8_t bar_pixels(uint8_t hp, uint8_t most) {
    uint8_t pixels = (uint16_t)hp * 48 / most;

    return hp && !pixels ? 1 : pixels;
}

void bar_put(uint8_t x, uint8_t y, uint8_t pixels) {
    uint8_t i, part;

    put(x, y, TILE_BAR + 9);
    for (i = 6; i; --i) {
        part = pixels < 8 ? pixels : 8;
        pixels -= part;
        put(++x, y, TILE_BAR + part);
    }
    put(x + 1, y, TILE_BAR + 10);
}

static void level_put(uint8_t x, uint8_t y, uint8_t level) {
    put_word(x, y, word_level);
    put_number(x + 1, y, level, level < 10 ? 1 : 2);
}

static void foe_numbers(void) {
    put_word(1, 1, species_names[enemy->species - 1]);
    level_put(1, 2, enemy->level);
    bar_put(1, 3, bar_pixels(enemy->hp[1], enemy->max_hp[1]));
}

void view_own_numbers(void) {
    put_word(10, 7, species_names[partner->species - 1]);
    level_put(10, 8, partner->level);
    bar_put(10, 9, bar_pixels(partner->hp[1], partner->max_hp[1]));
    put_number(12, 10, partner->hp[1], 2);
    put(14, 10, CHAR_SLASH);
    put_number(15, 10, partner->max_hp[1], 2);
}

void view_open(uint8_t face) {
    fade_out();
    screen_begin(FAR_bar_tiles, 0);
    far_copy(BG_TILES + TILE_BAR * 16, FAR_bar_tiles, UNITS_bar_tiles);
    face_load(face, TILE_FOE);
    face_load(FACE_BACK + partner->species - 1, TILE_OWN);
    face_put(FOE_X, FOE_Y, TILE_FOE);
    face_put(OWN_X, OWN_Y, TILE_OWN);
    view_own_numbers();
    text_box(TEXTBOX_BATTLE);
}

void view_show(void) { screen_finish(); }

void view_foe(uint8_t face, uint8_t with_numbers) {
    if (rLCDC & 0x80) {
        palette_set(3);
        screen_off();
        face_load(face, TILE_FOE);
        screen_on();
        palette_set(0);
    } else {
        face_load(face, TILE_FOE);
    }
    face_put(FOE_X, FOE_Y, TILE_FOE);
    if (with_numbers)
        foe_numbers();
}

void view_blink(uint8_t own) {
    uint8_t x = own ? OWN_X : FOE_X, y = own ? OWN_Y : FOE_Y, times;

    for (times = 2; times; --times) {
        frame_wait();
        put_clear(x, y, 6, 6);
        frame_wait();
        frame_wait();
        face_put(x, y, own ? TILE_OWN : TILE_FOE);
        frame_wait();
        frame_wait();
    }
}

void view_drain(uint8_t own, uint8_t from, uint8_t to) {
    uint8_t most = own ? partner->max_hp[1] : enemy->max_hp[1];
    uint8_t now = bar_pixels(from, most), then = bar_pixels(to, most), x = own ? 10 : 1, y = own ? 9 : 3;

    while (now != then) {
        now += now < then ? 1 : (uint8_t)-1;
        frame_wait();
        bar_put(x, y, now);
    }
    if (own)
        put_number(12, 10, to, 2);
}

void view_gone(uint8_t own) {
    if (own) {
        put_clear(OWN_X, OWN_Y, 6, 6);
    } else {
        put_clear(FOE_X, FOE_Y, 6, 6);
        put_clear(1, 1, 9, 3);
    }
}
