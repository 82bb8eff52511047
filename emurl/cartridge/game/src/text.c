#include "text.h"
#include "ram.h"
#include "video.h"

#define BOX_ROW 12

static uint8_t pen_x, pen_y;
static const uint8_t *cursor;      /* the next byte of the text */
static const uint8_t *after_name;  /* where the text goes on after the player's name, 0 when not in it */

static void put(uint8_t x, uint8_t y, uint8_t tile) {
    *(wTileMap + (uint16_t)y * 20 + x) = tile;
    *(WINDOW_MAP + (uint16_t)(y - BOX_ROW) * 32 + x) = tile;
}

static void box_row(uint8_t y, uint8_t left, uint8_t middle, uint8_t right) {
    uint8_t x;

    put(0, y, left);
    for (x = 1; x < 19; ++x)
        put(x, y, middle);
    put(19, y, right);
}

static void box_draw(void) {
    uint8_t y;

    box_row(BOX_ROW, 0x79, 0x7A, 0x7B);
    for (y = BOX_ROW + 1; y < BOX_ROW + 5; ++y)
        box_row(y, 0x7C, CHAR_SPACE, 0x7C);
    box_row(BOX_ROW + 5, 0x7D, 0x7A, 0x7E);
}

void text_box_prepare(void) { box_draw(); }

static void line_clear(uint8_t *line) {
    uint8_t x;

    for (x = 9; x; --x) {
        *line++ = CHAR_SPACE;
        *line++ = CHAR_SPACE;
    }
}

static void lines_clear(void) {
    line_clear(WINDOW_MAP + 2 * 32 + 1);
    line_clear(WINDOW_MAP + 4 * 32 + 1);
    line_clear(wTileMap + 14 * 20 + 1);
    line_clear(wTileMap + 16 * 20 + 1);
    pen_x = 1;
    pen_y = 14;
}

void text_open(uint8_t id) {
    /* The border stands on the window map since text_box_prepare; only the lines of the last text have to go, which
     * vertical blank is long enough for. wTileMap gets the whole box. */
    uint8_t x;
    uint8_t *row = wTileMap + BOX_ROW * 20;

    frame_wait();
    oam_copy();
    lines_clear();
    wBusyLine = rLY;
    window_open();
    for (x = 0; x < 20; ++x) {
        row[x] = 0x7A;
        row[x + 100] = 0x7A;
    }
    row[0] = 0x79;
    row[19] = 0x7B;
    row[100] = 0x7D;
    row[119] = 0x7E;
    for (row += 20; row != wTileMap + 17 * 20; row += 20) {
        row[0] = 0x7C;
        row[19] = 0x7C;
        for (x = 1; x < 19; ++x)
            row[x] = CHAR_SPACE;
    }
    wTextBoxID = id;
    wFontLoaded = 1;
}

void text_close(void) {
    window_close();
    wFontLoaded = 0;
}

static void wait_for_a(void) {
    uint8_t blink = 0;

    wTextWaiting = 1;
    do {
        if ((blink & 15) == 0)
            put(18, 16, blink & 16 ? CHAR_SPACE : CHAR_ARROW);
        ++blink;
        frame_wait();
    } while (!(joy_pressed & BUTTON_A));
    wTextWaiting = 0;
}

static uint8_t next_char(void) {
    uint8_t c = *cursor++;

    if (after_name) {
        if (c != CHAR_END)
            return c;
        cursor = after_name;
        after_name = 0;
        c = *cursor++;
    }
    if (c == CHAR_NAME) {
        after_name = cursor;
        cursor = wPlayerName;
        c = *cursor++;
    }
    return c;
}

void text_page(const uint8_t *text) {
    uint8_t c, delay;

    cursor = text;
    after_name = 0;
    for (;;) {
        c = next_char();
        if (c == CHAR_END) {
            wait_for_a();
            return;
        }
        if (c == CHAR_PAGE) {
            wait_for_a();
            lines_clear();
            continue;
        }
        if (c == CHAR_LINE) {
            pen_x = 1;
            pen_y = 16;
            continue;
        }
        put(pen_x, pen_y, c);
        ++pen_x;
        delay = wOptions & 7;
        do {
            frame_wait();
        } while (--delay);
    }
}

void text_place(uint8_t x, uint8_t y, const uint8_t *text) {
    uint8_t *to = wTileMap + (uint16_t)y * 20 + x;

    while (*text != CHAR_END)
        *to++ = *text++;
}

void text_number(uint8_t x, uint8_t y, uint8_t value) {
    uint8_t *to = wTileMap + (uint16_t)y * 20 + x;

    to[0] = CHAR_ZERO + value / 10;
    to[1] = CHAR_ZERO + value % 10;
}
