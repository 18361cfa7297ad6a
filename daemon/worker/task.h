/* SPDX-License-Identifier: MIT */
/*
 * task -- one task being run: the inside of what <ptools/module.h> shows to functions.
 *
 * One struct serves all tasks of a worker, one after the other, and keeps its memory. The functions
 * that module.h declares are defined in task.c.
 */
#ifndef WORKER_TASK_H
#define WORKER_TASK_H

#include <ptools/module.h>

#include "daemon/worker/storage.h"
#include "proto/link.h"
#include "proto/page.h"
#include "proto/value.h"

enum { TASK_MESSAGE_BYTES = 1024, TASK_RESULT_KEEP_BYTES = 1 << 20 };

struct ptools_task {
    struct page *page;
    uint32_t worker;
    uint64_t id;
    uint32_t attempt, uid;
    const char *function; /* "module.function"; borrowed */
    struct payload payload;
    bool zone_used;                /* by this task or an earlier one of its batch; or there is none yet */
    msgpack_object flat[FLAT_MAX]; /* arguments that need no tree */
    uint64_t queued_ms;            /* when it was queued, since 1970; 0: it was not */
    uint64_t item;                 /* of a batch, from 1; 0: it is none */
    uint64_t run;                  /* of a batch: its run, of which other batches may be; 0: it is none */
    uint64_t away_us;              /* so long a program ran in its stead, and nothing changed in this process */
    uint32_t argc;
    const msgpack_object *argv;
    const char **strings; /* terminated copies of string arguments, made when asked for; in the zone */
    ptools_pack *result;
    struct storage *storage;
    uint32_t stask_index, stask_count; /* of a server task; count 0: of none */
    char prefix[NAME_BYTES_MAX + 1];   /* of a server task; "" */
    ptools_err message_code;           /* the failure that message belongs to */
    char message[TASK_MESSAGE_BYTES];
    /* of a failure that is EXITED: how the command ended, and what it took */
    int exit_status, exit_signal; /* -1; 0 */
    uint64_t exit_us, exit_peak_kb;
    uint64_t command_us, command_peak_kb; /* processor time and memory of the command that was run; 0: none was */
};

/* 0 or -ENOMEM. */
int task_init(struct ptools_task *t, struct page *page, uint32_t worker);
void task_deinit(struct ptools_task *t);

/* Makes it the task of a RUN frame. arguments are borrowed until task_end(). A code other than PTOOLS_OK:
 * the function must not be called, the task has failed and task_message() tells why. */
ptools_err task_begin(struct ptools_task *t, const struct link_frame *run, const char *function,
                      const uint8_t *arguments, size_t n);
/* The next item of the batch that was begun: arguments has its list at the front, of *ret_bytes; captured (NULL: none),
 * a list, goes before it. */
ptools_err task_begin_item(struct ptools_task *t, const uint8_t *arguments, size_t n, const msgpack_object *captured,
                           size_t *ret_bytes);
/* With the captured list alone. */
void task_begin_with(struct ptools_task *t, const struct link_frame *run, const char *function,
                     const msgpack_object *captured);
/* What came of it. returned: by the function. PTOOLS_OK: *ret_value is its result; otherwise the code for the caller,
 * and task_message() has the text. */
ptools_err task_outcome(struct ptools_task *t, ptools_err returned, const uint8_t **ret_value, size_t *ret_n);
/* Fails the task from outside of its function. The macro returns code, in the caller's sight: whoever reads that, be it
 * a compiler, knows that it is not PTOOLS_OK. */
#define task_fail(t, code, ...) (task_fail_record(t, code, __VA_ARGS__), (ptools_err)(code))
void task_fail_record(struct ptools_task *t, ptools_err code, const char *format, ...)
    __attribute__((__format__(__printf__, 3, 4)));
/* Clean UTF-8; never empty after a failure. */
const char *task_message(const struct ptools_task *t);
/* Memory that lives as long as the task, or the item. NULL: there is none. */
void *task_room(struct ptools_task *t, size_t n);
/* Lets go of what only this task needed. */
void task_end(struct ptools_task *t);

#endif
