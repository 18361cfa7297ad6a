/* SPDX-License-Identifier: MIT */
/*
 * job_output -- see job_output.h. Bytes go out as they came: what a job wrote to its standard output to ours, what it
 * wrote to its standard error to ours, and then why it failed. Long output comes as a file, and goes out in pieces.
 */
#include "client/cli/job_output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/colour.h"
#include "client/cli/failure.h"
#include "client/cli/json.h"
#include "client/cli/words.h"

enum { PIECE_BYTES = 65536, REASON_BYTES = 1000 };

int job_output_open(struct job_output *o, const struct command_line *line, struct bar *bar)
{
    *o = (struct job_output){ .line = line, .bar = bar };
    return outlet_open(&o->outlet);
}

void job_output_close(struct job_output *o)
{
    outlet_close(&o->outlet);
    template_deinit(&o->tag);
}

/* -- as it is ---------------------------------------------------------------------------------------------- */

/* Where a stream goes, and what goes before each of its lines. */
struct way {
    FILE *to;
    const char *tag; /* NULL: nothing */
    size_t n_tag;
    bool within; /* a line */
};

static void put(struct way *way, const char *data, size_t n)
{
    while (way->tag && n > 0) {
        const char *newline = memchr(data, '\n', n);
        const size_t line = newline ? (size_t)(newline + 1 - data) : n;

        if (!way->within)
            fwrite(way->tag, 1, way->n_tag, way->to);
        fwrite(data, 1, line, way->to);
        way->within = !newline;
        data += line;
        n -= line;
    }
    if (n > 0)
        fwrite(data, 1, n, way->to);
}

static void tell_lost(struct job_output *o, const struct job *job, const char *file, int error)
{
    o->lost = true;
    bar_clear(o->bar);
    fprintf(stderr, "ptools pmap: item %" PRIu64 ": its output in %s cannot be read: %s\n", job->seq, file,
            strerror(error));
}

static void put_file(struct job_output *o, const struct job *job, const char *file, struct way *way)
{
    char piece[PIECE_BYTES];
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 0;

    while (fd >= 0 && ((n = read(fd, piece, sizeof piece)) > 0 || (n < 0 && errno == EINTR)) && !ferror(way->to))
        put(way, piece, n > 0 ? (size_t)n : 0);
    if (n < 0)
        tell_lost(o, job, file, errno);
    if (fd >= 0)
        close(fd);
}

static void tell_cut(struct job_output *o, const struct job *job)
{
    const struct job_outcome *outcome = &job->outcome;

    if (outcome->lost == 0)
        return;
    o->lost = true;
    bar_clear(o->bar);
    fprintf(stderr, "ptools pmap: item %" PRIu64 ": of its output of %" PRIu64 " bytes %" PRIu64 " could not be kept\n",
            job->seq, outcome->out.bytes + outcome->errors.bytes, outcome->lost);
}

static void put_stream(struct job_output *o, const struct job *job, const struct job_stream *s, FILE *to,
                       const struct texts *tag)
{
    struct way way = { .to = to };

    if (o->tagged)
        way.tag = texts_get(tag, 0, &way.n_tag);
    if (s->file)
        put_file(o, job, s->file, &way);
    else
        put(&way, s->data, s->n);
    if (to == stderr)
        fflush(stderr); /* it may end within a line */
}

/* One string: the tag, and a tab. */
static bool make_tag(struct job_output *o, const struct job *job, struct texts *ret)
{
    struct texts words = { 0 };

    if (!o->tagged)
        return true;
    template_expand(&o->tag, &job->values, job->seq, job->slot, &words);
    for (size_t i = 0; i < words.n; i++) {
        size_t n;
        const char *word = texts_get(&words, i, &n);

        if (i > 0)
            texts_put(ret, " ", 1);
        texts_put(ret, word, n);
    }
    texts_put(ret, "\t", 1);
    texts_end(ret);
    ret->no_memory |= words.no_memory;
    texts_deinit(&words);
    return !ret->no_memory;
}

static void tell_failure(struct job_output *o, struct job *job)
{
    const char *command = job_command(job);
    char reason[REASON_BYTES];

    job_reason(job, reason, sizeof reason);
    bar_clear(o->bar);
    colour_failure(stderr);
    fprintf(stderr, "ptools pmap:");
    colour_end(stderr);
    fprintf(stderr, " item %" PRIu64 ": ", job->seq);
    if (command)
        words_print(stderr, command, job->n_command < REASON_BYTES ? job->n_command : REASON_BYTES);
    fprintf(stderr, "%s: ", job->n_command < REASON_BYTES ? "" : "...");
    words_print(stderr, reason, strlen(reason));
    if (job->attempts > 1)
        fprintf(stderr, ", in %" PRIu32 " attempts", job->attempts);
    putc('\n', stderr);
    if (job->outcome.log) /* its output is not there to be shown */
        failure_print_lines(job->outcome.log);
}

static void show_streams(struct job_output *o, const struct job *job, const struct texts *tag)
{
    const struct job_stream *out = &job->outcome.out, *errors = &job->outcome.errors;

    if (out->bytes > 0 && o->bar->shown)
        bar_clear(o->bar);
    put_stream(o, job, out, o->outlet.out, tag);
    if (errors->bytes == 0)
        return;
    bar_clear(o->bar);
    (void)outlet_flush(&o->outlet); /* where both go to one place, they come in this order */
    put_stream(o, job, errors, stderr, tag);
}

/* -- as JSON ----------------------------------------------------------------------------------------------- */

static void key_number(struct json_writer *w, const char *key, uint64_t v)
{
    json_key(w, key);
    json_put_u64(w, v);
}

static void key_texts(struct json_writer *w, const char *key, const struct texts *s)
{
    json_key(w, key);
    json_open(w, '[');
    for (size_t i = 0; i < s->n; i++) {
        size_t n;
        const char *text = texts_get(s, i, &n);

        json_put_text(w, text, n);
    }
    json_close(w, ']');
}

static void key_stream(struct job_output *o, const struct job *job, struct json_writer *w, const char *key,
                       const struct job_stream *s)
{
    const char *data;
    char *block;
    size_t n;

    if (!job_stream_read(s, &data, &n, &block)) {
        tell_lost(o, job, s->file, errno);
        return;
    }
    json_key(w, key);
    json_put_text(w, data, n);
    free(block);
}

static void put_outcome(struct job_output *o, struct job *job, struct json_writer *w)
{
    const struct job_outcome *outcome = &job->outcome;

    if (outcome->exit_status >= 0)
        key_number(w, "status", (uint64_t)outcome->exit_status);
    if (outcome->signal > 0)
        key_number(w, "signal", (uint64_t)outcome->signal);
    key_number(w, "attempts", job->attempts);
    if (outcome->err == PTOOLS_OK) {
        key_number(w, "start_ms", (uint64_t)outcome->start_ms);
        key_number(w, "wall_us", outcome->wall_us);
        key_number(w, "user_us", outcome->user_us);
        key_number(w, "sys_us", outcome->sys_us);
        key_number(w, "peak_kb", outcome->peak_kb);
        key_stream(o, job, w, "out", &outcome->out);
        key_stream(o, job, w, "err", &outcome->errors);
    } else {
        failure_key_text(w, "error", ptools_errname(outcome->err));
        failure_key_text(w, "message", outcome->message ? outcome->message : "");
        failure_key_text(w, "log", outcome->log ? outcome->log : "");
    }
}

static void put_object(struct job_output *o, struct job *job, bool ended)
{
    struct json_writer w = { .out = o->outlet.out };

    json_open(&w, '{');
    key_number(&w, "schema", 1);
    key_number(&w, "seq", job->seq);
    key_texts(&w, "args", &job->values);
    key_texts(&w, "argv", &job->argv);
    if (ended)
        put_outcome(o, job, &w);
    json_close(&w, '}');
    putc('\n', o->outlet.out);
    if (w.no_memory)
        o->outlet.error = ENOMEM;
}

/* -- a job ------------------------------------------------------------------------------------------------- */

void job_output_show(struct job_output *o, struct job *job)
{
    struct texts tag = { 0 };

    tell_cut(o, job);
    if (o->line->json) {
        put_object(o, job, true);
        return;
    }
    if (make_tag(o, job, &tag))
        show_streams(o, job, &tag);
    else
        o->outlet.error = ENOMEM;
    texts_deinit(&tag);
    if (!job_good(job) && !job_undone(job))
        tell_failure(o, job);
}

void job_output_show_command(struct job_output *o, struct job *job)
{
    const char *command;

    if (o->line->json) {
        put_object(o, job, false);
        return;
    }
    command = job_command(job);
    if (!command) {
        o->outlet.error = ENOMEM;
        return;
    }
    fwrite(command, 1, job->n_command, o->outlet.out);
    putc('\n', o->outlet.out);
}
