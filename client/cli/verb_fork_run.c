/* SPDX-License-Identifier: MIT */
/*
 * verb_fork_run -- the call behind `ptools fork`.
 *
 * A child that becomes a command never returns from its function: to the library it has died, with an exit status or of
 * a signal. How that went is judged here. One that cannot become it leaves errno as its value; then the others are
 * stopped, for they cannot either, and it is told once. So it is with what else makes children impossible.
 *
 * Nothing is allocated or opened between fork and exec, where limits may forbid it: the environment is made before,
 * with room for what differs.
 *
 * SIGINT, SIGTERM and SIGHUP come through a descriptor that the library waits for, until all children have ended; then
 * they have their usual effect again, and can end what is left to be written. A child gets the signal mask and
 * SIGCHLD as we got them.
 */
#include "client/cli/verb_fork.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ptools/ptools.h>

#include "client/cli/failure.h"
#include "client/cli/signals.h"

enum { STALL_MS = 100, VARIABLE_BYTES = 40 };

/* -- the children ----------------------------------------------------------------------------------- */

static const char *const variables[] = { "PTOOLS_INDEX=", "PTOOLS_COUNT=", "PTOOLS_SEED=" };
enum { VARIABLES = sizeof variables / sizeof variables[0] };

static bool is_ours(const char *variable)
{
    for (int k = 0; k < VARIABLES; k++)
        if (strncmp(variable, variables[k], strlen(variables[k])) == 0)
            return true;
    return false;
}

/* One block: the list, and behind it room for what is different in each child. */
static bool make_environment(struct fork_call *call)
{
    size_t n = 0, kept = 0;
    char **list, *text;

    while (environ && environ[n])
        n++;
    list = malloc((n + VARIABLES + 1) * sizeof *list + VARIABLES * VARIABLE_BYTES);
    if (!list)
        return false;
    text = (char *)&list[n + VARIABLES + 1];
    for (size_t i = 0; i < n; i++)
        if (!is_ours(environ[i]))
            list[kept++] = environ[i];
    list[kept++] = call->index_text = text;
    list[kept++] = call->count_text = text + VARIABLE_BYTES;
    list[kept++] = call->seed_text = text + (size_t)2 * VARIABLE_BYTES;
    list[kept] = NULL;
    call->environment = list;
    return true;
}

static ptools_err become_command(int i, void *arg, ptools_child *child)
{
    struct fork_call *call = arg;

    snprintf(call->index_text, VARIABLE_BYTES, "%s%d", variables[0], i);
    snprintf(call->count_text, VARIABLE_BYTES, "%s%d", variables[1], ptools_child_count(child));
    snprintf(call->seed_text, VARIABLE_BYTES, "%s%" PRIu64, variables[2], ptools_child_seed(child));
    if (dup2(call->null_fd, STDIN_FILENO) < 0)
        return ptools_child_fail(child, "/dev/null cannot become its standard input: %s", strerror(errno));
    sigaction(SIGCHLD, &call->children_before, NULL);
    sigprocmask(SIG_SETMASK, &call->mask_before, NULL);
    execvpe(call->wish->argv[0], call->wish->argv, call->environment);
    ptools_pack_i64(ptools_child_result(child), errno);
    return PTOOLS_OK;
}

/* -- what came of them ------------------------------------------------------------------------------- */

enum fork_fate fork_judge(const ptools_child_outcome *o)
{
    if (o->code == PTOOLS_OK)
        return FORK_NO_COMMAND;
    if (o->exit_status >= 0) /* also of one that ended just when it was to be stopped */
        return o->exit_status == 0 ? FORK_WELL : FORK_FAILED;
    if (o->code == PTOOLS_ERR_DEADLINE)
        return FORK_TIMED_OUT;
    if (o->code == PTOOLS_ERR_CANCELLED)
        return FORK_STOPPED;
    if (o->code == PTOOLS_ERR_NOT_RUN)
        return FORK_NOT_BEGUN;
    return o->code == PTOOLS_ERR_WORKER_DIED && o->signal ? FORK_KILLED : FORK_TROUBLE;
}

int fork_exec_error(const ptools_child_outcome *o)
{
    int64_t error;

    return ptools_get_i64(o->value, &error) == PTOOLS_OK && error > 0 && error < INT32_MAX ? (int)error : EINVAL;
}

/* The library's message, without the child that it begins with. */
static const char *predicate(const ptools_child_outcome *o)
{
    char subject[40];
    size_t n;

    snprintf(subject, sizeof subject, "child %d ", o->index);
    n = strlen(subject);
    return strncmp(o->message, subject, n) == 0 ? o->message + n : o->message;
}

const char *fork_text(const struct fork_call *call, const ptools_child_outcome *o, char text[FORK_TEXT_BYTES])
{
    switch (fork_judge(o)) {
    case FORK_WELL:
        *text = '\0';
        return text;
    case FORK_FAILED:
        snprintf(text, FORK_TEXT_BYTES, "exited with status %d", o->exit_status);
        return text;
    case FORK_KILLED:
        snprintf(text, FORK_TEXT_BYTES, "was killed by signal %d (%s)", o->signal, strsignal(o->signal));
        return text;
    case FORK_NO_COMMAND:
        snprintf(text, FORK_TEXT_BYTES, "cannot run \"%.400s\": %s", call->wish->argv[0], strerror(fork_exec_error(o)));
        return text;
    case FORK_STOPPED:
    case FORK_NOT_BEGUN:
        if (*call->why) {
            snprintf(text, FORK_TEXT_BYTES, "was %s, because %s",
                     o->code == PTOOLS_ERR_CANCELLED ? "stopped" : "not begun", call->why);
            return text;
        }
        break;
    case FORK_TIMED_OUT:
    case FORK_TROUBLE:
        break;
    }
    snprintf(text, FORK_TEXT_BYTES, "%s", predicate(o));
    return text;
}

/* -- while they run ---------------------------------------------------------------------------------- */

static void note_signal(struct fork_call *call)
{
    call->signal = signals_take(call->signals_fd);
    if (call->signal)
        snprintf(call->why, sizeof call->why, "signal %d (%s) came", call->signal, strsignal(call->signal));
}

/* A reason to stop the others, if this is one. */
static void find_reason(struct fork_call *call, const ptools_child_outcome *o, enum fork_fate fate)
{
    if (*call->why)
        return;
    call->no_command = fate == FORK_NO_COMMAND;
    if (fate == FORK_STOPPED)
        note_signal(call); /* nothing else stops them before there is a reason */
    else if (fate == FORK_NO_COMMAND)
        snprintf(call->why, sizeof call->why, "the command cannot be run");
    else if (fate == FORK_TROUBLE)
        snprintf(call->why, sizeof call->why, "child %d could not be run", o->index);
    else if (fate != FORK_WELL && call->wish->fail_fast)
        snprintf(call->why, sizeof call->why, "child %d did not succeed", o->index);
}

static bool on_done(const ptools_child_outcome *o, const ptools_pfork_progress *progress, void *arg)
{
    struct fork_call *call = arg;
    const enum fork_fate fate = fork_judge(o);
    const ptools_pfork_options *how = &call->wish->how;
    const bool in_time = how->timeout_ms || how->timeout_all_ms;

    call->ended[o->index - 1] = o;
    call->done = progress->done;
    call->failed += fate != FORK_WELL;
    find_reason(call, o, fate);
    /* The library keeps no time while this waits for somebody to read. */
    if (!call->line->json && !fork_print(call, !in_time ? -1 : call->printer->stalled ? 0 : STALL_MS) && !*call->why)
        snprintf(call->why, sizeof call->why, "%s cannot be written to", call->printer->error_where);
    if (call->wish->progress)
        fork_print_progress(call);
    return !*call->why;
}

/* -- the end -------------------------------------------------------------------------------------------- */

struct sums {
    int fates[FORK_TROUBLE + 1];
    const ptools_child_outcome *first; /* that did not go well */
    const ptools_child_outcome *not_begun, *no_command, *trouble; /* the first of each */
    bool dropped;
};

static void add_up(const struct fork_call *call, const ptools_children *children, struct sums *ret)
{
    *ret = (struct sums){ { 0 } };
    for (int i = 0; i < ptools_children_count(children); i++) {
        const ptools_child_outcome *o = call->ended[i];
        const enum fork_fate fate = fork_judge(o);

        ret->fates[fate]++;
        if (fate != FORK_WELL && !ret->first)
            ret->first = o;
        if (fate == FORK_NOT_BEGUN && !ret->not_begun)
            ret->not_begun = o;
        if (fate == FORK_NO_COMMAND && !ret->no_command)
            ret->no_command = o;
        if (fate == FORK_TROUBLE && !ret->trouble)
            ret->trouble = o;
        ret->dropped |= o->output_dropped || o->errors_dropped;
    }
}

/* The first that holds, from what says least about the command to what says most. */
static int exit_status(const struct fork_call *call, const struct sums *sums)
{
    const int *fates = sums->fates;

    if (call->printer->error || sums->trouble)
        return EXIT_PTOOLS;
    if (call->signal && fates[FORK_STOPPED] + fates[FORK_NOT_BEGUN] > 0)
        return EXIT_CANCELLED;
    if (sums->no_command)
        return fork_exec_error(sums->no_command) == ENOENT ? EXIT_NO_COMMAND : EXIT_BAD_COMMAND;
    if (sums->dropped)
        return EXIT_PTOOLS;
    if (fates[FORK_TIMED_OUT] > 0 || (sums->not_begun && !*call->why))
        return EXIT_TIME;
    return sums->first ? EXIT_FAILED : EXIT_VALUE;
}

/* What is told of all together, for people. */
static void tell_sums(struct fork_call *call, const struct sums *sums)
{
    const int n = call->no_command ? 0 : sums->fates[FORK_NOT_BEGUN];
    const int error = call->printer->error;
    char text[FORK_TEXT_BYTES];

    if (error == EPIPE) /* whoever read it has seen enough of us */
        return;
    if (sums->no_command)
        fork_say(call, "%s", fork_text(call, sums->no_command, text));
    if (n == 1)
        fork_say(call, "child %d %s", sums->not_begun->index, fork_text(call, sums->not_begun, text));
    else if (n > 1)
        fork_say(call, "%d children were%s", n, fork_text(call, sums->not_begun, text) + strlen("was"));
    if (error && failure_of_output() == 0)
        fork_say(call, "cannot write to %s: %s", call->printer->error_where, strerror(error));
}

static ptools_err code_of(int status)
{
    switch (status) {
    case EXIT_FAILED:
        return PTOOLS_ERR_FAILED;
    case EXIT_TIME:
        return PTOOLS_ERR_DEADLINE;
    case EXIT_CANCELLED:
        return PTOOLS_ERR_CANCELLED;
    }
    return PTOOLS_ERR_SYSTEM;
}

/* All of it as one failure, for programs, which find the details in the document. */
static void report(const struct fork_call *call, const struct sums *sums, int status)
{
    const ptools_child_outcome *o = sums->trouble      ? sums->trouble
                                    : sums->no_command ? sums->no_command
                                                       : sums->first;
    char message[FORK_TEXT_BYTES + 100], text[FORK_TEXT_BYTES];
    ptools_failure facts = { .code = code_of(status), .message = message, .exit_status = -1, .phase = "", .log = "",
                             .backtrace = "" };

    if (!o) { /* what they wrote is not all there */
        snprintf(message, sizeof message, "what the children wrote is more than is kept (--output-limit %.40s)",
                 call->wish->output_limit);
    } else {
        snprintf(message, sizeof message, "%d of %u children did not succeed; child %d %s",
                 (int)call->wish->n - sums->fates[FORK_WELL], call->wish->n, o->index, fork_text(call, o, text));
        facts.pid = o->pid;
        facts.exit_status = o->exit_status;
        facts.signal = o->signal;
        facts.run_us = o->run_us;
        facts.peak_bytes = o->peak_bytes;
        facts.maybe_executed = sums->fates[FORK_NOT_BEGUN] + sums->fates[FORK_NO_COMMAND] < (int)call->wish->n;
    }
    failure_report(call->line, &facts, status);
}

static int finish(struct fork_call *call, const ptools_children *children)
{
    struct sums sums;
    int status;

    for (int i = 0; i < ptools_children_count(children); i++)
        call->ended[i] = ptools_children_outcome(children, i + 1);
    if (!*call->why)
        note_signal(call); /* none may have run when it came */
    close(call->signals_fd);
    call->signals_fd = -1;
    sigprocmask(SIG_SETMASK, &call->mask_before, NULL); /* from here on, a signal ends this process */
    add_up(call, children, &sums);
    if (!call->line->json) {
        fork_print(call, -1);
        tell_sums(call, &sums);
        return exit_status(call, &sums);
    }
    status = fork_print_document(call);
    if (status != EXIT_VALUE)
        return status;
    status = exit_status(call, &sums);
    if (status != EXIT_VALUE)
        report(call, &sums, status);
    return status;
}

/* -- the call --------------------------------------------------------------------------------------------- */

static int call_and_finish(struct fork_call *call)
{
    ptools_pfork_options how = call->wish->how;
    ptools_children *children = NULL;
    const char *message = NULL;
    ptools_err err;
    int status;

    how.flags |= PTOOLS_PFORK_STOP_FD;
    how.stop_fd = call->signals_fd;
    how.on_done = on_done;
    how.on_done_arg = call;
    err = ptools_pfork((int)call->wish->n, become_command, call, &how, &children, &message);
    status = children ? finish(call, children) : failure_report_code(call->line, err, message);
    ptools_children_free(children);
    return status;
}

static int open_all(struct fork_call *call)
{
    const struct sigaction usual = { .sa_handler = SIG_DFL };

    call->ended = calloc(call->wish->n, sizeof *call->ended);
    call->printer = calloc(1, sizeof *call->printer);
    if (!call->ended || !call->printer || !make_environment(call))
        return failure_report_code(call->line, PTOOLS_ERR_NO_MEMORY, NULL);
    call->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (call->null_fd < 0)
        return failure_report_code(call->line, PTOOLS_ERR_SYSTEM, "cannot open /dev/null");
    call->signals_fd = signals_open(&call->mask_before);
    if (call->signals_fd < 0)
        return failure_report_code(call->line, PTOOLS_ERR_SYSTEM, strerror(-call->signals_fd));
    sigaction(SIGCHLD, &usual, &call->children_before); /* ignored, it would take away how they ended */
    return EXIT_VALUE;
}

int fork_run(const struct command_line *line, const struct fork_wish *wish)
{
    struct fork_call call = { .line = line, .wish = wish, .null_fd = -1, .signals_fd = -1 };
    int status = open_all(&call);

    if (status == EXIT_VALUE)
        status = call_and_finish(&call);
    if (call.null_fd >= 0)
        close(call.null_fd);
    if (call.signals_fd >= 0)
        close(call.signals_fd);
    free(call.environment);
    free(call.printer);
    free(call.ended);
    return status;
}
