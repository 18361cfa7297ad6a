/* SPDX-License-Identifier: MIT */
/*
 * qtask_pause -- a user stops its own queue, or what has a tag: none of these tasks is begun until it is resumed.
 *
 * A pause is asked for by qtask_place(): a task that is paused waits, as one on hold does, also one that is queued
 * later. What a worker was given ahead and has not begun comes back. Pauses stand in the journal by themselves, if
 * there is one, and are told before its tasks when the daemon is started anew.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/state.h"

/* tag.n 0: of all its tasks. */
static struct pause *pause_find(const struct user *user, struct text tag)
{
    struct pause *p;

    DL_FOREACH(user->pauses, p)
    if (strlen(p->tag) == tag.n && memcmp(p->tag, tag.n ? tag.data : "", tag.n) == 0)
        return p;
    return NULL;
}

static int pause_add(struct user *user, struct text tag)
{
    struct pause *p = calloc(1, sizeof *p);

    if (!p)
        return -ENOMEM;
    if (tag.n > 0)
        memcpy(p->tag, tag.data, tag.n);
    DL_APPEND(user->pauses, p);
    user->n_pauses++;
    return 0;
}

static void pause_drop(struct user *user, struct pause *p)
{
    DL_DELETE(user->pauses, p);
    user->n_pauses--;
    free(p);
}

void user_drop_pauses(struct user *user)
{
    while (user->pauses)
        pause_drop(user, user->pauses);
}

const struct pause *qtask_paused(struct core *core, const struct qtask *q)
{
    struct msg_submit spec;
    const struct pause *p;
    bool decoded = false;

    DL_FOREACH(q->user->pauses, p)
    {
        if (!p->tag[0])
            return p;
        if (!decoded)
            qtask_spec(core, q, &spec);
        decoded = true;
        if (spec_has_tag(&spec, p->tag))
            return p;
    }
    return NULL;
}

/* -- what a worker has of it ------------------------------------------------------------------------------------ */

/* What of it comes back waits then; it is not counted, for it may have begun. */
static void take_back(struct core *core, const struct user *user, struct actions *out)
{
    for (uint32_t i = 0; i < core->n_workers; i++) {
        struct worker *w = core->workers[i];
        struct task *t, *next;

        if (w->state != WORKER_IDLE && w->state != WORKER_BUSY)
            continue;
        DL_FOREACH_SAFE2(w->booked, t, next, place_next) {
            if (t->user == user && qtask_paused(core, t->queued))
                task_attempt_back(core, t, false, out);
        }
        DL_FOREACH2(w->held, t, place_next) {
            if (t->queued && t->user == user && t->state == TASK_GIVEN && !t->begun && qtask_paused(core, t->queued))
                worker_recall(core, t, out);
        }
    }
}

/* All that may have another place now; how many have one. */
static uint32_t place_all(struct core *core, const struct user *user, bool paused, struct actions *out)
{
    const uint8_t from = paused ? QT_QUEUED : QT_WAITING;
    uint32_t n = 0;

    for (struct qtask *q = qtask_after(core, 0); q; q = qtask_after(core, q->id)) {
        if (q->gone || q->user != user || q->state != from || q->is_parent)
            continue;
        if (paused ? !qtask_paused(core, q) : q->due_us > core->now_us)
            continue;
        qtask_place(core, q, out);
        n += q->state != from;
    }
    return n;
}

/* -- requests ----------------------------------------------------------------------------------------------------- */

void queued_pause(struct core *core, struct client *c, uint64_t request, bool paused, struct text tag,
                  struct actions *out)
{
    const uint64_t since = core->row_number;
    struct user *user = c->user;
    struct pause *p = pause_find(user, tag);
    struct msg_reply reply = { .done = paused == (p != NULL) };

    if (reply.done) {
        answer_reply(out, c->id, request, &reply, NULL);
        return;
    }
    if (core->storage_failed) {
        answer_refusal(out, c->id, request, PTOOLS_ERR_STORAGE, "%s", core->storage_failed);
        return;
    }
    if (paused && user->n_pauses >= PAUSES_MAX) {
        answer_refusal(out, c->id, request, PTOOLS_ERR_LIMIT,
                       "over the limit of pauses of a user: %u of %u in use, 1 more asked for", user->n_pauses,
                       PAUSES_MAX);
        return;
    }
    if (paused && pause_add(user, tag) < 0) {
        answer_refusal(out, c->id, request, PTOOLS_ERR_LIMIT, "the daemon is out of memory");
        return;
    }
    if (!paused)
        pause_drop(user, p);
    if (core->limits.journal)
        record_pause(core, user, paused, tag, out);
    if (paused)
        take_back(core, user, out);
    reply.count = place_all(core, user, paused, out);
    record_answer(core, since, c->id, request, &reply, out);
}

int core_recover_pause(struct core *core, uint32_t uid, struct text tag)
{
    struct user *user = NULL;
    int r;

    if (tag.n > NAME_BYTES_MAX || (tag.n > 0 && !name_ok_tag(tag.data, tag.n)))
        return -EINVAL;
    r = user_get(core, uid, &user);
    if (r == 0 && !pause_find(user, tag))
        r = pause_add(user, tag);
    if (r < 0 && user)
        user_release(core, user);
    return r;
}

const char *core_view_pause(const struct core *core, uint32_t uid, size_t i)
{
    const struct pause *p = NULL;
    struct user *user;

    HASH_FIND(hh, core->users, &uid, sizeof uid, user);
    if (user)
        for (p = user->pauses; p && i > 0; p = p->next)
            i--;
    return p ? p->tag : NULL;
}
