/* SPDX-License-Identifier: MIT */
/*
 * sources -- where the items of `ptools pmap -- COMMAND` come from: lists on the command line, files, standard input;
 * their products and pairs. See sources.c.
 */
#ifndef CLI_SOURCES_H
#define CLI_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cli/columns.h"
#include "client/cli/command_line.h"
#include "client/cli/lines.h"
#include "client/cli/texts.h"

#define SOURCES_NOT_KNOWN UINT64_MAX
enum { SOURCES_ITEM = 1, SOURCES_NO_MORE = 0, SOURCES_LATER = 2, SOURCES_WRONG = -1 };

/* What is asked for. */
struct sources_wish {
    const char *const *words; /* from the first ::: on; n_words 0: none */
    size_t n_words;
    const char **files; /* --arg-file; "-" is standard input, as it is without any source */
    size_t n_files;
    char separator;               /* between records of files */
    const char *column_separator; /* NULL */
    bool csv, header;
    uint32_t max_args; /* records that make an item; 0: one, of which nothing is put in place */
    bool all;          /* are read before the first is wanted */
};

/* One list. */
struct source {
    struct texts records;
    bool linked;      /* it goes along with the one before, and makes no product with it */
    const char *file; /* NULL: words */
};

struct sources {
    const struct command_line *line;
    struct sources_wish wish;
    struct columns columns;
    struct source *list;
    size_t n;
    struct texts names; /* by the header */
    uint64_t n_records; /* all that there are; SOURCES_NOT_KNOWN: they are read as they are wanted */
    uint64_t at;        /* items handed out */

    /* the one that is read as items are wanted */
    int fd;
    struct lines lines;
    struct texts partial;  /* what there is of a record that goes on in the next line, in one string */
    struct texts gathered; /* values of an item that lacks records */
    uint32_t n_gathered;
    uint64_t left; /* bytes of it at the start */
    bool later;    /* there was nothing to be read: ask again when there is */
    bool ended;    /* all were handed out */
    bool wrong;    /* it ended with a failure: why */
    char why[300];
};

/* The exit status; what is wrong was told. Waits for all that has to be read before. May be closed in both cases. */
int sources_open(struct sources *s, const struct command_line *line, const struct sources_wish *wish);
void sources_close(struct sources *s);

/* The first word of a command line that is no part of the command, or n. */
size_t sources_begin(const char *const *words, size_t n);

/* Sets ret to the values of the next item. SOURCES_...; does not wait. */
int sources_next(struct sources *s, struct texts *ret);
/* The same of any item, by its index, if all were read. */
void sources_item(const struct sources *s, uint64_t index, struct texts *ret);
/* How many items there are; *ret_about: that is guessed by the bytes that are left. SOURCES_NOT_KNOWN. */
uint64_t sources_of(const struct sources *s, bool *ret_about);

#endif
