/* SPDX-License-Identifier: MIT */
/*
 * journal_row -- the checksum that goes with each row, and lists of rows. See journal_row.c.
 */
#ifndef PTOOLSD_JOURNAL_ROW_H
#define PTOOLSD_JOURNAL_ROW_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/core.h"

/* CRC-32C (Castagnoli) of data behind that of what came before it; begins with 0. */
uint32_t crc32c(uint32_t crc, const void *data, size_t n);
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t n);

/* Over all columns of the row in `task`, and of that in `life`. */
uint32_t journal_row_task_crc(const struct core_row *row);
uint32_t journal_row_life_crc(const struct core_row *row);
/* Of its blobs. */
uint64_t journal_row_bytes(const struct core_row *row);

/* A queue of rows, linked by their `next`. */
struct row_list {
    struct core_row *head, **tail; /* tail NULL: empty, never used */
};
void row_list_push(struct row_list *list, struct core_row *take);
struct core_row *row_list_pop(struct row_list *list);           /* NULL: it is empty */
void row_list_move(struct row_list *from, struct row_list *to); /* all of it, to the end */
void row_list_clear(struct row_list *list);                     /* frees them */

#endif
