/* SPDX-License-Identifier: MIT */
/*
 * module -- modules, their functions, and the tasks that wait for one to be loaded.
 *
 *     NEW --call--> LOADING --report--> LOADED | MISSING | BROKEN
 *
 * MISSING is asked for again at the next call, BROKEN at the first call after retry_at_us. A loaded module becomes
 * BROKEN, too, when a worker dies while it loads it for a call of its function; not for a batch that has an operator or
 * an init function in it, for only the word of the worker tells that these were at fault. Structs of functions are never
 * freed before the core, so that a name in an action stays what it was: a function that is gone is only not present.
 */
#ifndef CORE_MODULE_H
#define CORE_MODULE_H

enum module_state { MODULE_NEW, MODULE_LOADING, MODULE_LOADED, MODULE_MISSING, MODULE_BROKEN };

struct function {
    struct module *module;
    bool present;       /* in the module's present table */
    uint32_t flags;     /* PTOOLS_FN_... */
    uint64_t calls;     /* tasks that were queued for it */
    uint32_t runs;      /* of those that ended, up to FUNCTION_RUNS_KNOWN */
    uint64_t usual8_us; /* eight times the moving average of its run time */
    size_t name_bytes;
    UT_hash_handle hh;  /* in core.functions */
    char name[];        /* "module.function" */
};
enum { FUNCTION_RUNS_KNOWN = 8 };

struct module {
    enum module_state state;
    struct report *report;      /* the last one; NULL: none yet */
    char *sentence;             /* what a call is told while MISSING or BROKEN */
    struct function **table;    /* beside report->functions */
    bool has_functions;         /* or had: never freed before the core */
    struct task *held;          /* by place_next, in order */
    struct qtask *queued_held;  /* queued tasks that wait to be accepted, by x->held_next */
    uint64_t retry_us;          /* the last pause of a broken one; 0 again once a task of it was done */
    uint64_t retry_at_us;
    uint64_t look_again_us;     /* a missing one, for queued tasks that wait for it */
    UT_hash_handle hh;
    char name[NAME_BYTES_MAX + 1];
};

/* Whether its tasks may be given. */
static inline bool function_usable(const struct function *f)
{
    return f->present && f->module->state == MODULE_LOADED;
}
/* Its usual run time; CORE_NEVER: not known well enough. */
static inline uint64_t function_usual_us(const struct function *f)
{
    return f->runs < FUNCTION_RUNS_KNOWN ? UINT64_MAX : f->usual8_us / 8;
}
void function_ran(struct function *f, uint64_t run_us);
struct function *function_find(const struct core *core, const char *name, size_t n);

struct module *module_find(const struct core *core, const char *name, size_t n);
/* Makes room by dropping one that is MISSING, if there is no other way. 0; 1: the limit stands; -ENOMEM. */
int module_new(struct core *core, const char *name, size_t n, struct module **ret);
struct module *module_free(struct core *core, struct module *m);
/* Whether a call that found no usable function ends at once, with module_refusal(); otherwise it is to be held. */
bool module_refuses(const struct module *m, uint64_t now_us);
/* The task waits here until the report comes; the first one asks for it. */
void module_ask(struct core *core, struct module *m, struct actions *out); /* unless it is being loaded */
void module_hold(struct core *core, struct module *m, struct task *t, struct actions *out);
/* A worker died while it loaded the module. */
void module_broke(struct core *core, uint64_t now_us, struct module *m, const char *why, struct actions *out);
/* Why a call of this function ("module.function") is refused; *ret_sentence is text, or lives until the module
 * changes. */
ptools_err module_refusal(const struct module *m, const char *function, char text[256], const char **ret_sentence);
/* What a request names: its function, if that can be given, or else the module that is to be asked for (which is NEW, if
 * it was not known: who then does not ask for it frees it). 1; 0: the request is refused, and answered; -ENOMEM. */
int function_called(struct core *core, uint64_t now_us, const struct client *client, uint64_t request, struct text name,
                    struct function **ret_function, struct module **ret_module, struct actions *out);
void modules_deinit(struct core *core);

#endif
