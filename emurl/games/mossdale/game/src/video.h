/* Frames, buttons, tiles and sprites: everything that touches the hardware. */
#ifndef VIDEO_H
#define VIDEO_H
#include "world.h"

#define REG(address) (*(volatile uint8_t *)(0xFF00 + (address)))
#define rP1 REG(0x00)
#define rDIV REG(0x04)
#define rIF REG(0x0F)
#define rLCDC REG(0x40)
#define rSTAT REG(0x41)
#define rSCY REG(0x42)
#define rSCX REG(0x43)
#define rLY REG(0x44)
#define rBGP REG(0x47)
#define rOBP0 REG(0x48)
#define rOBP1 REG(0x49)
#define rWY REG(0x4A)
#define rWX REG(0x4B)
#define rIE REG(0xFF)

/* Tile memory: 8000 sprites, 8800 font and borders (ids 80-FF), 9000 pictures and metatiles (ids 00-7F). */
#define SPRITE_TILES ((uint8_t *)0x8000)
#define FONT_TILES ((uint8_t *)0x8800)
#define BG_TILES ((uint8_t *)0x9000)
#define BG_MAP ((uint8_t *)0x9800)
#define WINDOW_MAP ((uint8_t *)0x9C00)

enum {
    BUTTON_A = 1, BUTTON_B = 2, BUTTON_SELECT = 4, BUTTON_START = 8,
    BUTTON_RIGHT = 16, BUTTON_LEFT = 32, BUTTON_UP = 64, BUTTON_DOWN = 128
};

extern volatile uint8_t vblank_flag;
extern uint8_t joy_held;    /* buttons down now */
extern uint8_t joy_pressed; /* buttons that went down this frame */

void frame_wait(void);      /* to the next vertical blank; reads the buttons, counts the play time */
void screen_off(void);
void screen_on(void);       /* background, sprites; the window stays closed */
void window_open(void);     /* lower six rows show the text box */
void window_open_side(void); /* the right half shows a menu */
void window_close(void);
void palette_set(uint8_t level); /* 0 normal ... 3 all white */
void fade_out(void);
void fade_in(void);
void copy_tiles(uint8_t *to, const uint8_t *from, uint8_t count); /* 16 bytes each */
void far_copy(uint8_t *to, const uint8_t *from, uint8_t bank, uint8_t units); /* units of 16 bytes */
void far_load(uint8_t *to, const struct far *far);
void copy_bytes(uint8_t *to, const uint8_t *from, uint16_t count);
void fill_bytes(uint8_t *to, uint8_t value, uint16_t count);
void font_load(void);       /* LCD off */
void tilemap_clear(void);   /* wTileMap to spaces */
void tilemap_show(void);    /* wTileMap to the background, LCD off */
void sprites_clear(void);
void oam_copy(void);        /* crt0.s; in vertical blank only */
void reset(void);           /* crt0.s; LCD off */

#endif
