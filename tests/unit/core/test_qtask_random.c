/* SPDX-License-Identifier: MIT */
/*
 * The queue in a random world: clients that submit, change, wait and leave; workers that begin, end, fail, die, and
 * are asked for tasks back; a journal that is late, and refuses; and a daemon that is killed at any moment and begins
 * anew with what was written. What must hold whatever happens:
 *
 *   - what was accepted and is journaled is known for ever after, and in the end has ended;
 *   - a task is begun at most as often as it may be, and never twice at the same time;
 *   - done means that it was run to its end; each request is answered once; and core_check() after every step.
 *
 * A run is its seed: a failure prints it, and QUEUE_SEED and QUEUE_STEPS run it, or many more, again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/core/rig_queue.h"

enum { TASKS = 1 << 14, TASKS_SPARE = 1024, WORKERS = 4, CLIENTS = 3, ROWS = 1 << 18, HELD = PAGE_SLOTS };

struct w_task {
    uint64_t id, request;
    bool journaled, durable, idempotent, accepted, ended_once;
    uint32_t attempts, begun, finished;
    int running; /* workers that have it begun */
    uint32_t end;
};
struct w_frame {
    uint64_t task;
    uint32_t slot, attempt;
    bool begun, revoked;
};
struct w_worker {
    bool up;
    size_t n;
    struct w_frame frames[HELD];
};

static struct world {
    struct core *core;
    struct core_limits limits;
    struct actions out;
    struct msg_decoder *decoder;
    uint64_t now, wall, seed, random, request;
    uint32_t clients[CLIENTS];
    struct w_task tasks[TASKS];
    size_t n_tasks;
    struct w_worker workers[WORKERS + 1];
    struct core_row *rows[ROWS]; /* put, in order */
    size_t n_rows, n_recorded;
    struct {
        struct core_row *row, *life;
    } * file; /* what a restart finds, by task index */
    unsigned crashes, kills, refused;
} w;

#define EXPECT(condition, ...)                                                                                         \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "# QUEUE_SEED=%lu\n", w.seed);                                                             \
            ck_abort_msg(__VA_ARGS__);                                                                                 \
        }                                                                                                              \
    } while (0)

static uint64_t rnd(uint64_t below)
{
    w.random ^= w.random >> 12;
    w.random ^= w.random << 25;
    w.random ^= w.random >> 27;
    return (w.random * UINT64_C(0x2545F4914F6CDD1D) >> 11) % below;
}

static struct w_task *find(uint64_t id)
{
    for (size_t i = w.n_tasks; i-- > 0;)
        if (w.tasks[i].id == id)
            return &w.tasks[i];
    return NULL;
}

/* -- what the core wants --------------------------------------------------------------------------------- */

/* How a task ended was told to somebody: from then on that is how it ended. */
static void told(const struct action *a)
{
    const uint64_t task = a->answer.failed ? a->answer.failure.task : a->answer.reply.task;
    const uint32_t state = a->answer.failed ? a->answer.failure.state : a->answer.reply.state;
    struct w_task *t = task ? find(task) : NULL;

    if (!t || !t->journaled || !task_shown_ended(state) || state == SHOWN_DEAD) /* that may be kicked */
        return;
    EXPECT(!t->end || t->end == state, "task %lu was %s, and is %s", task, task_shown_name(t->end),
           task_shown_name(state));
    t->end = state;
}

static void on_answer(const struct action *a)
{
    for (size_t i = w.n_tasks; i-- > 0;) {
        struct w_task *t = &w.tasks[i];

        if (t->request != a->answer.id)
            continue;
        t->request = 0;
        if (a->answer.failed) {
            w.refused++;
            return;
        }
        t->id = a->answer.reply.task;
        t->accepted = true;
        return;
    }
    told(a);
}

static void on_run(const struct action *a)
{
    struct w_worker *worker = &w.workers[a->worker];
    struct w_task *t = find(a->task);

    EXPECT(worker->up && worker->n < HELD, "worker %u is given task %lu", a->worker, a->task);
    if (!t &&
        w.n_tasks < TASKS) { /* its client left before it was told: nobody knows of it, and it runs all the same */
        t = &w.tasks[w.n_tasks++];
        *t = (struct w_task){ .id = a->task, .accepted = true, .ended_once = true, .attempts = 3 };
    }
    EXPECT(t && t->accepted, "task %lu runs, and was not accepted", a->task);
    worker->frames[worker->n++] = (struct w_frame){ a->task, a->slot, a->attempt, false, false };
}

static void on_revoke(const struct action *a)
{
    struct w_worker *worker = &w.workers[a->worker];
    bool taken = false;

    for (size_t i = 0; i < worker->n; i++) {
        struct w_frame *f = &worker->frames[i];

        if (f->task == a->task && f->slot == a->slot && !f->begun && !f->revoked)
            f->revoked = taken = true;
    }
    core_revoked(w.core, w.now, a->worker, a->task, taken, &w.out);
}

static void deliver(void)
{
    const char *wrong;

    for (size_t i = 0; i < w.out.n; i++) {
        const struct action a = w.out.v[i];

        switch (a.type) {
        case ACT_RUN:
            on_run(&a);
            break;
        case ACT_REVOKE:
            on_revoke(&a);
            break;
        case ACT_SPAWN:
            core_worker_ready(w.core, w.now, a.worker, 100 + (int32_t)a.worker, &w.out);
            w.workers[a.worker] = (struct w_worker){ .up = true };
            break;
        case ACT_RECORD:
            w.out.v[i].row = NULL;
            EXPECT(w.n_rows < ROWS, "too many rows");
            w.rows[w.n_rows++] = a.row;
            break;
        case ACT_ANSWER:
            on_answer(&w.out.v[i]);
            break;
        case ACT_BUG:
            EXPECT(false, "the core says: %s", a.text);
            break;
        default:
            break;
        }
    }
    EXPECT(!w.out.no_memory, "no memory");
    actions_clear(&w.out);
    wrong = core_check(w.core);
    EXPECT(!wrong, "%s", wrong);
}

static void turn(void)
{
    do {
        core_assign(w.core, w.now, &w.out);
        if (w.out.n == 0)
            break;
        deliver();
    } while (true);
}

/* -- what happens ------------------------------------------------------------------------------------------ */

static void submit(void)
{
    static const char *const functions[] = { "m.f", "m.short", "m.again" };
    struct w_task *t = &w.tasks[w.n_tasks];
    const char *function = functions[rnd(3)];
    uint32_t worker = 1 + (uint32_t)rnd(WORKERS);
    uint64_t after = w.n_tasks ? w.tasks[rnd(w.n_tasks)].id : 0;
    struct msg_request m = { .kind = MSG_TASK_SUBMIT, .id = ++w.request };
    struct msg_submit *s = &m.submit;
    AUTO(blob) spec = NULL;
    struct msg_request decoded;
    struct msg_problem problem;
    struct bytes bytes;

    if (w.n_tasks >= TASKS - TASKS_SPARE)
        return;
    s->function = (struct text){ function, strlen(function) };
    s->durability = 1 + (uint32_t)rnd(3);
    s->idempotent = rnd(3) == 0;
    s->has_priority = rnd(2);
    s->priority = (double)rnd(5);
    s->delay_ms = rnd(4) == 0 ? rnd(2000) : 0;
    s->expire_ms = rnd(8) == 0 ? 1 + rnd(3000) : 0;
    s->hold = rnd(20) == 0;
    s->retry_on = rnd(2) ? RETRY_DIED | RETRY_FAILED : 0;
    s->backoff_ms = 10;
    s->keep_ms = UINT64_C(1000000000);
    if (rnd(4) == 0) {
        s->n_workers = 1;
        s->workers = &worker;
    }
    if (after && rnd(5) == 0) {
        s->n_after = 1;
        s->after = &after;
        s->after_any = rnd(2);
    }
    bytes_init(&bytes, ENVELOPE_BYTES_MAX);
    msg_request_encode(&m, &bytes);
    spec = blob_new(bytes.data, bytes.n);
    bytes_deinit(&bytes);
    EXPECT(msg_request_decode(w.decoder, spec->data, spec->n, &decoded, &problem) == 0, "%s", problem.text);
    *t = (struct w_task){ .request = w.request,
                          .journaled = s->durability >= TASK_CRASHSAFE,
                          .durable = s->durability == TASK_DURABLE,
                          .idempotent = s->idempotent || strcmp(function, "m.again") == 0 };
    t->attempts = t->idempotent ? 3 : 1;
    w.n_tasks++;
    EXPECT(core_queue(w.core, w.now, w.clients[rnd(CLIENTS)], w.request, &decoded.submit, spec, NULL, &w.out) == 0,
           "memory");
    deliver();
}

static void change(void)
{
    uint64_t id = w.n_tasks ? w.tasks[rnd(w.n_tasks)].id : 0;
    struct msg_task m = { .n_tasks = 1, .tasks = &id, .change = 1 + (uint32_t)rnd(5) };

    if (!id || rnd(3))
        return;
    core_queued(w.core, w.now, w.clients[rnd(CLIENTS)], ++w.request, MSG_TASK_CHANGE, &m, &w.out);
    deliver();
}

/* All of a user's, for a while. */
static void stand_still(void)
{
    const struct msg_task m = { 0 };

    if (rnd(20))
        return;
    core_queued(w.core, w.now, w.clients[rnd(CLIENTS)], ++w.request, rnd(3) ? MSG_QUEUE_RESUME : MSG_QUEUE_PAUSE, &m,
                &w.out);
    deliver();
}

static void wait_for(void)
{
    struct msg_task m = { .task = w.n_tasks ? w.tasks[rnd(w.n_tasks)].id : 0 };

    if (!m.task)
        return;
    core_queued(w.core, w.now, w.clients[rnd(CLIENTS)], ++w.request, rnd(2) ? MSG_TASK_RESULT : MSG_TASK_WHY, &m,
                &w.out);
    deliver();
}

static void reconnect(size_t i)
{
    core_client_gone(w.core, w.now, w.clients[i], &w.out);
    deliver();
    ck_assert_int_eq(core_client_add(w.core, 1000 + (uint32_t)(i == 2), &w.clients[i]), 0);
}

static void begin(struct w_frame *f)
{
    struct w_task *t = find(f->task);

    f->begun = true;
    t->begun++;
    t->running++;
    EXPECT(t->running == 1, "task %lu runs twice at the same time", t->id);
    EXPECT(t->begun <= t->attempts, "task %lu is begun %u times, of %u", t->id, t->begun, t->attempts);
}

static void drop_first(struct w_worker *worker)
{
    memmove(&worker->frames[0], &worker->frames[1], --worker->n * sizeof worker->frames[0]);
}

static void work(uint32_t id)
{
    struct w_worker *worker = &w.workers[id];
    const struct msg_failure facts = { .message = TEXT("no") };
    struct w_frame f;

    if (!worker->up || worker->n == 0)
        return;
    if (worker->frames[0].revoked) {
        const uint64_t task = worker->frames[0].task;

        drop_first(worker);
        core_worker_skipped(w.core, w.now, id, task, &w.out);
        deliver();
        return;
    }
    if (!worker->frames[0].begun) {
        begin(&worker->frames[0]);
        return;
    }
    f = worker->frames[0];
    drop_first(worker);
    find(f.task)->running--;
    if (rnd(6) == 0) {
        core_worker_done(w.core, w.now, id, f.task, f.attempt, PTOOLS_ERR_FAILED, NULL, &facts, 10, 0, 0, &w.out);
    } else {
        find(f.task)->finished++;
        core_worker_done(w.core, w.now, id, f.task, f.attempt, PTOOLS_OK, NULL, NULL, 10, 0, 0, &w.out);
    }
    deliver();
}

static void kill_worker(uint32_t id)
{
    struct w_worker *worker = &w.workers[id];
    const struct msg_failure facts = { .code = PTOOLS_ERR_WORKER_DIED, .signal = 9 };
    uint64_t begun[HELD];
    size_t n = 0;

    if (!worker->up)
        return;
    w.kills++;
    for (size_t i = 0; i < worker->n; i++) {
        if (!worker->frames[i].begun)
            continue;
        begun[n++] = worker->frames[i].task;
        find(worker->frames[i].task)->running--;
    }
    *worker = (struct w_worker){ 0 };
    core_worker_gone(w.core, w.now, id, &facts, begun, n, &w.out);
    deliver();
}

static void record(size_t n)
{
    for (; n > 0 && w.n_recorded < w.n_rows; n--, w.n_recorded++) {
        const struct core_row *row = w.rows[w.n_recorded];

        if (row->kind == ROW_NEW && rnd(50) == 0 && !row->parent)
            core_record_refused(w.core, w.now, row->number, "full", &w.out);
        else
            continue;
        w.rows[w.n_recorded] = core_row_free(w.rows[w.n_recorded]);
        n = 1;
    }
    if (w.n_recorded > 0)
        core_recorded(w.core, w.now, w.core->row_number - (w.n_rows - w.n_recorded), &w.out);
    deliver();
}

/* -- death, and what comes after ------------------------------------------------------------------------------ */

static void start(void)
{
    static const char *const functions[] = { "f", "short", "again" };
    struct report_function list[3] = { { (char *)"f", (char *)"", 0 },
                                       { (char *)"short", (char *)"", 0 },
                                       { (char *)"again", (char *)"", 1 } };
    const struct report report = { .module = (char *)"m",
                                   .help = (char *)"",
                                   .path = (char *)"/m.so",
                                   .problem = (char *)"",
                                   .code = PTOOLS_OK,
                                   .n = 3,
                                   .functions = list };

    (void)functions;
    actions_init(&w.out);
    memset(w.workers, 0, sizeof w.workers);
    w.core = core_new(&w.limits, 1 + w.crashes * 100000, WORKERS, w.now, &w.out); /* as the clock gives them */
    core_wall(w.core, w.now, w.wall + w.now / 1000);
    deliver();
    core_module_loaded(w.core, w.now, &report, &w.out);
    deliver();
    for (int i = 0; i < 8; i++)
        function_ran(function_find(w.core, "m.short", 7), 10);
}

static size_t slot_of(uint64_t task, uint64_t ids[TASKS], size_t *n)
{
    for (size_t i = 0; i < *n; i++)
        if (ids[i] == task)
            return i;
    ids[*n] = task;
    return (*n)++;
}

/* The rows that were written by then become the file. */
static size_t write_file(size_t n_written, uint64_t ids[TASKS])
{
    size_t n = 0;

    for (size_t i = 0; i < w.n_rows; i++) {
        struct core_row *row = w.rows[i];
        size_t k;

        w.rows[i] = NULL;
        if (!row || i >= n_written) {
            core_row_free(row);
            continue;
        }
        if (row->kind == ROW_PAUSE || row->kind == ROW_RESUME) { /* the next daemon knows of none */
            core_row_free(row);
            continue;
        }
        k = slot_of(row->task, ids, &n);
        if (row->kind == ROW_NEW) {
            w.file[k].row = row;
        } else if (row->kind == ROW_LIFE) {
            core_row_free(w.file[k].life);
            w.file[k].life = row;
        } else {
            w.file[k].row = core_row_free(w.file[k].row);
            w.file[k].life = core_row_free(w.file[k].life);
            core_row_free(row);
        }
    }
    return n;
}

static void read_file(const uint64_t ids[TASKS], size_t n)
{
    char why[256] = "";
    size_t kept = 0;

    for (uint64_t last = 0;;) {
        struct msg_request m;
        struct msg_problem problem;
        size_t next = n;

        for (size_t k = 0; k < n; k++)
            if (w.file[k].row && ids[k] > last && (next == n || ids[k] < ids[next]))
                next = k;
        if (next == n)
            break;
        last = ids[next];
        EXPECT(msg_request_decode(w.decoder, w.file[next].row->spec->data, w.file[next].row->spec->n, &m, &problem) ==
                   0,
               "%s", problem.text);
        EXPECT(core_recover(w.core, w.now, w.file[next].row, w.file[next].life, &m.submit, &w.out, why) == 0, "%s",
               why);
        w.rows[kept++] = w.file[next].row; /* the journal still has them */
        if (w.file[next].life)
            w.rows[kept++] = w.file[next].life;
        w.file[next].row = w.file[next].life = NULL;
    }
    w.n_rows = w.n_recorded = kept;
    core_recovered(w.core, w.now, &w.out);
    deliver();
}

static void crash(void)
{
    static uint64_t ids[TASKS];
    const size_t n_written = w.n_recorded + rnd(w.n_rows - w.n_recorded + 1); /* what was told is there; more may be */
    size_t n;

    w.crashes++;
    n = write_file(n_written, ids);
    w.core = core_free(w.core);
    actions_deinit(&w.out);
    for (size_t i = 0; i < w.n_tasks; i++) {
        struct w_task *t = &w.tasks[i];

        t->running = 0; /* workers die with the daemon, before another begins */
        if (t->accepted && !t->journaled)
            t->ended_once = true;
        if (t->request) {
            t->request = 0;
            t->ended_once = true; /* nobody was told anything: it may be there, or not */
        }
    }
    w.now += rnd(1000000);
    w.wall += rnd(7200000); /* and the clock may have jumped */
    w.wall -= rnd(w.wall > 3600000 ? 3600000 : 1);
    start();
    for (size_t i = 0; i < n; i++) { /* those that were on their way, and are there: they count from now on */
        struct w_task *t = w.file[i].row ? find(ids[i]) : NULL;

        if (w.file[i].row && !t && w.n_tasks < TASKS) {
            t = &w.tasks[w.n_tasks++];
            *t =
                (struct w_task){ .id = ids[i], .journaled = true, .idempotent = true, .attempts = 3, .accepted = true };
        }
    }
    read_file(ids, n);
    for (size_t i = 0; i < CLIENTS; i++)
        ck_assert_int_eq(core_client_add(w.core, 1000 + (uint32_t)(i == 2), &w.clients[i]), 0);
    for (size_t i = 0; i < w.n_tasks; i++) {
        const struct w_task *t = &w.tasks[i];

        const struct qtask *q = qtask_find(w.core, t->id);

        EXPECT(!t->accepted || !t->journaled || q, "task %lu was accepted, and is lost", t->id);
        EXPECT(!t->end || (q->state == QT_ENDED && q->shown == t->end), "task %lu was %s, and now is %s", t->id,
               task_shown_name(t->end), task_shown_name(qtask_shown(q)));
    }
}

static void check_ends(void)
{
    for (size_t i = 0; i < w.n_tasks; i++) {
        const struct w_task *t = &w.tasks[i];
        const struct qtask *q = t->accepted && !t->ended_once ? qtask_find(w.core, t->id) : NULL;

        if (!t->accepted || t->ended_once)
            continue;
        EXPECT(q, "task %lu is not known", t->id);
        EXPECT(q->state == QT_ENDED || q->hold, "task %lu has not ended: it is %s", t->id, qtask_state_name(q->state));
        EXPECT(q->state != QT_ENDED || q->shown != SHOWN_DONE || t->finished > 0, "task %lu is done, and never was",
               t->id);
    }
}

/* No more comes; all that is there goes on to its end. */
static void finish(void)
{
    for (size_t i = 0; i < w.n_tasks; i++) {
        struct msg_task m = { .n_tasks = 1, .tasks = &w.tasks[i].id, .change = CHANGE_RELEASE };

        for (size_t c = 0; w.tasks[i].accepted && c < CLIENTS; c++) {
            core_queued(w.core, w.now, w.clients[c], ++w.request, MSG_TASK_CHANGE, &m, &w.out);
            deliver();
        }
    }
    for (size_t c = 0; c < CLIENTS; c++) {
        core_queued(w.core, w.now, w.clients[c], ++w.request, MSG_QUEUE_RESUME, &(const struct msg_task){ 0 }, &w.out);
        deliver();
    }
    for (unsigned quiet = 0; quiet < 200; quiet++) {
        turn();
        for (uint32_t id = 1; id <= WORKERS; id++)
            for (int k = 0; k < 8; k++) {
                if (w.workers[id].n > 0)
                    quiet = 0;
                work(id);
            }
        if (w.n_recorded < w.n_rows)
            quiet = 0;
        record(w.n_rows);
        w.now += 1000000;
        core_tick(w.core, w.now, &w.out);
        deliver();
    }
}

static void step(void)
{
    switch (rnd(16)) {
    case 0:
    case 1:
    case 2:
        submit();
        break;
    case 3:
        change();
        stand_still();
        break;
    case 4:
        wait_for();
        break;
    case 5:
        w.now += rnd(200000);
        core_tick(w.core, w.now, &w.out);
        deliver();
        break;
    case 6:
    case 7:
        record(1 + rnd(8));
        break;
    case 8:
        if (rnd(10) == 0)
            kill_worker(1 + (uint32_t)rnd(WORKERS));
        break;
    case 9:
        if (rnd(20) == 0)
            reconnect(rnd(CLIENTS));
        break;
    case 10:
        if (rnd(60) == 0)
            crash();
        break;
    default:
        work(1 + (uint32_t)rnd(WORKERS));
        break;
    }
    turn();
}

static void run(uint64_t seed, unsigned steps)
{
    w = (struct world){ .seed = seed, .random = seed * 2 + 1, .now = 1000000, .wall = 1700000000000 };
    core_limits_default(&w.limits);
    w.limits.backoff_min_us = 0;
    w.limits.breaker_kills = 2 + seed % 3; /* those of a function wait, now and then */
    w.limits.breaker_window_us = 60000000;
    w.limits.breaker_wait_us = 200000;
    w.limits.breaker_wait_max_us = 2000000;
    w.decoder = msg_decoder_new();
    w.file = calloc(TASKS, sizeof *w.file);
    start();
    for (size_t i = 0; i < CLIENTS; i++)
        ck_assert_int_eq(core_client_add(w.core, 1000 + (uint32_t)(i == 2), &w.clients[i]), 0);
    for (unsigned i = 0; i < steps; i++)
        step();
    finish();
    check_ends();
    for (size_t i = 0; i < w.n_rows; i++)
        core_row_free(w.rows[i]);
    w.core = core_free(w.core);
    actions_deinit(&w.out);
    w.decoder = msg_decoder_free(w.decoder);
    free(w.file);
}

static unsigned number(const char *name, unsigned initial)
{
    const char *value = getenv(name);

    return value ? (unsigned)strtoul(value, NULL, 10) : initial;
}

START_TEST(fixed_seeds)
{
    const unsigned only = number("QUEUE_SEED", 0), steps = number("QUEUE_STEPS", 3000);

    for (unsigned seed = only ? only : 1; seed <= (only ? only : 20); seed++)
        run(seed, steps);
}
END_TEST

START_TEST(another_seed)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    for (unsigned i = 0; i < 5; i++)
        run(((uint64_t)t.tv_sec * 1000003 + (uint64_t)t.tv_nsec + i) & 0xffffffff, number("QUEUE_STEPS", 3000));
    printf("# %u crashes, %u workers killed, %u refused in the last\n", w.crashes, w.kills, w.refused);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core qtask random");
    TCase *tc = suite_case(suite, "world");

    tcase_set_timeout(tc, 240);
    tcase_add_test(tc, fixed_seeds);
    tcase_add_test(tc, another_seed);
    return suite_run(suite);
}
