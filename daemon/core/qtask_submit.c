/* SPDX-License-Identifier: MIT */
/*
 * qtask_submit -- a task comes into the queue: is it allowed, is it there already, what is kept of it.
 *
 * As with calls, all that can refuse it is asked first, then memory is found, and only then does anything change. Its
 * client hears of it when it counts: at once for a volatile one, when the journal has it for any other; before that,
 * its module is asked whether there is such a function.
 *
 * What is over a limit of the queue is refused, with the time after which it may be worth trying again, or waits, if it
 * asked to, with its user's others in the order in which they came.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/state.h"

struct submission {
    struct core *core;
    struct client *client;
    uint64_t request;
    const struct msg_submit *m;
    struct blob *spec, *args;
    struct actions *out;
    struct module *module; /* that is to be loaded first; NULL: none */
    struct function *function;
    bool again; /* it was blocked */
};

#define REFUSE(s, code, ...) (answer_refusal((s)->out, (s)->client->id, (s)->request, code, __VA_ARGS__), false)

/* -- over a limit -------------------------------------------------------------------------------------------- */

static uint64_t submission_bytes(const struct submission *s)
{
    return s->spec->n + (s->args ? s->args->n : 0);
}

static bool block(const struct submission *s)
{
    const struct user *user = s->client->user;

    if (user->n_blocked >= BLOCKED_MAX)
        return REFUSE(s, PTOOLS_ERR_LIMIT, "over the limit of tasks that wait for room in the queue: %u of %u in use",
                      user->n_blocked, BLOCKED_MAX);
    if (user->blocked_bytes + submission_bytes(s) > s->core->limits.user_queue_bytes_max)
        return REFUSE(s, PTOOLS_ERR_LIMIT,
                      "over the limit user_queue_bytes_max: tasks that wait for room take %" PRIu64 " of %" PRIu64
                      " bytes, %" PRIu64 " more asked for",
                      user->blocked_bytes, s->core->limits.user_queue_bytes_max, submission_bytes(s));
    if (blocked_add(s->client, s->request, s->spec, s->args) < 0)
        return REFUSE(s, PTOOLS_ERR_LIMIT, "the daemon is out of memory: the task was not taken");
    return false;
}

/* By tasks that have ended and stay: nobody can say how long. */
static bool over_kept(const struct submission *s, const char *name, const char *take, uint64_t use, uint64_t limit)
{
    const struct msg_failure f = { .code = PTOOLS_ERR_LIMIT };
    const uint32_t dead = s->client->user->n_dead;
    char text[256], dead_text[80] = "";

    if (s->m->block)
        return block(s);
    if (dead > 0)
        snprintf(dead_text, sizeof dead_text, "; %" PRIu32 " of them dead, to be kicked or forgotten", dead);
    snprintf(text, sizeof text,
             "over the limit %s: tasks that have ended, and whose ends nobody has asked for, %s %" PRIu64 " of %" PRIu64
             "%s",
             name, take, use, limit, dead_text);
    answer_failure(s->out, s->client->id, s->request, &f, text);
    return false;
}

/* -- is it allowed ------------------------------------------------------------------------------------------- */

static uint32_t parts_of(const struct submission *s)
{
    return s->m->target == TARGET_ALL ? s->core->all.n : 0;
}

/* A list of workers needs a set, if there is none of these. */
static bool sets_exceeded(const struct submission *s, struct excess *ret)
{
    const struct user *u = s->client->user;
    const uint32_t limit = s->core->limits.user_sets_max;

    if (u->n_hidden < limit || !qtask_needs_set(s->core, u, s->m))
        return false;
    *ret = (struct excess){ "user_sets_max (lists of workers that are targets)", u->n_hidden, limit, 1 };
    return true;
}

static bool has_room(const struct submission *s)
{
    const struct core_limits *l = &s->core->limits;
    struct user *u = s->client->user;
    const uint64_t n = 1 + parts_of(s), bytes = submission_bytes(s) * n;
    struct excess e;

    if (!s->again && u->blocked && s->m->block)
        return block(s); /* behind those who came before */
    if (queue_exceeded(s->core, u, n, bytes, &e) || sets_exceeded(s, &e)) {
        if (s->m->block && e.asked <= e.limit)
            return block(s);
        queue_refuse(s->core, s->client->id, s->request, &e, s->out);
        return false;
    }
    if (u->ended) /* there is room, or they go, in this turn or in the next */
        return true;
    if (u->n_kept > l->user_kept_max)
        return over_kept(s, "user_kept_max", "are", u->n_kept, l->user_kept_max);
    if (u->kept_bytes > l->user_kept_bytes_max)
        return over_kept(s, "user_kept_bytes_max", "take", u->kept_bytes, l->user_kept_bytes_max);
    return true;
}

static bool allowed(const struct submission *s)
{
    if (s->core->draining)
        return REFUSE(s, PTOOLS_ERR_DRAINING, "the daemon is about to end and takes no new work");
    if (s->core->storage_failed && s->m->durability >= TASK_CRASHSAFE)
        return REFUSE(s, PTOOLS_ERR_STORAGE, "%s", s->core->storage_failed);
    if (!s->core->limits.journal && s->m->durability >= TASK_CRASHSAFE)
        return REFUSE(s, PTOOLS_ERR_STORAGE, "durability: this daemon has no journal, and takes only volatile tasks");
    if (task_find_request(s->core, s->client->id, s->request) || request_in_use(s->core, s->client, s->request))
        return REFUSE(s, PTOOLS_ERR_BAD_REQUEST, "id: request %" PRIu64 " is in flight already", s->request);
    if (s->m->set_id && s->m->durability >= TASK_CRASHSAFE)
        return REFUSE(s, PTOOLS_ERR_INVALID,
                      "set: one without a name ends with its client, and the task shall not: name the set, or the "
                      "workers");
    for (uint32_t i = 0; i < s->m->n_after; i++) {
        const struct qtask *first = qtask_of(s->core, s->client->user, s->m->after[i]);

        if (!first)
            return REFUSE(s, PTOOLS_ERR_NO_TASK, "after: no queued task %" PRIu64, s->m->after[i]);
        if (s->m->durability >= TASK_CRASHSAFE && !qtask_journaled(first) &&
            (first->state != QT_ENDED || (first->shown != SHOWN_DONE && !s->m->after_any)))
            return REFUSE(s, PTOOLS_ERR_INVALID,
                          "after: task %" PRIu64 " is volatile: what survives the daemon cannot wait for what does not",
                          first->id);
    }
    return true;
}

/* -- its target ------------------------------------------------------------------------------------------------ */

static void list_hosts(const struct core *core, char *text, size_t size)
{
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 0; core->host_names && core->host_names[i] && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%s", i ? ", " : "", core->host_names[i]);
}

static bool has_target(const struct submission *s)
{
    const struct msg_submit *m = s->m;
    char hosts[160];

    if (m->target == TARGET_ALL && s->core->all.n == 0)
        return REFUSE(s, PTOOLS_ERR_NO_WORKER, "target: there are no workers");
    if (m->wait_target || m->any_target)
        return true;
    for (uint32_t i = 0; i < m->n_workers; i++)
        if (!qtask_worker(s->core, m->workers[i]))
            return REFUSE(s, PTOOLS_ERR_NO_WORKER, "workers: no worker %" PRIu32, m->workers[i]);
    if (m->n_hosts && !qtask_on_this_host(s->core, m)) {
        list_hosts(s->core, hosts, sizeof hosts);
        return REFUSE(s, PTOOLS_ERR_NO_WORKER, "hosts: no worker is on a host of that name; this one is called %s",
                      hosts);
    }
    if ((m->set.data || m->set_id) && !set_find(s->core, s->client, m->set, m->set_id)) {
        if (m->set.data)
            return REFUSE(s, PTOOLS_ERR_NO_SET, "set: no worker set %.*s", (int)m->set.n, m->set.data);
        return REFUSE(s, PTOOLS_ERR_NO_SET, "set: no worker set %" PRIu32, m->set_id);
    }
    return true;
}

/* -- it comes ---------------------------------------------------------------------------------------------------- */

static struct qtask *make(const struct submission *s, uint64_t id, struct blob *spec, const struct msg_submit *m,
                          uint64_t parent)
{
    struct core *core = s->core;
    struct user *user = s->client->user;
    struct qtask *q = qtask_new(core, user, id, spec, s->args);

    if (!q)
        return NULL;
    q->function = s->function;
    if (qtask_register(core, q) < 0 || qtask_describe(core, q, m, parent) < 0 || qtask_reserve(core, q) < 0) {
        qtask_free(core, q);
        return NULL;
    }
    q->turn = turn_next(core, q, s->client->turn);
    qtask_set_delay(core, q, m, 0);
    core->next_task = id + 1;
    return q;
}

/* For one worker, what was submitted for all. */
static struct blob *part_spec(const struct msg_submit *m, uint32_t worker)
{
    struct msg_request r = { .kind = MSG_TASK_SUBMIT, .id = 1, .submit = *m };
    struct bytes bytes;
    struct blob *blob;

    r.submit.target = 0;
    r.submit.n_workers = 1;
    r.submit.workers = &worker;
    r.submit.key = (struct text){ 0 };
    bytes_init(&bytes, ENVELOPE_BYTES_MAX);
    msg_request_encode(&r, &bytes);
    blob = bytes.err ? NULL : blob_new(bytes.data, bytes.n);
    bytes_deinit(&bytes);
    return blob;
}

static bool make_parts(const struct submission *s, struct qtask *parent)
{
    for (uint32_t i = 0; i < s->core->all.n; i++) {
        const uint32_t worker = s->core->all.ids[i];
        struct blob *spec = part_spec(s->m, worker);
        struct msg_submit m = *s->m;
        struct qtask *part;

        m.target = 0;
        m.n_workers = 1;
        m.workers = (uint32_t *)&worker;
        m.key = (struct text){ 0 };
        part = spec ? make(s, s->core->next_task, spec, &m, parent->id) : NULL;
        blob_free(spec);
        if (!part)
            return false;
        parent->x->parts++;
        parent->x->parts_left++;
    }
    return true;
}

/* The parent and its parts; NULL parent: the end. */
static struct qtask *part_at(const struct core *core, const struct qtask *q, uint32_t i)
{
    return i == 0 ? (struct qtask *)q : q->x && i <= q->x->parts ? qtask_find(core, q->id + i) : NULL;
}

static void unmake(struct core *core, struct qtask *q)
{
    for (uint32_t i = q->x ? q->x->parts : 0; i > 0; i--)
        qtask_free(core, qtask_find(core, q->id + i));
    qtask_free(core, q);
}

void qtask_accepted_now(struct core *core, struct qtask *q, struct actions *out)
{
    struct user *user = q->user;
    const bool settling = core->settling;

    core->settling = true; /* what follows from the end of one part does so when all have been looked at */
    user->n_pins++;
    for (uint32_t i = 0; i <= (q->x ? q->x->parts : 0); i++) {
        struct qtask *part = part_at(core, q, i);

        if (qtask_step(core, part, QE_ACCEPT, out))
            event_emit(core, part, EVENT_QUEUED, PTOOLS_OK, out);
        part->announced = true;
    }
    watchers_accepted(core, q, out);
    core->stats.queued++;
    for (uint32_t i = q->x && q->x->parts ? 1 : 0; i <= (q->x ? q->x->parts : 0); i++) {
        struct qtask *part = part_at(core, q, i);

        if (part->has_after)
            qtask_follow_failed(core, part, out);
        if (part->state == QT_WAITING && part->x && part->x->met)
            record_life(core, part, false, PENDING_NOTHING, out);
        if (part->state == QT_WAITING)
            qtask_place(core, part, out);
    }
    if (q->stopping) /* it was cancelled before it was accepted */
        qtask_cancel(core, q, out);
    core->settling = settling;
    user_keep_less(core, user, out);
    user->n_pins--;
    user_release(core, user);
}

void qtask_refused(struct core *core, struct qtask *q, ptools_err code, const char *why, struct actions *out)
{
    if (q->x && q->x->parent)
        q = qtask_find(core, q->x->parent);
    watchers_refused(core, q, code, why, out);
    unmake(core, q);
    user_unblock(core, q->user, out);
}

/* Its function is known to be there: into the journal, or right in. */
static void enter(struct core *core, struct qtask *q, struct actions *out)
{
    const uint32_t parts = q->x ? q->x->parts : 0;

    if (q->function)
        q->function->calls++;
    if (!qtask_journaled(q)) {
        qtask_accepted_now(core, q, out);
        return;
    }
    for (uint32_t i = 0; i <= parts; i++) {
        struct qtask *part = part_at(core, q, i);

        if (!qtask_step(core, part, QE_RECORD, out))
            return;
    }
    for (uint32_t i = parts; i > 0; i--) /* the whole counts when the last row, its own, is there */
        record_new(core, part_at(core, q, i), true, PENDING_NOTHING, out);
    record_new(core, q, false, PENDING_ACCEPT, out);
}

static bool may_repeat(const struct qtask *q, const struct msg_submit *m)
{
    return m->attempts <= 1 || q->idempotent;
}

#define NO_REPEAT "attempts: more than 1 needs a function that is idempotent: say so if it is"

void qtasks_follow_module(struct core *core, struct module *m, struct actions *out)
{
    struct qtask *q;

    while ((q = m->queued_held)) {
        struct msg_submit spec;
        struct function *f;
        char name[FUNCTION_BYTES_MAX + 1], text[256];
        const char *sentence;
        ptools_err code;

        qtask_spec(core, q, &spec);
        f = function_find(core, spec.function.data, spec.function.n);
        if (!f || !function_usable(f)) {
            snprintf(name, sizeof name, "%.*s", (int)spec.function.n, spec.function.data);
            code = module_refusal(m, name, text, &sentence);
            qtask_refused(core, q, code, sentence, out);
            continue;
        }
        for (uint32_t i = 0; i <= q->x->parts; i++)
            qtask_learn_function(part_at(core, q, i), f, &spec);
        if (may_repeat(q, &spec))
            enter(core, q, out);
        else
            qtask_refused(core, q, PTOOLS_ERR_INVALID, NO_REPEAT, out);
    }
    qtasks_place_parked(core, out);
}

/* None is the same as one without bytes. */
static bool same_bytes(const struct blob *a, const struct blob *b)
{
    if (!a || !b)
        return (a ? a->n : 0) == (b ? b->n : 0);
    return a->n == b->n && memcmp(a->data, b->data, a->n) == 0;
}

/* There is one of its key. 0 or -ENOMEM. */
static int again(const struct submission *s, struct qtask *q)
{
    struct core *core = s->core;
    struct msg_submit spec;
    struct msg_reply reply = { .task = q->id, .duplicate = true };
    struct watcher *w;
    bool same;

    qtask_spec(core, q, &spec);
    same =
        spec.function.n == s->m->function.n && memcmp(spec.function.data, s->m->function.data, spec.function.n) == 0 &&
        (spec.durability ? spec.durability : TASK_VOLATILE) == (s->m->durability ? s->m->durability : TASK_VOLATILE) &&
        same_bytes(q->args, s->args);
    if (!same) {
        answer_refusal(s->out, s->client->id, s->request, PTOOLS_ERR_KEY_REUSED,
                       "key: task %" PRIu64 " has it, and another function, arguments or durability", q->id);
        return 0;
    }
    reply.state = qtask_shown(q);
    reply.count = q->x ? q->x->parts : 0;
    if (qtask_accepted(q) && !s->m->wait) {
        answer_reply(s->out, s->client->id, s->request, &reply, NULL);
    } else if (q->state == QT_ENDED) {
        qtask_answer_end(core, q, s->client->id, s->request, s->out);
        user_unblock(core, q->user, s->out);
    } else {
        if (watchers_over(s->client, s->request, 1, s->out))
            return 0;
        w = qtask_watch(core, q, s->client, s->request);
        if (!w)
            return -ENOMEM;
        w->accept = !qtask_accepted(q);
        w->result = s->m->wait;
        w->duplicate = true;
    }
    return 0;
}

/* It was not taken: nor is the module kept that it named first. */
static void forget_module(const struct submission *s)
{
    if (s->module && s->module->state == MODULE_NEW)
        module_free(s->core, s->module);
}

/* It, or its parts, wait for what they are to come after. False: no memory. */
static bool link_after(const struct submission *s, struct qtask *q)
{
    const uint32_t parts = q->x ? q->x->parts : 0;
    bool linked = true;

    for (uint32_t i = parts ? 1 : 0; i <= parts && linked; i++)
        linked = qtask_connect(s->core, part_at(s->core, q, i), s->m, s->out) == 0;
    return linked;
}

/* With its parts, and with its client waiting for it. NULL: no memory, and all is as it was. */
static struct qtask *make_whole(const struct submission *s)
{
    const uint64_t id = s->core->next_task;
    uint64_t turn[TURNS];
    struct qtask *q;
    struct watcher *w = NULL;

    memcpy(turn, s->client->turn, sizeof turn);
    q = make(s, id, s->spec, s->m, 0);
    if (q && (!q->is_parent || make_parts(s, q)) && link_after(s, q))
        w = qtask_watch(s->core, q, s->client, s->request);
    if (!w) {
        if (q)
            unmake(s->core, q);
        s->core->next_task = id;
        memcpy(s->client->turn, turn, sizeof turn);
        return NULL;
    }
    w->accept = true;
    w->result = s->m->wait;
    return q;
}

static int come(struct submission *s)
{
    struct core *core = s->core;
    struct qtask *q = s->m->key.data ? qtask_by_key(core, s->client->user, s->m->key, s->m->key_passing) : NULL;
    int r;

    if (q)
        return again(s, q);
    if (!allowed(s) || !has_target(s))
        return 0;
    r = function_called(core, core->now_us, s->client, s->request, s->m->function, &s->function, &s->module, s->out);
    if (r > 0 && has_room(s))
        q = make_whole(s);
    else if (r > 0)
        r = 0;
    if (!q) {
        forget_module(s);
        return r > 0 ? -ENOMEM : r;
    }
    if (s->function && !may_repeat(q, s->m)) {
        qtask_refused(core, q, PTOOLS_ERR_INVALID, NO_REPEAT, s->out);
    } else if (s->function) {
        enter(core, q, s->out);
    } else {
        for (uint32_t i = 1; i <= (q->x ? q->x->parts : 0); i++)
            (void)qtask_step(core, part_at(core, q, i), QE_HOLD, s->out);
        if (!qtask_step(core, q, QE_HOLD, s->out))
            return 0;
        q->x->module = s->module;
        DL_APPEND2(s->module->queued_held, q, x->held_prev, x->held_next);
        module_ask(core, s->module, s->out);
    }
    return 0;
}

int core_queue(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, const struct msg_submit *submit,
               struct blob *spec, struct blob *payload, struct actions *out)
{
    struct submission s = { .core = core,
                            .client = client_find(core, client),
                            .request = request,
                            .m = submit,
                            .spec = spec,
                            .args = payload && payload->n ? payload : NULL,
                            .out = out };

    core->now_us = now_us;
    if (!s.client) {
        action_bug(out, 0, 0, "a request of client %" PRIu32 ", which there is not", client);
        return 0;
    }
    user_keep_less(core, s.client->user, out); /* ends may have been read since the last one */
    return come(&s);
}

void user_unblock(struct core *core, struct user *user, struct actions *out)
{
    struct blocked *b;

    if (!user->blocked || user->unblocking || core->settling)
        return; /* whoever does it, or ends what is settled, goes on */
    user->unblocking = true;
    user_keep_less(core, user, out);
    while ((b = user->blocked) && user->n_queued < core->limits.user_queued_max &&
           user->queue_bytes < core->limits.user_queue_bytes_max) {
        struct msg_request r;
        struct msg_problem problem;
        struct submission s = { .core = core, .client = b->client, .request = b->request, .out = out, .again = true };
        const uint32_t n = user->n_blocked;

        s.spec = blob_ref(b->spec);
        s.args = b->args ? blob_ref(b->args) : NULL;
        blocked_free(b);
        s.m = &r.submit;
        if (msg_request_decode(core->unblocking, s.spec->data, s.spec->n, &r, &problem) != 0 || come(&s) < 0)
            answer_refusal(out, s.client->id, s.request, PTOOLS_ERR_LIMIT,
                           "the daemon is out of memory: the task was not taken");
        blob_free(s.spec);
        blob_free(s.args);
        if (user->n_blocked >= n) { /* there was not room enough: it is the last now, and was the first */
            struct blocked *last = user->blocked->prev;

            DL_DELETE(user->blocked, last);
            DL_PREPEND(user->blocked, last);
            break;
        }
    }
    user->unblocking = false;
}
