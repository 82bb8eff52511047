#include "pages.h"
#include "assets.h"
#include "menu.h"
#include "party.h"
#include "ram.h"
#include "screens.h"
#include "text.h"
#include "video.h"
#include "view.h"

static void page_begin(const uint8_t *title) {
    fade_out();
    wGameMode = MODE_PAGE;
    screen_begin(FAR_bar_tiles, 0);
    far_copy(BG_TILES + TILE_BAR * 16, FAR_bar_tiles, UNITS_bar_tiles);
    put_box(0, 0, 20, 18);
    put_word(2, 0, title);
    put_word(11, 17, word_b_back);
    wFontLoaded = 1;
    wTextBoxID = TEXTBOX_MENU;
}

static void page_end(void) {
    fade_out();
    wFontLoaded = 0;
}

static void wait_for_b(uint8_t kind) {
    wMenu = kind;
    do {
        frame_wait();
    } while (!(joy_pressed & BUTTON_B));
    wMenu = MENU_NONE;
}

void page_party(void) {
    uint8_t i;

    page_begin(word_title_party);
    if (!wPartyCount) {
        put_word(5, 8, word_nobody);
    } else {
        face_load(partner->species - 1, TILE_FOE);
        face_put(2, 2, TILE_FOE);
        put_word(9, 2, species_names[partner->species - 1]);
        put_word(9, 4, word_level);
        put_number(10, 4, partner->level, 2);
        put_word(13, 4, type_names[partner->type[0]]);
        put_word(9, 6, word_hp);
        put_number(12, 6, partner->hp[1], 2);
        put(14, 6, CHAR_SLASH);
        put_number(15, 6, partner->max_hp[1], 2);
        bar_put(9, 7, bar_pixels(partner->hp[1], partner->max_hp[1]));
        put_word(2, 9, word_points);
        put_number(13, 9, party_points(), 4);
        put_word(2, 10, word_next);
        put_number(13, 10, level_points(partner->level + 1), 4);
        put_word(2, 12, word_moves);
        for (i = 0; i < 4; ++i)
            put_word(9, 12 + i, move_names[partner->moves[i]]);
    }
    screen_finish();
    wait_for_b(MENU_PARTY);
    page_end();
}

static void put_money(uint8_t x, uint8_t y) { /* six digits, no zeros in front */
    uint8_t i, digit, begun = 0;

    for (i = 0; i < 6; ++i) {
        digit = i & 1 ? wPlayerMoney[i >> 1] & 15 : wPlayerMoney[i >> 1] >> 4;
        begun |= digit;
        put(x + i, y, begun || i == 5 ? CHAR_ZERO + digit : CHAR_SPACE);
    }
}

void page_bag(void) {
    uint8_t used;

    page_begin(word_title_bag);
    if (wNumBagItems) {
        put_word(4, 4, word_balm);
        put_number(14, 4, wBagItems[1], 2);
    } else {
        put_word(4, 4, word_none);
    }
    put_word(4, 8, word_pennies);
    put_money(12, 8);
    put_word(4, 10, word_badge);
    if (wObtainedBadges)
        put(17, 10, CHAR_STAR);
    screen_finish();
    if (!wNumBagItems) {
        wait_for_b(MENU_BAG);
        page_end();
        return;
    }
    while (menu_run(MENU_BAG, 3, 4, 1, 1, 1, 0) != MENU_BACK) {
        used = balm_use();
        text_box(TEXTBOX_MENU);
        if (used)
            word_copy(wTextBuffer1, species_names[partner->species - 1]);
        text_flow(used ? TEXT_BALM_USED : TEXT_NO_EFFECT);
        put_number(14, 4, wNumBagItems ? wBagItems[1] : 0, 2);
    }
    page_end();
}

static void beast(uint8_t species) { /* with the LCD on or off */
    uint8_t seen = species_known(wPokedexSeen, species), lit = rLCDC & 0x80;

    if (lit) {
        palette_set(3);
        screen_off();
    }
    wPageSpecies = species;
    face_load(species - 1, TILE_FOE);
    put_clear(2, 3, 6, 6);
    put_clear(10, 4, 8, 5);
    if (seen) {
        face_put(2, 3, TILE_FOE);
        put_word(10, 4, species_names[species - 1]);
        put_word(10, 6, type_names[species_list[species - 1].type]);
        put_word(10, 8, species_known(wPokedexOwned, species) ? word_friend : word_seen);
    } else {
        put_word(10, 4, word_unknown);
    }
    put_number(10, 2, species, 1);
    put(11, 2, CHAR_SLASH);
    put_number(12, 2, SPECIES_COUNT, 1);
    if (lit) {
        tilemap_show();
        screen_on();
        palette_set(0);
    }
}

void page_beasts(void) {
    uint8_t species = 1, i, y = 11;

    page_begin(word_title_beasts);
    beast(species);
    for (i = 1; i <= SPECIES_COUNT; ++i) {
        put_word(i & 1 ? 2 : 11, y, species_known(wPokedexSeen, i) ? species_names[i - 1] : word_unknown);
        y += i & 1 ? 0 : 1;
    }
    screen_finish();
    wMenu = MENU_BEASTS;
    do {
        frame_wait();
        if (joy_pressed & (BUTTON_RIGHT | BUTTON_DOWN | BUTTON_A))
            beast(species = species == SPECIES_COUNT ? 1 : species + 1);
        else if (joy_pressed & (BUTTON_LEFT | BUTTON_UP))
            beast(species = species == 1 ? SPECIES_COUNT : species - 1);
    } while (!(joy_pressed & BUTTON_B));
    wMenu = MENU_NONE;
    page_end();
}

static const uint8_t speeds[3] = {1, 3, 5};

static void speed_mark(void) {
    uint8_t i;

    for (i = 0; i < 3; ++i)
        put(14, 6 + i + i, (wOptions & 7) == speeds[i] ? CHAR_STAR : CHAR_SPACE);
}

void page_options(void) {
    uint8_t chosen;

    page_begin(word_title_options);
    put_word(3, 3, word_text_speed);
    put_word(6, 6, word_fast);
    put_word(6, 8, word_medium);
    put_word(6, 10, word_slow);
    speed_mark();
    screen_finish();
    while ((chosen = menu_run(MENU_OPTIONS, 5, 6, 2, 3, 1, 0)) != MENU_BACK) {
        wOptions = (wOptions & 0xF8) | speeds[chosen];
        speed_mark();
        menu_start = chosen;
    }
    page_end();
}

uint8_t page_ask(uint8_t species) {
    uint8_t chosen;

    fade_out();
    wGameMode = MODE_PAGE;
    screen_begin(FAR_bar_tiles, 0);
    face_load(species - 1, TILE_FOE);
    put_box(5, 1, 10, 8);
    face_put(7, 2, TILE_FOE);
    put_word(6, 10, species_names[species - 1]);
    put_word(6, 11, type_names[species_list[species - 1].type]);
    text_box(TEXTBOX_EVENT);
    screen_finish();
    word_copy(wTextBuffer1, species_names[species - 1]);
    text_show(TEXT_NEST_ASK);
    put_box(14, 7, 6, 5);
    put_word(16, 8, word_yes);
    put_word(16, 10, word_no);
    chosen = menu_run(MENU_YES_NO, 15, 8, 2, 2, 1, 0);
    page_end();
    return chosen == 0;
}
