#include "overworld.h"
#include "assets.h"
#include "camera.h"
#include "ram.h"
#include "text.h"
#include "things.h"
#include "video.h"
#include "walk.h"

static const struct tileset *tiles_here;
uint8_t open_ways;              /* a BUTTON_ bit for every direction that can be walked from here */
uint8_t next_x, next_y;         /* the cell a step leads to */
uint8_t next_ways;              /* open_ways there */
const struct warp *next_warp;   /* the warp there, or 0 */
uint8_t plan_due;               /* the three above are still to be found */
uint8_t shift_x, shift_y;       /* pixels walked of the step, two's complement */
uint8_t move_x, move_y;         /* pixels of one move */
uint8_t foot;                   /* flips each step: left foot, right foot */

uint8_t flags_at(uint8_t x, uint8_t y) {
    if (x >= here->width || y >= here->height)
        return CELL_SOLID;
    return tiles_here->flags[wMapRows[y][x]];
}

static uint8_t is_open(uint8_t x, uint8_t y) {
    return !(flags_at(x, y) & (CELL_SOLID | CELL_LEDGE)) && thing_at(x, y) == NOBODY;
}

uint8_t ways_from(uint8_t x, uint8_t y) { /* a ledge is entered and left downwards only */
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

void plan(void) {
    next_ways = ways_from(next_x, next_y);
    next_warp = warp_at(next_x, next_y);
    plan_due = 0;
}

/* The player's two 8x16 sprites: pictures of 4 tiles each, standing and walking, down, up, left. */
void player_show(void) {
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

void show(void) {
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
