/* Those who stand on the present map: where, which way they look, whether they are still there, and their sprites. */
#ifndef THINGS_H
#define THINGS_H
#include <stdint.h>

#define NOBODY 0xFF
#define PLAYER_X 64 /* the player's place on the screen, pixels */
#define PLAYER_Y 64

extern uint8_t thing_facing[];
extern uint8_t thing_x[], thing_y[];

void things_load(void);                     /* as the map says, guards and gifts left out whose event has happened */
uint8_t thing_at(uint8_t x, uint8_t y);     /* its number, or NOBODY */
void thing_remove(uint8_t thing);
void things_place(void);                    /* sprites anew, while the player stands */
void things_shift(uint8_t dx, uint8_t dy);  /* all sprites, as the map scrolls */
uint8_t thing_watching(void);               /* a trainer, not beaten yet, who sees the player, or NOBODY */
void thing_approach(uint8_t thing);         /* it walks up to the player, looking surprised first */

#endif
