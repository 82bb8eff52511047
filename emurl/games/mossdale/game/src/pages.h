/* Full-screen pages: partner, bag, bestiary, options. They leave a white screen. */
#ifndef PAGES_H
#define PAGES_H
#include <stdint.h>

void page_party(void);
void page_bag(void);
void page_beasts(void);
void page_options(void);
uint8_t page_ask(uint8_t species); /* a species' picture and a question; 1 = yes */

#endif
