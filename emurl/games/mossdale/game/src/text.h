/* Text: the box at the foot of the screen, and words anywhere. */
#ifndef TEXT_H
#define TEXT_H
#include <stdint.h>

enum {
    CHAR_LINE = 0x4F, CHAR_END = 0x50, CHAR_PAGE = 0x51, CHAR_NAME = 0x52, CHAR_A = 0x53, CHAR_B = 0x59, CHAR_C = 0x5A,
    CHAR_SPACE = 0x7F, CHAR_CURSOR = 0xED, CHAR_ARROW = 0xEE, CHAR_STAR = 0xF1, CHAR_SLASH = 0xF3, CHAR_ZERO = 0xF6
};

/* Where tiles go besides wTileMap: the window as text box, the background, the window as a menu on the right. */
enum { TARGET_BOX, TARGET_SCREEN, TARGET_SIDE };
void target(uint8_t where);

void put(uint8_t x, uint8_t y, uint8_t tile);               /* screen coordinates in tiles; safe at any time */
void put_word(uint8_t x, uint8_t y, const uint8_t *word);
void put_number(uint8_t x, uint8_t y, uint16_t value, uint8_t width); /* right-aligned */
void put_two(uint8_t x, uint8_t y, uint8_t value);          /* two digits, zero in front */
void put_box(uint8_t x, uint8_t y, uint8_t width, uint8_t height);
void put_clear(uint8_t x, uint8_t y, uint8_t width, uint8_t height);

void text_box_prepare(void);                /* an empty box on the window and in wTileMap */
void text_open(uint8_t id);                 /* the box on the window; wTextBoxID = id */
void text_box(uint8_t id);                  /* the box on the background */
void text_page(uint8_t text);               /* print a text, waiting for A after each page */
void text_flow(uint8_t text);               /* the same, going on by itself after a while, or on A */
void text_show(uint8_t text);               /* the same, not waiting at all */
void text_close(void);

void word_copy(uint8_t *to, const uint8_t *word);
void number_word(uint8_t *to, uint16_t value);

#endif
