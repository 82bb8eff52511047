/* The menu behind START. */
#ifndef START_H
#define START_H

void start_menu(void);

#endif
