/* SPDX-License-Identifier: MIT */
/*
 * output -- where the output of commands lies: OUTPUT_DIR/YYYY-MM-DD/ID-ATTEMPT.out and .err, .old behind what was
 * there before the file became too long. Of what is not queued, which has no record of its own, ID-ATTEMPT.ITEM.out.
 */
#ifndef PROTO_OUTPUT_H
#define PROTO_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OUTPUT_DIR_BYTES_MAX = 4096 - 96 };
#define OUTPUT_BYTES_DEFAULT (64u << 20) /* kept of each stream of a command: the daemon's option output_max */

/* The path without suffix. The day is that of ms (since 1970), UTC. item < 0: none. Its length; 0: it does not fit. */
size_t output_path(char *ret, size_t cap, const char *dir, uint64_t ms, uint64_t task, uint32_t attempt, int64_t item);
/* Whether a name in OUTPUT_DIR is that of a day. */
bool output_is_day(const char *name);
/* Whether a name in a day is that of a file of output: whose, and whether there is an item. */
bool output_is_file(const char *name, uint64_t *ret_task, bool *ret_item);

#endif
