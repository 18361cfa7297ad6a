/* SPDX-License-Identifier: MIT */
/*
 * module -- see module.h. The core never loads anything: it asks for a load, holds the calls meanwhile, and
 * keeps what the report says, so that a call of a function that does not exist troubles no worker.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/state.h"

enum { FUNCTIONS_NAMED = 8 }; /* in the answer to a call of an unknown one */

struct function *function_find(const struct core *core, const char *name, size_t n)
{
    struct function *f;

    HASH_FIND(hh, core->functions, name, n, f);
    return f;
}

void function_ran(struct function *f, uint64_t run_us)
{
    const uint64_t us = MIN(run_us, UINT64_C(1) << 48); /* a worker says so: keep the sum from overflowing */

    if (f->runs == 0)
        f->usual8_us = us * 8;
    else
        f->usual8_us += us - f->usual8_us / 8;
    if (f->runs < FUNCTION_RUNS_KNOWN)
        f->runs++;
}

/* The function of that name in the module, made if it was never seen. */
static int function_get(struct core *core, struct module *m, const char *name, struct function **ret)
{
    char full[FUNCTION_BYTES_MAX + 1];
    int n = snprintf(full, sizeof full, "%s.%s", m->name, name);
    struct function *f = function_find(core, full, (size_t)n);

    if (!f) {
        f = calloc(1, sizeof *f + (size_t)n + 1);
        if (!f)
            return -ENOMEM;
        f->module = m;
        f->name_bytes = (size_t)n;
        memcpy(f->name, full, (size_t)n + 1);
        HASH_ADD_KEYPTR(hh, core->functions, f->name, f->name_bytes, f);
        if (!f->hh.tbl) {
            free(f);
            return -ENOMEM;
        }
        m->has_functions = true;
    }
    *ret = f;
    return 0;
}

struct module *module_find(const struct core *core, const char *name, size_t n)
{
    struct module *m;

    HASH_FIND(hh, core->modules, name, n, m);
    return m;
}

/* A name that somebody mistyped shall not take the place of a module for ever. */
static bool make_room(struct core *core)
{
    struct module *m, *next;

    if (HASH_COUNT(core->modules) < core->limits.modules_max)
        return true;
    HASH_ITER(hh, core->modules, m, next) {
        if (m->state == MODULE_MISSING && !m->has_functions) {
            module_free(core, m);
            return true;
        }
    }
    return false;
}

int module_new(struct core *core, const char *name, size_t n, struct module **ret)
{
    struct module *m;

    if (!make_room(core))
        return 1;
    m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    memcpy(m->name, name, n);
    HASH_ADD_KEYPTR(hh, core->modules, m->name, n, m);
    if (!m->hh.tbl) {
        free(m);
        return -ENOMEM;
    }
    *ret = m;
    return 0;
}

struct module *module_free(struct core *core, struct module *m)
{
    if (!m)
        return NULL;
    HASH_DELETE(hh, core->modules, m);
    report_free(m->report);
    free(m->sentence);
    free(m->table);
    free(m);
    return NULL;
}

void modules_deinit(struct core *core)
{
    struct module *m, *next_m;
    struct function *f, *next_f;

    HASH_ITER(hh, core->functions, f, next_f) {
        HASH_DELETE(hh, core->functions, f);
        free(f);
    }
    HASH_ITER(hh, core->modules, m, next_m)
        module_free(core, m);
}

bool module_refuses(const struct module *m, uint64_t now_us)
{
    return m->state == MODULE_LOADED || (m->state == MODULE_BROKEN && now_us < m->retry_at_us);
}

void module_ask(struct core *core, struct module *m, struct actions *out)
{
    struct action *act;

    (void)core;
    if (m->state == MODULE_LOADING)
        return;
    m->state = MODULE_LOADING;
    act = action_add(out, ACT_LOAD);
    if (act)
        act->function = m->name;
}

void module_hold(struct core *core, struct module *m, struct task *t, struct actions *out)
{
    if (!task_step(core, t, EV_HOLD, out))
        return;
    t->module = m;
    DL_APPEND2(m->held, t, place_prev, place_next);
    core->n_held++;
    module_ask(core, m, out);
}

ptools_err module_refusal(const struct module *m, const char *function, char text[256], const char **ret_sentence)
{
    const struct report *r = m->report;
    size_t n;

    *ret_sentence = text;
    if (m->state != MODULE_LOADED) {
        if (m->sentence)
            *ret_sentence = m->sentence;
        else
            snprintf(text, 256, "module %s cannot be loaded", m->name);
        return m->state == MODULE_MISSING ? PTOOLS_ERR_NO_MODULE : PTOOLS_ERR_MODULE_BROKEN;
    }
    n = (size_t)snprintf(text, 256, "module %s has no function %s; ", m->name, function + strlen(m->name) + 1);
    if (r->n == 0)
        snprintf(text + n, 256 - n, "it has none");
    for (size_t i = 0; i < MIN(r->n, FUNCTIONS_NAMED) && n < 256; i++)
        n += (size_t)snprintf(text + n, 256 - n, "%s%s", i ? ", " : "it has ", r->functions[i].name);
    if (r->n > FUNCTIONS_NAMED && n < 256)
        snprintf(text + n, 256 - n, " and %zu more", r->n - FUNCTIONS_NAMED);
    return PTOOLS_ERR_NO_FUNCTION;
}

int function_called(struct core *core, uint64_t now_us, const struct client *client, uint64_t request, struct text name,
                    struct function **ret_function, struct module **ret_module, struct actions *out)
{
    struct function *f = function_find(core, name.data, name.n);
    char text[256], full[FUNCTION_BYTES_MAX + 1];
    struct text module, function;
    const char *sentence;
    ptools_err code;
    int r;

    if (f && function_usable(f)) {
        *ret_function = f;
        return 1;
    }
    if (!name_split(name.data, name.n, &module, &function)) {
        answer_refusal(out, client->id, request, PTOOLS_ERR_BAD_REQUEST, "function: not of the form MODULE.FUNCTION");
        return 0;
    }
    *ret_module = module_find(core, module.data, module.n);
    if (!*ret_module) {
        r = module_new(core, module.data, module.n, ret_module);
        if (r <= 0)
            return r < 0 ? r : 1;
        answer_refusal(out, client->id, request, PTOOLS_ERR_LIMIT,
                       "over the limit modules_max: %" PRIu32 " of %" PRIu32 " in use, 1 more asked for",
                       HASH_COUNT(core->modules), core->limits.modules_max);
        return 0;
    }
    if (!module_refuses(*ret_module, now_us))
        return 1;
    memcpy(full, name.data, name.n);
    full[name.n] = '\0';
    code = module_refusal(*ret_module, full, text, &sentence);
    answer_refusal(out, client->id, request, code, "%s", sentence);
    return 0;
}

/* -- what is known changes ---------------------------------------------------------------------------- */

static void set_sentence(struct module *m, const char *problem, struct actions *out)
{
    const size_t n = strlen("module : ") + strlen(m->name) + strlen(problem) + 1;
    char *sentence = malloc(n);

    if (sentence)
        snprintf(sentence, n, "module %s: %s", m->name, problem);
    else
        out->no_memory = true;
    free(m->sentence);
    m->sentence = sentence;
}

static void set_broken(struct core *core, uint64_t now_us, struct module *m, const char *problem, struct actions *out)
{
    m->state = MODULE_BROKEN;
    m->retry_us = m->retry_us ? MIN(m->retry_us * 2, core->limits.backoff_max_us) : core->limits.module_retry_us;
    m->retry_at_us = now_us + m->retry_us;
    set_sentence(m, problem, out);
    action_note(out, NOTE_MODULE_BROKEN, 0, 0, "module %s: %.200s", m->name, problem);
}

/* Held tasks go on or end; those in queues end if their function went. */
static void follow(struct core *core, struct module *m, struct actions *out)
{
    struct task *t, *next;

    while ((t = m->held)) {
        struct function *f = function_find(core, t->wanted, strlen(t->wanted));

        if (!f || !function_usable(f)) {
            task_refuse_function(core, t, out);
            continue;
        }
        t->function = f;
        f->calls++;
        free(TAKE(t->wanted));
        if (task_requeue(core, t, out))
            task_accept(core, t, out);
    }
    qtasks_follow_module(core, m, out);
    if (!m->has_functions)
        return;
    for (t = core->tasks; t; t = next) {
        next = t->hh.next;
        if (t->state == TASK_WAITING && t->function->module == m && !function_usable(t->function))
            task_refuse_function(core, t, out);
    }
}

void module_broke(struct core *core, uint64_t now_us, struct module *m, const char *why, struct actions *out)
{
    if (m->state != MODULE_LOADED) /* known already, or being looked at anew */
        return;
    set_broken(core, now_us, m, why, out);
    follow(core, m, out);
}

static struct report *report_copy(const struct report *r)
{
    AUTO(report) copy = calloc(1, sizeof *copy);

    if (!copy)
        return NULL;
    copy->module = strdup(r->module);
    copy->help = strdup(r->help);
    copy->path = strdup(r->path);
    copy->problem = strdup(r->problem);
    copy->code = r->code;
    copy->flags = r->flags;
    copy->functions = calloc(r->n + 1, sizeof *copy->functions);
    if (!copy->module || !copy->help || !copy->path || !copy->problem || !copy->functions)
        return NULL;
    while (copy->n < r->n) {
        const struct report_function *from = &r->functions[copy->n];
        struct report_function *to = &copy->functions[copy->n++];

        to->name = strdup(from->name);
        to->help = strdup(from->help);
        to->flags = from->flags;
        if (!to->name || !to->help)
            return NULL;
    }
    return TAKE(copy);
}

/* Copies the report and builds the table of functions. 0, or -ENOMEM and nothing changed. */
static int learn(struct core *core, struct module *m, const struct report *report)
{
    AUTO(report) copy = report_copy(report);
    AUTO_MEM struct function **table = calloc(report->n + 1, sizeof(struct function *));
    int r;

    if (!copy || !table)
        return -ENOMEM;
    for (size_t i = 0; i < report->n; i++) {
        r = function_get(core, m, report->functions[i].name, &table[i]);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; m->report && i < m->report->n; i++)
        m->table[i]->present = false;
    for (size_t i = 0; i < report->n; i++) {
        table[i]->present = true;
        table[i]->flags = report->functions[i].flags;
    }
    report_free(m->report);
    free(m->table);
    m->report = TAKE(copy);
    m->table = TAKE(table);
    return 0;
}

static void loaded(struct core *core, uint64_t now_us, struct module *m, const struct report *report,
                   struct actions *out)
{
    if (learn(core, m, report) < 0) {
        out->no_memory = true;
        return;
    }
    if (report->code == PTOOLS_OK) {
        m->state = MODULE_LOADED;
        action_note(out, NOTE_MODULE_LOADED, 0, 0, "module %s: %zu functions, from %.150s", m->name, report->n,
                    report->path);
    } else if (report->code == PTOOLS_ERR_NO_MODULE) {
        m->state = MODULE_MISSING;
        m->look_again_us = now_us + core->limits.backoff_max_us;
        set_sentence(m, report->problem, out);
    } else {
        set_broken(core, now_us, m, report->problem, out);
    }
    follow(core, m, out);
}

void core_module_loaded(struct core *core, uint64_t now_us, const struct report *report, struct actions *out)
{
    struct module *m = module_find(core, report->module, strlen(report->module));
    int r = m ? 0 : module_new(core, report->module, strlen(report->module), &m);

    if (r < 0)
        out->no_memory = true;
    else if (r > 0)
        action_note(out, NOTE_MODULE_BROKEN, 0, 0, "module %s: over the limit modules_max (%" PRIu32 ")",
                    report->module, core->limits.modules_max);
    else
        loaded(core, now_us, m, report, out);
}
