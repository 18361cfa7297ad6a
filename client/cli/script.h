/* SPDX-License-Identifier: MIT */
/*
 * script -- options that stand in a script, in lines that begin with "#PTOOLS ". See script.c.
 */
#ifndef CLI_SCRIPT_H
#define CLI_SCRIPT_H

#include "client/cli/command_line.h"

struct script {
    char *text; /* the beginning of the file, cut into words */
    char **argv;
    struct command_line line; /* what they say; n 0: nothing */
};

/* name: the program of a command, looked for as the worker does that, from dir (NULL: from here). It may be no script,
 * or nothing that we could read: then it says nothing. The exit status; what is wrong with a line was told. May be
 * deinited in both cases. */
int script_read(const struct command_line *line, const char *name, const char *dir, struct script *ret);
void script_deinit(struct script *script);

#endif
