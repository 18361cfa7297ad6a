/* SPDX-License-Identifier: MIT */
/*
 * task -- one call on its way: its states, and the one place where it is.
 *
 *            +--hold--> HELD ---queue---+          +---------queue---------------+
 *     NEW ---+                          +--> WAITING --give--> GIVEN --recall--> RECALLED
 *            +---------queue------------+    |  ^  |            |  ^----kept-------+ |
 *                                            queue |            stop                stop
 *                                           (other |            v                    |
 *                                            queue)|          STOPPING <-------------+
 *     NEW --book--> BOOKED --give--> GIVEN, NEW --give--> GIVEN: attempts of queued tasks (qtask.h)
 *     each of them --end--> ENDED
 *
 * HELD: its module is being loaded. WAITING: in one queue. BOOKED: has its place at a worker, and is given when the
 * journal has it. GIVEN: to a worker, which may have begun it.
 * RECALLED: ACT_REVOKE is on its way. STOPPING: it has begun and was told to stop. A worker that dies
 * sends a GIVEN or RECALLED task that had not begun back to WAITING.
 *
 * task_step() alone changes the state; when that changes the place, it takes the task out of the old
 * one. The caller puts it into the new one at once (module, queue.h, worker.h).
 */
#ifndef CORE_TASK_H
#define CORE_TASK_H

enum task_state {
    TASK_NEW, TASK_HELD, TASK_WAITING, TASK_BOOKED, TASK_GIVEN, TASK_RECALLED, TASK_STOPPING, TASK_ENDED,
    TASK_STATES
};
enum task_event { EV_HOLD, EV_QUEUE, EV_BOOK, EV_GIVE, EV_RECALL, EV_KEPT, EV_STOP, EV_END, TASK_EVENTS };

enum stop { STOP_NONE, STOP_CANCEL, STOP_DEADLINE, STOP_ITEM, STOP_CLIENT_GONE, STOP_DRAIN };

struct task_key {
    uint64_t client, request;
};

struct task {
    uint64_t id;
    uint64_t rank; /* the smaller one goes first: its number, or that of another of its user (queue.c) */
    double priority;            /* of a call; +infinity: none */
    enum task_state state;
    enum stop stop;             /* why it is to end */
    struct user *user;
    struct qtask *queued;       /* whose attempt this is; NULL: a call, or that has let it go */
    bool is_attempt;
    uint64_t progress;          /* as last told to those who watch */
    uint64_t row;               /* while booked: it is given when this row is written */
    struct client *client;      /* NULL: nobody waits for it */
    struct task_key key;        /* in core.requests while in_requests */
    bool in_requests;
    bool detached;
    bool begun;                 /* its worker would not give it back */
    bool is_short;              /* when it was given */
    uint32_t attempt;           /* 0: never given */
    uint32_t losses;            /* workers that ended after they were given it and before they began it */
    struct function *function;  /* NULL while held */
    char *wanted;               /* while held: the name of the function */
    struct module *module;      /* while held */
    struct blob *payload;
    uint32_t depth;             /* of nested calls, and the outermost of them has 1; 0: it is none, see nested.h */
    uint64_t outer;             /* the task that made it; 0: none is known */
    struct worker *lender;      /* runs outer, which waits for it; NULL */
    struct array *args;         /* holds the arguments instead; NULL: none */
    struct array *room;         /* that its value may be put into; NULL: none */
    struct array *made;         /* made for its value; NULL: none */
    struct batch *batch;        /* NULL: it is none */
    uint64_t args_bytes, large;
    struct set *set;            /* NULL: it was destroyed meanwhile */
    uint32_t pinned;            /* the worker that was asked for; 0: any */
    uint32_t bound;             /* the worker that it waits for: pinned, or dealt by round robin; 0: none */
    struct queue *queue;        /* while waiting */
    struct heap_node queue_node, nested_node;
    struct urgent *urgent;      /* while waiting with a priority: among those of its user */
    struct heap_node urgent_node;
    struct worker *worker;      /* while booked, given, recalled, stopping */
    uint32_t slot;
    uint64_t usual_us;          /* of its function, when it was given, if is_short */
    uint64_t deadline_ms;
    uint64_t grace_us;          /* from the request to stop to SIGKILL; 0: that comes without a request */
    struct heap_node deadline_node;
    struct task *place_prev, *place_next;   /* in module.held, worker.booked or worker.held */
    struct task *client_prev, *client_next;
    struct task *set_prev, *set_next;
    struct task *nested_prev, *nested_next; /* in lender.nested */
    UT_hash_handle hh, hh_request;
};

/* The state that follows, TASK_STATES if that step is impossible. For tests of the table. */
enum task_state task_next(enum task_state state, enum task_event event);
const char *task_state_name(enum task_state state);
/* false: impossible, ACT_BUG was added and nothing changed. */
bool task_step(struct core *core, struct task *t, enum task_event event, struct actions *out);

/* In no place, in no table but the client's and the set's; charged to the user. NULL: no memory. */
struct task *task_new(struct core *core, struct client *client, struct set *set, const struct msg_call *call,
                      struct blob *payload);
/* An attempt of a queued task: in the table, with the number of that, and in no place. NULL: no memory. */
struct task *task_new_attempt(struct core *core, struct qtask *q);
/* It did not begin: it goes, and the queued task back to where it waits. lost: its worker ended. */
void task_attempt_back(struct core *core, struct task *t, bool lost, struct actions *out);
/* Into the tables, with its number. 0, or -ENOMEM and it is in none of them. */
int task_register(struct core *core, struct task *t, uint64_t request);
/* Out of everything, whatever its state, without a word to anybody. */
struct task *task_free(struct core *core, struct task *t);
struct task *task_find(const struct core *core, uint64_t id);
struct task *task_find_request(const struct core *core, uint32_t client, uint64_t request);
/* It needs the arrays of its arguments and its value no more; one that was made for a value and is not delivered
 * ends. Before task_free(). */
void task_release_arrays(struct core *core, struct task *t, struct actions *out);
/* Its client gets no answer any more. */
void task_forget_client(struct core *core, struct task *t);
const char *task_function_name(const struct task *t);
void tasks_deinit(struct core *core);

/* -- the end of a task: the answer, the counters, the note; t is gone afterwards -- */

void task_succeed(struct core *core, struct task *t, const struct core_value *value, const struct msg_failure *took,
                  struct actions *out);
/* facts: what the worker left behind (its message is used, borrowed, if format is NULL); NULL: it never ran. */
void task_fail(struct core *core, struct task *t, ptools_err code, const struct msg_failure *facts, bool maybe_executed,
               struct actions *out, const char *format, ...) __attribute__((format(printf, 7, 8)));
/* Its function cannot be called: the module is missing or broken, or has none of that name. */
void task_refuse_function(struct core *core, struct task *t, struct actions *out);
/* It ends as t->stop says. */
void task_end_stopped(struct core *core, struct task *t, const struct msg_failure *facts, bool maybe_executed,
                      struct actions *out);
/* Answers a detached one: it is known that it can run. */
void task_accept(struct core *core, struct task *t, struct actions *out);

/* -- queues (queue.c) -- */

/* The queue where it belongs. Deals it to a worker if it is round robin's turn. PTOOLS_OK, or why there is none. */
ptools_err task_route(struct core *core, struct task *t, struct queue **ret);
/* Says so to the client, for a code of task_route(). */
void task_fail_route(struct core *core, struct task *t, ptools_err code, struct actions *out);
/* 0, or -ENOMEM and nothing changed. The task is in no place, or waits in another queue. */
int task_enqueue(struct core *core, struct task *t, struct queue *q, struct actions *out);
/* To its queue, from wherever it is; false: it cannot run any more and has ended. */
bool task_requeue(struct core *core, struct task *t, struct actions *out);
void queue_remove(struct core *core, struct task *t);
struct task *queue_top(const struct queue *q);
/* The top, after the best by priority of the user whose turn it is was put there. */
struct task *queue_next(struct queue *q);

#endif
