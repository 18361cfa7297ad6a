/* SPDX-License-Identifier: MIT */
/*
 * batch -- the records of the items of a batch: they gather in the control page's outbox, where they survive this
 * process, and leave from there.
 *
 * A record is a msgpack list: [value], or [code, message, phase, log] of an item that failed. What an item is, and how
 * it is run, is execute.c's.
 */
#ifndef WORKER_BATCH_H
#define WORKER_BATCH_H

#include <ptools/error.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/link.h"
#include "proto/page.h"

/* 0 or -ENOMEM. */
int batch_init(struct page *page, uint32_t worker);
/* Nothing of an earlier one may wait to be sent any more. */
void batch_begin(const struct link_frame *run);
/* The next item is done. */
void batch_value(const uint8_t *value, size_t n);
/* The texts end with NUL. */
void batch_failure(ptools_err code, const char *message, const char *phase, const char *log);
/* Of all records so far. */
size_t batch_bytes(void);
/* What the outbox has goes to the answers, for those who flush them; it stays in the outbox, too. */
void batch_end(uint64_t now_us);

#endif
