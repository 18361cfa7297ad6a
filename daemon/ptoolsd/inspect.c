/* SPDX-License-Identifier: MIT */
/*
 * inspect -- see inspect.h. Reads the core through its views and the control pages of the workers;
 * changes nothing. A user sees the sets of their own uid; workers and modules are everybody's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/ptoolsd/cgroups.h"
#include "daemon/ptoolsd/door.h"
#include "daemon/ptoolsd/inspect.h"
#include "daemon/ptoolsd/recorder.h"
#include "daemon/ptoolsd/supervisor.h"
#include "proto/limits.h"
#include "proto/value.h"

void inspect_u64(ptools_pack *p, const char *key, uint64_t v)
{
    ptools_pack_str(p, key);
    ptools_pack_u64(p, v);
}

void inspect_str(ptools_pack *p, const char *key, const char *v)
{
    ptools_pack_str(p, key);
    ptools_pack_str(p, v ? v : "");
}

void inspect_bool(ptools_pack *p, const char *key, bool v)
{
    ptools_pack_str(p, key);
    ptools_pack_bool(p, v);
}

static uint64_t own_rss_bytes(void)
{
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f) {
        if (fscanf(f, "%*u %llu", &pages) != 1)
            pages = 0;
        fclose(f);
    }
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void document_status(struct daemon *d, uint32_t uid, ptools_pack *p)
{
    char limits[CGROUPS_LIMITS_BYTES];
    struct core_stats s;
    uint32_t pauses = 0;
    const char *tag;

    core_view_stats(d->core, &s);
    ptools_pack_map(p, 24);
    inspect_str(p, "version", PTOOLS_VERSION);
    inspect_u64(p, "protocol", PROTOCOL_VERSION_MAX);
    inspect_u64(p, "pid", (uint64_t)getpid());
    inspect_u64(p, "uid", (uint64_t)geteuid());
    inspect_u64(p, "uptime_s", (daemon_now(d) - d->started_us) / 1000000);
    inspect_str(p, "dir", d->config->dir);
    inspect_bool(p, "private", d->config->private_mode);
    inspect_bool(p, "draining", d->draining);
    inspect_u64(p, "clients", s.clients);
    inspect_u64(p, "workers", s.workers);
    inspect_u64(p, "stand_ins", s.stand_ins);
    inspect_u64(p, "sets", s.sets);
    ptools_pack_str(p, "tasks");
    ptools_pack_map(p, 6);
    inspect_u64(p, "waiting", s.waiting);
    inspect_u64(p, "given", s.given);
    inspect_u64(p, "submitted", s.submitted);
    inspect_u64(p, "done", s.done);
    inspect_u64(p, "failed", s.failed);
    inspect_u64(p, "cancelled", s.cancelled);
    inspect_u64(p, "payload_bytes", s.payload_bytes);
    inspect_u64(p, "stale", s.stale);
    inspect_u64(p, "given_ahead", s.given_ahead);
    inspect_u64(p, "taken_back", s.taken_back);
    inspect_u64(p, "rss_bytes", own_rss_bytes());
    inspect_u64(p, "arrays", s.arrays);
    inspect_u64(p, "shm_bytes", s.shm_bytes);
    inspect_u64(p, "stasks", s.stasks);
    ptools_pack_str(p, "queue");
    ptools_pack_map(p, 4);
    inspect_u64(p, "taken", s.queued);
    inspect_u64(p, "waiting", s.queue_waiting);
    inspect_u64(p, "known", s.queue_known);
    while (core_view_pause(d->core, uid, pauses))
        pauses++;
    ptools_pack_str(p, "paused");
    ptools_pack_list(p, pauses);
    for (uint32_t i = 0; (tag = core_view_pause(d->core, uid, i)); i++)
        ptools_pack_str(p, tag[0] ? tag : "*");
    ptools_pack_str(p, "journal");
    ptools_pack_map(p, 2);
    inspect_str(p, "dir", d->recorder ? d->config->state_dir : "");
    inspect_str(p, "failed", recorder_failed(d->recorder));
    ptools_pack_str(p, "cgroups");
    ptools_pack_map(p, 3);
    inspect_bool(p, "used", d->cgroups != NULL);
    inspect_str(p, "limits", cgroups_limits(d->cgroups, limits));
    inspect_str(p, "why", d->cgroups_why);
}

static void document_workers(struct daemon *d, uint32_t uid, ptools_pack *p)
{
    struct core_worker_view w;
    struct page_words words;
    uint32_t n = 0;

    (void)uid;
    while (core_view_worker(d->core, n, &w))
        n++;
    ptools_pack_list(p, n);
    for (uint32_t i = 0; core_view_worker(d->core, i, &w); i++) {
        if (!supervisor_words(d->supervisor, w.id, &words) || words.task == 0)
            words = (struct page_words){ 0 };
        ptools_pack_map(p, 14);
        inspect_u64(p, "id", w.id);
        inspect_u64(p, "stands_for", w.stands_for);
        inspect_u64(p, "pid", (uint64_t)(w.pid > 0 ? w.pid : 0));
        inspect_str(p, "state", w.state);
        inspect_u64(p, "task", w.task);
        inspect_str(p, "function", w.function);
        inspect_str(p, "phase", words.phase);
        ptools_pack_str(p, "progress");
        ptools_pack_list(p, 2);
        ptools_pack_u64(p, words.progress);
        ptools_pack_u64(p, words.progress_of);
        inspect_u64(p, "given", w.given);
        inspect_u64(p, "waiting", w.waiting);
        inspect_u64(p, "tasks_done", w.done);
        inspect_u64(p, "deaths", w.deaths);
        inspect_u64(p, "recycled", w.recycled);
        inspect_u64(p, "rss_bytes", supervisor_rss_bytes(d->supervisor, w.id));
    }
}

static void document_sets(struct daemon *d, uint32_t uid, ptools_pack *p)
{
    struct core_set_view s;
    uint32_t n = 0;

    for (size_t i = 0; core_view_set(d->core, i, &s); i++)
        n += s.id == 0 || s.uid == uid;
    ptools_pack_list(p, n);
    for (size_t i = 0; core_view_set(d->core, i, &s); i++) {
        if (s.id != 0 && s.uid != uid)
            continue;
        ptools_pack_map(p, 6);
        inspect_u64(p, "id", s.id);
        inspect_str(p, "name", s.name);
        inspect_str(p, "mode", s.mode == 1 ? "rr" : "ff");
        ptools_pack_str(p, "workers");
        ptools_pack_list(p, s.n);
        for (uint32_t k = 0; k < s.n; k++)
            ptools_pack_u64(p, s.members[k]);
        inspect_u64(p, "waiting", s.waiting);
        inspect_u64(p, "uid", s.id ? s.uid : (uint64_t)geteuid());
    }
}

static void document_modules(struct daemon *d, uint32_t uid, ptools_pack *p)
{
    struct core_module_view m;
    uint32_t n = 0;

    (void)uid;
    while (core_view_module(d->core, n, &m))
        n++;
    ptools_pack_list(p, n);
    for (uint32_t i = 0; core_view_module(d->core, i, &m); i++) {
        size_t functions = m.report ? m.report->n : 0;

        ptools_pack_map(p, 8);
        inspect_str(p, "name", m.name);
        inspect_str(p, "state", m.state);
        inspect_str(p, "help", m.report ? m.report->help : "");
        inspect_str(p, "path", m.report ? m.report->path : "");
        inspect_str(p, "problem", m.report ? m.report->problem : "");
        inspect_bool(p, "in_worker", m.report && (m.report->flags & REPORT_IN_WORKER));
        inspect_u64(p, "calls", m.calls);
        ptools_pack_str(p, "functions");
        ptools_pack_list(p, (uint32_t)functions);
        for (size_t k = 0; k < functions; k++) {
            const struct report_function *f = &m.report->functions[k];
            uint64_t calls = 0, usual_us = 0;

            core_view_function(d->core, m.name, k, &calls, &usual_us);
            ptools_pack_map(p, 5);
            inspect_str(p, "name", f->name);
            inspect_str(p, "help", f->help);
            inspect_bool(p, "idempotent", f->flags & 1u);
            inspect_u64(p, "calls", calls);
            inspect_u64(p, "usual_us", usual_us);
        }
    }
}

static const struct {
    const char *what;
    void (*write)(struct daemon *d, uint32_t uid, ptools_pack *p);
} documents[] = {
    { "status", document_status },
    { "workers", document_workers },
    { "sets", document_sets },
    { "modules", document_modules },
    { "arrays", inspect_arrays },
    { "stasks", inspect_stasks },
};

int inspect_document(struct daemon *d, uint32_t uid, const struct text *what, struct blob **ret)
{
    for (size_t i = 0; i < ELEMENTS(documents); i++) {
        ptools_pack *p;
        const uint8_t *data;
        size_t n;

        if (what->n != strlen(documents[i].what) || memcmp(what->data, documents[i].what, what->n) != 0)
            continue;
        p = ptools_pack_new();
        if (!p)
            return -ENOMEM;
        documents[i].write(d, uid, p);
        if (pack_finish_value(p, &data, &n) == PTOOLS_OK)
            *ret = blob_new(data, n);
        ptools_pack_free(p);
        return *ret ? 0 : -ENOMEM;
    }
    return INSPECT_UNKNOWN;
}
