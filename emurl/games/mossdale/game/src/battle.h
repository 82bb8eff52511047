/* Battles, turn by turn. Both return 0 where the partner can not go on, 1 otherwise; the screen stays white. */
#ifndef BATTLE_H
#define BATTLE_H
#include <stdint.h>

uint8_t battle_wild(uint8_t species, uint8_t level);
uint8_t battle_trainer(uint8_t trainer);

#endif
