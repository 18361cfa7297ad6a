/* SPDX-License-Identifier: MIT */
/*
 * array_request -- what is asked about arrays: by clients (create, unlink, close), by whoever maps one (take), by
 * workers (room for a large value); and what came of making one.
 *
 * All is checked before anything changes. "Not yours" is answered like "does not exist". A name is taken from the
 * moment that its array is being made, and found once it is there; but one that replaces another takes over the name
 * when it is there, so that the old one is not lost to a new one that cannot be made.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/state.h"

struct asked {
    struct core *core;
    uint64_t now_us;
    struct client *client;
    uint64_t request;
    const struct msg_array *m;
    struct actions *out;
};

#define REFUSE(a, code, ...) (answer_refusal((a)->out, (a)->client->id, (a)->request, code, __VA_ARGS__), false)

/* -- limits -------------------------------------------------------------------------------------------------- */

/* Which limit stands against so many bytes more, as a sentence; false: none. freed: what goes before. */
static bool over_limit(const struct core *core, const struct user *u, uint64_t bytes, uint64_t freed,
                       uint32_t freed_arrays, char text[256])
{
    const struct core_limits *l = &core->limits;
    const uint64_t users = u->shm_bytes - freed, all = core->shm_bytes - freed;

    if (u->n_arrays - freed_arrays >= l->user_arrays_max) {
        snprintf(text, 256, "over the limit user_arrays_max: %" PRIu32 " of %" PRIu32 " in use, 1 more asked for",
                 u->n_arrays, l->user_arrays_max);
        return true;
    }
    if (bytes == 0) /* in a file: no matter that whole pages have gone a little beyond a limit */
        return false;
    if (bytes > l->user_shm_max || users > l->user_shm_max - bytes) {
        snprintf(text, 256,
                 "over the limit user_shm_max: %" PRIu64 " bytes asked for, %" PRIu64 " free, the limit is %" PRIu64,
                 bytes, l->user_shm_max - MIN(users, l->user_shm_max), l->user_shm_max);
        return true;
    }
    if (bytes > l->shm_max || all > l->shm_max - bytes) {
        snprintf(text, 256,
                 "over the limit shm_max: %" PRIu64 " bytes asked for, %" PRIu64 " free, the limit is %" PRIu64, bytes,
                 l->shm_max - MIN(all, l->shm_max), l->shm_max);
        return true;
    }
    return false;
}

/* -- create ---------------------------------------------------------------------------------------------------- */

/* false: no memory. */
static bool take_name(struct core *core, struct array *a)
{
    if (!a->key.name[0] || a->in_names)
        return true;
    HASH_ADD(hh_name, core->named_arrays, key, sizeof a->key, a);
    a->in_names = a->hh_name.tbl != NULL;
    return a->in_names;
}

/* In the tables, charged, and being made. NULL: no memory, nothing changed. */
static struct array *array_new(struct core *core, struct user *user, const struct layout *layout,
                               const struct array_key *key, bool file, bool replaces)
{
    struct array *a = calloc(1, sizeof *a);

    if (!a)
        return NULL;
    a->id = core->last_array + 1;
    a->state = ARRAY_MAKING;
    a->user = user;
    a->layout = *layout;
    a->key = *key;
    a->file = file;
    HASH_ADD(hh, core->arrays, id, sizeof a->id, a);
    if (!a->hh.tbl) {
        free(a);
        return NULL;
    }
    a->replaces = replaces;
    if (!replaces && !take_name(core, a)) {
        HASH_DELETE(hh, core->arrays, a);
        free(a);
        return NULL;
    }
    core->last_array++;
    a->charged = file ? 0 : layout->bytes;
    user->n_arrays++;
    user->shm_bytes += a->charged;
    core->shm_bytes += a->charged;
    return a;
}

static void ask_for_memory(struct array *a, uint64_t file, bool huge, struct actions *out)
{
    struct action *act = action_add(out, ACT_ARRAY_MAKE);

    if (!act)
        return;
    act->array = a->id;
    act->bytes = a->layout.bytes;
    act->huge = huge;
    act->file = file;
    act->offset = a->offset;
    act->client = a->asked_client;
}

static bool shape_allowed(const struct asked *a, struct layout *ret)
{
    char why[LAYOUT_WHY_BYTES];

    if (!layout_make(ret, a->m->type, a->m->order, a->m->ndims, a->m->dims, why))
        return REFUSE(a, PTOOLS_ERR_INVALID, "%s", why);
    if (a->m->keep && !a->m->name.data)
        return REFUSE(a, PTOOLS_ERR_BAD_REQUEST, "keep: an array without a name cannot be kept: nobody could find it");
    if (a->m->keep_ms && !a->m->keep)
        return REFUSE(a, PTOOLS_ERR_BAD_REQUEST, "keep_ms: only an array that is kept has a time");
    if (a->m->offset && !a->m->file)
        return REFUSE(a, PTOOLS_ERR_BAD_REQUEST, "offset: only an array in a file has one");
    if (a->m->file && a->m->huge)
        return REFUSE(a, PTOOLS_ERR_BAD_REQUEST, "huge: a file has no huge pages");
    return true;
}

static bool client_holds(const struct array *a)
{
    const struct hold *h;

    DL_FOREACH2(a->holds, h, array_next)
        if (h->kind == HOLDER_CLIENT)
            return true;
    return false;
}

static void create(const struct asked *a)
{
    const struct msg_array *m = a->m;
    struct array_key key = { .uid = a->client->user->uid };
    struct array *old = NULL, *made = NULL;
    struct layout layout;
    char text[256];
    bool freed;

    if (!shape_allowed(a, &layout))
        return;
    if (m->name.data) {
        memcpy(key.name, m->name.data, m->name.n);
        if (m->prefix.data)
            memcpy(key.prefix, m->prefix.data, m->prefix.n);
        old = array_named(a->core, key.uid, m->prefix, m->name);
    }
    if (old && (!m->replace || old->state == ARRAY_MAKING || old->stasks)) {
        (void)REFUSE(a, PTOOLS_ERR_EXISTS, "there is an array %s%s%s already%s", key.prefix, key.prefix[0] ? "/" : "",
                     key.name,
                     old->stasks                       ? ", of server tasks: it ends with them"
                     : old->state == ARRAY_MAKING ? ", which is just being made"
                                                  : "");
        return;
    }
    freed = old && !client_holds(old);
    if (over_limit(a->core, a->client->user, m->file ? 0 : layout.bytes, freed ? old->charged : 0, freed, text)) {
        (void)REFUSE(a, PTOOLS_ERR_LIMIT, "%s", text);
        return;
    }
    if (heap_reserve(&a->core->leases, HASH_COUNT(a->core->arrays) + 1) == 0) /* so that one more never lacks memory */
        made = array_new(a->core, a->client->user, &layout, &key, m->file != 0, old != NULL);
    if (!made) {
        a->out->no_memory = true;
        return;
    }
    made->owner = a->client;
    DL_APPEND2(a->client->arrays, made, owner_prev, owner_next);
    made->keep = m->keep;
    made->keep_ms = m->keep_ms;
    made->everywhere = m->everywhere;
    made->populate = m->populate;
    made->offset = m->offset;
    made->n_share = m->n_share;
    if (m->n_share)
        memcpy(made->share, m->share, m->n_share * sizeof *m->share);
    made->asked_client = a->client->id;
    made->asked_request = a->request;
    ask_for_memory(made, m->file, m->huge, a->out);
}

/* -- made ------------------------------------------------------------------------------------------------------ */

static void give(struct array *a, uint32_t worker, uint64_t task, ptools_err code, const char *why,
                 struct actions *out)
{
    struct action *act = action_add(out, ACT_ARRAY_GIVE);

    if (!act)
        return;
    act->worker = worker;
    act->task = task;
    act->array = a ? a->id : 0;
    act->code = code;
    snprintf(act->text, sizeof act->text, "%s", why);
}

static void not_made(struct core *core, struct array *a, ptools_err code, const char *why, struct actions *out)
{
    struct task *t = task_find(core, a->for_task);

    if (a->asked_client)
        answer_refusal(out, a->asked_client, a->asked_request, code, "%s", why);
    if (a->asked_process)
        give(NULL, a->asked_process, a->for_task, code, why, out);
    a->asked_client = a->asked_process = 0;
    if (t) {
        t->made = NULL;
        a->uses--;
    }
    array_end(core, a, why, out);
}

/* The name goes over to it from the one that it replaces, or whoever has it now. false: it is not made after all. */
static bool replace(struct core *core, struct array *a, struct actions *out)
{
    const struct text prefix = { a->key.prefix, strlen(a->key.prefix) }, name = { a->key.name, strlen(a->key.name) };
    struct array *old = array_named(core, a->key.uid, prefix, name);

    if (old && (old->state == ARRAY_MAKING || old->stasks)) {
        not_made(core, a, PTOOLS_ERR_EXISTS, "another array has taken the name meanwhile", out);
        return false;
    }
    if (old)
        array_end(core, old, "it was replaced", out);
    a->replaces = false;
    if (take_name(core, a))
        return true;
    not_made(core, a, PTOOLS_ERR_LIMIT, "the daemon is out of memory", out);
    return false;
}

static void is_made(struct core *core, uint64_t now_us, struct array *a, struct actions *out)
{
    const struct msg_reply reply = { .array = a->id, .huge = a->memory.huge };
    char text[LAYOUT_TEXT_BYTES];

    a->state = ARRAY_READY;
    if (a->keep) { /* nobody's: until its time, or until it is unlinked */
        DL_DELETE2(a->owner->arrays, a, owner_prev, owner_next);
        a->owner = NULL;
        if (a->keep_ms)
            (void)heap_push(&core->leases, &a->lease, now_us + a->keep_ms * 1000); /* create() has made room */
    }
    if (a->key.name[0]) {
        layout_text(&a->layout, text);
        action_note(out, NOTE_ARRAY_MADE, 0, 0, "array %" PRIu64 " (%s%s%s) of uid %" PRIu32 ": %s", a->id,
                    a->key.prefix, a->key.prefix[0] ? "/" : "", a->key.name, a->user->uid, text);
    }
    if (a->asked_client)
        answer_reply(out, a->asked_client, a->asked_request, &reply, NULL);
    a->asked_client = 0;
    if (a->asked_process)
        give(a, a->asked_process, a->for_task, PTOOLS_OK, "", out);
    a->asked_process = 0;
    for (uint32_t i = 0; a->everywhere && i < core->n_workers + core->n_stand_ins; i++) {
        const struct worker *w = worker_at(core, i);
        struct action *act;

        if (w->state == WORKER_STARTING || w->state == WORKER_DEAD)
            continue; /* arrays_map_everywhere() when it is ready */
        act = action_add(out, ACT_ARRAY_MAP);
        if (act) {
            act->worker = w->id;
            act->array = a->id;
        }
    }
}

void core_array_made(struct core *core, uint64_t now_us, uint64_t array, ptools_err code, const char *why,
                     const struct core_memory *memory, struct actions *out)
{
    struct array *a = array_find(core, array);

    if (!a || a->state == ARRAY_READY) {
        action_bug(out, 0, 0, "array %" PRIu64 " was made, which was not asked for", array);
        return;
    }
    if (a->state == ARRAY_ENDED)
        return; /* meanwhile: it goes with its last use */
    if (code != PTOOLS_OK) {
        not_made(core, a, code, why, out);
        return;
    }
    a->memory = *memory;
    if (!a->file) { /* what it takes in whole pages, now that this is known */
        core->shm_bytes += memory->mapped_bytes - a->charged;
        a->user->shm_bytes += memory->mapped_bytes - a->charged;
        a->charged = memory->mapped_bytes;
    }
    if (!a->replaces || replace(core, a, out))
        is_made(core, now_us, a, out);
}

/* -- unlink, close ----------------------------------------------------------------------------------------------- */

static void unlink_it(const struct asked *a)
{
    const struct msg_reply reply = { 0 };
    const struct user *user = a->client->user;
    struct array *found = a->m->array ? array_find(a->core, a->m->array)
                                      : array_named(a->core, user->uid, a->m->prefix, a->m->name);

    if (!found || found->state != ARRAY_READY || found->user != user) {
        if (a->m->array)
            (void)REFUSE(a, PTOOLS_ERR_NO_ARRAY, "no array %" PRIu64, a->m->array);
        else
            (void)REFUSE(a, PTOOLS_ERR_NO_ARRAY, "no array %.*s%s%.*s", (int)a->m->prefix.n,
                         a->m->prefix.n ? a->m->prefix.data : "", a->m->prefix.n ? "/" : "", (int)a->m->name.n,
                         a->m->name.data);
        return;
    }
    if (found->stasks) {
        (void)REFUSE(a, PTOOLS_ERR_EXISTS, "array %s is of server tasks: it ends when they are stopped",
                     found->key.name);
        return;
    }
    array_end(a->core, found, "it was unlinked", a->out);
    answer_reply(a->out, a->client->id, a->request, &reply, NULL);
}

static void close_it(const struct asked *a)
{
    const struct msg_reply reply = { 0 };

    core_array_untake(a->core, a->client->id, a->m->array);
    answer_reply(a->out, a->client->id, a->request, &reply, NULL); /* one that has ended is closed */
}

void core_array(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, enum msg_kind kind,
                const struct msg_array *array, struct actions *out)
{
    const struct asked a = { core, now_us, client_find(core, client), request, array, out };

    if (!a.client) {
        action_bug(out, 0, 0, "a request of client %" PRIu32 ", which there is not", client);
        return;
    }
    switch (kind) {
    case MSG_ARRAY_CREATE:
        create(&a);
        return;
    case MSG_ARRAY_UNLINK:
        unlink_it(&a);
        return;
    case MSG_ARRAY_CLOSE:
        close_it(&a);
        return;
    default:
        action_bug(out, 0, 0, "core_array: %s is not about arrays", msg_kind_name(kind));
    }
}

/* -- take -------------------------------------------------------------------------------------------------------- */

struct taker {
    enum core_holder kind;
    uint32_t id;
    struct hold **holds;
    const struct user *user; /* on whose behalf; NULL: a worker's own, for arrays that are everywhere */
    const struct task *task;
};

/* false: whoever asks is not known. */
static bool taker_find(const struct core *core, bool is_client, uint32_t who, uint64_t task, struct taker *ret)
{
    struct client *c;
    struct worker *w;
    struct stask *s;

    if (is_client) {
        c = client_find(core, who);
        if (c)
            *ret = (struct taker){ HOLDER_CLIENT, who, &c->holds, c->user, NULL };
        return c != NULL;
    }
    if (is_stask_process(who)) {
        s = stask_by_process(core, who);
        if (s)
            *ret = (struct taker){ HOLDER_STASK, who, &s->holds, s->handle->user, NULL };
        return s != NULL;
    }
    w = worker_or_stand_in(core, who);
    if (!w)
        return false;
    *ret = (struct taker){ HOLDER_WORKER, who, &w->holds, NULL, task ? worker_held(w, task) : NULL };
    if (ret->task)
        ret->user = ret->task->user;
    return true;
}

static bool may_take(const struct taker *t, const struct array *a)
{
    if (t->task && (a == t->task->args || a == t->task->room || a == t->task->made))
        return a->state != ARRAY_MAKING;
    if (a->state != ARRAY_READY)
        return false;
    return t->user ? array_allows(a, t->user->uid) : a->everywhere;
}

static struct array *taken_array(const struct core *core, const struct taker *t, const struct fds_request *r)
{
    const struct text name = { r->name, strnlen(r->name, sizeof r->name) };
    const struct text prefix = { r->prefix, strnlen(r->prefix, sizeof r->prefix) };

    if (r->kind == FDS_SHARED)
        return stasks_array(core, t->user ? t->user->uid : FDS_OWN, r->id, r->index);
    if (r->id)
        return array_find(core, r->id);
    if (!t->user)
        return NULL;
    return array_named(core, r->owner == FDS_OWN ? t->user->uid : r->owner, prefix, name);
}

void core_array_take(struct core *core, bool is_client, uint32_t who, const struct fds_request *r,
                     struct fds_answer *ret)
{
    struct array *a;
    struct taker t;

    if (!taker_find(core, is_client, who, r->task, &t)) {
        fds_answer_refuse(ret, PTOOLS_ERR_INTERNAL, "whoever asks is not known");
        return;
    }
    a = taken_array(core, &t, r);
    if (!a || !may_take(&t, a)) {
        if (r->kind == FDS_SHARED)
            fds_answer_refuse(ret, PTOOLS_ERR_NO_ARRAY, "server tasks %" PRIu64 " have no array %" PRIu32, r->id,
                              r->index);
        else if (r->id)
            fds_answer_refuse(ret, PTOOLS_ERR_NO_ARRAY, "no array %" PRIu64, r->id);
        else
            fds_answer_refuse(ret, PTOOLS_ERR_NO_ARRAY, "no array %.*s%s%.*s", FDS_NAME_BYTES - 1, r->prefix,
                              r->prefix[0] ? "/" : "", FDS_NAME_BYTES - 1, r->name);
        return;
    }
    if (hold_add(a, t.kind, t.id, t.holds) < 0) {
        fds_answer_refuse(ret, PTOOLS_ERR_LIMIT, "the daemon is out of memory");
        return;
    }
    if (is_client) {
        a->for_process = 0; /* it is the caller's now */
        array_is_taken(core, a);
    }
    array_describe(a, ret);
}

/* -- room for a large value ---------------------------------------------------------------------------------------- */

/* Owned by the client from its birth, so that it cannot outlive it. */
static struct array *value_new(struct core *core, struct client *c, uint32_t process, uint64_t task, uint64_t bytes,
                               struct actions *out)
{
    const struct array_key key = { .uid = c->user->uid };
    char text[256], why[LAYOUT_WHY_BYTES];
    struct layout layout;
    struct array *a;

    if (!layout_make(&layout, PTOOLS_UINT8, PTOOLS_ROW_MAJOR, 1, &bytes, why)) {
        give(NULL, process, task, PTOOLS_ERR_TOO_LARGE, why, out);
        return NULL;
    }
    if (over_limit(core, c->user, bytes, 0, 0, text)) {
        give(NULL, process, task, PTOOLS_ERR_LIMIT, text, out);
        return NULL;
    }
    a = array_new(core, c->user, &layout, &key, false, false);
    if (!a) {
        out->no_memory = true;
        return NULL;
    }
    a->owner = c;
    DL_APPEND2(c->arrays, a, owner_prev, owner_next);
    a->asked_process = process;
    return a;
}

void core_array_for_value(struct core *core, uint64_t now_us, uint32_t worker, uint32_t client, uint64_t task,
                          uint64_t bytes, struct actions *out)
{
    const struct stask *s = is_stask_process(worker) ? stask_by_process(core, worker) : NULL;
    struct worker *w = is_stask_process(worker) ? NULL : worker_or_stand_in(core, worker);
    struct task *t = w ? worker_held(w, task) : NULL;
    struct client *c = t ? t->client : client_find(core, client);
    struct array *a;

    (void)now_us;
    if (!c || (t ? t->made || t->detached : !s || s->handle->user != c->user)) {
        give(NULL, worker, task, PTOOLS_ERR_CANCELLED, "nobody waits for the value", out);
        return;
    }
    a = value_new(core, c, worker, task, bytes, out);
    if (!a)
        return;
    if (t) {
        a->for_task = t->id;
        t->made = a;
        array_use(a);
    } else {
        a->for_process = worker;
        a->for_call = task;
    }
    ask_for_memory(a, 0, false, out);
}
