/* SPDX-License-Identifier: MIT */
/*
 * reduce -- the values of a batch's items, folded by an operator into one, from left to right. After each item the page
 * has what there is so far (batch.h).
 */
#ifndef WORKER_REDUCE_H
#define WORKER_REDUCE_H

#include "daemon/worker/modules.h"
#include "daemon/worker/task.h"

/* A batch: nothing was folded yet, and the page names the function of its items. op_bytes 0: it is no reduction. */
void reduce_begin(const struct page *page, const char *op, size_t op_bytes, struct modules *modules);
/* The next item is a value already: in a list, which is taken from the front of *data. */
ptools_err reduce_read(struct ptools_task *task, const uint8_t **data, size_t *n, const uint8_t **ret_value,
                       size_t *ret_n);
/* The value of the next item, which may be the task's result; value_max: bytes that what they come to may have. What
 * fails here is no failure of the item: the code, and the task has the text. */
ptools_err reduce_add(struct ptools_task *task, const uint8_t *value, size_t n, size_t value_max);
/* What there is, if anything, leaves (batch.h), and nothing is left. last: nothing follows it. */
void reduce_leave(bool last, uint64_t now_us);

#endif
