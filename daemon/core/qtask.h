/* SPDX-License-Identifier: MIT */
/*
 * qtask -- a queued task on its way: its states, and what is known of it as long as it is known.
 *
 *     NEW --hold--> HELD --record--> RECORDING --accept--> WAITING <==wait/ready==> QUEUED --give--> GIVEN
 *     NEW --record--> RECORDING, NEW and HELD --accept--> WAITING: one that is volatile
 *     GIVEN --back--> WAITING: it did not begin; --wait--> WAITING: it will be tried again
 *     WAITING, QUEUED, GIVEN --end--> ENDING --settle--> ENDED --rerun--> WAITING
 *
 * HELD: its module is being loaded, to see whether it has the function. RECORDING: it is on its way to the journal,
 * and not accepted yet. WAITING: for a time, other tasks, a target, a module, a release, or (target all) its parts.
 * QUEUED: in one backlog. GIVEN: a struct task, its attempt, is booked at or given to a worker. ENDING: how it ended is
 * on its way to the journal. ENDED: shown as done, failed, timeout, cancelled, expired, dead or lost; until it is
 * forgotten. These are the states of reliability's table: DELAYED is WAITING, DISPATCHED and RUNNING are GIVEN (booked
 * or in line at a worker, and running), and the ends are told apart by `shown`.
 *
 * qtask_step() alone changes the state. A volatile task passes RECORDING and ENDING by.
 */
#ifndef CORE_QTASK_H
#define CORE_QTASK_H

enum qtask_state { QT_NEW, QT_HELD, QT_RECORDING, QT_WAITING, QT_QUEUED, QT_GIVEN, QT_ENDING, QT_ENDED, QT_STATES };
enum qtask_event { QE_HOLD, QE_RECORD, QE_ACCEPT, QE_WAIT, QE_READY, QE_GIVE, QE_BACK, QE_END, QE_SETTLE, QE_RERUN,
                   QTASK_EVENTS };

/* WATCHES_MAX, of a user: more than it has connections, for each `ptools run` has one. */
enum { DEAD_KILLS = 3, KEPT_SLICE = 256, WATCHES_MAX = 1024, BLOCKED_MAX = 1024, WATCHERS_MAX = 1 << 18,
       PAUSES_MAX = 64, WALL_STEP_MS = 100 };
enum life_flags {
    LIFE_HOLD = 1, LIFE_IDEMPOTENT = 2, LIFE_MAYBE_EXECUTED = 4, LIFE_RERUN = 8, LIFE_READ = 16, LIFE_AFTER_GONE = 32,
    LIFE_STOPPING = 64
};

/* How it ended. */
struct qend {
    ptools_err code;
    bool maybe_executed;
    uint32_t worker, attempt;
    uint64_t ended_ms;
    uint64_t number;       /* 1, 2, ... for each end */
    struct blob *outcome; /* the envelope of its MSG_REPLY or MSG_ERROR, id 1 */
    struct blob *value;   /* NULL: none */
};

/* A task waits for another. */
struct qedge {
    struct qtask *first, *then;
    uint8_t index;            /* in the list of the submission of `then` */
    bool any, keep;           /* as that said */
    uint64_t looked_at;       /* the end of first (qend.number) after which it was, and it waits on */
    struct qedge *first_prev, *first_next; /* in first's list */
    struct qedge *then_prev, *then_next;   /* in then's list */
};

/* What most tasks do not have. */
struct qextra {
    uint64_t parent;          /* 0: it is no part */
    uint32_t parts, parts_left, parts_failed;
    struct qedge *after, *before; /* what it waits for, by then_next; what waits for it, by first_next */
    uint64_t met;             /* of its `after`, a bit each: not waited for any more, though it may be run anew */
    struct watcher *watchers; /* who waits for its end, by task_next */
    uint64_t expire_us;
    struct qkey *key;         /* one that its user chose; NULL: none */
    struct module *module;    /* while HELD */
    struct qtask *held_prev, *held_next; /* in module.queued_held */
};

struct qtask {
    uint64_t id;
    struct user *user;
    struct blob *spec;        /* the envelope as it was submitted; decode with qtask_spec() */
    struct blob *args;        /* NULL: none */
    struct function *function; /* NULL: not known, see qtask_spec() */
    struct qextra *x;         /* NULL: nothing of it */
    double priority;
    uint64_t turn;
    struct heap_node wait_node; /* in lane.heap while QUEUED */
    struct heap_node timer;   /* in core.queue_timers: due, expiry, or the end of its keeping */
    union {
        struct lane *lane;    /* while QUEUED */
        struct task *run;     /* while GIVEN */
        struct qend *end;     /* ENDING, ENDED */
    };
    struct qtask *prev, *next; /* in set.queued while it is for a set; in user.ended or .staying while ENDED */
    struct set *set;          /* of that kind; NULL: not, or not found yet */
    uint64_t queued_ms, started_ms;
    uint64_t due_us;          /* not before; 0: at once */
    uint32_t only_worker;     /* the target is this one; 0: not */
    uint32_t worker;          /* that had it last */
    uint16_t attempt, attempts;
    uint8_t kills, losses;
    uint8_t state, shown;     /* enum qtask_state; once it ends: enum task_shown */
    uint8_t durability, retry_on;
    bool hold : 1, idempotent : 1, is_command : 1, has_times : 1, has_result_max : 1, has_after : 1, is_parent : 1,
        in_set : 1,
        host : 1, gone : 1, was_read : 1, rerun : 1, changed : 1, announced : 1,
        recovered : 1, stopping : 1, was_running : 1, stays : 1, passed : 1,
        by_clock : 1,         /* its first attempt waits for a time of day */
        probe : 1;            /* its breaker tries it */
    bool after_gone : 1; /* before it was accepted one that had to come first, and did not get done, was forgotten */
};

enum qtask_state qtask_next(enum qtask_state state, enum qtask_event event);
const char *qtask_state_name(enum qtask_state state);
bool qtask_step(struct core *core, struct qtask *q, enum qtask_event event, struct actions *out);
static inline bool qtask_journaled(const struct qtask *q)
{
    return q->durability >= TASK_CRASHSAFE;
}
static inline bool qtask_accepted(const struct qtask *q)
{
    return q->state >= QT_WAITING;
}

/* -- qtask.c: life and places -------------------------------------------------------------------- */

struct qtask *qtask_new(struct core *core, struct user *user, uint64_t id, struct blob *spec, struct blob *args);
/* Into the table; ids rise. 0 or -ENOMEM. */
int qtask_register(struct core *core, struct qtask *q);
/* Out of everything. Its memory stays until the next event, for those who are still looking at it (gone). */
struct qtask *qtask_free(struct core *core, struct qtask *q);
void qtasks_reap(struct core *core);
struct qtask *qtask_find(const struct core *core, uint64_t id);
/* The place in the table of the first whose number is at least id; there may be a hole. */
size_t queue_table_at(const struct core *core, uint64_t id);
/* The first whose id is larger; NULL: none. */
struct qtask *qtask_after(const struct core *core, uint64_t id);
/* The last of this user that is accepted; NULL: none. ret_looks: at so many it was looked for. */
struct qtask *qtask_newest(const struct core *core, const struct user *user, size_t *ret_looks);
/* What this user may see: its own, once accepted. */
struct qtask *qtask_of(const struct core *core, const struct user *user, uint64_t id);
/* Decodes its spec into *ret: valid until the next use. */
void qtask_spec(struct core *core, const struct qtask *q, struct msg_submit *ret);
/* Its extra, made if need be; NULL: no memory. */
struct qextra *qtask_extra(struct qtask *q);
/* Frees it, if nothing is in it any more. */
void qtask_trim(struct qtask *q);
void qtasks_deinit(struct core *core);
uint32_t qtask_shown(const struct qtask *q);
/* Now, in ms since 1970, by a clock that nobody sets: as what is recorded has it; and such a time by the clock of
 * today (0 stays 0). */
uint64_t core_time_ms(const struct core *core);
uint64_t core_shown_ms(const struct core *core, uint64_t time_ms);

/* -- qtask_keys.c -- */

/* The one of this key, accepted or not; passing: a key that was made to send a submission once more. */
struct qtask *qtask_by_key(struct core *core, const struct user *user, struct text key, bool passing);
/* 0 or -ENOMEM. */
int qtask_add_key(struct core *core, struct qtask *q, struct text key, bool passing);
void qtask_drop_key(struct qtask *q);
uint64_t qtask_keys(const struct core *core); /* how many were chosen by users */
void user_drop_sessions(struct core *core, struct user *user);
void sessions_deinit(struct core *core);

/* -- qtask_describe.c -- */

/* The set of its target, if it is there now. 0 or -ENOMEM: nobody knows whether it is. */
int qtask_find_set(struct core *core, struct qtask *q, const struct msg_submit *spec);
/* Whether there would be one more set for a list of workers. */
bool qtask_needs_set(struct core *core, const struct user *user, const struct msg_submit *spec);
void qtask_leave_set(struct core *core, struct qtask *q);
/* The worker of that id, unless it is being removed; whether this host is one of those named. */
struct worker *qtask_worker(const struct core *core, uint32_t id);
bool qtask_on_this_host(const struct core *core, const struct msg_submit *spec);
/* Takes from the submission what is kept outside of the spec. The queued task is in the table. 0 or -ENOMEM. */
int qtask_describe(struct core *core, struct qtask *q, const struct msg_submit *spec, uint64_t parent);
/* What its function says of it counts as if the submission said so. f NULL: not known. */
void qtask_learn_function(struct qtask *q, struct function *f, const struct msg_submit *spec);
/* When it may run, and when it expires, having been submitted so long ago. */
void qtask_set_delay(struct core *core, struct qtask *q, const struct msg_submit *spec, uint64_t since_us);
/* By the time of day, as it is now. */
void qtask_set_start(struct core *core, struct qtask *q, const struct msg_submit *spec);
/* It waits for those that it is to come after, as far as they have not done so. 0; -ENOMEM. */
int qtask_connect(struct core *core, struct qtask *q, const struct msg_submit *m, struct actions *out);
/* It ends, if one of them has ended otherwise than it had to. */
void qtask_follow_failed(struct core *core, struct qtask *q, struct actions *out);
/* It is on its way, and one that had to come first and did not get done is being forgotten. */
void qtask_after_gone(struct core *core, struct qtask *q, uint64_t first, struct actions *out);
/* The bits of its `after` are met, and stay so: also when that is run again, and after a restart. The task waits, or is
 * on its way: then they are recorded when it is accepted. */
void qtask_met(struct core *core, struct qtask *q, uint64_t bits, struct actions *out);
/* The edges and parts of one that was recovered. */
void qtask_reconnect(struct core *core, struct qtask *q, struct actions *out);
/* Its delay, as far as it is not over: after a restart. */
void recover_expiry(struct core *core, struct qtask *q, const struct msg_submit *spec);
void recover_delay(struct core *core, struct qtask *q, const struct msg_submit *spec);

/* -- qtask_submit.c -- */

/* It is known that its module has the function, or that it has not. */
void qtasks_follow_module(struct core *core, struct module *m, struct actions *out);
void qtask_accepted_now(struct core *core, struct qtask *q, struct actions *out);
void qtask_refused(struct core *core, struct qtask *q, ptools_err code, const char *why, struct actions *out);
/* There is room in the queue of the user: who was blocked goes on. */
void user_unblock(struct core *core, struct user *user, struct actions *out);

/* -- qtask_blocked.c: submissions that wait for room -- */

struct blocked {
    struct client *client;
    uint64_t request;
    struct blob *spec, *args;
    struct blocked *prev, *next; /* in user.blocked */
};

/* 0 or -ENOMEM. */
int blocked_add(struct client *c, uint64_t request, struct blob *spec, struct blob *args);
void blocked_free(struct blocked *b);
void blocked_free_client(struct core *core, struct client *c);
/* One that waits for room is answered so, and goes. false: there is none of that request. */
bool blocked_cancel(struct client *c, uint64_t request, ptools_err code, const char *why, struct actions *out);
bool blocked_in_use(const struct client *c, uint64_t request);
void blocked_drain(struct core *core, struct actions *out);

/* -- qtask_run.c: from waiting to the worker and back -- */

/* Room where it will wait, as far as that is known: 0 or -ENOMEM. */
int qtask_reserve(struct core *core, struct qtask *q);
/* It may have become ready, or not be any more: to where it belongs. */
void qtask_place(struct core *core, struct qtask *q, struct actions *out);
/* All that wait for something that may have come: a worker, a set, a module. */
void qtasks_place_parked(struct core *core, struct actions *out);
/* There are new workers, from this id on: they are for whom they were named, also if it has others to wait for. */
void qtasks_follow_workers(struct core *core, uint32_t first, struct actions *out);
/* A worker takes it. */
void qtask_give(struct core *core, struct worker *w, struct qtask *q, struct actions *out);
/* Its attempt did not begin: it was taken back, or its worker ended. lost: that. */
void qtask_back(struct core *core, struct qtask *q, bool lost, struct actions *out);
/* Its attempt is over. */
void qtask_attempt_done(struct core *core, struct qtask *q, const struct core_value *value,
                        const struct msg_failure *took, struct actions *out);
void qtask_attempt_failed(struct core *core, struct qtask *q, const struct msg_failure *f, struct actions *out);
/* The row of this number, of its attempt, is written. */
void qtask_give_booked(struct core *core, uint64_t number, uint64_t task, struct actions *out);
/* When the next attempt is due. */
void qtask_retry(struct core *core, struct qtask *q);
/* How long it may be to wait: at first, or before its next attempt. */
uint64_t qtask_longest_wait_us(const struct qtask *q, const struct msg_submit *spec);
/* What is booked at this worker goes back. */
void worker_unbook_all(struct core *core, struct worker *w, struct actions *out);
/* Whether it may run there. */
bool qtask_serves(const struct core *core, const struct qtask *q, const struct worker *w);
void qtasks_due(struct core *core, struct actions *out);
/* The time of day is another: what waits for one is due sooner, or later. */
void qtasks_clock_set(struct core *core);
void qtasks_drain(struct core *core, struct actions *out);
/* The worker, or the set, is no more. */
void backlog_dissolve(struct core *core, struct backlog *b, struct actions *out);
void set_lose_queued(struct core *core, struct set *s, struct actions *out);
/* Its members are others now. */
void set_redeal_queued(struct core *core, struct set *s, struct actions *out);

/* -- qtask_end.c -- */

/* The end: facts->code PTOOLS_OK: it is done; of its facts the log and the run time are kept. */
void qtask_end(struct core *core, struct qtask *q, uint32_t shown, const struct msg_failure *facts, struct blob *value,
               struct actions *out);
void qtask_end_text(struct core *core, struct qtask *q, uint32_t shown, ptools_err code, struct actions *out,
                    const char *format, ...) __attribute__((format(printf, 6, 7)));
/* How it ended is where it must be. */
void qtask_settle(struct core *core, struct qtask *q, struct actions *out);
/* What is left to do of what ended and was recorded in earlier turns. */
void qtasks_go_on(struct core *core, struct actions *out);
void qtask_forget(struct core *core, struct qtask *q, struct actions *out);
void qtask_unend(struct core *core, struct qtask *q);
/* A whole whose parts may all have ended: then it has. */
void qtask_whole_ended(struct core *core, struct qtask *q, struct actions *out);
/* The whole of a part, as long as it has not ended; else NULL. */
struct qtask *qtask_whole_of(const struct core *core, const struct qtask *part);
/* What one that has ended takes of the limit user_kept_bytes_max. */
uint64_t qtask_kept_bytes(const struct qtask *q);
/* It is among the ended ones from now on; and is not any more. */
void qtask_keep(struct core *core, struct qtask *q, struct actions *out);
void qtask_unkeep(struct qtask *q);
/* Whether one that has ended may be forgotten to make room. */
bool qtask_may_go(const struct core *core, const struct qtask *q);
void qtask_answer_end(struct core *core, struct qtask *q, uint32_t client, uint64_t request,
                      struct actions *out);
/* The oldest ends go, if there are too many; and who is blocked goes on, if there is room. */
void user_keep_less(struct core *core, struct user *user, struct actions *out);
struct qend *qend_free(struct qend *end);

/* -- qtask_wait.c: who waits for what, and who watches -- */

struct watcher {
    struct qtask *task;
    struct client *client;
    uint64_t request;
    struct wait *wait;        /* of several tasks; NULL: it wants the result of this one, or: */
    bool accept;              /* it waits for the task to be accepted ... */
    bool result;              /* ... and then for the result: whoever gives that up gives up the task */
    bool duplicate;           /* ... and was not the first */
    struct watcher *task_prev, *task_next;     /* in qextra.watchers */
    struct watcher *client_prev, *client_next; /* in client.watchers */
    struct watcher *wait_prev, *wait_next;     /* in wait.watchers */
    struct asked *asked;      /* of one without a wait */
};
/* The client is told the result when it is there; or, before it is accepted, that it is. NULL: no memory. */
struct watcher *qtask_watch(struct core *core, struct qtask *q, struct client *c, uint64_t request);
/* Of the request, if it waits; one of several. */
struct watcher *watcher_find(struct core *core, const struct client *c, uint64_t request);
/* The request is answered so, and waits no more. */
void watcher_refuse(struct core *core, struct watcher *w, ptools_err code, const char *why, struct actions *out);
/* Over the limit of a user: answered so. */
bool watchers_over(const struct client *c, uint64_t request, uint32_t more, struct actions *out);
/* It is accepted, or (code) refused: who waits for that is told. */
void watchers_accepted(struct core *core, struct qtask *q, struct actions *out);
void watchers_refused(struct core *core, struct qtask *q, ptools_err code, const char *why, struct actions *out);
/* It has ended: all who wait are told. */
void watchers_tell(struct core *core, struct qtask *q, struct actions *out);
void watchers_free_client(struct core *core, struct client *c);
void watchers_free_task(struct core *core, struct qtask *q);
void watcher_drop(struct core *core, struct watcher *w);
void event_emit(struct core *core, struct qtask *q, enum task_event_kind event, ptools_err code, struct actions *out);
void queued_wait(struct core *core, struct client *c, uint64_t request, const struct msg_task *m, struct actions *out);
void queued_events(struct core *core, struct client *c, uint64_t request, const struct msg_task *m,
                   struct actions *out);
void queued_events_end(struct core *core, struct client *c, uint64_t request, const struct msg_task *m,
                       struct actions *out);
bool spec_has_tag(const struct msg_submit *spec, const char *tag);
bool request_in_use(const struct core *core, const struct client *c, uint64_t request);

/* -- qtask_change.c -- */
void qtask_cancel(struct core *core, struct qtask *q, struct actions *out);
/* False: what is to be cancelled is no queued task, and no wait for one. */
bool queued_cancel(struct core *core, struct client *c, uint64_t request, const struct msg_cancel *cancel,
                   struct actions *out);
void queued_change(struct core *core, struct client *c, uint64_t request, const struct msg_task *m,
                   struct actions *out);

/* -- qtask_pause.c -- */

struct pause {
    char tag[NAME_BYTES_MAX + 1]; /* "": of all tasks of the user */
    struct pause *prev, *next;    /* in user.pauses */
};
/* What keeps it from being begun; NULL: nothing. */
const struct pause *qtask_paused(struct core *core, const struct qtask *q);
/* tag.n 0: the whole queue. */
void queued_pause(struct core *core, struct client *c, uint64_t request, bool paused, struct text tag,
                  struct actions *out);
void user_drop_pauses(struct user *user);

/* -- qtask_why.c -- */
void qtask_why(struct core *core, struct qtask *q, char text[256]);

/* -- qtask_record.c: what the journal is told, and what it says -- */

enum pending_kind { PENDING_ACCEPT, PENDING_GIVE, PENDING_SETTLE, PENDING_ANSWER, PENDING_NOTHING };
struct pending {
    uint64_t number, task;
    enum pending_kind kind;
    uint32_t client;          /* PENDING_ANSWER, with what follows */
    uint64_t request;
    uint32_t count, skipped, state;
};
/* A row goes out; what waits for it happens in core_recorded(). */
/* more: the next row belongs to it. */
void record_new(struct core *core, struct qtask *q, bool more, enum pending_kind then, struct actions *out);
void record_life(struct core *core, struct qtask *q, bool durable, enum pending_kind then, struct actions *out);
/* That somebody has asked how it ended: for a later daemon, and nobody waits for it. */
void record_read(struct core *core, struct qtask *q, struct actions *out);
/* All rows since that number are one: none is there without the others. */
void record_as_one(struct core *core, uint64_t since, struct actions *out);
/* The answer to a request that has changed something: when all that it made is recorded. since: the number of the last
 * row before it. */
void record_answer(struct core *core, uint64_t since, uint32_t client, uint64_t request, const struct msg_reply *reply,
                   struct actions *out);
/* What was recorded, and that not all has been made of yet: the rest of it, as much as there is room for. */
bool records_left(const struct core *core);
void records_go_on(struct core *core, struct actions *out);
void record_forget(struct core *core, const struct qtask *q, struct actions *out);
void record_pause(struct core *core, const struct user *user, bool paused, struct text tag, struct actions *out);

#endif
