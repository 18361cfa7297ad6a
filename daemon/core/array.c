/* SPDX-License-Identifier: MIT */
/*
 * array -- see array.h: the life of an array, and who maps it. What clients and processes ask is in
 * array_request.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/state.h"

struct array *array_find(const struct core *core, uint64_t id)
{
    struct array *a;

    HASH_FIND(hh, core->arrays, &id, sizeof id, a);
    return a;
}

struct array *array_named(const struct core *core, uint32_t uid, struct text prefix, struct text name)
{
    struct array_key key = { .uid = uid };
    struct array *a;

    if (name.n == 0 || name.n > NAME_BYTES_MAX || prefix.n > NAME_BYTES_MAX)
        return NULL;
    if (prefix.n)
        memcpy(key.prefix, prefix.data, prefix.n);
    memcpy(key.name, name.data, name.n);
    HASH_FIND(hh_name, core->named_arrays, &key, sizeof key, a);
    return a;
}

bool array_allows(const struct array *a, uint32_t uid)
{
    if (a->user->uid == uid)
        return true;
    for (uint32_t i = 0; i < a->n_share; i++)
        if (a->share[i] == uid)
            return true;
    return false;
}

bool core_array_seen_by(const struct core *core, uint64_t array, uint32_t uid)
{
    const struct array *a = array_find(core, array);

    return a && array_allows(a, uid);
}

/* -- holds ------------------------------------------------------------------------------------------------ */

int hold_add(struct array *a, enum core_holder kind, uint32_t id, struct hold **list)
{
    struct hold *h;

    DL_FOREACH2(a->holds, h, array_next) {
        if (h->kind != kind || h->id != id)
            continue;
        h->count++;
        return 0;
    }
    h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    *h = (struct hold){ .array = a, .kind = kind, .id = id, .count = 1, .list = list };
    DL_APPEND2(a->holds, h, array_prev, array_next);
    DL_APPEND2(*list, h, holder_prev, holder_next);
    return 0;
}

static void hold_free(struct hold *h)
{
    DL_DELETE2(h->array->holds, h, array_prev, array_next);
    DL_DELETE2(*h->list, h, holder_prev, holder_next);
    free(h);
}

/* -- the end ------------------------------------------------------------------------------------------------ */

/* Out of everything. Nobody is told. */
static void array_free(struct core *core, struct array *a)
{
    while (a->holds)
        hold_free(a->holds);
    heap_remove(&core->leases, &a->lease);
    if (a->in_names)
        HASH_DELETE(hh_name, core->named_arrays, a);
    HASH_DELETE(hh, core->arrays, a);
    if (a->owner)
        DL_DELETE2(a->owner->arrays, a, owner_prev, owner_next);
    core->shm_bytes -= a->charged;
    a->user->shm_bytes -= a->charged;
    a->user->n_arrays--;
    user_release(core, a->user);
    free(a);
}

void hold_drop(struct core *core, struct hold *h)
{
    struct array *a = h->array;

    hold_free(h);
    if (a->dropped && !a->holds)
        array_free(core, a);
}

void core_array_untake(struct core *core, uint32_t client, uint64_t array)
{
    struct client *c = client_find(core, client);
    struct hold *h;

    DL_FOREACH2(c ? c->holds : NULL, h, holder_next) {
        if (h->array->id != array)
            continue;
        if (--h->count == 0)
            hold_drop(core, h);
        return;
    }
}

void holds_drop(struct core *core, struct hold **list)
{
    while (*list)
        hold_drop(core, *list);
}

/* Processes unmap it; clients have to be waited for. */
static void tell_processes(struct array *a, struct actions *out)
{
    struct hold *h, *next;

    DL_FOREACH_SAFE2(a->holds, h, next, array_next) {
        struct action *act;

        if (h->kind == HOLDER_CLIENT)
            continue;
        act = action_add(out, ACT_ARRAY_FORGET);
        if (act) {
            act->worker = h->id;
            act->array = a->id;
        }
        hold_free(h);
    }
}

static void array_drop(struct core *core, struct array *a, struct actions *out)
{
    struct action *act;

    tell_processes(a, out); /* a task may have asked for it after its end */
    act = action_add(out, ACT_ARRAY_DROP);
    if (act)
        act->array = a->id;
    a->dropped = true;
    if (!a->holds)
        array_free(core, a);
}

void array_use(struct array *a)
{
    a->uses++;
}

void array_unuse(struct core *core, struct array *a, struct actions *out)
{
    a->uses--;
    if (a->state == ARRAY_ENDED && a->uses == 0)
        array_drop(core, a, out);
}

/* The process that waits for room in it gets none. */
static void tell_asked_process(struct array *a, struct actions *out)
{
    struct action *act = a->asked_process ? action_add(out, ACT_ARRAY_GIVE) : NULL;

    if (act) {
        act->worker = a->asked_process;
        act->task = a->for_task;
        act->code = PTOOLS_ERR_CANCELLED;
        snprintf(act->text, sizeof act->text, "nobody waits for the value any more");
    }
    a->asked_process = 0;
}

void array_is_taken(struct core *core, struct array *a)
{
    core->n_untaken -= a->untaken;
    a->untaken = false;
}

void array_end(struct core *core, struct array *a, const char *why, struct actions *out)
{
    if (a->state == ARRAY_ENDED)
        return;
    if (a->key.name[0])
        action_note(out, NOTE_ARRAY_ENDED, 0, 0, "array %" PRIu64 " (%s%s%s) of uid %" PRIu32 " ended: %s", a->id,
                    a->key.prefix, a->key.prefix[0] ? "/" : "", a->key.name, a->user->uid, why);
    array_is_taken(core, a);
    a->state = ARRAY_ENDED;
    tell_processes(a, out);
    tell_asked_process(a, out);
    heap_remove(&core->leases, &a->lease);
    if (a->in_names)
        HASH_DELETE(hh_name, core->named_arrays, a);
    a->in_names = false;
    if (a->owner)
        DL_DELETE2(a->owner->arrays, a, owner_prev, owner_next);
    a->owner = NULL;
    a->stasks = NULL;
    if (a->uses == 0)
        array_drop(core, a, out);
}

void array_adopt(struct array *a, struct stasks *s)
{
    if (a->owner)
        DL_DELETE2(a->owner->arrays, a, owner_prev, owner_next);
    a->owner = NULL;
    a->stasks = s;
}

void arrays_of_client_end(struct core *core, struct client *c, struct actions *out)
{
    holds_drop(core, &c->holds);
    while (c->arrays)
        array_end(core, c->arrays, "its owner left", out);
}

void arrays_of_process_end(struct core *core, uint32_t process, struct actions *out)
{
    struct array *a, *next;

    HASH_ITER(hh, core->arrays, a, next) {
        if (a->for_process != process || a->state != ARRAY_MAKING)
            continue;
        a->asked_process = 0; /* it waits no more */
        array_end(core, a, "the server task that it was made for is gone", out);
    }
}

void array_of_call_end(struct core *core, uint32_t client, uint32_t process, uint64_t call, struct actions *out)
{
    const struct client *c = client_find(core, client);
    struct array *a, *next;

    DL_FOREACH_SAFE2(c ? c->arrays : NULL, a, next, owner_next)
        if (a->for_process == process && a->for_call == call)
            array_end(core, a, "the call that it was made for has no answer", out);
}

void arrays_due(struct core *core, uint64_t now_us, struct actions *out)
{
    struct heap_node *node;

    while ((node = heap_top(&core->leases)) && heap_top_key(&core->leases) <= now_us)
        array_end(core, CONTAINER_OF(node, struct array, lease), "its time is over", out);
}

void arrays_deinit(struct core *core)
{
    struct array *a, *next;

    HASH_ITER(hh, core->arrays, a, next)
        array_free(core, a);
    heap_deinit(&core->leases);
}

/* -- large values -------------------------------------------------------------------------------------------- */

bool array_deliver(struct core *core, struct task *t, const struct core_value *value)
{
    struct array *a = array_find(core, value->array);

    if (!a || !t->client || a->state != ARRAY_READY || a->owner != t->client || (a != t->room && a != t->made) ||
        value->bytes > a->layout.bytes)
        return false;
    a->for_task = 0;
    if (a == t->made) { /* it is the client's, and no more the task's to drop */
        t->made = NULL;
        a->uses--;
        a->untaken = true;
        core->n_untaken++;
    }
    return true;
}

void arrays_map_everywhere(struct core *core, uint32_t worker, struct actions *out)
{
    struct array *a;

    for (a = core->arrays; a; a = a->hh.next) {
        struct action *act;

        if (!a->everywhere || a->state != ARRAY_READY)
            continue;
        act = action_add(out, ACT_ARRAY_MAP);
        if (!act)
            return;
        act->worker = worker;
        act->array = a->id;
    }
}

/* -- telling --------------------------------------------------------------------------------------------------- */

void array_describe(const struct array *a, struct fds_answer *ret)
{
    *ret = (struct fds_answer){
        .magic = FDS_MAGIC,
        .id = a->id,
        .bytes = a->layout.bytes,
        .mapped_bytes = a->memory.mapped_bytes,
        .offset = a->offset,
        .type = (uint32_t)a->layout.type,
        .order = (uint32_t)a->layout.order,
        .ndims = a->layout.ndims,
        .owner = a->user->uid,
        .flags = (a->memory.read_only ? FDS_IS_READ_ONLY : 0u) | (a->file ? FDS_IS_FILE : 0u) |
                 (a->memory.huge ? FDS_IS_HUGE : 0u) | (a->populate ? FDS_POPULATE : 0u),
    };
    memcpy(ret->dims, a->layout.dims, sizeof ret->dims);
    memcpy(ret->name, a->key.name, sizeof a->key.name);
    memcpy(ret->prefix, a->key.prefix, sizeof a->key.prefix);
}

uint32_t core_values_untaken(const struct core *core)
{
    return core->n_untaken;
}

bool core_view_array(const struct core *core, size_t index, struct core_array_view *ret)
{
    const struct array *a = core->arrays;

    while (a && (a->state == ARRAY_ENDED || index-- > 0))
        a = a->hh.next;
    if (!a)
        return false;
    *ret = (struct core_array_view){
        .id = a->id,
        .name = a->key.name,
        .prefix = a->key.prefix,
        .state = a->state == ARRAY_MAKING ? "making" : "ready",
        .type = (uint32_t)a->layout.type,
        .order = (uint32_t)a->layout.order,
        .ndims = a->layout.ndims,
        .dims = a->layout.dims,
        .bytes = a->layout.bytes,
        .mapped_bytes = a->memory.mapped_bytes,
        .offset = a->offset,
        .until_us = heap_holds(&a->lease) ? heap_key(&core->leases, &a->lease) : CORE_NEVER,
        .uid = a->user->uid,
        .client = a->owner ? a->owner->id : 0,
        .stasks = a->stasks ? a->stasks->id : 0,
        .keep = a->keep,
        .huge = a->memory.huge,
        .file = a->file,
        .read_only = a->memory.read_only,
        .share = a->share,
        .n_share = a->n_share,
    };
    return true;
}

bool core_view_holder(const struct core *core, uint64_t array, size_t index, enum core_holder *ret_kind,
                      uint32_t *ret_id)
{
    const struct array *a = array_find(core, array);
    const struct hold *h = a ? a->holds : NULL;

    while (h && index-- > 0)
        h = h->array_next;
    if (!h)
        return false;
    *ret_kind = h->kind;
    *ret_id = h->id;
    return true;
}
