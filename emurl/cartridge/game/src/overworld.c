#include "overworld.h"
#include "assets.h"
#include "camera.h"
#include "ram.h"
#include "script.h"
#include "start.h"
#include "text.h"
#include "things.h"
#include "video.h"

#define STEP_FRAMES 16

/* The work of a frame has two halves. What shows on the screen must be done within vertical blank, 1140 machine cycles:
 * buttons, the player's step, scroll registers, sprites, one cell of the map's coming edge. Whatever a step needs to
 * know when it begins (which neighbours are open) or ends (is there a warp) is therefore found out ahead, in the spare
 * time after it. A step is 8 moves of 2 pixels, one every other frame from the first on, so that the picture after 16
 * frames stands on the grid. */
static const struct tileset *tiles_here;
static uint8_t open_ways;              /* a BUTTON_ bit for every direction that can be walked from here */
static uint8_t next_x, next_y;         /* the cell a step leads to */
static uint8_t next_ways;              /* open_ways there */
static const struct warp *next_warp;   /* the warp there, or 0 */
static uint8_t plan_due;               /* the three above are still to be found */
static uint8_t shift_x, shift_y;       /* pixels walked of the step, two's complement */
static uint8_t move_x, move_y;         /* pixels of one move */
static uint8_t foot;                   /* flips each step: left foot, right foot */

static uint8_t flags_at(uint8_t x, uint8_t y) {
    if (x >= here->width || y >= here->height)
        return CELL_SOLID;
    return tiles_here->flags[wMapRows[y][x]];
}

static uint8_t is_open(uint8_t x, uint8_t y) {
    return !(flags_at(x, y) & (CELL_SOLID | CELL_LEDGE)) && thing_at(x, y) == NOBODY;
}

static uint8_t ways_from(uint8_t x, uint8_t y) { /* a ledge is entered and left downwards only */
    uint8_t ways = 0;

    if (!(flags_at(x, y + 1) & CELL_SOLID) && thing_at(x, y + 1) == NOBODY)
        ways |= BUTTON_DOWN;
    if (flags_at(x, y) & CELL_LEDGE)
        return ways;
    if (is_open(x, y - 1))
        ways |= BUTTON_UP;
    if (is_open(x - 1, y))
        ways |= BUTTON_LEFT;
    if (is_open(x + 1, y))
        ways |= BUTTON_RIGHT;
    return ways;
}

static const struct warp *warp_at(uint8_t x, uint8_t y) {
    const struct warp *warp = here->warps;
    uint8_t i;

    for (i = 0; i < here->warp_count; ++i, ++warp)
        if (warp->x == x && warp->y == y)
            return warp;
    return 0;
}

static void plan(void) {
    next_ways = ways_from(next_x, next_y);
    next_warp = warp_at(next_x, next_y);
    plan_due = 0;
}

/* The player's two 8x16 sprites: pictures of 4 tiles each, standing and walking, down, up, left. */
static void player_show(void) {
    uint8_t facing = wFacing, mirrored = facing == FACE_RIGHT;
    uint8_t tile = SPRITE_PLAYER + (facing >= FACE_LEFT ? 16 : facing << 1);

    if (wStepLeft > 4 && wStepLeft < 13) {
        tile += 4;
        if (facing < FACE_LEFT)
            mirrored = foot;
    }
    if (mirrored) {
        wShadowOAM[2] = tile + 2;
        wShadowOAM[6] = tile;
        wShadowOAM[3] = 0x20;
        wShadowOAM[7] = 0x20;
    } else {
        wShadowOAM[2] = tile;
        wShadowOAM[6] = tile + 2;
        wShadowOAM[3] = 0;
        wShadowOAM[7] = 0;
    }
}

static void show(void) {
    rSCX = (uint8_t)(wXCoord << 4) - PLAYER_X + shift_x;
    rSCY = (uint8_t)(wYCoord << 4) - PLAYER_Y + shift_y;
    oam_copy();
}

static void patch(uint8_t x, uint8_t y, uint8_t cell) {
    if (wMapRows[y][x] == cell)
        return;
    wMapRows[y][x] = cell;
    if (!(rLCDC & 0x80))
        return;
    frame_wait();
    camera_redraw(x, y);
}

void overworld_patch(void) {
    const struct patch *each = here->patches;
    uint8_t i;

    for (i = 0; i < here->patch_count; ++i, ++each)
        if (event_is_set(each->event))
            patch(each->x, each->y, each->cell);
}

void overworld_lamps(void) {
    const struct thing *thing = here->things;
    uint8_t i;

    for (i = 0; i < here->thing_count; ++i, ++thing)
        if (thing->kind == KIND_LEVER)
            patch(thing->x, thing->y, wLamps >> thing->of & 1 ? CELL_LAMP_ON : CELL_LAMP_OFF);
}

static void cells_load(void) {
    uint8_t *row = wMapCells;
    uint8_t y;

    far_load(wMapCells, &here->cells);
    for (y = 0; y < here->height; ++y) {
        wMapRows[y] = row;
        row += here->width;
    }
    overworld_patch();
    overworld_lamps();
}

static void place_player(uint8_t x, uint8_t y, uint8_t facing) { /* LCD off; here, cells and things are loaded */
    wXCoord = x;
    wYCoord = y;
    wFacing = facing;
    wStepLeft = 0;
    shift_x = 0;
    shift_y = 0;
    plan_due = 0;
    open_ways = ways_from(x, y);
    camera_draw_all(x, y);
    sprites_clear();
    wShadowOAM[0] = PLAYER_Y + 16;
    wShadowOAM[1] = PLAYER_X + 8;
    wShadowOAM[4] = PLAYER_Y + 16;
    wShadowOAM[5] = PLAYER_X + 16;
    player_show();
    things_place();
    show();
}

static void tiles_load(void) {
    far_load(BG_TILES, &tiles_here->tiles);
}

void overworld_enter(uint8_t map, uint8_t x, uint8_t y, uint8_t facing) {
    wFading = 1;
    screen_off();
    here = &maps[map - 1];
    tiles_here = &tilesets[here->tileset];
    cell_blocks = tiles_here->blocks;
    if (wCurMapTileset != here->tileset || !wCurMap || wGameMode != MODE_OVERWORLD)
        tiles_load();
    wGameMode = MODE_OVERWORLD;
    wCurMap = map;
    wCurMapTileset = here->tileset;
    cells_load();
    things_load();
    place_player(x, y, facing);
    screen_on();
    fade_in();
    wFading = 0;
}

void overworld_return(void) {
    wFading = 1;
    screen_off();
    tiles_load();
    text_box_prepare();
    wGameMode = MODE_OVERWORLD;
    wFontLoaded = 0;
    cells_load();
    place_player(wXCoord, wYCoord, wFacing);
    screen_on();
    fade_in();
    wFading = 0;
}

void overworld_face(void) { player_show(); }

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
            if (next_warp->map == MAP_TOWER) {
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
