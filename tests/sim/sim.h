/* SPDX-License-Identifier: MIT */
/*
 * sim -- one simulated world: the real core, clients, workers, a journal and a clock, all moved by one seed.
 *
 *     sim.c      a run: steps, the clock, delivery of the core's actions, death and restart, the end
 *     clients.c  what clients ask for, and the answers they get; submit.c: tasks
 *     calls.c    calls, and maps over items; servers.c: server tasks
 *     arrays.c   shared arrays, and their memory
 *     pool.c     workers that come and go on request
 *     workers.c  what workers do with what they are given
 *     journal.c  where rows go, and what a crash or a loss of power leaves of them; store.c: in the real database
 *     model.c    what was promised; check.c: whether it is kept; restart.c: and whether it was when the daemon is back
 *     clocks.c   the monotonic clock, and the time of day, which is set
 *     trace.c    chance, what happened, and what is said when something is wrong
 *
 * There is one world at a time: everything is in `sim`, so that a run cannot depend on anything but its seed. The
 * numbers of invariants (I1 to I6) are those of README.md.
 */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include "daemon/core/state.h"

enum {
    TASKS_MAX = 2048,    /* that the model knows at once */
    REQUESTS_MAX = 4096, /* that are not answered */
    WORKERS = 4,         /* at first, */
    WORKERS_MOST = 6,    /* and at most at a time; */
    WORKER_IDS = 20,     /* so many numbers of them in the life of a daemon */
    USERS = 3,
    CLIENTS = 4,         /* that come and go; each user has one more, which watches and stays */
    FRAMES = PAGE_SLOTS, /* a worker holds at most so many tasks */
    TAGS = 3,
    KEYS = 6,
    AFTER = 2,
    SHOWN_STEPS = 50
};
#define FIRST_UID     1000u
#define TEXT(literal) ((struct text){ literal, sizeof(literal) - 1 })

/* -- trace.c ------------------------------------------------------------------------------------------------ */

/* Less than n, which is not 0. */
uint64_t sim_random(uint64_t n);
/* True once in n. */
bool sim_one_in(uint64_t n);
void trace_init(uint64_t seed);
extern bool trace_aloud; /* each step is told as it happens */
/* A step begins; what it is about. The text is a literal. */
void trace_step(const char *what, uint64_t a, uint64_t b);
/* Within it: an action of the core, a row, whatever shows in which way the run went. */
void trace_add(const char *what, uint64_t a, uint64_t b, uint64_t c);
uint64_t trace_hash(void);
void sim_fail(const char *invariant, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
#define SIM_CHECK(condition, invariant, ...)                                                                           \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            sim_fail(invariant, __VA_ARGS__);                                                                          \
    } while (0)

/* -- model.c: what is promised ------------------------------------------------------------------------------- */

/*
 *     FREE --submitted--> ASKED --taken--> WAITING <==back, retry/given==> GIVEN
 *     WAITING, GIVEN --it is fixed how it ends--> ENDING --it counts--> ENDED --rerun, kick--> WAITING
 *     any --refused, forgotten, lost with the daemon--> FREE
 */
enum place { FREE, ASKED, WAITING, GIVEN, ENDING, ENDED };
enum { STOP_ASKED = 1, STOP_ENDING = 2 }; /* why what runs is stopped */

struct m_task {
    enum place place;
    uint64_t id;         /* 0: not known yet */
    uint32_t generation; /* how often this struct was used: goes with the arguments */
    uint32_t user;
    uint64_t source; /* tasks of one source come in order: a client, or a restart */
    uint64_t whole;  /* of a part: its number; 0: it is none */
    uint32_t parts;  /* of a whole */
    uint32_t durability;
    bool idempotent, hold, after_any;
    bool cancel_it; /* it was, before it was accepted */
    bool cascades;  /* it may end with one of those */
    bool doomed;    /* one that it was to come after did not get done */
    bool strict;    /* its place in the order, and when it is ready, are known exactly */
    uint32_t attempts, retry_on;
    double priority;
    bool moved;       /* it came with another priority */
    uint32_t workers; /* bits 1 << id; 0: all */
    bool by_set;      /* the target is the set of its user: it is waited for */
    bool wait_target; /* ... as the workers are; else it ends when they are gone */
    uint64_t delay_us, deadline_us, backoff_us, keep_us, expire_in_us;
    uint64_t at_ms;     /* time of day before which it does not start; 0: none */
    uint64_t known_us;  /* when it was taken; 0: by another daemon */
    uint64_t ready_us;  /* not before this, ... */
    uint64_t surely_us; /* ... and by then */
    uint64_t expire_us; /* 0: never */
    uint64_t after[AFTER];
    uint32_t n_after, met; /* met: bits */
    uint32_t tag, key;     /* TAGS, KEYS: none */
    uint32_t function;
    uint32_t attempt, kills, losses;
    uint32_t worker; /* GIVEN: where */
    bool booked;     /* GIVEN: the row of its attempt is not written yet */
    bool running;
    bool finished; /* its attempt came to a good end */
    uint32_t stop; /* STOP_... */
    uint64_t given_us;
    uint32_t may;               /* bits 1 << enum task_shown: how it may end now */
    bool may_retry, must_leave; /* its attempt is over: again, or the end */
    uint32_t shown, told;       /* how it ended, and that somebody was told */
    uint64_t go_us;             /* ENDED: it may be forgotten then */
    uint64_t row;               /* the last one of it; of its end while ENDING */
    uint64_t new_row;
    bool read, forgotten; /* forgotten: on request */
    bool ran;             /* an attempt was given to a worker, and has not come back */
    bool exact;           /* after a restart: all that changed of it was recorded */
    uint64_t slack_us;    /* its times were recorded, in milliseconds */
    uint32_t at;          /* in live[] */
};

enum request_kind {
    R_SUBMIT,
    R_RESEND,
    R_RESULT,
    R_WAIT,
    R_CHANGE,
    R_PRIORITY,
    R_PAUSE,
    R_SET,
    R_OTHER,
    R_CALL,
    R_START,
    R_OPEN,
    R_RESTART,
    R_STOP,
    R_FATE,
    R_ARRAY
};
struct m_request {
    uint64_t id; /* 0: free */
    enum request_kind kind;
    uint32_t client; /* index */
    struct m_task *task;
    uint32_t generation; /* of the task; the handle of server tasks */
    uint64_t row;        /* it counts when this one is recorded */
    bool wait;
};

struct m_client {
    uint32_t id, user;
    uint64_t seq;   /* of the events it was sent */
    uint64_t watch; /* request */
    uint64_t source;
};

struct m_pause {
    bool on;
    uint64_t row; /* the last change */
};

struct frame {
    uint64_t task, call; /* call: the request; 0: it is a queued task */
    uint32_t slot, attempt;
    bool begun, revoked;
};
enum worker_life { W_NONE, W_STARTING, W_UP };
struct m_worker {
    enum worker_life life;
    bool killed, leaving, hangs, used; /* used: what it has run may have left traces */
    uint64_t cancelled_us;             /* when it was told to stop; 0: it was not */
    size_t n;
    struct frame frames[FRAMES];
};

/* What a world is like: by its seed. */
struct habits {
    bool breaker, ticks, sqlite, full, broken; /* ticks: also without need */
    uint32_t crash, power, kill, hang, priorities, steps, pool;
};

struct sim {
    struct core *core;
    struct core_limits limits;
    struct actions out;
    struct msg_decoder *decoder;
    struct habits habits;
    uint64_t seed, step, now, next_request, next_source;
    uint64_t zero_ms, right_ms, clock_ms; /* see clocks.c; right_ms: what zero_ms should be */
    uint64_t told_zero_ms;                /* by which times of day were looked at last */
    bool loaded, load_asked;              /* the module */
    bool ending;                          /* the daemon was asked to end, and does when what runs has */
    bool draining;                        /* the run: nothing new comes */
    const char *storage_failed;
    struct m_client clients[CLIENTS + USERS];
    struct m_worker workers[WORKER_IDS + 1];
    uint32_t last_worker, removed; /* removed: bits, on request */
    struct m_task tasks[TASKS_MAX];
    struct m_task *live[TASKS_MAX];
    uint32_t n_live;
    struct m_request requests[REQUESTS_MAX];
    uint32_t n_requests;
    struct m_pause pauses[USERS][TAGS + 1]; /* the last: of all */
    uint64_t rows;                          /* the number of the last one of this core */
    uint64_t seen;                          /* tasks of smaller numbers have been looked for */
    uint64_t fleeting;                      /* a task that nobody had the time to get to know */
    uint32_t booked[WORKER_IDS + 1];
    uint32_t sets[USERS]; /* the set of each; 0: it is not there */
    uint32_t set_members[USERS];
    struct {
        uint64_t submitted, accepted, refused, run, done, died, crashes, power, retried, cancelled, calls, items,
            kept_out;
    } count;
};
extern struct sim sim;

void model_init(void);
struct m_task *model_new(void);
void model_free(struct m_task *t);
struct m_task *model_find(uint64_t id);
/* Tasks have been made: which are they? They are known by what was sent with them. */
void model_discover(void);
struct m_task *model_by_args(const struct blob *args);
void model_row(const struct core_row *row);
void model_run(const struct action *a);
void model_event(const struct m_client *c, const struct msg_event *e);
/* Somebody was told how it ended. */
void model_told(uint64_t task, uint32_t shown);
/* It was taken back, or its worker ended before it began. */
void model_back(struct m_task *t, bool lost);
/* It is back in the queue from its end. */
void model_again(struct m_task *t);
/* It is being stopped, or taken out. */
void model_cancel(struct m_task *t);
/* The daemon takes nothing new, and runs nothing any more; hurry: and stops what runs. */
void model_drains(bool hurry);
bool model_late(const struct m_task *t);
/* Its attempt is over. */
void model_attempt_over(struct m_task *t, ptools_err code);
/* What time has brought, and what must be so after each turn. */
void model_turn(void);
/* The core says the same of everything. */
void model_check_all(void);
void model_check_task(struct m_task *t);
void model_waits(struct m_task *t);
uint64_t model_backoff(const struct m_task *t);
void model_delays(struct m_task *t, uint64_t delay_us);
bool model_journaled(const struct m_task *t);
bool model_ready(const struct m_task *t); /* and nothing is in its way */
bool model_may_go(const struct m_task *t);
void model_check_drained(void);
uint32_t model_in_queue(uint32_t user);
bool model_paused(const struct m_task *t);

/* -- restart.c ------------------------------------------------------------------------------------------------- */

/* The daemon has died; with power, the machine. */
void model_forget_daemon(bool power, uint64_t kept_row);
void model_check_restart(void);

/* -- clients.c ------------------------------------------------------------------------------------------------ */

void clients_add(void);
void client_comes(uint32_t index);
void client_goes(uint32_t index);
void client_acts(void);
struct m_request *client_asks(enum request_kind kind, uint32_t client, struct m_task *t);
/* What was asked for just now was refused; NULL: not, or not yet. */
const struct msg_failure *client_refusal(const struct m_request *r);
struct m_task *client_some_task(uint32_t user); /* or NULL */
/* submit.c */
void client_submits(uint32_t client);
void client_resends(uint32_t client);
void client_answer(const struct action *a);
void client_event(const struct action *a);
void clients_forget(void);
void clients_release_all(void);
void clients_forget_ended(void);

/* -- calls.c ------------------------------------------------------------------------------------------------- */

void calls_init(void);
void client_calls(uint32_t client);
void client_maps(uint32_t client);
void client_limits(uint32_t client);
void call_cancelled(uint64_t request);
void call_answered(uint64_t request, const struct msg_answer *a, const struct blob *payload);
/* Those of that client, which is gone. */
void calls_forget(uint32_t client);
/* As model_drains(). */
void calls_drain(bool hurry);
/* Which request it is. fresh: the process has done nothing yet. */
uint64_t call_run(const struct action *a, bool fresh);
void call_back(uint64_t request);
/* Whether the process is fresh no more. */
bool call_begin(uint64_t request);
/* It has done an item, and is at the next; false: that was all. */
bool call_goes_on(uint64_t request);
/* The core is told how far it is. */
void call_tells_items(uint32_t worker, uint64_t task, uint64_t request);
void call_looked(uint32_t worker, uint64_t task, uint64_t request, bool begun);
/* Its worker was told to stop it. */
void call_stopped(uint64_t request);
/* Its worker must have been told so by now; or it is to be taken back. */
bool call_must_stop(uint64_t request, bool begun);
void call_worker_removed(uint32_t worker);
void calls_turn(uint32_t idle);

/* -- pool.c -------------------------------------------------------------------------------------------------- */

void pool_changes(void);
uint32_t workers_there(void); /* bits */
uint32_t workers_of_a_set(uint32_t *members);
bool model_serves(const struct m_task *t, uint32_t worker);
/* All that it is for were removed. */
bool model_target_gone(const struct m_task *t);

/* -- arrays.c ------------------------------------------------------------------------------------------------ */

void arrays_forget(void);
void client_shares(uint32_t client);
void arrays_client_goes(uint32_t client);
void array_answered(uint64_t request, const struct msg_answer *answer);
void array_asked(const struct action *act);
void array_dropped(uint64_t id);
/* What was asked for is there, or cannot be. */
void memory_acts(void);
void arrays_turn(void);
/* At the end of the run: false: there are some. */
bool arrays_unlink_all(void);

/* -- servers.c ----------------------------------------------------------------------------------------------- */

void servers_forget(void);
void client_serves(uint32_t client);
void servers_client_goes(uint32_t client);
void servers_drain(bool hurry);
void servers_answered(enum request_kind kind, uint32_t tag, const struct msg_answer *a);
void servers_fate(uint64_t request, const struct msg_answer *a);
/* Its client has left. */
void servers_forget_request(uint64_t request);
void server_spawns(uint32_t process);
void server_stops(uint32_t process);
void server_killed(uint32_t process);
void server_cancels(uint32_t process, uint64_t call);
void server_call_killed(uint32_t process, uint64_t call);
void server_acts(void);
void servers_turn(void);
/* At the end of the run: false: there are some. */
bool servers_stop_all(void);

/* -- workers.c ------------------------------------------------------------------------------------------------ */

void worker_spawns(uint32_t id);
void worker_acts(uint32_t id);
void worker_dies(uint32_t id);
void worker_run(const struct action *a);
void worker_revoke(const struct action *a);
void worker_cancel(const struct action *a);
void worker_look(const struct action *a);
bool workers_quiet(void);

/* -- journal.c -------------------------------------------------------------------------------------------------- */

void journal_init(void);
void journal_deinit(void);
void journal_take(struct core_row *take);
/* A batch is written. */
void journal_writes(void);
bool journal_idle(void);
/* Rows up to this were told as recorded. */
uint64_t journal_told(void);
/* ... and up to this they are synced. */
uint64_t journal_synced(void);
/* What is left of it; then it begins anew. The last row that counts. */
uint64_t journal_dies(bool power);
/* What is there, told to the core. */
void journal_recovers(void);
/* Of a task, after journal_dies(). NULL: there is none. */
struct kept {
    struct core_row *row, *life;
};
const struct kept *journal_kept(uint64_t task);
bool journal_paused(uint32_t uid, const char *tag);

/* -- store.c: the real one, in worlds whose habit it is ------------------------------------------------------------ */

void store_begins(void);
void store_ends(void);
/* A batch. 0; STORE_FULL; negative: the disk has failed. full: there is room for some of it, or for none. */
int store_writes(struct core_row **rows, size_t n, bool full);
/* One of the next calls of the disk fails, or that and all after it. */
void store_breaks(void);
/* With this batch on its way. What is left is told; the last row of it that this life had put. */
uint64_t store_dies(bool power, struct core_row **rows, size_t n,
                    int (*loaded)(void *userdata, const struct core_row *task, const struct core_row *life, char *why));

/* -- clocks.c -------------------------------------------------------------------------------------------------- */

void clocks_init(void);
uint64_t clock_wall_ms(void);
/* The time of day is set. */
void clock_steps(void);
/* The machine starts anew, so much later. */
void clock_reboots(uint64_t outage_us);
/* The number of a daemon's first task. */
uint64_t clock_first_task(void);
/* By sim.now: when it is that time of day, if nobody sets it; 0: it was. */
uint64_t clock_when(uint64_t wall_ms);
/* How long ago that was, in us, as the journal tells time; 0: it was not yet. */
uint64_t clock_since(uint64_t recorded_ms);

/* -- sim.c -------------------------------------------------------------------------------------------------------- */

void sim_deliver(void);
void sim_run(uint64_t seed, uint64_t steps, bool sqlite);
const char *sim_tag(uint32_t tag);
static inline uint64_t bit(uint32_t n)
{
    return UINT64_C(1) << n;
}

#endif
