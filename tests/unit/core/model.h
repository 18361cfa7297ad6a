/* SPDX-License-Identifier: MIT */
/*
 * model -- what the core must do, written down a second time, naively: plain arrays that are looked through
 * from the start each time. And a world of fake workers that keep to the protocol of slots, races included: a
 * task may have begun, or even be done, when the core asks for it back.
 *
 * What happens is told to the model first, which works out what must end and how; then to the core; then
 * the core's actions are carried out and compared (model_deliver()). A difference aborts the test.
 */
#ifndef TESTS_CORE_MODEL_H
#define TESTS_CORE_MODEL_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/core.h"
#include "proto/page.h"

enum { M_TASKS = 512, M_WORKERS = 16, M_SETS = 32, M_CLIENTS = 8, M_MEMBERS = 8 };

/* m.short runs 1 us, all others 3 ms; x and y come and go, y kills workers that load it. */
enum m_function { F_SHORT, F_LONG, F_X, F_Y, F_NOT_THERE, F_X_NOT_THERE, F_MISSING, M_FUNCTIONS };
extern const char *const m_function_names[M_FUNCTIONS];
enum m_module { MOD_M, MOD_X, MOD_Y, MOD_MISSING, M_MODULES };
extern const char *const m_module_names[M_MODULES];
enum m_module_state { M_UNKNOWN, M_LOADING, M_LOADED, M_ABSENT, M_BROKEN };

enum m_place { M_HELD, M_WAITING, M_GIVEN };

struct m_task {
    uint64_t id, request, deadline_us;
    uint32_t client; /* 0: nobody waits for it */
    uint32_t uid, set, pinned, bound, worker;
    enum m_function function;
    enum m_place place;
    size_t bytes;
    bool detached, set_gone;
    bool known_begun; /* a recall came too late */
    unsigned losses;  /* workers that died with it before they began it: the fifth ends it */
    uint64_t given;   /* rank among those given */
    ptools_err stop;  /* why it is to end; 0: it is not */
    bool must_end, executed;
    ptools_err code; /* how, then */
};

enum m_frame_state { FRAME_GIVEN, FRAME_REVOKED, FRAME_STARTED, FRAME_DONE, FRAME_SKIPPED };
struct m_frame {
    uint64_t task;
    uint32_t slot, attempt;
    enum m_frame_state state;
    bool fails;
};

enum m_process { P_NONE, P_STARTING, P_READY, P_ENDING, P_KILLED };
struct m_worker {
    uint32_t id;
    enum m_process process;
    bool removed, interrupted, given_up;
    uint64_t asked_us; /* to stop its task, or to end */
    uint64_t killed_us;
    uint64_t no_spawn_before;
    uint32_t done; /* by this process */
    size_t n;      /* frames in the order given; those that are DONE or SKIPPED come first: not told yet */
    struct m_frame frames[PAGE_SLOTS];
};

struct m_set {
    uint32_t id, uid, client, mode, n, cursor; /* client 0: it has a name */
    uint32_t members[M_MEMBERS + M_WORKERS];
    bool gone, orphan;
    char name[8];
};

struct m_client {
    uint32_t id, uid;
    uint64_t request;
};

struct model {
    struct core *core;
    struct core_limits limits;
    struct actions out;
    uint64_t now_us, random, last_task, given;
    struct m_task tasks[M_TASKS];
    size_t n_tasks;
    struct m_worker workers[M_WORKERS];
    size_t n_workers;
    struct m_set sets[M_SETS]; /* the first is the set of all */
    size_t n_sets;
    struct m_client clients[M_CLIENTS];
    size_t n_clients;
    struct {
        enum m_module_state state;
        uint64_t retry_us, retry_at_us;
        bool load_asked;
    } modules[M_MODULES];
    bool draining, acted;
    /* what is not the answer to a call: one request at a time */
    uint32_t asking_client;
    uint64_t asking;
    ptools_err asking_code;
    bool asking_answered;
    struct msg_reply asking_reply;
    uint64_t submitted, done, failed, cancelled, ahead, taken_back, too_late, died, stuck, killed, recycled, spawned;
};

void model_start(struct model *m, uint64_t seed, uint32_t workers);
void model_end(struct model *m); /* everything comes to its end, and nothing is left over */
uint64_t model_random(struct model *m, uint64_t below);
/* Carries out and compares all that the core wants. */
void model_deliver(struct model *m);
/* The end of a turn: assigns until nothing more happens; nobody may be idle who need not. */
void model_turn(struct model *m);

/* events; each ends with model_deliver() */
void model_submit(struct model *m);
void model_cancel(struct model *m);
void model_time(struct model *m, uint64_t us);
void model_client_add(struct model *m, uint32_t uid);
void model_client_gone(struct model *m, size_t client);
void model_set_create(struct model *m);
void model_set_change(struct model *m);
void model_set_destroy(struct model *m);
void model_workers_add(struct model *m);
void model_workers_remove(struct model *m);
void model_worker_step(struct model *m, struct m_worker *w);  /* it runs, or its process comes up or ends */
void model_worker_tells(struct model *m, struct m_worker *w); /* its oldest message arrives */
void model_worker_dies(struct model *m, struct m_worker *w);
void model_module_report(struct model *m);
void model_drain(struct model *m, bool hurry);

/* -- between the files of the model -- */

/* ck_assert() tells its parent where it is, each time: that would be most of what this test does. */
#define EXPECT(condition, ...)                                                                                         \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            ck_abort_msg(__VA_ARGS__);                                                                                 \
    } while (0)

struct m_task *m_find_task(struct model *m, uint64_t id);
struct m_worker *m_find_worker(struct model *m, uint32_t id);
struct m_set *m_find_set(struct model *m, uint32_t id);
bool m_has_member(const struct m_set *s, uint32_t worker);
size_t m_count_held(struct model *m, uint32_t worker);
struct m_task *m_next_held(struct model *m, uint32_t worker, uint64_t after);
void m_must_end(struct m_task *t, ptools_err code, bool executed);
ptools_err m_route(struct model *m, struct m_task *t);
ptools_err m_module_code(const struct model *m, enum m_function f);
void m_requeue(struct model *m, struct m_task *t);
void m_redeal(struct model *m, uint32_t set);
void m_stop(struct m_task *t, ptools_err code);
void m_break_module(struct model *m, enum m_module mod);
void m_follow_module(struct model *m, enum m_module mod);
void m_remove_task(struct model *m, struct m_task *t);
bool m_may_run(struct model *m, const struct m_task *t, uint32_t worker);
enum m_module m_module_of(enum m_function f);
uint64_t m_run_us(enum m_function f);

#endif
