/* One blow of a battle. */
#ifndef TURN_H
#define TURN_H
#include <stdint.h>

void turn_begin(uint8_t own_too);          /* a new opponent: nobody's blows are weakened, the foe's only with own_too = 0 */
void turn_blow(uint8_t own, uint8_t move); /* the partner's (own = 1) or the foe's, with its text and what is seen */
uint8_t turn_damage(uint8_t own, uint8_t move); /* without chance: what the move would take off */

#endif
