/* SPDX-License-Identifier: MIT */
/*
 * queue_rig -- what the tests of queued tasks share: a daemon with a journal that can be killed and started anew in
 * its place, workers that are kept busy, and the order in which tasks began.
 *
 * A worker is kept busy by t.fifo, which waits until the test opens its pipe: queue_occupy() returns when the worker
 * has it, queue_free() lets it go. The order is what t.mark writes: a line for each task, when it begins.
 */
#ifndef TESTS_QUEUE_RIG_H
#define TESTS_QUEUE_RIG_H

#include "tests/integration/server.h"

enum { QUEUE_WAIT_MS = 20000 };

struct queue_rig {
    struct server server;
    ptools *pt;
    unsigned workers;
    const char *args[24]; /* of the daemon */
    char state[64];       /* the journal's directory */
    char work[64];        /* pipes and marks */
    char marks[80];
    unsigned pipes;
};

/* args: further arguments of ptoolsd, ended by NULL; may be NULL. */
void queue_up(struct queue_rig *q, unsigned workers, const char *const *args);
void queue_down(struct queue_rig *q);
/* Ends it: by SIGKILL, or by SIGTERM with exit status 0. The handle stays open. */
void queue_kill(struct queue_rig *q);
void queue_term(struct queue_rig *q);
/* The next one, in the same place. */
void queue_again(struct queue_rig *q);

/* A task of this function, for any worker. */
ptools_worker_task queue_task_of(const char *function, const ptools_pack *args);
/* t.mark, with that key, in args, which it resets. */
ptools_worker_task queue_mark_of(struct queue_rig *q, ptools_pack *args, const char *key);
/* Queues it: its id. */
uint64_t queue_put(ptools *pt, const ptools_worker_task *task);
/* t.mark with that key and priority, for any worker. */
uint64_t queue_mark(struct queue_rig *q, const char *key, double priority);
/* Refused with that code, by each of the three calls. */
void queue_refused(ptools *pt, const ptools_worker_task *task, ptools_err code);

/* Keeps worker id (0: any) busy: returns the id of the task that does, once it runs. */
uint64_t queue_occupy(struct queue_rig *q, uint32_t worker);
/* Opens the pipe of that task, and returns when it has ended. */
void queue_free(struct queue_rig *q, uint64_t task);

/* Waits until it has ended, and asserts as what. */
void queue_ends(ptools *pt, uint64_t task, ptools_queued_state state);
/* Waits until it is in that state. */
void queue_until(ptools *pt, uint64_t task, ptools_queued_state state);
ptools_queued_state queue_state(ptools *pt, uint64_t task);
/* A look at one; free the list. */
const ptools_queued_info *queue_look(ptools *pt, uint64_t task, ptools_queued **ret_list);
/* Its value, a number or a text: asserted. */
void queue_gives_u64(ptools *pt, uint64_t task, uint64_t expected);
void queue_gives_str(ptools *pt, uint64_t task, const char *expected);
/* The sentence of queued_why, or the message of its failure, has that part. */
void queue_why_has(ptools *pt, uint64_t task, const char *part);
void queue_failed_with(ptools *pt, uint64_t task, ptools_err code, const char *part);

/* The keys that were marked, in their order, separated by spaces. */
void queue_assert_order(struct queue_rig *q, const char *expected);

#endif
