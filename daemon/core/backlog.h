/* SPDX-License-Identifier: MIT */
/*
 * backlog -- where queued tasks wait for a worker: one backlog for each worker, for each set that takes the first that
 * is free, for the host, and all that is in common for `any` in the set of all workers. (And where they wait although
 * there are workers: see breaker.h.)
 *
 * A backlog has a lane for each user; a lane is a heap by rank: the priority, then the turn, then the number. The
 * turn is what keeps one client's flood from starving another's few: each task of a client is a turn behind the one
 * before it, but never before the turn that its user is at. So of clients with equal priorities each is served in
 * turn, and each one's tasks in the order in which they were queued; with one client that is first come, first served.
 * Which turn that is, each lane knows for itself, by what the workers that serve it were given, and for each priority
 * by itself: who queues one task for an idle worker, or with a priority, behind a thousand others, is served at once,
 * and that says nothing of whose turn it is among the thousand. (Priorities share TURNS counters by a hash; the default
 * has one alone.)
 *
 * Which user comes next is decided first, and not by priority: the one who has least running, then the one who
 * waited longest.
 */
#ifndef CORE_BACKLOG_H
#define CORE_BACKLOG_H

enum { TURNS = 32 };
enum backlog_kind { BACKLOG_WORKER, BACKLOG_SET, BACKLOG_HOST, BACKLOG_BREAKER };

struct lane {
    struct backlog *backlog;
    struct user *user;
    struct heap heap;               /* of qtask.wait_node, by rank */
    uint64_t turn[TURNS];           /* that it is at, by priority */
    struct lane *prev, *next;       /* in backlog.lanes */
    struct lane *user_prev, *user_next; /* in user.lanes */
};

struct backlog {
    enum backlog_kind kind;
    union {
        struct worker *worker;
        struct set *set;
    };
    uint64_t n;                     /* tasks in all lanes */
    struct lane *lanes;
    struct backlog *prev, *next;    /* in core.backlogs while n > 0 */
};

void backlog_deinit(struct core *core, struct backlog *b); /* it must be empty */
/* The user goes: so do its lanes, which are empty. */
void backlog_forget_user(struct user *user);
/* Room for one more of the user: 0 or -ENOMEM. */
int backlog_reserve(const struct core *core, struct backlog *b, struct user *user);
/* 0; -ENOMEM: nothing changed. */
int backlog_add(struct core *core, struct backlog *b, struct qtask *q);
void backlog_remove(struct core *core, struct qtask *q);
/* From the backlog where it is to this one. 0; -ENOMEM: nothing changed. */
int backlog_move(struct core *core, struct backlog *b, struct qtask *q);
/* The turn of one that comes. made: the last turns of those that come from there, by priority. */
uint64_t turn_next(struct core *core, const struct qtask *q, uint64_t made[TURNS]);
/* It is given to this worker. */
void turn_reached(const struct qtask *q, const struct worker *w);
/* Its priority has changed. */
void backlog_rerank(struct core *core, struct qtask *q);
bool backlog_serves(const struct backlog *b, const struct worker *w);
/* What this worker is to run next; NULL: nothing. */
struct qtask *backlog_best(const struct core *core, const struct worker *w);
/* How many of its user's come before it, wherever a worker that may run it could take them. O(n). */
uint64_t backlog_ahead_of(const struct core *core, const struct qtask *q);

#endif
