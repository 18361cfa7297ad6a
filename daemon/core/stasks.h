/* SPDX-License-Identifier: MIT */
/*
 * stasks -- server tasks: handles of n processes that keep their state from call to call.
 *
 *     STARTING --ready--> MAPPING --mapped all--> UP --stop--> STOPPING --gone--> DEAD
 *     each but DEAD --gone--> DEAD --restart--> STARTING
 *
 * The calls themselves do not pass here: they go from caller to process by a lane. The core knows who lives, whose
 * they are, and what became of a call that a death cut off (its fate, stasks_fate.c). A process that could not be made
 * at all is asked for again, a few times; one that died while it came up ends the start, and the handle with it.
 *
 * A handle belongs to the client that started it and ends with it; one with a name is nobody's, and stays until
 * it is stopped or the daemon ends. Its arrays end when its last process is gone.
 */
#ifndef CORE_STASKS_H
#define CORE_STASKS_H

enum stask_state { STASK_DEAD, STASK_STARTING, STASK_MAPPING, STASK_UP, STASK_STOPPING };

/* A request about server tasks that is answered later. */
struct stask_waiter {
    uint32_t client;
    uint64_t request;
    uint64_t call;             /* of a fate; of a restart: the first process that it started */
    struct stask_waiter *next;
};

struct stask {
    struct stasks *handle;
    uint32_t index;
    enum stask_state state;
    uint32_t process;          /* its number, or that of the last one; each process has a new one */
    int32_t pid;
    uint32_t n_mapped;         /* of the handle's arrays */
    uint32_t losses;           /* processes that could not be made */
    bool killed;               /* SIGKILL was sent */
    struct heap_node timer;    /* in core.stask_timers: SIGKILL is due, for the process or for a call */
    uint64_t stopping_call;    /* only while this one runs; 0: whatever it does */
    struct hold *holds;
    /* of the last death */
    struct msg_failure fate;   /* its texts are copies of its own, in one block: */
    char *fate_texts;
    uint32_t fate_process;     /* which died; 0: none has */
    struct core_calls fate_calls;
    char why[256];             /* "server task 1 (pid 4711) was killed by signal 11 (...)"; "": it never died */
    struct stask_waiter *fates;
    struct heap_node fate_timer; /* in core.fate_timers: they are not to wait longer */
    UT_hash_handle hh;         /* in core.processes, while it has a process */
};

struct stasks {
    uint64_t id;
    struct user *user;
    struct client *owner;      /* NULL: it has a name */
    char name[NAME_BYTES_MAX + 1], prefix[NAME_BYTES_MAX + 1];
    bool stopping;             /* it ends with its last process */
    bool up;                   /* it has been: a death does not end it any more */
    struct stask_waiter *starter;  /* start or restart that waits until all are up */
    struct stask_waiter *stoppers;
    uint32_t n_arrays;
    struct array *arrays[STASKS_ARRAYS_MAX];
    struct stasks *owner_prev, *owner_next; /* in client.stasks */
    UT_hash_handle hh;
    uint32_t n;
    struct stask tasks[];
};

struct stask *stask_by_process(const struct core *core, uint32_t process);
struct stasks *stasks_find(const struct core *core, uint64_t id);
/* Array number index of the handle, if this uid may use that; NULL. */
struct array *stasks_array(const struct core *core, uint32_t uid, uint64_t id, uint32_t index);
/* Each finishes what it runs and goes; after kill_us SIGKILL (CORE_NEVER: not). The handle may be gone afterwards. */
void stasks_stop(struct core *core, uint64_t now_us, struct stasks *s, uint64_t kill_us, bool politely,
                 struct actions *out);
void stasks_of_client_end(struct core *core, uint64_t now_us, struct client *c, struct actions *out);
void stasks_drain(struct core *core, uint64_t now_us, bool hurry, struct actions *out);
void stasks_due(struct core *core, uint64_t now_us, struct actions *out);
void stasks_deinit(struct core *core);

/* -- between stasks.c and stasks_request.c -- */

/* A new process for each that has none. */
void stasks_spawn(struct core *core, struct stasks *s, struct actions *out);
/* NULL: no memory. The arrays are looked at by the caller. */
struct stasks *stasks_new(struct core *core, struct client *client, uint32_t n, const struct msg_stasks *m);
/* 0 or -ENOMEM. */
int stask_wait(struct stask_waiter **list, uint32_t client, uint64_t request, uint64_t call);
void stask_set_timer(struct core *core, struct stask *t, uint64_t at_us, uint64_t call);
void stask_waiters_free(struct stask_waiter **list);

/* -- stasks_fate.c -- */

/* Tells it of call w->call that this process was given, now or later. */
void fate_ask(struct core *core, uint64_t now_us, struct stask *t, uint32_t process, const struct stask_waiter *w,
              struct actions *out);
/* Of the processes of a handle that there is not any more: the call may have run. */
void fate_of_none(struct core *core, uint32_t process, const struct stask_waiter *w, const char *why,
                  struct actions *out);
/* A process is gone: all who asked are told. The texts of facts are borrowed until out is carried out. */
void fate_of_death(struct core *core, struct stask *t, uint32_t process, const struct msg_failure *facts,
                   const struct core_calls *calls, struct actions *out);
void fates_due(struct core *core, uint64_t now_us, struct actions *out);

#endif
