/* A choice among lines. */
#ifndef MENU_H
#define MENU_H
#include <stdint.h>

#define MENU_BACK 0xFF

/* Lines stand at column x + 1, from row y on, `step` rows apart; the cursor stands at x. Up and down move it round, A
 * takes the line, B leaves with MENU_BACK where `back` allows it. wMenu is `kind` meanwhile. `moved` (or 0) is told of
 * every line the cursor comes to. */
uint8_t menu_run(uint8_t kind, uint8_t x, uint8_t y, uint8_t step, uint8_t count, uint8_t back, void (*moved)(uint8_t));
extern uint8_t menu_start; /* the line the next menu begins at; 0 again afterwards */

#endif
