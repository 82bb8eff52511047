/* Text boxes: the lower six rows of the screen, on the window layer, two lines of 18 letters, A goes on. */
#ifndef TEXT_H
#define TEXT_H
#include <stdint.h>

#define CHAR_END 0x50   /* codes inside a text, as Pokémon Red's */
#define CHAR_PAGE 0x51
#define CHAR_LINE 0x4F
#define CHAR_NAME 0x52
#define CHAR_SPACE 0x7F
#define CHAR_ARROW 0xEE
#define CHAR_ZERO 0xF6

void text_box_prepare(void);                 /* draw the empty box on the window map, LCD off */
void text_open(uint8_t id);                  /* in the next frame show an empty box; id goes to wTextBoxID */
void text_page(const uint8_t *text);         /* print one page or more, each until A */
void text_close(void);
void text_place(uint8_t x, uint8_t y, const uint8_t *text); /* into wTileMap only */
void text_number(uint8_t x, uint8_t y, uint8_t value);      /* two digits into wTileMap */

#endif
