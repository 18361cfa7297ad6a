/* SPDX-License-Identifier: MIT */
/*
 * command_environment -- the environment of a command: see command_args.h.
 *
 * Of two entries of one name the later one counts, whatever getenv() of the program would take. Names are found by a
 * table, for environments of thousands of entries.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/worker/command_args.h"
#include "proto/util.h"

enum { SLOTS_LEAST = 64 };

static ptools_err no_memory(struct ptools_task *t)
{
    return task_fail(t, PTOOLS_ERR_FAILED, "the worker has no memory for the environment of the command");
}

/* Where the entry of that name is, or would be. */
static uint32_t *slot_of(const struct command_environment *e, const char *name, size_t n)
{
    uint32_t at = 2166136261u;

    for (size_t i = 0; i < n; i++)
        at = (at ^ (uint8_t)name[i]) * 16777619u;
    for (at &= e->mask; e->slots[at]; at = (at + 1) & e->mask) {
        const char *entry = e->entries[e->slots[at] - 1];

        if (strncmp(entry, name, n) == 0 && entry[n] == '=')
            break;
    }
    return &e->slots[at];
}

/* entry stays where it is. One without '=' is passed on as it is. */
static void put(struct command_environment *e, char *entry, bool weak)
{
    const char *end = strchr(entry, '=');
    uint32_t *slot = end ? slot_of(e, entry, (size_t)(end - entry)) : NULL;

    if (slot && *slot) {
        if (!weak)
            e->entries[*slot - 1] = entry;
        return;
    }
    e->entries[e->n++] = entry;
    e->entries[e->n] = NULL;
    if (slot)
        *slot = e->n;
}

static bool text_of(const msgpack_object *o, const char **ret, size_t *ret_n)
{
    if (o->type != MSGPACK_OBJECT_STR && o->type != MSGPACK_OBJECT_BIN)
        return false;
    *ret = o->type == MSGPACK_OBJECT_STR ? o->via.str.ptr : o->via.bin.ptr;
    *ret_n = o->type == MSGPACK_OBJECT_STR ? o->via.str.size : o->via.bin.size;
    return *ret_n == 0 || !memchr(*ret, '\0', *ret_n);
}

/* A list of NAME=value; *ret_bytes: of all, each with a NUL behind it. */
static bool list_ok(const msgpack_object *list, size_t *ret_bytes)
{
    const char *s;
    size_t n;

    if (list->type != MSGPACK_OBJECT_ARRAY)
        return false;
    for (uint32_t i = 0; i < list->via.array.size; i++) {
        if (!text_of(&list->via.array.ptr[i], &s, &n) || n < 2 || s[0] == '=' || !memchr(s, '=', n))
            return false;
        *ret_bytes += n + 1;
    }
    return true;
}

static ptools_err put_list(struct command_environment *e, const msgpack_object *list, size_t bytes)
{
    char *at = task_room(e->task, bytes);
    const char *s = "";
    size_t n = 0;

    if (!at)
        return no_memory(e->task);
    for (uint32_t i = 0; i < list->via.array.size; i++) {
        (void)text_of(&list->via.array.ptr[i], &s, &n);
        memcpy(at, s, n);
        at[n] = '\0';
        put(e, at, false);
        at += n + 1;
    }
    return PTOOLS_OK;
}

ptools_err command_environment_make(struct ptools_task *t, const struct command_args *a, uint32_t more,
                                    struct command_environment *ret)
{
    struct command_environment e = { .task = t, .max = more, .mask = SLOTS_LEAST - 1 };
    size_t env_bytes = 0, set_bytes = 0;
    ptools_err err = PTOOLS_OK;

    if ((a->env && !list_ok(a->env, &env_bytes)) || (a->set_env && !list_ok(a->set_env, &set_bytes)))
        return task_fail(t, PTOOLS_ERR_BAD_ARGUMENT, "%s of %s must be a list of NAME=value, strings or bytes without "
                         "zero bytes", a->env && !list_ok(a->env, &env_bytes) ? "env" : "set_env", t->function);
    e.max += a->set_env ? a->set_env->via.array.size : 0;
    if (a->env)
        e.max += a->env->via.array.size;
    for (char **entry = a->env ? NULL : environ; entry && *entry; entry++)
        e.max++;
    while (e.mask + 1 < 2 * e.max)
        e.mask = 2 * e.mask + 1;
    e.entries = task_room(t, (e.max + 1) * sizeof *e.entries);
    e.slots = task_room(t, (e.mask + 1) * sizeof *e.slots);
    if (!e.entries || !e.slots)
        return no_memory(t);
    memset(e.slots, 0, (e.mask + 1) * sizeof *e.slots);
    e.entries[0] = NULL;
    for (char **entry = a->env ? NULL : environ; entry && *entry; entry++)
        put(&e, *entry, false);
    if (a->env)
        err = put_list(&e, a->env, env_bytes);
    if (err == PTOOLS_OK && a->set_env)
        err = put_list(&e, a->set_env, set_bytes);
    *ret = e;
    return err;
}

ptools_err command_environment_put(struct command_environment *e, bool weak, const char *format, ...)
{
    va_list ap;
    char *entry;
    int n;

    va_start(ap, format);
    n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    entry = n < 0 || e->n == e->max ? NULL : task_room(e->task, (size_t)n + 1);
    if (!entry)
        return no_memory(e->task);
    va_start(ap, format);
    vsnprintf(entry, (size_t)n + 1, format, ap);
    va_end(ap);
    put(e, entry, weak);
    return PTOOLS_OK;
}

const char *command_environment_get(const struct command_environment *e, const char *name)
{
    const size_t n = strlen(name);
    const uint32_t *slot = slot_of(e, name, n);

    return *slot ? e->entries[*slot - 1] + n + 1 : NULL;
}
