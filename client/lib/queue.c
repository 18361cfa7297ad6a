/* SPDX-License-Identifier: MIT */
/*
 * queue -- queued tasks: from the caller's description to a task that the daemon has accepted.
 *
 * What can be known to be wrong without asking is refused before anything is sent. Every task has a key, the caller's
 * or one of the library's own, so that a submit whose connection ended is sent again (again.c) and queued once.
 *
 * A callback waits for no answer of its own: when a submit is accepted, the result is asked for at once, by a future
 * that the library owns, one for each part of a task for all workers. Its end calls back, and frees it.
 */
#include "client/lib/handle.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#define KNOWN_FLAGS                                                                                                    \
    ((uint32_t)(PTOOLS_TASK_IDEMPOTENT | PTOOLS_TASK_WAIT_TARGET | PTOOLS_TASK_ANY_TARGET | PTOOLS_TASK_AFTER_ANY |    \
                PTOOLS_TASK_AFTER_KEEP | PTOOLS_TASK_HOLD | PTOOLS_TASK_BLOCK))
#define KNOWN_RETRIES ((uint32_t)(PTOOLS_RETRY_DIED | PTOOLS_RETRY_FAILED | PTOOLS_RETRY_TIMEOUT))

#define SAME(mine, wire) _Static_assert((int)(mine) == (int)(wire), "as on the wire")
SAME(PTOOLS_VOLATILE, TASK_VOLATILE);
SAME(PTOOLS_DURABLE, TASK_DURABLE);
SAME(PTOOLS_RETRY_DIED, RETRY_DIED);
SAME(PTOOLS_RETRY_TIMEOUT, RETRY_TIMEOUT);
SAME(PTOOLS_QUEUED_WAITING, SHOWN_WAITING);
SAME(PTOOLS_QUEUED_LOST, SHOWN_LOST);

/* A task as it is sent. It points to itself, and to what the caller gave. */
struct description {
    ptools_worker_task task;
    struct msg_request request;
    struct text hosts[HOSTS_MAX], tags[TAGS_MAX];
    const uint8_t *args;
    size_t args_bytes;
    struct manner how;
};

/* -- describing ---------------------------------------------------------------------------------------- */

static ptools_err describe_what(struct ptools *pt, struct description *d)
{
    const char *function = d->task.function;
    struct text module, name;
    ptools_err err;

    if (!function || !name_split(function, strlen(function), &module, &name))
        return fail(pt, PTOOLS_ERR_INVALID,
                    "function is \"%.140s\": MODULE.FUNCTION is expected, each 1 to %u of A-Z a-z 0-9 _ -",
                    function ? function : "(NULL)", NAME_BYTES_MAX);
    d->request.submit.function = (struct text){ function, strlen(function) };
    err = pack_finish_arguments(d->task.args, &d->args, &d->args_bytes);
    if (err != PTOOLS_OK)
        return fail(pt, err, "the arguments cannot be sent: %s",
                    err == PTOOLS_ERR_INVALID ? "a list or map lacks items, or what was appended is no value"
                                              : ptools_strerror(err));
    return PTOOLS_OK;
}

static ptools_err describe_workers(struct ptools *pt, const ptools_worker_task *task, struct msg_submit *ret)
{
    if (!task->workers || task->n_targets == 0 || task->n_targets > WORKERS_MAX)
        return fail(pt, PTOOLS_ERR_INVALID, "queued task: %u workers as its target%s: 1 to %u are allowed",
                    task->n_targets, task->workers ? "" : ", and workers is NULL", WORKERS_MAX);
    for (uint32_t i = 0; i < task->n_targets; i++)
        if (task->workers[i] == 0 || task->workers[i] > INT32_MAX)
            return fail(pt, PTOOLS_ERR_INVALID, "queued task: workers[%u] is %u: ids are from 1 to %d", i,
                        task->workers[i], INT32_MAX);
    ret->n_workers = task->n_targets;
    ret->workers = (uint32_t *)(uintptr_t)task->workers; /* encoding does not write to them */
    return PTOOLS_OK;
}

static ptools_err describe_hosts(struct ptools *pt, struct description *d)
{
    const ptools_worker_task *task = &d->task;

    if (!task->hosts || task->n_targets == 0 || task->n_targets > HOSTS_MAX)
        return fail(pt, PTOOLS_ERR_INVALID, "queued task: %u hosts as its target%s: 1 to %u are allowed",
                    task->n_targets, task->hosts ? "" : ", and hosts is NULL", HOSTS_MAX);
    for (uint32_t i = 0; i < task->n_targets; i++) {
        const char *host = task->hosts[i];

        if (!host || !name_ok_host(host, strlen(host)))
            return fail(pt, PTOOLS_ERR_INVALID,
                        "queued task: hosts[%u] is \"%.100s\": a name or an address of 1 to %u bytes is expected", i,
                        host ? host : "(NULL)", HOST_BYTES_MAX);
        d->hosts[i] = (struct text){ host, strlen(host) };
    }
    d->request.submit.n_hosts = task->n_targets;
    d->request.submit.hosts = d->hosts;
    return PTOOLS_OK;
}

static ptools_err describe_set(struct ptools *pt, struct description *d, uint64_t until_us)
{
    struct ptools_workerset *set = d->task.set;
    ptools_err err;

    if (!set)
        return fail_static(pt, PTOOLS_ERR_INVALID, "queued task: the target is a set, and set is NULL");
    if (set->pt != pt)
        return set->pt ? fail_static(pt, PTOOLS_ERR_INVALID, "the worker set comes from another handle")
                       : fail_static(pt, PTOOLS_ERR_CLOSED, "the worker set comes from a handle that was closed");
    if (*set->name) { /* good on any connection */
        d->request.submit.set = (struct text){ set->name, strlen(set->name) };
        return PTOOLS_OK;
    }
    d->how.bound = true;
    err = connection_ensure(pt, until_us);
    return err == PTOOLS_OK ? workerset_resolve(set, CLOCK_FOREVER, &d->request.submit.set_id) : err;
}

static ptools_err describe_target(struct ptools *pt, struct description *d, uint64_t until_us)
{
    const ptools_worker_task *task = &d->task;
    struct msg_submit *submit = &d->request.submit;
    const bool listed = task->target == PTOOLS_TARGET_WORKERS || task->target == PTOOLS_TARGET_HOSTS;

    if ((task->workers && task->target != PTOOLS_TARGET_WORKERS) ||
        (task->hosts && task->target != PTOOLS_TARGET_HOSTS) || (task->set && task->target != PTOOLS_TARGET_SET) ||
        (task->n_targets != 0 && !listed))
        return fail_static(pt, PTOOLS_ERR_INVALID,
                           "queued task: workers, hosts, set and n_targets belong to their own targets, and are NULL "
                           "or 0 with another");
    submit->wait_target = task->flags & PTOOLS_TASK_WAIT_TARGET;
    submit->any_target = task->flags & PTOOLS_TASK_ANY_TARGET;
    if (submit->wait_target && submit->any_target)
        return fail_static(pt, PTOOLS_ERR_INVALID,
                           "queued task: PTOOLS_TASK_WAIT_TARGET or PTOOLS_TASK_ANY_TARGET, not both");
    switch (task->target) {
    case PTOOLS_TARGET_ANY:
        return PTOOLS_OK;
    case PTOOLS_TARGET_ALL:
        submit->target = TARGET_ALL;
        return PTOOLS_OK;
    case PTOOLS_TARGET_WORKERS:
        return describe_workers(pt, task, submit);
    case PTOOLS_TARGET_HOSTS:
        return describe_hosts(pt, d);
    case PTOOLS_TARGET_SET:
        return describe_set(pt, d, until_us);
    case PTOOLS_TARGET_WIDTH_:
        break;
    }
    return fail(pt, PTOOLS_ERR_INVALID, "queued task: target is %d: PTOOLS_TARGET_ANY (%d) to PTOOLS_TARGET_SET (%d)",
                (int)task->target, PTOOLS_TARGET_ANY, PTOOLS_TARGET_SET);
}

static ptools_err describe_times(struct ptools *pt, const ptools_worker_task *task, struct msg_submit *ret)
{
    const struct {
        const char *name;
        int64_t given;
        uint64_t *to;
    } times[] = {
        { "backoff_ms", task->backoff_ms, &ret->backoff_ms },
        { "backoff_max_ms", task->backoff_max_ms, &ret->backoff_max_ms },
        { "delay_ms", task->delay_ms, &ret->delay_ms },
        { "start_ms", task->start_ms, &ret->start_ms },
        { "expire_ms", task->expire_ms, &ret->expire_ms },
        { "deadline_ms", task->deadline_ms, &ret->deadline_ms },
        { "grace_ms", task->grace_ms, &ret->grace_ms },
        { "keep_ms", task->keep_ms, &ret->keep_ms },
    };

    for (size_t i = 0; i < ELEMENTS(times); i++) {
        if (times[i].given < 0)
            return fail(pt, PTOOLS_ERR_INVALID, "queued task: %s is %" PRIi64 ": 0 or more", times[i].name,
                        times[i].given);
        *times[i].to = (uint64_t)times[i].given;
    }
    if (ret->delay_ms > 0 && ret->start_ms > 0)
        return fail_static(pt, PTOOLS_ERR_INVALID, "queued task: delay_ms or start_ms, not both");
    return PTOOLS_OK;
}

static ptools_err describe_order(struct ptools *pt, const ptools_worker_task *task, struct msg_submit *ret)
{
    if (isnan(task->priority))
        return fail_static(pt, PTOOLS_ERR_INVALID, "queued task: priority is not a number");
    if (task->durability < 0 || task->durability > PTOOLS_DURABLE)
        return fail(pt, PTOOLS_ERR_INVALID,
                    "queued task: durability is %d: 0, or PTOOLS_VOLATILE (%d) to _DURABLE (%d)", (int)task->durability,
                    PTOOLS_VOLATILE, PTOOLS_DURABLE);
    if (task->attempts > ATTEMPTS_MAX)
        return fail(pt, PTOOLS_ERR_INVALID, "queued task: attempts is %u, at most %u are allowed", task->attempts,
                    ATTEMPTS_MAX);
    if (task->retry_on & ~KNOWN_RETRIES)
        return fail(pt, PTOOLS_ERR_INVALID, "queued task: unknown bits 0x%x in retry_on",
                    task->retry_on & ~KNOWN_RETRIES);
    ret->priority = task->priority;
    ret->has_priority = !(isinf(task->priority) && task->priority > 0);
    ret->durability = (uint32_t)task->durability;
    ret->attempts = task->attempts;
    ret->retry_on = task->retry_on;
    ret->idempotent = task->flags & PTOOLS_TASK_IDEMPOTENT;
    ret->hold = task->flags & PTOOLS_TASK_HOLD;
    ret->block = task->flags & PTOOLS_TASK_BLOCK;
    ret->result_max = task->result_max;
    return PTOOLS_OK;
}

static ptools_err describe_after(struct ptools *pt, const ptools_worker_task *task, struct msg_submit *ret)
{
    if (task->n_after > TASK_AFTER_MAX || (task->n_after > 0 && !task->after))
        return fail(pt, PTOOLS_ERR_INVALID, "queued task: n_after is %u%s: at most %u", task->n_after,
                    task->after ? "" : ", and after is NULL", TASK_AFTER_MAX);
    for (uint32_t i = 0; i < task->n_after; i++)
        if (task->after[i] == 0)
            return fail(pt, PTOOLS_ERR_INVALID, "queued task: after[%u] is 0: ids are from 1", i);
    ret->n_after = task->n_after;
    ret->after = (uint64_t *)(uintptr_t)task->after;
    ret->after_any = task->flags & PTOOLS_TASK_AFTER_ANY;
    ret->after_keep = task->flags & PTOOLS_TASK_AFTER_KEEP;
    return PTOOLS_OK;
}

static ptools_err describe_names(struct ptools *pt, struct description *d)
{
    const ptools_worker_task *task = &d->task;
    struct msg_submit *submit = &d->request.submit;

    if (task->n_tags > TAGS_MAX || (task->n_tags > 0 && !task->tags))
        return fail(pt, PTOOLS_ERR_INVALID, "queued task: n_tags is %u%s: at most %u", task->n_tags,
                    task->tags ? "" : ", and tags is NULL", TAGS_MAX);
    for (uint32_t i = 0; i < task->n_tags; i++) {
        const char *tag = task->tags[i];

        if (!tag || !name_ok_tag(tag, strlen(tag)))
            return fail(pt, PTOOLS_ERR_INVALID,
                        "queued task: tags[%u] is \"%.80s\": 1 to %u of A-Z a-z 0-9 _ - . : / = @ + are allowed", i,
                        tag ? tag : "(NULL)", NAME_BYTES_MAX);
        d->tags[i] = (struct text){ tag, strlen(tag) };
    }
    submit->n_tags = task->n_tags;
    submit->tags = d->tags;
    if (task->key_bytes > KEY_BYTES_MAX || (task->key != NULL) != (task->key_bytes > 0))
        return fail(pt, PTOOLS_ERR_INVALID, "queued task: key_bytes is %zu%s: 1 to %u, or no key and 0",
                    task->key_bytes, task->key ? "" : ", and key is NULL", KEY_BYTES_MAX);
    submit->key = (struct text){ task->key, task->key_bytes };
    return PTOOLS_OK;
}

/* One that no other task has: random at first, then counted up. */
static ptools_err give_key(struct ptools *pt, struct msg_submit *ret)
{
    ssize_t n;

    if (!pt->has_key) {
        do
            n = getrandom(&pt->key, sizeof pt->key, 0);
        while (n < 0 && errno == EINTR);
        if (n != (ssize_t)sizeof pt->key)
            return fail(pt, PTOOLS_ERR_SYSTEM, "getrandom: %s", n < 0 ? strerror(errno) : "too few bytes");
        pt->has_key = true;
    }
    pt->key.count++;
    ret->key = (struct text){ (const char *)&pt->key, sizeof pt->key };
    ret->key_passing = true;
    return PTOOLS_OK;
}

/* until_us: for a connection, if it takes one to describe the target. */
static ptools_err describe(struct ptools *pt, const ptools_worker_task *given, uint64_t until_us,
                           struct description *ret)
{
    const ptools_worker_task defaults = PTOOLS_WORKER_TASK_INIT;
    struct msg_submit *submit = &ret->request.submit;
    ptools_err err;

    *ret = (struct description){ .task = defaults, .request = { .kind = MSG_TASK_SUBMIT } };
    if (!given)
        return fail_static(pt, PTOOLS_ERR_INVALID, "the queued task is NULL");
    err = options_read(pt, "queued task", given, sizeof ret->task, &ret->task, sizeof ret->task);
    if (err != PTOOLS_OK)
        return err;
    if (ret->task.flags & ~KNOWN_FLAGS)
        return fail(pt, PTOOLS_ERR_INVALID, "queued task: unknown bits 0x%x in flags", ret->task.flags & ~KNOWN_FLAGS);
    if ((err = describe_what(pt, ret)) || (err = describe_order(pt, &ret->task, submit)) ||
        (err = describe_times(pt, &ret->task, submit)) || (err = describe_after(pt, &ret->task, submit)) ||
        (err = describe_names(pt, ret)) || (err = describe_target(pt, ret, until_us)))
        return err;
    ret->how.callback = ret->task.callback;
    ret->how.arg = ret->task.arg;
    ret->how.once = submit->durability <= TASK_VOLATILE && !submit->idempotent;
    return submit->key.data ? PTOOLS_OK : give_key(pt, submit);
}

/* -- submitting ---------------------------------------------------------------------------------------- */

static ptools_err submit(struct ptools *pt, struct description *d, uint64_t until_us, struct ptools_future **ret)
{
    return request_send_again(pt, &d->request, d->args, d->args_bytes, until_us, &d->how, ret);
}

ptools_err ptools_queue_worker_task_start(ptools *pt, const ptools_worker_task *task, ptools_future **ret_accepted)
{
    struct description d;
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    if (!ret_accepted)
        return fail_static(pt, PTOOLS_ERR_INVALID, "ret_accepted is NULL");
    err = describe(pt, task, CLOCK_FOREVER, &d);
    return err == PTOOLS_OK ? submit(pt, &d, CLOCK_FOREVER, ret_accepted) : err;
}

ptools_err ptools_queue_worker_task(ptools *pt, const ptools_worker_task *task, uint64_t *ret_task)
{
    struct ptools_future *f;
    struct description d;
    uint64_t until_us;
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    until_us = round_trip_until_us(pt, CLOCK_FOREVER);
    err = describe(pt, task, until_us, &d);
    if (err == PTOOLS_OK)
        err = submit(pt, &d, until_us, &f);
    if (err != PTOOLS_OK)
        return err;
    if (future_await(f, d.request.submit.block ? CLOCK_FOREVER : until_us) != PTOOLS_OK) {
        f->again->how.callback = NULL; /* it is told here that nothing is known */
        if (connection_alive(pt))
            err = fail(pt, PTOOLS_ERR_TIMEOUT, "the daemon did not answer in time whether it took %s", d.task.function);
        else
            err = fail(pt, PTOOLS_ERR_LOST,
                       "the connection to %s was lost, and could not be made anew in time: whether %s was accepted is "
                       "unknown",
                       pt->address, d.task.function);
        pt->last.facts.maybe_executed = true;
    } else if (f->failed) {
        err = fail_with(pt, &f->failure);
    } else if (ret_task) {
        *ret_task = f->reply.task;
    }
    ptools_future_free(f);
    return err;
}

/* A wait for its end is over: what the id of the task is, if it has been accepted. */
static void learn_task(struct ptools_future *f, const struct msg_submit *submit)
{
    struct msg_request request = { .kind = MSG_TASK_GET, .task = { .key = submit->key } };
    struct ptools_future *look;

    if (!connection_alive(f->pt) ||
        request_ask(f->pt, &request, NULL, NULL, 0, round_trip_until_us(f->pt, CLOCK_FOREVER), &look) != PTOOLS_OK)
        return;
    if (!look->failed)
        f->task = look->reply.task;
    ptools_future_free(look);
}

ptools_err ptools_execute_worker_task(ptools *pt, const ptools_worker_task *task, int64_t timeout_ms,
                                      ptools_future **ret_future, ptools_value *ret_value)
{
    const uint64_t until_us = clock_until_us(timeout_ms);
    struct ptools_future *f = NULL;
    struct description d;
    ptools_value value;
    ptools_err err = handle_check(pt);

    if (err == PTOOLS_OK)
        err = check_timeout(pt, timeout_ms);
    if (err != PTOOLS_OK)
        return err;
    if (ret_value && !ret_future)
        return fail_static(pt, PTOOLS_ERR_INVALID, "ret_value without ret_future: the future owns the value");
    err = describe(pt, task, until_us, &d);
    if (err == PTOOLS_OK && d.task.callback)
        return fail_static(pt, PTOOLS_ERR_INVALID,
                           "queued task: callback is set: ptools_execute_worker_task() waits for the end itself");
    d.request.submit.wait = true;
    if (err == PTOOLS_OK)
        err = submit(pt, &d, until_us, &f);
    if (err == PTOOLS_ERR_TIMEOUT && ret_future)
        *ret_future = NULL; /* it was not even sent */
    if (err != PTOOLS_OK)
        return err;
    if (future_await(f, until_us) != PTOOLS_OK)
        learn_task(f, &d.request.submit);
    if (!f->done) {
        err = fail(pt, PTOOLS_ERR_TIMEOUT, "%s was not done within %" PRIi64 " ms; task %" PRIu64 " stays in the queue",
                   d.task.function, timeout_ms, f->task);
        pt->last.facts.task = f->task;
        pt->last.facts.maybe_executed = true;
        if (ret_future)
            *ret_future = f;
        else
            ptools_future_free(f);
        return err;
    }
    err = future_result(f, &value);
    if (err != PTOOLS_OK || !ret_future) {
        ptools_future_free(f);
        return err;
    }
    *ret_future = f;
    if (ret_value)
        *ret_value = value;
    return PTOOLS_OK;
}

/* -- callbacks ----------------------------------------------------------------------------------------- */

static void call_back(ptools_future *f, void *arg)
{
    f->owned = false; /* the callback may close the handle */
    f->task_fn(f->task, f, arg);
    ptools_future_free(f);
}

static ptools_err follow_one(struct ptools *pt, const struct manner *submit, uint64_t task, struct ptools_future **ret)
{
    struct msg_request request = { .kind = MSG_TASK_RESULT, .task = { .task = task } };
    const struct manner how = { 0 };
    struct ptools_future *f;
    ptools_err err = request_tell_again(pt, &request, &how, &f);

    if (err != PTOOLS_OK)
        return err;
    f->task = task;
    f->owned = true;
    f->task_fn = submit->callback;
    f->fn = call_back;
    f->arg = submit->arg;
    *ret = f;
    return PTOOLS_OK;
}

ptools_err queue_follow(struct ptools *pt, const struct manner *submit, const struct msg_reply *accepted)
{
    const uint64_t first = accepted->count == 0 ? accepted->task : accepted->task + 1;
    struct ptools_future *followed[WORKERS_MAX];
    uint32_t n = 0;
    char why[200];
    ptools_err err = PTOOLS_OK;

    while (err == PTOOLS_OK && n < MAX(accepted->count, 1u) && n < WORKERS_MAX) {
        err = follow_one(pt, submit, first + n, &followed[n]);
        n += err == PTOOLS_OK;
    }
    if (err == PTOOLS_OK)
        return err;
    while (n > 0) /* all of them are told, or none */
        ptools_future_free(followed[--n]);
    snprintf(why, sizeof why, "%s", pt->last.facts.message);
    return fail(pt, err, "task %" PRIu64 " is queued, but its end cannot be asked for: %s", accepted->task, why);
}
