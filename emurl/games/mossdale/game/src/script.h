/* What happens on the maps besides walking. */
#ifndef SCRIPT_H
#define SCRIPT_H
#include <stdint.h>

void script_talk(uint8_t thing);     /* A was pressed in front of it */
uint8_t script_step(uint8_t grass);  /* a step has ended; 1 where something happened */

#endif
