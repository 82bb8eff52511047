#include "video.h"
#include "assets.h"
#include "ram.h"

volatile uint8_t vblank_flag;
uint8_t joy_held;
uint8_t joy_pressed;

static const uint8_t bg_levels[4] = {0xE4, 0x90, 0x40, 0x00};
static const uint8_t obj_levels[4] = {0xD0, 0x80, 0x40, 0x00};

static void joypad_read(void) {
    uint8_t now, before = joy_held;

    rP1 = 0x20; /* directions; the repeated reads let the lines settle on the real console */
    now = rP1;
    now = rP1;
    now = (uint8_t)(~rP1 << 4);
    rP1 = 0x10; /* buttons */
    before = joy_held;
    joy_held = rP1;
    joy_held = rP1;
    now |= (uint8_t)(~rP1 & 0x0F);
    rP1 = 0x30;
    joy_held = now;
    joy_pressed = now & (uint8_t)~before;
}

static void clock_tick(void) {
    if (wGameMode == MODE_ENDING)
        return;
    if (++wPlayTimeFrames != 60)
        return;
    wPlayTimeFrames = 0;
    if (++wPlayTimeSeconds != 60)
        return;
    wPlayTimeSeconds = 0;
    if (++wPlayTimeMinutes != 60)
        return;
    wPlayTimeMinutes = 0;
    ++wPlayTimeHours;
}

void frame_wait(void) {
    if (vblank_flag && wGameMode == MODE_OVERWORLD && !wFontLoaded)
        ++wLagFrames;
    while (!vblank_flag) {
        __asm
            halt
            nop
        __endasm;
    }
    vblank_flag = 0;
    joypad_read();
    clock_tick();
}

void screen_off(void) {
    /* Switching the LCD off outside vertical blank damages the real console. */
    frame_wait();
    rLCDC = 0;
}

void screen_on(void) {
    rLCDC = 0x87; /* LCD, BG on, 8x16 sprites on, tiles at 8800/9000, maps at 9800 */
    rIF = 0;
    vblank_flag = 0;
}

void window_open(void) {
    rWX = 7;
    rWY = 96;
    rLCDC |= 0x60;
}

void window_open_side(void) {
    rWX = 87;
    rWY = 0;
    rLCDC |= 0x60;
}

void window_close(void) { rLCDC &= (uint8_t)~0x20; }

void palette_set(uint8_t level) {
    rBGP = bg_levels[level];
    rOBP0 = obj_levels[level];
    rOBP1 = obj_levels[level];
}

void fade_out(void) { /* 4 frames */
    frame_wait();
    palette_set(1);
    frame_wait();
    palette_set(2);
    frame_wait();
    frame_wait();
    palette_set(3);
}

void fade_in(void) { /* 5 frames */
    frame_wait();
    palette_set(2);
    frame_wait();
    frame_wait();
    palette_set(1);
    frame_wait();
    frame_wait();
    palette_set(0);
}

void copy_tiles(uint8_t *to, const uint8_t *from, uint8_t count) {
    uint8_t row;

    while (count) {
        for (row = 2; row; --row) { /* unrolled: a map must change within 16 frames */
            *to++ = *from++;
            *to++ = *from++;
            *to++ = *from++;
            *to++ = *from++;
            *to++ = *from++;
            *to++ = *from++;
            *to++ = *from++;
            *to++ = *from++;
        }
        --count;
    }
}

/* The bank register of the cartridge; bank 1 is mapped at all other times. This code lies in bank 0. */
#define ROM_BANK BYTE_AT(0x2000)

void far_copy(uint8_t *to, const uint8_t *from, uint8_t bank, uint8_t units) {
    ROM_BANK = bank;
    copy_tiles(to, from, units);
    ROM_BANK = 1;
}

void far_load(uint8_t *to, const struct far *far) { far_copy(to, far->at, far->bank, far->units); }

void copy_bytes(uint8_t *to, const uint8_t *from, uint16_t count) {
    while (count) {
        *to++ = *from++;
        --count;
    }
}

void fill_bytes(uint8_t *to, uint8_t value, uint16_t count) {
    while (count) {
        *to++ = value;
        --count;
    }
}

void font_load(void) {
    const uint8_t *from = font_tiles;
    uint8_t *to = BG_TILES + FONT_FIRST * 16;
    uint8_t tile = FONT_FIRST, row;

    do {
        if (tile == 0x80)
            to = FONT_TILES;
        for (row = 0; row < 8; ++row) {
            *to++ = *from; /* one bit a pixel in ROM: both planes the same, ink is the darkest shade */
            *to++ = *from++;
        }
    } while (++tile);
}

void tilemap_clear(void) { fill_bytes(wTileMap, 0x7F, 360); }

void tilemap_show(void) {
    uint8_t row;
    uint8_t *to = BG_MAP;
    const uint8_t *from = wTileMap;

    for (row = 0; row < 18; ++row) {
        copy_bytes(to, from, 20);
        to += 32;
        from += 20;
    }
    rSCX = 0;
    rSCY = 0;
}

void sprites_clear(void) { fill_bytes(wShadowOAM, 0, 160); }
