/* SPDX-License-Identifier: MIT */
/*
 * inspect_queue -- queued tasks as documents: one (task-get), or a page of a user's (task-list). See PROTOCOL.md.
 *
 * What is 0, false or empty is not written: a page of thousands of tasks is mostly that. A map's size comes before its
 * entries, so each task is gone through twice, the first time to count.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "daemon/ptoolsd/inspect.h"
#include "daemon/ptoolsd/supervisor.h"
#include "proto/output.h"

enum { WALK_MAX = TASK_PAGE_MAX * WALK_SHOWN }; /* a page ends there, maybe empty: nobody else waits longer */
enum { PAGE_BYTES_MAX = 4 << 20 }; /* a page ends before arguments that go beyond it, and with the task that does */
enum { BYTES_OF_LOOK = 32 }; /* so much that is written costs what a look does, about */

static const char *const durabilities[] = { "volatile", "volatile", "crashsafe", "durable" };

struct writer {
    ptools_pack *p; /* NULL: it only counts */
    uint32_t n;
};

static bool key(struct writer *w, const char *name, bool is_set)
{
    if (!is_set)
        return false;
    w->n++;
    if (w->p)
        ptools_pack_str(w->p, name);
    return w->p != NULL;
}

static void put_u64(struct writer *w, const char *name, uint64_t v)
{
    if (key(w, name, v != 0))
        ptools_pack_u64(w->p, v);
}

static void put_bool(struct writer *w, const char *name, bool v)
{
    if (key(w, name, v))
        ptools_pack_bool(w->p, true);
}

static void put_text(struct writer *w, const char *name, const char *data, size_t n)
{
    if (key(w, name, n > 0))
        ptools_pack_strn(w->p, data, n);
}

static void put_bytes(struct writer *w, const char *name, const void *data, size_t n)
{
    if (key(w, name, n > 0))
        ptools_pack_bytes(w->p, data, n);
}

struct look {
    const struct core_queued_view *v;
    struct msg_failure failure; /* of one that failed */
    struct text log;
    uint64_t run_us, cpu_us, peak_bytes;
    struct page_words words; /* of one that runs */
    bool args;
    char output[PATH_MAX]; /* path of what the last attempt of a command writes, without suffix; "" */
};

static void write_lists(struct writer *w, const struct msg_submit *spec)
{
    if (key(w, "tags", spec->n_tags > 0)) {
        ptools_pack_list(w->p, spec->n_tags);
        for (uint32_t i = 0; i < spec->n_tags; i++)
            ptools_pack_strn(w->p, spec->tags[i].data, spec->tags[i].n);
    }
    if (key(w, "after", spec->n_after > 0)) {
        ptools_pack_list(w->p, spec->n_after);
        for (uint32_t i = 0; i < spec->n_after; i++)
            ptools_pack_u64(w->p, spec->after[i]);
    }
}

static void write_task(struct writer *w, const struct look *l)
{
    const struct core_queued_view *v = l->v;
    const struct msg_submit *spec = &v->spec;

    put_u64(w, "id", v->id);
    put_u64(w, "parent", v->parent);
    put_u64(w, "parts", v->parts);
    put_text(w, "state", task_shown_name(v->state), strlen(task_shown_name(v->state)));
    put_text(w, "function", spec->function.data, spec->function.n);
    put_text(w, "target", v->target, strlen(v->target));
    if (key(w, "priority", v->priority != INFINITY))
        ptools_pack_f64(w->p, v->priority);
    put_text(w, "durability", durabilities[v->durability], strlen(durabilities[v->durability]));
    put_u64(w, "attempt", v->attempt);
    put_u64(w, "attempts", v->attempts);
    put_u64(w, "kills", v->kills);
    put_u64(w, "worker", v->worker);
    put_bool(w, "hold", v->hold);
    put_bool(w, "paused", v->paused);
    put_bool(w, "idempotent", v->idempotent);
    put_u64(w, "queued_ms", v->queued_ms);
    put_u64(w, "due_ms", v->due_ms);
    put_u64(w, "started_ms", v->started_ms);
    put_u64(w, "ended_ms", v->ended_ms);
    put_u64(w, "run_us", l->run_us);
    put_u64(w, "cpu_us", l->cpu_us);
    put_u64(w, "peak_bytes", l->peak_bytes);
    put_u64(w, "args_bytes", v->args ? v->args->n : 0);
    put_u64(w, "value_bytes", v->value ? v->value->n : 0);
    put_u64(w, "code", (uint64_t)v->code);
    put_text(w, "message", l->failure.message.data, l->failure.message.n);
    put_bool(w, "maybe_executed", v->maybe_executed && v->code != PTOOLS_OK);
    put_text(w, "phase", l->words.phase, strlen(l->words.phase));
    put_u64(w, "progress", l->words.progress);
    put_u64(w, "progress_of", l->words.progress_of);
    put_text(w, "log", l->log.data, l->log.n);
    put_text(w, "output", l->output, strlen(l->output));
    if (!spec->key_passing)
        put_bytes(w, "key", spec->key.data, spec->key.n);
    write_lists(w, spec);
    if (l->args)
        put_bytes(w, "args", v->args ? v->args->data : NULL, v->args ? v->args->n : 0);
}

static void task_map(struct daemon *d, struct msg_decoder *decoder, const struct core_queued_view *v, bool args,
                     ptools_pack *p)
{
    struct look l = { .v = v, .args = args };
    struct msg_answer answer;
    struct msg_problem problem;
    struct writer w = { NULL, 0 };

    if (v->outcome && msg_answer_decode(decoder, v->outcome->data, v->outcome->n, &answer, &problem) == 0) {
        if (answer.failed)
            l.failure = answer.failure;
        l.run_us = answer.failed ? answer.failure.run_us : answer.reply.run_us;
        l.cpu_us = answer.failed ? answer.failure.cpu_us : answer.reply.cpu_us;
        l.peak_bytes = answer.failed ? answer.failure.peak_bytes : answer.reply.peak_bytes;
        l.log = answer.failed ? answer.failure.log : answer.reply.log;
    }
    if (!v->running || !supervisor_words(d->supervisor, v->worker, &l.words) || l.words.task != v->id)
        l.words = (struct page_words){ 0 };
    else
        l.log = (struct text){ l.words.log, strlen(l.words.log) };
    if (function_is_command(&v->spec.function) && v->attempt > 0)
        (void)output_path(l.output, sizeof l.output, d->config->output_dir, v->queued_ms, v->id, v->attempt, -1);
    write_task(&w, &l);
    ptools_pack_map(p, w.n);
    w = (struct writer){ p, 0 };
    write_task(&w, &l);
}

static bool wanted(const struct core_queued_view *v, const struct msg_task *m)
{
    if (!m->tag.data)
        return true;
    for (uint32_t i = 0; i < v->spec.n_tags; i++)
        if (v->spec.tags[i].n == m->tag.n && memcmp(v->spec.tags[i].data, m->tag.data, m->tag.n) == 0)
            return true;
    return false;
}

/* The tasks of a page, one after another. Where the next page goes on; 0 if there are no more. */
static uint64_t page(struct daemon *d, struct core_walk *walk, struct msg_decoder *decoder, const struct msg_task *m,
                     ptools_pack *p)
{
    const uint32_t limit = m->limit ? m->limit : TASK_PAGE_MAX;
    const uint64_t bytes_max = MIN((uint64_t)PAGE_BYTES_MAX, d->config->message_max / 2);
    struct core_queued_view v;
    uint64_t last = 0, args;
    uint32_t n = 0;
    int r;

    if (m->newest) {
        size_t looks;
        const uint64_t newest = core_queued_newest(d->core, walk->uid, &looks);

        walk->left -= (uint32_t)MIN(walk->left - 1, looks); /* one is left to look at it */
        if (newest <= walk->after)
            return 0;
        walk->after = newest - 1;
    }
    while ((r = core_walk_queued(d->core, walk, &v)) > 0) {
        if (!wanted(&v, m))
            continue;
        args = m->args && v.args ? v.args->n : 0;
        if (n == limit || (n > 0 && p->bytes.n + args > bytes_max))
            return last;
        task_map(d, decoder, &v, m->args, p);
        last = v.id;
        n++;
    }
    return r < 0 ? walk->after : 0;
}

static int finish(const ptools_pack *tasks, uint64_t next, struct blob **ret)
{
    ptools_pack *p = ptools_pack_new();
    const uint8_t *data;
    size_t bytes;

    if (!p)
        return -ENOMEM;
    ptools_pack_map(p, 2);
    inspect_u64(p, "next", next);
    ptools_pack_str(p, "tasks");
    if (pack_finish_arguments(tasks, &data, &bytes) == PTOOLS_OK) /* one list of all that was written */
        ptools_pack_raw(p, data, bytes);
    if (pack_finish_value(p, &data, &bytes) == PTOOLS_OK)
        *ret = blob_new(data, bytes);
    ptools_pack_free(p);
    return *ret ? 0 : -ENOMEM;
}

int inspect_queue(struct daemon *d, uint32_t uid, const struct msg_request *r, struct msg_reply *reply,
                  struct blob **ret, uint64_t *ret_cost)
{
    struct core_walk walk = {
        .uid = uid, .states = r->task.states, .after = r->task.after, .left = WALK_MAX
    };
    AUTO(msg_decoder) decoder = msg_decoder_new();
    ptools_pack *p = ptools_pack_new();
    struct core_queued_view v;
    uint64_t next = 0;
    int err = decoder && p ? 0 : -ENOMEM;

    if (err == 0 && r->kind == MSG_TASK_LIST) {
        next = page(d, &walk, decoder, &r->task, p);
    } else if (err == 0) {
        if (!core_queued_id(d->core, uid, r->task.task, r->task.key, &reply->task) ||
            !core_view_queued(d->core, uid, reply->task, &v)) {
            err = INSPECT_UNKNOWN;
        } else {
            reply->state = v.state;
            task_map(d, decoder, &v, r->task.args, p);
        }
    }
    if (err == 0)
        err = finish(p, next, ret);
    *ret_cost = WALK_MAX - walk.left + (*ret ? (*ret)->n / BYTES_OF_LOOK : 0);
    ptools_pack_free(p);
    return err;
}
