/* SPDX-License-Identifier: MIT */
/*
 * job -- see job.h. A command that ended with another status than 0, or by a signal, has a value all the same: its
 * record, with its output; and so has one that could not be begun, with the reason, which here is a failure as others:
 * it was stopped, it lost its worker.
 */
#include "client/cli/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/input.h"
#include "client/cli/table.h"

/* -- its life ---------------------------------------------------------------------------------------------- */

static void stream_deinit(struct job_stream *s)
{
    if (s->file)
        unlink(s->file);
    free(s->file);
    free(s->data);
}

void job_forget_outcome(struct job *job)
{
    stream_deinit(&job->outcome.out);
    stream_deinit(&job->outcome.errors);
    free(job->outcome.message);
    free(job->outcome.log);
    job->outcome = (struct job_outcome){ 0 };
}

struct job *job_free(struct job *job)
{
    if (!job)
        return NULL;
    job_forget_outcome(job);
    texts_deinit(&job->values);
    texts_deinit(&job->argv);
    free(job->command);
    free(job->block);
    free(job);
    return NULL;
}

const char *job_command(struct job *job)
{
    FILE *out = job->command ? NULL : open_memstream(&job->command, &job->n_command);

    if (!out)
        return job->command;
    texts_quote_all(out, &job->argv);
    if (fclose(out) != 0) {
        free(job->command);
        job->command = NULL;
    }
    return job->command;
}

/* -- what came of it --------------------------------------------------------------------------------------- */

/* A text or bytes; false: no memory. */
static bool copy(ptools_value map, const char *key, char **ret, size_t *ret_n)
{
    const void *data = NULL;
    const char *text;
    ptools_value v;
    size_t n;

    if (ptools_get_field(map, key, &v) != PTOOLS_OK)
        return true;
    if (ptools_get_str(v, &text, &n) == PTOOLS_OK)
        data = text;
    else if (ptools_get_bytes(v, &data, &n) != PTOOLS_OK)
        return true;
    *ret = malloc(n + 1);
    if (!*ret)
        return false;
    memcpy(*ret, data, n);
    (*ret)[n] = '\0';
    *ret_n = n;
    return true;
}

static bool take_stream(struct job_stream *s, ptools_value v, const char *data, const char *file, const char *bytes)
{
    size_t n;

    if (!copy(v, data, &s->data, &s->n) || !copy(v, file, &s->file, &n))
        return false;
    s->bytes = table_number(v, bytes);
    if (s->bytes < s->n)
        s->bytes = s->n;
    return true;
}

static bool take_record(struct job_outcome *o, ptools_value v)
{
    ptools_value status, oom;
    size_t length;
    int64_t n;

    if (ptools_get_field(v, "status", &status) == PTOOLS_OK && ptools_get_i64(status, &n) == PTOOLS_OK)
        o->exit_status = (int)n;
    o->signal = (int)table_number(v, "signal");
    o->start_ms = (int64_t)table_number(v, "start_ms");
    o->wall_us = table_number(v, "wall_us");
    o->user_us = table_number(v, "user_us");
    o->sys_us = table_number(v, "sys_us");
    o->peak_kb = table_number(v, "peak_kb");
    if (ptools_get_field(v, "oom", &oom) == PTOOLS_OK)
        (void)ptools_get_bool(oom, &o->out_of_memory);
    o->lost = table_number(v, "lost_bytes");
    if (!copy(v, "error", &o->message, &length))
        return false;
    if (o->message) /* it was not begun */
        o->err = PTOOLS_ERR_EXITED;
    return take_stream(&o->out, v, "out", "out_file", "out_bytes") &&
           take_stream(&o->errors, v, "err", "err_file", "err_bytes");
}

static bool take_failure(struct job_outcome *o, const ptools_failure *f, int64_t now_ms)
{
    o->message = strdup(f ? f->message : ptools_strerror(o->err));
    o->log = strdup(f ? f->log : "");
    if (!o->message || !o->log)
        return false;
    if (!f)
        return true;
    if (o->err == PTOOLS_ERR_DEADLINE)
        o->signal = SIGTERM;
    else if (f->signal > 0)
        o->signal = f->signal;
    else
        o->exit_status = f->exit_status;
    o->wall_us = f->run_us;
    o->peak_kb = f->peak_bytes / 1024;
    o->start_ms = now_ms - (int64_t)(f->run_us / 1000);
    return true;
}

bool job_take(struct job *job, const ptools_item *item, int64_t now_ms)
{
    struct job_outcome *o = &job->outcome;

    job_forget_outcome(job);
    o->err = item->err;
    o->exit_status = -1;
    return item->err == PTOOLS_OK ? take_record(o, item->value) : take_failure(o, item->failure, now_ms);
}

bool job_good(const struct job *job)
{
    return job->outcome.err == PTOOLS_OK && job->outcome.exit_status == 0 && job->outcome.signal == 0;
}

bool job_undone(const struct job *job)
{
    return job->outcome.err == PTOOLS_ERR_CANCELLED || job->outcome.err == PTOOLS_ERR_NOT_RUN;
}

int job_exit_status(const struct job *job)
{
    const struct job_outcome *o = &job->outcome;

    if (job_good(job))
        return EXIT_VALUE;
    if (o->err == PTOOLS_OK)
        return EXIT_FAILED;
    if (o->err == PTOOLS_ERR_EXITED)
        return o->exit_status == EXIT_NO_COMMAND || o->exit_status == EXIT_BAD_COMMAND ? o->exit_status : EXIT_FAILED;
    return failure_exit_status(o->err);
}

void job_reason(const struct job *job, char *text, size_t n)
{
    const struct job_outcome *o = &job->outcome;
    const char *name = o->signal > 0 ? sigabbrev_np(o->signal) : NULL, *oom = o->out_of_memory ? ", out of memory" : "";

    if (o->err == PTOOLS_ERR_EXITED)
        snprintf(text, n, "%s", o->message);
    else if (o->err != PTOOLS_OK)
        snprintf(text, n, "%s (%s)", o->message, ptools_errname(o->err));
    else if (o->signal > 0)
        snprintf(text, n, "killed by signal %d%s%s%s", o->signal, name ? ", SIG" : "", name ? name : "", oom);
    else
        snprintf(text, n, "exited with status %d%s", o->exit_status, oom);
}

bool job_stream_read(const struct job_stream *s, const char **ret, size_t *ret_n, char **ret_block)
{
    struct input in;
    int r;

    *ret_block = NULL;
    *ret = s->data ? s->data : "";
    *ret_n = s->n;
    if (!s->file)
        return true;
    r = input_open(&in, s->file);
    if (r == 0)
        r = input_read_all(&in, SIZE_MAX / 2, ret_block, ret_n);
    input_close(&in);
    *ret = *ret_block;
    errno = -r;
    return r == 0;
}
