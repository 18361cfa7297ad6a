/* SPDX-License-Identifier: MIT */
/*
 * qtask_describe -- what is taken from a submission: where the task may run, when, how often, and after which others.
 * The same for one that comes from a client and one that comes from the journal.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <ptools/module.h>

#include "daemon/core/state.h"

/* -- where ------------------------------------------------------------------------------------------------------- */

static bool is_host(const struct core *core, const struct text *name)
{
    for (size_t i = 0; core->host_names && core->host_names[i]; i++)
        if (strlen(core->host_names[i]) == name->n && strncasecmp(core->host_names[i], name->data, name->n) == 0)
            return true;
    return false;
}

bool qtask_on_this_host(const struct core *core, const struct msg_submit *m)
{
    for (uint32_t i = 0; i < m->n_hosts; i++)
        if (is_host(core, &m->hosts[i]))
            return true;
    return false;
}

struct worker *qtask_worker(const struct core *core, uint32_t id)
{
    struct worker *w = worker_find(core, id);

    return w && w->leave != LEAVE_REMOVED ? w : NULL;
}

/* The workers of the list that there are, each once, in core.scratch: how many. */
static uint32_t list_members(struct core *core, const struct msg_submit *m)
{
    struct worker **members = core->scratch;
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->n_workers && n < core->limits.workers_max; i++) {
        struct worker *w = qtask_worker(core, m->workers[i]);
        bool twice = false;

        for (uint32_t k = 0; k < n; k++)
            twice |= members[k] == w;
        if (w && !twice)
            members[n++] = w;
    }
    return n;
}

static struct set *find_hidden(const struct core *core, const struct user *user, uint32_t n)
{
    for (struct set *s = core->sets; s; s = s->hh.next) {
        uint32_t same = 0;

        if (!s->hidden || s->user != user || s->n != n)
            continue;
        while (same < n && set_has(s, core->scratch[same]))
            same++;
        if (same == n)
            return s;
    }
    return NULL;
}

/* A set of exactly these, first free, shared by all queued tasks that are for them. 0 or -ENOMEM; *ret NULL: none of
 * them is there. */
static int hidden_set(struct core *core, struct user *user, const struct msg_submit *m, struct set **ret)
{
    const uint32_t n = list_members(core, m);

    *ret = n ? find_hidden(core, user, n) : NULL;
    if (*ret || n == 0)
        return 0;
    *ret = set_new_hidden(core, user, core->scratch, n);
    return *ret ? 0 : -ENOMEM;
}

bool qtask_needs_set(struct core *core, const struct user *user, const struct msg_submit *m)
{
    const uint32_t n = m->n_workers > 1 ? list_members(core, m) : 0;

    return n > 0 && !find_hidden(core, user, n);
}

/* The user's set, whichever client of it asks: after a restart there is none. */
static struct set *user_set(struct core *core, struct user *user, const struct msg_submit *m)
{
    struct set *s = NULL;

    if (m->set.data)
        HASH_FIND(hh_name, user->named, m->set.data, m->set.n, s);
    else if (m->set_id)
        HASH_FIND(hh, core->sets, &m->set_id, sizeof m->set_id, s);
    return s && s->user == user && !s->hidden && !s->orphan ? s : NULL;
}

int qtask_find_set(struct core *core, struct qtask *q, const struct msg_submit *spec)
{
    struct set *s = NULL;
    int r = 0;

    if (spec->n_workers)
        r = hidden_set(core, q->user, spec, &s);
    else
        s = user_set(core, q->user, spec);
    if (!s)
        return r;
    q->set = s;
    DL_APPEND(s->queued, q);
    return 0;
}

void qtask_leave_set(struct core *core, struct qtask *q)
{
    struct set *set = q->set;

    if (!set)
        return;
    q->set = NULL;
    DL_DELETE(set->queued, q);
    set_release(core, set);
}

/* -- what is kept of it ------------------------------------------------------------------------------------------ */

/* Of a whole the parts expire: it has not begun as long as it waits for them, whatever they do. */
static void set_expiry(struct core *core, struct qtask *q, const struct msg_submit *m, uint64_t since_us)
{
    if (m->expire_ms && q->x && !q->is_parent)
        q->x->expire_us = core->now_us + (m->expire_ms * 1000 > since_us ? m->expire_ms * 1000 - since_us : 1);
}

void qtask_set_start(struct core *core, struct qtask *q, const struct msg_submit *m)
{
    const uint64_t now_ms = core_shown_ms(core, core_time_ms(core));

    q->by_clock = m->start_ms > now_ms;
    if (q->by_clock)
        q->due_us = core->now_us + (m->start_ms - now_ms) * 1000;
}

void qtask_set_delay(struct core *core, struct qtask *q, const struct msg_submit *m, uint64_t since_us)
{
    if (m->delay_ms && m->delay_ms * 1000 > since_us)
        q->due_us = core->now_us + m->delay_ms * 1000 - since_us;
    qtask_set_start(core, q, m);
    set_expiry(core, q, m, since_us);
}

static uint64_t queued_since_us(const struct core *core, const struct qtask *q)
{
    const uint64_t now_ms = core_time_ms(core);

    return now_ms > q->queued_ms ? (now_ms - q->queued_ms) * 1000 : 0;
}

void recover_expiry(struct core *core, struct qtask *q, const struct msg_submit *spec)
{
    set_expiry(core, q, spec, queued_since_us(core, q));
}

void recover_delay(struct core *core, struct qtask *q, const struct msg_submit *spec)
{
    qtask_set_delay(core, q, spec, queued_since_us(core, q));
}

void qtask_learn_function(struct qtask *q, struct function *f, const struct msg_submit *spec)
{
    q->function = f;
    q->idempotent |= f && (f->flags & PTOOLS_FN_IDEMPOTENT);
    q->attempts = (uint16_t)(spec->attempts ? spec->attempts : q->idempotent ? 3 : 1);
}

int qtask_describe(struct core *core, struct qtask *q, const struct msg_submit *m, uint64_t parent)
{
    q->priority = m->has_priority ? m->priority : INFINITY;
    q->durability = (uint8_t)(m->durability ? m->durability : TASK_VOLATILE);
    q->retry_on = (uint8_t)(m->retry_on ? m->retry_on : RETRY_DIED);
    q->hold = m->hold && m->target != TARGET_ALL; /* its parts are held */
    q->idempotent = m->idempotent;
    qtask_learn_function(q, q->function, m);
    q->has_times = m->deadline_ms > 0 || m->grace_ms > 0;
    q->is_command = function_is_command(&m->function);
    q->has_after = m->n_after > 0;
    q->has_result_max = m->result_max > 0;
    q->is_parent = m->target == TARGET_ALL;
    q->only_worker = m->n_workers == 1 ? m->workers[0] : 0;
    q->in_set = m->n_workers > 1 || m->set.data || m->set_id;
    q->host = m->n_hosts > 0 && qtask_on_this_host(core, m);
    if (m->n_hosts > 0 && !q->host) /* unknown: as a worker that is not there */
        q->only_worker = m->any_target ? 0 : UINT32_MAX;
    if ((m->expire_ms || parent || q->is_parent) && !qtask_extra(q))
        return -ENOMEM;
    if (parent)
        q->x->parent = parent;
    if (m->key.data && qtask_add_key(core, q, m->key, m->key_passing) < 0)
        return -ENOMEM;
    return q->in_set ? qtask_find_set(core, q, m) : 0;
}

static int add_edge(struct qtask *first, struct qtask *then, uint32_t index, bool any, bool keep)
{
    struct qedge *e = qtask_extra(first) && qtask_extra(then) ? calloc(1, sizeof *e) : NULL;

    if (!e)
        return -ENOMEM;
    e->first = first;
    e->then = then;
    e->index = (uint8_t)index;
    e->any = any;
    e->keep = keep;
    DL_APPEND2(first->x->before, e, first_prev, first_next);
    DL_APPEND2(then->x->after, e, then_prev, then_next);
    return 0;
}

void qtask_met(struct core *core, struct qtask *q, uint64_t bits, struct actions *out)
{
    if (!qtask_journaled(q) || !bits)
        return;
    if (!qtask_extra(q)) {
        out->no_memory = true;
        return;
    }
    q->x->met |= bits;
    if (qtask_accepted(q))
        record_life(core, q, false, PENDING_NOTHING, out);
}

/* Whether what has ended so is not what the one that waits for it was to come after. */
static bool fails(const struct qedge *e)
{
    return e->first->state == QT_ENDED && e->first->shown != SHOWN_DONE && !e->any && !e->keep;
}

int qtask_connect(struct core *core, struct qtask *q, const struct msg_submit *m, struct actions *out)
{
    uint64_t met = 0;

    for (uint32_t i = 0; i < m->n_after; i++) {
        struct qtask *first = qtask_find(core, m->after[i]);

        if (q->x && q->x->met >> i & 1)
            continue;
        if (!first || first->user != q->user || first == q)
            continue; /* it was forgotten, so it had ended */
        if (first->state == QT_ENDED && (m->after_any || first->shown == SHOWN_DONE))
            met |= UINT64_C(1) << i;
        else if (add_edge(first, q, i, m->after_any, m->after_keep) < 0)
            return -ENOMEM;
    }
    if (met && qtask_journaled(q) && !qtask_extra(q))
        return -ENOMEM;
    qtask_met(core, q, met, out);
    return 0;
}

void qtask_follow_failed(struct core *core, struct qtask *q, struct actions *out)
{
    const struct qedge *e;

    if (q->after_gone) {
        qtask_end_text(core, q, SHOWN_CANCELLED, PTOOLS_ERR_DEPENDENCY, out,
                       "a task that had to come first was forgotten, and had not got done");
        return;
    }
    for (e = q->x ? q->x->after : NULL; e && !fails(e); e = e->then_next)
        ;
    if (e)
        qtask_end_text(core, q, SHOWN_CANCELLED, PTOOLS_ERR_DEPENDENCY, out,
                       "task %" PRIu64 ", which had to come first, is %s", e->first->id,
                       task_shown_name(e->first->shown));
}

void qtask_after_gone(struct core *core, struct qtask *q, uint64_t first, struct actions *out)
{
    char text[120];

    if (q->state == QT_HELD) { /* as if it had come now */
        snprintf(text, sizeof text, "after: no queued task %" PRIu64 ": it was forgotten", first);
        qtask_refused(core, q, PTOOLS_ERR_NO_TASK, text, out);
        return;
    }
    q->after_gone = true;
    record_life(core, q, false, PENDING_NOTHING, out); /* before it is recorded that the first was forgotten */
}

/* Those that are not there any more have got done, and were forgotten then: else this one would have ended. */
static void connect_recovered(struct core *core, struct qtask *q, struct actions *out)
{
    struct msg_submit spec;

    qtask_spec(core, q, &spec);
    if (qtask_connect(core, q, &spec, out) < 0)
        out->no_memory = true;
    else
        qtask_follow_failed(core, q, out);
}

void qtask_reconnect(struct core *core, struct qtask *q, struct actions *out)
{
    struct qtask *parent = q->x && q->x->parent ? qtask_find(core, q->x->parent) : NULL;

    if (parent && parent->x && parent->is_parent) {
        parent->x->parts = MAX(parent->x->parts, (uint32_t)(q->id - parent->id));
        if (parent->state == QT_WAITING && q->state != QT_ENDED)
            parent->x->parts_left++;
        else if (q->state == QT_ENDED && q->shown != SHOWN_DONE)
            parent->x->parts_failed++;
    }
    if (q->state == QT_WAITING && !q->is_parent && !q->was_running && q->attempt == 0 && !q->rerun)
        connect_recovered(core, q, out);
}
