#include "camera.h"
#include "ram.h"
#include "video.h"

/* The screen shows cells x-4..x+5 by y-4..y+4 around the player. Video memory holds one more on every side, so a
 * step never shows a cell that is not there; the next edge is drawn while the step lasts, one cell a frame. */
#define LEFT 5
#define RIGHT 6
#define ABOVE 5
#define BELOW 5

const struct map *here;
const uint8_t *cell_blocks;

static uint8_t edge_x, edge_y, edge_left, edge_down; /* the edge being drawn: next cell, cells left, direction */
static uint8_t view_x, view_y;                       /* the cell wTileMap is centred on */
static uint8_t refresh_row = 9;                      /* next row of cells of wTileMap that is due, 9 = none */

uint8_t cell_at(uint8_t x, uint8_t y) {
    if (y >= here->height || x >= here->width)
        return here->border;
    return wMapRows[y][x];
}

static void draw_cell(uint8_t x, uint8_t y) {
    const uint8_t *block = cell_blocks + ((uint16_t)cell_at(x, y) << 2);
    uint8_t *to = BG_MAP + ((uint16_t)(y & 15) << 6) + ((x & 15) << 1);

    to[0] = block[0];
    to[1] = block[1];
    to[32] = block[2];
    to[33] = block[3];
}

static void refresh(void) {
    uint8_t column;
    uint8_t y = view_y - 4 + refresh_row, x = view_x - 4;
    uint8_t *to = wTileMap + (uint16_t)refresh_row * 40;
    const uint8_t *row = y < here->height ? wMapRows[y] : 0;
    uint8_t width = here->width, border = here->border, cell;
    const uint8_t *block;

    for (column = 0; column < 10; ++column) {
        cell = row && x < width ? row[x] : border;
        block = cell_blocks + ((uint16_t)cell << 2);
        to[20] = block[2];
        to[21] = block[3];
        *to++ = block[0];
        *to++ = block[1];
        ++x;
    }
    ++refresh_row;
}

void camera_draw_all(uint8_t x, uint8_t y) {
    uint8_t cell_x, cell_y;

    for (cell_y = y - ABOVE; cell_y != (uint8_t)(y + BELOW + 1); ++cell_y)
        for (cell_x = x - LEFT; cell_x != (uint8_t)(x + RIGHT + 1); ++cell_x)
            draw_cell(cell_x, cell_y);
    edge_left = 0;
    view_x = x;
    view_y = y;
    refresh_row = 0;
    camera_finish();
}

void camera_follow(uint8_t x, uint8_t y, uint8_t facing) {
    view_x = x;
    view_y = y;
    refresh_row = 0;
    edge_x = x - LEFT;
    edge_y = y - ABOVE;
    edge_down = facing >= FACE_LEFT;
    edge_left = edge_down ? ABOVE + 1 + BELOW : LEFT + 1 + RIGHT;
    if (facing == FACE_RIGHT)
        edge_x = x + RIGHT;
    else if (facing == FACE_DOWN)
        edge_y = y + BELOW;
}

void camera_stream(void) {
    if (!edge_left)
        return;
    draw_cell(edge_x, edge_y);
    if (edge_down)
        ++edge_y;
    else
        ++edge_x;
    --edge_left;
}

void camera_refresh(void) {
    if (refresh_row < 9)
        refresh();
}

void camera_refresh_box(uint8_t x, uint8_t y) {
    view_x = x;
    view_y = y;
    refresh_row = 6;
}

void camera_refresh_all(uint8_t x, uint8_t y) {
    view_x = x;
    view_y = y;
    refresh_row = 0;
    while (refresh_row < 9) {
        frame_wait();
        refresh();
        refresh();
        refresh();
    }
}

void camera_redraw(uint8_t x, uint8_t y) {
    if ((uint8_t)(x - view_x + LEFT) <= LEFT + RIGHT && (uint8_t)(y - view_y + ABOVE) <= ABOVE + BELOW)
        draw_cell(x, y);
}

void camera_finish(void) {
    while (refresh_row < 9)
        refresh();
}
