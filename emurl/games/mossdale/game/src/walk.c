#include "walk.h"
#include "assets.h"
#include "camera.h"
#include "overworld.h"
#include "ram.h"
#include "script.h"
#include "start.h"
#include "things.h"
#include "video.h"

#define STEP_FRAMES 16

/* The work of a frame has two halves. What shows on the screen must be done within vertical blank, 1140 machine cycles:
 * buttons, the player's step, scroll registers, sprites, one cell of the map's coming edge. Whatever a step needs to
 * know when it begins (which neighbours are open) or ends (is there a warp) is therefore found out ahead, in the spare
 * time after it. A step is 8 moves of 2 pixels, one every other frame from the first on, so that the picture after 16
 * frames stands on the grid. */
static void talk(void) {
    uint8_t i, x = wXCoord, y = wYCoord;

    switch (wFacing) {
    case FACE_DOWN: ++y; break;
    case FACE_UP: --y; break;
    case FACE_LEFT: --x; break;
    default: ++x; break;
    }
    i = thing_at(x, y);
    if (i == NOBODY)
        return;
    if (here->things[i].sprite != NO_SPRITE && here->things[i].kind != KIND_NEST && here->things[i].kind != KIND_GIFT)
        thing_facing[i] = wFacing ^ 4; /* turn to the player: down 0 and up 4, left 8 and right 12 */
    camera_finish();
    script_talk(i);
    open_ways = ways_from(wXCoord, wYCoord);
}

static void stand(void) {
    uint8_t way = joy_held, facing;

    move_x = 0;
    move_y = 0;
    if (way & BUTTON_DOWN) {
        way = BUTTON_DOWN;
        facing = FACE_DOWN;
        move_y = 2;
    } else if (way & BUTTON_UP) {
        way = BUTTON_UP;
        facing = FACE_UP;
        move_y = (uint8_t)-2;
    } else if (way & BUTTON_LEFT) {
        way = BUTTON_LEFT;
        facing = FACE_LEFT;
        move_x = (uint8_t)-2;
    } else if (way & BUTTON_RIGHT) {
        way = BUTTON_RIGHT;
        facing = FACE_RIGHT;
        move_x = 2;
    } else {
        if (joy_pressed & BUTTON_A)
            talk();
        else if (joy_pressed & BUTTON_START)
            start_menu();
        return;
    }
    wFacing = facing;
    player_show();
    if (!(open_ways & way))
        return;
    next_x = wXCoord + ((int8_t)move_x >> 1);
    next_y = wYCoord + ((int8_t)move_y >> 1);
    wStepLeft = STEP_FRAMES;
    foot ^= 1;
    plan_due = 1;
}

static void step_advance(void) {
    if ((wStepLeft & 1) == 0) {
        shift_x += move_x;
        shift_y += move_y;
        things_shift(move_x, move_y);
    }
    --wStepLeft;
    if (wStepLeft == 12 || wStepLeft == 4)
        player_show();
    if (wStepLeft)
        return;
    wXCoord = next_x;
    wYCoord = next_y;
    shift_x = 0;
    shift_y = 0;
    open_ways = next_ways;
    if (next_warp) {
        wFading = 1;
        if (next_warp->event != EVENT_NONE)
            event_set(next_warp->event);
    }
}

void overworld_run(void) {
    uint8_t moving;

    for (;;) {
        frame_wait();
        if (!wStepLeft)
            stand();
        moving = wStepLeft;
        if (moving)
            step_advance();
        show();
        camera_stream();
        wBusyLine = rLY;
        if (plan_due) {
            plan();
            camera_follow(next_x, next_y, wFacing);
        } else {
            camera_refresh();
        }
        if (!moving || wStepLeft)
            continue;
        if (wFading) {
            fade_out();
            if (next_warp->map == MAP_GOAL) {
                wFading = 0;
                return;
            }
            overworld_enter(next_warp->map, next_warp->to_x, next_warp->to_y, next_warp->facing);
        } else {
            things_place();
            if (script_step(flags_at(wXCoord, wYCoord) & CELL_GRASS))
                open_ways = ways_from(wXCoord, wYCoord);
        }
    }
}
