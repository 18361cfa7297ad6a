/* SPDX-License-Identifier: MIT */
/*
 * command_args -- see command_args.h.
 *
 * A key that nobody knows is an error, so that none is misspelt in silence. Texts are taken as bytes, for names of
 * files and arguments need not be UTF-8; all that they may not have is a zero byte.
 */
#include "daemon/worker/command_args.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "proto/util.h"

enum { INLINE_DEFAULT = 65536, NICE_MIN = -40, NICE_MAX = 40, CPUS_MAX = 4096, PIDS_MAX = 4194304 };

enum key {
    KEY_ARGV,
    KEY_ENV,
    KEY_SET_ENV,
    KEY_CWD,
    KEY_UMASK,
    KEY_STDIN,
    KEY_STDIN_FILE,
    KEY_MERGE,
    KEY_OUT_MAX,
    KEY_INLINE_MAX,
    KEY_MEM,
    KEY_CPUS,
    KEY_PIDS,
    KEY_NICE,
    KEY_ARRAYS,
    KEY_STAGE,
    KEY_OK,
    KEY_FAIL,
    KEY_ATTEMPT,
    KEYS
};
static const char *const names[KEYS] = {
    "argv",       "env", "set_env", "cwd",  "umask",  "stdin", "stdin_file", "merge", "out_max",
    "inline_max", "mem", "cpus",    "pids", "nice",   "arrays", "stage",     "ok",    "fail",     "attempt",
};

static ptools_err no_memory(struct ptools_task *t)
{
    return task_fail(t, PTOOLS_ERR_FAILED, "the worker has no memory for the arguments of %s", t->function);
}

static ptools_err wrong(struct ptools_task *t, enum key key, const char *wanted)
{
    return task_fail(t, PTOOLS_ERR_BAD_ARGUMENT, "%s of %s must be %s", names[key], t->function, wanted);
}

/* -- keys --------------------------------------------------------------------------------------------------- */

static ptools_err unknown_key(struct ptools_task *t, const msgpack_object *key)
{
    char known[256];
    size_t n = 0;

    for (size_t i = 0; i < KEYS; i++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", names[i]);
    if (key->type != MSGPACK_OBJECT_STR)
        return task_fail(t, PTOOLS_ERR_BAD_ARGUMENT, "a key of %s is no string; it knows %s", t->function, known);
    return task_fail(t, PTOOLS_ERR_BAD_ARGUMENT, "%s knows no key %.*s; it knows %s", t->function,
                     (int)MIN(key->via.str.size, 64u), key->via.str.ptr, known);
}

/* What a later map has goes before what an earlier one has. */
static ptools_err find(struct ptools_task *t, const msgpack_object *map, const msgpack_object *found[KEYS])
{
    if (map->type != MSGPACK_OBJECT_MAP)
        return task_fail(t, PTOOLS_ERR_BAD_ARGUMENT, "%s takes a map, or two", t->function);
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object_kv *kv = &map->via.map.ptr[i];
        size_t k = 0;

        while (k < KEYS && (kv->key.type != MSGPACK_OBJECT_STR || kv->key.via.str.size != strlen(names[k]) ||
                            memcmp(kv->key.via.str.ptr, names[k], kv->key.via.str.size) != 0))
            k++;
        if (k == KEYS)
            return unknown_key(t, &kv->key);
        if (kv->val.type != MSGPACK_OBJECT_NIL)
            found[k] = &kv->val;
    }
    return PTOOLS_OK;
}

/* -- values -------------------------------------------------------------------------------------------------- */

/* Of str or bin. */
static bool text_of(const msgpack_object *o, const char **ret, size_t *ret_n)
{
    if (o->type == MSGPACK_OBJECT_STR) {
        *ret = o->via.str.ptr;
        *ret_n = o->via.str.size;
    } else if (o->type == MSGPACK_OBJECT_BIN) {
        *ret = o->via.bin.ptr;
        *ret_n = o->via.bin.size;
    } else {
        return false;
    }
    return true;
}

/* Without a zero byte. */
static bool string_of(const msgpack_object *o, const char **ret, size_t *ret_n)
{
    return text_of(o, ret, ret_n) && (*ret_n == 0 || !memchr(*ret, '\0', *ret_n));
}

/* All are strings; *ret_bytes: of all, each with a NUL behind it. */
static bool strings_ok(const msgpack_object *list, size_t *ret_bytes)
{
    const char *s;
    size_t n;

    if (list->type != MSGPACK_OBJECT_ARRAY)
        return false;
    for (uint32_t i = 0; i < list->via.array.size; i++) {
        if (!string_of(&list->via.array.ptr[i], &s, &n))
            return false;
        *ret_bytes += n + 1;
    }
    return true;
}

/* Terminated copies; their room is used up from *at on. */
static void copy_strings(const msgpack_object *list, char **ret, char **at)
{
    const char *s = "";
    size_t n = 0;

    for (uint32_t i = 0; i < list->via.array.size; i++) {
        (void)string_of(&list->via.array.ptr[i], &s, &n);
        if (n > 0)
            memcpy(*at, s, n);
        (*at)[n] = '\0';
        ret[i] = *at;
        *at += n + 1;
    }
}

static ptools_err read_argv(struct ptools_task *t, const msgpack_object *list, struct command_args *a)
{
    size_t bytes = 0;
    char **pointers, *at;

    if (!list)
        return task_fail(t, PTOOLS_ERR_BAD_ARGUMENT, "%s needs argv: a list of the program and its arguments",
                         t->function);
    if (!strings_ok(list, &bytes) || list->via.array.size == 0)
        return wrong(t, KEY_ARGV, "a list of one or more strings or bytes without zero bytes");
    pointers = task_room(t, (list->via.array.size + 2) * sizeof *pointers);
    at = task_room(t, bytes);
    if (!pointers || !at)
        return no_memory(t);
    a->argv = pointers + 1;
    a->argc = list->via.array.size;
    copy_strings(list, a->argv, &at);
    a->argv[a->argc] = NULL;
    return a->argv[0][0] ? PTOOLS_OK : wrong(t, KEY_ARGV, "a list that begins with the name of a program");
}

static ptools_err read_path(struct ptools_task *t, enum key key, const msgpack_object *o, const char **ret)
{
    const char *s;
    char *copy;
    size_t n;

    if (!o)
        return PTOOLS_OK;
    if (!string_of(o, &s, &n) || n == 0 || s[0] != '/' || n >= PATH_MAX)
        return wrong(t, key, "an absolute path");
    copy = task_room(t, n + 1);
    if (!copy)
        return no_memory(t);
    memcpy(copy, s, n);
    copy[n] = '\0';
    *ret = copy;
    return PTOOLS_OK;
}

static ptools_err read_number(struct ptools_task *t, enum key key, const msgpack_object *o, int64_t min, int64_t max,
                              int64_t *ret)
{
    char wanted[80];
    int64_t v;

    if (!o)
        return PTOOLS_OK;
    if (ptools_get_i64((ptools_value){ o }, &v) != PTOOLS_OK || v < min || v > max) {
        snprintf(wanted, sizeof wanted, "an integer from %" PRId64 " to %" PRId64, min, max);
        return wrong(t, key, wanted);
    }
    *ret = v;
    return PTOOLS_OK;
}

static ptools_err read_bool(struct ptools_task *t, enum key key, const msgpack_object *o, bool *ret)
{
    return o && ptools_get_bool((ptools_value){ o }, ret) != PTOOLS_OK ? wrong(t, key, "true or false") : PTOOLS_OK;
}

static ptools_err read_ok(struct ptools_task *t, const msgpack_object *o, struct command_args *a)
{
    uint64_t status;

    a->ok[0] = !o;
    if (o && o->type != MSGPACK_OBJECT_ARRAY)
        return wrong(t, KEY_OK, "a list of exit statuses");
    for (uint32_t i = 0; o && i < o->via.array.size; i++) {
        if (ptools_get_u64((ptools_value){ &o->via.array.ptr[i] }, &status) != PTOOLS_OK || status > 255)
            return wrong(t, KEY_OK, "a list of exit statuses, each from 0 to 255");
        a->ok[status / 8] |= (uint8_t)(1 << status % 8);
    }
    return PTOOLS_OK;
}

static ptools_err read_stdin(struct ptools_task *t, const msgpack_object *o, struct command_args *a)
{
    const char *s;

    if (!o)
        return PTOOLS_OK;
    if (!text_of(o, &s, &a->input_bytes))
        return wrong(t, KEY_STDIN, "a string or bytes");
    if (a->stdin_file)
        return task_fail(t, PTOOLS_ERR_BAD_ARGUMENT, "%s takes one of stdin and stdin_file, not both", t->function);
    a->input = (const uint8_t *)s;
    return PTOOLS_OK;
}

static ptools_err read_numbers(struct ptools_task *t, const msgpack_object *const found[KEYS], struct command_args *a)
{
    int64_t mask = -1, nice = 0, cpus = 0, pids = 0, mem = 0, out_max = 0;
    int64_t inline_max = INLINE_DEFAULT, attempt = t->attempt;
    ptools_err err = read_number(t, KEY_UMASK, found[KEY_UMASK], 0, 0777, &mask);

    if (err == PTOOLS_OK)
        err = read_number(t, KEY_NICE, found[KEY_NICE], NICE_MIN, NICE_MAX, &nice);
    if (err == PTOOLS_OK)
        err = read_number(t, KEY_CPUS, found[KEY_CPUS], 0, CPUS_MAX, &cpus);
    if (err == PTOOLS_OK)
        err = read_number(t, KEY_PIDS, found[KEY_PIDS], 0, PIDS_MAX, &pids);
    if (err == PTOOLS_OK)
        err = read_number(t, KEY_MEM, found[KEY_MEM], 0, INT64_MAX, &mem);
    if (err == PTOOLS_OK)
        err = read_number(t, KEY_OUT_MAX, found[KEY_OUT_MAX], 0, INT64_MAX, &out_max);
    if (err == PTOOLS_OK)
        err = read_number(t, KEY_INLINE_MAX, found[KEY_INLINE_MAX], 0, INT32_MAX, &inline_max);
    if (err == PTOOLS_OK)
        err = read_number(t, KEY_ATTEMPT, found[KEY_ATTEMPT], 1, INT32_MAX, &attempt);
    a->umask = (int)mask;
    a->nice = (int)nice;
    a->cpus = (uint32_t)cpus;
    a->pids = (uint32_t)pids;
    a->mem = (uint64_t)mem;
    a->out_max = (uint64_t)out_max;
    a->inline_max = (uint64_t)inline_max;
    a->attempt = (uint32_t)attempt;
    return err;
}

ptools_err command_args_read(struct ptools_task *t, struct command_args *ret)
{
    const msgpack_object *found[KEYS] = { 0 };
    ptools_err err = PTOOLS_OK;

    *ret = (struct command_args){ .cwd = "/", .fail = true };
    if (t->argc == 0 || t->argc > 2)
        return task_fail(t, PTOOLS_ERR_BAD_ARGUMENT, "%s takes a map, or two", t->function);
    for (uint32_t i = 0; err == PTOOLS_OK && i < t->argc; i++)
        err = find(t, &t->argv[i], found);
    if (err == PTOOLS_OK)
        err = read_argv(t, found[KEY_ARGV], ret);
    if (err == PTOOLS_OK)
        err = read_path(t, KEY_CWD, found[KEY_CWD], &ret->cwd);
    if (err == PTOOLS_OK)
        err = read_path(t, KEY_STDIN_FILE, found[KEY_STDIN_FILE], &ret->stdin_file);
    if (err == PTOOLS_OK)
        err = read_path(t, KEY_STAGE, found[KEY_STAGE], &ret->stage);
    if (err == PTOOLS_OK)
        err = read_stdin(t, found[KEY_STDIN], ret);
    if (err == PTOOLS_OK)
        err = read_bool(t, KEY_MERGE, found[KEY_MERGE], &ret->merge);
    if (err == PTOOLS_OK)
        err = read_bool(t, KEY_FAIL, found[KEY_FAIL], &ret->fail);
    if (err == PTOOLS_OK)
        err = read_ok(t, found[KEY_OK], ret);
    if (err == PTOOLS_OK)
        err = read_numbers(t, found, ret);
    ret->env = found[KEY_ENV];
    ret->set_env = found[KEY_SET_ENV];
    ret->arrays = found[KEY_ARRAYS];
    return err;
}
