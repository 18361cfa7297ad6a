/* SPDX-License-Identifier: MIT */
/*
 * colour -- whether there are colours, and which. See colour.c.
 */
#ifndef CLI_COLOUR_H
#define CLI_COLOUR_H

#include <stdbool.h>
#include <stdio.h>

/* Whether what goes to this descriptor is coloured. */
bool colour_on(int fd);
/* The same of known facts: a terminal, $NO_COLOR and $TERM (NULL: not set). */
bool colour_wanted(bool is_terminal, const char *no_color, const char *term);

/* The colour of a state of a task, a worker or a module, as libsmartcols names it; NULL: none. */
const char *colour_of_state(const char *state);

/* What follows is as a failure; colour_end() ends it. Nothing, where there are no colours. */
void colour_failure(FILE *out);
void colour_end(FILE *out);

#endif
