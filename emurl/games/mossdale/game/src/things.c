#include "things.h"
#include "assets.h"
#include "camera.h"
#include "ram.h"
#include "video.h"

#define MAX_THINGS 8
#define AWAY 0xFE /* x of somebody who is not there any more */

uint8_t thing_facing[MAX_THINGS];
uint8_t thing_x[MAX_THINGS], thing_y[MAX_THINGS];
static uint8_t sprites_used;               /* hardware sprites after the player's two */
static uint8_t walker = NOBODY, walked_x, walked_y; /* who is walking, and how many pixels off its cell */

void things_load(void) {
    const struct thing *thing = here->things;
    uint8_t i;

    for (i = 0; i < here->thing_count; ++i, ++thing) {
        thing_x[i] = thing->x;
        thing_y[i] = thing->y;
        thing_facing[i] = thing->facing;
        if ((thing->kind == KIND_GUARD || thing->kind == KIND_GIFT) && event_is_set(thing->of))
            thing_x[i] = AWAY;
    }
}

void thing_remove(uint8_t thing) { thing_x[thing] = AWAY; }

uint8_t thing_at(uint8_t x, uint8_t y) {
    uint8_t i;

    for (i = 0; i < here->thing_count; ++i)
        if (thing_x[i] == x && thing_y[i] == y)
            return i;
    return NOBODY;
}

/* Those in sight or one cell off; under a text box or a menu they are left out. Pictures: down, up, left, 4 tiles each. */
void things_place(void) {
    uint8_t *oam = wShadowOAM + 8;
    const struct thing *thing = here->things;
    uint8_t i, tile, x, y, facing;

    sprites_used = 0;
    for (i = 0; i < here->thing_count; ++i, ++thing) {
        if (thing->sprite == NO_SPRITE || thing_x[i] == AWAY)
            continue;
        x = thing_x[i] - wXCoord + 6;
        y = thing_y[i] - wYCoord + 6;
        if (x > 13 || y > 12 || (wFontLoaded && (wTextBoxID == TEXTBOX_MENU ? x > 6 : y > 7)))
            continue;
        x = (x << 4) - 32 + 8; /* 6 cells left of the player is 2 cells left of the screen */
        y = (y << 4) - 32 + 16;
        if (i == walker) {
            x += walked_x;
            y += walked_y;
        }
        facing = thing_facing[i];
        tile = thing->sprite + (facing >= FACE_LEFT ? 8 : facing);
        oam[0] = y;
        oam[1] = x;
        oam[4] = y;
        oam[5] = x + 8;
        if (facing == FACE_RIGHT) {
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
        oam += 8;
        sprites_used += 2;
    }
    for (i = sprites_used; i < 2 * MAX_THINGS; ++i) {
        *oam = 0;
        oam += 4;
    }
}

void things_shift(uint8_t dx, uint8_t dy) {
    uint8_t *oam = wShadowOAM + 8;
    uint8_t i;

    for (i = sprites_used; i; --i) {
        *oam++ -= dy;
        *oam -= dx;
        oam += 3;
    }
}

static uint8_t cell_blocks_sight(uint8_t x, uint8_t y) {
    return (tilesets[here->tileset].flags[cell_at(x, y)] & CELL_SOLID) != 0;
}

uint8_t thing_watching(void) {
    const struct thing *thing = here->things;
    uint8_t i, x, y, far, dx, dy;

    for (i = 0; i < here->thing_count; ++i, ++thing) {
        if (thing->kind != KIND_TRAINER || event_is_set(trainers[thing->of].event))
            continue;
        dx = thing_facing[i] == FACE_LEFT ? (uint8_t)-1 : thing_facing[i] == FACE_RIGHT;
        dy = thing_facing[i] == FACE_UP ? (uint8_t)-1 : thing_facing[i] == FACE_DOWN;
        x = thing_x[i];
        y = thing_y[i];
        for (far = trainers[thing->of].sight; far; --far) {
            x += dx;
            y += dy;
            if (x == wXCoord && y == wYCoord)
                return i;
            if (cell_blocks_sight(x, y) || thing_at(x, y) != NOBODY)
                break;
        }
    }
    return NOBODY;
}

static void show_and_wait(void) {
    frame_wait();
    oam_copy();
}

void thing_approach(uint8_t thing) {
    uint8_t *bang = wShadowOAM + 152; /* the last two sprites */
    uint8_t i, x, y, facing = thing_facing[thing];
    uint8_t dx = facing == FACE_LEFT ? (uint8_t)-1 : facing == FACE_RIGHT;
    uint8_t dy = facing == FACE_UP ? (uint8_t)-1 : facing == FACE_DOWN;

    x = ((thing_x[thing] - wXCoord) << 4) + PLAYER_X + 8;
    y = ((thing_y[thing] - wYCoord) << 4) + PLAYER_Y;
    bang[0] = y;
    bang[1] = x;
    bang[2] = SPRITE_BANG;
    bang[4] = y;
    bang[5] = x + 8;
    bang[6] = SPRITE_BANG + 2;
    for (i = 0; i < 28; ++i)
        show_and_wait();
    bang[0] = 0;
    bang[4] = 0;
    walker = thing;
    for (;;) {
        x = thing_x[thing] + dx;
        y = thing_y[thing] + dy;
        if (x == wXCoord && y == wYCoord)
            break;
        for (i = 0; i < 16; ++i) {
            walked_x += dx;
            walked_y += dy;
            things_place();
            show_and_wait();
        }
        walked_x = 0;
        walked_y = 0;
        thing_x[thing] = x;
        thing_y[thing] = y;
    }
    walker = NOBODY;
    things_place();
    wFacing = facing ^ 4;
}
