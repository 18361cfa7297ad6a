/* SPDX-License-Identifier: MIT */
/*
 * inspect_shared -- the documents "arrays" (the map of shared memory) and "stasks" (server tasks). A user sees their
 * own, and the arrays that others share with them. Changes nothing.
 */
#include <string.h>

#include "daemon/ptoolsd/door.h"
#include "daemon/ptoolsd/inspect.h"
#include "daemon/ptoolsd/memory.h"
#include "daemon/ptoolsd/supervisor.h"

static void put_numbers(ptools_pack *p, const char *key, const uint64_t *v, uint32_t n)
{
    ptools_pack_str(p, key);
    ptools_pack_list(p, n);
    for (uint32_t i = 0; i < n; i++)
        ptools_pack_u64(p, v[i]);
}

static void put_holders(struct daemon *d, uint64_t array, ptools_pack *p)
{
    static const char *const kinds[] = { [HOLDER_CLIENT] = "client", [HOLDER_WORKER] = "worker",
                                         [HOLDER_STASK] = "stask" };
    enum core_holder kind;
    uint32_t id, n = 0;

    while (core_view_holder(d->core, array, n, &kind, &id))
        n++;
    ptools_pack_str(p, "mapped_by");
    ptools_pack_list(p, n);
    for (uint32_t i = 0; core_view_holder(d->core, array, i, &kind, &id); i++) {
        int32_t pid = kind == HOLDER_CLIENT ? door_client_pid(d->door, id) : supervisor_pid(d->supervisor, id);

        ptools_pack_map(p, 3);
        inspect_str(p, "kind", kinds[kind]);
        inspect_u64(p, "id", id & ~STASK_PROCESS_BIT);
        inspect_u64(p, "pid", (uint64_t)(pid > 0 ? pid : 0));
    }
}

static void put_array(struct daemon *d, const struct core_array_view *a, ptools_pack *p)
{
    int32_t pid = a->client ? door_client_pid(d->door, a->client) : 0;
    uint64_t now = daemon_now(d);

    ptools_pack_map(p, 21);
    inspect_u64(p, "id", a->id);
    inspect_str(p, "name", a->name);
    inspect_str(p, "prefix", a->prefix);
    inspect_str(p, "type", ptools_type_name((ptools_type)a->type));
    put_numbers(p, "dims", a->dims, a->ndims);
    inspect_str(p, "order", a->order == PTOOLS_COLUMN_MAJOR ? "column" : "row");
    inspect_u64(p, "bytes", a->bytes);
    inspect_u64(p, "resident_bytes", memory_resident_bytes(d->memory, a->id));
    inspect_str(p, "state", a->state);
    inspect_u64(p, "uid", a->uid);
    inspect_bool(p, "keep", a->keep);
    inspect_u64(p, "ends_in_ms", a->until_us == CORE_NEVER ? 0 : (MAX(a->until_us, now + 1000) - now) / 1000);
    inspect_bool(p, "huge", a->huge);
    inspect_bool(p, "file", a->file);
    inspect_bool(p, "read_only", a->read_only);
    inspect_u64(p, "offset", a->offset);
    inspect_u64(p, "client", a->client);
    inspect_u64(p, "client_pid", (uint64_t)(pid > 0 ? pid : 0));
    inspect_u64(p, "stasks", a->stasks);
    ptools_pack_str(p, "share");
    ptools_pack_list(p, a->n_share);
    for (uint32_t i = 0; i < a->n_share; i++)
        ptools_pack_u64(p, a->share[i]);
    put_holders(d, a->id, p);
}

void inspect_arrays(struct daemon *d, uint32_t uid, ptools_pack *p)
{
    struct core_array_view a;
    uint32_t n = 0;

    for (size_t i = 0; core_view_array(d->core, i, &a); i++)
        n += core_array_seen_by(d->core, a.id, uid);
    ptools_pack_list(p, n);
    for (size_t i = 0; core_view_array(d->core, i, &a); i++)
        if (core_array_seen_by(d->core, a.id, uid))
            put_array(d, &a, p);
}

static void put_task(struct daemon *d, const struct core_stask_view *t, uint32_t index, ptools_pack *p)
{
    struct page_words words = { 0 };
    const char *state = t->state;
    bool known = supervisor_words(d->supervisor, t->process, &words);

    if (strcmp(state, "up") == 0)
        state = known && words.task ? "busy" : "idle";
    ptools_pack_map(p, 8);
    inspect_u64(p, "index", index);
    inspect_u64(p, "process", t->process & ~STASK_PROCESS_BIT);
    inspect_u64(p, "pid", (uint64_t)(t->pid > 0 ? t->pid : 0));
    inspect_str(p, "state", state);
    inspect_str(p, "function", words.task ? words.function : "");
    inspect_str(p, "phase", words.task ? words.phase : "");
    inspect_u64(p, "calls", words.calls);
    inspect_str(p, "why", t->why);
}

void inspect_stasks(struct daemon *d, uint32_t uid, ptools_pack *p)
{
    struct core_stasks_view s;
    struct core_stask_view t;
    uint32_t n = 0;

    for (size_t i = 0; core_view_stasks(d->core, i, &s); i++)
        n += s.uid == uid;
    ptools_pack_list(p, n);
    for (size_t i = 0; core_view_stasks(d->core, i, &s); i++) {
        if (s.uid != uid)
            continue;
        ptools_pack_map(p, 9);
        inspect_u64(p, "id", s.id);
        inspect_str(p, "name", s.name);
        inspect_str(p, "prefix", s.prefix);
        inspect_u64(p, "uid", s.uid);
        inspect_u64(p, "client", s.client);
        inspect_u64(p, "count", s.count);
        inspect_u64(p, "alive", s.alive);
        ptools_pack_str(p, "arrays");
        ptools_pack_list(p, s.n_arrays);
        for (uint32_t k = 0; k < s.n_arrays; k++)
            ptools_pack_u64(p, core_view_stasks_array(d->core, s.id, k));
        ptools_pack_str(p, "tasks");
        ptools_pack_list(p, s.count);
        for (uint32_t k = 0; core_view_stask(d->core, s.id, k, &t); k++)
            put_task(d, &t, k, p);
    }
}
