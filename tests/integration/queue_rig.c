/* SPDX-License-Identifier: MIT */
/* queue_rig -- see queue_rig.h. */
#include "tests/integration/queue_rig.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- the daemon ---------------------------------------------------------------------------------------------- */

void queue_up(struct queue_rig *q, unsigned workers, const char *const *args)
{
    size_t n = 0;

    memset(q, 0, sizeof *q);
    temp_dir(q->state, sizeof q->state);
    temp_dir(q->work, sizeof q->work);
    ck_assert_int_lt(snprintf(q->marks, sizeof q->marks, "%s/marks", q->work), (int)sizeof q->marks);
    q->workers = workers;
    q->args[n++] = "--state-dir";
    q->args[n++] = q->state;
    q->args[n++] = "-o";
    q->args[n++] = "daemon.journal=yes";
    for (size_t i = 0; args && args[i]; i++) {
        ck_assert_uint_lt(n, sizeof q->args / sizeof q->args[0] - 1);
        q->args[n++] = args[i];
    }
    server_start(&q->server, workers, q->args);
    q->pt = server_open(&q->server);
}

void queue_down(struct queue_rig *q)
{
    q->pt = ptools_close(q->pt);
    server_stop(&q->server);
    temp_remove(q->state);
    temp_remove(q->work);
}

static int end_by(struct queue_rig *q, int signal)
{
    ck_assert_int_eq(kill(q->server.pid, signal), 0);
    return server_end(&q->server);
}

void queue_kill(struct queue_rig *q)
{
    ck_assert_int_eq(end_by(q, SIGKILL), -SIGKILL);
}

void queue_term(struct queue_rig *q)
{
    int status = end_by(q, SIGTERM);

    if (status != 0) {
        char *log = slurp(q->server.log);

        ck_abort_msg("ptoolsd ended with %d:\n%s", status, log);
    }
}

void queue_again(struct queue_rig *q)
{
    char dir[sizeof q->server.dir];

    memcpy(dir, q->server.dir, sizeof dir);
    server_start_in(&q->server, dir, q->workers, q->args);
}

/* -- tasks --------------------------------------------------------------------------------------------------- */

ptools_worker_task queue_task_of(const char *function, const ptools_pack *args)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;

    task.function = function;
    task.args = args;
    return task;
}

ptools_worker_task queue_mark_of(struct queue_rig *q, ptools_pack *args, const char *key)
{
    ptools_pack_reset(args);
    ptools_pack_str(args, q->marks);
    ptools_pack_str(args, key);
    return queue_task_of("t.mark", args);
}

uint64_t queue_put(ptools *pt, const ptools_worker_task *task)
{
    uint64_t id = 0;
    ptools_err err = ptools_queue_worker_task(pt, task, &id);

    ck_assert_msg(err == PTOOLS_OK, "%s: %s: %s", task->function, ptools_errname(err), ptools_error_message(pt));
    ck_assert_uint_gt(id, 0);
    return id;
}

uint64_t queue_mark(struct queue_rig *q, const char *key, double priority)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = queue_mark_of(q, args, key);

    task.priority = priority;
    return queue_put(q->pt, &task);
}

void queue_refused(ptools *pt, const ptools_worker_task *task, ptools_err code)
{
    PTOOLS_AUTO(ptools_future) accepted = NULL;
    PTOOLS_AUTO(ptools_future) ended = NULL;
    uint64_t id = 77;

    ck_assert_err(ptools_queue_worker_task(pt, task, &id), code);
    ck_assert_uint_eq(id, 77);
    ck_assert_ptools(ptools_queue_worker_task_start(pt, task, &accepted));
    ck_assert_err(ptools_future_fetch(accepted, QUEUE_WAIT_MS, NULL), code);
    ck_assert_err(ptools_execute_worker_task(pt, task, QUEUE_WAIT_MS, &ended, NULL), code);
}

static void pipe_path(struct queue_rig *q, uint64_t number, char path[96])
{
    snprintf(path, 96, "%s/pipe-%" PRIu64, q->work, number);
}

/* Running is what it is from when it was given: but it can be taken back until its worker has begun it. */
static void at_its_pipe(struct queue_rig *q, uint64_t id)
{
    PTOOLS_AUTO(ptools_queued) look = NULL;

    ck_assert_ptools(ptools_queued_get(q->pt, id, 0, &look));
    server_at_phase(q->pt, ptools_queued_at(look, 0)->worker, "at the pipe");
}

uint64_t queue_occupy(struct queue_rig *q, uint32_t worker)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = queue_task_of("t.fifo", args);
    char path[96], known[96];
    uint64_t id;

    snprintf(path, sizeof path, "%s/new-%u", q->work, q->pipes++);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ptools_pack_str(args, path);
    task.priority = -INFINITY;
    if (worker) {
        task.target = PTOOLS_TARGET_WORKERS;
        task.workers = &worker;
        task.n_targets = 1;
    }
    id = queue_put(q->pt, &task);
    pipe_path(q, id, known);
    ck_assert_int_eq(link(path, known), 0); /* the same pipe, to be found by the task */
    queue_until(q->pt, id, PTOOLS_QUEUED_RUNNING);
    at_its_pipe(q, id);
    return id;
}

void queue_free(struct queue_rig *q, uint64_t task)
{
    char path[96];
    int fd;

    pipe_path(q, task, path);
    fd = open(path, O_WRONLY | O_CLOEXEC); /* returns when the other end is open */
    ck_assert_int_ge(fd, 0);
    queue_ends(q->pt, task, PTOOLS_QUEUED_DONE);
    close(fd);
}

/* -- what becomes of them ------------------------------------------------------------------------------------ */

const ptools_queued_info *queue_look(ptools *pt, uint64_t task, ptools_queued **ret_list)
{
    *ret_list = NULL;
    ck_assert_ptools(ptools_queued_get(pt, task, PTOOLS_LIST_ARGS, ret_list));
    ck_assert_uint_eq(ptools_queued_count(*ret_list), 1);
    return ptools_queued_at(*ret_list, 0);
}

ptools_queued_state queue_state(ptools *pt, uint64_t task)
{
    ptools_queued *list;
    ptools_queued_state state = queue_look(pt, task, &list)->state;

    ptools_queued_free(list);
    return state;
}

void queue_ends(ptools *pt, uint64_t task, ptools_queued_state state)
{
    ptools_err err = ptools_queued_wait(pt, &task, 1, false, QUEUE_WAIT_MS, NULL);
    ptools_queued_state is;

    ck_assert_msg(err == PTOOLS_OK, "waiting for task %" PRIu64 ": %s: %s", task, ptools_errname(err),
                  ptools_error_message(pt));
    is = queue_state(pt, task);
    ck_assert_msg(is == state, "task %" PRIu64 " is %s, not %s", task, ptools_queued_state_name(is),
                  ptools_queued_state_name(state));
}

void queue_until(ptools *pt, uint64_t task, ptools_queued_state state)
{
    uint64_t until = now_ms() + QUEUE_WAIT_MS;
    ptools_queued_state is;

    while ((is = queue_state(pt, task)) != state)
        ck_assert_msg(now_ms() < until && is < PTOOLS_QUEUED_DONE, "task %" PRIu64 " is %s, and does not become %s",
                      task, ptools_queued_state_name(is), ptools_queued_state_name(state));
}

void queue_gives_u64(ptools *pt, uint64_t task, uint64_t expected)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value v;
    uint64_t n;

    ck_assert_ptools(ptools_queued_result(pt, task, &f));
    ck_assert_ptools(ptools_future_fetch(f, QUEUE_WAIT_MS, &v));
    ck_assert_ptools(ptools_get_u64(v, &n));
    ck_assert_uint_eq(n, expected);
}

void queue_gives_str(ptools *pt, uint64_t task, const char *expected)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value v;
    const char *s;
    size_t n;

    ck_assert_ptools(ptools_queued_result(pt, task, &f));
    ck_assert_ptools(ptools_future_fetch(f, QUEUE_WAIT_MS, &v));
    ck_assert_ptools(ptools_get_str(v, &s, &n));
    ck_assert_msg(n == strlen(expected) && memcmp(s, expected, n) == 0, "%.*s is not %s", (int)n, s, expected);
}

void queue_why_has(ptools *pt, uint64_t task, const char *part)
{
    uint64_t until = now_ms() + QUEUE_WAIT_MS;
    const char *reason = "";

    do /* that is over soon, and says nothing about the task */
        ck_assert_ptools(ptools_queued_why(pt, task, &reason));
    while (strstr(reason, "waits for its module to be loaded") && now_ms() < until);
    ck_assert_msg(strstr(reason, part), "\"%s\" lacks \"%s\"", reason, part);
}

void queue_failed_with(ptools *pt, uint64_t task, ptools_err code, const char *part)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    const ptools_failure *failure;

    ck_assert_ptools(ptools_queued_result(pt, task, &f));
    ck_assert_err(ptools_future_fetch(f, QUEUE_WAIT_MS, NULL), code);
    failure = ptools_future_failure(f);
    ck_assert_uint_eq(failure->task, task);
    ck_assert_msg(strstr(failure->message, part), "\"%s\" lacks \"%s\"", failure->message, part);
}

void queue_assert_order(struct queue_rig *q, const char *expected)
{
    char *text = slurp(q->marks), *keys = calloc(1, strlen(text) + 1), *rest = text, *line;
    size_t n = 0;

    ck_assert_ptr_nonnull(keys);
    while ((line = strsep(&rest, "\n")) && *line)
        n += (size_t)sprintf(keys + n, "%s%.*s", n ? " " : "", (int)strcspn(line, " "), line);
    ck_assert_str_eq(keys, expected);
    free(keys);
    free(text);
    ck_assert_int_eq(unlink(q->marks), 0);
}
