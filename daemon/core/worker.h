/* SPDX-License-Identifier: MIT */
/*
 * worker -- a slot of the pool: the states of the process in it, and the tasks that it was given.
 *
 *     STARTING --ready--> IDLE <==give/empty==> BUSY --interrupt--> STOPPING --empty--> IDLE, --resume--> BUSY
 *                          |                                           |
 *                        leave                                        kill
 *                          v                                           v
 *                       LEAVING --kill--> KILLED  <--------------------+
 *     each of them --gone--> DEAD --spawn--> STARTING
 *
 * Only an idle or busy one gets tasks. STOPPING: a task that had begun was told to stop; it has until the
 * timer. LEAVING: it was asked to end (recycled or removed). KILLED: SIGKILL was sent. DEAD: no process,
 * a new one is due at the timer. A slot that is removed is freed once its process is gone.
 *
 * The control page has a slot for each task given; a slot whose task was taken back stays taken until the
 * worker has passed over it.
 */
#ifndef CORE_WORKER_H
#define CORE_WORKER_H

enum worker_state {
    WORKER_STARTING, WORKER_IDLE, WORKER_BUSY, WORKER_STOPPING, WORKER_LEAVING, WORKER_KILLED, WORKER_DEAD,
    WORKER_STATES
};
enum worker_event {
    EV_SPAWN, EV_READY, EV_GIVEN, EV_EMPTY, EV_INTERRUPT, EV_RESUME, EV_LEAVE, EV_KILL, EV_GONE,
    WORKER_EVENTS
};
enum leave { LEAVE_NOT, LEAVE_RECYCLE, LEAVE_FRESH, LEAVE_REMOVED };
#define TRACES_OF_MANY UINT64_MAX

struct worker {
    uint32_t id;
    uint32_t index;             /* its bit in sets: below workers_max, used again after it */
    int32_t pid;
    enum worker_state state;
    enum leave leave;           /* it is to end: gets nothing more */
    uint32_t stands_for;        /* it is a stand-in of this worker, see nested.h; 0: it is none */
    struct client *clients;     /* in its process, by inside_next */
    struct task *nested;        /* calls that the tasks it runs wait for, by nested_next */
    struct queue queue;         /* tasks bound to it */
    struct backlog backlog;     /* queued tasks for it alone */
    struct task *held;          /* given, in the order given, by place_next */
    uint32_t n_held;
    struct task *booked;        /* attempts that are about to be given, by place_next: their rows are being written */
    uint32_t n_booked;
    uint32_t n_long;            /* of both, those that are not short */
    uint64_t usual_us;          /* of the short ones, together */
    uint64_t oldest;            /* the first of held; 0: none */
    uint64_t since_us;          /* when it became the first */
    bool late;                  /* the first has been taking long: nothing is given behind it */
    uint64_t free_slots;        /* a bit each */
    uint64_t revoked_slots;
    uint64_t slot_task[PAGE_SLOTS];
    uint64_t slot_serial[PAGE_SLOTS]; /* which of them was given first */
    uint64_t serial;
    struct heap_node timer;     /* in core.timers */
    uint64_t backoff_us;        /* the last pause; 0 again once a task was done */
    bool outdated;              /* what this process has loaded is old: it is to be replaced */
    uint32_t tasks;             /* that this process ended */
    uint64_t traces;            /* that it may have of what it was given: 0: none; else of the init function of that run
                                   alone, or TRACES_OF_MANY */
    uint32_t rss_kb, fds;       /* as last reported */
    uint64_t done, deaths, recycled; /* of the slot */
    struct hold *holds;         /* arrays that the process maps, by holder_next */
    struct worker *idle_prev, *idle_next;
};

/* The state that follows, WORKER_STATES if that step is impossible. For tests of the table. */
enum worker_state worker_next(enum worker_state state, enum worker_event event);
const char *worker_state_name(enum worker_state state);
/* Puts it into or out of the list of idle ones, and stops its timer. false: impossible, ACT_BUG was added. */
bool worker_step(struct core *core, struct worker *w, enum worker_event event, struct actions *out);

/* One that is no stand-in: those alone have names, and are in sets. */
struct worker *worker_find(const struct core *core, uint32_t id);
/* In core.workers, core.all, and DEAD. NULL: no memory. There must be room for one. */
struct worker *worker_new(struct core *core);
/* It holds nothing, nothing waits for it, it is in no set. */
struct worker *worker_free(struct core *core, struct worker *w);
void worker_spawn(struct core *core, struct worker *w, struct actions *out);
void worker_set_timer(struct core *core, struct worker *w, uint64_t at_us);

/* Keeps a slot for a new attempt, to be given later. */
void worker_book(struct core *core, struct worker *w, struct task *t, struct actions *out);
/* Takes a waiting task, a new attempt, or one that is booked there; it must be ready for one. */
void worker_give(struct core *core, uint64_t now_us, struct worker *w, struct task *t, struct actions *out);
/* A task leaves its list; task_step() calls them. */
void worker_drop(struct core *core, struct task *t);
void worker_unbook(struct core *core, struct task *t);
/* The slot of a task that was taken back is free. false: there is none such. */
bool worker_skipped(struct worker *w, uint64_t task);
struct task *worker_held(const struct worker *w, uint64_t task);
/* Asks for everything back that may not have begun, but for one task (NULL: none). */
void worker_recall_all(struct core *core, struct worker *w, const struct task *but, struct actions *out);
void worker_recall(struct core *core, struct task *t, struct actions *out);
/* To be called when what it holds has changed: is it idle, is the next one its first, may it leave? */
void worker_settle(struct core *core, uint64_t now_us, struct worker *w, struct actions *out);
/* Its process is gone: so are its slots. */
void worker_forget_slots(struct worker *w);

/* -- recycle.c -- */

/* Which limit it is over, as a sentence; false: none. */
bool worker_recycle_reason(const struct core *core, const struct worker *w, char text[128]);
/* Begins to replace it, when a limit says so and no other is being replaced. */
void worker_recycle_if_due(struct core *core, uint64_t now_us, struct worker *w, struct actions *out);
/* One has been replaced: is there another? */
void workers_recycle_next(struct core *core, uint64_t now_us, struct actions *out);

/* Whether nothing that its process was given could be seen by the items of this isolated batch, but for what the init
 * function of their own run has made. */
bool worker_clean_for(const struct worker *w, const struct task *t);
/* It is given t. */
void worker_mark(struct worker *w, const struct task *t);
/* An idle one that is not clean for t: a fresh process is made, and t waits for it. */
void worker_make_fresh(struct core *core, uint64_t now_us, struct worker *w, struct task *t, struct actions *out);
/* That may take long: what waits for it and could run elsewhere does so. */
void worker_fresh_fails(struct core *core, struct worker *w, struct actions *out);

static inline bool worker_may_take(const struct worker *w)
{
    return (w->state == WORKER_IDLE || w->state == WORKER_BUSY) && w->leave == LEAVE_NOT && w->free_slots != 0;
}

#endif
