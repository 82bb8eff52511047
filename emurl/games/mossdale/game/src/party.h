/* The partner, the bag and the purse, in Pokémon Red's layout. */
#ifndef PARTY_H
#define PARTY_H
#include <stdint.h>

struct partner_mon { /* 44 bytes; numbers of two or three bytes have the high one first */
    uint8_t species, hp[2], box_level, status, type[2], catch_rate, moves[4], id[2], points[3], stat_points[10], dvs[2], pp[4];
    uint8_t level, max_hp[2], attack[2], defence[2], speed[2], special[2];
};

struct enemy_mon { /* 29 bytes */
    uint8_t species, hp[2], position, status, type[2], catch_rate, moves[4], dvs[2];
    uint8_t level, max_hp[2], attack[2], defence[2], speed[2], special[2], pp[4];
};

#define partner ((struct partner_mon *)wPartyMons)
#define enemy ((struct enemy_mon *)wEnemyMon)

void party_add(uint8_t species, uint8_t level);
void party_heal(void);
uint8_t party_gain(uint8_t points);     /* experience; 1 where the level rises */
uint16_t party_points(void);
uint16_t level_points(uint8_t level);   /* the experience a level begins at */
void enemy_make(uint8_t species, uint8_t level);
void species_bit(uint8_t *bits, uint8_t species);      /* sets it */
uint8_t species_known(const uint8_t *bits, uint8_t species);
uint8_t balm_use(void);                 /* 1 where there was one and it did something */
void money_add(uint16_t prize);         /* four decimal digits */
void money_halve(void);

#endif
