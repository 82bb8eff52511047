#include "script.h"
#include "assets.h"
#include "battle.h"
#include "camera.h"
#include "overworld.h"
#include "pages.h"
#include "party.h"
#include "ram.h"
#include "text.h"
#include "things.h"
#include "video.h"

#define ENCOUNTER_CHANCE 25 /* of 256, a step in tall grass */
#define CALM_STEPS 4        /* steps in grass after a battle that are safe */

static uint8_t calm;

static void box_begin(uint8_t id) {
    camera_finish();
    wFontLoaded = 1;
    wTextBoxID = id;
    things_place();
    text_open(id);
}

static void box_end(void) {
    text_close();
    things_place();
    camera_refresh_box(wXCoord, wYCoord);
}

static void say(uint8_t id, uint8_t text) {
    box_begin(id);
    text_page(text);
    box_end();
}

static void black_out(void) {
    say(TEXTBOX_EVENT, TEXT_BLACKOUT);
    fade_out();
    party_heal();
    money_halve();
    wIsInBattle = 0;
    overworld_enter(wHealMap, wHealX, wHealY, FACE_UP);
}

static void fight(uint8_t thing) {
    const struct thing *who = &here->things[thing];
    const struct trainer *trainer = &trainers[who->of];
    uint8_t won;

    if (!wPartyCount) {
        say(TEXTBOX_FIRST + who->id, TEXT_NOBODY_TO_HEAL);
        return;
    }
    say(TEXTBOX_FIRST + who->id, trainer->before);
    won = battle_trainer(who->of);
    overworld_return();
    if (!won) {
        black_out();
        return;
    }
    event_set(trainer->event);
    say(TEXTBOX_FIRST + who->id, trainer->after);
    if (who->of == TRAINER_LEADER) {
        wObtainedBadges |= 1;
        say(TEXTBOX_EVENT, TEXT_BADGE);
        overworld_patch();
        camera_refresh_all(wXCoord, wYCoord);
    }
}

static void wake(const struct thing *who) {
    if (wPartyCount) {
        say(TEXTBOX_FIRST + who->id, TEXT_NEST_NO);
        return;
    }
    say(TEXTBOX_FIRST + who->id, who->text);
    if (page_ask(who->of)) {
        party_add(who->of, 5);
        event_set(EVENT_PARTNER);
        word_copy(wTextBuffer1, species_names[who->of - 1]);
        overworld_return();
        say(TEXTBOX_EVENT, TEXT_NEST_YES);
    } else {
        overworld_return();
    }
}

static void heal(const struct thing *who) {
    say(TEXTBOX_FIRST + who->id, who->text);
    if (!wPartyCount) {
        say(TEXTBOX_EVENT, TEXT_NOBODY_TO_HEAL);
        return;
    }
    fade_out();
    party_heal();
    wHealMap = wCurMap;
    wHealX = wXCoord;
    wHealY = wYCoord;
    fade_in();
    word_copy(wTextBuffer1, species_names[wPartySpecies[0] - 1]);
    say(TEXTBOX_EVENT, TEXT_HEALED);
}

static void lever(const struct thing *who) {
    static const uint8_t minds[] = LEVER_MINDS;

    say(TEXTBOX_FIRST + who->id, who->text);
    if (event_is_set(EVENT_PUZZLE))
        return;
    wLamps ^= minds[who->of];
    overworld_lamps();
    if (wLamps == LAMPS_ALL) {
        event_set(EVENT_PUZZLE);
        overworld_patch();
    }
    camera_refresh_all(wXCoord, wYCoord);
    if (wLamps == LAMPS_ALL)
        say(TEXTBOX_EVENT, TEXT_GATE_OPENS);
}

void script_talk(uint8_t thing) {
    const struct thing *who = &here->things[thing];

    event_set(TALK_FIRST + who->id);
    switch (who->kind) {
    case KIND_NEST:
        wake(who);
        break;
    case KIND_HEAL:
        heal(who);
        break;
    case KIND_LEVER:
        lever(who);
        break;
    case KIND_TRAINER:
        if (event_is_set(trainers[who->of].event))
            say(TEXTBOX_FIRST + who->id, who->text);
        else
            fight(thing);
        break;
    case KIND_GIFT:
        event_set(who->of);
        wNumBagItems = 1;
        wBagItems[0] = ITEM_BALM;
        ++wBagItems[1];
        thing_remove(thing);
        say(TEXTBOX_FIRST + who->id, who->text);
        break;
    default:
        say(TEXTBOX_FIRST + who->id, who->text);
    }
}

uint8_t script_step(uint8_t grass) {
    uint8_t thing = thing_watching();
    const struct wild *wild;

    if (thing != NOBODY && wPartyCount) {
        camera_finish();
        thing_approach(thing);
        overworld_face();
        fight(thing);
        return 1;
    }
    if (!grass || !here->wild_count || !wPartyCount)
        return 0;
    if (calm) {
        --calm;
        return 0;
    }
    if (random() >= ENCOUNTER_CHANCE)
        return 0;
    calm = CALM_STEPS;
    wild = &here->wild[random() & 3];
    camera_finish();
    thing = battle_wild(wild->species, wild->level);
    overworld_return();
    if (!thing)
        black_out();
    return 1;
}
