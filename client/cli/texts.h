/* SPDX-License-Identifier: MIT */
/*
 * texts -- a list of byte strings in one block: the words of a command, the values of an item. See texts.c.
 */
#ifndef CLI_TEXTS_H
#define CLI_TEXTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* {0} is an empty one. Failures stick: no_memory, and what is added then is lost. */
struct texts {
    char *bytes; /* one after the other, each with a NUL behind it */
    size_t n_bytes, room_bytes;
    size_t *ends; /* where that NUL is */
    size_t n, room;
    bool no_memory;
};
void texts_deinit(struct texts *s);
void texts_reset(struct texts *s); /* empty again, keeps its memory */

void texts_add(struct texts *s, const void *data, size_t n);
/* The same in pieces: what was put becomes one string. */
void texts_put(struct texts *s, const void *data, size_t n);
void texts_end(struct texts *s);

/* Good until something is added; ends with a NUL. */
const char *texts_get(const struct texts *s, size_t i, size_t *ret_n);

/* A number by which bytes are known again (FNV-1a). */
uint64_t texts_mark(const void *data, size_t n);

/* As one word that a shell reads as these bytes, on one line whatever is in them: as it stands, in '', or in $''. */
void texts_quote(FILE *out, const void *data, size_t n);
/* All of them, with blanks between. */
void texts_quote_all(FILE *out, const struct texts *s);

#endif
