/* SPDX-License-Identifier: MIT */
/*
 * pmap_input -- where the items of `ptools pmap` come from: its words, or standard input. See pmap_input.c.
 */
#ifndef CLI_PMAP_INPUT_H
#define CLI_PMAP_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ptools/ptools.h>

#include "client/cli/command_line.h"
#include "client/cli/lines.h"

enum pmap_form {
    PMAP_WORDS, /* each ARG of the command line, as `ptools call` reads it */
    PMAP_TEXT,  /* each line, or what lies between NULs, is a string */
    PMAP_JSON   /* each line is JSON: a list of arguments, or else the one argument; blank ones are passed over */
};
#define PMAP_NOT_KNOWN UINT64_MAX

/* An item that was read before it is wanted. */
struct pmap_ahead {
    const char *word; /* PMAP_WORDS */
    size_t at, n;     /* else: where in the text */
    uint64_t line;
    bool string; /* a word that is a string, whatever it looks like */
    bool picked;
};

struct pmap_input {
    const struct command_line *line;
    enum pmap_form form;
    struct lines lines;
    uint64_t left; /* bytes of standard input at the start; PMAP_NOT_KNOWN */
    struct pmap_ahead *ahead;
    size_t n_ahead, room_ahead, at, at_picked;
    char *text; /* of lines read ahead */
    size_t n_text, room_text;
    uint64_t n_read; /* lines that are items */
    bool later;      /* there was nothing to be read: ask again when there is */
    bool ended;      /* all were handed out */
    ptools_err code; /* what is wrong with it; PTOOLS_OK: nothing */
    uint64_t wrong_line;
    char why[LINES_WHY_BYTES + 120];
};

/* The exit status. May be closed in all cases. Mistakes in words are found here, others when they are read. */
int pmap_input_open(struct pmap_input *in, const struct command_line *line, enum pmap_form form, char separator);
void pmap_input_close(struct pmap_input *in);

/* A ptools_pmap_source; input is a struct pmap_input. Does not wait. */
int pmap_input_next(ptools_pack *args, void *input);

/* Reads standard input up to its end, or up to 16 MiB: it waits. The exit status. */
int pmap_input_read_ahead(struct pmap_input *in);
/* Picks up to n of what was read ahead, spread over it, from the first to the last, and tells their indices. How many.
 * pmap_input_next() passes them over, the other source yields them alone. */
size_t pmap_input_pick(struct pmap_input *in, size_t n, uint64_t *ret_indices);
int pmap_input_next_picked(ptools_pack *args, void *input);
/* Those of them that were not asked for are items like all others. */
void pmap_input_unpick(struct pmap_input *in);

/* How many items there are; *ret_about: by the bytes that are left. PMAP_NOT_KNOWN. */
uint64_t pmap_input_of(const struct pmap_input *in, bool *ret_about);
/* Tells what is wrong with it. The exit status. */
int pmap_input_report(const struct pmap_input *in);

#endif
