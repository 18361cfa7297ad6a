/* SPDX-License-Identifier: MIT */
/*
 * verb_change -- `ptools cancel`, kill, dequeue, hold, release, kick, rerun, forget and purge: one deed each, done to
 * tasks.
 *
 * Tasks that are named one by one are changed one by one: each that can be is, and of each that cannot the reason is
 * told. Those of a range or a tag, or that filters pick, are changed at once; that some of them are in no state for it
 * is no failure, so a script can say `ptools cancel --tag nightly` without looking first.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/tasks.h"
#include "client/cli/verbs.h"
#include "client/cli/words.h"

static const struct option_row options[] = {
    { OPTION_STATE, '\0', "state", "STATE,...", TASKS_STATE_HELP },
    { OPTION_TAG, '\0', "tag", "TAG", TASKS_TAG_HELP },
    { OPTION_WHERE, '\0', "where", "EXPR", TASKS_WHERE_HELP },
    { 0 },
};
enum { OPTION_FAILED = OPTION_OF_VERB, OPTION_NOW, OPTION_GRACE };
static const struct option_row kill_options[] = {
    { OPTION_NOW, '\0', "now", NULL, "do not ask: kill them at once, with all processes below them" },
    { OPTION_GRACE, '\0', "grace", "TIME", "from SIGTERM to SIGKILL (default: as they were submitted)" },
    { OPTION_STATE, '\0', "state", "STATE,...", TASKS_STATE_HELP },
    { OPTION_TAG, '\0', "tag", "TAG", TASKS_TAG_HELP },
    { OPTION_WHERE, '\0', "where", "EXPR", TASKS_WHERE_HELP },
    { 0 },
};
static const struct option_row rerun_options[] = {
    { OPTION_FAILED, '\0', "failed", NULL, "that ended as failed, timeout, expired, dead or lost" },
    { OPTION_STATE, '\0', "state", "STATE,...", TASKS_STATE_HELP },
    { OPTION_TAG, '\0', "tag", "TAG", TASKS_TAG_HELP },
    { OPTION_WHERE, '\0', "where", "EXPR", TASKS_WHERE_HELP },
    { 0 },
};
#define BIT(state) (UINT32_C(1) << (PTOOLS_QUEUED_##state))
#define FAILED     (BIT(FAILED) | BIT(TIMEOUT) | BIT(EXPIRED) | BIT(DEAD) | BIT(LOST))
#define ENDED      (FAILED | BIT(DONE) | BIT(CANCELLED))

static const char *const kill_usage[] = { "[--now|--grace TIME] ID...",
                                          "[--now|--grace TIME] [--state STATE,...] [--tag TAG] [--where EXPR] [ID...]",
                                          NULL };
static const char *const purge_usage[] = { "[--state STATE,...] [--tag TAG] [--where EXPR] [ID...]", NULL };
static const char *const rerun_usage[] = { "ID...", "[--failed] [--state STATE,...] [--tag TAG] [--where EXPR] [ID...]",
                                           NULL };
static const char *const usage[] = { "ID...", "[--state STATE,...] [--tag TAG] [--where EXPR] [ID...]", NULL };

enum { GRACE_OF_TASK = -1 };
struct deed {
    ptools_change change;
    uint32_t states; /* those that are meant where neither an ID nor a state is; 0: then something must say which */
    bool running;    /* of them those that run, and no others */
    int64_t grace_ms;
};

struct count {
    uint64_t picked, changed; /* of all */
    bool several;             /* not all of them were named one by one */
    int status;
};

static ptools_err change(ptools *pt, const uint64_t *ids, size_t n, const struct deed *deed, uint64_t *ret_changed)
{
    if (deed->grace_ms != GRACE_OF_TASK)
        return ptools_queued_stop(pt, ids, n, deed->grace_ms, ret_changed);
    return ptools_queued_change(pt, ids, n, deed->change, ret_changed);
}

static int change_each(const struct command_line *line, ptools *pt, const struct tasks *tasks, const struct deed *deed,
                       struct count *count)
{
    for (size_t i = 0; i < tasks->n; i++) {
        uint64_t changed = 0;
        ptools_err r;
        int status;

        if (!tasks->items[i].named)
            continue;
        r = change(pt, &tasks->items[i].id, 1, deed, &changed);
        count->changed += changed;
        if (r == PTOOLS_OK)
            continue;
        status = failure_report_last(line, pt, r);
        if (count->status == EXIT_VALUE)
            count->status = status;
        if (r != PTOOLS_ERR_NO_TASK && r != PTOOLS_ERR_NOT_NOW) /* the next one would fail alike */
            return status;
    }
    return EXIT_VALUE;
}

static int change_at_once(const struct command_line *line, ptools *pt, const struct tasks *tasks,
                          const struct deed *deed, struct count *count)
{
    uint64_t *ids = calloc(tasks->n + 1, sizeof *ids), changed = 0;
    ptools_err r = PTOOLS_OK;
    size_t n = 0;

    if (!ids)
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    for (size_t i = 0; i < tasks->n; i++)
        if (!tasks->items[i].named)
            ids[n++] = tasks->items[i].id;
    if (n > 0)
        r = change(pt, ids, n, deed, &changed);
    free(ids);
    if (n == 1 && (r == PTOOLS_ERR_NO_TASK || r == PTOOLS_ERR_NOT_NOW))
        r = PTOOLS_OK; /* a single one is said to fail, and is no failure here */
    count->changed += changed;
    return r == PTOOLS_OK ? EXIT_VALUE : failure_report_last(line, pt, r);
}

static int report(const struct command_line *line, const struct count *count)
{
    struct json_writer w;

    if (!line->json) {
        if (count->several && (count->picked > 0 || count->status == EXIT_VALUE))
            printf("%" PRIu64 " of %" PRIu64 "\n", count->changed, count->picked);
        return EXIT_VALUE;
    }
    session_document(&w);
    json_key(&w, "changed");
    json_put_u64(&w, count->changed);
    json_key(&w, "unchanged");
    json_put_u64(&w, count->picked - count->changed);
    return session_document_end(line, &w);
}

static int change_found(const struct command_line *line, ptools *pt, const struct tasks_wish *wish,
                        const struct deed *deed, struct tasks *tasks)
{
    struct count count = { .picked = tasks->n, .status = tasks->status, .several = wish->ids.n == 0 };
    int status, reported;

    for (size_t i = 0; i < wish->ids.n; i++)
        count.several = count.several || !id_is_one(&wish->ids.items[i]);
    status = change_each(line, pt, tasks, deed, &count);
    if (status == EXIT_VALUE)
        status = change_at_once(line, pt, tasks, deed, &count);
    if (status != EXIT_VALUE)
        return status;
    reported = report(line, &count);
    return count.status != EXIT_VALUE ? count.status : reported;
}

static int take_grace(const struct command_line *line, struct deed *deed)
{
    bool now = false, grace = false;

    for (size_t i = 0; i < line->n; i++) {
        const struct item *item = &line->items[i];

        if (item->id == OPTION_GRACE && !words_duration(item->text, &deed->grace_ms))
            return command_line_wrong(line, "--grace %.80s: " WORDS_DURATIONS, item->text);
        grace |= item->id == OPTION_GRACE;
        now |= item->id == OPTION_NOW;
    }
    if (now)
        deed->grace_ms = 0;
    return now && grace ? command_line_wrong(line, "--now and --grace exclude each other") : EXIT_VALUE;
}

static int take(const struct command_line *line, uint32_t states, struct tasks_wish *wish)
{
    int status = tasks_take(line, 0, command_line_words(line), wish);

    for (size_t i = 0; i < line->n && status == EXIT_VALUE; i++) {
        if (line->items[i].id != OPTION_FAILED)
            continue;
        if (wish->states)
            return command_line_wrong(line, "--failed and --state exclude each other");
        wish->states = FAILED;
        break;
    }
    if (wish->ids.n == 0 && wish->states == 0)
        wish->states = states;
    if (status == EXIT_VALUE && !tasks_narrowed(wish))
        status =
            command_line_wrong(line, "which tasks? An ID, --state, --tag or --where is missing; --where true is all");
    return status;
}

/* Of those that are not running, what was named is told. The exit status. */
static int keep_running(const struct command_line *line, struct tasks *tasks)
{
    char message[120];
    size_t n = 0;

    for (size_t i = 0; i < tasks->n; i++) {
        const struct task task = tasks->items[i];

        if (task.info->state == PTOOLS_QUEUED_RUNNING) {
            tasks->items[n++] = task;
        } else if (task.named) {
            snprintf(message, sizeof message, "task %" PRIu64 " is %s: only one that runs can be killed", task.id,
                     ptools_queued_state_name(task.info->state));
            tasks->status = failure_report_code(line, PTOOLS_ERR_NOT_NOW, message);
        }
    }
    tasks->n = n;
    return EXIT_VALUE;
}

static int run(const struct command_line *line, const struct deed *deed)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    struct tasks_wish wish = { 0 };
    struct tasks tasks = { 0 };
    int status = take(line, deed->states, &wish);

    if (status == EXIT_VALUE)
        status = session_open(line, false, 0, &pt);
    if (status == EXIT_VALUE)
        status = tasks_find(line, pt, &wish, deed->running ? TASKS_LOOK : 0, &tasks);
    if (status == EXIT_VALUE && deed->running)
        status = keep_running(line, &tasks);
    if (status == EXIT_VALUE)
        status = change_found(line, pt, &wish, deed, &tasks);
    tasks_deinit(&tasks);
    tasks_wish_deinit(&wish);
    return status;
}

static int run_change(const struct command_line *line, ptools_change change)
{
    return run(line, &(struct deed){ .change = change, .grace_ms = GRACE_OF_TASK });
}

static int run_cancel(const struct command_line *line)
{
    return run_change(line, PTOOLS_CHANGE_CANCEL);
}

static int run_kill(const struct command_line *line)
{
    struct deed deed = { .change = PTOOLS_CHANGE_CANCEL, .running = true, .grace_ms = GRACE_OF_TASK };
    const int status = take_grace(line, &deed);

    return status == EXIT_VALUE ? run(line, &deed) : status;
}

static int run_dequeue(const struct command_line *line)
{
    return run_change(line, PTOOLS_CHANGE_DEQUEUE);
}

static int run_hold(const struct command_line *line)
{
    return run_change(line, PTOOLS_CHANGE_HOLD);
}

static int run_release(const struct command_line *line)
{
    return run_change(line, PTOOLS_CHANGE_RELEASE);
}

static int run_kick(const struct command_line *line)
{
    return run_change(line, PTOOLS_CHANGE_KICK);
}

static int run_rerun(const struct command_line *line)
{
    return run_change(line, PTOOLS_CHANGE_RERUN);
}

static int run_forget(const struct command_line *line)
{
    return run_change(line, PTOOLS_CHANGE_FORGET);
}

static int run_purge(const struct command_line *line)
{
    return run(line, &(struct deed){ .change = PTOOLS_CHANGE_FORGET, .states = ENDED, .grace_ms = GRACE_OF_TASK });
}

#define COMMON                                                                                                         \
    "That it cannot be done to one that is named is a failure (exit status 125); of those of a range or a tag,\n"      \
    "or that the options pick, it is printed to how many it was.\n" TASKS_IDS_HELP TASKS_EXPR_HELP

const struct verb verb_cancel = {
    .name = "cancel",
    .summary = "end queued tasks, also those that run",
    .usage = usage,
    .about = "Takes tasks out of the queue that have not begun, and stops those that run: asks them, and after the\n"
             "grace time kills their workers. They end as cancelled.\n" COMMON,
    .options = options,
    .run = run_cancel,
};
const struct verb verb_kill = {
    .name = "kill",
    .summary = "stop queued tasks that run, and no others",
    .usage = kill_usage,
    .about = "Stops tasks that run as `ptools cancel` does, and leaves those alone that wait: their workers, with all\n"
             "processes below them, are asked to end (TERM), and killed after the grace time. One that is being\n"
             "stopped already is hurried by --now and --grace. TIME: 2, 0.5, 500ms, 2s, 3m, 1h.\n" COMMON,
    .options = kill_options,
    .run = run_kill,
};
const struct verb verb_dequeue = {
    .name = "dequeue",
    .summary = "take tasks out of the queue that have not begun",
    .usage = usage,
    .about =
        "Takes tasks out of the queue that no worker has begun: they end as cancelled. One that runs goes on.\n" COMMON,
    .options = options,
    .run = run_dequeue,
};
const struct verb verb_hold = {
    .name = "hold",
    .summary = "keep queued tasks from being run",
    .usage = usage,
    .about = "Keeps tasks that have not begun where they are in the queue, and does not run them until `ptools "
             "release`.\n" COMMON,
    .options = options,
    .run = run_hold,
};
const struct verb verb_release = {
    .name = "release",
    .summary = "let tasks run that were on hold",
    .usage = usage,
    .about = "Lets tasks run that were on hold.\n" COMMON,
    .options = options,
    .run = run_release,
};
const struct verb verb_kick = {
    .name = "kick",
    .summary = "run delayed and dead tasks now",
    .usage = usage,
    .about = "Runs tasks now, as soon as a worker is free, that are delayed or wait for their next attempt; and those\n"
             "that are dead, with new attempts.\n" COMMON,
    .options = options,
    .run = run_kick,
};
const struct verb verb_rerun = {
    .name = "rerun",
    .summary = "queue tasks again that have ended",
    .usage = rerun_usage,
    .about = "Queues tasks again that have ended, well or not, under the same ids, with new attempts.\n" COMMON,
    .options = rerun_options,
    .run = run_rerun,
};
const struct verb verb_forget = {
    .name = "forget",
    .alias = "rm",
    .summary = "drop tasks that have ended, with their values",
    .usage = usage,
    .about = "Drops tasks that have ended, with their values and keys. Nobody can ask for them afterwards.\n" COMMON,
    .options = options,
    .run = run_forget,
};
const struct verb verb_purge = {
    .name = "purge",
    .summary = "drop all tasks that have ended, or some of them",
    .usage = purge_usage,
    .about = "Drops tasks that have ended as `ptools forget` does: without words and options all of them.\n" COMMON,
    .options = options,
    .run = run_purge,
};
