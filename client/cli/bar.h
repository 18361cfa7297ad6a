/* SPDX-License-Identifier: MIT */
/*
 * bar -- how far something is, as one line that is drawn over and over, or as a line now and then. See bar.c.
 */
#ifndef CLI_BAR_H
#define CLI_BAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define BAR_NOT_KNOWN UINT64_MAX
enum { BAR_BYTES = 256 };

struct bar_numbers {
    uint64_t done, failed;
    uint64_t of;         /* BAR_NOT_KNOWN */
    bool about;          /* `of` is a guess */
    double rate;         /* a second; 0: not known */
    uint64_t elapsed_us; /* since the start */
};
/* The line, of at most `columns` characters, all of them ASCII. Its length. What does not fit is left out, the rate
 * first. Pure. */
size_t bar_line(const struct bar_numbers *n, unsigned columns, char text[BAR_BYTES]);
/* The rate after `done` more in `us`, which weighs the last seconds most. Pure. */
double bar_rate(double rate, uint64_t done, uint64_t us);

enum bar_kind {
    BAR_NONE,
    BAR_DRAWN, /* in place, ten times a second at most */
    BAR_LINES  /* a line every five seconds, for logs */
};
struct bar {
    enum bar_kind kind;
    FILE *out;
    bool shown;
    uint64_t started_us, last_us, last_done;
    double rate;
};
void bar_start(struct bar *bar, enum bar_kind kind, FILE *out, uint64_t now_us);
/* When it is to be shown next; UINT64_MAX: never. */
uint64_t bar_due_us(const struct bar *bar);
/* Shows done, failed, of and about of n, the rest of which is found out here. */
void bar_show(struct bar *bar, struct bar_numbers *n, uint64_t now_us);
/* Takes it away, for something else is to be written to the terminal. */
void bar_clear(struct bar *bar);

#endif
