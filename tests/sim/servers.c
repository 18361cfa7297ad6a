/* SPDX-License-Identifier: MIT */
/*
 * servers -- server tasks: clients that start handles, take lanes, call, ask what became of calls, restart and stop;
 * and the processes. What is promised:
 *
 *   - a start or a restart is answered when all processes are up, or when it is known that they will not be; a stop
 *     when all are gone;
 *   - a lane leads to the process that is there, and to none that died, until a restart is asked for;
 *   - a call that had begun is never said not to have run, and what became of it is told when its process dies, or
 *     within two seconds;
 *   - nobody's state is taken without need: a process is told to end, or killed, when its handle is to end and not
 *     before; or when its call was to stop and did not;
 *   - a handle ends with its client, unless it has a name.
 *
 * A handle's prefix is its number here: that is how a process knows whose it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

enum { HANDLES = 32, PROCS = 128, SERVERS = 3, ASKED_MAX = 64, PATIENCE_US = 2000000, NOT_MADE_MAX = 5 };

struct process {
    uint32_t number, tag, index; /* number: 0: free */
    bool up, killed, asked, stopping;
    uint64_t must_die_us; /* 0: never */
    uint64_t call, last;  /* that it runs; 0: none. The last one that it began */
    uint64_t cancelled_us;
    struct core_calls calls;
    uint64_t next; /* call that it was sent and has not begun; 0: none */
};

enum handle_state { H_NONE, H_STARTING, H_UP, H_RESTARTING, H_STOPPING };
struct handle {
    enum handle_state state;
    uint64_t id; /* 0: not told yet */
    uint32_t tag, user, client, n;
    bool named, lost; /* client: whose it is, if it has no name; lost: a process was, since the start */
    uint32_t processes[SERVERS], not_made[SERVERS];
    struct process dead[SERVERS]; /* the last ones */
};

/* What became of a call is asked. */
struct asked {
    uint64_t request; /* 0: free */
    uint32_t process;
    uint64_t call, since_us;
    bool begun;
};

static struct handle handles[HANDLES];
static struct process processes[PROCS];
static struct asked asked[ASKED_MAX];
static uint32_t last_tag;
static uint64_t last_call;

void servers_forget(void)
{
    memset(handles, 0, sizeof handles);
    memset(processes, 0, sizeof processes);
    memset(asked, 0, sizeof asked);
}

static struct process *process_find(uint32_t number)
{
    for (size_t i = 0; i < PROCS; i++)
        if (processes[i].number == number)
            return &processes[i];
    return NULL;
}

static struct handle *handle_find(uint32_t tag)
{
    for (size_t i = 0; i < HANDLES; i++)
        if (handles[i].state != H_NONE && handles[i].tag == tag)
            return &handles[i];
    return NULL;
}

static uint32_t alive(const struct handle *h)
{
    uint32_t n = 0;

    for (size_t i = 0; i < PROCS; i++)
        n += processes[i].number && processes[i].tag == h->tag;
    return n;
}

static bool all_up(const struct handle *h)
{
    for (uint32_t i = 0; i < h->n; i++) {
        const struct process *p = h->processes[i] ? process_find(h->processes[i]) : NULL;

        if (!p || !p->up)
            return false;
    }
    return true;
}

/* -- the end of a handle ---------------------------------------------------------------------------------------------
 */

/* by_us: then what is left of it is killed; 0: never. */
static void handle_stops(struct handle *h, uint64_t by_us)
{
    h->state = H_STOPPING;
    for (size_t i = 0; i < PROCS; i++) {
        struct process *p = &processes[i];

        if (!p->number || p->tag != h->tag)
            continue;
        p->stopping = true;
        if (!p->up)
            p->must_die_us = sim.now;
        else if (by_us && (!p->must_die_us || by_us < p->must_die_us))
            p->must_die_us = by_us;
    }
    if (alive(h) == 0)
        h->state = H_NONE;
}

void servers_client_goes(uint32_t client)
{
    for (size_t i = 0; i < HANDLES; i++)
        if (handles[i].state != H_NONE && !handles[i].named && handles[i].client == client) {
            handles[i].client = CLIENTS + USERS;
            handle_stops(&handles[i], sim.now + sim.limits.kill_grace_us);
        }
}

void servers_drain(bool hurry)
{
    for (size_t i = 0; i < HANDLES; i++)
        if (handles[i].state != H_NONE)
            handle_stops(&handles[i], hurry ? sim.now + sim.limits.kill_grace_us : 0);
}

/* -- clients ------------------------------------------------------------------------------------------------------- */

static bool is_of(const struct handle *h, uint32_t client)
{
    return h->state != H_NONE && (h->named ? h->user == sim.clients[client].user : h->client == client);
}

static struct m_request *request(uint32_t client, enum request_kind kind, const struct handle *h, enum msg_kind what,
                                 const struct msg_stasks *m)
{
    struct m_request *r = client_asks(kind, client, NULL);

    r->generation = h->tag;
    trace_add("asks about server tasks: request, handle, kind", r->id, h->tag, what);
    core_stasks(sim.core, sim.now, sim.clients[client].id, r->id, what, m, &sim.out);
    return r;
}

static uint32_t in_use(uint32_t user)
{
    uint32_t n = 0;

    for (size_t i = 0; i < HANDLES; i++)
        n += handles[i].state != H_NONE && handles[i].user == user ? handles[i].n : 0;
    return n;
}

static void start(uint32_t client)
{
    char prefix[12];
    struct handle *h = handles, *other = NULL;
    struct msg_stasks m = { .count = 1 + (uint32_t)sim_random(SERVERS), .prefix = { prefix, 0 } };
    const struct msg_failure *f;
    const struct m_request *r;

    while (h < handles + HANDLES && h->state != H_NONE)
        h++;
    if (h == handles + HANDLES || sim.ending)
        return;
    *h = (struct handle){ .state = H_STARTING,
                          .tag = ++last_tag,
                          .user = sim.clients[client].user,
                          .client = client,
                          .n = m.count,
                          .named = sim_one_in(3) };
    m.prefix.n = (size_t)snprintf(prefix, sizeof prefix, "%u", h->tag);
    for (size_t i = 0; i < HANDLES; i++)
        if (&handles[i] != h && handles[i].state != H_NONE && handles[i].named && handles[i].user == h->user)
            other = &handles[i];
    if (h->named)
        m.name = TEXT("ours");
    trace_add("starts server tasks: handle, user, named", h->tag, h->user, h->named);
    r = request(client, R_START, h, MSG_STASKS_START, &m);
    f = client_refusal(r);
    if (f) {
        h->state = H_NONE;
        SIM_CHECK(f->code == PTOOLS_ERR_EXISTS
                      ? other && h->named
                      : f->code == PTOOLS_ERR_LIMIT && in_use(h->user) + m.count > sim.limits.user_stasks_max,
                  "servers", "handle %u is refused: %s", h->tag, ptools_errname(f->code));
    }
    sim_deliver();
}

/* Whoever started it, it is there for all of its user. */
static void open_named(uint32_t client, struct handle *h)
{
    const struct msg_stasks m = { .name = TEXT("ours") };
    const struct m_request *r = request(client, R_OPEN, h, MSG_STASKS_OPEN, &m);
    const struct msg_failure *f = client_refusal(r);

    SIM_CHECK(f ? h->state == H_STARTING || h->state == H_STOPPING : h->state == H_UP || h->state == H_RESTARTING,
              "servers", "handle %u is in state %d, and is opened: %d", h->tag, h->state, !f);
    sim_deliver();
}

static void restart(uint32_t client, struct handle *h)
{
    const struct msg_stasks m = { .stasks = h->id };
    const struct m_request *r;

    if (sim.ending || h->state != H_UP)
        return;
    h->state = H_RESTARTING;
    h->lost = false;
    memset(h->not_made, 0, sizeof h->not_made);
    r = request(client, R_RESTART, h, MSG_STASKS_RESTART, &m);
    SIM_CHECK(!client_refusal(r), "servers", "handle %u is not started anew", h->tag);
    sim_deliver();
}

static void stop(uint32_t client, struct handle *h)
{
    const struct msg_stasks m = { .stasks = h->id, .kill_ms = sim_one_in(2) ? 1 + sim_random(100) : 0 };

    (void)request(client, R_STOP, h, MSG_STASKS_STOP, &m);
    handle_stops(h, m.kill_ms ? sim.now + m.kill_ms * 1000 : 0);
    sim_deliver();
}

/* A lane, and a call through it; which is cancelled now and then. */
static void call(uint32_t client, const struct handle *h, uint32_t index)
{
    const struct fds_request lane = { .magic = FDS_MAGIC, .kind = FDS_LANE, .id = h->id, .index = index };
    struct process *p = h->processes[index] ? process_find(h->processes[index]) : NULL;
    struct fds_answer a;

    core_stask_lane(sim.core, sim.clients[client].id, &lane, &a);
    trace_add("asks for a lane: handle, index, code", h->tag, index, a.code);
    SIM_CHECK((a.code == PTOOLS_OK) == (p && p->up && h->state != H_STOPPING), "servers",
              "the lane to server task %u of handle %u: %s", index, h->tag, ptools_errname((ptools_err)a.code));
    if (a.code != PTOOLS_OK)
        return;
    SIM_CHECK(a.process == p->number, "servers", "a lane leads to process %u, which is not server task %u", a.process,
              index);
    if (!p->next)
        p->next = ++last_call << 32 | 1;
    if (p->call && sim_one_in(3)) {
        const struct msg_stasks m = { .stasks = h->id, .index = index, .process = p->number, .call = p->call };

        (void)request(client, R_OTHER, h, MSG_STASKS_CANCEL, &m);
        sim_deliver();
    }
}

/* What became of a call of the process that there is, or of the last one: one that it began, or did not. */
static void ask_fate(uint32_t client, const struct handle *h, uint32_t index)
{
    const struct process *p = h->processes[index] ? process_find(h->processes[index]) : &h->dead[index];
    struct asked *f = asked;
    struct msg_stasks m = { .stasks = h->id, .index = index };
    struct m_request *r;

    while (f < asked + ASKED_MAX && f->request)
        f++;
    if (f == asked + ASKED_MAX || !p || (!p->last && !p->next))
        return;
    m.process = p->number;
    m.call = p->last && sim_one_in(2) ? p->last : p->next ? p->next : p->last;
    r = client_asks(R_FATE, client, NULL);
    *f = (struct asked){ r->id, p->number, m.call, sim.now, m.call == p->last };
    trace_add("asks what became of a call: request, process, begun", r->id, p->number, f->begun);
    core_stasks(sim.core, sim.now, sim.clients[client].id, r->id, MSG_STASKS_FATE, &m, &sim.out);
    sim_deliver();
}

void client_serves(uint32_t client)
{
    struct handle *h = &handles[sim_random(HANDLES)];

    for (size_t i = 0; i < HANDLES && !is_of(h, client); i++)
        h = &handles[(size_t)(h - handles + 1) % HANDLES];
    if (!is_of(h, client) || sim_one_in(6)) {
        start(client);
        return;
    }
    if (!h->id || (h->named && sim_one_in(4))) {
        if (h->named)
            open_named(client, h);
        return;
    }
    switch (sim_random(12)) {
    case 0:
        stop(client, h);
        break;
    case 1:
    case 4:
        restart(client, h);
        break;
    case 2:
    case 3:
        ask_fate(client, h, (uint32_t)sim_random(h->n));
        break;
    default:
        call(client, h, (uint32_t)sim_random(h->n));
    }
}

void servers_answered(enum request_kind kind, uint32_t tag, const struct msg_answer *a)
{
    struct handle *h = handle_find(tag);

    if (kind == R_STOP) {
        SIM_CHECK(!h || alive(h) == 0, "servers", "handle %u is told to have stopped, and has %u processes", tag,
                  h ? alive(h) : 0);
        return;
    }
    if (kind == R_OPEN) {
        SIM_CHECK(a->failed || !h->id || h->id == a->reply.stasks, "servers", "handle %u is opened as %lu", tag,
                  a->reply.stasks);
        h->id = a->failed ? h->id : a->reply.stasks;
        return;
    }
    if (!a->failed) {
        SIM_CHECK(h && h->state != H_STOPPING && all_up(h), "servers", "handle %u is told to be up", tag);
        SIM_CHECK(a->reply.count == h->n && (!h->id || a->reply.stasks == h->id), "servers", "handle %u is %lu", tag,
                  a->reply.stasks);
        h->id = a->reply.stasks;
        h->state = H_UP;
        return;
    }
    SIM_CHECK(!h || h->lost || h->state == H_STOPPING, "servers", "handle %u does not come up: %s", tag,
              ptools_errname(a->failure.code));
    if (h && h->state == H_RESTARTING)
        h->state = H_UP;
}

void servers_fate(uint64_t request, const struct msg_answer *a)
{
    for (size_t i = 0; i < ASKED_MAX; i++) {
        struct asked *f = &asked[i];

        if (f->request != request)
            continue;
        SIM_CHECK(a->failed, "servers", "what became of a call is not told");
        SIM_CHECK(a->failure.maybe_executed || !f->begun, "servers",
                  "a call of process %u was begun, and that is denied", f->process);
        SIM_CHECK(f->begun || !a->failure.maybe_executed || a->failure.code == PTOOLS_ERR_LOST, "servers",
                  "a call of process %u was not begun, and may have run", f->process);
        SIM_CHECK(a->failure.code != PTOOLS_ERR_LOST || (process_find(f->process)), "servers",
                  "process %u lives on, and is gone", f->process);
        f->request = 0;
    }
}

/* -- processes ---------------------------------------------------------------------------------------------------- */

void server_spawns(uint32_t number)
{
    struct core_stask_place where;
    struct process *p = process_find(0);
    struct handle *h;

    SIM_CHECK(core_stask_where(sim.core, number, &where) && p, "servers", "process %u is to be made for nobody",
              number);
    h = handle_find((uint32_t)strtoul(where.prefix, NULL, 10));
    SIM_CHECK(h && where.count == h->n && h->state != H_STOPPING, "servers", "process %u is of handle '%s'", number,
              where.prefix);
    SIM_CHECK(!h->processes[where.index], "servers", "server task %u of handle %u has a process", where.index, h->tag);
    *p = (struct process){ .number = number, .tag = h->tag, .index = where.index };
    h->processes[where.index] = number;
}

void server_stops(uint32_t number)
{
    struct process *p = process_find(number);

    SIM_CHECK(p && p->stopping, "servers", "process %u is told to end, and its handle is not", number);
    p->asked = true;
}

void server_killed(uint32_t number)
{
    struct process *p = process_find(number);

    SIM_CHECK(p && p->stopping && p->must_die_us && p->must_die_us <= sim.now, "servers",
              "process %u is killed, and may live until %lu", number, p ? p->must_die_us : 0);
    p->killed = true;
}

void server_cancels(uint32_t number, uint64_t call)
{
    struct process *p = process_find(number);

    if (!p || p->call != call)
        return;
    if (!p->cancelled_us)
        p->cancelled_us = sim.now;
    core_stask_stopping(sim.core, sim.now, number, call);
}

void server_call_killed(uint32_t number, uint64_t call)
{
    struct process *p = process_find(number);

    if (!p || p->call != call)
        return;
    SIM_CHECK(p->cancelled_us && p->cancelled_us + sim.limits.kill_grace_us <= sim.now, "servers",
              "process %u is killed for a call that has time left", number);
    p->killed = true;
}

static void gone(struct process *p, int signal, bool made)
{
    const struct msg_failure facts = {
        .code = PTOOLS_ERR_WORKER_DIED, .signal = signal, .exited = made && !signal, .exit_status = made ? 0 : -1
    };
    struct core_calls calls = p->calls;
    struct handle *h = handle_find(p->tag);
    const uint32_t number = p->number;

    trace_add("a server task ends: process, signal, made", number, (uint64_t)signal, made);
    calls.running = p->call;
    if (h) {
        h->processes[p->index] = 0;
        h->dead[p->index] = *p;
    }
    p->number = 0;
    if (h && h->state != H_STOPPING && !made && !signal && ++h->not_made[p->index] < NOT_MADE_MAX) {
        ; /* it is tried again */
    } else if (h) {
        h->lost = true;
        if (h->state == H_STARTING)
            handle_stops(h, sim.now);
        else if (h->state == H_RESTARTING)
            h->state = H_UP;
    }
    if (h && h->state == H_STOPPING && alive(h) == 0)
        h->state = H_NONE;
    core_stask_gone(sim.core, sim.now, number, &facts, &calls, &sim.out);
    sim_deliver();
}

static void begin_call(struct process *p)
{
    p->call = p->last = p->next;
    p->next = 0;
    p->calls.begun[p->calls.n++ % CORE_CALLS_KEPT] = p->call;
    for (size_t i = 0; i < ASKED_MAX; i++)
        asked[i].begun |= asked[i].call == p->call;
}

/* Whether anybody is still there to be told or not. */
static void is_up(struct process *p)
{
    struct handle *h = handle_find(p->tag);

    p->up = true;
    if (all_up(h))
        h->state = H_UP;
}

static void comes(struct process *p)
{
    if (!sim.draining && !p->killed && sim_one_in(12)) {
        gone(p, sim_one_in(2) ? 9 : 0, false);
        return;
    }
    if (p->killed && sim_one_in(2)) {
        gone(p, 9, true);
        return;
    }
    if (p->stopping)
        p->must_die_us = sim.now;
    else
        is_up(p);
    core_stask_ready(sim.core, sim.now, p->number, 5000, &sim.out);
    sim_deliver();
}

void server_acts(void)
{
    struct process *p = &processes[sim_random(PROCS)];

    for (size_t i = 0; i < PROCS && !p->number; i++)
        p = &processes[(size_t)(p - processes + 1) % PROCS];
    if (!p->number)
        return;
    if (!p->up && !p->killed) {
        comes(p);
    } else if (p->killed || (!sim.draining && sim_one_in(40))) {
        gone(p, 9, true);
    } else if (p->call) {
        if (sim.draining || sim_one_in(3))
            p->call = p->cancelled_us = 0;
    } else if (p->asked) {
        gone(p, 0, true);
    } else if (p->next) {
        begin_call(p);
    }
}

/* -- after each turn, and at the end ----------------------------------------------------------------------------------
 */

void servers_turn(void)
{
    for (size_t i = 0; i < PROCS; i++) {
        const struct process *p = &processes[i];

        if (!p->number || p->killed)
            continue;
        SIM_CHECK(!p->must_die_us || p->must_die_us > sim.now, "servers", "process %u was to be killed", p->number);
        SIM_CHECK(!p->cancelled_us || p->cancelled_us + sim.limits.kill_grace_us > sim.now, "servers",
                  "process %u does not stop its call, and lives", p->number);
    }
    for (size_t i = 0; i < ASKED_MAX; i++)
        SIM_CHECK(!asked[i].request || (process_find(asked[i].process) && asked[i].since_us + PATIENCE_US > sim.now),
                  "servers", "what became of a call of process %u is not told", asked[i].process);
}

void servers_forget_request(uint64_t request)
{
    for (size_t i = 0; i < ASKED_MAX; i++)
        if (asked[i].request == request)
            asked[i].request = 0;
}

bool servers_stop_all(void)
{
    bool any = false;

    for (size_t i = 0; i < HANDLES; i++) {
        struct handle *h = &handles[i];

        any |= h->state != H_NONE;
        if (h->state == H_UP && h->id)
            stop(h->named ? CLIENTS + h->user : h->client, h);
        else if (h->state == H_UP)
            open_named(CLIENTS + h->user, h);
    }
    for (size_t i = 0; i < PROCS; i++)
        any |= processes[i].number != 0;
    return !any;
}
