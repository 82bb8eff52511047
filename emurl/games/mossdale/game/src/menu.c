#include "menu.h"
#include "ram.h"
#include "text.h"
#include "video.h"

uint8_t menu_start;

uint8_t menu_run(uint8_t kind, uint8_t x, uint8_t y, uint8_t step, uint8_t count, uint8_t back, void (*moved)(uint8_t)) {
    uint8_t at = menu_start, row;

    menu_start = 0;
    wTopMenuItemX = x;
    wTopMenuItemY = y;
    wMaxMenuItem = count - 1;
    wCurrentMenuItem = at;
    for (;;) {
        row = y;
        for (at = wCurrentMenuItem; at; --at)
            row += step;
        at = wCurrentMenuItem;
        put(x, row, CHAR_CURSOR);
        if (moved)
            moved(at);
        wMenu = kind;
        do {
            frame_wait();
            if (joy_pressed & BUTTON_A) {
                wMenu = MENU_NONE;
                return at;
            }
            if (back && (joy_pressed & BUTTON_B)) {
                wMenu = MENU_NONE;
                return MENU_BACK;
            }
        } while (!(joy_pressed & (BUTTON_UP | BUTTON_DOWN)));
        put(x, row, CHAR_SPACE);
        if (joy_pressed & BUTTON_UP)
            wCurrentMenuItem = at ? at - 1 : count - 1;
        else
            wCurrentMenuItem = at + 1 == count ? 0 : at + 1;
    }
}
