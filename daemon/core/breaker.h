/* SPDX-License-Identifier: MIT */
/*
 * breaker -- a function that kills its workers waits, so that the pool has something left for the others.
 *
 *     closed --so many kills in the window--> open --its time has come--> one task is tried: the probe
 *     probe: its worker outlived it --> closed; it killed it too --> open, twice as long; neither --> the next probe
 *
 * One for each user and each function of which a queued task has killed a worker. While it is open, the tasks of that
 * function of that user stay QUEUED, but in the breaker's own backlog, which no worker serves. They come there when
 * they would have been given, or placed, not when it opens: so that opening costs nothing, however many there are;
 * and they leave it in slices. All other tasks, and calls, know nothing of it.
 *
 * A probe is an ordinary task that the breaker lets pass: it is in the backlog of its target, or at a worker. It is
 * the best of those that wait, or, at once, one that is kicked. There is one at a time.
 */
#ifndef CORE_BREAKER_H
#define CORE_BREAKER_H

enum { BREAKERS_MAX = 64, BREAKER_KILLS_MAX = 100, BREAKER_SLICE = 4096 };

struct breaker {
    struct user *user;
    const struct function *function;
    struct backlog backlog;       /* the tasks that wait for it, once they were looked at */
    struct heap_node timer;       /* in core.breaker_timers: the next probe, or the next slice to leave */
    struct qtask *probe;          /* QUEUED or GIVEN; NULL: none */
    bool open, kicked, releasing; /* kicked: the probe was */
    uint32_t reopened;            /* how often in a row */
    uint64_t wait_us, until_us;
    UT_hash_handle hh;    /* in user.breakers, by function */
    uint32_t n, last;     /* kills that are remembered; the place of the last one */
    uint64_t killed_us[]; /* breaker_kills of them, a ring */
};

/* An attempt of q killed its worker; or it came to its end by itself, well or not, and its worker lives. */
void breaker_killed(struct core *core, struct qtask *q, struct actions *out);
void breaker_lived(struct core *core, struct qtask *q, struct actions *out);
/* A probe is at no worker and in no backlog any more. */
void breaker_leave(struct core *core, struct qtask *q);
/* Where q waits for its breaker, although there is a worker: NULL: nowhere. It may become the probe by this question.
 * placing: it comes to the others of its kind, and not before them. */
struct backlog *breaker_bars(struct core *core, struct qtask *q, bool placing);
/* Whether it has to wait: the same, and nothing changes. */
bool breaker_holds(const struct core *core, const struct qtask *q);
/* It is the probe now, before its time. false: it need not, or another is being tried. */
bool breaker_kick(struct core *core, struct qtask *q, struct actions *out);
/* Probes whose time has come, and tasks that wait no longer. */
void breakers_due(struct core *core, struct actions *out);
/* false: it does not wait for one. */
bool breaker_why(const struct core *core, const struct qtask *q, char text[256]);
void user_drop_breakers(struct core *core, struct user *user);

#endif
