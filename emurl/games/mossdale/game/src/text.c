#include "text.h"
#include "assets.h"
#include "ram.h"
#include "video.h"

#define BOX_ROW 12
#define FLOW_FRAMES 16 /* a text that goes on by itself stands that long */

static uint8_t pen_x, pen_y;
static const uint8_t *cursor;      /* the next byte of the text */
static const uint8_t *after_word;  /* where the text goes on after a filled-in word, 0 when not in one */
static uint8_t *tiles_at;           /* video memory of the screen's upper left corner */

void target(uint8_t where) {
    if (where == TARGET_BOX)
        tiles_at = WINDOW_MAP - BOX_ROW * 32;
    else if (where == TARGET_SCREEN)
        tiles_at = BG_MAP;
    else
        tiles_at = WINDOW_MAP - 10;
}

void put(uint8_t x, uint8_t y, uint8_t tile) {
    uint8_t *to = tiles_at + ((uint16_t)y << 5) + x;

    *(wTileMap + (uint16_t)y * 20 + x) = tile;
    if (rLCDC & 0x80)
        while (rSTAT & 2) /* the screen is being drawn: video memory is closed */
            ;
    *to = tile;
}

void put_word(uint8_t x, uint8_t y, const uint8_t *word) {
    while (*word != CHAR_END)
        put(x++, y, *word++);
}

void put_number(uint8_t x, uint8_t y, uint16_t value, uint8_t width) {
    x += width;
    while (width--) {
        put(--x, y, CHAR_ZERO + value % 10);
        value /= 10;
        if (!value)
            break;
    }
    while (width && width != 0xFF) {
        put(--x, y, CHAR_SPACE);
        --width;
    }
}

void put_two(uint8_t x, uint8_t y, uint8_t value) {
    put(x, y, CHAR_ZERO + value / 10);
    put(x + 1, y, CHAR_ZERO + value % 10);
}

static void put_row(uint8_t x, uint8_t y, uint8_t width, uint8_t left, uint8_t middle, uint8_t right) {
    put(x++, y, left);
    for (width -= 2; width; --width)
        put(x++, y, middle);
    put(x, y, right);
}

void put_box(uint8_t x, uint8_t y, uint8_t width, uint8_t height) {
    put_row(x, y, width, 0x79, 0x7A, 0x7B);
    for (height -= 2; height; --height)
        put_row(x, ++y, width, 0x7C, CHAR_SPACE, 0x7C);
    put_row(x, ++y, width, 0x7D, 0x7A, 0x7E);
}

void put_clear(uint8_t x, uint8_t y, uint8_t width, uint8_t height) {
    for (; height; --height, ++y)
        put_row(x, y, width, CHAR_SPACE, CHAR_SPACE, CHAR_SPACE);
}

void text_box_prepare(void) {
    target(TARGET_BOX);
    put_box(0, BOX_ROW, 20, 6);
}

static void line_clear(uint8_t *line) {
    uint8_t x;

    for (x = 9; x; --x) {
        *line++ = CHAR_SPACE;
        *line++ = CHAR_SPACE;
    }
}

static void lines_clear(void) { /* in vertical blank */
    line_clear(tiles_at + 14 * 32 + 1);
    line_clear(tiles_at + 16 * 32 + 1);
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

    target(TARGET_BOX);
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

void text_box(uint8_t id) {
    target(TARGET_SCREEN);
    put_box(0, BOX_ROW, 20, 6);
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

static void wait_a_while(void) {
    uint8_t left;

    wTextStands = 1;
    for (left = FLOW_FRAMES; left; --left) {
        frame_wait();
        if (joy_pressed & BUTTON_A)
            break;
    }
    wTextStands = 0;
}

static uint8_t next_char(void) {
    uint8_t c = *cursor++;

    if (after_word) {
        if (c != CHAR_END)
            return c;
        cursor = after_word;
        after_word = 0;
        c = *cursor++;
    }
    if (c == CHAR_NAME || c == CHAR_A || c == CHAR_B || c == CHAR_C) {
        after_word = cursor;
        cursor = c == CHAR_NAME ? wPlayerName : c == CHAR_A ? wTextBuffer1 : c == CHAR_B ? wTextBuffer2 : wTextBuffer3;
        c = *cursor++;
    }
    return c;
}

static void print(uint8_t text, void (*wait)(void)) {
    uint8_t c, delay;

    far_load(wTextPage, &text_places[text]);
    cursor = wTextPage;
    after_word = 0;
    frame_wait();
    lines_clear();
    for (;;) {
        c = next_char();
        if (c == CHAR_END || c == CHAR_PAGE) {
            if (wait)
                wait();
            if (c == CHAR_END)
                return;
            lines_clear();
        } else if (c == CHAR_LINE) {
            pen_x = 1;
            pen_y = 16;
        } else {
            put(pen_x, pen_y, c);
            ++pen_x;
            delay = wOptions & 7;
            do {
                frame_wait();
            } while (--delay);
        }
    }
}

void text_page(uint8_t text) { print(text, wait_for_a); }

void text_flow(uint8_t text) { print(text, wait_a_while); }

void text_show(uint8_t text) { print(text, 0); }

void word_copy(uint8_t *to, const uint8_t *word) {
    while ((*to++ = *word++) != CHAR_END)
        ;
}

void number_word(uint8_t *to, uint16_t value) {
    uint16_t unit = 10000;
    uint8_t digit, begun = 0;

    for (; unit; unit /= 10) {
        digit = value / unit % 10;
        if (digit || begun || unit == 1) {
            *to++ = CHAR_ZERO + digit;
            begun = 1;
        }
    }
    *to = CHAR_END;
}
