/* SPDX-License-Identifier: MIT */
/*
 * batch -- the records of the items of a batch: they gather in the control page's outbox, where they survive this
 * process, and leave from there.
 *
 * A record is a msgpack list: [value], or [code, message, phase, log] of an item that failed; of an isolated one, of
 * which more is known, [value, run_us, peak_kb], or [code, message, phase, log, run_us, peak_kb, signal, exit_status,
 * progress, progress_of, backtrace], as of a command that failed. In a reduction [value] is what several items came to; [] stands for one that was
 * not kept. What an item is, and how it is run, is execute.c's.
 */
#ifndef WORKER_BATCH_H
#define WORKER_BATCH_H

#include <ptools/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/worker/task.h"
#include "proto/link.h"
#include "proto/page.h"

/* What became of an isolated item. */
struct isolated {
    ptools_err code;      /* PTOOLS_OK: a value; WORKER_DIED, OUT_OF_MEMORY: its process did not come back from it */
    const uint8_t *value; /* borrowed */
    size_t n;
    char message[TASK_MESSAGE_BYTES]; /* of a failure */
    uint64_t run_us;                  /* from the fork until all is gone */
    uint64_t peak_kb;                 /* its largest memory beyond what it began with; 0: it did not get so far */
    int signal, exit_status;          /* of a process that did not come back, or of a command; 0 and -1 */
};

/* 0 or -ENOMEM. */
int batch_init(struct page *page, uint32_t worker);
/* Nothing of an earlier one may wait to be sent any more. */
void batch_begin(const struct link_frame *run);
/* The next item is done. */
void batch_value(const uint8_t *value, size_t n);
/* The texts end with NUL. */
void batch_failure(ptools_err code, const char *message, const char *phase, const char *log);
/* The same of an isolated one. words: what the page has of it. */
void batch_value_isolated(const struct isolated *done);
void batch_failure_isolated(const struct isolated *done, const struct page_words *words);
/* The same of a command (EXITED), which has had a process of its own in any case. */
void batch_failure_exited(const struct ptools_task *t, const struct page_words *words);
/* A reduction: one item more is done, and all since the last record come to this value. The page has it as one record,
 * or, if it is too large for that, the record that says so. */
void batch_fold(const uint8_t *value, size_t n);
/* That record, with its value, goes to the answers. last: no other follows; else the kernel has it. */
void batch_fold_leave(const uint8_t *value, size_t n, bool last, uint64_t now_us);
/* Of all records so far. */
size_t batch_bytes(void);
/* What the outbox has goes to the answers, for those who flush them; it stays in the outbox, too. */
void batch_end(uint64_t now_us);

#endif
