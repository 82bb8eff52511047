#include "battle.h"
#include "assets.h"
#include "menu.h"
#include "party.h"
#include "ram.h"
#include "text.h"
#include "turn.h"
#include "video.h"
#include "view.h"

#define RUN_CHANCE 160 /* of 256, for a partner that is the slower one */

enum { GO_ON, WON, LOST, RAN };
enum { CHOICE_RUN = 0xFE, CHOICE_ITEM = 0xFD };

static void word_own(void) { word_copy(wTextBuffer1, species_names[partner->species - 1]); }
static void word_foe(void) { word_copy(wTextBuffer2, species_names[enemy->species - 1]); }

static void move_hint(uint8_t at) {
    put_clear(13, 15, 5, 1);
    put_word(13, 15, type_names[moves[partner->moves[at]].type]);
}

static uint8_t choose_move(void) { /* a move, or MENU_BACK */
    uint8_t i, chosen;

    put_box(0, 12, 20, 6);
    for (i = 0; i < 4; ++i)
        put_word(2, 13 + i, move_names[partner->moves[i]]);
    put_word(13, 13, word_type);
    chosen = menu_run(MENU_MOVES, 1, 13, 1, 4, 1, move_hint);
    put_box(0, 12, 20, 6);
    return chosen == MENU_BACK ? MENU_BACK : partner->moves[chosen];
}

static uint8_t choose_item(void) { /* 1 where one was used */
    uint8_t before = partner->hp[1], chosen;

    put_box(0, 12, 20, 6);
    if (!wNumBagItems) {
        text_flow(TEXT_NO_BALM);
        return 0;
    }
    put_word(3, 14, word_balm);
    put_number(14, 14, wBagItems[1], 2);
    chosen = menu_run(MENU_ITEMS, 2, 14, 1, 1, 1, 0);
    put_box(0, 12, 20, 6);
    if (chosen == MENU_BACK)
        return 0;
    word_own();
    if (!balm_use()) {
        text_flow(TEXT_NO_EFFECT);
        return 0;
    }
    text_flow(TEXT_BALM_USED);
    view_drain(1, before, partner->hp[1]);
    return 1;
}

static uint8_t choose(void) { /* a move, CHOICE_ITEM or CHOICE_RUN */
    uint8_t chosen, line = 0;

    for (;;) {
        put_box(0, 12, 20, 6);
        put_word(1, 14, word_now_what);
        put_box(11, 12, 9, 6);
        put_word(13, 14, word_fight);
        put_word(13, 15, word_item);
        put_word(13, 16, word_run);
        menu_start = line;
        line = menu_run(MENU_FIGHT, 12, 14, 1, 3, 0, 0);
        if (line == 0) {
            chosen = choose_move();
            if (chosen != MENU_BACK)
                return chosen;
        } else if (line == 1) {
            if (choose_item())
                return CHOICE_ITEM;
        } else {
            put_box(0, 12, 20, 6);
            if (wIsInBattle == 1)
                return CHOICE_RUN;
            text_flow(TEXT_NO_RUN);
        }
    }
}

static void reward(void) {
    uint8_t points = (uint16_t)species_list[enemy->species - 1].worth * enemy->level >> 2;

    word_foe();
    view_gone(0);
    text_flow(TEXT_FOE_FAINTS);
    word_own();
    number_word(wTextBuffer2, points);
    text_flow(TEXT_GAINS);
    if (party_gain(points)) {
        view_own_numbers();
        number_word(wTextBuffer2, partner->level);
        text_flow(TEXT_GROWS);
    }
}

static uint8_t foe_move(void) { return enemy->moves[random() & 3]; }

static uint8_t after_blow(void) {
    if (!enemy->hp[1]) {
        reward();
        return WON;
    }
    if (partner->hp[1])
        return GO_ON;
    view_gone(1);
    word_copy(wTextBuffer2, species_names[partner->species - 1]);
    text_flow(TEXT_FAINTS);
    wIsInBattle = 0xFF;
    return LOST;
}

static uint8_t one_turn(void) {
    uint8_t choice = choose(), first, outcome;

    if (choice == CHOICE_RUN) {
        if (partner->speed[1] >= enemy->speed[1] || random() < RUN_CHANCE) {
            text_flow(TEXT_RAN);
            return RAN;
        }
        text_flow(TEXT_CANNOT_RUN);
    } else if (choice != CHOICE_ITEM) {
        first = partner->speed[1] >= enemy->speed[1];
        if (!first) {
            turn_blow(0, foe_move());
            if ((outcome = after_blow()) != GO_ON)
                return outcome;
        }
        turn_blow(1, choice);
        if ((outcome = after_blow()) != GO_ON || !first)
            return outcome;
    }
    turn_blow(0, foe_move());
    return after_blow();
}

static uint8_t until_decided(void) {
    uint8_t outcome;

    do {
        outcome = one_turn();
    } while (outcome == GO_ON);
    return outcome;
}

static void begin(uint8_t face, uint8_t kind) {
    wGameMode = MODE_BATTLE;
    wIsInBattle = kind;
    view_open(face);
}

static uint8_t end(uint8_t outcome) {
    fade_out();
    wFontLoaded = 0;
    if (outcome == LOST)
        return 0;
    wIsInBattle = 0;
    return 1;
}

uint8_t battle_wild(uint8_t species, uint8_t level) {
    enemy_make(species, level);
    begin(species - 1, 1);
    view_foe(species - 1, 1);
    view_show();
    turn_begin(1);
    word_foe();
    text_flow(TEXT_WILD);
    word_own();
    text_flow(TEXT_GO);
    return end(until_decided());
}

uint8_t battle_trainer(uint8_t number) {
    const struct trainer *trainer = &trainers[number];
    uint8_t i, outcome = WON;

    begin(FACE_TRAINER + number, 2);
    view_show();
    for (i = 0; i < 4 && trainer->team[i] && outcome == WON; i += 2) {
        enemy_make(trainer->team[i], trainer->team[i + 1]);
        turn_begin(i == 0);
        word_copy(wTextBuffer3, trainer->name);
        word_foe();
        text_flow(TEXT_SENDS);
        view_foe(trainer->team[i] - 1, 1);
        outcome = until_decided();
    }
    if (outcome == WON) {
        money_add(trainer->prize);
        number_word(wTextBuffer2, (trainer->prize >> 8) * 100 + (trainer->prize >> 4 & 15) * 10 + (trainer->prize & 15));
        text_flow(TEXT_PRIZE);
    }
    return end(outcome);
}
