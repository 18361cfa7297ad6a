/* SPDX-License-Identifier: MIT */
/*
 * rig -- a core on the bench: workers that are ready, one client, a module m with the functions f, g, long and
 * short (short is known to be), and a look at what the core wants. Every step ends with core_check().
 *
 * Actions gather in rig.out until rig_clear().
 */
#ifndef TESTS_CORE_RIG_H
#define TESTS_CORE_RIG_H

#include "daemon/core/state.h"
#include "tests/support/suite.h"

struct rig {
    struct core_limits limits;
    struct core *core;
    struct actions out;
    uint64_t now;
    uint32_t client; /* of uid 1000 */
    uint64_t request;
    size_t looked; /* actions before this one were seen by rig_revoke() */
};

#define TEXT(literal) ((struct text){ literal, sizeof(literal) - 1 })

void rig_limits(struct rig *r);                  /* defaults; to be changed before rig_start() */
void rig_start(struct rig *r, uint32_t workers); /* ids from 1, all idle, in this order */
void rig_end(struct rig *r);
void rig_check(struct rig *r);
void rig_clear(struct rig *r);

/* A call of the client; the value is its request. */
uint64_t rig_call(struct rig *r, const char *function);
uint64_t rig_call_with(struct rig *r, uint32_t client, const struct msg_call *call);
uint64_t rig_call_set(struct rig *r, const char *function, uint32_t set);
uint64_t rig_call_worker(struct rig *r, const char *function, uint32_t worker);
uint64_t rig_call_deadline(struct rig *r, const char *function, uint64_t ms);
/* The members end with 0. The value is the set's number, 0 if it was refused (the answer is in out). */
uint32_t rig_set(struct rig *r, uint32_t mode, const char *name, const uint32_t *members);
void rig_cancel(struct rig *r, uint64_t request);

void rig_assign(struct rig *r);
void rig_tick(struct rig *r, uint64_t us); /* later by so much */
/* Answers every ACT_REVOKE since the last time; the value says how many. */
size_t rig_revoke(struct rig *r, bool taken_back);
void rig_done(struct rig *r, uint64_t request, uint64_t run_us);
void rig_failed(struct rig *r, uint64_t request, ptools_err code, const char *message);
void rig_ready(struct rig *r, uint32_t worker);
/* It dies of the signal, having begun that call (0: none). */
void rig_dies(struct rig *r, uint32_t worker, int signal, uint64_t begun);
void rig_loaded(struct rig *r, const char *module, ptools_err code, const char *const *functions, size_t n);

struct task *rig_task(struct rig *r, uint64_t request); /* NULL: it has ended */
uint32_t rig_where(struct rig *r, uint64_t request);    /* the worker that it was given to; 0: none */
struct worker *rig_worker(struct rig *r, uint32_t id);
size_t rig_count(struct rig *r, enum action_type type);
struct action *rig_find(struct rig *r, enum action_type type, size_t nth); /* from 0; NULL */
struct action *rig_note(struct rig *r, enum note note);
struct action *rig_answer(struct rig *r, uint64_t request); /* NULL: none */
/* Fails the test unless the request was answered so; the message. */
const char *rig_failure(struct rig *r, uint64_t request, ptools_err code);
void rig_value(struct rig *r, uint64_t request);

#define ck_has(text, part) ck_assert_msg(strstr(text, part) != NULL, "\"%s\" does not say \"%s\"", text, part)

#endif
