/* SPDX-License-Identifier: MIT */
/*
 * task_field -- see task_field.h. Nothing here asks the daemon or looks at the clock.
 */
#include "client/cli/task_field.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "client/cli/times.h"
#include "client/cli/words.h"

static const char *state_name(int state)
{
    return ptools_queued_state_name((ptools_queued_state)state);
}

static const char *code_name(int code)
{
    return ptools_errname((ptools_err)code);
}

static const char *durability_name(int durability)
{
    static const char *const names[] = { "", "volatile", "crashsafe", "durable" };

    return durability >= PTOOLS_VOLATILE && durability <= PTOOLS_DURABLE ? names[durability] : "";
}

#define AT(member) offsetof(ptools_queued_info, member)
const struct task_field task_fields[] = {
    { "id", "id", FIELD_U64, AT(id), .right = true },
    { "parent", "part of", FIELD_U64, AT(parent), .right = true, .zero_blank = true },
    { "parts", "parts", FIELD_U32, AT(parts), .right = true, .zero_blank = true },
    { "state", "state", FIELD_NAMED, AT(state), .value_name = state_name, .first = PTOOLS_QUEUED_WAITING,
      .last = PTOOLS_QUEUED_LOST },
    { "function", "function", FIELD_TEXT, AT(function) },
    { "target", "target", FIELD_TEXT, AT(target) },
    { "priority", "priority", FIELD_F64, AT(priority), .right = true },
    { "durability", "durability", FIELD_NAMED, AT(durability), .value_name = durability_name, .first = PTOOLS_VOLATILE,
      .last = PTOOLS_DURABLE },
    { "attempt", "attempt", FIELD_U32, AT(attempt), .right = true, .zero_blank = true },
    { "attempts", "attempts at most", FIELD_U32, AT(attempts), .right = true },
    { "kills", "workers killed", FIELD_U32, AT(kills), .right = true, .zero_blank = true },
    { "worker", "worker", FIELD_U32, AT(worker), .right = true, .zero_blank = true },
    { "hold", "on hold", FIELD_BOOL, AT(hold) },
    { "paused", "paused", FIELD_BOOL, AT(paused) },
    { "idempotent", "idempotent", FIELD_BOOL, AT(idempotent) },
    { "queued_ms", "queued", FIELD_I64, AT(queued_ms), UNIT_MS },
    { "due_ms", "not before", FIELD_I64, AT(due_ms), UNIT_MS },
    { "started_ms", "started", FIELD_I64, AT(started_ms), UNIT_MS },
    { "ended_ms", "ended", FIELD_I64, AT(ended_ms), UNIT_MS },
    { "run_us", "run time", FIELD_U64, AT(run_us), UNIT_US, .right = true, .zero_blank = true },
    { "cpu_us", "processor time", FIELD_U64, AT(cpu_us), UNIT_US, .right = true, .zero_blank = true },
    { "peak_bytes", "peak memory", FIELD_U64, AT(peak_bytes), .bytes = true, .right = true, .zero_blank = true },
    { "args_bytes", "arguments", FIELD_U64, AT(args_bytes), .bytes = true, .right = true },
    { "value_bytes", "value", FIELD_U64, AT(value_bytes), .bytes = true, .right = true, .zero_blank = true },
    { "code", "code", FIELD_NAMED, AT(code), .value_name = code_name, .zero_blank = true },
    { "message", "message", FIELD_TEXT, AT(message) },
    { "maybe_executed", "may have run", FIELD_BOOL, AT(maybe_executed) },
    { "phase", "phase", FIELD_TEXT, AT(phase) },
    { "progress", "progress", FIELD_U64, AT(progress), .right = true, .zero_blank = true },
    { "progress_of", "progress of", FIELD_U64, AT(progress_of), .right = true, .zero_blank = true },
    { "log", "last log lines", FIELD_TEXT, AT(log), .lines = true },
    { "output", "output", FIELD_TEXT, AT(output) },
    { "key", "key", FIELD_KEY, AT(key) },
    { "tags", "tags", FIELD_TAGS, AT(tags), .one = "tag" },
    { "after", "after", FIELD_AFTER, AT(after), .one = "after" },
    { "age", "age", FIELD_AGE, 0, UNIT_TIME, .right = true },
    { 0 },
};

static const struct task_field *find(const char *name, size_t n, bool one)
{
    for (const struct task_field *f = task_fields; f->name; f++) {
        const char *known = one && f->one ? f->one : f->name;

        if (strlen(known) == n && memcmp(known, name, n) == 0)
            return f;
    }
    return NULL;
}

const struct task_field *task_field_find(const char *name, size_t n)
{
    return find(name, n, false);
}

const struct task_field *task_field_find_one(const char *name, size_t n)
{
    return find(name, n, true);
}

/* -- the values ----------------------------------------------------------------------------------------- */

static const void *place(const struct task_field *field, const ptools_queued_info *task)
{
    return (const char *)task + field->at;
}

static uint64_t whole(const struct task_field *field, const ptools_queued_info *task)
{
    return field->kind == FIELD_U32 ? *(const uint32_t *)place(field, task) : *(const uint64_t *)place(field, task);
}

static int named(const struct task_field *field, const ptools_queued_info *task)
{
    return *(const int *)place(field, task);
}

double task_field_number(const struct task_field *field, const ptools_queued_info *task, int64_t now_ms)
{
    switch (field->kind) {
    case FIELD_F64:
        return *(const double *)place(field, task);
    case FIELD_I64:
        return (double)*(const int64_t *)place(field, task);
    case FIELD_AGE:
        return (double)(now_ms - task->queued_ms) * 1000;
    default:
        return (double)whole(field, task);
    }
}

bool task_field_bool(const struct task_field *field, const ptools_queued_info *task)
{
    return *(const bool *)place(field, task);
}

const char *task_field_text(const struct task_field *field, const ptools_queued_info *task, size_t *ret_n)
{
    const char *s = "";

    if (field->kind == FIELD_TEXT)
        s = *(const char *const *)place(field, task);
    else if (field->kind == FIELD_NAMED)
        s = field->value_name(named(field, task));
    if (field->kind == FIELD_KEY && task->key) {
        *ret_n = task->key_bytes;
        return task->key;
    }
    *ret_n = strlen(s);
    return s;
}

/* -- for people ----------------------------------------------------------------------------------------- */

static void show_priority(FILE *out, double priority)
{
    fprintf(out, "%.15g", priority);
}

static void show_whole(FILE *out, const struct task_field *field, uint64_t v)
{
    char text[WORDS_BYTES];

    if (v == 0 && field->zero_blank)
        return;
    if (field->unit == UNIT_US)
        fputs(words_time(v, text), out);
    else if (field->bytes)
        fputs(words_size(v, text), out);
    else
        fprintf(out, "%" PRIu64, v);
}

void task_field_show(FILE *out, const struct task_field *field, const ptools_queued_info *task, int64_t now_ms)
{
    char text[TIMES_TEXT_BYTES], span[WORDS_BYTES];
    const char *s;
    size_t n;

    switch (field->kind) {
    case FIELD_U32:
    case FIELD_U64:
        show_whole(out, field, whole(field, task));
        break;
    case FIELD_I64:
        fputs(times_write(*(const int64_t *)place(field, task), text), out);
        break;
    case FIELD_F64:
        show_priority(out, *(const double *)place(field, task));
        break;
    case FIELD_BOOL:
        fputs(task_field_bool(field, task) ? "yes" : "no", out);
        break;
    case FIELD_NAMED:
    case FIELD_TEXT:
    case FIELD_KEY:
        s = task_field_text(field, task, &n);
        if (!field->zero_blank || named(field, task) != 0)
            fwrite(s, 1, n, out);
        break;
    case FIELD_TAGS:
        for (uint32_t i = 0; i < task->n_tags; i++)
            fprintf(out, "%s%s", i ? "," : "", task->tags[i]);
        break;
    case FIELD_AFTER:
        for (uint32_t i = 0; i < task->n_after; i++)
            fprintf(out, "%s%" PRIu64, i ? "," : "", task->after[i]);
        break;
    case FIELD_AGE: /* a clock that was set back makes nobody older than 0 */
        fputs(words_time(now_ms > task->queued_ms ? (uint64_t)(now_ms - task->queued_ms) * 1000 : 0, span), out);
        break;
    }
}

/* -- as JSON -------------------------------------------------------------------------------------------- */

static void put_list(struct json_writer *w, const struct task_field *field, const ptools_queued_info *task)
{
    json_open(w, '[');
    for (uint32_t i = 0; field->kind == FIELD_TAGS && i < task->n_tags; i++)
        json_put_string(w, task->tags[i]);
    for (uint32_t i = 0; field->kind == FIELD_AFTER && i < task->n_after; i++)
        json_put_u64(w, task->after[i]);
    json_close(w, ']');
}

static void put(struct json_writer *w, const struct task_field *field, const ptools_queued_info *task)
{
    const char *s;
    size_t n;

    switch (field->kind) {
    case FIELD_U32:
    case FIELD_U64:
        json_put_u64(w, whole(field, task));
        break;
    case FIELD_I64:
        json_put_i64(w, *(const int64_t *)place(field, task));
        break;
    case FIELD_F64:
        json_put_f64(w, *(const double *)place(field, task));
        break;
    case FIELD_BOOL:
        json_put_bool(w, task_field_bool(field, task));
        break;
    case FIELD_KEY:
    case FIELD_NAMED:
    case FIELD_TEXT:
        s = task_field_text(field, task, &n);
        if (field->kind == FIELD_KEY && !task->key)
            json_put_value(w, (ptools_value){ NULL }); /* null */
        else
            json_put_text(w, s, n);
        break;
    case FIELD_TAGS:
    case FIELD_AFTER:
        put_list(w, field, task);
        break;
    case FIELD_AGE:
        break;
    }
}

void task_json_open(struct json_writer *w, const ptools_queued_info *task)
{
    json_open(w, '{');
    for (const struct task_field *f = task_fields; f->name; f++) {
        if (f->kind == FIELD_AGE) /* it changes while one looks; queued_ms does not */
            continue;
        json_key(w, f->name);
        put(w, f, task);
    }
}
