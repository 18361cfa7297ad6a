/* SPDX-License-Identifier: MIT */
/*
 * execute -- see execute.h. Loads and starts the module of a function when it is first called, finds arguments that
 * lie in an array, runs the function, and finds room for a value that is large.
 *
 * Arguments and values above the limit of their call go through arrays that stay mapped (arrays.h): they are read
 * where they lie, and written there once. If there is no memory for one, the value goes through the socket, as long
 * as it fits into a message.
 *
 * A batch is a task whose arguments are a list for each item. Whatever its size, each item is to its function a task of
 * its own: what one changes in the process is put right before the next, its failure is its own, and the lines that it
 * logs are dropped or go with that. The batch ends early when it is to stop, when its records have become many bytes,
 * and when its time is over: then its caller has the rest run elsewhere. A reduction (reduce.h): with an item that
 * fails. Isolated items run in processes of their own (isolate.h), one after the other; module and init function are
 * started here, so that they find these done.
 *
 * Longer than a file should be: what runs a task runs the items of a batch, step by step.
 */
#include "daemon/worker/execute.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "daemon/worker/answers.h"
#include "daemon/worker/arrays.h"
#include "daemon/worker/batch.h"
#include "daemon/worker/isolate.h"
#include "daemon/worker/reduce.h"
#include "daemon/worker/tidy.h"
#include "daemon/worker/words.h"
#include "proto/message.h"

enum {
    SHORT_US = 200,            /* a function that took no longer is run while answers wait */
    BATCH_BYTES_MAX = 1 << 20, /* with records of so many bytes a batch ends; half of a small value_max */
    RUNS_KNOWN = 16
};

static struct {
    struct page *page;
    struct modules *modules;
    size_t value_max;
    bool keep_state;
    bool disowned;
    struct ptools_task task;
    struct tidy tidy;
    char function[FUNCTION_BYTES_MAX + 1];
    /* of batches */
    uint64_t runs[RUNS_KNOWN]; /* whose init function was run here, the last ones: a ring ... */
    unsigned next_run;
    struct payload captured;    /* the list that was captured last ... */
    const uint8_t *captured_at; /* ... and where it lies; NULL: none */
    uint64_t captured_array;
} self;

uint64_t execute_now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int execute_init(struct page *page, uint32_t worker, struct modules *modules, size_t value_max, bool keep_state)
{
    int r;

    self.page = page;
    self.modules = modules;
    self.value_max = value_max;
    self.keep_state = keep_state;
    r = task_init(&self.task, page, worker);
    if (r == 0)
        r = batch_init(page, worker);
    return r == 0 ? tidy_init(&self.tidy) : r;
}

void execute_disown(void)
{
    self.disowned = true;
}

struct ptools_task *execute_task(void)
{
    return &self.task;
}

/* Sets the page up for a task: counters, not contents, so it costs little. */
static void page_begin(const struct link_frame *run, uint64_t now)
{
    struct page *page = self.page;

    page->phase[0] = '\0';
    page->backtrace[0] = '\0';
    memcpy(page->function, self.function, (size_t)run->name_bytes + 1);
    atomic_store_explicit(&page->log_next, 0, memory_order_relaxed);
    atomic_store_explicit(&page->progress, 0, memory_order_relaxed);
    atomic_store_explicit(&page->progress_of, 0, memory_order_relaxed);
    atomic_store_explicit(&page->fault_signal, 0, memory_order_relaxed);
    atomic_store_explicit(&page->began_us, now, memory_order_relaxed);
    atomic_store_explicit(&page->task, run->task, memory_order_release);
}

static void set_phase(enum page_phase phase)
{
    atomic_store_explicit(&self.page->process_phase, (uint32_t)phase, memory_order_release);
}

/* Loads the module of a function that is not known here yet. */
static ptools_err load_for(const char *name, struct function **ret)
{
    char module_name[NAME_BYTES_MAX + 1], path[PATH_MAX], why[WHY_BYTES];
    struct text module_text, function_text;
    struct module *module;
    ptools_err err;

    if (!name_split(name, strlen(name), &module_text, &function_text))
        return task_fail(&self.task, PTOOLS_ERR_NO_FUNCTION, "functions are called MODULE.FUNCTION, not %s", name);
    snprintf(module_name, sizeof module_name, "%.*s", (int)module_text.n, module_text.data);
    strcpy(self.page->module, module_name);
    set_phase(PAGE_LOADING);
    err = modules_load(self.modules, module_name, &module, path, why);
    if (err == PTOOLS_ERR_NO_MODULE)
        return task_fail(&self.task, err, "%s", why);
    if (err != PTOOLS_OK)
        return task_fail(&self.task, err, "module %s is broken: %s", module_name, why);
    *ret = modules_function(self.modules, name, strlen(name));
    if (!*ret)
        return task_fail(&self.task, PTOOLS_ERR_NO_FUNCTION, "module %s has no function %.*s", module_name,
                         (int)function_text.n, function_text.data);
    return PTOOLS_OK;
}

/* Before the first task of a module in this process. One that fails is tried again before the next task. */
static ptools_err start_module(struct module *module)
{
    ptools_err err;

    strcpy(self.page->module, module->name);
    set_phase(PAGE_LOADING);
    err = module->info->start();
    if (self.disowned)
        _exit(0); /* a child that it forked */
    if (err != PTOOLS_OK)
        return task_fail(&self.task, PTOOLS_ERR_MODULE_BROKEN, "start() of module %s failed: %s", module->name,
                         ptools_strerror(err));
    module->started = true;
    return PTOOLS_OK;
}

static void restore_all(void)
{
    if (!self.keep_state)
        tidy_restore_all(&self.tidy);
}

/* Loads or starts the module of a function, whatever is missing. What that does to environment, signals
 * (but for the worker's own) and limits stays; what a task did before it does not. */
static ptools_err prepare(const char *name, struct function **f)
{
    ptools_err err = PTOOLS_OK;

    restore_all();
    if (!*f)
        err = load_for(name, f);
    if (err == PTOOLS_OK && !(*f)->module->started)
        err = start_module((*f)->module);
    if (err == PTOOLS_OK) {
        words_arm();
        answers_arm();
        if (!self.keep_state && tidy_accept(&self.tidy) < 0)
            _exit(WORKER_EXIT_MEMORY);
    }
    restore_all();
    return err;
}

/* Calls the function; its frame is where backtraces end. */
__attribute__((__noinline__)) static ptools_err run_function(struct function *f)
{
    ptools_err err;

    words_set_base(__builtin_frame_address(0));
    answers_function_begins();
    set_phase(PAGE_RUNNING);
    err = f->row->fn(&self.task);
    answers_function_ended();
    if (self.disowned)
        _exit(0); /* the child of a function came back from it */
    words_set_base(NULL);
    return err;
}

static inline ptools_err call(const char *name, struct function **f, const uint8_t **ret_value, size_t *ret_n)
{
    ptools_err err = PTOOLS_OK;

    if (self.tidy.dirty)
        tidy_restore(&self.tidy);
    if (!*f || !(*f)->module->started)
        err = prepare(name, f);
    if (err != PTOOLS_OK)
        return err;
    self.tidy.dirty = !self.keep_state && !((*f)->row->flags & PTOOLS_FN_TIDY);
    return task_outcome(&self.task, run_function(*f), ret_value, ret_n);
}

ptools_err execute_call(const char *name, struct function **f, const uint8_t **ret_value, size_t *ret_n)
{
    return call(name, f, ret_value, ret_n);
}

/* -- frames ------------------------------------------------------------------------------------ */

/* Where in the body what is. */
struct parts {
    uint64_t queued_ms; /* 0: it is not queued */
    uint64_t room;
    struct link_reference args; /* array 0: they are in the body */
    struct link_batch batch;    /* items 0: none */
    char init[FUNCTION_BYTES_MAX + 1];
    const char *op; /* batch.op_bytes of it */
    const uint8_t *data;
    size_t n;
};

static size_t fixed_bytes(const struct link_frame *run)
{
    return run->name_bytes + (run->code & RUN_QUEUED ? sizeof(uint64_t) : 0u) +
           (run->code & RUN_ROOM ? sizeof(uint64_t) : 0u) + (run->code & RUN_BATCH ? sizeof(struct link_batch) : 0u) +
           (run->code & RUN_ARGS_ARRAY ? sizeof(struct link_reference) : 0u);
}

/* Of the names behind the struct link_batch; more than there is: one is too long. */
static size_t names_bytes(const struct link_frame *run, const struct span *body)
{
    struct link_batch batch;

    if (!(run->code & RUN_BATCH) || body->n < fixed_bytes(run))
        return 0;
    memcpy(&batch,
           body->data + run->name_bytes + (run->code & RUN_QUEUED ? sizeof(uint64_t) : 0) +
               (run->code & RUN_ROOM ? sizeof(uint64_t) : 0),
           sizeof batch);
    return MAX(batch.init_bytes, batch.op_bytes) > FUNCTION_BYTES_MAX ? UINT32_MAX : batch.init_bytes + batch.op_bytes;
}

bool execute_frame_ok(const struct link_frame *run, const struct span *body)
{
    const uint16_t of_workers = RUN_BATCH | RUN_QUEUED; /* calls of server tasks are single */
    const uint16_t flags = RUN_ARGS_ARRAY | RUN_ROOM | (self.keep_state ? 0 : of_workers);
    const size_t fixed = fixed_bytes(run) + names_bytes(run, body);

    return run->task != 0 && run->name_bytes <= FUNCTION_BYTES_MAX && !(run->code & ~flags) &&
           (run->code & RUN_ARGS_ARRAY ? body->n == fixed : body->n >= fixed);
}

static void parts_read(const struct link_frame *run, const struct span *body, struct parts *ret)
{
    const uint8_t *at = body->data + run->name_bytes;

    *ret = (struct parts){ 0 };
    if (run->code & RUN_QUEUED) {
        memcpy(&ret->queued_ms, at, sizeof ret->queued_ms);
        at += sizeof ret->queued_ms;
    }
    if (run->code & RUN_ROOM) {
        memcpy(&ret->room, at, sizeof ret->room);
        at += sizeof ret->room;
    }
    if (run->code & RUN_BATCH) {
        memcpy(&ret->batch, at, sizeof ret->batch);
        memcpy(ret->init, at + sizeof ret->batch, ret->batch.init_bytes);
        at += sizeof ret->batch + ret->batch.init_bytes;
        ret->op = (const char *)at;
        at += ret->batch.op_bytes;
    }
    if (run->code & RUN_ARGS_ARRAY) {
        memcpy(&ret->args, at, sizeof ret->args);
        at += sizeof ret->args;
    }
    ret->data = at;
    ret->n = (size_t)(body->data + body->n - at);
}

bool execute_may_take_long(const struct link_frame *run, const struct span *body)
{
    const struct function *f = modules_function(self.modules, (const char *)body->data, run->name_bytes);

    return !f || !f->module->started || f->last_us > SHORT_US || run->code != 0;
}

/* -- large ones --------------------------------------------------------------------------------- */

typedef ptools_err (*array_finder)(uint64_t id, uint64_t task, uint32_t uid, struct ptools_array **ret,
                                   char why[ARRAYS_WHY_BYTES]);

/* Arguments lie in an array: it is found, and they are read there. */
static ptools_err find_there(array_finder find, const struct link_reference *where, const uint8_t **ret)
{
    char why[ARRAYS_WHY_BYTES];
    struct ptools_array *a;
    ptools_err err = find(where->array, self.task.id, self.task.uid, &a, why);

    if (err != PTOOLS_OK)
        return task_fail(&self.task, err, "the arguments of %s cannot be read: %s", self.function, why);
    if (a->name[0] || arrays_owner(a) != self.task.uid) /* nobody else shall change them while they are read */
        return task_fail(&self.task, PTOOLS_ERR_BAD_ARGUMENT,
                         "the arguments of %s lie in an array that is not the caller's alone", self.function);
    if (where->bytes > a->layout.bytes)
        return task_fail(&self.task, PTOOLS_ERR_BAD_ARGUMENT,
                         "the arguments of %s are said to be longer than their array", self.function);
    *ret = a->data;
    return PTOOLS_OK;
}

/* An array that the value fits into; NULL and why. */
static struct ptools_array *find_room(uint64_t room, size_t n, char why[ARRAYS_WHY_BYTES])
{
    struct ptools_array *a;

    if (room && arrays_by_id(room, self.task.id, self.task.uid, &a, why) == PTOOLS_OK && a->layout.bytes >= n &&
        !a->read_only)
        return a;
    return arrays_make(self.task.id, n, &a, why) == PTOOLS_OK ? a : NULL;
}

/* The value is ready: through an array if it is large, else through the socket. */
static ptools_err place_value(const struct link_frame *run, uint64_t room, struct execution *ret)
{
    char why[ARRAYS_WHY_BYTES] = "the caller takes none by descriptor";
    struct ptools_array *a = run->b > 0 && ret->n > run->b ? find_room(room, ret->n, why) : NULL;

    if (a) {
        memcpy(a->data, ret->value, ret->n);
        ret->where = (struct link_reference){ a->id, ret->n };
        ret->in_array = true;
    } else if (ret->n > self.value_max) {
        return task_fail(&self.task, PTOOLS_ERR_TOO_LARGE, "the result of %s has %zu bytes, the limit is %zu (%s)",
                         self.function, ret->n, self.value_max, why);
    }
    return PTOOLS_OK;
}

/* -- a batch -------------------------------------------------------------------------------------- */

/* Mostly it is the same as before, and at the same place. */
static ptools_err find_captured(const struct parts *p)
{
    const struct link_reference where = { p->batch.captured, p->batch.captured_bytes };
    const char *why = "";
    const uint8_t *at;
    ptools_err err;

    if (!where.array)
        return PTOOLS_OK;
    err = find_there(arrays_to_read, &where, &at); /* it is that of other calls, too */
    if (err != PTOOLS_OK || (self.captured_array == where.array && self.captured_at == at))
        return err;
    self.captured_at = NULL;
    err = payload_parse(&self.captured, at, where.bytes, &why);
    if (err == PTOOLS_ERR_NO_MEMORY)
        return task_fail(&self.task, PTOOLS_ERR_FAILED, "the worker has no memory for what %s captured", self.function);
    if (err != PTOOLS_OK || self.captured.root.type != MSGPACK_OBJECT_ARRAY)
        return task_fail(&self.task, PTOOLS_ERR_BAD_ARGUMENT, "what %s captured is no list%s%s", self.function,
                         *why ? ": " : "", why);
    self.captured_at = at;
    self.captured_array = where.array;
    return PTOOLS_OK;
}

static bool run_is_known(uint64_t map)
{
    for (unsigned i = 0; i < RUNS_KNOWN; i++)
        if (self.runs[i] == map)
            return true;
    return false;
}

/* The init function, once in this process for each run that has one. Its value is of no interest. */
static ptools_err run_init(const struct parts *p, const struct link_frame *frame)
{
    struct function *f = modules_function(self.modules, p->init, p->batch.init_bytes);
    const uint8_t *value;
    char message[TASK_MESSAGE_BYTES];
    ptools_err err;
    size_t n;

    if (p->batch.init_bytes == 0 || (p->batch.map && run_is_known(p->batch.map)))
        return PTOOLS_OK;
    strcpy(self.page->function, p->init);
    task_begin_with(&self.task, frame, p->init, p->batch.captured ? &self.captured.root : NULL);
    err = execute_call(p->init, &f, &value, &n);
    strcpy(self.page->function, self.function);
    if (err != PTOOLS_OK) {
        snprintf(message, sizeof message, "%s", task_message(&self.task));
        return task_fail(&self.task, err, "the init function %s: %s", p->init, message);
    }
    self.runs[self.next_run++ % RUNS_KNOWN] = p->batch.map;
    return task_begin(&self.task, frame, self.function, NULL, 0); /* the batch's own function again */
}

/* With so many bytes of records a batch ends. */
static size_t records_max(void)
{
    return MIN(self.value_max / 2, (size_t)BATCH_BYTES_MAX);
}

static void record_failure(ptools_err code)
{
    struct page_words words;

    page_read_words(self.page, &words);
    if (code == PTOOLS_ERR_EXITED)
        batch_failure_exited(&self.task, &words);
    else
        batch_failure(code, task_message(&self.task), words.phase, words.log);
}

/* A value that fits behind any records that may be there: whether it fits depends on no other item. */
static size_t item_value_max(void)
{
    return self.value_max - records_max();
}

static inline void record(ptools_err code, const uint8_t *value, size_t n)
{
    if (code == PTOOLS_OK && n > item_value_max())
        code =
            task_fail(&self.task, PTOOLS_ERR_TOO_LARGE, "the result of %s has %zu bytes, the limit of an item is %zu",
                      self.function, n, item_value_max());
    if (code == PTOOLS_OK)
        batch_value(value, n);
    else
        record_failure(code);
}

/* -- isolated items -- */

/* What every child would find missing. */
static ptools_err begin_isolated(struct function **f)
{
    ptools_err err = *f && (*f)->module->started ? PTOOLS_OK : prepare(self.function, f);
    int r;

    if (err != PTOOLS_OK)
        return err;
    if (self.tidy.dirty)
        tidy_restore(&self.tidy);
    storage_clear(&self.task.storage); /* of the init function: each item has one of its own */
    r = isolate_begin(&self.task, item_value_max());
    return r == 0 ? PTOOLS_OK
                  : task_fail(&self.task, PTOOLS_ERR_FAILED,
                              "the worker has no memory for what comes of isolated items: %s", strerror(-r));
}

static ptools_err run_in_child(void *arg, const uint8_t **ret_value, size_t *ret_n)
{
    return task_outcome(&self.task, run_function(arg), ret_value, ret_n);
}

static uint64_t coarse_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void forget_words(void)
{
    self.page->phase[0] = '\0';
    atomic_store_explicit(&self.page->log_next, 0, memory_order_relaxed);
}

static inline ptools_err begin_item(struct parts *p)
{
    size_t bytes = 0;
    ptools_err err;

    if (atomic_load_explicit(&self.page->log_next, memory_order_relaxed) > 0 || self.page->phase[0])
        forget_words();
    err = task_begin_item(&self.task, p->data, p->n, p->batch.captured ? &self.captured.root : NULL, &bytes);
    p->data += bytes;
    p->n -= bytes;
    return err;
}

/* The next item and its record. false: it was stopped, and what came of it counts no more. */
static inline bool run_item(struct function **f, struct parts *p, ptools_err ready)
{
    ptools_err err = ready == PTOOLS_OK ? begin_item(p) : ready;
    const uint8_t *value = NULL;
    size_t n = 0;

    if (err == PTOOLS_OK && p->batch.isolated)
        return isolate_run(run_in_child, *f);
    if (err == PTOOLS_OK)
        err = call(self.function, f, &value, &n);
    if (ptools_task_cancelled(&self.task))
        return false;
    if (self.tidy.dirty)
        answers_look(); /* an item that closed the link is the one that died of it */
    record(err, value, n);
    return true;
}

/* The next item of a reduction. PTOOLS_OK: ret_more tells whether others may follow it. */
static ptools_err fold_item(struct function **f, struct parts *p, ptools_err ready, bool *ret_more)
{
    const uint8_t *value = NULL;
    ptools_err err = ready;
    size_t n = 0;

    if (err == PTOOLS_OK && p->batch.values > 0) {
        p->batch.values--;
        err = reduce_read(&self.task, &p->data, &p->n, &value, &n);
    } else if (err == PTOOLS_OK) {
        err = begin_item(p);
        err = err == PTOOLS_OK ? call(self.function, f, &value, &n) : err;
    }
    if (ptools_task_cancelled(&self.task))
        return task_fail(&self.task, PTOOLS_ERR_CANCELLED, "the batch was stopped");
    if (self.tidy.dirty)
        answers_look();
    *ret_more = err == PTOOLS_OK && n <= item_value_max();
    if (*ret_more)
        return reduce_add(&self.task, value, n, item_value_max());
    reduce_leave(false, 0);
    record(err, value, n);
    *ret_more = ready != PTOOLS_OK; /* what comes behind it is no part of what was folded */
    return PTOOLS_OK;
}

/* PTOOLS_OK: as many items as there are records of are done, and the others were not begun. */
static ptools_err run_batch(struct function *f, const struct link_frame *frame, struct parts *p)
{
    const uint64_t late_ms = p->batch.hand_back_ms ? coarse_ms() + p->batch.hand_back_ms : UINT64_MAX;
    ptools_err err, ready = find_captured(p);
    bool stopped, more = true;

    if (ready == PTOOLS_OK)
        ready = run_init(p, frame);
    if (ready == PTOOLS_OK && p->batch.isolated)
        ready = begin_isolated(&f);
    self.task.run = p->batch.map ? p->batch.map : frame->task;
    reduce_begin(self.page, p->op, p->batch.op_bytes, self.modules);
    stopped = ptools_task_cancelled(&self.task);
    for (uint32_t i = 0; !stopped && more && i < p->batch.items; i++) {
        if (p->batch.op_bytes) {
            err = fold_item(&f, p, ready, &more);
            if (err != PTOOLS_OK)
                return err;
        } else {
            stopped = !run_item(&f, p, ready);
        }
        if (stopped || batch_bytes() >= records_max() || (late_ms != UINT64_MAX && coarse_ms() >= late_ms))
            break;
    }
    if (ready == PTOOLS_OK && p->batch.isolated)
        isolate_end();
    return stopped ? task_fail(&self.task, PTOOLS_ERR_CANCELLED, "the batch was stopped") : PTOOLS_OK;
}

/* -- one task ------------------------------------------------------------------------------------- */

static ptools_err run(struct function *f, const struct link_frame *frame, struct parts *p, struct execution *ret)
{
    ptools_err err;

    self.task.queued_ms = p->queued_ms;
    if (p->args.array || p->batch.items) { /* to ask for an array, the task has to be known */
        (void)task_begin(&self.task, frame, self.function, NULL, 0);
        err = p->args.array ? find_there(arrays_by_id, &p->args, &p->data) : PTOOLS_OK;
        p->n = p->args.array ? p->args.bytes : p->n;
        if (err != PTOOLS_OK)
            return err;
    }
    if (p->batch.items)
        return run_batch(f, frame, p);
    err = task_begin(&self.task, frame, self.function, p->data, p->n);
    if (err == PTOOLS_OK)
        err = execute_call(self.function, &f, &ret->value, &ret->n);
    return err == PTOOLS_OK ? place_value(frame, p->room, ret) : err;
}

static void begin(const struct link_frame *frame, const struct span *body, uint64_t began_us)
{
    memcpy(self.function, body->data, frame->name_bytes);
    self.function[frame->name_bytes] = '\0';
    page_begin(frame, began_us);
    self.task.away_us = self.task.command_us = self.task.command_peak_kb = 0;
}

/* Of this process, all its threads. */
static uint64_t cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* For the record of a queued task: the daemon reads it when it has the answer. */
static void tell_used(unsigned slot, uint64_t from_us)
{
    struct page_used *used = &self.page->used[slot % PAGE_SLOTS];
    struct rusage usage = { .ru_maxrss = 0 };

    if (self.task.command_us == 0)
        getrusage(RUSAGE_SELF, &usage);
    atomic_store(&used->cpu_us, cpu_us() - from_us + self.task.command_us);
    atomic_store(&used->peak_kb, self.task.command_peak_kb + (uint64_t)usage.ru_maxrss);
}

void execute(const struct link_frame *frame, const struct span *body, uint64_t began_us, struct execution *ret)
{
    uint64_t from_us;
    struct function *f;
    struct parts parts;

    *ret = (struct execution){ .began_us = began_us };
    parts_read(frame, body, &parts);
    begin(frame, body, began_us);
    from_us = parts.queued_ms ? cpu_us() : 0;
    if (parts.batch.items)
        batch_begin(frame);
    f = modules_function(self.modules, self.function, frame->name_bytes);
    ret->code = run(f, frame, &parts, ret);
    set_phase(PAGE_SENDING);
    ret->ended_us = execute_now_us();
    f = modules_function(self.modules, self.function, frame->name_bytes);
    if (f)
        f->last_us = (ret->ended_us - began_us) / MAX(1, parts.batch.items);
    if (parts.batch.items) {
        reduce_leave(true, ret->ended_us);
        batch_end(ret->ended_us);
        if (ret->code == PTOOLS_OK)
            forget_words(); /* they are of its last item */
    }
    if (!self.keep_state && tidy_look_due(&self.tidy, ret->ended_us, ret->ended_us - began_us - self.task.away_us))
        tidy_look(&self.tidy, self.page, &ret->kb, &ret->fds);
    if (parts.queued_ms)
        tell_used(frame->slot, from_us);
}

void execute_refuse(const struct link_frame *frame, const struct span *body, ptools_err code, const char *why,
                    struct execution *ret)
{
    uint64_t now = execute_now_us();

    *ret = (struct execution){ .code = code, .began_us = now, .ended_us = now };
    begin(frame, body, now);
    (void)task_begin(&self.task, frame, self.function, NULL, 0);
    (void)task_fail(&self.task, code, "%s", why);
}

/* The texts of a failure: message, phase, log, and "n of" of the progress; of a command also how it ended. */
static void failure_texts(struct execution *done, char room[EXECUTE_FAILURE_BYTES])
{
    const size_t n_texts = done->code == PTOOLS_ERR_EXITED ? 5 : 4;
    const char *texts[5] = { task_message(&self.task) };
    struct page_words words;
    char progress[48], end[24];

    page_read_words(self.page, &words);
    texts[1] = words.phase;
    texts[2] = words.log;
    snprintf(progress, sizeof progress, "%llu %llu", (unsigned long long)words.progress,
             (unsigned long long)words.progress_of);
    texts[3] = progress;
    snprintf(end, sizeof end, "%d %d", self.task.exit_status, self.task.exit_signal);
    texts[4] = end;
    done->n = 0;
    for (size_t i = 0; i < n_texts; i++) {
        memcpy(room + done->n, texts[i], strlen(texts[i]) + 1);
        done->n += strlen(texts[i]) + 1;
    }
    done->value = (const uint8_t *)room;
}

void execute_answer(struct execution *done, struct link_frame *answer, char room[EXECUTE_FAILURE_BYTES])
{
    answer->type = done->in_array ? LINK_DONE_ARRAY : LINK_DONE;
    answer->code = (uint16_t)done->code;
    answer->a = (uint32_t)MIN(done->ended_us - done->began_us, (uint64_t)UINT32_MAX);
    answer->b = done->kb;
    answer->fds = done->fds;
    if (done->code != PTOOLS_OK) {
        failure_texts(done, room);
    } else if (done->in_array) {
        done->value = (const uint8_t *)&done->where;
        done->n = sizeof done->where;
    }
    answer->body_bytes = (uint32_t)done->n;
}

size_t execute_log(const struct execution *done, char room[EXECUTE_FAILURE_BYTES])
{
    struct page_words words;
    size_t n;

    if (done->code != PTOOLS_OK || atomic_load_explicit(&self.page->log_next, memory_order_relaxed) == 0)
        return 0;
    page_read_words(self.page, &words);
    n = strlen(words.log);
    memcpy(room, words.log, n);
    return n;
}

void execute_end(void)
{
    task_end(&self.task);
}

void execute_rest(void)
{
    if (self.tidy.dirty)
        tidy_restore(&self.tidy);
    set_phase(PAGE_IDLE);
}

void execute_free_state(void)
{
    storage_clear(&self.task.storage);
}
