/* SPDX-License-Identifier: MIT */
/*
 * breaker -- see breaker.h.
 */
#include <inttypes.h>
#include <stdio.h>

#include "daemon/core/state.h"

static struct breaker *breaker_of(const struct qtask *q)
{
    struct breaker *b = NULL;

    if (q->user->breakers && q->function)
        HASH_FIND(hh, q->user->breakers, &q->function, sizeof q->function, b);
    return b;
}

static void breaker_free(struct core *core, struct breaker *b)
{
    HASH_DELETE(hh, b->user->breakers, b);
    heap_remove(&core->breaker_timers, &b->timer);
    backlog_deinit(core, &b->backlog);
    core->n_breakers--;
    free(b);
}

void user_drop_breakers(struct core *core, struct user *user)
{
    while (user->breakers)
        breaker_free(core, user->breakers);
}

/* One that bars nobody: that whose last kill is longest ago. NULL: there is none. */
static struct breaker *least_needed(struct user *user)
{
    struct breaker *b, *next, *found = NULL;

    HASH_ITER(hh, user->breakers, b, next)
        if (!b->open && b->backlog.n == 0 && (!found || b->killed_us[b->last] < found->killed_us[found->last]))
            found = b;
    return found;
}

/* NULL: no memory, or the user has as many as it may. */
static struct breaker *breaker_get(struct core *core, const struct qtask *q, struct actions *out)
{
    struct breaker *b = breaker_of(q);

    if (b)
        return b;
    if (HASH_COUNT(q->user->breakers) >= BREAKERS_MAX) {
        b = least_needed(q->user);
        if (!b)
            return NULL;
        breaker_free(core, b);
    }
    b = calloc(1, sizeof *b + core->limits.breaker_kills * sizeof *b->killed_us);
    if (!b || heap_reserve(&core->breaker_timers, core->n_breakers + 1) < 0) {
        free(b);
        out->no_memory = true;
        return NULL;
    }
    b->user = q->user;
    b->function = q->function;
    b->backlog.kind = BACKLOG_BREAKER;
    HASH_ADD(hh, q->user->breakers, function, sizeof b->function, b);
    if (!b->hh.tbl) {
        free(b);
        out->no_memory = true;
        return NULL;
    }
    core->n_breakers++;
    return b;
}

static void ring_at(struct core *core, struct breaker *b, uint64_t at_us)
{
    heap_remove(&core->breaker_timers, &b->timer);
    (void)heap_push(&core->breaker_timers, &b->timer, at_us); /* there is room */
}

/* -- what kills, and what does not ------------------------------------------------------------------------------- */

/* Those of its tasks that workers hold and have not begun. */
static void take_back(struct core *core, const struct breaker *b, const struct task *but, struct actions *out)
{
    for (uint32_t i = 0; i < core->n_workers; i++) {
        struct worker *w = core->workers[i];
        struct task *t, *next;

        if (w->state != WORKER_IDLE && w->state != WORKER_BUSY)
            continue;
        DL_FOREACH_SAFE2(w->booked, t, next, place_next)
            if (t->user == b->user && t->function == b->function)
                task_attempt_back(core, t, false, out);
        DL_FOREACH2(w->held, t, place_next)
            if (t != but && t->queued && t->user == b->user && t->function == b->function && t->state == TASK_GIVEN &&
                !t->begun)
                worker_recall(core, t, out);
    }
}

static void open_it(struct core *core, struct breaker *b, const struct qtask *q, uint64_t wait_us, struct actions *out)
{
    b->open = true;
    b->wait_us = MIN(wait_us, MAX(core->limits.breaker_wait_us, core->limits.breaker_wait_max_us));
    b->until_us = core->now_us + b->wait_us;
    ring_at(core, b, b->until_us);
    take_back(core, b, q->run, out);
    action_note(out, NOTE_BREAKER_OPENED, 0, 0,
                "queued tasks of user %" PRIu32 " killed %" PRIu32
                " workers in %s: its tasks of that function wait for %" PRIu64 " s",
                b->user->uid, b->n + b->reopened, b->function->name, b->wait_us / 1000000);
}

void breaker_killed(struct core *core, struct qtask *q, struct actions *out)
{
    const uint32_t kills = core->limits.breaker_kills;
    struct breaker *b = kills && q->function ? breaker_get(core, q, out) : NULL;

    if (!b)
        return;
    if (b->open) {
        if (!q->probe)
            return; /* it had begun before */
        b->reopened++;
        open_it(core, b, q, b->wait_us * 2, out);
        return;
    }
    b->last = (b->last + 1) % kills;
    b->n = MIN(b->n + 1, kills);
    b->killed_us[b->last] = core->now_us;
    if (b->n == kills && core->now_us - b->killed_us[(b->last + 1) % kills] <= core->limits.breaker_window_us)
        open_it(core, b, q, core->limits.breaker_wait_us, out);
}

void breaker_lived(struct core *core, struct qtask *q, struct actions *out)
{
    struct breaker *b = q->probe ? breaker_of(q) : NULL;

    if (!b || !b->open)
        return;
    b->open = false;
    b->n = b->reopened = 0;
    heap_remove(&core->breaker_timers, &b->timer);
    if (b->backlog.n > 0)
        ring_at(core, b, core->now_us);
    action_note(out, NOTE_BREAKER_CLOSED, 0, q->id, "the tasks of user %" PRIu32 " of %s go on", b->user->uid,
                b->function->name);
}

/* -- who waits ------------------------------------------------------------------------------------------------- */

static void make_probe(struct breaker *b, struct qtask *q)
{
    b->probe = q;
    q->probe = true;
}

void breaker_leave(struct core *core, struct qtask *q)
{
    struct breaker *b = breaker_of(q);

    q->probe = false;
    if (!b || b->probe != q)
        return;
    b->probe = NULL;
    b->kicked = false;
    if (b->open) /* it has shown nothing: the next one */
        ring_at(core, b, MAX(b->until_us, core->now_us));
}

bool breaker_holds(const struct core *core, const struct qtask *q)
{
    const struct breaker *b = q->probe ? NULL : breaker_of(q);

    return b && b->open && (b->probe || core->now_us < b->until_us || b->backlog.n > 0);
}

struct backlog *breaker_bars(struct core *core, struct qtask *q, bool placing)
{
    struct breaker *b = q->probe ? NULL : breaker_of(q);

    if (!b)
        return NULL;
    if (!b->open)
        return placing && !b->releasing && b->backlog.n > 0 ? &b->backlog : NULL;
    if (breaker_holds(core, q))
        return &b->backlog;
    heap_remove(&core->breaker_timers, &b->timer);
    make_probe(b, q);
    return NULL;
}

static struct qtask *best_of(const struct breaker *b)
{
    return CONTAINER_OF(b->backlog.lanes->heap.v[0].node, struct qtask, wait_node); /* there is one lane: its user's */
}

bool breaker_kick(struct core *core, struct qtask *q, struct actions *out)
{
    struct breaker *b = breaker_of(q);

    if (!b || !b->open || q->state != QT_QUEUED || (b->probe && (b->kicked || b->probe->state == QT_GIVEN)))
        return false;
    if (b->probe)
        b->probe->probe = false; /* where it is, it is barred as others are */
    make_probe(b, q);
    b->kicked = true;
    heap_remove(&core->breaker_timers, &b->timer);
    if (q->lane->backlog == &b->backlog)
        qtask_place(core, q, out);
    return true;
}

/* How many of them; the rest in the next turn. */
static unsigned release(struct core *core, struct breaker *b, unsigned most, struct actions *out)
{
    unsigned n = 0;

    b->releasing = true;
    for (; n < most && b->backlog.n > 0 && !out->no_memory; n++)
        qtask_place(core, best_of(b), out);
    b->releasing = false;
    if (b->backlog.n > 0)
        ring_at(core, b, core->now_us);
    return n;
}

void breakers_due(struct core *core, struct actions *out)
{
    unsigned left = BREAKER_SLICE;
    struct heap_node *node;

    while (left > 0 && (node = heap_top(&core->breaker_timers)) &&
           heap_top_key(&core->breaker_timers) <= core->now_us) {
        struct breaker *b = CONTAINER_OF(node, struct breaker, timer);

        heap_remove(&core->breaker_timers, node);
        if (!b->open) {
            left -= release(core, b, left, out);
        } else if (!b->probe && b->backlog.n > 0) {
            struct qtask *q = best_of(b);

            make_probe(b, q);
            qtask_place(core, q, out); /* if it cannot run now, the timer rings for the next one */
            left--;
        }
    }
}

/* -- and why ----------------------------------------------------------------------------------------------------- */

bool breaker_why(const struct core *core, const struct qtask *q, char text[256])
{
    const struct breaker *b = breaker_of(q);
    const uint64_t wall_s = core_shown_ms(core, core_time_ms(core)) / 1000;
    uint64_t left_s, at_s;
    size_t n;

    if (!b || !b->open || q->probe)
        return false;
    n = (size_t)snprintf(text, 256, "its function has killed %" PRIu32 " workers in the last %" PRIu64 " s", b->n,
                         core->limits.breaker_window_us / 1000000);
    if (b->reopened)
        n = (size_t)snprintf(text, 256,
                             "its function had killed %" PRIu32 " workers, and has killed one each of the %" PRIu32
                             " times it was tried again",
                             b->n, b->reopened);
    if (b->probe && b->probe->state == QT_GIVEN) {
        snprintf(text + n, 256 - n, "; task %" PRIu64 " is tried now: this one goes on if that kills none",
                 b->probe->id);
    } else if (b->probe) {
        snprintf(text + n, 256 - n, "; task %" PRIu64 " is tried first", b->probe->id);
    } else if (b->until_us <= core->now_us) {
        snprintf(text + n, 256 - n, "; it is tried again now");
    } else {
        left_s = (b->until_us - core->now_us + 999999) / 1000000;
        at_s = (wall_s + left_s) % 86400;
        snprintf(text + n, 256 - n, "; it is tried again at %02u:%02u:%02u UTC, in %" PRIu64 " s",
                 (unsigned)(at_s / 3600), (unsigned)(at_s / 60 % 60), (unsigned)(at_s % 60), left_s);
    }
    return true;
}
