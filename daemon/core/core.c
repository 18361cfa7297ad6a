/* SPDX-License-Identifier: MIT */
/*
 * core -- its birth, its end, and its clock. Where to go on reading: state.h (what it knows), task.h and
 * worker.h (the two life cycles), assign.c (who gets what), stop.c (what ends early), pool.c (deaths).
 */
#include "daemon/core/core.h"

#include "daemon/core/state.h"

void core_limits_default(struct core_limits *limits)
{
    *limits = (struct core_limits){
        .workers_max = WORKERS_MAX,
        .user_tasks_max = 100000,
        .user_bytes_max = UINT64_C(1) << 30,
        .user_sets_max = 256,
        .modules_max = 256,
        .user_arrays_max = 4096,
        .user_shm_max = UINT64_MAX / 2,
        .shm_max = UINT64_MAX / 2,
        .user_stasks_max = 256,
        .kill_grace_us = 500000,
        .stuck_us = 5000000,
        .stand_ins_max = 64,
        .stand_in_idle_us = 1000000,
        .ahead_max = 32,
        .ahead_us = 1000,
        .ahead_task_us = 200,
        .backoff_min_us = 100000,
        .backoff_max_us = 30000000,
        .module_retry_us = 1000000,
        .user_queued_max = 1000000,
        .user_queue_bytes_max = UINT64_C(1) << 30,
        .user_kept_max = 1000000,
        .user_kept_bytes_max = UINT64_C(1) << 30,
        .result_max = UINT64_C(1) << 20,
        .keep_volatile_us = UINT64_C(3600) * 1000000,
        .keep_us = UINT64_C(86400) * 1000000,
        .breaker_kills = 5,
        .breaker_window_us = 60000000,
        .breaker_wait_us = 60000000,
        .breaker_wait_max_us = 900000000,
        .journal = true,
    };
}

/* What the page and the tables have room for. */
static void limits_fit(struct core_limits *l)
{
    l->workers_max = MAX(1, MIN(l->workers_max, WORKERS_MAX));
    l->stand_ins_max = MAX(1, MIN(l->stand_ins_max, WORKERS_MAX));
    l->breaker_kills = MIN(l->breaker_kills, BREAKER_KILLS_MAX);
    l->ahead_max = l->ahead_us == 0 ? 1 : MAX(1, MIN(l->ahead_max, PAGE_SLOTS));
}

void core_limits_set(struct core *core, const struct core_limits *limits)
{
    const struct core_limits was = core->limits;

    core->limits = *limits;
    core->limits.workers_max = was.workers_max; /* the tables have that room */
    core->limits.stand_ins_max = was.stand_ins_max;
    core->limits.journal = was.journal;
    limits_fit(&core->limits);
}

static bool core_init(struct core *core)
{
    const uint32_t processes = core->limits.workers_max + core->limits.stand_ins_max;
    struct task *keeper = &core->keeper;

    core->workers = calloc(core->limits.workers_max, sizeof *core->workers);
    core->stand_ins = calloc(core->limits.stand_ins_max, sizeof *core->stand_ins);
    core->scratch = calloc(core->limits.workers_max, sizeof *core->scratch);
    core->decoder = msg_decoder_new();
    core->unblocking = msg_decoder_new();
    core->host_backlog.kind = BACKLOG_HOST;
    if (!core->workers || !core->stand_ins || !core->scratch || !core->decoder || !core->unblocking ||
        set_init_all(core) < 0 || heap_reserve(&core->timers, processes) < 0 ||
        heap_reserve(&core->looks, (size_t)processes * PAGE_SLOTS) < 0)
        return false;
    HASH_ADD(hh, core->tasks, id, sizeof keeper->id, keeper);
    HASH_ADD(hh_request, core->requests, key, sizeof keeper->key, keeper);
    return keeper->hh.tbl && keeper->hh_request.tbl;
}

struct core *core_new(const struct core_limits *limits, uint64_t first_task, uint32_t workers, uint64_t now_us,
                      struct actions *out)
{
    AUTO(core) core = calloc(1, sizeof *core);

    if (!core)
        return NULL;
    core->limits = *limits;
    core->now_us = core->wall_at_us = now_us;
    limits_fit(&core->limits);
    core->next_task = MAX(first_task, 1);
    core->last_array = core->last_stasks = core->next_task; /* numbers that no earlier daemon gave */
    core->late_check_us = CORE_NEVER;
    if (!core_init(core))
        return NULL;
    for (uint32_t i = 0; i < MIN(workers, core->limits.workers_max); i++) {
        struct worker *w = worker_new(core);

        if (!w)
            return NULL;
        worker_spawn(core, w, out);
    }
    return TAKE(core);
}

struct core *core_free(struct core *core)
{
    struct client *c, *next_c;
    struct user *u, *next_u;
    struct set *s, *next_s;

    if (!core)
        return NULL;
    qtasks_deinit(core);
    tasks_deinit(core);
    stasks_deinit(core);
    arrays_deinit(core);
    HASH_ITER(hh, core->sets, s, next_s)
        set_free(core, s);
    HASH_ITER(hh, core->clients, c, next_c)
        client_free(core, c);
    HASH_ITER(hh, core->users, u, next_u) {
        user_drop_pauses(u);
        user_release(core, u);
    }
    while (core->n_stand_ins > 0)
        worker_free(core, core->stand_ins[core->n_stand_ins - 1]);
    while (core->n_workers > 0)
        worker_free(core, core->workers[core->n_workers - 1]);
    modules_deinit(core);
    set_deinit_all(core);
    backlog_deinit(core, &core->host_backlog);
    core->decoder = msg_decoder_free(core->decoder);
    core->unblocking = msg_decoder_free(core->unblocking);
    heap_deinit(&core->deadlines);
    heap_deinit(&core->timers);
    heap_deinit(&core->breaker_timers);
    heap_deinit(&core->looks);
    free(core->workers);
    free(core->stand_ins);
    free(core->scratch);
    free(core);
    return NULL;
}

void core_tick(struct core *core, uint64_t now_us, struct actions *out)
{
    struct heap_node *node;

    core->now_us = now_us;
    core->work = 0;
    qtasks_reap(core);
    qtasks_go_on(core, out);
    while ((node = heap_top(&core->deadlines)) && heap_top_key(&core->deadlines) <= now_us)
        core_stop_task(core, now_us, CONTAINER_OF(node, struct task, deadline_node), STOP_DEADLINE, out);
    while ((node = heap_top(&core->timers)) && heap_top_key(&core->timers) <= now_us)
        core_worker_due(core, now_us, CONTAINER_OF(node, struct worker, timer), out);
    batches_look(core, now_us, out);
    if (core->late_check_us <= now_us)
        core_recall_late(core, now_us, out);
    qtasks_due(core, out);
    breakers_due(core, out);
    arrays_due(core, now_us, out);
    stasks_due(core, now_us, out);
}

bool core_more_work(struct core *core)
{
    if (core->work_us != core->now_us) {
        core->work_us = core->now_us;
        core->work = 0;
    }
    return core->work < TURN_WORK && ++core->work;
}

uint64_t core_next_us(const struct core *core)
{
    const uint64_t tasks = heap_top_key(&core->deadlines), workers = heap_top_key(&core->timers);

    if (core->to_follow || records_left(core))
        return 0;
    if (core->barring)
        return core->now_us;
    return MIN(MIN(MIN(tasks, workers), MIN(core->late_check_us, heap_top_key(&core->queue_timers))),
               MIN(MIN(heap_top_key(&core->leases), heap_top_key(&core->stask_timers)),
                   MIN(MIN(heap_top_key(&core->fate_timers), heap_top_key(&core->breaker_timers)),
                       heap_top_key(&core->looks))));
}

uint64_t core_tasks(const struct core *core)
{
    return HASH_COUNT(core->tasks) - 1; /* the keeper is none */
}
