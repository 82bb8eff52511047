/* The screens around the walking: title, introduction, ending. */
#ifndef SCREENS_H
#define SCREENS_H

void title_run(void);  /* until START */
void intro_run(void);  /* four pages of text, ends on a white screen */
void ending_run(void); /* until START */

#endif
