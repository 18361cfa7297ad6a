/* SPDX-License-Identifier: MIT */
/*
 * phase -- see phase.h. The figures travel from the client to its parent in a page that both share; the
 * samples are touched before the clock starts, so that no page fault is measured.
 */
#include "tests/bench/phase.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES_PER_MS = 200 }; /* no call takes less than 5 us */

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void for_each_thread(pid_t pid, void (*fn)(pid_t thread, void *arg), void *arg)
{
    struct dirent *entry;
    char path[32];
    DIR *dir;

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    dir = opendir(path);
    ck_assert_msg(dir, "%s: %s", path, strerror(errno));
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            fn((pid_t)atoi(entry->d_name), arg);
    closedir(dir);
}

static void add_switches(pid_t thread, void *arg)
{
    uint64_t *sum = arg;
    char path[32], line[128];
    unsigned long long n;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/status", (int)thread);
    f = fopen(path, "re");
    ck_assert_msg(f, "%s: %s", path, strerror(errno));
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "voluntary_ctxt_switches: %llu", &n) == 1)
            *sum += n;
    fclose(f);
}

static void run_on(pid_t thread, void *processors)
{
    ck_assert_msg(sched_setaffinity(thread, sizeof(cpu_set_t), processors) == 0, "sched_setaffinity: %s",
                  strerror(errno));
}

static uint64_t all_switches(const struct meter *m)
{
    uint64_t sum = 0;

    for_each_thread(getpid(), add_switches, &sum);
    for (size_t i = 0; i < m->n_watched; i++)
        for_each_thread(m->watched[i], add_switches, &sum);
    return sum;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void window_begin(struct meter *m)
{
    m->switches = all_switches(m);
    m->warm = true;
    m->began_ns = m->last_ns = now_ns();
}

static void window_end(struct meter *m, uint64_t now)
{
    struct figures *f = &m->figures;

    f->switches = (double)(all_switches(m) - m->switches) / (double)m->counted;
    f->per_second = (double)m->counted * 1e9 / (double)(now - m->began_ns);
    if (m->n_took > 0) {
        qsort(m->took_ns, m->n_took, sizeof *m->took_ns, by_size);
        f->p50_us = m->took_ns[(m->n_took - 1) / 2] / 1e3;
        f->p99_us = m->took_ns[(m->n_took - 1) * 99 / 100] / 1e3;
    }
}

bool meter_tick(struct meter *m, unsigned n)
{
    uint64_t now = now_ns();

    m->total += n;
    if (!m->warm) {
        if (now - m->began_ns >= PHASE_WARM_MS * UINT64_C(1000000))
            window_begin(m);
        return true;
    }
    m->counted += n;
    if (m->load.outstanding == 1 && m->n_took < m->room)
        m->took_ns[m->n_took++] = (uint32_t)(now - m->last_ns);
    m->last_ns = now;
    if (now - m->began_ns < m->load.ms * UINT64_C(1000000))
        return true;
    window_end(m, now);
    return false;
}

static void meter_init(struct meter *m, const struct load *load, const pid_t *watched, size_t n_watched)
{
    ck_assert_uint_le(n_watched, PHASE_WATCHED_MAX);
    memset(m, 0, sizeof *m);
    m->load = *load;
    for (size_t i = 0; i < n_watched; i++)
        m->watched[m->n_watched++] = watched[i];
    m->room = (size_t)load->ms * SAMPLES_PER_MS;
    m->took_ns = malloc(m->room * sizeof *m->took_ns);
    ck_assert_ptr_nonnull(m->took_ns);
    memset(m->took_ns, 0xff, m->room * sizeof *m->took_ns);
    m->began_ns = now_ns();
}

/* Those that this process may use, and the first of them. */
static void processors(cpu_set_t *ret_usual, cpu_set_t *ret_first)
{
    int i = 0;

    ck_assert_int_eq(sched_getaffinity(0, sizeof *ret_usual, ret_usual), 0);
    while (!CPU_ISSET(i, ret_usual))
        i++;
    CPU_ZERO(ret_first);
    CPU_SET(i, ret_first);
}

void phase_run(const struct load *load, const pid_t *watched, size_t n_watched, phase_client client, void *arg,
               struct figures *ret)
{
    struct figures *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cpu_set_t usual, first;
    int status = 0;
    pid_t pid;

    ck_assert(shared != MAP_FAILED);
    processors(&usual, &first);
    for (size_t i = 0; i < n_watched; i++)
        for_each_thread(watched[i], run_on, load->one_core ? &first : &usual);
    pid = phase_fork();
    if (pid == 0) {
        struct meter m;

        run_on(0, load->one_core ? &first : &usual);
        meter_init(&m, load, watched, n_watched);
        client(&m, arg);
        m.figures.calls = m.total;
        *shared = m.figures;
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the client of the phase failed (wait status %d)",
                  status);
    *ret = *shared;
    munmap(shared, sizeof *shared);
}

pid_t phase_fork(void)
{
    pid_t parent = getpid(), pid = fork();

    ck_assert_msg(pid >= 0, "fork: %s", strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
    }
    return pid;
}

void phase_kill(pid_t pid)
{
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
