/* SPDX-License-Identifier: MIT */
/*
 * failure -- see failure.h. Each failure is reported once, where it is decided what it means: the sentence, then
 * all that is known. Lines that a function wrote are shown with their control characters written out.
 */
#include "client/cli/failure.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/colour.h"
#include "client/cli/json.h"
#include "client/cli/words.h"

const struct exit_status exit_statuses[] = {
    { EXIT_VALUE, "it went well; the value is on standard output" },
    { EXIT_FAILED,
      "the function failed, refused its arguments, or its worker died; fork, pmap: so did a child, a command" },
    { EXIT_USAGE, "the command line is wrong" },
    { EXIT_TIME, "a time limit passed (--timeout, --timeout-all, --deadline, --expire)" },
    { EXIT_PTOOLS,
      "ptools itself: no daemon, no such module, function, set, worker, array or task, over a limit, output lost" },
    { EXIT_BAD_COMMAND, "fork, pmap: the command is there, but cannot be run" },
    { EXIT_NO_COMMAND, "fork, pmap: there is no such command" },
    { EXIT_CANCELLED, "cancelled, by a signal or by somebody else" },
    { EXIT_READER, "whoever read standard output has seen enough: ended by SIGPIPE, without a word" },
    { 0, NULL },
};

int failure_exit_status(ptools_err code)
{
    switch (code) {
    case PTOOLS_OK:
        return EXIT_VALUE;
    case PTOOLS_ERR_FAILED:
    case PTOOLS_ERR_BAD_ARGUMENT:
    case PTOOLS_ERR_WORKER_DIED:
    case PTOOLS_ERR_OUT_OF_MEMORY:
    case PTOOLS_ERR_STATE_LOST:
    case PTOOLS_ERR_DEAD:
    case PTOOLS_ERR_DAEMON_DIED:
    case PTOOLS_ERR_PARTS:
    case PTOOLS_ERR_EXITED:
        return EXIT_FAILED;
    case PTOOLS_ERR_INVALID:
        return EXIT_USAGE;
    case PTOOLS_ERR_DEADLINE:
    case PTOOLS_ERR_EXPIRED:
        return EXIT_TIME;
    case PTOOLS_ERR_CANCELLED:
    case PTOOLS_ERR_NOT_RUN:
    case PTOOLS_ERR_DEPENDENCY:
        return EXIT_CANCELLED;
    default:
        return EXIT_PTOOLS;
    }
}

/* -- as text --------------------------------------------------------------------------------------- */

static void fact(const char *name, const char *value)
{
    fprintf(stderr, "  %-16s", name);
    words_print(stderr, value, strlen(value));
    putc('\n', stderr);
}

void failure_print_lines(const char *lines)
{
    for (size_t n; *lines; lines += n + (lines[n] == '\n')) {
        n = strcspn(lines, "\n");
        fputs("    ", stderr);
        words_print(stderr, lines, n);
        putc('\n', stderr);
    }
}

static void print_lines(const char *title, const char *lines)
{
    if (*lines)
        fprintf(stderr, "  %s\n", title);
    failure_print_lines(lines);
}

static void print_death(const ptools_failure *f)
{
    const char *name = f->signal ? sigabbrev_np(f->signal) : NULL;
    char text[64];

    if (f->signal) {
        snprintf(text, sizeof text, "%d%s%s%s", f->signal, name ? " (SIG" : "", name ? name : "", name ? ")" : "");
        fact("signal", text);
    } else if (f->exit_status >= 0) {
        snprintf(text, sizeof text, "%d", f->exit_status);
        fact("exit status", text);
    }
}

static void print_facts(const ptools_failure *f)
{
    char text[64], number[WORDS_BYTES];

    fact("code", ptools_errname(f->code));
    if (f->task) {
        snprintf(text, sizeof text, "%" PRIu64, f->task);
        fact("task", text);
    }
    if (f->worker) {
        snprintf(number, sizeof number, " (pid %" PRId32 ")", f->pid);
        snprintf(text, sizeof text, "%" PRIu32 "%s", f->worker, f->pid ? number : "");
        fact("worker", text);
    }
    if (f->attempt > 1) {
        snprintf(text, sizeof text, "%" PRIu32, f->attempt);
        fact("attempt", text);
    }
    print_death(f);
    if (f->task || f->maybe_executed)
        fact("may have run", f->maybe_executed ? "yes" : "no");
    if (f->run_us)
        fact("run time", words_time(f->run_us, number));
    if (f->peak_bytes)
        fact("peak memory", words_size(f->peak_bytes, number));
    if (f->retry_ms > 0)
        fact("try again in", words_time((uint64_t)f->retry_ms * 1000, number));
    if (*f->phase)
        fact("phase", f->phase);
    if (f->progress_of) {
        snprintf(text, sizeof text, "%" PRIu64 " of %" PRIu64, f->progress, f->progress_of);
        fact("progress", text);
    }
    print_lines("last log lines", f->log);
    print_lines("backtrace", f->backtrace);
}

/* -- as JSON ---------------------------------------------------------------------------------------- */

static void key_u64(struct json_writer *w, const char *key, uint64_t v)
{
    json_key(w, key);
    json_put_u64(w, v);
}

void failure_key_text(struct json_writer *w, const char *key, const char *v)
{
    char *clean = NULL;
    size_t n = 0;
    FILE *out = words_utf8(v, strlen(v)) ? NULL : open_memstream(&clean, &n);

    if (out) {
        words_print(out, v, strlen(v));
        if (fclose(out) != 0 && clean)
            *clean = '\0';
    }
    json_key(w, key);
    json_put_string(w, clean ? clean : v);
    free(clean);
}

/* All fields, always: a script needs no test for their presence. But for the line, where none is meant. */
static void write_json(const struct command_line *line, const ptools_failure *f, int status)
{
    struct json_writer w = { .out = stderr };

    json_open(&w, '{');
    key_u64(&w, "schema", 1);
    json_key(&w, "error");
    json_open(&w, '{');
    failure_key_text(&w, "code", ptools_errname(f->code));
    key_u64(&w, "number", (uint64_t)f->code);
    failure_key_text(&w, "message", f->message);
    key_u64(&w, "exit", (uint64_t)status);
    if (line->input_line)
        key_u64(&w, "line", line->input_line);
    key_u64(&w, "task", f->task);
    key_u64(&w, "worker", f->worker);
    key_u64(&w, "attempt", f->attempt);
    key_u64(&w, "pid", (uint64_t)(f->pid > 0 ? f->pid : 0));
    json_key(&w, "exit_status");
    json_put_i64(&w, f->exit_status);
    key_u64(&w, "signal", (uint64_t)(f->signal > 0 ? f->signal : 0));
    json_key(&w, "maybe_executed");
    json_put_bool(&w, f->maybe_executed);
    key_u64(&w, "run_us", f->run_us);
    key_u64(&w, "peak_bytes", f->peak_bytes);
    key_u64(&w, "retry_ms", (uint64_t)(f->retry_ms > 0 ? f->retry_ms : 0));
    failure_key_text(&w, "phase", f->phase);
    key_u64(&w, "progress", f->progress);
    key_u64(&w, "progress_of", f->progress_of);
    failure_key_text(&w, "log", f->log);
    failure_key_text(&w, "backtrace", f->backtrace);
    json_close(&w, '}');
    json_close(&w, '}');
    putc('\n', stderr);
}

/* -- both ------------------------------------------------------------------------------------------- */

int failure_report(const struct command_line *line, const ptools_failure *f, int status)
{
    if (line->json) {
        write_json(line, f, status);
        return status;
    }
    colour_failure(stderr);
    fprintf(stderr, "ptools %s:", line->verb->name);
    colour_end(stderr);
    putc(' ', stderr);
    if (line->input_line)
        fprintf(stderr, "line %" PRIu64 ": ", line->input_line);
    words_print(stderr, f->message, strlen(f->message));
    putc('\n', stderr);
    print_facts(f);
    return status;
}

int failure_report_code(const struct command_line *line, ptools_err code, const char *message)
{
    ptools_failure f = {
        .code = code,
        .message = message && *message ? message : ptools_strerror(code),
        .exit_status = -1,
        .phase = "",
        .log = "",
        .backtrace = "",
    };

    return failure_report(line, &f, failure_exit_status(code));
}

int failure_report_last(const struct command_line *line, ptools *pt, ptools_err code)
{
    const ptools_failure *f = ptools_last_failure(pt);

    if (f && f->code == code)
        return failure_report(line, f, failure_exit_status(code));
    return failure_report_code(line, code, ptools_error_message(pt));
}

/* -- standard output ------------------------------------------------------------------------------------------- */

static int output_errno;

void failure_note_output(int error)
{
    if (output_errno == 0)
        output_errno = error;
}

void failure_flush_output(void)
{
    if (fflush(stdout) != 0)
        failure_note_output(errno);
}

int failure_of_output(void)
{
    return output_errno;
}
