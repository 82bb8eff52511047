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
    uint8_t text;   /* number of the text */
    uint8_t kind;   /* KIND_... */
    uint8_t of;     /* species, trainer, lamp or event: what the kind is about */
};

#define TALK_FIRST 32

struct patch { /* a cell that changes once something has happened */
    uint8_t x, y, cell, event;
};

struct wild {
    uint8_t species, level;
};

struct far { /* data in a bank that is not always there: address, bank, length in 16 bytes */
    const uint8_t *at;
    uint8_t bank, units;
};

struct map {
    uint8_t width, height;
    uint8_t tileset;
    uint8_t border;              /* metatile outside the map */
    struct far cells;            /* a metatile number a cell, row by row */
    const struct warp *warps;
    const struct thing *things;
    const struct patch *patches;
    const struct wild *wild;     /* four, one as likely as another */
    uint8_t warp_count, thing_count, patch_count, wild_count;
};

struct tileset {
    struct far tiles;
    const uint8_t *blocks;       /* four tile ids a metatile: upper two, lower two */
    const uint8_t *flags;        /* CELL_... a metatile */
};

enum { CELL_SOLID = 1, CELL_GRASS = 2, CELL_LEDGE = 4 };

struct move {
    uint8_t type, power, effect; /* TYPE_..., EFFECT_... */
};

struct species {
    uint8_t type;
    uint8_t hp, attack, defence, speed; /* at level 0 */
    uint8_t worth;                      /* experience for beating it, times its level, through four */
    uint8_t moves[4];
};

struct trainer {
    uint8_t event;               /* set when beaten */
    uint8_t sight;               /* cells it sees, 0: it has to be asked */
    uint8_t team[4];             /* species, level, species, level; species 0: nobody */
    uint8_t before, after;       /* texts */
    const uint8_t *name;
    uint16_t prize;              /* four decimal digits, a nibble each */
};

struct picture { /* a full-screen or part-screen drawing */
    uint8_t width, height;       /* in tiles */
    const uint8_t *cells;        /* tile ids, row by row */
};

#endif
