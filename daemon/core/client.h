/* SPDX-License-Identifier: MIT */
/*
 * client -- who asks: connections, and the users behind them, to whom everything is charged.
 */
#ifndef CORE_CLIENT_H
#define CORE_CLIENT_H

/* A uid. Lives as long as it has a client, a task, a set or a pause. */
struct user {
    uint32_t uid;
    uint32_t n_clients;
    uint32_t n_tasks;
    uint32_t n_sets;
    uint32_t n_arrays;
    uint32_t n_stasks;      /* processes of server tasks */
    uint64_t bytes;         /* of the arguments of its tasks */
    uint64_t shm_bytes;     /* of its arrays */
    uint32_t n_queued;      /* queued tasks that have not ended */
    uint64_t queue_bytes;
    uint32_t n_kept;        /* queued tasks that have ended */
    uint64_t kept_bytes;
    uint32_t n_dead;        /* of these */
    uint32_t n_hidden;      /* sets that are targets of its queued tasks */
    uint32_t n_watchers;    /* of all its clients */
    struct qkey *keys;      /* of its queued tasks, those that it chose, by key */
    struct qsession *sessions; /* by next, the one used last at the end */
    uint32_t n_sessions;
    uint32_t n_pins;        /* by functions that still need it */
    uint32_t n_given;       /* of its queued tasks, at workers now */
    uint64_t last_served;   /* core.served when it was given one */
    struct lane *lanes;     /* by user_next */
    struct breaker *breakers; /* by function; at most BREAKERS_MAX */
    struct pause *pauses;   /* oldest first; at most PAUSES_MAX */
    uint32_t n_pauses;
    struct qtask *ended;    /* its queued tasks that have, and may be forgotten for others: oldest first, by next ... */
    struct qtask *staying;  /* ... and may not */
    struct blocked *blocked; /* submissions that wait for room, oldest first */
    uint32_t n_blocked;
    bool unblocking;
    uint64_t blocked_bytes;
    uint64_t recovered_turn[TURNS]; /* of what came from the journal, as from one client */
    struct set *named;      /* its sets that have a name, by name */
    UT_hash_handle hh;
};

struct client {
    uint32_t id;
    struct user *user;
    struct task *tasks;     /* that it waits for, and detached ones that it started; by client_next */
    struct set *anonymous;  /* its sets without a name, by owner_next */
    struct array *arrays;   /* that end with it, by owner_next */
    struct stasks *stasks;  /* that end with it, by owner_next */
    struct hold *holds;     /* arrays that it maps, by holder_next */
    uint64_t turn[TURNS];   /* of its last tasks, by priority: see backlog.h */
    struct watcher *watchers; /* by client_next */
    struct worker *inside;  /* whose process it is in, see nested.h; NULL: none */
    uint32_t stask;         /* the number of the server task's process that it is in; 0: none */
    uint64_t outer;         /* the task that runs there; 0: none */
    struct client *inside_prev, *inside_next; /* in worker.clients */
    UT_hash_handle hh;
};

/* The user of this uid, made if need be. 0 or -ENOMEM. */
int user_get(struct core *core, uint32_t uid, struct user **ret);
struct client *client_find(const struct core *core, uint32_t id);
/* Whether n more queued tasks of so many bytes are more than the user may have: which limit, and how they stand. */
struct excess {
    const char *limit_name;
    uint64_t use, limit, asked;
};
bool queue_exceeded(const struct core *core, const struct user *user, uint64_t n, uint64_t bytes, struct excess *ret);
/* The request is answered so, with the time after which it may be worth trying again. */
void queue_refuse(const struct core *core, uint32_t client, uint64_t request, const struct excess *e,
                  struct actions *out);
/* Nothing of it is left: no task, no set, no array, no server task. */
void client_free(struct core *core, struct client *c);
/* Frees the user if nothing is left of it. */
void user_release(struct core *core, struct user *user);

#endif
