/* SPDX-License-Identifier: MIT */
/*
 * verb_notify -- `ptools notify`: waits for the end of a queued task, and becomes a script that is told how it ended.
 *
 * For `ptools submit --notify` it is a task that comes after the other. What becomes of that is not known when it is
 * queued, and a task finds nothing out about those before it by itself: so what it runs is this program, which asks.
 */
#include "client/cli/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/program.h"
#include "client/cli/session.h"
#include "client/cli/tasks.h"
#include "client/cli/verbs.h"

enum { STATUS_OF_SIGNAL = 128 };
static const char *const usage[] = { "ID SCRIPT", NULL };

int notify_queue(const struct command_line *line, ptools *pt, const char *script, uint64_t task,
                 ptools_durability durability)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task after = PTOOLS_WORKER_TASK_INIT;
    const struct program program = { 0 };
    char self[PATH_MAX], id[24];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    const char *const where = line->dir ? "--dir" : "--address", *named = line->dir ? line->dir : line->address;
    const char *const there[] = { self, where, named, "notify", "--", id, script };
    const char *const here[] = { self, "notify", "--", id, script };
    ptools_err err;
    int status;

    if (!args)
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    if (n < 0)
        return failure_report_code(line, PTOOLS_ERR_SYSTEM, "nobody knows where this program lies (/proc/self/exe)");
    self[n] = '\0';
    snprintf(id, sizeof id, "%" PRIu64, task);
    status = program_pack(line, pt, &program, named ? there : here, named ? 7 : 5, args);
    if (status != EXIT_VALUE)
        return status;
    after.function = PROGRAM_FUNCTION;
    after.args = args;
    after.flags = PTOOLS_TASK_AFTER_ANY;
    after.durability = durability;
    after.after = &task;
    after.n_after = 1;
    err = ptools_queue_worker_task(pt, &after, NULL);
    return err == PTOOLS_OK ? EXIT_VALUE : failure_report_last(line, pt, err);
}

/* -- the verb ----------------------------------------------------------------------------------------------- */

/* What `ptools run` would have exited with. */
static int status_of(ptools_err err, ptools_value value, const ptools_failure *f)
{
    ptools_value status;
    int64_t code = 0;

    if (err == PTOOLS_ERR_EXITED && f)
        return f->signal > 0 ? STATUS_OF_SIGNAL + f->signal : f->exit_status;
    if (err != PTOOLS_OK)
        return failure_exit_status(err);
    if (ptools_get_field(value, "status", &status) == PTOOLS_OK)
        (void)ptools_get_i64(status, &code);
    return (int)code;
}

static bool put(const char *name, const char *value)
{
    return setenv(name, value, 1) == 0;
}

static bool tell(uint64_t task, ptools_queued_state state, int status)
{
    char id[24], number[16];

    snprintf(id, sizeof id, "%" PRIu64, task);
    snprintf(number, sizeof number, "%d", status);
    return put("PTOOLS_TASK_ID", id) && put("PTOOLS_NOTIFY_TASK", id) &&
           put("PTOOLS_NOTIFY_STATE", ptools_queued_state_name(state)) && put("PTOOLS_NOTIFY_STATUS", number);
}

static int become(const struct command_line *line, const char *script)
{
    char message[120];

    execlp("sh", "sh", "-c", script, (char *)NULL);
    snprintf(message, sizeof message, "sh cannot be run: %s", strerror(errno));
    failure_report_code(line, PTOOLS_ERR_SYSTEM, message);
    return errno == ENOENT ? EXIT_NO_COMMAND : EXIT_BAD_COMMAND;
}

static int wait_and_become(const struct command_line *line, ptools *pt, uint64_t task, const char *script)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    PTOOLS_AUTO(ptools_queued) list = NULL;
    ptools_value value = { 0 };
    ptools_err err = ptools_queued_result(pt, task, &f), ended;

    if (err != PTOOLS_OK)
        return failure_report_last(line, pt, err);
    ended = ptools_future_fetch(f, PTOOLS_FOREVER, &value);
    err = ptools_queued_get(pt, task, 0, &list);
    if (err != PTOOLS_OK)
        return failure_report_last(line, pt, err);
    if (!tell(task, ptools_queued_at(list, 0)->state, status_of(ended, value, ptools_future_failure(f))))
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    return become(line, script);
}

static int run(const struct command_line *line)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    struct tasks_wish wish = { 0 };
    struct tasks tasks = { 0 };
    int status = EXIT_VALUE;

    if (command_line_words(line) != 2)
        return command_line_wrong(line, "an ID and a SCRIPT are wanted, which is one word");
    status = tasks_take(line, 0, 1, &wish);
    if (status == EXIT_VALUE && (wish.ids.n != 1 || !id_is_one(&wish.ids.items[0])))
        status = command_line_wrong(line, "which task? One ID is wanted");
    if (status == EXIT_VALUE)
        status = session_open(line, false, 0, &pt);
    if (status == EXIT_VALUE)
        status = tasks_find(line, pt, &wish, 0, &tasks);
    if (status == EXIT_VALUE)
        status = tasks.n == 1 ? wait_and_become(line, pt, tasks.items[0].id, command_line_word(line, 1)) : tasks.status;
    tasks_deinit(&tasks);
    tasks_wish_deinit(&wish);
    return status;
}

const struct verb verb_notify = {
    .name = "notify",
    .summary = "wait for the end of a queued task, and run a script that is told how it ended",
    .usage = usage,
    .about =
        "Waits until the task has ended, well or not, and becomes `sh -c SCRIPT`, with PTOOLS_TASK_ID, its id,\n"
        "PTOOLS_NOTIFY_STATE, done, failed, timeout, cancelled, expired, dead or lost, and PTOOLS_NOTIFY_STATUS, the\n"
        "exit status that `ptools run` would have had. `ptools submit --notify SCRIPT` queues this, to run in a "
        "worker.\n" TASKS_IDS_HELP,
    .run = run,
};
