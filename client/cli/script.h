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

/* path: the program of a command, which may be no script, or nothing that we could read: then it says nothing. The
 * exit status; what is wrong with a line was told. May be deinited in both cases. */
int script_read(const struct command_line *line, const char *path, struct script *ret);
void script_deinit(struct script *script);

#endif
