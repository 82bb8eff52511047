/* What walking shares with drawing the place one walks in: the step under way and the ways that are open. */
#ifndef WALK_H
#define WALK_H
#include "world.h"

extern uint8_t open_ways;              /* a BUTTON_ bit for every direction that can be walked from here */
extern uint8_t next_x, next_y;         /* the cell a step leads to */
extern uint8_t next_ways;              /* open_ways there */
extern const struct warp *next_warp;   /* the warp there, or 0 */
extern uint8_t plan_due;               /* the three above are still to be found */
extern uint8_t shift_x, shift_y;       /* pixels walked of the step, two's complement */
extern uint8_t move_x, move_y;         /* pixels of one move */
extern uint8_t foot;                   /* flips each step: left foot, right foot */

uint8_t flags_at(uint8_t x, uint8_t y);  /* CELL_... of a cell; outside the map it is solid */
uint8_t ways_from(uint8_t x, uint8_t y); /* a BUTTON_ bit for every direction that can be walked */
void plan(void);                         /* finds out what a step to next_x, next_y leads to */
void player_show(void);                  /* the player's picture into the sprite table */
void show(void);                         /* scroll registers and sprites, in vertical blank */

#endif
