/* SPDX-License-Identifier: MIT */
/*
 * clients -- what clients ask for: all kinds of tasks, and all that can be done to them. What follows at once from a
 * request is told to the model here, whether it is answered now or when the journal has it; an answer that says that it
 * cannot be is held against what the model says.
 *
 * Each user has a client more, which watches all of its tasks and never leaves: from its events the model learns.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

/* -- requests ------------------------------------------------------------------------------------------------- */

struct m_request *client_asks(enum request_kind kind, uint32_t client, struct m_task *t)
{
    struct m_request *r;

    do {
        r = &sim.requests[++sim.next_request % REQUESTS_MAX];
    } while (r->id);
    *r = (struct m_request){ sim.next_request, kind, client, t, t ? t->generation : 0, 0, false };
    sim.n_requests++;
    return r;
}

static void forget(struct m_request *r)
{
    r->id = 0;
    sim.n_requests--;
}

/* What has been recorded since then belongs to its answer. */
static void counts_with(struct m_request *r, uint64_t since)
{
    r->row = sim.core->row_number > since ? sim.core->row_number : 0;
}

/* What was asked for just now was refused. */
const struct msg_failure *client_refusal(const struct m_request *r)
{
    for (size_t i = 0; i < sim.out.n; i++) {
        const struct action *a = &sim.out.v[i];

        if (a->type == ACT_ANSWER && a->answer.id == r->id)
            return a->answer.failed ? &a->answer.failure : NULL;
    }
    return NULL;
}

struct m_task *client_some_task(uint32_t user)
{
    struct m_task *t = sim.n_live ? sim.live[sim_random(sim.n_live)] : NULL;

    return t && t->id && t->user == user ? t : NULL;
}

/* -- they come and go ------------------------------------------------------------------------------------------- */

static uint32_t user_of(uint32_t index)
{
    return index >= CLIENTS ? index - CLIENTS : index < 2 ? 0 : index - 1;
}

static void make_set(uint32_t index)
{
    uint32_t members[4];
    const struct msg_set set = { .name = TEXT("pair"), .mode = 2, .n = workers_of_a_set(members), .members = members };
    const struct m_request *r = client_asks(R_SET, index, NULL);

    sim.set_members[user_of(index)] = 0;
    for (uint32_t i = 0; i < set.n; i++)
        sim.set_members[user_of(index)] |= (uint32_t)bit(members[i]);
    core_set(sim.core, sim.now, sim.clients[index].id, r->id, MSG_SET_CREATE, &set, &sim.out);
    sim_deliver();
}

/* The set of a user goes, or is there again. */
static void change_set(uint32_t user)
{
    const struct msg_set set = { .set_id = sim.sets[user] };
    const struct m_request *r;

    if (!set.set_id) {
        make_set(CLIENTS + user);
        return;
    }
    r = client_asks(R_OTHER, CLIENTS + user, NULL);
    trace_add("destroys the set of user", user, 0, 0);
    sim.sets[user] = 0;
    core_set(sim.core, sim.now, sim.clients[CLIENTS + user].id, r->id, MSG_SET_DESTROY, &set, &sim.out);
    sim_deliver();
}

void client_comes(uint32_t index)
{
    struct m_client *c = &sim.clients[index];

    *c = (struct m_client){ .user = user_of(index), .source = ++sim.next_source };
    SIM_CHECK(core_client_add(sim.core, FIRST_UID + c->user, &c->id) == 0, "memory", "no client");
    if (index < CLIENTS)
        return;
    c->watch = client_asks(R_OTHER, index, NULL)->id;
    core_queued(sim.core, sim.now, c->id, c->watch, MSG_EVENTS, &(const struct msg_task){ 0 }, &sim.out);
    sim_deliver();
    make_set(index);
}

void client_goes(uint32_t index)
{
    struct m_client *c = &sim.clients[index];
    const uint32_t id = c->id;

    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        struct m_request *r = &sim.requests[i];

        if (!r->id || r->client != index)
            continue;
        if (r->kind == R_SUBMIT && r->task->generation == r->generation && r->task->place == ASKED && !r->task->id)
            model_free(r->task); /* it waited for room */
        servers_forget_request(r->id);
        forget(r);
    }
    c->id = 0;
    calls_forget(index);
    servers_client_goes(index);
    arrays_client_goes(index);
    core_client_gone(sim.core, sim.now, id, &sim.out);
    sim_deliver();
}

void clients_add(void)
{
    for (uint32_t i = CLIENTS + USERS; i-- > 0;)
        client_comes(i);
}

void clients_forget(void)
{
    memset(sim.requests, 0, sizeof sim.requests);
    sim.n_requests = 0;
    for (uint32_t i = 0; i < CLIENTS + USERS; i++) {
        sim.clients[i].id = 0;
        calls_forget(i);
    }
}

/* -- changes ----------------------------------------------------------------------------------------------------------
 */

/* Whether it can be: 1, 0, or -1: it depends. */
static int possible(const struct m_task *t, enum task_change change)
{
    switch (change) {
    case CHANGE_DEQUEUE:
        return t->parts > 0 ? -1 : t->place == WAITING;
    case CHANGE_CANCEL:
        return t->place == WAITING || t->place == GIVEN;
    case CHANGE_HOLD:
        return t->place == WAITING && !t->hold;
    case CHANGE_RELEASE:
        return t->place == WAITING && t->hold;
    case CHANGE_KICK:
        if (t->place == ENDED)
            return t->shown == SHOWN_DEAD;
        if (t->place != WAITING || sim.habits.breaker || sim.ending)
            return t->place == WAITING ? -1 : 0;
        return t->ready_us > sim.now ? 1 : t->surely_us > sim.now || t->slack_us ? -1 : 0;
    case CHANGE_RERUN:
        return t->place == ENDED;
    case CHANGE_FORGET:
        return t->place == ENDED ? (t->whole ? -1 : 1) : 0;
    }
    return -1;
}

static void apply(struct m_task *t, enum task_change change)
{
    switch (change) {
    case CHANGE_DEQUEUE:
    case CHANGE_CANCEL:
        model_cancel(t);
        break;
    case CHANGE_HOLD:
    case CHANGE_RELEASE:
        t->hold = change == CHANGE_HOLD;
        break;
    case CHANGE_KICK:
    case CHANGE_RERUN:
        if (t->place == ENDED)
            model_again(t);
        t->ready_us = t->surely_us = sim.now;
        break;
    case CHANGE_FORGET:
        t->forgotten = true;
        break;
    }
}

static void change(uint32_t client, struct m_task *t, enum task_change change)
{
    struct m_client *c = &sim.clients[client];
    const struct msg_task m = { .n_tasks = 1, .tasks = &t->id, .change = change };
    const int can = possible(t, change);
    const uint64_t since = sim.core->row_number;
    const struct msg_failure *f;
    struct m_request *r;

    if (t->place == ASKED || (t->parts > 0 && change != CHANGE_CANCEL && change != CHANGE_FORGET))
        return;
    r = client_asks(R_CHANGE, client, t);
    trace_add("changes request, task, how", r->id, t->id, change);
    core_queued(sim.core, sim.now, c->id, r->id, MSG_TASK_CHANGE, &m, &sim.out);
    f = client_refusal(r);
    if (f && f->code == PTOOLS_ERR_NO_TASK) {
        SIM_CHECK(model_may_go(t), "I1", "task %lu, in place %d, is not known", t->id, t->place);
    } else if (f && f->code == PTOOLS_ERR_LIMIT) {
        SIM_CHECK(model_in_queue(t->user) >= sim.limits.user_queued_max, "limits", "task %lu may not come back", t->id);
    } else if (!f || f->code == PTOOLS_ERR_NOT_NOW) {
        SIM_CHECK(can < 0 || can == !f, "model", "task %lu, in place %d, change %d: %d", t->id, t->place, change, !f);
    }
    counts_with(r, since);
    if (!f)
        apply(t, change);
    sim_deliver();
}

static void set_priorities(uint32_t client)
{
    struct m_client *c = &sim.clients[client];
    const uint64_t since = sim.core->row_number;
    struct msg_priority pairs[4];
    struct m_task *tasks[4];
    struct m_request *r;
    uint32_t n = 0;

    for (uint32_t i = 0; i < 4; i++) {
        struct m_task *t = client_some_task(c->user);

        if (t && t->place != ASKED && t->parts == 0 && !t->forgotten) {
            tasks[n] = t;
            pairs[n++] = (struct msg_priority){ t->id, sim_one_in(8) ? INFINITY : (double)sim_random(8) };
        }
    }
    if (n == 0)
        return;
    r = client_asks(R_PRIORITY, client, NULL);
    trace_add("sets priorities request, tasks", r->id, n, 0);
    core_priorities(sim.core, sim.now, c->id, r->id, (const uint8_t *)pairs, n * sizeof pairs[0], &sim.out);
    counts_with(r, since);
    for (uint32_t i = 0; i < n && !client_refusal(r); i++)
        if (tasks[i]->place == WAITING) {
            tasks[i]->moved |= tasks[i]->priority != pairs[i].priority;
            tasks[i]->priority = pairs[i].priority;
        }
    sim_deliver();
}

static void pause(uint32_t client, uint32_t tag, bool on)
{
    struct m_client *c = &sim.clients[client];
    struct m_pause *p = &sim.pauses[c->user][tag];
    const struct msg_task m = { .tag = { sim_tag(tag), strlen(sim_tag(tag)) } };
    const struct msg_task all = { 0 };
    struct m_request *r = client_asks(R_PAUSE, client, NULL);
    const uint64_t since = sim.core->row_number;

    trace_add("pauses request, tag, on", r->id, tag, on);
    core_queued(sim.core, sim.now, c->id, r->id, on ? MSG_QUEUE_PAUSE : MSG_QUEUE_RESUME, tag == TAGS ? &all : &m,
                &sim.out);
    counts_with(r, since);
    if (!client_refusal(r)) {
        if (p->on != on)
            p->row = since + 1;
        p->on = on;
    }
    sim_deliver();
}

/* -- the rest
 * ------------------------------------------------------------------------------------------------------------ */

static void look(uint32_t client)
{
    struct m_client *c = &sim.clients[client];
    struct m_task *t = client_some_task(c->user);
    const bool wait = sim_one_in(3);
    struct msg_task m = { 0 };
    struct m_request *r;

    if (!t || t->place == ASKED)
        return;
    if (wait) {
        m.n_tasks = 1;
        m.tasks = &t->id;
    } else {
        m.task = t->id;
    }
    r = client_asks(wait ? R_WAIT : R_RESULT, client, t);
    trace_add(wait ? "waits request, task" : "asks for a result request, task", r->id, t->id, 0);
    core_queued(sim.core, sim.now, c->id, r->id, wait ? MSG_TASK_WAIT : MSG_TASK_RESULT, &m, &sim.out);
    sim_deliver();
}

/* Of one of its requests. */
static void cancel(uint32_t client)
{
    const struct m_request *which = &sim.requests[sim_random(REQUESTS_MAX)];
    struct m_request *r;
    struct m_task *t;

    for (uint32_t i = 0; i < REQUESTS_MAX && (!which->id || which->client != client); i++)
        which = &sim.requests[(size_t)(which - sim.requests + 1) % REQUESTS_MAX];
    if (!which->id || which->client != client ||
        (which->kind != R_CALL && which->kind != R_WAIT && which->kind != R_SUBMIT))
        return;
    t = which->kind == R_SUBMIT && which->task->generation == which->generation ? which->task : NULL;
    r = client_asks(R_OTHER, client, NULL);
    trace_add("cancels request, task", which->id, t ? t->id : 0, 0);
    core_cancel(sim.core, sim.now, sim.clients[client].id, r->id, &(const struct msg_cancel){ .request = which->id },
                &sim.out);
    if (which->kind == R_CALL)
        call_cancelled(which->id);
    if (t && t->id && !client_refusal(r)) {
        t->cancel_it = t->place == ASKED;
        if (t->place == WAITING || t->place == GIVEN)
            model_cancel(t);
    }
    sim_deliver();
}

void client_acts(void)
{
    const uint32_t client = (uint32_t)sim_random(CLIENTS + 1);
    const uint64_t what = sim_random(100);
    struct m_task *t;

    if (what < 48) {
        client_submits(client);
    } else if (what < 52) {
        client_resends(client);
    } else if (what < 68) {
        if ((t = client_some_task(sim.clients[client].user)))
            change(client, t, (enum task_change)(1 + sim_random(CHANGE_FORGET)));
    } else if (what < 74) {
        set_priorities(client);
    } else if (what < 76) {
        pause(client, (uint32_t)sim_random(TAGS + 1), sim_one_in(3));
    } else if (what < 86) {
        look(client);
    } else if (what < 89) {
        client_calls(client);
    } else if (what < 96) {
        if (sim_one_in(4))
            client_limits(client);
        else if (sim_one_in(4))
            client_shares(client);
        else if (sim_one_in(3))
            client_maps(client);
        else
            client_serves(client);
    } else if (what < 97) {
        change_set((uint32_t)sim_random(USERS));
    } else {
        cancel(client);
    }
}

/* -- answers
 * --------------------------------------------------------------------------------------------------------------- */

static void submit_answered(const struct m_request *r, const struct msg_answer *answer)
{
    struct m_task *t = r->task->generation == r->generation ? r->task : NULL;
    const uint64_t id = answer->failed ? answer->failure.task : answer->reply.task;
    const uint32_t state = answer->failed ? answer->failure.state : answer->reply.state;

    if (t && t->id && id == t->id) {
        SIM_CHECK(t->place != ASKED, "I1", "task %lu is answered, and not accepted", id);
        if (r->wait && task_shown_ended(state))
            model_told(id, state);
        SIM_CHECK(!model_journaled(t) || t->new_row <= journal_told(), "I1",
                  "task %lu is accepted before it is recorded", id);
        sim.count.accepted++;
        return;
    }
    if (answer->failed && t && t->id && answer->failure.code == PTOOLS_ERR_STORAGE) {
        return; /* it may be there, for all that is known */
    } else if (t && !t->id && id == sim.fleeting && id) {
        model_free(t);
    } else if (answer->failed && t && t->place == ASKED) { /* also because of its key */
        for (uint32_t i = 1; i <= t->parts; i++)
            model_free(model_find(t->id + i));
        model_free(t);
    } else if (answer->failed) {
        SIM_CHECK(sim.storage_failed, "answers", "request %lu fails, though its task was taken", r->id);
    } else {
        sim_fail("I6", "request %lu is answered with task %lu", r->id, id);
    }
}

static void resend_answered(const struct m_request *r, const struct msg_answer *answer)
{
    SIM_CHECK(!answer->failed && answer->reply.duplicate && answer->reply.task == r->task->id, "I6",
              "task %lu was sent once more, and the answer is %s, task %lu", r->task->id,
              answer->failed ? ptools_errname(answer->failure.code) : "a task",
              answer->failed ? 0 : answer->reply.task);
}

static void result_answered(const struct m_request *r, const struct msg_answer *answer)
{
    struct m_task *t = r->task->generation == r->generation ? r->task : NULL;
    const uint64_t id = answer->failed ? answer->failure.task : answer->reply.task;
    const uint32_t state = answer->failed ? answer->failure.state : answer->reply.state;

    if (task_shown_ended(state)) {
        SIM_CHECK(t && t->id == id, "answers", "request %lu is answered with task %lu", r->id, id);
        model_told(id, state);
    } else {
        SIM_CHECK(answer->failed && (sim.storage_failed || !t || model_may_go(t)), "I1",
                  "the result of task %lu is not known", t ? t->id : 0);
    }
}

void client_answer(const struct action *a)
{
    struct m_request *r = &sim.requests[a->answer.id % REQUESTS_MAX];
    struct m_request was;
    bool there = false;

    for (uint32_t i = 0; i < CLIENTS + USERS; i++)
        there |= sim.clients[i].id == a->client;
    if (!there)
        return; /* it has left, and what it waited for was on its way to the journal */
    SIM_CHECK(r->id == a->answer.id && sim.clients[r->client].id == a->client, "answers",
              "client %u is answered request %lu, for which it does not wait", a->client, a->answer.id);
    was = *r;
    forget(r);
    switch (was.kind) {
    case R_SET:
        SIM_CHECK(!a->answer.failed, "answers", "no set is made");
        sim.sets[sim.clients[was.client].user] = a->answer.reply.set_id;
        break;
    case R_SUBMIT:
        submit_answered(&was, &a->answer);
        break;
    case R_RESEND:
        resend_answered(&was, &a->answer);
        break;
    case R_RESULT:
        result_answered(&was, &a->answer);
        break;
    case R_CALL:
        call_answered(was.id, &a->answer, a->payload);
        break;
    case R_START:
    case R_OPEN:
    case R_RESTART:
    case R_STOP:
        servers_answered(was.kind, was.generation, &a->answer);
        break;
    case R_ARRAY:
        array_answered(was.id, &a->answer);
        break;
    case R_FATE:
        servers_fate(was.id, &a->answer);
        break;
    case R_CHANGE:
    case R_PRIORITY:
    case R_PAUSE:
        SIM_CHECK(a->answer.failed || was.row <= journal_told(), "I1", "request %lu is answered before it is recorded",
                  was.id);
        break;
    default:
        break;
    }
}

void client_event(const struct action *a)
{
    struct m_client *c = NULL;

    for (uint32_t i = CLIENTS; i < CLIENTS + USERS; i++)
        if (sim.clients[i].id == a->client && sim.clients[i].watch == a->answer.id)
            c = &sim.clients[i];
    SIM_CHECK(c, "answers", "client %u has an event that it did not ask for", a->client);
    SIM_CHECK(a->answer.event.seq == ++c->seq, "answers", "event %lu comes after %lu", a->answer.event.seq, c->seq - 1);
    trace_add("ACT_EVENT task, event, state", a->answer.event.task, a->answer.event.event, a->answer.event.state);
    model_event(c, &a->answer.event);
}

/* -- the end
 * ------------------------------------------------------------------------------------------------------------------ */

void clients_release_all(void)
{
    for (uint32_t u = 0; u < USERS; u++)
        if (!sim.sets[u])
            make_set(CLIENTS + u);
    for (uint32_t u = 0; u < USERS; u++)
        for (uint32_t i = 0; i <= TAGS; i++)
            pause(CLIENTS + u, i, false);
    for (uint32_t i = sim.n_live; i-- > 0;)
        if (i < sim.n_live && sim.live[i]->hold && sim.live[i]->place == WAITING && sim.live[i]->parts == 0)
            change(CLIENTS + sim.live[i]->user, sim.live[i], CHANGE_RELEASE);
    for (uint32_t i = sim.n_live; i-- > 0;) /* nobody will ever come for these */
        if (i < sim.n_live && sim.live[i]->place == WAITING && model_target_gone(sim.live[i]))
            change(CLIENTS + sim.live[i]->user, sim.live[i], CHANGE_CANCEL);
}

void clients_forget_ended(void)
{
    for (int whole = 1; whole >= 0; whole--) { /* a part goes when its whole has */
        for (uint32_t i = sim.n_live; i-- > 0;) {
            struct m_task *t = sim.live[i];

            if ((t->parts > 0) == whole)
                change(CLIENTS + t->user, t, CHANGE_FORGET);
        }
    }
    while (!journal_idle())
        journal_writes();
    core_assign(sim.core, sim.now, &sim.out);
    sim_deliver();
}
