/* SPDX-License-Identifier: MIT */
/*
 * queue -- the original's example of queued tasks: ten with a callback, then ten that are waited for, all in the
 * queue of the daemon, for any worker; each reverses a text.
 *
 *     ./queue               prints twenty lines: "task 4711: saw I ere I saw elba 0" and so on
 *
 * The daemon keeps a queued task until it has run, also when this program has ended or the daemon was started anew
 * (PTOOLS_DURABLE). Callbacks run in ptools_dispatch(), on this thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <ptools/ptools.h>

enum { TASKS = 10 };

static ptools *pt;
static unsigned called;

static void check(ptools_err err)
{
    if (err == PTOOLS_OK)
        return;
    fprintf(stderr, "queue: %s: %s\n", ptools_errname(err), ptools_error_message(pt));
    exit(EXIT_FAILURE);
}

static void print(uint64_t task, ptools_value value)
{
    const char *text;
    size_t n;

    if (ptools_get_str(value, &text, &n) == PTOOLS_OK)
        printf("task %" PRIu64 ": %.*s\n", task, (int)n, text);
}

/* Called once for each of the first ten, in the order in which they end. */
static void on_end(uint64_t task, ptools_future *result, void *arg)
{
    ptools_value value;

    (void)arg;
    check(ptools_future_fetch(result, 0, &value));
    print(task, value);
    called++;
}

static void describe(ptools_worker_task *task, ptools_pack *args, unsigned i)
{
    char text[64];

    snprintf(text, sizeof text, "%u able was I ere I was", i);
    ptools_pack_reset(args);
    ptools_pack_str(args, text);
    task->function = "text.reverse";
    task->args = args;
    task->priority = i; /* lower runs first */
}

int main(void)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    const char *message;

    options.flags = PTOOLS_PRIVATE;
    if (ptools_open(&options, &pt, &message) != PTOOLS_OK) {
        fprintf(stderr, "queue: %s\n", message);
        return EXIT_FAILURE;
    }
    for (unsigned i = 0; i < TASKS; i++) {
        ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;

        describe(&task, args, i);
        task.callback = on_end;
        check(ptools_queue_worker_task(pt, &task, NULL));
    }
    while (called < TASKS)
        check(ptools_dispatch(pt, PTOOLS_FOREVER));

    for (unsigned i = TASKS; i < 2 * TASKS; i++) {
        ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
        PTOOLS_AUTO(ptools_future) future = NULL;
        ptools_value value;

        describe(&task, args, i);
        check(ptools_execute_worker_task(pt, &task, PTOOLS_FOREVER, &future, &value));
        print(ptools_future_task(future), value);
    }
    ptools_close(pt);
    return EXIT_SUCCESS;
}
