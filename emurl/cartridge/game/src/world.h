/* What build.py makes of the map, tile and text sources. */
#ifndef WORLD_H
#define WORLD_H
#include <stdint.h>

struct warp {
    uint8_t x, y;       /* stepping here ... */
    uint8_t map;        /* ... leads to this map, */
    uint8_t to_x, to_y; /* to this cell, */
    uint8_t facing;
    uint8_t event;      /* and sets this event (EVENT_NONE: none) */
};

#define NO_SPRITE 0xFF

struct thing { /* somebody or something that answers to A */
    uint8_t x, y;
    uint8_t sprite; /* first tile of its pictures; NO_SPRITE: drawn in the map itself, such as a sign */
    uint8_t facing;
    uint8_t id;     /* event TALK_FIRST + id, wTextBoxID TEXTBOX_FIRST + id */
    const uint8_t *text;
};

#define TALK_FIRST 32

struct map {
    uint8_t width, height;
    uint8_t tileset;
    uint8_t border;              /* metatile outside the map */
    const uint8_t *const *rows;  /* height pointers to width metatile numbers */
    const struct warp *warps;
    const struct thing *things;
    uint8_t warp_count, thing_count;
};

struct tileset {
    const uint8_t *tiles;
    uint8_t tile_count;
    const uint8_t *blocks;       /* four tile ids a metatile: upper two, lower two */
    const uint8_t *flags;        /* CELL_... a metatile */
};

enum { CELL_SOLID = 1, CELL_GRASS = 2 };

struct picture { /* a full-screen or part-screen drawing */
    uint8_t width, height;       /* in tiles */
    const uint8_t *cells;        /* tile ids, row by row */
};

#endif
