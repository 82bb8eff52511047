/* The part of the map around the player, kept in video memory and in wTileMap. */
#ifndef CAMERA_H
#define CAMERA_H
#include "world.h"

extern const struct map *here;          /* the present map */
extern const uint8_t *cell_blocks;      /* its tileset's metatiles */

uint8_t cell_at(uint8_t x, uint8_t y);  /* metatile number; coordinates wrap, outside is the border */
void camera_draw_all(uint8_t x, uint8_t y);  /* LCD off: everything around this cell, wTileMap too */
void camera_follow(uint8_t x, uint8_t y, uint8_t facing); /* a step towards this cell begins */
void camera_stream(void);               /* one cell of the coming edge; once a frame, in vertical blank */
void camera_refresh(void);              /* one row of cells of wTileMap; once a frame, any time */
void camera_refresh_box(uint8_t x, uint8_t y); /* the rows a text box covered are due again */
void camera_refresh_all(uint8_t x, uint8_t y); /* wTileMap anew around this cell; three frames */
void camera_redraw(uint8_t x, uint8_t y);      /* a cell that has changed, if it is near; in vertical blank */
void camera_finish(void);               /* wTileMap complete now */

#endif
