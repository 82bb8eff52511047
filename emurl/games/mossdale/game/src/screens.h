/* The screens around the walking: title, introduction, ending. */
#ifndef SCREENS_H
#define SCREENS_H

#include "world.h"

void picture_place(const struct picture *picture, uint8_t x, uint8_t y); /* into wTileMap */
void screen_begin(const uint8_t *tiles, uint8_t bank, uint8_t units);    /* LCD off, tiles loaded, wTileMap empty */
void screen_finish(void);                                                /* shows wTileMap */
void title_run(void);  /* until START */
void intro_run(void);  /* pages of text and a choice of name, ends on a white screen */
void ending_run(void); /* until START */

#endif
