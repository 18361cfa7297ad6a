/* SPDX-License-Identifier: MIT */
/*
 * queued -- queued tasks by their ids: the result of one, the end of several, and changes of them.
 *
 * Waits outlive their connection (again.c). A change does not: one whose answer was lost may have been made, and is
 * PTOOLS_ERR_LOST.
 */
#include "client/lib/handle.h"

#include <inttypes.h>
#include <string.h>

_Static_assert((int)PTOOLS_CHANGE_DEQUEUE == (int)CHANGE_DEQUEUE && (int)PTOOLS_CHANGE_FORGET == (int)CHANGE_FORGET,
               "as on the wire");

const char *ptools_queued_state_name(ptools_queued_state state)
{
    return task_shown_name((uint32_t)state);
}

static ptools_err check_task(struct ptools *pt, uint64_t task)
{
    ptools_err err = handle_check(pt);

    if (err == PTOOLS_OK && task == 0)
        return fail_static(pt, PTOOLS_ERR_INVALID, "task is 0: ids are from 1");
    return err;
}

static ptools_err check_tasks(struct ptools *pt, const uint64_t *tasks, size_t n)
{
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    if (!tasks && n > 0)
        return fail_static(pt, PTOOLS_ERR_INVALID, "tasks is NULL");
    for (size_t i = 0; i < n; i++)
        if (tasks[i] == 0)
            return fail(pt, PTOOLS_ERR_INVALID, "tasks[%zu] is 0: ids are from 1", i);
    return PTOOLS_OK;
}

/* -- waiting ------------------------------------------------------------------------------------------- */

ptools_err ptools_queued_result(ptools *pt, uint64_t task, ptools_future **ret_future)
{
    struct msg_request request = { .kind = MSG_TASK_RESULT, .task = { .task = task } };
    const struct manner how = { 0 };
    ptools_err err = check_task(pt, task);

    if (err != PTOOLS_OK)
        return err;
    if (!ret_future)
        return fail_static(pt, PTOOLS_ERR_INVALID, "ret_future is NULL");
    err = request_send_again(pt, &request, NULL, 0, CLOCK_FOREVER, &how, ret_future);
    if (err == PTOOLS_OK)
        (*ret_future)->task = task;
    return err;
}

/* The time is over: the daemon is told so, and what it has to say before it answers that counts. So a wait without
 * time is a look. */
static void stop_waiting(struct ptools_future *f)
{
    struct msg_request request = { .kind = MSG_CANCEL, .cancel = { .request = f->id } };
    struct ptools_future *stopped;

    if (connection_alive(f->pt) &&
        request_ask(f->pt, &request, NULL, NULL, 0, round_trip_until_us(f->pt, CLOCK_FOREVER), &stopped) == PTOOLS_OK)
        ptools_future_free(stopped);
}

static ptools_err wait_end(struct ptools_future *f, uint64_t until_us)
{
    struct ptools *pt = f->pt;
    bool in_time = future_await(f, until_us) == PTOOLS_OK;

    if (!in_time)
        stop_waiting(f);
    if (!f->done || (!in_time && f->failed && f->failure.facts.code == PTOOLS_ERR_CANCELLED))
        return fail_static(pt, PTOOLS_ERR_TIMEOUT, "the wait is over, and the tasks have not ended; they go on");
    return f->failed ? fail_with(pt, &f->failure) : PTOOLS_OK;
}

ptools_err ptools_queued_wait(ptools *pt, const uint64_t *tasks, size_t n, bool any, int64_t timeout_ms,
                              size_t *ret_index)
{
    struct msg_request request = { .kind = MSG_TASK_WAIT };
    const struct manner how = { 0 };
    uint64_t until_us;
    struct ptools_future *f;
    size_t index = 0;
    ptools_err err = check_tasks(pt, tasks, n);

    if (err == PTOOLS_OK)
        err = check_timeout(pt, timeout_ms);
    if (err != PTOOLS_OK)
        return err;
    if (n == 0 && !any)
        return PTOOLS_OK;
    if (n == 0 || n > TASK_IDS_MAX)
        return fail(pt, PTOOLS_ERR_INVALID, "%zu tasks to wait for: %s %u are allowed", n, any ? "1 to" : "at most",
                    TASK_IDS_MAX);
    until_us = clock_until_us(timeout_ms);
    request.task.n_tasks = (uint32_t)n;
    request.task.tasks = (uint64_t *)(uintptr_t)tasks; /* encoding does not write to them */
    request.task.any = any;
    err = request_send_again(pt, &request, NULL, 0, until_us, &how, &f);
    if (err != PTOOLS_OK)
        return err;
    err = wait_end(f, until_us);
    if (err == PTOOLS_OK && any) {
        while (index < n && tasks[index] != f->reply.task)
            index++;
        if (index == n)
            err = fail(pt, PTOOLS_ERR_PROTOCOL,
                       "the daemon says that task %" PRIu64 " has ended: nobody asked for that", f->reply.task);
        else if (ret_index)
            *ret_index = index;
    }
    ptools_future_free(f);
    return err;
}

/* -- changing ------------------------------------------------------------------------------------------ */

/* what: the change, and no tasks. *ret_future is done, well or not. */
static ptools_err ask_change(struct ptools *pt, const uint64_t *tasks, size_t n, const struct msg_task *what,
                             struct ptools_future **ret_future)
{
    struct msg_request request = { .kind = MSG_TASK_CHANGE, .task = *what };

    request.task.n_tasks = (uint32_t)n;
    request.task.tasks = (uint64_t *)(uintptr_t)tasks;
    return request_ask(pt, &request, NULL, NULL, 0, round_trip_until_us(pt, CLOCK_FOREVER), ret_future);
}

ptools_err queued_change_some(struct ptools *pt, const uint64_t *tasks, size_t n, const struct msg_task *what,
                              uint64_t *ret_changed)
{
    uint64_t changed = 0;

    for (size_t at = 0, part; at < n; at += part) {
        struct ptools_future *f;
        ptools_err err;

        part = MIN(n - at, (size_t)TASK_IDS_MAX);
        err = ask_change(pt, tasks + at, part, what, &f);
        if (err != PTOOLS_OK)
            return err;
        if (!f->failed)
            changed += f->reply.count;
        else if (part > 1 ||
                 (f->failure.facts.code != PTOOLS_ERR_NO_TASK && f->failure.facts.code != PTOOLS_ERR_NOT_NOW))
            err = fail_with(pt, &f->failure);
        ptools_future_free(f);
        if (err != PTOOLS_OK)
            return err;
    }
    if (ret_changed)
        *ret_changed = changed;
    return PTOOLS_OK;
}

static ptools_err change(struct ptools *pt, const uint64_t *tasks, size_t n, const struct msg_task *what,
                         uint64_t *ret_changed)
{
    struct ptools_future *f;
    ptools_err err;

    if (n != 1)
        return queued_change_some(pt, tasks, n, what, ret_changed);
    err = ask_change(pt, tasks, n, what, &f);
    if (err != PTOOLS_OK)
        return err;
    if (f->failed)
        err = fail_with(pt, &f->failure);
    else if (ret_changed)
        *ret_changed = f->reply.count;
    ptools_future_free(f);
    return err;
}

ptools_err ptools_queued_change(ptools *pt, const uint64_t *tasks, size_t n, ptools_change what, uint64_t *ret_changed)
{
    ptools_err err = check_tasks(pt, tasks, n);

    if (err != PTOOLS_OK)
        return err;
    if (what < PTOOLS_CHANGE_DEQUEUE || what > PTOOLS_CHANGE_FORGET)
        return fail(pt, PTOOLS_ERR_INVALID, "change is %d: PTOOLS_CHANGE_DEQUEUE (%d) to PTOOLS_CHANGE_FORGET (%d)",
                    (int)what, PTOOLS_CHANGE_DEQUEUE, PTOOLS_CHANGE_FORGET);
    return change(pt, tasks, n, &(struct msg_task){ .change = (uint32_t)what }, ret_changed);
}

ptools_err ptools_queued_stop(ptools *pt, const uint64_t *tasks, size_t n, int64_t grace_ms, uint64_t *ret_changed)
{
    struct msg_task what = { .change = CHANGE_CANCEL, .grace_ms = (uint64_t)grace_ms, .at_once = grace_ms == 0 };
    ptools_err err = check_tasks(pt, tasks, n);

    if (err != PTOOLS_OK)
        return err;
    if (grace_ms < 0 || what.grace_ms > DEADLINE_MS_MAX)
        return fail(pt, PTOOLS_ERR_INVALID, "grace_ms is %lld: 0 (at once) to %llu", (long long)grace_ms,
                    (unsigned long long)DEADLINE_MS_MAX);
    return change(pt, tasks, n, &what, ret_changed);
}

ptools_err ptools_dequeue_worker_task(ptools *pt, uint64_t task, ptools_dequeued *ret)
{
    ptools_dequeued what = PTOOLS_DEQUEUED_REMOVED;
    struct ptools_future *f;
    ptools_err err = check_task(pt, task);

    if (err == PTOOLS_OK)
        err = ask_change(pt, &task, 1, &(struct msg_task){ .change = CHANGE_DEQUEUE }, &f);
    if (err != PTOOLS_OK)
        return err;
    if (f->failed && f->failure.facts.code == PTOOLS_ERR_NO_TASK)
        what = PTOOLS_DEQUEUED_UNKNOWN;
    else if (f->failed && f->failure.facts.code == PTOOLS_ERR_NOT_NOW)
        what = task_shown_ended(f->failure.state) ? PTOOLS_DEQUEUED_ENDED : PTOOLS_DEQUEUED_RUNNING;
    else if (f->failed)
        err = fail_with(pt, &f->failure);
    if (err == PTOOLS_OK && ret)
        *ret = what;
    ptools_future_free(f);
    return err;
}

/* A priority that could not be given: why. */
static ptools_err explain_skip(struct ptools *pt, uint64_t task)
{
    struct msg_request request = { .kind = MSG_TASK_GET, .task = { .task = task } };
    struct ptools_future *f;
    ptools_err err = request_round_trip(pt, &request, NULL, &f);

    if (err != PTOOLS_OK)
        return err;
    err = fail(pt, PTOOLS_ERR_NOT_NOW, "task %" PRIu64 " is %s: a priority is for one that no worker has begun", task,
               task_shown_name(f->reply.state));
    ptools_future_free(f);
    return err;
}

ptools_err ptools_queued_set_priority(ptools *pt, uint64_t task, double priority)
{
    struct msg_priority one = { task, priority };
    uint64_t changed = 0;
    ptools_err err = check_task(pt, task);

    if (err != PTOOLS_OK)
        return err;
    if (isnan(priority))
        return fail_static(pt, PTOOLS_ERR_INVALID, "priority is not a number");
    err = queued_set_priorities(pt, &one, 1, &changed, NULL);
    return err == PTOOLS_OK && changed == 0 ? explain_skip(pt, task) : err;
}

/* -- pausing ------------------------------------------------------------------------------------------- */

static ptools_err ask_pause(struct ptools *pt, enum msg_kind kind, const char *tag, uint64_t *ret_tasks)
{
    struct msg_request request = { .kind = kind };
    struct ptools_future *f;
    ptools_err err;

    if (!pt)
        return PTOOLS_ERR_INVALID;
    if (tag && !name_ok_tag(tag, strlen(tag)))
        return fail_static(pt, PTOOLS_ERR_INVALID, "a tag is 1 to 64 of A-Z a-z 0-9 _ - . : / = @ +");
    if (tag)
        request.task.tag = (struct text){ tag, strlen(tag) };
    err = request_round_trip(pt, &request, NULL, &f);
    if (err != PTOOLS_OK)
        return err;
    if (ret_tasks)
        *ret_tasks = f->reply.count;
    ptools_future_free(f);
    return PTOOLS_OK;
}

ptools_err ptools_queue_pause(ptools *pt, const char *tag, uint64_t *ret_tasks)
{
    return ask_pause(pt, MSG_QUEUE_PAUSE, tag, ret_tasks);
}

ptools_err ptools_queue_resume(ptools *pt, const char *tag, uint64_t *ret_tasks)
{
    return ask_pause(pt, MSG_QUEUE_RESUME, tag, ret_tasks);
}

/* -- asking -------------------------------------------------------------------------------------------- */

ptools_err ptools_queued_why(ptools *pt, uint64_t task, const char **ret_reason)
{
    struct msg_request request = { .kind = MSG_TASK_WHY, .task = { .task = task } };
    struct ptools_future *f;
    char *reason;
    ptools_err err = check_task(pt, task);

    if (err != PTOOLS_OK)
        return err;
    if (!ret_reason)
        return fail_static(pt, PTOOLS_ERR_INVALID, "ret_reason is NULL");
    err = request_round_trip(pt, &request, NULL, &f);
    if (err != PTOOLS_OK)
        return err;
    reason = strndup(f->reply.reason.n > 0 ? f->reply.reason.data : "", f->reply.reason.n);
    ptools_future_free(f);
    if (!reason)
        return fail_no_memory(pt);
    free(pt->reason);
    *ret_reason = pt->reason = reason;
    return PTOOLS_OK;
}
