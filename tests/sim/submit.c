/* SPDX-License-Identifier: MIT */
/*
 * submit -- tasks of all kinds are submitted: what the model is to know of one, and what is said to the core, come from
 * the same dice. With the arguments goes which one it is.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

static const char *const functions[] = { "m.f", "m.short", "m.again" };

static void send_submit(struct m_request *r, const struct msg_submit *m, const struct m_task *args)
{
    const struct msg_request request = { .kind = MSG_TASK_SUBMIT, .id = r->id, .submit = *m };
    const uint32_t v[2] = { (uint32_t)(args - sim.tasks), args->generation };
    AUTO(blob) payload = blob_new(v, sizeof v);
    AUTO(blob) spec = NULL;
    struct msg_request decoded;
    struct msg_problem problem;
    struct bytes bytes;

    bytes_init(&bytes, ENVELOPE_BYTES_MAX);
    msg_request_encode(&request, &bytes);
    spec = blob_new(bytes.data, bytes.n);
    bytes_deinit(&bytes);
    SIM_CHECK(msg_request_decode(sim.decoder, spec->data, spec->n, &decoded, &problem) == 0, "sim", "%s", problem.text);
    SIM_CHECK(
        core_queue(sim.core, sim.now, sim.clients[r->client].id, r->id, &decoded.submit, spec, payload, &sim.out) == 0,
        "memory", "no memory");
}

static void describe_repeats(struct m_task *t, struct msg_submit *m)
{
    static const uint32_t attempts[] = { 0, 1, 2, 3, 5 };

    m->idempotent = sim_one_in(3);
    t->idempotent = m->idempotent || t->function == 2;
    m->attempts = t->idempotent ? attempts[sim_random(5)] : 0;
    t->attempts = m->attempts ? m->attempts : t->idempotent ? 3 : 1;
    m->retry_on = (uint32_t)sim_random(8);
    t->retry_on = m->retry_on ? m->retry_on : RETRY_DIED;
    m->backoff_ms = 1 + sim_random(20);
    m->backoff_max_ms = 1000000;
    t->backoff_us = m->backoff_ms * 1000;
}

static void describe_times(struct m_task *t, struct msg_submit *m)
{
    m->delay_ms = sim_one_in(5) ? 1 + sim_random(300) : 0;
    if (!m->delay_ms && sim_one_in(8))
        m->start_ms = t->at_ms = clock_wall_ms() + sim_random(400) - MIN(clock_wall_ms(), 100);
    m->expire_ms = sim_one_in(10) ? 1 + sim_random(500) : 0;
    m->deadline_ms = sim_one_in(5) ? 1 + sim_random(50) : 0;
    m->keep_ms = sim_one_in(3) ? 1 + sim_random(3000) : 0;
    t->delay_us = m->delay_ms * 1000;
    t->expire_in_us = m->expire_ms * 1000;
    t->deadline_us = m->deadline_ms * 1000;
    t->keep_us = m->keep_ms ? m->keep_ms * 1000 : model_journaled(t) ? sim.limits.keep_us : sim.limits.keep_volatile_us;
}

static void describe_target(struct m_task *t, struct msg_submit *m, uint32_t workers[2])
{
    switch (sim_random(12)) {
    case 0:
    case 1:
        m->workers = workers;
        m->n_workers = 1;
        workers[0] = 1 + (uint32_t)sim_random(sim.last_worker);
        t->workers = (uint32_t)bit(workers[0]);
        m->wait_target = t->wait_target = sim_one_in(2);
        return;
    case 2:
        m->workers = workers;
        m->n_workers = 2;
        workers[0] = 1 + (uint32_t)sim_random(sim.last_worker);
        workers[1] = 1 + workers[0] % WORKER_IDS;
        t->workers = (uint32_t)(bit(workers[0]) | bit(workers[1]));
        m->wait_target = t->wait_target = sim_one_in(2);
        return;
    case 3:
        m->set = TEXT("pair");
        m->wait_target = t->by_set = true;
        return;
    case 4:
        m->target = sim_one_in(4) ? TARGET_ALL : 0;
        return;
    default:
        return;
    }
}

static void describe_after(struct m_task *t, struct msg_submit *m)
{
    for (uint32_t n = sim_one_in(5) ? 1 + (uint32_t)sim_random(AFTER) : 0; n > 0; n--) {
        const struct m_task *first = client_some_task(t->user);

        if (first && first->place >= WAITING && first->parts == 0 && (t->n_after == 0 || t->after[0] != first->id))
            t->after[t->n_after++] = first->id;
    }
    m->after = t->after;
    m->n_after = t->n_after;
    m->after_any = t->after_any = t->n_after && sim_one_in(2);
}

/* What came of it, as far as that is known at once. */
static void sent(const struct m_request *r, struct m_task *t, uint32_t n)
{
    const struct msg_failure *f = client_refusal(r);
    const bool full = f && f->code == PTOOLS_ERR_LIMIT && f->message.n > 30 &&
                      memmem(f->message.data, f->message.n, "user_queued_max", 15);

    sim.count.submitted++;
    sim.count.refused += f != NULL;
    SIM_CHECK(!full || model_in_queue(t->user) + n > sim.limits.user_queued_max, "limits",
              "user %u has %u tasks in the queue, of %u, and is refused", t->user, model_in_queue(t->user),
              sim.limits.user_queued_max);
    sim_deliver();
}

void client_submits(uint32_t client)
{
    struct m_client *c = &sim.clients[client];
    struct m_task *t = model_new();
    struct msg_submit m = { 0 };
    uint32_t workers[2];
    struct m_request *r;
    struct text tag;
    char key[8];

    if (!t)
        return;
    t->user = c->user;
    t->source = c->source;
    t->function = (uint32_t)sim_random(3);
    t->durability = m.durability = 1 + (uint32_t)sim_random(3);
    t->tag = sim_one_in(2) ? (uint32_t)sim_random(TAGS) : TAGS;
    t->key = sim_one_in(6) ? (uint32_t)sim_random(KEYS) : KEYS;
    t->hold = m.hold = sim_one_in(20);
    m.function = (struct text){ functions[t->function], strlen(functions[t->function]) };
    m.has_priority = sim_one_in(2);
    m.priority = (double)sim_random(sim.habits.priorities);
    t->priority = m.has_priority ? m.priority : INFINITY;
    describe_repeats(t, &m);
    describe_times(t, &m);
    describe_target(t, &m, workers);
    if (!m.target)
        describe_after(t, &m);
    if (m.target)
        t->key = KEYS;
    tag = (struct text){ sim_tag(t->tag), strlen(sim_tag(t->tag)) };
    m.n_tags = t->tag < TAGS;
    m.tags = &tag;
    if (t->key < KEYS)
        m.key = (struct text){ key, (size_t)snprintf(key, sizeof key, "k%u", t->key) };
    m.block = sim_one_in(10);
    m.wait = sim_one_in(4);
    r = client_asks(R_SUBMIT, client, t);
    r->wait = m.wait;
    trace_add("submits request, index, durability", r->id, (uint64_t)(t - sim.tasks), m.durability);
    send_submit(r, &m, t);
    sent(r, t, 1 + (m.target ? (uint32_t)__builtin_popcount(workers_there()) : 0));
}

/* As a library does that does not know whether it arrived: the same once more. */
void client_resends(uint32_t client)
{
    struct m_task *t = client_some_task(sim.clients[client].user);
    struct m_request *r;
    struct msg_submit m = { 0 };
    char key[8];

    if (!t || t->key == KEYS || t->place == ASKED || model_may_go(t))
        return;
    m.function = (struct text){ functions[t->function], strlen(functions[t->function]) };
    m.durability = t->durability;
    m.key = (struct text){ key, (size_t)snprintf(key, sizeof key, "k%u", t->key) };
    r = client_asks(R_RESEND, client, t);
    trace_add("sends once more request, task", r->id, t->id, 0);
    send_submit(r, &m, t);
    sim_deliver();
}
