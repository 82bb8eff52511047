/* The battle's screen, and the pieces of it that other pages use. */
#ifndef VIEW_H
#define VIEW_H
#include <stdint.h>

#define TILE_FOE 0    /* 36 tiles: the face of whoever stands upper right */
#define TILE_OWN 36   /* 36 tiles: the partner from behind, or the face of a page */
#define TILE_BAR 80   /* 9 fillings, two ends */

void face_load(uint8_t face, uint8_t tile);                 /* LCD off */
void face_put(uint8_t x, uint8_t y, uint8_t tile);          /* 6x6 */
void bar_put(uint8_t x, uint8_t y, uint8_t pixels);         /* 8 tiles: ends and 48 pixels */
uint8_t bar_pixels(uint8_t hp, uint8_t most);

void view_open(uint8_t face);       /* LCD off until view_show: the partner, and this face opposite */
void view_show(void);
void view_foe(uint8_t face, uint8_t with_numbers); /* another face opposite; with name, level and bar where it is a monster */
void view_own_numbers(void);
void view_blink(uint8_t own);       /* whoever was hit */
void view_drain(uint8_t own, uint8_t from, uint8_t to); /* a bar moves from so many hit points to so many */
void view_gone(uint8_t own);        /* somebody leaves the field */

#endif
