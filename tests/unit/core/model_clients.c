/* SPDX-License-Identifier: MIT */
/*
 * model_clients -- the events that come from clients: calls, cancels, sets. See model.h.
 */
#include "tests/unit/core/model.h"

#include <stdio.h>
#include <string.h>

/* -- clients ------------------------------------------------------------------------------------------------ */

static void ask(struct model *m, const struct m_client *c, uint64_t request, ptools_err code)
{
    m->asking_client = c->id;
    m->asking = request;
    m->asking_code = code;
    m->asking_answered = false;
}

static struct m_client *some_client(struct model *m)
{
    return &m->clients[model_random(m, m->n_clients)];
}

static bool visible(const struct m_set *s, const struct m_client *c)
{
    return !s->gone && !s->orphan && (s->id == 0 || (s->uid == c->uid && (s->client == 0 || s->client == c->id)));
}

static uint32_t some_worker(struct model *m)
{
    return m->n_workers == 0 || model_random(m, 20) == 0 ? 999 : m->workers[model_random(m, m->n_workers)].id;
}

static struct text text_of(const char *s)
{
    return (struct text){ s, strlen(s) };
}

/* PTOOLS_OK: it becomes a task. */
static ptools_err submit_code(struct model *m, const struct m_client *c, uint64_t request, const struct msg_call *call,
                              struct m_set *s, enum m_function f, size_t bytes)
{
    enum m_module mod = m_module_of(f);
    struct m_worker *w;
    size_t n = 0, used = 0;

    if (m->draining)
        return PTOOLS_ERR_DRAINING;
    for (size_t i = 0; i < m->n_tasks; i++) {
        if (m->tasks[i].client == c->id && m->tasks[i].request == request)
            return PTOOLS_ERR_BAD_REQUEST;
        n += m->tasks[i].uid == c->uid;
        used += m->tasks[i].uid == c->uid ? m->tasks[i].bytes : 0;
    }
    if (n >= m->limits.user_tasks_max)
        return PTOOLS_ERR_LIMIT;
    if (bytes > m->limits.user_bytes_max)
        return PTOOLS_ERR_TOO_LARGE;
    if (used + bytes > m->limits.user_bytes_max)
        return PTOOLS_ERR_LIMIT;
    if (!visible(s, c))
        return PTOOLS_ERR_NO_SET;
    w = m_find_worker(m, call->worker);
    if (call->worker ? !w || w->removed || !m_has_member(s, w->id) : s->n == 0)
        return PTOOLS_ERR_NO_WORKER;
    if (m->modules[mod].state == M_LOADED ||
        (m->modules[mod].state == M_BROKEN && m->now_us < m->modules[mod].retry_at_us))
        return m_module_code(m, f);
    return PTOOLS_OK;
}

void model_submit(struct model *m)
{
    static const uint64_t deadlines_ms[] = { 1, 3, 20, 1000 };
    struct m_client *c = some_client(m);
    struct m_set *s = model_random(m, 3) == 0 ? &m->sets[0] : &m->sets[model_random(m, m->n_sets)];
    enum m_function f =
        model_random(m, 3) ? (enum m_function)model_random(m, 2) : (enum m_function)model_random(m, M_FUNCTIONS);
    uint64_t request = c->request == 0 || model_random(m, 50) ? ++c->request : c->request;
    struct msg_call call = { .function = text_of(m_function_names[f]) };
    size_t bytes = model_random(m, 40);
    AUTO(blob) payload = bytes ? blob_new(NULL, bytes) : NULL;
    ptools_err code;

    if (s->name[0] && s->id && model_random(m, 2))
        call.set = text_of(s->name);
    else
        call.set_id = s->id;
    if (call.set.data) /* names are looked up among the client's own: another user's may be of that name, too */
        for (size_t i = 0; i < m->n_sets; i++)
            if (!m->sets[i].gone && m->sets[i].uid == c->uid && strcmp(m->sets[i].name, s->name) == 0)
                s = &m->sets[i];
    if (model_random(m, 5) == 0)
        call.worker = some_worker(m);
    if (model_random(m, 6) == 0)
        call.deadline_ms = deadlines_ms[model_random(m, ELEMENTS(deadlines_ms))];
    call.detached = model_random(m, 8) == 0;

    code = submit_code(m, c, request, &call, s, f, bytes);
    if (code != PTOOLS_OK) {
        ask(m, c, request, code);
    } else {
        struct m_task *t = &m->tasks[m->n_tasks++];
        enum m_module mod = m_module_of(f);

        EXPECT(m->n_tasks < M_TASKS, "m->n_tasks < M_TASKS");
        *t = (struct m_task){ .id = ++m->last_task,
                              .request = request,
                              .client = c->id,
                              .uid = c->uid,
                              .set = s->id,
                              .pinned = call.worker,
                              .bound = call.worker,
                              .function = f,
                              .bytes = bytes,
                              .detached = call.detached,
                              .place = M_WAITING };
        t->deadline_us = call.deadline_ms ? m->now_us + call.deadline_ms * 1000 : CORE_NEVER;
        EXPECT(m_route(m, t) == PTOOLS_OK, "m_route(m, t) == PTOOLS_OK");
        m->submitted++;
        if (m->modules[mod].state != M_LOADED) {
            t->place = M_HELD;
            m->modules[mod].state = M_LOADING;
        }
    }
    EXPECT(core_submit(m->core, m->now_us, c->id, request, &call, payload, &m->out) == 0, "core_submit() fails");
    model_deliver(m);
}

void model_cancel(struct model *m)
{
    struct m_client *c = some_client(m);
    struct m_task *t = m->n_tasks ? &m->tasks[model_random(m, m->n_tasks)] : NULL;
    struct msg_cancel cancel = { 0 };
    uint64_t request = ++c->request;

    if (model_random(m, 2)) {
        cancel.task = t ? t->id : 12345678;
        if (t && t->uid != c->uid)
            t = NULL;
        ask(m, c, request, t ? PTOOLS_OK : PTOOLS_ERR_NO_TASK);
    } else {
        cancel.request = t ? t->request : 12345678;
        t = NULL;
        for (size_t i = 0; i < m->n_tasks; i++)
            if (m->tasks[i].client == c->id && m->tasks[i].request == cancel.request)
                t = &m->tasks[i];
        ask(m, c, request, PTOOLS_OK);
    }
    if (t)
        m_stop(t, PTOOLS_ERR_CANCELLED);
    core_cancel(m->core, m->now_us, c->id, request, &cancel, &m->out);
    model_deliver(m);
    if (m->asking_code == PTOOLS_OK)
        EXPECT(m->asking_reply.done == !t, "cancel: it had ended, or not");
}

void model_client_add(struct model *m, uint32_t uid)
{
    struct m_client *c = &m->clients[m->n_clients];

    if (m->n_clients == M_CLIENTS)
        return;
    m->n_clients++;
    *c = (struct m_client){ .uid = uid };
    EXPECT(core_client_add(m->core, uid, &c->id) == 0, "core_client_add(m->core, uid, &c->id) == 0");
    for (size_t i = 0; i + 1 < m->n_clients; i++)
        EXPECT(m->clients[i].id < c->id, "m->clients[i].id < c->id");
}

void model_client_gone(struct model *m, size_t client)
{
    const uint32_t id = m->clients[client].id;

    for (size_t i = 0; i < m->n_tasks; i++) {
        if (m->tasks[i].client != id)
            continue;
        m->tasks[i].client = 0;
        if (!m->tasks[i].detached)
            m_stop(&m->tasks[i], PTOOLS_ERR_CANCELLED);
    }
    for (size_t i = 0; i < m->n_sets; i++)
        m->sets[i].orphan |= m->sets[i].client == id;
    m->n_clients--;
    memmove(&m->clients[client], &m->clients[client + 1], (m->n_clients - client) * sizeof m->clients[0]);
    core_client_gone(m->core, m->now_us, id, &m->out);
    model_deliver(m);
}

/* -- sets ---------------------------------------------------------------------------------------------------- */

static ptools_err members_code(struct model *m, const struct msg_set *ask_for)
{
    for (uint32_t i = 0; i < ask_for->n; i++) {
        struct m_worker *w = m_find_worker(m, ask_for->members[i]);

        if (!w || w->removed)
            return PTOOLS_ERR_NO_WORKER;
        for (uint32_t k = 0; k < i; k++)
            if (ask_for->members[k] == w->id)
                return PTOOLS_ERR_BAD_REQUEST;
    }
    return ask_for->n ? PTOOLS_OK : PTOOLS_ERR_BAD_REQUEST;
}

static void some_members(struct model *m, struct msg_set *ask_for, uint32_t members[M_MEMBERS])
{
    ask_for->members = members;
    ask_for->mode = 1 + (uint32_t)model_random(m, 2);
    ask_for->n = 0;
    while (ask_for->n < M_MEMBERS && model_random(m, 4)) {
        uint32_t id = some_worker(m);
        bool twice = false;

        for (uint32_t i = 0; i < ask_for->n; i++)
            twice |= members[i] == id;
        if (!twice || model_random(m, 10) == 0)
            members[ask_for->n++] = id;
    }
}

static void fill(struct m_set *s, const struct msg_set *ask_for)
{
    s->mode = ask_for->mode;
    s->n = ask_for->n;
    s->cursor = 0;
    memcpy(s->members, ask_for->members, s->n * sizeof s->members[0]);
}

void model_set_create(struct model *m)
{
    struct m_client *c = some_client(m);
    uint64_t request = ++c->request;
    uint32_t members[M_MEMBERS];
    struct msg_set ask_for = { 0 };
    char name[8] = "";
    ptools_err code;
    size_t n = 0;

    for (size_t i = 1; i < m->n_sets; i++) { /* forget those of which nothing is left */
        bool used = !m->sets[i].gone && !m->sets[i].orphan;

        for (size_t k = 0; k < m->n_tasks; k++)
            used |= m->tasks[k].set == m->sets[i].id && !m->tasks[k].set_gone;
        if (!used)
            memmove(&m->sets[i], &m->sets[i + 1], (--m->n_sets - i) * sizeof m->sets[0]), i--;
    }
    if (m->n_sets == M_SETS)
        return;
    some_members(m, &ask_for, members);
    code = members_code(m, &ask_for);
    if (model_random(m, 2)) {
        snprintf(name, sizeof name, "s%u", (unsigned)model_random(m, 4));
        ask_for.name = text_of(name);
    }
    for (size_t i = 1; i < m->n_sets; i++) {
        if (name[0] && code == PTOOLS_OK && !m->sets[i].gone && m->sets[i].uid == c->uid &&
            strcmp(m->sets[i].name, name) == 0)
            code = PTOOLS_ERR_EXISTS;
        n += m->sets[i].uid == c->uid && !m->sets[i].gone;
    }
    if (code == PTOOLS_OK && n >= m->limits.user_sets_max)
        code = PTOOLS_ERR_LIMIT;
    ask(m, c, request, code);
    core_set(m->core, m->now_us, c->id, request, MSG_SET_CREATE, &ask_for, &m->out);
    model_deliver(m);
    if (code == PTOOLS_OK) {
        struct m_set *s = &m->sets[m->n_sets++];

        *s = (struct m_set){ .id = m->asking_reply.set_id, .uid = c->uid, .client = name[0] ? 0 : c->id };
        memcpy(s->name, name, sizeof s->name);
        fill(s, &ask_for);
        EXPECT(s->id != 0, "s->id != 0");
        for (size_t i = 1; i + 1 < m->n_sets; i++)
            EXPECT(m->sets[i].id != s->id, "m->sets[i].id != s->id");
    }
}

void model_set_change(struct model *m)
{
    struct m_client *c = some_client(m);
    struct m_set *s = &m->sets[model_random(m, m->n_sets)];
    uint64_t request = ++c->request;
    uint32_t members[M_MEMBERS];
    struct msg_set ask_for = { .set_id = s->id };
    ptools_err code;

    some_members(m, &ask_for, members);
    code = s->id == 0 || !visible(s, c) ? PTOOLS_ERR_NO_SET : members_code(m, &ask_for);
    ask(m, c, request, code);
    if (code == PTOOLS_OK) {
        fill(s, &ask_for);
        m_redeal(m, s->id);
    }
    core_set(m->core, m->now_us, c->id, request, MSG_SET_CHANGE, &ask_for, &m->out);
    model_deliver(m);
}

void model_set_destroy(struct model *m)
{
    struct m_client *c = some_client(m);
    struct m_set *s = &m->sets[model_random(m, m->n_sets)];
    uint64_t request = ++c->request;
    const struct msg_set ask_for = { .set_id = s->id };
    bool may = s->id != 0 && visible(s, c);

    ask(m, c, request, may ? PTOOLS_OK : PTOOLS_ERR_NO_SET);
    for (size_t i = 0; may && i < m->n_tasks; i++) {
        struct m_task *t = &m->tasks[i];

        if (t->set != s->id || t->set_gone)
            continue;
        if (t->place != M_GIVEN)
            m_must_end(t, PTOOLS_ERR_NO_SET, false);
        t->set_gone = true;
    }
    s->gone |= may;
    core_set(m->core, m->now_us, c->id, request, MSG_SET_DESTROY, &ask_for, &m->out);
    model_deliver(m);
}

/* -- the pool ------------------------------------------------------------------------------------------ */

void model_workers_add(struct model *m)
{
    struct m_client *c = some_client(m);
    uint64_t request = ++c->request;
    uint32_t n = 1 + (uint32_t)model_random(m, 3);
    bool fits = m->n_workers + n <= m->limits.workers_max;
    size_t before = m->n_workers;

    ask(m, c, request, m->draining ? PTOOLS_ERR_DRAINING : fits ? PTOOLS_OK : PTOOLS_ERR_LIMIT);
    core_workers_add(m->core, m->now_us, c->id, request, n, &m->out);
    model_deliver(m);
    if (m->draining || !fits)
        return;
    EXPECT(m->n_workers == before + n, "m->n_workers == before + n");
    for (size_t i = before; i < m->n_workers; i++) {
        EXPECT(m->workers[i].id == m->asking_reply.worker + (i - before), "ids are not consecutive");
        m->sets[0].members[m->sets[0].n++] = m->workers[i].id;
    }
}

static void leave_set(struct model *m, struct m_set *s, uint32_t worker)
{
    uint32_t i = 0;

    while (i < s->n && s->members[i] != worker)
        i++;
    if (s->gone || i == s->n)
        return;
    memmove(&s->members[i], &s->members[i + 1], (--s->n - i) * sizeof s->members[0]);
    if (i < s->cursor)
        s->cursor--;
    if (s->cursor == s->n)
        s->cursor = 0;
    if (s->n == 0)
        m_redeal(m, s->id);
}

void model_workers_remove(struct model *m)
{
    struct m_client *c = some_client(m);
    uint64_t request = ++c->request;
    uint32_t id = some_worker(m);
    struct m_worker *w = m_find_worker(m, id);
    bool may = w && !w->removed;

    ask(m, c, request, may ? PTOOLS_OK : PTOOLS_ERR_NO_WORKER);
    if (may) {
        w->removed = true;
        for (size_t i = 0; i < m->n_sets; i++)
            leave_set(m, &m->sets[i], id);
        for (size_t i = 0; i < m->n_tasks; i++)
            if (m->tasks[i].place == M_WAITING && m->tasks[i].bound == id && !m->tasks[i].must_end)
                m_requeue(m, &m->tasks[i]);
    }
    core_workers_remove(m->core, m->now_us, c->id, request, id, &m->out);
    model_deliver(m);
    if (may && w->process == P_NONE)
        memmove(w, w + 1, (size_t)(&m->workers[--m->n_workers] - w) * sizeof *w);
}
