#include "screens.h"
#include "assets.h"
#include "ram.h"
#include "text.h"
#include "video.h"

static void picture_place(const struct picture *picture, uint8_t x, uint8_t y) { /* into wTileMap */
    const uint8_t *from = picture->cells;
    uint8_t *to = wTileMap + (uint16_t)y * 20 + x;
    uint8_t row, column;

    for (row = picture->height; row; --row) {
        for (column = picture->width; column; --column)
            *to++ = *from++;
        to += 20 - picture->width;
    }
}

static void screen_begin(const uint8_t *tiles, uint8_t tile_count) {
    screen_off();
    copy_tiles(BG_TILES, tiles, tile_count);
    sprites_clear();
    oam_copy();
    tilemap_clear();
}

static void screen_finish(void) {
    tilemap_show();
    screen_on();
    fade_in();
}

/* A line of text on the background that blinks until START: 40 frames there, 24 not. */
static void blink_until_start(uint8_t x, uint8_t y, const uint8_t *text) {
    uint8_t clock = 0, length = 0, i, tile;
    uint8_t *shadow = wTileMap + (uint16_t)y * 20 + x;
    uint8_t *screen = BG_MAP + (uint16_t)y * 32 + x;

    while (text[length] != CHAR_END)
        ++length;
    do {
        if (clock == 0 || clock == 40)
            for (i = 0; i < length; ++i) {
                tile = clock ? CHAR_SPACE : text[i];
                shadow[i] = tile;
                screen[i] = tile;
            }
        clock = (clock + 1) & 63;
        frame_wait();
    } while (!(joy_pressed & BUTTON_START));
}

void title_run(void) {
    wGameMode = MODE_TITLE;
    screen_begin(title_tiles, TITLE_TILE_COUNT);
    picture_place(&picture_title, 0, 0);
    screen_finish();
    blink_until_start(4, 15, text_press_start);
    event_set(EVENT_TITLE);
    fade_out();
}

static const struct picture *const intro_pictures[4] = {
    &picture_keeper, &picture_mossling, &picture_tower, &picture_keeper
};
static const uint8_t *const intro_texts[4] = {text_intro_1, text_intro_2, text_intro_3, text_intro_4};

void intro_run(void) {
    uint8_t page;

    wGameMode = MODE_INTRO;
    for (page = 0; page < 4; ++page) {
        if (page)
            fade_out();
        screen_begin(intro_tiles, INTRO_TILE_COUNT);
        text_box_prepare();
        picture_place(intro_pictures[page], 7, 3);
        tilemap_show();
        screen_on();
        text_open(TEXTBOX_INTRO);
        fade_in();
        text_page(intro_texts[page]);
    }
    fade_out();
    text_close();
    event_set(EVENT_INTRO);
}

void ending_run(void) {
    wGameMode = MODE_ENDING;
    wCurMap = MAP_TOWER;
    screen_begin(ending_tiles, ENDING_TILE_COUNT);
    picture_place(&picture_ending, 0, 0);
    text_place(2, 12, text_ending_1);
    text_place(5, 14, text_ending_2);
    text_number(10, 14, wPlayTimeMinutes);
    text_number(13, 14, wPlayTimeSeconds);
    screen_finish();
    blink_until_start(4, 16, text_press_start);
    fade_out();
    screen_off();
}
