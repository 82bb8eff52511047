#include "overworld.h"
#include "assets.h"
#include "camera.h"
#include "ram.h"
#include "text.h"
#include "video.h"

#define STEP_FRAMES 16
#define PLAYER_X 64 /* the player's place on the screen, pixels */
#define PLAYER_Y 64
#define MAX_THINGS 8

static uint8_t target_x, target_y;         /* the cell a step leads to */
static uint8_t shift_x, shift_y;           /* pixels walked of the step, two's complement */
static uint8_t foot;                       /* flips each step: left foot, right foot */
static uint8_t thing_facing[MAX_THINGS];
static const struct tileset *tiles_here;

static uint8_t ahead_x, ahead_y;

static void look_ahead(void) {
    ahead_x = wXCoord;
    ahead_y = wYCoord;
    switch (wFacing) {
    case FACE_DOWN: ++ahead_y; break;
    case FACE_UP: --ahead_y; break;
    case FACE_LEFT: --ahead_x; break;
    default: ++ahead_x; break;
    }
}

static uint8_t thing_ahead(void) { /* number of the thing in the cell ahead, or thing_count */
    const struct thing *thing = here->things;
    uint8_t i;

    for (i = 0; i < here->thing_count; ++i, ++thing)
        if (thing->x == ahead_x && thing->y == ahead_y)
            break;
    return i;
}

/* Two 8x16 sprites. The pictures: 4 tiles each, down, up, left; a walker has a second one of each, a stander not. */
static uint8_t *sprite_draw(uint8_t *oam, uint8_t x, uint8_t y, uint8_t tile, uint8_t mirrored) {
    oam[0] = y + 16;
    oam[1] = x + 8;
    oam[4] = y + 16;
    oam[5] = x + 16;
    if (mirrored) {
        oam[2] = tile + 2;
        oam[6] = tile;
        oam[3] = 0x20;
        oam[7] = 0x20;
    } else {
        oam[2] = tile;
        oam[6] = tile + 2;
        oam[3] = 0;
        oam[7] = 0;
    }
    return oam + 8;
}

static void sprites_show(void) {
    uint8_t *oam = wShadowOAM;
    const struct thing *thing = here->things;
    uint8_t i, tile, mirrored, x, y, facing;

    facing = wFacing;
    mirrored = facing == FACE_RIGHT;
    tile = SPRITE_PLAYER + (facing >= FACE_LEFT ? 16 : facing << 1);
    if (wStepLeft > 4 && wStepLeft < 13) {
        tile += 4;
        if (facing < FACE_LEFT)
            mirrored = foot;
    }
    oam = sprite_draw(oam, PLAYER_X, PLAYER_Y, tile, mirrored);
    for (i = 0; i < here->thing_count; ++i, ++thing) {
        if (thing->sprite == NO_SPRITE)
            continue;
        x = thing->x - wXCoord + 5;
        y = thing->y - wYCoord + 5;
        if (x > 11 || y > 10 || (wFontLoaded && y > 6)) {
            oam[0] = 0; /* off the screen, or under the text box */
            oam[4] = 0;
            oam += 8;
            continue;
        }
        x = (x << 4) - shift_x; /* one cell right and down of the place, so that it never wraps */
        y = (y << 4) - shift_y;
        facing = thing_facing[i];
        tile = thing->sprite + (facing >= FACE_LEFT ? 8 : facing);
        sprite_draw(oam, x - 16, y - 16, tile, facing == FACE_RIGHT);
        oam += 8;
    }
    oam_copy();
}

static void show(void) {
    rSCX = (uint8_t)(wXCoord << 4) - PLAYER_X + shift_x;
    rSCY = (uint8_t)(wYCoord << 4) - PLAYER_Y + shift_y;
    sprites_show();
}

static void map_load(uint8_t map, uint8_t x, uint8_t y, uint8_t facing) { /* LCD off */
    uint8_t i;

    here = &maps[map - 1];
    tiles_here = &tilesets[here->tileset];
    cell_blocks = tiles_here->blocks;
    if (wCurMapTileset != here->tileset || !wCurMap)
        copy_bytes(BG_TILES, tiles_here->tiles, tiles_here->tile_bytes);
    wCurMap = map;
    wCurMapTileset = here->tileset;
    wXCoord = x;
    wYCoord = y;
    wFacing = facing;
    wStepLeft = 0;
    shift_x = 0;
    shift_y = 0;
    for (i = 0; i < here->thing_count; ++i)
        thing_facing[i] = here->things[i].facing;
    camera_draw_all(x, y);
    sprites_clear();
    show();
}

void overworld_enter(uint8_t map, uint8_t x, uint8_t y, uint8_t facing) {
    wFading = 1;
    screen_off();
    map_load(map, x, y, facing);
    screen_on();
    fade_in();
    wFading = 0;
}

static void talk(void) {
    const struct thing *thing;
    uint8_t i;

    look_ahead();
    i = thing_ahead();
    if (i == here->thing_count)
        return;
    thing = &here->things[i];
    if (thing->sprite != NO_SPRITE)
        thing_facing[i] = wFacing ^ 4; /* turn to the player: down 0 and up 4, left 8 and right 12 */
    camera_finish();
    text_open(TEXTBOX_FIRST + thing->id);
    sprites_show();
    text_page(thing->text);
    event_set(TALK_FIRST + thing->id);
    text_close();
    camera_refresh_box(wXCoord, wYCoord);
}

static void step_begin(uint8_t facing) {
    wFacing = facing;
    look_ahead();
    if (ahead_x >= here->width || ahead_y >= here->height)
        return;
    if (tiles_here->flags[here->rows[ahead_y][ahead_x]] & CELL_SOLID)
        return;
    if (thing_ahead() != here->thing_count)
        return;
    target_x = ahead_x;
    target_y = ahead_y;
    wStepLeft = STEP_FRAMES;
    foot ^= 1;
    camera_follow(target_x, target_y, facing);
}

static void stand(void) {
    if (joy_held & BUTTON_DOWN)
        step_begin(FACE_DOWN);
    else if (joy_held & BUTTON_UP)
        step_begin(FACE_UP);
    else if (joy_held & BUTTON_LEFT)
        step_begin(FACE_LEFT);
    else if (joy_held & BUTTON_RIGHT)
        step_begin(FACE_RIGHT);
    else if (joy_pressed & BUTTON_A)
        talk();
}

static const struct warp *warp_here(void) {
    const struct warp *warp = here->warps;
    uint8_t i;

    for (i = 0; i < here->warp_count; ++i, ++warp)
        if (warp->x == wXCoord && warp->y == wYCoord)
            return warp;
    return 0;
}

static uint8_t step_advance(void) { /* 1 when the step ends in this frame */
    switch (wFacing) {
    case FACE_DOWN: ++shift_y; break;
    case FACE_UP: --shift_y; break;
    case FACE_LEFT: --shift_x; break;
    default: ++shift_x; break;
    }
    if (--wStepLeft)
        return 0;
    wXCoord = target_x;
    wYCoord = target_y;
    shift_x = 0;
    shift_y = 0;
    return 1;
}

void overworld_run(void) {
    const struct warp *warp;
    uint8_t arrived;

    for (;;) {
        frame_wait();
        arrived = 0;
        if (!wStepLeft)
            stand();
        if (wStepLeft)
            arrived = step_advance();
        show();
        camera_stream();
        camera_refresh();
        if (!arrived)
            continue;
        warp = warp_here();
        if (!warp)
            continue;
        if (warp->event != EVENT_NONE)
            event_set(warp->event);
        wFading = 1;
        fade_out();
        if (warp->map == MAP_TOWER)
            return;
        overworld_enter(warp->map, warp->to_x, warp->to_y, warp->facing);
    }
}
