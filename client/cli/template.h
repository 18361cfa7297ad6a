/* SPDX-License-Identifier: MIT */
/*
 * template -- a command with placeholders, and what it becomes for an item: those of GNU parallel. See template.c.
 */
#ifndef CLI_TEMPLATE_H
#define CLI_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cli/texts.h"

struct template_part {
    enum { TEMPLATE_TEXT, TEMPLATE_VALUE, TEMPLATE_SEQ, TEMPLATE_SLOT, TEMPLATE_END } kind;
    const char *text; /* of the template, borrowed */
    size_t n;
    long position; /* of the value: from 1, or from the last, -1; 0: all of them */
    bool no_extension, base, directory;
};

struct template
{
    struct template_part *parts; /* each word ends with TEMPLATE_END */
    size_t n, room;
    bool any;         /* there are placeholders */
    bool slot;        /* {%} is among them */
    bool first_fixed; /* the first word, the program, is the same for each item */
};

/* Reads words, which are borrowed. names: what values are called by a header; NULL: nothing. append: without any
 * placeholder all values are appended, as words of their own. False: no memory. May be deinited in both cases. */
bool template_init(struct template *t, const char *const *words, size_t n, const struct texts *names, bool append);
void template_deinit(struct template *t);

/* Appends the words for these values to ret, where lack of memory sticks. */
void template_expand(const struct template *t, const struct texts *values, uint64_t seq, uint32_t slot,
                     struct texts *ret);

#endif
