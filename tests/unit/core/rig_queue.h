/* SPDX-License-Identifier: MIT */
/*
 * rig_queue -- queued tasks on the bench of rig.h, and a journal that is there when the test says so.
 */
#ifndef TESTS_CORE_RIG_QUEUE_H
#define TESTS_CORE_RIG_QUEUE_H

#include "tests/unit/core/rig.h"

#define SUBMIT_OF(name, ...) (&(const struct msg_submit){ .function = TEXT(name), __VA_ARGS__ })
#define SUBMIT(...)          SUBMIT_OF("m.f", __VA_ARGS__)

enum { QUEUE_WALL_MS = 1700000000 };
/* As rig_start(), with the time of day, and a host that is called here, here.example and 127.0.0.1. */
void rig_queue_start(struct rig *r, uint32_t workers);

/* Submits; the value is its request. args: "argument". */
uint64_t rig_queue_of(struct rig *r, uint32_t client, const struct msg_submit *m, const char *args);
uint64_t rig_queue(struct rig *r, const struct msg_submit *m);
/* Submits, and it must be accepted: its number. */
uint64_t rig_queued(struct rig *r, const struct msg_submit *m);
/* Of a request that was answered with a number. */
uint64_t rig_queue_id(struct rig *r, uint64_t request);

/* Everything that was written so far is recorded; how many rows. */
size_t rig_recorded(struct rig *r);
uint32_t rig_shown(struct rig *r, uint64_t task); /* enum task_shown; 0: there is none */
struct qtask *rig_qtask(struct rig *r, uint64_t task);
/* The order in which tasks were given: their numbers, up to n; how many. */
size_t rig_runs(struct rig *r, uint64_t *ids, size_t n);
void rig_qdone(struct rig *r, uint64_t task);
void rig_qfailed(struct rig *r, uint64_t task, ptools_err code, const char *message);
void rig_qdies(struct rig *r, uint64_t task, bool begun); /* its worker, and a new one is there */
/* One request about tasks; the value is its request. */
uint64_t rig_ask(struct rig *r, enum msg_kind kind, const struct msg_task *m);
uint64_t rig_change(struct rig *r, enum task_change change, uint64_t task);
uint64_t rig_result(struct rig *r, uint64_t task); /* waits for its end */
const char *rig_why(struct rig *r, uint64_t task);
struct action *rig_event(struct rig *r, enum task_event_kind event, uint64_t task);

#endif
