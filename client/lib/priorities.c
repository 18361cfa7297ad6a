/* SPDX-License-Identifier: MIT */
/*
 * priorities -- all that waits, looked at here and decided here: calc() gives priorities, pick() takes out.
 *
 * The tasks come a page at a time, in the order of their ids; calc() or pick() is called for each with its arguments,
 * and only its answer is kept. So memory is that of one page, and 8 or 16 bytes a task. When all are decided, they are
 * changed: priorities in one message, which the daemon applies as a whole.
 */
#include "client/lib/handle.h"

#include <inttypes.h>
#include <string.h>

/* What is decided. bool: go on; false: no memory. */
typedef bool (*decide_fn)(const ptools_queued_info *task, void *decision);

/* Of one page. */
static ptools_err decide_page(struct ptools *pt, const struct queued_page *page, msgpack_zone *zone, decide_fn decide,
                              void *decision)
{
    for (uint32_t i = 0; i < page->n; i++) {
        ptools_queued_info info;
        msgpack_object args;
        struct span raw;
        ptools_err err = queued_read(pt, page, i, zone, &info, &raw);

        if (err != PTOOLS_OK)
            return err;
        if (!queued_read_args(&raw, zone, &args, &info.args)) /* nothing is decided by arguments that are not seen */
            return fail_no_memory(pt);
        if (!decide(&info, decision))
            return fail_no_memory(pt);
        msgpack_zone_clear(zone);
    }
    return PTOOLS_OK;
}

/* Of all that no worker has begun. */
static ptools_err decide_all(struct ptools *pt, decide_fn decide, void *decision)
{
    struct msg_request request = {
        .kind = MSG_TASK_LIST,
        .task = { .states = 1u << SHOWN_WAITING | 1u << SHOWN_QUEUED, .args = true },
    };
    msgpack_zone zone;
    ptools_err err;

    if (!msgpack_zone_init(&zone, MSGPACK_ZONE_CHUNK_SIZE))
        return fail_no_memory(pt);
    do {
        struct queued_page page;

        err = queued_page_ask(pt, &request, &page);
        if (err != PTOOLS_OK)
            break;
        err = decide_page(pt, &page, &zone, decide, decision);
        request.task.after = page.next;
        queued_page_free(&page);
    } while (err == PTOOLS_OK && request.task.after > 0);
    msgpack_zone_destroy(&zone);
    return err;
}

/* Room for one more of so many bytes. False: no memory. */
static bool grow(void **array, size_t n, size_t *cap, size_t bytes)
{
    size_t more = *cap ? *cap * 2 : 1024;
    void *p;

    if (n < *cap)
        return true;
    p = realloc(*array, more * bytes);
    if (!p)
        return false;
    *array = p;
    *cap = more;
    return true;
}

/* -- priorities ---------------------------------------------------------------------------------------- */

struct calculation {
    ptools_calc_prio_fn calc;
    void *arg;
    struct msg_priority *given;
    size_t n, cap;
};

static bool calculate(const ptools_queued_info *task, void *decision)
{
    struct calculation *c = decision;
    double priority = c->calc(task->target, task, task->priority, c->arg);
    void *given = c->given;

    if (isnan(priority))
        return true;
    if (!grow(&given, c->n, &c->cap, sizeof *c->given))
        return false;
    c->given = given;
    c->given[c->n++] = (struct msg_priority){ task->id, priority };
    return true;
}

static void put_u64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

/* In place: from structs to what travels, which is as long. */
_Static_assert(sizeof(struct msg_priority) == 16, "as long as on the wire");
static const uint8_t *encode(struct msg_priority *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct msg_priority one = p[i];
        uint64_t bits;

        memcpy(&bits, &one.priority, sizeof bits);
        put_u64((uint8_t *)&p[i], one.task);
        put_u64((uint8_t *)&p[i] + 8, bits);
    }
    return (const uint8_t *)p;
}

ptools_err queued_set_priorities(struct ptools *pt, struct msg_priority *given, size_t n, uint64_t *ret_changed,
                                 uint64_t *ret_skipped)
{
    struct msg_request request = { .kind = MSG_TASK_PRIORITIES };
    struct ptools_future *f;
    ptools_err err;

    err = connection_ensure(pt, CLOCK_FOREVER);
    if (err != PTOOLS_OK)
        return err;
    if (n > (pt->message_max - ENVELOPE_BYTES_MAX) / sizeof *given)
        return fail(pt, PTOOLS_ERR_TOO_LARGE,
                    "the priorities of %zu tasks are %zu bytes in one message, the daemon takes at most %" PRIu64
                    ": none was changed",
                    n, n * sizeof *given, pt->message_max);
    err = request_ask(pt, &request, NULL, encode(given, n), n * sizeof *given, round_trip_until_us(pt, CLOCK_FOREVER),
                      &f);
    if (err != PTOOLS_OK)
        return err;
    if (f->failed) {
        err = fail_with(pt, &f->failure);
    } else {
        if (ret_changed)
            *ret_changed = f->reply.count;
        if (ret_skipped)
            *ret_skipped = f->reply.skipped;
    }
    ptools_future_free(f);
    return err;
}

ptools_err ptools_set_priorities(ptools *pt, ptools_calc_prio_fn calc, void *arg, uint64_t *ret_changed,
                                 uint64_t *ret_skipped)
{
    struct calculation c = { .calc = calc, .arg = arg };
    uint64_t changed = 0, skipped = 0;
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    if (!calc)
        return fail_static(pt, PTOOLS_ERR_INVALID, "calc is NULL");
    err = decide_all(pt, calculate, &c);
    if (err == PTOOLS_OK && c.n > 0)
        err = queued_set_priorities(pt, c.given, c.n, &changed, &skipped);
    free(c.given);
    if (err != PTOOLS_OK)
        return err;
    if (ret_changed)
        *ret_changed = changed;
    if (ret_skipped)
        *ret_skipped = skipped;
    return PTOOLS_OK;
}

/* -- taking out ---------------------------------------------------------------------------------------- */

struct choice {
    ptools_queued_pick_fn pick;
    void *arg;
    bool drop; /* those for which pick() is this */
    uint64_t *tasks;
    size_t n, cap;
};

static bool choose(const ptools_queued_info *task, void *decision)
{
    struct choice *c = decision;
    void *tasks = c->tasks;

    if (c->pick(task, c->arg) != c->drop)
        return true;
    if (!grow(&tasks, c->n, &c->cap, sizeof *c->tasks))
        return false;
    c->tasks = tasks;
    c->tasks[c->n++] = task->id;
    return true;
}

static ptools_err dequeue(struct ptools *pt, ptools_queued_pick_fn pick, void *arg, bool drop, uint64_t *ret_removed)
{
    struct choice c = { .pick = pick, .arg = arg, .drop = drop };
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    if (!pick)
        return fail_static(pt, PTOOLS_ERR_INVALID, "pick is NULL");
    err = decide_all(pt, choose, &c);
    if (err == PTOOLS_OK)
        err = queued_change_some(pt, c.tasks, c.n, &(struct msg_task){ .change = CHANGE_DEQUEUE }, ret_removed);
    free(c.tasks);
    return err;
}

ptools_err ptools_dequeue_worker_tasks_drop_if(ptools *pt, ptools_queued_pick_fn pick, void *arg, uint64_t *ret_removed)
{
    return dequeue(pt, pick, arg, true, ret_removed);
}

ptools_err ptools_dequeue_worker_tasks_keep_if(ptools *pt, ptools_queued_pick_fn pick, void *arg, uint64_t *ret_removed)
{
    return dequeue(pt, pick, arg, false, ret_removed);
}
