/* SPDX-License-Identifier: MIT */
/*
 * set -- worker sets: their members, whose turn it is, and the queue of those that are first free.
 *
 * A set without a name belongs to its client. When that leaves while detached tasks are still in the set,
 * it stays, for nobody to see, until the last of them has ended.
 */
#ifndef CORE_SET_H
#define CORE_SET_H

enum set_mode { SET_RR = 1, SET_FF = 2 };

struct set {
    uint32_t id; /* 0: all workers */
    enum set_mode mode;
    struct user *user;      /* NULL: of core.all */
    struct client *client;  /* of one without a name */
    bool orphan;            /* its client left */
    uint32_t pins;          /* functions that still need it */
    bool hidden;            /* made for the target of queued tasks: goes with them */
    char name[NAME_BYTES_MAX + 1];
    uint32_t n;
    uint32_t *ids;          /* of the members, in the order given */
    struct worker **members;
    uint64_t has[WORKERS_MAX / 64]; /* a bit for each worker.index */
    uint32_t cursor;        /* round robin: the index of the member whose turn it is */
    struct queue queue;     /* first free: what waits */
    struct backlog backlog; /* first free: what waits of queued tasks */
    struct qtask *queued;   /* all queued tasks for it, by next */
    uint64_t n_queued;      /* tasks of the set in any queue */
    struct task *tasks;     /* all that have not ended, oldest first, by set_next */
    struct set *waiting_prev, *waiting_next; /* in core.waiting while queue is not empty */
    struct set *owner_prev, *owner_next;     /* in client.anonymous */
    UT_hash_handle hh, hh_name;
};

int set_init_all(struct core *core);
void set_deinit_all(struct core *core);
/* The one that a client means: by name, or by number (0: all). NULL: there is none for it. */
struct set *set_find(const struct core *core, const struct client *client, struct text name, uint32_t id);
/* Without members. name absent: it belongs to the client. 0 or -ENOMEM. */
int set_new(struct core *core, struct client *client, struct text name, struct set **ret);
/* One for the target of queued tasks: nobody sees it, and it goes with the last of them. NULL: no memory. */
struct set *set_new_hidden(struct core *core, struct user *user, struct worker *const *members, uint32_t n);
/* New members and mode; the round starts at the first. 0, or -ENOMEM and nothing changed. */
int set_fill(struct set *s, struct worker *const *members, uint32_t n, enum set_mode mode);
/* Frees one that is an orphan, if nothing is left of it. */
void set_release(struct core *core, struct set *s);
/* It must have no tasks. */
struct set *set_free(struct core *core, struct set *s);
/* Its waiting tasks end, those at workers forget it, and it goes. */
void set_end(struct core *core, struct set *s, struct actions *out);
/* Its members have changed: what waits is dealt out anew, in order, or ends. */
void set_redeal(struct core *core, struct set *s, struct actions *out);
bool set_has(const struct set *s, const struct worker *w);
/* There must be room for one more member. */
void set_join(struct set *s, struct worker *w);
/* The worker is out of every set; waiting tasks of sets that are left without a member end. */
void sets_lose_worker(struct core *core, const struct worker *w, struct actions *out);
/* Round robin: the member whose turn it is, and one further. The set must have members. */
struct worker *set_next(struct set *s);

#endif
