#include "turn.h"
#include "assets.h"
#include "party.h"
#include "ram.h"
#include "text.h"
#include "view.h"

#define MISS_CHANCE 10 /* of 256 */

static uint8_t weakened[2]; /* how often the foe's, the partner's blows were weakened, 2 at most */
static uint8_t effect;      /* of the last damage: 1 weak, 2 plain, 4 strong */

void turn_begin(uint8_t own_too) {
    weakened[0] = 0;
    if (own_too)
        weakened[1] = 0;
}

uint8_t turn_damage(uint8_t own, uint8_t number) {
    const struct move *move = &moves[number];
    uint8_t level, attack, defence, type, target, times;
    uint16_t damage;

    if (own) {
        level = partner->level;
        attack = partner->attack[1];
        defence = enemy->defence[1];
        type = partner->type[0];
        target = enemy->type[0];
    } else {
        level = enemy->level;
        attack = enemy->attack[1];
        defence = partner->defence[1];
        type = enemy->type[0];
        target = partner->type[0];
    }
    damage = (uint16_t)(level * 2 / 5 + 2) * move->power;
    damage = damage * attack / defence / 50 + 2;
    if (move->type == type)
        damage += damage >> 1;
    effect = 2;
    if (type_beats[move->type] == target) {
        damage <<= 1;
        effect = 4;
    } else if (type_beats[target] == move->type || (move->type == target && target != TYPE_PLAIN)) {
        damage >>= 1;
        effect = 1;
    }
    for (times = weakened[own]; times; --times)
        damage -= damage >> 2;
    return damage > 250 ? 250 : damage ? damage : 1;
}

static void hit(uint8_t own, uint8_t number) {
    uint8_t damage = turn_damage(own, number), before, after;

    damage -= (uint16_t)damage * (random() & 31) >> 8; /* up to an eighth less */
    if (!damage)
        damage = 1;
    before = own ? enemy->hp[1] : partner->hp[1];
    after = before > damage ? before - damage : 0;
    view_blink(!own);
    if (own)
        enemy->hp[1] = after;
    else
        partner->hp[1] = after;
    view_drain(!own, before, after);
    if (effect != 2)
        text_flow(effect == 4 ? TEXT_STRONG : TEXT_WEAK);
}

static void mend(uint8_t own) {
    uint8_t most = own ? partner->max_hp[1] : enemy->max_hp[1], before = own ? partner->hp[1] : enemy->hp[1];
    uint8_t after = before + (most >> 2);

    if (after > most)
        after = most;
    if (own)
        partner->hp[1] = after;
    else
        enemy->hp[1] = after;
    view_drain(own, before, after);
    text_flow(TEXT_MENDS);
}

void turn_blow(uint8_t own, uint8_t number) {
    const uint8_t *name = species_names[partner->species - 1], *foe = species_names[enemy->species - 1];

    word_copy(wTextBuffer1, own ? name : foe);
    word_copy(wTextBuffer2, move_names[number]);
    text_flow(TEXT_USES);
    if (random() < MISS_CHANCE) {
        text_flow(TEXT_MISSES);
        return;
    }
    switch (moves[number].effect) {
    case EFFECT_HIT:
        hit(own, number);
        break;
    case EFFECT_WEAKEN:
        word_copy(wTextBuffer2, own ? foe : name);
        if (weakened[!own] == 2) {
            text_flow(TEXT_NO_EFFECT);
        } else {
            ++weakened[!own];
            text_flow(TEXT_WEAKER);
        }
        break;
    default:
        word_copy(wTextBuffer2, own ? name : foe);
        mend(own);
    }
}
