/* SPDX-License-Identifier: MIT */
/*
 * submit -- a call comes in: is it allowed, where does it go.
 *
 * All that can refuse it is asked first, then memory is found for all that it needs, and only then does
 * anything change. So a refused call leaves no trace, and one for which there is no memory neither.
 */
#include <errno.h>
#include <inttypes.h>

#include "daemon/core/state.h"

struct submission {
    struct core *core;
    uint64_t now_us;
    struct client *client;
    uint64_t request;
    const struct msg_call *call;
    struct blob *payload;
    struct actions *out;
    struct set *set;
    struct module *module;
    struct function *function; /* NULL: the module has to be loaded first */
    struct array *args, *room, *captured; /* NULL: none */
};

#define REFUSE(s, code, ...) (answer_refusal((s)->out, (s)->client->id, (s)->request, code, __VA_ARGS__), false)

static bool allowed(const struct submission *s)
{
    const struct core_limits *l = &s->core->limits;
    const struct user *u = s->client->user;
    const uint64_t bytes = s->payload ? s->payload->n : 0;

    if (s->core->draining)
        return REFUSE(s, PTOOLS_ERR_DRAINING, "the daemon is about to end and takes no new work");
    if (s->request == 0)
        return REFUSE(s, PTOOLS_ERR_BAD_REQUEST, "id: 0 is no request id");
    if (task_find_request(s->core, s->client->id, s->request))
        return REFUSE(s, PTOOLS_ERR_BAD_REQUEST, "id: request %" PRIu64 " is in flight already", s->request);
    if (u->n_tasks >= l->user_tasks_max)
        return REFUSE(s, PTOOLS_ERR_LIMIT,
                      "over the limit user_tasks_max: %" PRIu32 " of %" PRIu32 " in use, 1 more asked for", u->n_tasks,
                      l->user_tasks_max);
    if (!s->call->detached && nested_depth(s->client) > NESTING_MAX)
        return REFUSE(s, PTOOLS_ERR_DEADLOCK,
                      "a call within %u calls, each of which waits for the next: more are not allowed", NESTING_MAX);
    if (bytes > l->user_bytes_max)
        return REFUSE(s, PTOOLS_ERR_TOO_LARGE,
                      "the arguments have %" PRIu64 " bytes, and all of this user at a time may have %" PRIu64
                      " (user_bytes_max)",
                      bytes, l->user_bytes_max);
    if (u->bytes > l->user_bytes_max - bytes)
        return REFUSE(s, PTOOLS_ERR_LIMIT,
                      "over the limit user_bytes_max: %" PRIu64 " of %" PRIu64 " in use, %" PRIu64 " more asked for",
                      u->bytes, l->user_bytes_max, bytes);
    return true;
}

static bool find_workers(struct submission *s)
{
    const struct msg_call *c = s->call;
    struct worker *w;

    s->set = set_find(s->core, s->client, c->set, c->set_id);
    if (!s->set && c->set.data)
        return REFUSE(s, PTOOLS_ERR_NO_SET, "no worker set %.*s", (int)c->set.n, c->set.data);
    if (!s->set)
        return REFUSE(s, PTOOLS_ERR_NO_SET, "no worker set %" PRIu32, c->set_id);
    if (c->worker == 0)
        return s->set->n > 0 || REFUSE(s, PTOOLS_ERR_NO_WORKER, "the worker set has no workers left");
    w = worker_find(s->core, c->worker);
    if (!w || w->leave == LEAVE_REMOVED)
        return REFUSE(s, PTOOLS_ERR_NO_WORKER, "no worker %" PRIu32, c->worker);
    if (!set_has(s->set, w))
        return REFUSE(s, PTOOLS_ERR_NO_WORKER, "worker %" PRIu32 " is not in the worker set", c->worker);
    return true;
}

/* An array that the call names: the client's own, without a name, and not another call's, if it is not shared. */
static bool find_array(const struct submission *s, const char *field, uint64_t id, uint64_t bytes, bool shared,
                       struct array **ret)
{
    struct array *a = id ? array_find(s->core, id) : NULL;

    if (!id)
        return true;
    if (!a || a->state != ARRAY_READY || a->owner != s->client || a->key.name[0])
        return REFUSE(s, PTOOLS_ERR_NO_ARRAY, "%s: no array %" PRIu64 " without a name of this client", field, id);
    if (bytes > a->layout.bytes)
        return REFUSE(s, PTOOLS_ERR_BAD_REQUEST, "%s: array %" PRIu64 " has %" PRIu64 " bytes, not %" PRIu64, field, id,
                      a->layout.bytes, bytes);
    if (a->uses && !shared)
        return REFUSE(s, PTOOLS_ERR_BAD_REQUEST, "%s: another call uses array %" PRIu64, field, id);
    *ret = a;
    return true;
}

static bool find_arrays(struct submission *s)
{
    const struct msg_call *c = s->call;

    if (c->args && s->payload && s->payload->n)
        return REFUSE(s, PTOOLS_ERR_BAD_REQUEST, "args: the arguments are in an array or in the payload, not in both");
    if (c->args && c->args == c->room)
        return REFUSE(s, PTOOLS_ERR_BAD_REQUEST, "room: it must be another array than that of args");
    return find_array(s, "args", c->args, c->args_bytes, false, &s->args) &&
           find_array(s, "room", c->room, 0, false, &s->room) &&
           find_array(s, "captured", c->captured, c->captured_bytes, true, &s->captured);
}

static uint64_t deadline_us(const struct submission *s)
{
    const uint64_t ms = s->call->deadline_ms;

    return ms == 0 || ms > (CORE_NEVER - s->now_us) / 1000 ? CORE_NEVER : s->now_us + ms * 1000;
}

/* Into the tables and its place. -ENOMEM: it is in none. */
static int place(const struct submission *s, struct task *t)
{
    const uint64_t due_us = deadline_us(s);
    struct queue *q = NULL;
    int r;

    if (!s->function) {
        t->wanted = strndup(s->call->function.data, s->call->function.n);
        if (!t->wanted)
            return -ENOMEM;
    }
    t->function = s->function;
    r = due_us == CORE_NEVER ? 0 : heap_push(&s->core->deadlines, &t->deadline_node, due_us);
    if (r == 0)
        r = task_register(s->core, t, s->request);
    if (r < 0)
        return r;
    (void)task_route(s->core, t, &q); /* find_workers() has seen that there is a way */
    if (s->function) {
        r = task_enqueue(s->core, t, q, s->out);
        if (r < 0)
            return r;
        s->function->calls++;
        s->core->stats.submitted++;
        task_accept(s->core, t, s->out);
    } else {
        module_hold(s->core, s->module, t, s->out);
        s->core->stats.submitted++;
    }
    return 0;
}

static void use_arrays(const struct submission *s, struct task *t)
{
    t->args = s->args;
    t->args_bytes = s->call->args_bytes;
    t->room = s->room;
    t->large = s->call->detached || s->call->items ? 0 : s->call->large; /* nobody would take the array */
    if (t->args)
        array_use(t->args);
    if (t->room)
        array_use(t->room);
}

int core_submit(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, const struct msg_call *call,
                struct blob *payload, struct actions *out)
{
    struct submission s = { core, now_us, client_find(core, client), request, call, payload, out,
                            NULL, NULL, NULL, NULL, NULL, NULL };
    uint32_t cursor;
    struct task *t;
    int r;

    if (!s.client) {
        action_bug(out, 0, 0, "a request of client %" PRIu32 ", which there is not", client);
        return 0;
    }
    if (!allowed(&s) || !batch_check(call, client, request, out) || !find_workers(&s) || !find_arrays(&s))
        return 0;
    r = function_called(core, now_us, s.client, request, call->function, &s.function, &s.module, out);
    if (r <= 0)
        return r;
    cursor = s.set->cursor;
    t = task_new(core, s.client, s.set, call, payload);
    if (t)
        use_arrays(&s, t);
    r = !t ? -ENOMEM : call->items ? batch_new(t, call, s.captured) : 0;
    if (r == 0)
        r = place(&s, t);
    if (r < 0) {
        s.set->cursor = cursor;
        if (t)
            task_release_arrays(core, t, out);
        task_free(core, t);
        if (s.module && s.module->state == MODULE_NEW)
            module_free(core, s.module);
        return r;
    }
    return 0;
}
