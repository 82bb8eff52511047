/* Walking about: 16 x 16 cells, 16 frames a step, the player always in the middle of the screen. */
#ifndef OVERWORLD_H
#define OVERWORLD_H
#include <stdint.h>

void overworld_enter(uint8_t map, uint8_t x, uint8_t y, uint8_t facing); /* loads and shows; screen white before */
void overworld_run(void); /* returns when the goal is reached */

#endif
