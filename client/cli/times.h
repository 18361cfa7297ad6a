/* SPDX-License-Identifier: MIT */
/*
 * times -- points in time as people write them: 2026-11-26 21:30, 21:30:15, @1764192600. See times.c.
 */
#ifndef CLI_TIMES_H
#define CLI_TIMES_H

#include <stdbool.h>
#include <stdint.h>

#define TIMES_FORMS                                                                                                    \
    "a time is YYYY-MM-DD HH:MM[:SS] (or with a T between), HH:MM[:SS] (when it is that next), or @SECONDS since 1970"
enum { TIMES_WHY_BYTES = 240, TIMES_TEXT_BYTES = 32 };

/* Local time, as TZ says; now_ms is when HH:MM is asked for. false: why tells. */
bool times_read(const char *text, int64_t now_ms, int64_t *ret_ms, char why[TIMES_WHY_BYTES]);
/* The same way back: "2026-11-26 21:30:15"; "" for 0, which stands for never. */
const char *times_write(int64_t ms, char text[TIMES_TEXT_BYTES]);
int64_t times_now_ms(void); /* since 1970 */

#endif
