/* SPDX-License-Identifier: MIT */
/*
 * halt -- when a run over commands is to end early: --halt WHEN,WHY=N. See halt.c.
 */
#ifndef CLI_HALT_H
#define CLI_HALT_H

#include <stdbool.h>
#include <stdint.h>

/* Part of a format. */
#define HALT_FORMS                                                                                                     \
    "allowed are never, and soon or now with fail=N, success=N or done=N behind a comma, where N may be N%%"
struct halt {
    enum { HALT_NEVER, HALT_SOON, HALT_NOW } when;
    enum { HALT_FAIL, HALT_SUCCESS, HALT_DONE } why;
    uint64_t n;
    bool percent; /* n is, of all items */
};
bool halt_read(const char *text, struct halt *ret);
/* of: all items. */
bool halt_reached(const struct halt *halt, uint64_t failed, uint64_t succeeded, uint64_t of);

#endif
