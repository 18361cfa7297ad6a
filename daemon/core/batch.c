/* SPDX-License-Identifier: MIT */
/*
 * batch -- see batch.h.
 */
#include <errno.h>
#include <string.h>

#include "daemon/core/state.h"

enum { LOOKS = 4, LOOK_US_MIN = 1000 };

bool batch_check(const struct msg_call *c, uint32_t client, uint64_t request, struct actions *out)
{
    const char *problem = NULL;

    if (c->items == 0 &&
        (c->item_ms || c->hand_back_ms || c->map || c->init.data || c->captured || c->isolated || c->reduce.data))
        problem =
            "items: it is missing, and item_ms, hand_back_ms, map, init, captured, isolated and reduce are for batches";
    else if (c->values > 0 && !c->reduce.data)
        problem = "values: it is for batches with reduce";
    else if (c->values > c->items)
        problem = "values: it is more than items";
    else if (c->isolated && c->reduce.data)
        problem = "isolated: it is not for batches with reduce";
    else if (c->items > 0 && c->detached)
        problem = "detached: a batch is not, for its answer has what its items came to";
    else if (c->items > 0 && c->room)
        problem = "room: a batch has none";
    else if (c->captured && c->captured == c->args)
        problem = "captured: it must be another array than that of args";
    if (problem)
        answer_refusal(out, client, request, PTOOLS_ERR_BAD_REQUEST, "%s", problem);
    return !problem;
}

int batch_new(struct task *t, const struct msg_call *c, struct array *captured)
{
    struct batch *b = calloc(1, sizeof *b);

    if (!b)
        return -ENOMEM;
    b->task = t;
    memcpy(b->init, c->init.data ? c->init.data : "", c->init.n);
    memcpy(b->op, c->reduce.data ? c->reduce.data : "", c->reduce.n);
    b->item_ms = c->item_ms;
    b->how = (struct core_batch){ .items = c->items,
                                  .hand_back_ms = (uint32_t)MIN(c->hand_back_ms, (uint64_t)UINT32_MAX),
                                  .map = c->map ? (uint64_t)t->client->id << 32 | c->map : 0,
                                  .captured = c->captured,
                                  .captured_bytes = c->captured_bytes,
                                  .isolated = c->isolated,
                                  .init = b->init,
                                  .op = b->op,
                                  .values = c->values };
    b->captured = captured;
    if (captured)
        array_use(captured);
    t->batch = b;
    return 0;
}

void batch_release_array(struct core *core, struct task *t, struct actions *out)
{
    if (!t->batch || !t->batch->captured)
        return;
    array_unuse(core, t->batch->captured, out);
    t->batch->captured = NULL;
}

void batch_free(struct core *core, struct task *t)
{
    if (!t->batch)
        return;
    heap_remove(&core->looks, &t->batch->look);
    blob_free(t->batch->records);
    free(t->batch);
    t->batch = NULL;
}

bool task_isolated(const struct task *t)
{
    return t->batch && t->batch->how.isolated;
}

uint64_t task_usual_us(const struct task *t)
{
    const uint64_t us = function_usual_us(t->function);

    if (task_isolated(t))
        return CORE_NEVER; /* nobody knows what the processes take: nothing is to wait behind it */
    return !t->batch ? us : us > CORE_NEVER / t->batch->how.items ? CORE_NEVER : us * t->batch->how.items;
}

/* -- how long an item takes ------------------------------------------------------------------------------ */

static uint64_t item_us(const struct batch *b)
{
    return b->item_ms > CORE_NEVER / 1000 ? CORE_NEVER : b->item_ms * 1000;
}

static void look_at(struct core *core, struct batch *b, uint64_t us)
{
    heap_remove(&core->looks, &b->look);
    (void)heap_push(&core->looks, &b->look, us); /* has room for one a slot of each worker */
}

static uint64_t step_us(const struct batch *b)
{
    return MAX(item_us(b) / LOOKS, (uint64_t)LOOK_US_MIN);
}

void batch_given(struct core *core, struct task *t, uint64_t now_us)
{
    struct batch *b = t->batch;

    b->looked = false;
    if (b->item_ms)
        look_at(core, b, now_us + step_us(b));
}

void batch_dropped(struct core *core, struct task *t)
{
    heap_remove(&core->looks, &t->batch->look);
}

void batch_limit(struct core *core, struct task *t, uint64_t item_ms, uint64_t now_us)
{
    struct batch *b = t->batch;
    const bool had = b->item_ms > 0;

    b->item_ms = item_ms;
    if (item_ms == 0 || t->stop != STOP_NONE || (t->state != TASK_GIVEN && t->state != TASK_RECALLED)) {
        heap_remove(&core->looks, &b->look);
        return;
    }
    b->looked = b->looked && had; /* what was seen before is of no use if nobody has looked since */
    look_at(core, b, now_us + step_us(b));
}

void batches_look(struct core *core, uint64_t now_us, struct actions *out)
{
    struct heap_node *node;

    while ((node = heap_top(&core->looks)) && heap_top_key(&core->looks) <= now_us) {
        struct batch *b = CONTAINER_OF(node, struct batch, look);

        look_at(core, b, now_us + step_us(b));
        action_worker(out, ACT_LOOK, b->task->worker->id, b->task->id);
    }
}

void core_looked(struct core *core, uint64_t now_us, uint32_t worker, uint64_t task, bool running, uint32_t items,
                 struct actions *out)
{
    struct worker *w = worker_or_stand_in(core, worker);
    struct task *t = w ? worker_held(w, task) : NULL;
    struct batch *b = t ? t->batch : NULL;

    if (!b || t->stop != STOP_NONE)
        return;
    core->now_us = now_us;
    if (!running) {
        b->looked = false;
    } else if (!b->looked || items != b->at) {
        b->looked = true;
        b->at = items;
        b->since_us = now_us;
    } else if (now_us - b->since_us >= item_us(b)) {
        core_stop_task(core, now_us, t, STOP_ITEM, out);
    } else {
        look_at(core, b, MIN(now_us + step_us(b), b->since_us + item_us(b)));
    }
}

void core_items(struct core *core, uint32_t worker, uint64_t task, uint32_t items, uint32_t failed,
                struct blob *records)
{
    struct worker *w = worker_or_stand_in(core, worker);
    struct task *t = w ? worker_held(w, task) : NULL;
    struct batch *b = t ? t->batch : NULL;

    if (!b || items > b->how.items) /* no batch has more than it was given: then none of it can be believed */
        return;
    blob_free(b->records);
    b->records = items > 0 && records ? blob_ref(records) : NULL;
    b->done = b->records ? items : 0;
    b->failed = b->records ? failed : 0;
}
