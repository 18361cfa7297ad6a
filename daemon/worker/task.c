/* SPDX-License-Identifier: MIT */
/*
 * task -- see task.h; and what <ptools/module.h> offers to functions.
 *
 * Arguments are read where they arrived; only strings that a function wants terminated are copied, into
 * the payload's zone, which lives as long as the task. A message is kept with the code that it was set
 * for: one that the function got over does not explain another failure.
 */
#include "daemon/worker/task.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/limits.h"
#include "proto/text.h"

int task_init(struct ptools_task *t, struct page *page, uint32_t worker)
{
    *t = (struct ptools_task){ .page = page, .worker = worker, .function = "", .zone_used = true };
    payload_init(&t->payload);
    t->result = ptools_pack_new();
    return t->result ? 0 : -ENOMEM;
}

void task_deinit(struct ptools_task *t)
{
    storage_clear(&t->storage);
    payload_deinit(&t->payload);
    t->result = ptools_pack_free(t->result);
}

/* -- messages -------------------------------------------------------------------------------- */

__attribute__((__format__(__printf__, 3, 0))) static void set_message(struct ptools_task *t, ptools_err code,
                                                                      const char *format, va_list ap)
{
    vsnprintf(t->message, sizeof t->message, format, ap);
    text_clean(t->message, strlen(t->message), true);
    t->message_code = code;
}

void task_fail_record(struct ptools_task *t, ptools_err code, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    set_message(t, code, format, ap);
    va_end(ap);
}

ptools_err ptools_task_fail(ptools_task *t, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    set_message(t, PTOOLS_ERR_FAILED, format, ap);
    va_end(ap);
    return PTOOLS_ERR_FAILED;
}

const char *task_message(const struct ptools_task *t)
{
    return t->message;
}

/* -- begin and end --------------------------------------------------------------------------- */

/* Nothing is left of the function that it was given to before. */
static inline void clear(struct ptools_task *t)
{
    t->argc = 0;
    t->strings = NULL;
    t->message_code = PTOOLS_OK;
    t->message[0] = '\0';
    t->exit_status = -1;
    t->exit_signal = 0;
    pack_reset(t->result);
}

static void begin(struct ptools_task *t, const struct link_frame *run, const char *function)
{
    t->id = run->task;
    t->attempt = run->attempt;
    t->uid = run->a;
    t->item = t->run = 0;
    t->function = function;
    clear(t);
}

static ptools_err no_memory_for(struct ptools_task *t, size_t n)
{
    return task_fail(t, PTOOLS_ERR_FAILED, "the worker has no memory for the arguments (%zu bytes) of %s", n,
                     t->function);
}

/* The arguments are parsed, or err is why not. */
static ptools_err take_arguments(struct ptools_task *t, ptools_err err, size_t n, const char *why)
{
    if (err == PTOOLS_ERR_NO_MEMORY)
        return no_memory_for(t, n);
    if (err != PTOOLS_OK)
        return task_fail(t, PTOOLS_ERR_BAD_ARGUMENT, "the arguments of %s are not msgpack: %s", t->function, why);
    if (t->payload.root.type != MSGPACK_OBJECT_ARRAY)
        return task_fail(t, PTOOLS_ERR_BAD_ARGUMENT, "the arguments of %s are not a list", t->function);
    t->argc = t->payload.root.via.array.size;
    t->argv = t->payload.root.via.array.ptr;
    return PTOOLS_OK;
}

ptools_err task_begin(struct ptools_task *t, const struct link_frame *run, const char *function,
                      const uint8_t *arguments, size_t n)
{
    const char *why = "";

    begin(t, run, function);
    return n == 0 ? PTOOLS_OK : take_arguments(t, payload_parse(&t->payload, arguments, n, &why), n, why);
}

static ptools_err put_before(struct ptools_task *t, const msgpack_object *captured)
{
    const uint32_t n = captured->via.array.size;
    msgpack_object *all = msgpack_zone_malloc(&t->payload.zone, (n + (size_t)t->argc) * sizeof *all);

    t->zone_used = true;
    if (!all)
        return no_memory_for(t, 0);
    memcpy(all, captured->via.array.ptr, n * sizeof *all);
    memcpy(all + n, t->argv, t->argc * sizeof *all);
    t->argc += n;
    t->argv = all;
    return PTOOLS_OK;
}

/* The list of the next item needs memory, or may need it, or what is captured goes before it. */
__attribute__((__noinline__)) static ptools_err begin_any_item(struct ptools_task *t, const uint8_t *arguments,
                                                               size_t n, const msgpack_object *captured,
                                                               size_t *ret_bytes)
{
    const char *why = "";
    ptools_err err = PTOOLS_OK;

    if (flat_list_read(arguments, n, t->flat, &t->argc, ret_bytes)) {
        t->argv = t->flat;
        if (t->zone_used && payload_reset(&t->payload) != PTOOLS_OK)
            return no_memory_for(t, *ret_bytes);
        t->zone_used = false;
    } else {
        t->zone_used = true;
        err = payload_parse_first(&t->payload, arguments, n, ret_bytes, &why);
        err = take_arguments(t, err, *ret_bytes, why);
    }
    return err == PTOOLS_OK && captured && captured->via.array.size > 0 ? put_before(t, captured) : err;
}

ptools_err task_begin_item(struct ptools_task *t, const uint8_t *arguments, size_t n, const msgpack_object *captured,
                           size_t *ret_bytes)
{
    clear(t);
    t->item++;
    if (t->zone_used || captured || !flat_list_read(arguments, n, t->flat, &t->argc, ret_bytes))
        return begin_any_item(t, arguments, n, captured, ret_bytes);
    t->argv = t->flat;
    return PTOOLS_OK;
}

void task_begin_with(struct ptools_task *t, const struct link_frame *run, const char *function,
                     const msgpack_object *captured)
{
    begin(t, run, function);
    if (captured) {
        t->argc = captured->via.array.size;
        t->argv = captured->via.array.ptr;
    }
}

static ptools_err failed(struct ptools_task *t, ptools_err returned)
{
    bool own = t->message_code == returned && t->message[0]; /* it says what went wrong with an array, and so may we */
    ptools_err code = returned == PTOOLS_ERR_BAD_ARGUMENT ||
                              (own && (returned == PTOOLS_ERR_NO_ARRAY || returned == PTOOLS_ERR_MISMATCH ||
                                       returned == PTOOLS_ERR_BAD_FILE || returned == PTOOLS_ERR_EXITED))
                          ? returned
                          : PTOOLS_ERR_FAILED;

    if (own)
        return code;
    if (returned == PTOOLS_ERR_FAILED)
        return task_fail(t, code, "%s failed without a message", t->function);
    return task_fail(t, code, "%s failed: %s", t->function, ptools_strerror(returned));
}

ptools_err task_outcome(struct ptools_task *t, ptools_err returned, const uint8_t **ret_value, size_t *ret_n)
{
    ptools_err err;

    if (returned != PTOOLS_OK)
        return failed(t, returned);
    err = pack_finish_value(t->result, ret_value, ret_n);
    if (err == PTOOLS_OK)
        return PTOOLS_OK;
    if (err == PTOOLS_ERR_INVALID)
        return task_fail(t, PTOOLS_ERR_FAILED,
                         "the result of %s is not complete: a list or map has fewer items than it announced, is nested"
                         " too deep, or holds what is no value",
                         t->function);
    return task_fail(t, err == PTOOLS_ERR_TOO_LARGE ? err : PTOOLS_ERR_FAILED, "the result of %s: %s", t->function,
                     ptools_strerror(err));
}

void *task_room(struct ptools_task *t, size_t n)
{
    t->zone_used = true;
    return msgpack_zone_malloc(&t->payload.zone, n);
}

void task_end(struct ptools_task *t)
{
    const uint8_t *value;
    ptools_pack *fresh;
    size_t n;

    t->argc = 0;
    if (t->storage && t->stask_count == 0)
        storage_clear(&t->storage);
    if (pack_finish_value(t->result, &value, &n) == PTOOLS_OK && n <= TASK_RESULT_KEEP_BYTES)
        return;
    fresh = ptools_pack_new(); /* one large result shall not hold its memory for ever */
    if (fresh) {
        ptools_pack_free(t->result);
        t->result = fresh;
    }
}

/* -- arguments ------------------------------------------------------------------------------- */

uint32_t ptools_task_argc(ptools_task *t)
{
    return t->argc;
}

ptools_err ptools_task_expect(ptools_task *t, uint32_t count)
{
    if (t->argc == count)
        return PTOOLS_OK;
    return task_fail(t, PTOOLS_ERR_BAD_ARGUMENT, "%s takes %u argument%s, not %u", t->function, count,
                     count == 1 ? "" : "s", t->argc);
}

static ptools_err missing(struct ptools_task *t, uint32_t index)
{
    return task_fail(t, PTOOLS_ERR_BAD_ARGUMENT, "argument %llu of %s is missing: there %s %u",
                     (unsigned long long)index + 1, t->function, t->argc == 1 ? "is" : "are", t->argc);
}

ptools_err ptools_task_arg(ptools_task *t, uint32_t index, ptools_value *ret)
{
    if (index >= t->argc)
        return missing(t, index);
    ret->object = &t->argv[index];
    return PTOOLS_OK;
}

/* Turns the refusal of a getter into a sentence. */
static ptools_err explain(struct ptools_task *t, uint32_t index, ptools_value v, const char *wanted)
{
    ptools_kind kind = ptools_value_kind(v);
    char number[32] = "";
    uint64_t u;
    int64_t i;
    double f;

    if (ptools_get_i64(v, &i) == PTOOLS_OK)
        snprintf(number, sizeof number, " %lld", (long long)i);
    else if (ptools_get_u64(v, &u) == PTOOLS_OK)
        snprintf(number, sizeof number, " %llu", (unsigned long long)u);
    else if (kind == PTOOLS_FLOAT && ptools_get_f64(v, &f) == PTOOLS_OK)
        snprintf(number, sizeof number, " %.17g", f);
    return task_fail(t, PTOOLS_ERR_BAD_ARGUMENT, "argument %u of %s must be %s, not the %s%s", index + 1, t->function,
                     wanted, ptools_kind_name(kind), number);
}

/* The argument; of one that is missing, which is said elsewhere, it is nil. */
static inline ptools_value argument(const struct ptools_task *t, uint32_t index)
{
    return (ptools_value){ index < t->argc ? &t->argv[index] : NULL };
}

/* PTOOLS_OK stays what it is. */
static inline ptools_err refuse(struct ptools_task *t, uint32_t index, ptools_value v, const char *wanted,
                                ptools_err err)
{
    if (err == PTOOLS_OK)
        return PTOOLS_OK;
    return v.object ? explain(t, index, v, wanted) : missing(t, index);
}

ptools_err ptools_task_arg_bool(ptools_task *t, uint32_t index, bool *ret)
{
    const ptools_value v = argument(t, index);

    return refuse(t, index, v, "true or false", ptools_get_bool(v, ret));
}

ptools_err ptools_task_arg_i64(ptools_task *t, uint32_t index, int64_t *ret)
{
    const ptools_value v = argument(t, index);

    return refuse(t, index, v, "an integer from -2^63 to 2^63 - 1", ptools_get_i64(v, ret));
}

ptools_err ptools_task_arg_u64(ptools_task *t, uint32_t index, uint64_t *ret)
{
    const ptools_value v = argument(t, index);

    return refuse(t, index, v, "an integer from 0 to 2^64 - 1", ptools_get_u64(v, ret));
}

ptools_err ptools_task_arg_f64(ptools_task *t, uint32_t index, double *ret)
{
    const ptools_value v = argument(t, index);

    return refuse(t, index, v, "a number that a double holds exactly", ptools_get_f64(v, ret));
}

ptools_err ptools_task_arg_bytes(ptools_task *t, uint32_t index, const void **ret, size_t *ret_bytes)
{
    const ptools_value v = argument(t, index);

    return refuse(t, index, v, "bytes", ptools_get_bytes(v, ret, ret_bytes));
}

/* A copy of argument index with a NUL behind it; NULL: no memory. */
static const char *terminated(struct ptools_task *t, uint32_t index, const char *s, size_t n)
{
    char *copy;

    t->zone_used = true;
    if (!t->strings) {
        t->strings = msgpack_zone_malloc(&t->payload.zone, t->argc * sizeof *t->strings);
        if (!t->strings)
            return NULL;
        memset(t->strings, 0, t->argc * sizeof *t->strings);
    }
    if (!t->strings[index]) {
        copy = msgpack_zone_malloc_no_align(&t->payload.zone, n + 1);
        if (!copy)
            return NULL;
        memcpy(copy, s, n);
        copy[n] = '\0';
        t->strings[index] = copy;
    }
    return t->strings[index];
}

ptools_err ptools_task_arg_str(ptools_task *t, uint32_t index, const char **ret)
{
    const ptools_value v = argument(t, index);
    const char *s, *copy;
    size_t n;
    ptools_err err = refuse(t, index, v, "a string", ptools_get_str(v, &s, &n));

    if (err != PTOOLS_OK)
        return err;
    if (n > 0 && memchr(s, '\0', n))
        return task_fail(t, PTOOLS_ERR_BAD_ARGUMENT, "argument %u of %s must be a string without zero bytes", index + 1,
                         t->function);
    copy = terminated(t, index, s, n);
    if (!copy)
        return task_fail(t, PTOOLS_ERR_FAILED, "the worker has no memory for argument %u (%zu bytes) of %s", index + 1,
                         n, t->function);
    *ret = copy;
    return PTOOLS_OK;
}

ptools_pack *ptools_task_result(ptools_task *t)
{
    return t->result;
}

/* -- telling: into the page, which outlives the process ---------------------------------------- */

__attribute__((__format__(__printf__, 2, 0))) static void write_line(struct page *page, const char *format, va_list ap)
{
    uint32_t next = atomic_load_explicit(&page->log_next, memory_order_relaxed);
    char *line = page->log[next % PAGE_LOG_LINES];
    int n = vsnprintf(line, PAGE_LOG_BYTES, format, ap);

    n = MIN(n, PAGE_LOG_BYTES - 1);
    while (n > 0 && line[n - 1] == '\n') /* each line gets its own when it is read */
        line[--n] = '\0';
    atomic_store_explicit(&page->log_next, next + 1, memory_order_release);
}

void ptools_task_log(ptools_task *t, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    write_line(t->page, format, ap);
    va_end(ap);
}

void ptools_task_phase(ptools_task *t, const char *name)
{
    snprintf(t->page->phase, sizeof t->page->phase, "%s", name ? name : "");
}

void ptools_task_progress(ptools_task *t, uint64_t n, uint64_t of)
{
    atomic_store_explicit(&t->page->progress, n, memory_order_relaxed);
    atomic_store_explicit(&t->page->progress_of, of, memory_order_relaxed);
}

/* -- asking ---------------------------------------------------------------------------------- */

uint32_t ptools_task_worker_id(ptools_task *t)
{
    return t->worker;
}

uint64_t ptools_task_id(ptools_task *t)
{
    return t->id;
}

uint32_t ptools_task_attempt(ptools_task *t)
{
    return t->attempt;
}

uint32_t ptools_task_uid(ptools_task *t)
{
    return t->uid;
}

bool ptools_task_cancelled(ptools_task *t)
{
    return atomic_load_explicit(&t->page->cancel, memory_order_relaxed) == t->id;
}
