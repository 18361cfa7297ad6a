/* SPDX-License-Identifier: MIT */
/*
 * calls -- calls, and maps over items, which are cut into batches as the library does it: what a batch brings back is
 * done; the item that it ended in has failed; the rest is sent again. What is promised of them:
 *
 *   - each is answered once, and run at most once: so no item is run twice, however often its batches died;
 *   - what was done when a batch ended comes with its answer, whatever the answer is;
 *   - nothing runs that was cancelled, or is late; and who stands in the queue is served by priority, and when he came;
 *   - an item that takes too long is stopped, and no other.
 */
#include <math.h>
#include <string.h>

#include "tests/sim/sim.h"

enum { ITEMS_MAX = 24, BATCH_MAX = 8, LOOKS = 4, LOOK_US_MIN = 1000 };
enum { UNSENT, SENT, GOT, LOST_IT }; /* items */

struct m_map {
    uint32_t n;
    uint8_t state[ITEMS_MAX];
    bool ran[ITEMS_MAX];
};

struct m_call {
    uint64_t id;                   /* of its request; 0: free */
    uint32_t client, user, worker; /* worker: 0: any */
    double priority;
    uint64_t deadline_us; /* 0: none */
    struct m_map *map;    /* NULL: it is no batch; else of these items */
    uint32_t first, n;
    bool isolated, hand_back, target_gone;
    uint64_t item_us; /* 0: they may take as long as they like */
    bool given, was_given, begun, stopped;
    uint32_t done, at; /* at: in open[] */
    uint64_t since_us, watch_us,
        seen_us; /* the item that it is at was begun; is looked for since; was first seen, or 0 */
};

static struct m_call calls[REQUESTS_MAX]; /* as requests */
static struct m_call *open[REQUESTS_MAX]; /* those that are not answered */
static uint32_t n_open;
static struct m_map maps[CLIENTS + USERS];

static struct m_call *call_find(uint64_t request)
{
    struct m_call *c = &calls[request % REQUESTS_MAX];

    return request && c->id == request ? c : NULL;
}

static void call_free(struct m_call *c)
{
    c->id = 0;
    open[c->at] = open[--n_open];
    open[c->at]->at = c->at;
}

void calls_init(void)
{
    for (uint32_t i = 0; i < CLIENTS + USERS; i++)
        calls_forget(i);
}

void calls_forget(uint32_t client)
{
    for (uint32_t i = n_open; i-- > 0;)
        if (open[i]->client == client)
            call_free(open[i]);
    maps[client].n = 0;
}

/* -- clients ---------------------------------------------------------------------------------------------------- */

static void send_call(struct m_call *c, struct msg_call *m)
{
    static const char *const functions[] = { "m.f", "m.short" };
    const char *function = functions[sim_random(2)];
    AUTO(blob) payload = blob_new(&c->id, sizeof c->id);

    m->function = (struct text){ function, strlen(function) };
    m->deadline_ms = sim_one_in(4) ? 1 + sim_random(50) : 0;
    m->worker = sim_one_in(6) ? 1 + (uint32_t)sim_random(sim.last_worker) : 0;
    c->target_gone = m->worker && !(workers_there() & bit(m->worker));
    m->has_priority = sim_one_in(2);
    m->priority = (double)sim_random(sim.habits.priorities);
    c->deadline_us = m->deadline_ms ? sim.now + m->deadline_ms * 1000 : 0;
    c->worker = m->worker;
    c->priority = m->has_priority ? m->priority : INFINITY;
    SIM_CHECK(core_submit(sim.core, sim.now, sim.clients[c->client].id, c->id, m, payload, &sim.out) == 0, "memory",
              "no memory");
    sim_deliver();
}

static struct m_call *new_call(uint32_t client)
{
    const struct m_request *r = client_asks(R_CALL, client, NULL);
    struct m_call *c = &calls[r->id % REQUESTS_MAX];

    *c = (struct m_call){ .id = r->id, .client = client, .user = sim.clients[client].user, .at = n_open };
    open[n_open++] = c;
    return c;
}

void client_calls(uint32_t client)
{
    struct msg_call m = { 0 };
    struct m_call *c = new_call(client);

    trace_add("calls request", c->id, 0, 0);
    send_call(c, &m);
}

/* The next items of its map that are to be sent; or a new map. */
void client_maps(uint32_t client)
{
    struct m_map *map = &maps[client];
    struct msg_call m = { .map = 1 + client };
    uint32_t first = 0, n = 0, waiting = 0;
    struct m_call *c;

    for (uint32_t i = 0; i < map->n; i++)
        waiting += map->state[i] == UNSENT || map->state[i] == SENT;
    if (waiting == 0)
        *map = (struct m_map){ .n = 1 + (uint32_t)sim_random(ITEMS_MAX) };
    while (first < map->n && map->state[first] != UNSENT)
        first++;
    while (first + n < map->n && map->state[first + n] == UNSENT && n < BATCH_MAX)
        n++;
    if (n == 0)
        return;
    n = 1 + (uint32_t)sim_random(n);
    c = new_call(client);
    c->map = map;
    c->first = first;
    c->n = m.items = n;
    memset(&map->state[first], SENT, n);
    m.item_ms = sim_one_in(3) ? 1 + sim_random(30) : 0;
    c->item_us = m.item_ms * 1000;
    m.hand_back_ms = sim_one_in(3) ? 1 + sim_random(10) : 0;
    c->hand_back = m.hand_back_ms > 0;
    c->isolated = m.isolated = sim_one_in(6);
    trace_add("maps request, first item, items", c->id, first, n);
    send_call(c, &m);
}

/* Another time for the items of one of its batches. */
void client_limits(uint32_t client)
{
    struct m_call *c = n_open ? open[sim_random(n_open)] : NULL;
    struct msg_limit m = { .item_ms = sim_one_in(3) ? 0 : 1 + sim_random(30) };
    const struct m_request *r;

    if (!c || c->client != client || !c->map)
        return;
    m.request = c->id;
    r = client_asks(R_OTHER, client, NULL);
    trace_add("limits the items of request, ms", c->id, m.item_ms, 0);
    core_call_limit(sim.core, sim.now, sim.clients[client].id, r->id, &m, &sim.out);
    c->item_us = m.item_ms * 1000;
    c->seen_us = 0;
    c->watch_us = sim.now;
    sim_deliver();
}

void call_cancelled(uint64_t request)
{
    struct m_call *c = call_find(request);

    if (c)
        c->stopped = true;
}

void calls_drain(bool hurry)
{
    for (uint32_t i = 0; i < n_open; i++)
        open[i]->stopped |= hurry || !open[i]->given;
}

/* -- workers ---------------------------------------------------------------------------------------------------- */

static bool may_wait(const struct m_call *c)
{
    return !c->given && !c->stopped;
}

/* Those of its user that wait for the same workers, and are before it. One without a priority gives its place to one
 * with one, and gets that one's. Where a batch needs a fresh process, others go before it; and then it before others.
 */
static void check_order(const struct m_call *c)
{
    for (uint32_t i = 0; i < n_open; i++) {
        const struct m_call *d = open[i];

        if (d == c || !may_wait(d) || d->isolated || d->user != c->user || d->worker != c->worker)
            continue;
        SIM_CHECK(d->priority >= c->priority, "order", "call %lu is given before %lu, which is more urgent", c->id,
                  d->id);
        SIM_CHECK(d->priority > c->priority || d->priority == INFINITY || d->client != c->client || d->id > c->id,
                  "order", "call %lu is given before %lu, which came first", c->id, d->id);
    }
}

uint64_t call_run(const struct action *a, bool fresh)
{
    uint64_t id = 0;
    struct m_call *c;

    if (a->payload && a->payload->n == sizeof id)
        memcpy(&id, a->payload->data, sizeof id);
    c = call_find(id);
    SIM_CHECK(c, "I2", "a call runs that nobody waits for: request %lu", id);
    SIM_CHECK(!c->given && !c->begun, "I4", "call %lu is given twice", id);
    SIM_CHECK(!c->stopped, "I5", "call %lu was cancelled, and is given", id);
    SIM_CHECK(c->deadline_us == 0 || c->deadline_us > sim.now, "deadline", "call %lu is late, and is given", id);
    SIM_CHECK(c->worker == 0 || c->worker == a->worker, "target", "call %lu is given to worker %u", id, a->worker);
    SIM_CHECK(a->batch.items == c->n && a->batch.isolated == c->isolated, "items", "call %lu has %u items, and not %u",
              id, c->n, a->batch.items);
    SIM_CHECK(!c->isolated || fresh, "items", "batch %lu needs a process that has done nothing, and has worker %u", id,
              a->worker);
    if (!c->isolated)
        check_order(c);
    c->given = c->was_given = true;
    c->since_us = c->watch_us = sim.now;
    c->seen_us = 0;
    sim.count.calls++;
    return id;
}

void call_back(uint64_t request)
{
    struct m_call *c = call_find(request);

    if (c)
        c->given = false;
}

static void begin_item(struct m_call *c)
{
    bool *ran = &c->map->ran[c->first + c->done];

    SIM_CHECK(!*ran, "I3", "item %u of batch %lu runs again", c->first + c->done, c->id);
    *ran = true;
    c->since_us = c->watch_us = sim.now;
    c->seen_us = 0;
    sim.count.items++;
}

bool call_begin(uint64_t request)
{
    struct m_call *c = call_find(request);

    SIM_CHECK(c && !c->stopped, "I5", "call %lu is begun, and was cancelled, or its client has left", request);
    SIM_CHECK(!c->begun, "I3", "call %lu is begun twice", request);
    c->begun = true;
    if (c->map)
        begin_item(c);
    return !c->isolated;
}

bool call_goes_on(uint64_t request)
{
    struct m_call *c = call_find(request);

    if (!c || !c->map || c->done == c->n)
        return false;
    c->done++;
    trace_add("an item is done: request, items", request, c->done, 0);
    if (c->done == c->n || (c->hand_back && sim_one_in(4)))
        return false;
    begin_item(c);
    return true;
}

void call_tells_items(uint32_t worker, uint64_t task, uint64_t request)
{
    const struct m_call *c = call_find(request);
    AUTO(blob) records = NULL;
    uint64_t v[2];

    if (!c || !c->map)
        return;
    v[0] = c->id;
    v[1] = c->done;
    records = blob_new(v, sizeof v);
    core_items(sim.core, worker, task, c->done, c->done / 2, records);
}

void call_looked(uint32_t worker, uint64_t task, uint64_t request, bool begun)
{
    struct m_call *c = call_find(request);

    trace_add("ACT_LOOK worker, task, begun", worker, task, begun);
    if (c && begun && c->seen_us == 0)
        c->seen_us = sim.now;
    core_looked(sim.core, sim.now, worker, task, begun, c ? c->done : 0, &sim.out);
}

static bool is_late(const struct m_call *c)
{
    return c->deadline_us && c->deadline_us <= sim.now;
}

void call_stopped(uint64_t request)
{
    struct m_call *c = call_find(request);

    if (!c || c->stopped || is_late(c))
        return;
    SIM_CHECK(c->map && c->item_us && c->since_us + c->item_us <= sim.now, "items",
              "batch %lu is stopped, and its item has run since %lu", request, c->since_us);
    c->stopped = true;
}

bool call_must_stop(uint64_t request, bool begun)
{
    const struct m_call *c = call_find(request);

    if (!c || !begun)
        return c && (is_late(c) || c->stopped);
    if (c->stopped || is_late(c))
        return true;
    if (!c->map || c->item_us == 0)
        return false;
    if (c->seen_us)
        return c->seen_us + c->item_us <= sim.now;
    return c->watch_us + MAX(c->item_us / LOOKS, (uint64_t)LOOK_US_MIN) < sim.now;
}

/* -- answers ------------------------------------------------------------------------------------------------------ */

static bool may_fail(const struct m_call *c, const struct msg_failure *f)
{
    switch (f->code) {
    case PTOOLS_ERR_CANCELLED:
        return c->stopped;
    case PTOOLS_ERR_DEADLINE:
        return is_late(c) || (c->map && c->stopped);
    case PTOOLS_ERR_DRAINING:
        return sim.ending && !c->begun;
    case PTOOLS_ERR_LIMIT:
        return !c->was_given;
    case PTOOLS_ERR_NO_WORKER:
        return c->target_gone && !c->begun;
    default:
        return c->begun || c->was_given;
    }
}

/* What was done is here; what it ended in, if it was at one, is not run again. */
static void map_answered(const struct m_call *c, const struct msg_answer *a, const struct blob *records)
{
    const uint32_t items = a->failed ? a->failure.items : a->reply.items;
    uint64_t v[2] = { 0 };

    SIM_CHECK(items == c->done, "items", "batch %lu has done %u of %u, and %u are told", c->id, c->done, c->n, items);
    if (records && records->n == sizeof v)
        memcpy(v, records->data, sizeof v);
    SIM_CHECK(items == 0 || (v[0] == c->id && v[1] == items), "items", "batch %lu is answered with other records",
              c->id);
    for (uint32_t i = 0; i < c->n; i++) {
        uint8_t *state = &c->map->state[c->first + i];

        SIM_CHECK(*state == SENT, "items", "item %u of batch %lu is in state %u", c->first + i, c->id, *state);
        *state = i < items ? GOT : UNSENT;
    }
    if (a->failed && c->begun && items < c->n)
        c->map->state[c->first + items] = LOST_IT;
}

void call_answered(uint64_t request, const struct msg_answer *a, const struct blob *payload)
{
    struct m_call *c = call_find(request);

    SIM_CHECK(c, "answers", "call %lu is answered, and is not known", request);
    if (a->failed) {
        SIM_CHECK(may_fail(c, &a->failure), "I5", "call %lu ends as %s", request, ptools_errname(a->failure.code));
        SIM_CHECK(a->failure.maybe_executed || !c->begun, "I1", "call %lu was begun, and that is denied", request);
    } else {
        SIM_CHECK(c->begun && !c->stopped, "I5", "call %lu is told to be done", request);
        SIM_CHECK(!c->map || c->done == c->n || c->hand_back, "items", "batch %lu is done with %u of %u", request,
                  c->done, c->n);
    }
    if (c->map)
        map_answered(c, a, payload);
    call_free(c);
}

/* -- after each turn ------------------------------------------------------------------------------------------------
 */

void call_worker_removed(uint32_t worker)
{
    for (uint32_t i = 0; i < n_open; i++)
        open[i]->target_gone |= open[i]->worker == worker;
}

void calls_turn(uint32_t idle)
{
    for (uint32_t i = 0; i < n_open; i++) {
        const struct m_call *c = open[i];

        if (c->given)
            continue;
        SIM_CHECK(!c->stopped && !is_late(c) && !(sim.loaded && c->target_gone), "I5", "call %lu is to end, and waits",
                  c->id);
        SIM_CHECK(!sim.loaded || sim.storage_failed || c->isolated || !(c->worker ? idle & bit(c->worker) : idle),
                  "wake-up", "call %lu waits beside an idle worker", c->id);
    }
}
