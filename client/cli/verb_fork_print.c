/* SPDX-License-Identifier: MIT */
/*
 * verb_fork_print -- what the children of `ptools fork` wrote, and what came of them, in the order of their index.
 *
 * It is written piece by piece, past stdio: while children run nobody else keeps time or sees signals, so a reader
 * that does not read must not hold this up for ever. It stops in the middle then, and goes on from there the next time.
 * What fits into a pipe that says it is ready is PIPE_BUF bytes.
 */
#include "client/cli/verb_fork.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ptools/ptools.h>

#include "client/cli/failure.h"
#include "client/cli/json.h"
#include "client/cli/session.h"
#include "client/cli/words.h"

enum { PART_OUTPUT, PART_ERRORS, PART_FATE, TAG_BYTES = 16 };
_Static_assert(PIPE_BUF <= FORK_PIECE_BYTES, "a piece is at least what a pipe takes at once");

/* -- on standard error -------------------------------------------------------------------------------- */

static void clear_progress(struct fork_printer *p)
{
    if (p->progress_shown) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    p->progress_shown = false;
}

void fork_say(struct fork_call *call, const char *format, ...)
{
    char text[FORK_TEXT_BYTES + 100];
    va_list args;

    clear_progress(call->printer);
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fputs("ptools fork: ", stderr);
    words_print(stderr, text, strlen(text));
    putc('\n', stderr);
}

void fork_print_progress(struct fork_call *call)
{
    const bool last = call->done == (int)call->wish->n || !isatty(STDERR_FILENO);

    clear_progress(call->printer);
    fprintf(stderr, "ptools fork: %d of %u done, %d failed%s", call->done, call->wish->n, call->failed,
            last ? "\n" : "");
    fflush(stderr);
    call->printer->progress_shown = !last;
}

static void tell_dropped(struct fork_call *call, const ptools_child_outcome *o, const char *what, uint64_t dropped,
                         size_t kept)
{
    if (dropped && kept == call->wish->how.capture_bytes)
        fork_say(call, "child %d: %" PRIu64 " bytes of its %s are lost: more than is kept (--output-limit %s)",
                 o->index, dropped, what, call->wish->output_limit);
    else if (dropped)
        fork_say(call, "child %d: %" PRIu64 " bytes of its %s are lost: there was no memory for them", o->index,
                 dropped, what);
}

static void tell_fate(struct fork_call *call, const ptools_child_outcome *o)
{
    char text[FORK_TEXT_BYTES];

    tell_dropped(call, o, "standard output", o->output_dropped, o->output_bytes);
    tell_dropped(call, o, "standard error", o->errors_dropped, o->errors_bytes);
    if (call->no_command && o->code == PTOOLS_ERR_CANCELLED)
        return;
    switch (fork_judge(o)) {
    case FORK_WELL:
    case FORK_NO_COMMAND: /* told once, of all */
    case FORK_NOT_BEGUN:
        return;
    case FORK_FAILED:
    case FORK_KILLED:
    case FORK_TIMED_OUT:
    case FORK_STOPPED:
    case FORK_TROUBLE:
        fork_say(call, "child %d: %s", o->index, fork_text(call, o, text));
    }
}

/* -- what they wrote ------------------------------------------------------------------------------------ */

struct part {
    int fd;
    const char *data;
    size_t n;
};

static struct part part_of(const struct fork_printer *p, const ptools_child_outcome *o)
{
    if (p->part == PART_OUTPUT)
        return (struct part){ STDOUT_FILENO, o->output, o->output_bytes };
    return (struct part){ STDERR_FILENO, o->errors, o->errors_bytes };
}

static void add(struct fork_printer *p, const char *data, size_t n)
{
    memcpy(p->piece + p->piece_n, data, n);
    p->piece_n += n;
}

/* One line, or as much of it as there is room for: with its tag before, and an end also if it has none itself. */
static void add_tagged(struct fork_printer *p, const struct part *part, int index, size_t room)
{
    const char *from = part->data + p->at, *end;
    size_t n = part->n - p->at < room - TAG_BYTES ? part->n - p->at : room - TAG_BYTES;

    if (!p->line_begun)
        p->piece_n += (size_t)snprintf(p->piece + p->piece_n, TAG_BYTES, "%d: ", index);
    end = memchr(from, '\n', n);
    if (end)
        n = (size_t)(end - from) + 1;
    add(p, from, n);
    p->at += n;
    p->line_begun = !end;
    if (p->line_begun && p->at == part->n) {
        add(p, "\n", 1);
        p->line_begun = false;
    }
}

/* False: there is nothing left of the part. */
static bool next_piece(struct fork_printer *p, const struct part *part, int index, bool tag, size_t bytes)
{
    p->piece_n = p->piece_at = 0;
    while (tag && p->at < part->n && bytes - p->piece_n > 2 * TAG_BYTES)
        add_tagged(p, part, index, bytes - p->piece_n - 1);
    if (!tag) {
        const size_t n = part->n - p->at < bytes ? part->n - p->at : bytes;

        add(p, part->data + p->at, n);
        p->at += n;
    }
    return p->piece_n > 0;
}

static size_t piece_bytes(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? FORK_PIECE_BYTES : PIPE_BUF;
}

/* 0; -EAGAIN: not now; or what write() says. */
static int write_piece(struct fork_call *call, int fd, int patience_ms)
{
    struct fork_printer *p = call->printer;

    while (p->piece_at < p->piece_n) {
        struct pollfd fds[2] = { { .fd = fd, .events = POLLOUT }, { .fd = call->signals_fd, .events = POLLIN } };
        ssize_t n;

        if (poll(fds, 2, patience_ms) < 0 && errno != EINTR)
            return -errno;
        if (fds[1].revents)
            return -EAGAIN; /* the children are to be killed first */
        p->stalled = !fds[0].revents;
        if (p->stalled && patience_ms >= 0)
            return -EAGAIN;
        if (p->stalled)
            continue;
        n = write(fd, p->piece + p->piece_at, p->piece_n - p->piece_at);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        p->piece_at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int write_part(struct fork_call *call, const ptools_child_outcome *o, int patience_ms)
{
    struct fork_printer *p = call->printer;
    const struct part part = part_of(p, o);
    const size_t bytes = part.n > 0 ? piece_bytes(part.fd) : 0;
    int r;

    if (part.n > 0)
        clear_progress(p);
    do {
        r = write_piece(call, part.fd, patience_ms);
        if (r < 0)
            return r;
    } while (next_piece(p, &part, o->index, call->wish->tag, bytes));
    return 0;
}

bool fork_print(struct fork_call *call, int patience_ms)
{
    struct fork_printer *p = call->printer;
    int r;

    while (!p->error && p->next < (int)call->wish->n && call->ended[p->next]) {
        const ptools_child_outcome *o = call->ended[p->next];

        r = p->part < PART_FATE ? write_part(call, o, patience_ms) : 0;
        if (r == -EAGAIN)
            return true;
        if (r < 0) {
            p->error = -r;
            p->error_where = p->part == PART_OUTPUT ? "standard output" : "standard error";
            if (p->part == PART_OUTPUT || r == -EPIPE)
                failure_note_output(-r); /* main() tells */
            break;
        }
        if (p->part == PART_FATE)
            tell_fate(call, o);
        p->at = 0;
        p->next += p->part == PART_FATE;
        p->part = p->part == PART_FATE ? PART_OUTPUT : p->part + 1;
    }
    return p->error == 0;
}

/* -- as a document ---------------------------------------------------------------------------------------- */

static const char *code_name(const ptools_child_outcome *o)
{
    switch (fork_judge(o)) {
    case FORK_WELL:
        return ptools_errname(PTOOLS_OK);
    case FORK_FAILED:
        return ptools_errname(PTOOLS_ERR_FAILED);
    case FORK_NO_COMMAND:
        return ptools_errname(PTOOLS_ERR_SYSTEM);
    case FORK_KILLED:
    case FORK_TIMED_OUT:
    case FORK_STOPPED:
    case FORK_NOT_BEGUN:
    case FORK_TROUBLE:
        break;
    }
    return ptools_errname(o->code);
}

static void key_u64(struct json_writer *w, const char *key, uint64_t v)
{
    json_key(w, key);
    json_put_u64(w, v);
}

static void write_child(struct json_writer *w, const struct fork_call *call, const ptools_child_outcome *o)
{
    char text[FORK_TEXT_BYTES];

    json_open(w, '{');
    key_u64(w, "index", (uint64_t)o->index);
    key_u64(w, "pid", (uint64_t)o->pid);
    json_key(w, "code");
    json_put_string(w, code_name(o));
    json_key(w, "message");
    json_put_string(w, fork_text(call, o, text));
    json_key(w, "exit_status");
    json_put_i64(w, o->exit_status);
    key_u64(w, "signal", (uint64_t)o->signal);
    key_u64(w, "run_us", o->run_us);
    key_u64(w, "cpu_us", o->cpu_us);
    key_u64(w, "peak_bytes", o->peak_bytes);
    json_key(w, "stdout");
    json_put_text(w, o->output, o->output_bytes);
    key_u64(w, "stdout_dropped", o->output_dropped);
    json_key(w, "stderr");
    json_put_text(w, o->errors, o->errors_bytes);
    key_u64(w, "stderr_dropped", o->errors_dropped);
    json_close(w, '}');
}

int fork_print_document(const struct fork_call *call)
{
    struct json_writer w;
    int status;

    clear_progress(call->printer);
    session_document(&w);
    json_key(&w, "children");
    json_open(&w, '[');
    for (uint32_t i = 0; i < call->wish->n && !ferror(stdout); i++)
        write_child(&w, call, call->ended[i]);
    json_close(&w, ']');
    status = session_document_end(call->line, &w);
    return status == EXIT_VALUE && ferror(stdout) ? EXIT_PTOOLS : status; /* main() tells it */
}
