/* SPDX-License-Identifier: MIT */
/*
 * arrays -- shared arrays: clients that create and unlink them, and the memory of these, which comes late, or not at
 * all. What is promised: a creation is answered when the memory is there, or will not be; an array ends with its
 * client, unless it is to be kept, and when it is unlinked; and its memory is given back then, once, and not before.
 */
#include <stdio.h>

#include "tests/sim/sim.h"

enum { ARRAYS = 64, PAGE = 4096 };

struct m_array {
    uint64_t id, request; /* id: 0: free. request: that asked for it; 0: it was answered */
    uint32_t user, client;
    bool made, keep, ends; /* ends: its memory is to be given back */
    uint64_t bytes;
};
static struct m_array arrays[ARRAYS];
static struct m_array coming; /* that is asked for just now */

void arrays_forget(void)
{
    for (size_t i = 0; i < ARRAYS; i++)
        arrays[i].id = 0;
}

static struct m_array *array_of(uint64_t id)
{
    for (size_t i = 0; i < ARRAYS; i++)
        if (arrays[i].id == id)
            return &arrays[i];
    return NULL;
}

static uint32_t arrays_of(uint32_t user)
{
    uint32_t n = 0;

    for (size_t i = 0; i < ARRAYS; i++)
        n += arrays[i].id && arrays[i].user == user;
    return n;
}

/* -- clients ---------------------------------------------------------------------------------------------------- */

static void create(uint32_t client)
{
    const uint32_t user = sim.clients[client].user, had = arrays_of(user);
    struct msg_array m = { .type = PTOOLS_UINT8, .ndims = 1, .dims = { 1 + sim_random(3 * PAGE) } };
    const struct msg_failure *f;
    const struct m_request *r;
    char name[24];

    if (sim.ending || !array_of(0))
        return;
    r = client_asks(R_ARRAY, client, NULL);
    m.keep = sim_one_in(4);
    if (m.keep || sim_one_in(3))
        m.name = (struct text){ name, (size_t)snprintf(name, sizeof name, "a%lu", (unsigned long)r->id) };
    coming = (struct m_array){ .request = r->id, .user = user, .client = client, .keep = m.keep, .bytes = m.dims[0] };
    trace_add("creates an array: request, bytes, keep", r->id, m.dims[0], m.keep);
    core_array(sim.core, sim.now, sim.clients[client].id, r->id, MSG_ARRAY_CREATE, &m, &sim.out);
    f = client_refusal(r);
    SIM_CHECK(!f || (f->code == PTOOLS_ERR_LIMIT && had >= sim.limits.user_arrays_max), "arrays",
              "user %u has %u arrays, and is refused another: %s", user, had, ptools_errname(f->code));
    sim_deliver();
}

static void unlink_one(uint32_t client, struct m_array *a)
{
    const struct msg_array m = { .array = a->id };
    const struct m_request *r = client_asks(R_OTHER, client, NULL);
    const bool can = a->made;

    trace_add("unlinks array", a->id, 0, 0);
    a->ends |= can;
    core_array(sim.core, sim.now, sim.clients[client].id, r->id, MSG_ARRAY_UNLINK, &m, &sim.out);
    SIM_CHECK(!client_refusal(r) == can, "arrays", "array %lu is unlinked: %d", m.array, !client_refusal(r));
    sim_deliver();
}

void client_shares(uint32_t client)
{
    struct m_array *a = &arrays[sim_random(ARRAYS)];

    if (a->id && a->user == sim.clients[client].user)
        unlink_one(client, a);
    else
        create(client);
}

void arrays_client_goes(uint32_t client)
{
    for (size_t i = 0; i < ARRAYS; i++) {
        struct m_array *a = &arrays[i];

        if (!a->id || a->client != client || (a->keep && a->made))
            continue;
        a->ends = true;
        a->request = 0;
    }
}

void array_answered(uint64_t request, const struct msg_answer *answer)
{
    struct m_array *a = NULL;

    for (size_t i = 0; i < ARRAYS; i++)
        if (arrays[i].id && arrays[i].request == request)
            a = &arrays[i];
    if (answer->failed) {
        SIM_CHECK(!a || a->ends, "arrays", "array %lu is not made: %s", a->id, ptools_errname(answer->failure.code));
        return;
    }
    SIM_CHECK(a && a->made && answer->reply.array == a->id, "arrays", "request %lu is answered with array %lu", request,
              answer->reply.array);
    a->request = 0;
}

bool arrays_unlink_all(void)
{
    bool any = false;

    for (size_t i = 0; i < ARRAYS; i++) {
        any |= arrays[i].id != 0;
        if (arrays[i].id && arrays[i].made)
            unlink_one(CLIENTS + arrays[i].user, &arrays[i]);
    }
    return !any;
}

/* -- memory ------------------------------------------------------------------------------------------------------- */

void array_asked(const struct action *act)
{
    struct m_array *a = array_of(0);

    SIM_CHECK(coming.request && act->bytes >= coming.bytes, "arrays", "array %lu was asked for by nobody", act->array);
    *a = coming;
    a->id = act->array;
    coming.request = 0;
}

void array_dropped(uint64_t id)
{
    struct m_array *a = array_of(id);

    SIM_CHECK(id && a && a->ends, "arrays", "the memory of array %lu is given back", id);
    a->id = 0;
}

void memory_acts(void)
{
    struct m_array *a = &arrays[sim_random(ARRAYS)];
    const bool fails = !sim.draining && sim_one_in(6);
    struct core_memory memory;

    for (size_t i = 0; i < ARRAYS && (!a->id || a->made); i++)
        a = &arrays[(size_t)(a - arrays + 1) % ARRAYS];
    if (!a->id || a->made)
        return;
    memory = (struct core_memory){ .mapped_bytes = (a->bytes + PAGE - 1) / PAGE * PAGE };
    trace_add("the memory of array, is there", a->id, !fails, 0);
    a->made = !fails;
    a->ends |= fails;
    core_array_made(sim.core, sim.now, a->id, fails ? PTOOLS_ERR_LIMIT : PTOOLS_OK, "no memory", &memory, &sim.out);
    sim_deliver();
}

void arrays_turn(void)
{
    for (size_t i = 0; i < ARRAYS; i++)
        SIM_CHECK(!arrays[i].id || !arrays[i].ends, "arrays", "array %lu has ended, and has its memory", arrays[i].id);
}
