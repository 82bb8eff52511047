#include "screens.h"
#include "assets.h"
#include "menu.h"
#include "ram.h"
#include "text.h"
#include "video.h"

void picture_place(const struct picture *picture, uint8_t x, uint8_t y) {
    const uint8_t *from = picture->cells;
    uint8_t *to = wTileMap + (uint16_t)y * 20 + x;
    uint8_t row, column;

    for (row = picture->height; row; --row) {
        for (column = picture->width; column; --column)
            *to++ = *from++;
        to += 20 - picture->width;
    }
}

void screen_begin(const uint8_t *tiles, uint8_t bank, uint8_t units) {
    screen_off();
    far_copy(BG_TILES, tiles, bank, units);
    sprites_clear();
    oam_copy();
    tilemap_clear();
    target(TARGET_SCREEN);
}

void screen_finish(void) {
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
    screen_begin(FAR_title_tiles, UNITS_title_tiles);
    picture_place(&picture_title, 0, 0);
    screen_finish();
    blink_until_start(4, 15, word_press_start);
    event_set(EVENT_TITLE);
    fade_out();
}

static const uint8_t *const names[4] = {word_name_1, word_name_2, word_name_3, word_name_4};

static void intro_screen(const struct picture *picture, uint8_t x) {
    screen_begin(FAR_intro_tiles, UNITS_intro_tiles);
    text_box_prepare();
    target(TARGET_SCREEN);
    picture_place(picture, x, 3);
}

static void intro_page(const struct picture *picture, uint8_t text) {
    intro_screen(picture, 7);
    tilemap_show();
    screen_on();
    text_open(TEXTBOX_INTRO);
    fade_in();
    text_page(text);
    fade_out();
}

static void ask_name(void) {
    uint8_t i;

    intro_screen(&INTRO_1, 12);
    put_box(1, 1, 9, 10);
    for (i = 0; i < 4; ++i)
        put_word(3, 3 + (i << 1), names[i]);
    tilemap_show();
    screen_on();
    text_open(TEXTBOX_INTRO);
    fade_in();
    text_show(TEXT_INTRO_ASK);
    target(TARGET_SCREEN);
    i = menu_run(MENU_NAME, 2, 3, 2, 4, 0, 0);
    word_copy(wPlayerName, names[i]);
    fade_out();
}

void intro_run(void) {
    wGameMode = MODE_INTRO;
    intro_page(&INTRO_1, TEXT_INTRO_1);
    intro_page(&INTRO_2, TEXT_INTRO_2);
    intro_page(&INTRO_3, TEXT_INTRO_3);
    ask_name();
    intro_page(&INTRO_1, TEXT_INTRO_4);
    text_close();
    event_set(EVENT_INTRO);
}

void ending_run(void) {
    wGameMode = MODE_ENDING;
    wCurMap = MAP_GOAL;
    screen_begin(FAR_ending_tiles, UNITS_ending_tiles);
    picture_place(&picture_ending, 0, 0);
    put_word(2, 12, word_ending_1);
    put_word(5, 14, word_ending_2);
    put_two(10, 14, wPlayTimeMinutes);
    put_two(13, 14, wPlayTimeSeconds);
    screen_finish();
    blink_until_start(4, 16, word_press_start);
    fade_out();
    screen_off();
}
