/* SPDX-License-Identifier: MIT */
/* client -- see client.h. */
#include "tests/fault/client.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tests/integration/server.h"

enum { WAIT_MS = 120000, RETRY_MS = 5, PADDING_MAX = 65536, PASSING_MS = 1000 };

struct run {
    const struct plan *plan;
    unsigned number;
    char jobs[128];
    struct ledger ledger;
    ptools *pt;
    uint64_t *ids; /* of the window: task i at i % window */
};

__attribute__((__format__(__printf__, 3, 4))) static void expect(const struct run *r, bool is_so, const char *format,
                                                                 ...)
{
    struct client_problem problem;
    va_list ap;

    if (is_so)
        return;
    va_start(ap, format);
    vsnprintf(problem.text, sizeof problem.text, format, ap);
    va_end(ap);
    ck_assert_msg(r->plan->problem, "%s", problem.text);
    *r->plan->problem = problem;
    _exit(1);
}

/* Who starts a daemon knows when it is ready, this client does not: it tries now and then. */
static void dial(struct run *r)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    uint64_t until = now_ms() + WAIT_MS;

    ptools_close(r->pt);
    options.address = r->plan->dir;
    while (ptools_open(&options, &r->pt, NULL) != PTOOLS_OK) {
        expect(r, now_ms() < until, "no daemon for %d ms", WAIT_MS);
        poll(NULL, 0, RETRY_MS);
    }
}

static bool is_gone(ptools_err err)
{
    return err == PTOOLS_ERR_LOST || err == PTOOLS_ERR_NO_DAEMON || err == PTOOLS_ERR_TRANSPORT ||
           err == PTOOLS_ERR_DRAINING;
}

static void key_of(const struct run *r, unsigned i, char key[LEDGER_KEY_MAX + 1])
{
    snprintf(key, LEDGER_KEY_MAX + 1, "%u-%u", r->number, i);
}

static void submit(struct run *r, unsigned i)
{
    static const char padding[PADDING_MAX];
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    char key[LEDGER_KEY_MAX + 1];
    struct plan_task planned = { .ms = 0 };
    ptools_err err;
    uint64_t id = 0;

    key_of(r, i, key);
    r->plan->task(r->number, i, &planned);
    ptools_pack_str(args, r->jobs);
    ptools_pack_str(args, key);
    ptools_pack_u64(args, planned.ms);
    ck_assert_uint_le(planned.padding, sizeof padding);
    if (planned.padding)
        ptools_pack_bytes(args, padding, planned.padding);
    task.function = planned.function;
    task.args = args;
    task.durability = planned.durability;
    task.attempts = planned.attempts;
    task.backoff_ms = 10;
    task.keep_ms = planned.passing ? PASSING_MS : 3600000;
    task.key = key;
    task.key_bytes = strlen(key);
    for (;;) {
        ledger_sent(&r->ledger, key, planned.durability, planned.attempts);
        err = ptools_queue_worker_task(r->pt, &task, &id);
        if (err == PTOOLS_OK)
            break;
        expect(r, is_gone(err) || err == PTOOLS_ERR_TIMEOUT, "%s: %s: %s", key, ptools_errname(err),
               ptools_error_message(r->pt));
        dial(r);
    }
    if (!planned.passing)
        ledger_accepted(&r->ledger, key, id, planned.durability);
    r->ids[i % r->plan->window] = id;
}

static ptools_queued_state state_of(ptools_err err)
{
    switch (err) {
    case PTOOLS_OK:
        return PTOOLS_QUEUED_DONE;
    case PTOOLS_ERR_DEADLINE:
        return PTOOLS_QUEUED_TIMEOUT;
    case PTOOLS_ERR_CANCELLED:
    case PTOOLS_ERR_DEPENDENCY:
        return PTOOLS_QUEUED_CANCELLED;
    case PTOOLS_ERR_EXPIRED:
        return PTOOLS_QUEUED_EXPIRED;
    case PTOOLS_ERR_DEAD:
        return PTOOLS_QUEUED_DEAD;
    case PTOOLS_ERR_DAEMON_DIED:
        return PTOOLS_QUEUED_LOST;
    default:
        return PTOOLS_QUEUED_FAILED;
    }
}

static bool may_be_unknown(const struct run *r, unsigned i)
{
    struct plan_task planned = { .ms = 0 };

    r->plan->task(r->number, i, &planned);
    return planned.passing || (r->plan->loses_power && planned.durability != PTOOLS_DURABLE);
}

static void collect(struct run *r, unsigned i)
{
    uint64_t id = r->ids[i % r->plan->window];
    char key[LEDGER_KEY_MAX + 1];
    const char *s = "";
    size_t n = 0;

    key_of(r, i, key);
    for (;;) {
        PTOOLS_AUTO(ptools_future) f = NULL;
        ptools_value v;
        ptools_err err = ptools_queued_result(r->pt, id, &f);

        if (err == PTOOLS_OK)
            err = ptools_future_fetch(f, WAIT_MS, &v);
        if (is_gone(err)) {
            dial(r);
            continue;
        }
        if (err == PTOOLS_ERR_NO_TASK && may_be_unknown(r, i))
            return;
        expect(r, err != PTOOLS_ERR_TIMEOUT && err != PTOOLS_ERR_NO_TASK, "%s (task %llu): %s", key,
               (unsigned long long)id, ptools_errname(err));
        if (err == PTOOLS_OK)
            expect(r, ptools_get_str(v, &s, &n) == PTOOLS_OK, "%s: its value is none", key);
        ledger_ended(&r->ledger, key, state_of(err), ledger_crc(s, n));
        return;
    }
}

static void run(const struct plan *plan, unsigned number)
{
    struct run r = { .plan = plan, .number = number };
    unsigned n = 0;

    ledger_jobs(plan->ledger, r.jobs, sizeof r.jobs);
    ledger_open(&r.ledger, plan->ledger, number);
    r.ids = calloc(plan->window, sizeof *r.ids);
    ck_assert_ptr_nonnull(r.ids);
    dial(&r);
    for (; n < plan->tasks || (plan->more && atomic_load(plan->more)); n++) {
        if (n >= plan->window)
            collect(&r, n - plan->window);
        submit(&r, n);
    }
    for (unsigned i = n > plan->window ? n - plan->window : 0; i < n; i++)
        collect(&r, i);
    free(r.ids);
    ptools_close(r.pt);
    ledger_close(&r.ledger);
}

pid_t client_start(const struct plan *plan, unsigned number)
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run(plan, number);
        _exit(0);
    }
    return pid;
}

static const ptools_queued_info *at(void *arg, size_t i)
{
    return ptools_queued_at(arg, i);
}

void client_assert_ledger(ptools *pt, const char *ledger, bool has_died, struct verdict *ret)
{
    struct ledger_daemon daemon = { .at = at, .has_died = has_died, .all_ended = true };
    ptools_queued *list = NULL;

    ck_assert_ptools(ptools_queued_list(pt, 0, NULL, 0, &list));
    daemon.arg = list;
    check_ledger(ledger, &daemon, ret);
    ptools_queued_free(list);
    ck_assert_msg(ret->all_broken == 0, "%zu times, first:\n%s", ret->all_broken, ret->text);
}

unsigned pick(unsigned below)
{
    static uint64_t state = 20261126;

    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(state >> 33) % below;
}

void *shared_memory(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(p, MAP_FAILED);
    return p;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

uint64_t percentile(uint64_t *values, size_t n, double share)
{
    size_t i = (size_t)((double)n * share);

    ck_assert_uint_gt(n, 0);
    qsort(values, n, sizeof *values, by_size);
    return values[i < n ? i : n - 1];
}

void figure_below(const char *what, double measured, double asked)
{
    printf("# %s: asked %.0f; measured %.0f: %s\n", what, asked, measured, measured < asked ? "ok" : "SHORT");
    ck_assert(!TIMES_COUNT || measured < 10 * asked);
}
