/* Walking on the maps. */
#ifndef OVERWORLD_H
#define OVERWORLD_H
#include <stdint.h>

void overworld_enter(uint8_t map, uint8_t x, uint8_t y, uint8_t facing);
void overworld_return(void);   /* back from a battle or a page: the same place, everybody where they were */
void overworld_patch(void);    /* cells that an event has changed, now */
void overworld_lamps(void);    /* the puzzle's lamps as wLamps says, now */
void overworld_face(void);     /* the player's sprite as wFacing says */
void overworld_run(void);      /* until the goal is reached */

#endif
