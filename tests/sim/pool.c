/* SPDX-License-Identifier: MIT */
/*
 * pool -- workers that come and go on request: of clients, or because the number of them was set anew; and all are
 * replaced, as when modules are loaded anew. A worker that is removed gets nothing more, finishes, and ends; its number
 * is not used again. What only it could have run ends, or waits, as its client said; a daemon that begins anew has the
 * workers of the first day.
 */
#include "tests/sim/sim.h"

enum { SET_WORKERS = 3 }; /* the sets of users are of the first ones, and two of these stay */

uint32_t workers_there(void)
{
    return (uint32_t)((bit(sim.last_worker + 1) - 2) & ~sim.removed);
}

bool model_target_gone(const struct m_task *t)
{
    return !t->by_set && t->workers && !(t->workers & workers_there());
}

bool model_serves(const struct m_task *t, uint32_t worker)
{
    if (t->by_set)
        return sim.sets[t->user] && (sim.set_members[t->user] & bit(worker));
    return t->workers == 0 || (t->workers & bit(worker));
}

/* The first ones that are there. */
uint32_t workers_of_a_set(uint32_t *members)
{
    uint32_t n = 0;

    for (uint32_t id = 1; id <= SET_WORKERS; id++)
        if (workers_there() & bit(id))
            members[n++] = id;
    return n;
}

static void removed(uint32_t id)
{
    sim.removed |= (uint32_t)bit(id);
    call_worker_removed(id);
}

/* Above those that stay: the last one that is there; 0: none. */
static uint32_t last_there(void)
{
    uint32_t id = sim.last_worker;

    while (id > 2 && !(workers_there() & bit(id)))
        id--;
    return id > 2 ? id : 0;
}

static void add(uint32_t client)
{
    const uint32_t n = 1 + (uint32_t)sim_random(2);
    const struct m_request *r;

    if (sim.last_worker + n > WORKER_IDS)
        return;
    r = client_asks(R_OTHER, client, NULL);
    trace_add("adds workers", n, 0, 0);
    core_workers_add(sim.core, sim.now, sim.clients[client].id, r->id, n, &sim.out);
    sim_deliver();
}

static void take_one(uint32_t client)
{
    const uint32_t id = 3 + (uint32_t)sim_random(WORKER_IDS - 2);
    const bool there = workers_there() & bit(id);
    const struct m_request *r = client_asks(R_OTHER, client, NULL);
    const struct msg_failure *f;

    trace_add("removes worker", id, there, 0);
    if (there)
        removed(id);
    core_workers_remove(sim.core, sim.now, sim.clients[client].id, r->id, id, &sim.out);
    f = client_refusal(r);
    SIM_CHECK(!f == there && (!f || f->code == PTOOLS_ERR_NO_WORKER), "pool", "worker %u is removed: %d", id, !f);
    sim_deliver();
}

/* As when the daemon reads another number in its configuration. */
static void set_number(int32_t more)
{
    const uint32_t last = last_there();

    if (sim.ending || (more < 0 && !last) || (more > 0 && sim.last_worker == WORKER_IDS))
        return;
    trace_add(more < 0 ? "there is to be a worker less" : "there is to be a worker more", last, 0, 0);
    if (more < 0)
        removed(last);
    core_workers_change(sim.core, sim.now, more, &sim.out);
    sim_deliver();
}

void pool_changes(void)
{
    const uint32_t client = (uint32_t)sim_random(CLIENTS + 1);

    switch (sim_random(8)) {
    case 0:
    case 1:
        add(client);
        return;
    case 2:
    case 3:
    case 4:
        take_one(client);
        return;
    case 5:
        set_number(-1);
        return;
    case 6:
        set_number(1);
        return;
    default:
        trace_add("all workers are replaced", 0, 0, 0);
        core_workers_renew(sim.core, sim.now, &sim.out);
        sim_deliver();
    }
}
