#include "party.h"
#include "assets.h"
#include "ram.h"
#include "video.h"

#define BALM_HEALS 20

static void stats_set(void) {
    const struct species *of = &species_list[partner->species - 1];
    uint8_t level = partner->level;

    partner->max_hp[1] = of->hp + level + level;
    partner->attack[1] = of->attack + level;
    partner->defence[1] = of->defence + level;
    partner->speed[1] = of->speed + level;
}

static void points_set(uint16_t points) {
    partner->points[1] = points >> 8;
    partner->points[2] = (uint8_t)points;
}

uint16_t party_points(void) { return (uint16_t)partner->points[1] << 8 | partner->points[2]; }

uint16_t level_points(uint8_t level) { return (uint16_t)level * level * 4; }

void party_add(uint8_t species, uint8_t level) {
    const struct species *of = &species_list[species - 1];

    wPartyCount = 1;
    wPartySpecies[0] = species;
    wPartySpecies[1] = 0xFF;
    partner->species = species;
    partner->level = level;
    partner->box_level = level;
    partner->type[0] = of->type;
    partner->type[1] = of->type;
    copy_bytes(partner->moves, of->moves, 4);
    points_set(level_points(level));
    stats_set();
    party_heal();
    species_bit(wPokedexOwned, species);
    species_bit(wPokedexSeen, species);
}

void party_heal(void) { partner->hp[1] = partner->max_hp[1]; }

uint8_t party_gain(uint8_t points) {
    uint16_t sum = party_points() + points;
    uint8_t before = partner->max_hp[1];

    points_set(sum);
    if (partner->level == 50 || sum < level_points(partner->level + 1))
        return 0;
    ++partner->level;
    partner->box_level = partner->level;
    stats_set();
    partner->hp[1] += partner->max_hp[1] - before;
    return 1;
}

void enemy_make(uint8_t species, uint8_t level) {
    const struct species *of = &species_list[species - 1];

    fill_bytes(wEnemyMon, 0, sizeof(struct enemy_mon));
    enemy->species = species;
    enemy->level = level;
    enemy->type[0] = of->type;
    enemy->type[1] = of->type;
    copy_bytes(enemy->moves, of->moves, 4);
    enemy->max_hp[1] = of->hp + level + level;
    enemy->hp[1] = enemy->max_hp[1];
    enemy->attack[1] = of->attack + level;
    enemy->defence[1] = of->defence + level;
    enemy->speed[1] = of->speed + level;
    species_bit(wPokedexSeen, species);
}

void species_bit(uint8_t *bits, uint8_t species) {
    --species;
    bits[species >> 3] |= (uint8_t)(1 << (species & 7));
}

uint8_t species_known(const uint8_t *bits, uint8_t species) {
    --species;
    return bits[species >> 3] >> (species & 7) & 1;
}

uint8_t balm_use(void) {
    uint8_t hp = partner->hp[1], most = partner->max_hp[1];

    if (!wNumBagItems || !wPartyCount || hp == most)
        return 0;
    hp += BALM_HEALS;
    partner->hp[1] = hp > most ? most : hp;
    if (--wBagItems[1] == 0) {
        wNumBagItems = 0;
        wBagItems[0] = 0xFF;
    }
    return 1;
}

void money_add(uint16_t prize) {
    uint8_t i, carry = 0, low, high, add;

    for (i = 2; i != 0xFF; --i) {
        add = i == 2 ? (uint8_t)prize : i == 1 ? prize >> 8 : 0;
        low = (wPlayerMoney[i] & 15) + (add & 15) + carry;
        high = (wPlayerMoney[i] >> 4) + (add >> 4);
        if (low > 9) {
            low -= 10;
            ++high;
        }
        carry = 0;
        if (high > 9) {
            high -= 10;
            carry = 1;
        }
        wPlayerMoney[i] = high << 4 | low;
    }
}

void money_halve(void) {
    uint8_t i, rest = 0, high, low;

    for (i = 0; i < 3; ++i) {
        high = (wPlayerMoney[i] >> 4) + rest;
        rest = high & 1 ? 10 : 0;
        high >>= 1;
        low = (wPlayerMoney[i] & 15) + rest;
        rest = low & 1 ? 10 : 0;
        low >>= 1;
        wPlayerMoney[i] = high << 4 | low;
    }
}
