#include "start.h"
#include "assets.h"
#include "camera.h"
#include "menu.h"
#include "overworld.h"
#include "pages.h"
#include "ram.h"
#include "text.h"
#include "things.h"
#include "video.h"

static const uint8_t *const lines[5] = {
    word_menu_party, word_menu_bag, word_menu_beasts, word_menu_options, word_menu_close
};
static void (*const pages[4])(void) = {page_party, page_bag, page_beasts, page_options};

static void menu_draw(void) { /* on the window, which is closed */
    uint8_t i, row = 2;

    target(TARGET_SIDE);
    put_box(10, 0, 10, 18);
    for (i = 0; i < 5; ++i, row += 2)
        put_word(12, row, lines[i]);
    put_word(11, 13, wPlayerName);
    put_two(11, 15, wPlayTimeHours);
    put(13, 15, 0x9C);
    put_two(14, 15, wPlayTimeMinutes);
    if (wObtainedBadges)
        put(18, 15, CHAR_STAR);
}

void start_menu(void) {
    uint8_t line;

    camera_finish();
    wFontLoaded = 1;
    wTextBoxID = TEXTBOX_MENU;
    menu_draw();
    things_place();
    frame_wait();
    oam_copy();
    window_open_side();
    line = menu_run(MENU_START, 11, 2, 2, 5, 1, 0);
    window_close();
    if (line < 4) {
        pages[line]();
        overworld_return();
        return;
    }
    text_box_prepare();
    wFontLoaded = 0;
    things_place();
    camera_refresh_all(wXCoord, wYCoord);
}
