/* SPDX-License-Identifier: MIT */
/*
 * colour -- see colour.h. Colours say again what a word says already, for the eye: none is needed to understand. They are
 * for terminals alone, not for TERM=dumb, and not for whoever has set NO_COLOR to anything but nothing
 * (https://no-color.org).
 */
#include "client/cli/colour.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool colour_wanted(bool is_terminal, const char *no_color, const char *term)
{
    return is_terminal && !(no_color && *no_color) && term && *term && strcmp(term, "dumb") != 0;
}

bool colour_on(int fd)
{
    return colour_wanted(isatty(fd), getenv("NO_COLOR"), getenv("TERM"));
}

const char *colour_of_state(const char *state)
{
    static const struct {
        const char *state, *colour;
    } rows[] = {
        { "running", "cyan" },   { "busy", "cyan" },       { "done", "green" },     { "loaded", "green" },
        { "held", "yellow" },    { "starting", "yellow" }, { "stopping", "yellow" }, { "leaving", "yellow" },
        { "loading", "yellow" }, { "failed", "red" },      { "dead", "red" },       { "lost", "red" },
        { "killed", "red" },     { "broken", "red" },      { "missing", "red" },    { "expired", "red" },
        { "timeout", "red" },    { "cancelled", "brown" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].state, state) == 0)
            return rows[i].colour;
    return NULL;
}

void colour_failure(FILE *out)
{
    if (colour_on(fileno(out)))
        fputs("\033[1;31m", out);
}

void colour_end(FILE *out)
{
    if (colour_on(fileno(out)))
        fputs("\033[0m", out);
}
