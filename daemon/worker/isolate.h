/* SPDX-License-Identifier: MIT */
/*
 * isolate -- an item in a process of its own: forked from the worker as it is, and gone before the next one.
 *
 * What the item does to its process, be it that it crashes, exits, leaks, closes descriptors, or changes static
 * variables, environment or directory, ends with that; what it has forked is killed. What it shares with others outside
 * of its process it can change for good: shared arrays, files, where a descriptor that was open before stands in its
 * file. Threads of the worker are not in the child.
 *
 * The child has the worker's page, for its last words, and its socket for descriptors; the link to the daemon it has
 * not. It never outlives its worker.
 */
#ifndef WORKER_ISOLATE_H
#define WORKER_ISOLATE_H

#include "daemon/worker/task.h"

/* Runs the item in the child. As task_outcome(). */
typedef ptools_err (*isolate_fn)(void *arg, const uint8_t **ret_value, size_t *ret_n);

/* Before the first item of a batch, and after the last. value_max: bytes of a value. 0 or -errno. */
int isolate_begin(struct ptools_task *t, size_t value_max);
void isolate_end(void);
/* The item that t is at, and its record. false: t is to stop; the child was killed, and there is no record. */
bool isolate_run(isolate_fn fn, void *arg);
/* For fork hooks: whether this child is to run an item. */
bool isolate_is_item(void);

#endif
