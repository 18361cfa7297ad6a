/* SPDX-License-Identifier: MIT */
/*
 * command_line -- argv, read by the tables of verbs.h. See command_line.c.
 */
#ifndef CLI_COMMAND_LINE_H
#define CLI_COMMAND_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cli/verbs.h"

enum { ITEM_WORD = 0 };
struct item {
    int id;           /* of an option of the verb; ITEM_WORD: text is a word that is no option */
    const char *text; /* the value; NULL: the option takes none, or has none */
};

struct command_line {
    const struct verb *verb; /* NULL: none was named */
    const char *dir;         /* --dir; NULL: not given. Not both it and address */
    const char *address;
    const char *user;        /* --user: a name or a number; not with address */
    bool json, help, version;
    bool command;       /* the first word of the verb stands behind -- */
    struct item *items; /* after the verb, in their order; without the global options */
    size_t n;
    uint64_t input_line; /* that of standard input, from 1, which a mistake is in; 0: none of them */
    char problem[320];
};

/* 0; 1: problem tells what is wrong with it; -ENOMEM. Borrows argv. May be deinited in all cases. */
int command_line_parse(struct command_line *line, int argc, char *const argv[]);
void command_line_deinit(struct command_line *line);

/* The word number `index` of the items, from 0; NULL: there are fewer. */
const char *command_line_word(const struct command_line *line, size_t index);
size_t command_line_words(const struct command_line *line);

/* Reports a mistake on standard error, with the usage of the verb; returns the exit status for it. */
int command_line_wrong(const struct command_line *line, const char *format, ...)
    __attribute__((__format__(__printf__, 2, 3)));

#endif
