/* SPDX-License-Identifier: MIT */
/*
 * fuzz_journal -- any rows as what a journal has kept, read as the daemon reads them at its start.
 *
 * Checksums are right here, for what is damaged is refused before (tests/unit/ptoolsd): this is about rows that make no
 * sense, or a sense that no daemon ever meant. They are refused with a sentence, or the core that has taken them holds
 * together, also when its time comes, and records no step that is impossible.
 *
 * A row of the input: a byte of what it has, how much its number is above the one before, the user, the task that it is
 * a part of, when it was queued; its life, if it has one; and up to four blobs, each behind its length.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/core.h"
#include "tests/fuzz/fuzz.h"

enum { ROWS_MAX = 64, TICKS = 4, WORKERS = 2 };
enum { HAS_PAUSE = 1, HAS_LIFE = 2, HAS_ARGS = 4, HAS_OUTCOME = 8, HAS_VALUE = 16 };
#define NOW_US  UINT64_C(1000000000)
#define WALL_MS UINT64_C(1764192615000)

static struct msg_decoder *decoder;

struct input {
    const uint8_t *at;
    size_t n;
};

/* So many bytes, little endian; behind the end there are zeros. */
static uint64_t take(struct input *in, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < bytes && in->n > 0; i++, in->n--)
        v |= (uint64_t)*in->at++ << 8 * i;
    return v;
}

static struct blob *take_blob(struct input *in)
{
    size_t n = (size_t)take(in, 2);
    struct blob *blob;

    n = MIN(n, in->n);
    blob = blob_new(n ? in->at : (const void *)"", n);
    check(blob);
    in->at += n;
    in->n -= n;
    return blob;
}

static void take_life(struct input *in, struct core_life *l)
{
    uint64_t priority;

    l->state = (uint32_t)take(in, 1);
    l->attempt = (uint32_t)take(in, 1);
    l->kills = (uint32_t)take(in, 1);
    l->losses = (uint32_t)take(in, 1);
    l->worker = (uint32_t)take(in, 1);
    l->flags = (uint32_t)take(in, 1);
    priority = take(in, 8);
    memcpy(&l->priority, &priority, sizeof priority);
    l->due_ms = take(in, 8);
    l->started_ms = take(in, 8);
    l->ended_ms = take(in, 8);
    l->detail = take(in, 8);
}

struct rows {
    struct core *core;
    struct actions out;
    uint64_t last;
};

/* As recorder.c does it. false: the daemon would not start. */
static bool recover(struct rows *r, const struct core_row *task, const struct core_row *life)
{
    struct msg_problem problem;
    struct msg_request m;
    char why[256] = "";
    int err;

    if (task->kind == ROW_PAUSE) {
        err = core_recover_pause(r->core, task->uid, (struct text){ (const char *)task->spec->data, task->spec->n });
        check(err == 0 || err == -EINVAL);
        return err == 0;
    }
    if (msg_request_decode(decoder, task->spec->data, task->spec->n, &m, &problem) != 0 || m.kind != MSG_TASK_SUBMIT)
        return false;
    err = core_recover(r->core, NOW_US, task, life, &m.submit, &r->out, why);
    check(err == 0 || (err == -EINVAL && *why));
    return err == 0;
}

static bool one_row(struct rows *r, struct input *in)
{
    const unsigned has = (unsigned)take(in, 1);
    struct core_row task = { .kind = has & HAS_PAUSE ? ROW_PAUSE : ROW_NEW }, life = { .kind = ROW_LIFE };
    bool taken;

    task.task = life.task = r->last += take(in, 1);
    task.uid = (uint32_t)take(in, 1);
    task.parent = take(in, 1);
    task.parent = task.parent ? task.task - task.parent : 0;
    task.queued_ms = take(in, 6);
    if (has & HAS_LIFE)
        take_life(in, &life.life);
    task.spec = take_blob(in);
    task.args = has & HAS_ARGS ? take_blob(in) : NULL;
    life.outcome = has & HAS_OUTCOME ? take_blob(in) : NULL;
    life.value = has & HAS_VALUE ? take_blob(in) : NULL;
    taken = recover(r, &task, has & HAS_LIFE ? &life : NULL);
    blob_free(task.spec);
    blob_free(task.args);
    blob_free(life.outcome);
    blob_free(life.value);
    return taken;
}

static void check_actions(struct actions *out)
{
    check(!out->no_memory);
    for (size_t i = 0; i < out->n; i++)
        check(out->v[i].type != ACT_BUG);
    actions_clear(out);
}

/* All were taken: the daemon serves. */
static void go_on(struct rows *r)
{
    uint64_t now = NOW_US;

    core_recovered(r->core, now, &r->out);
    for (int i = 0; i < TICKS; i++) {
        core_assign(r->core, now, &r->out);
        check_actions(&r->out);
        check(core_check(r->core) == NULL);
        if (core_next_us(r->core) == CORE_NEVER)
            break;
        now = MAX(now, core_next_us(r->core));
        core_tick(r->core, now, &r->out);
    }
    core_drain(r->core, now, true, &r->out);
    check_actions(&r->out);
    check(core_check(r->core) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct input in = { data, n };
    struct core_limits limits;
    struct rows r = { .last = 0 };
    bool taken = true;

    if (!decoder) {
        static const uint8_t seed[CORE_SEED_BYTES];

        core_seed(seed);
        decoder = msg_decoder_new();
        check(decoder);
    }
    core_limits_default(&limits);
    limits.journal = true;
    limits.workers_max = WORKERS; /* small tables: most of the time would go into making them */
    limits.stand_ins_max = 1;
    actions_init(&r.out);
    r.core = core_new(&limits, 1000000, WORKERS, NOW_US, &r.out);
    check(r.core);
    core_clock(r.core, WALL_MS);
    core_wall(r.core, NOW_US, WALL_MS + NOW_US / 1000);
    for (unsigned i = 0; i < ROWS_MAX && in.n > 0 && taken; i++)
        taken = one_row(&r, &in);
    check_actions(&r.out);
    if (taken)
        go_on(&r);
    core_free(r.core);
    actions_deinit(&r.out);
    return 0;
}
