/* SPDX-License-Identifier: MIT */
/*
 * bench_pfork -- what ptools_pfork() costs, beside the least that fork, a pipe for each child, and wait can do.
 *
 * The floor forks all its children (or as many at once as are allowed), then reads from them in their order and reaps
 * each; it knows how many bytes come, and that nothing goes wrong. Both run in this process, one after the other in
 * each round, with the same memory touched: how much that is decides what a fork costs, for its page tables are copied,
 * but for those of shared memory.
 *
 * ROUNDS (5) in the environment. Every value is checked.
 */
#include <check.h>
#include <fcntl.h>
#include <ptools/ptools.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/phase.h"
#include "tests/bench/program.h"
#include "tests/bench/report.h"

enum { MIB = 1 << 20, CHILDREN = 100, FEW_CHILDREN = 30, MANY_CHILDREN = 10000, PAGE_BYTES = 4096, LARGE_BYTES = MIB };

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* -- the floor --------------------------------------------------------------------------------------------------- */

static void write_whole(int fd, const void *data, size_t n)
{
    for (const char *p = data; n > 0;) {
        ssize_t w = write(fd, p, n);

        if (w <= 0)
            _exit(1);
        p += w;
        n -= (size_t)w;
    }
}

static void read_whole(int fd, void *data, size_t n)
{
    for (char *p = data; n > 0;) {
        ssize_t r = read(fd, p, n);

        phase_assert(r > 0);
        p += r;
        n -= (size_t)r;
    }
}

/* bytes: of each result, the first eight of which are the child's number. us a child. */
static double floor_us(int n, int at_once, size_t bytes)
{
    int *fds = calloc((size_t)n, sizeof *fds);
    pid_t *pids = calloc((size_t)n, sizeof *pids);
    char *large = bytes > 8 ? malloc(bytes) : NULL;
    double began = now_us();

    for (int begun = 0, done = 0; done < n; done++) {
        uint64_t got[1];

        for (; begun < n && begun - done < at_once; begun++) {
            int ends[2];

            phase_assert(pipe2(ends, O_CLOEXEC) == 0);
            pids[begun] = fork();
            if (pids[begun] == 0) {
                uint64_t number = (uint64_t)begun + 1;

                if (bytes > 8) {
                    memset(large, begun, bytes);
                    memcpy(large, &number, 8);
                }
                write_whole(ends[1], bytes > 8 ? (void *)large : (void *)&number, bytes);
                _exit(0);
            }
            phase_assert(pids[begun] > 0);
            close(ends[1]);
            fds[begun] = ends[0];
        }
        if (bytes > 8) {
            char *result = malloc(bytes); /* as the caller would have it */

            read_whole(fds[done], result, bytes);
            memcpy(got, result, 8);
            phase_assert(result[bytes - 1] == (char)done);
            free(result);
        } else {
            read_whole(fds[done], got, 8);
        }
        phase_assert(got[0] == (uint64_t)done + 1);
        close(fds[done]);
        phase_assert(waitpid(pids[done], NULL, 0) == pids[done]);
    }
    began = (now_us() - began) / n;
    free(large);
    free(pids);
    free(fds);
    return began;
}

/* -- ptools -------------------------------------------------------------------------------------------------------- */

static ptools_err number(int i, void *arg, ptools_child *child)
{
    (void)arg;
    ptools_pack_i64(ptools_child_result(child), i);
    return PTOOLS_OK;
}

static ptools_err large(int i, void *arg, ptools_child *child)
{
    int64_t wide = i;

    memset(arg, i - 1, LARGE_BYTES);
    memcpy(arg, &wide, 8);
    ptools_pack_bytes(ptools_child_result(child), arg, LARGE_BYTES);
    return PTOOLS_OK;
}

static double pfork_us(int n, int at_once, size_t bytes)
{
    ptools_pfork_options options = PTOOLS_PFORK_OPTIONS_INIT;
    char *room = bytes > 8 ? malloc(bytes) : NULL;
    ptools_children *children;
    double began = now_us();
    const char *why = "";

    options.at_once = (uint32_t)at_once;
    ck_assert_msg(ptools_pfork(n, bytes > 8 ? large : number, room, &options, &children, &why) == PTOOLS_OK, "%s", why);
    for (int i = 1; i <= n; i++) {
        ptools_value v = ptools_children_outcome(children, i)->value;
        const void *data;
        int64_t got;
        size_t length;

        if (bytes > 8) {
            phase_assert(ptools_get_bytes(v, &data, &length) == PTOOLS_OK && length == bytes);
            memcpy(&got, data, 8);
            phase_assert(((const char *)data)[bytes - 1] == (char)(i - 1));
        } else {
            phase_assert(ptools_get_i64(v, &got) == PTOOLS_OK);
        }
        phase_assert(got == i);
    }
    ptools_children_free(children);
    began = (now_us() - began) / n;
    free(room);
    return began;
}

/* -- figures ------------------------------------------------------------------------------------------------------- */

struct subject {
    const char *title;
    int n, at_once;
    size_t bytes;
    size_t private_mib, array_mib; /* that the caller has, and has touched */
    size_t rounds_at_most;
    double target;
};

static const struct subject subjects[] = {
    { "100 children, from 1 MiB", CHILDREN, CHILDREN, 8, 0, 0, ROUNDS_MAX, 1.15 },
    { "100 children, from 10 MiB", CHILDREN, CHILDREN, 8, 10, 0, ROUNDS_MAX, 1.15 },
    { "100 children, from 10 MiB, 2 at once", CHILDREN, 2, 8, 10, 0, ROUNDS_MAX, 1.15 },
    { "30 children, from 1 GiB", FEW_CHILDREN, FEW_CHILDREN, 8, 1024, 0, 3, 1.15 },
    { "100 children, 1 MiB each back", CHILDREN, CHILDREN, LARGE_BYTES, 0, 0, ROUNDS_MAX, 0 },
    { "10000 children, 50 at once", MANY_CHILDREN, 50, 8, 0, 0, 3, 0 },
};

static char *touched(size_t mib)
{
    char *at = mib == 0 ? NULL : mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    phase_assert(at != MAP_FAILED);
    if (at)
        madvise(at, mib * MIB, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < mib * MIB; i += PAGE_BYTES)
        at[i] = 1;
    return at;
}

static void measure(const struct subject *s, size_t rounds)
{
    struct series ours = { .n = 0 }, floor = { .n = 0 };
    char *memory = touched(s->private_mib);
    const struct report_line line = {
        .title = s->title, .unit = UNIT_US, .ours = &ours, .floor = &floor, .ratio_at_most = s->target
    };

    for (size_t i = 0; i < rounds && i < s->rounds_at_most; i++) {
        series_add(&floor, floor_us(s->n, s->at_once, s->bytes));
        series_add(&ours, pfork_us(s->n, s->at_once, s->bytes));
    }
    report_print(&line);
    if (memory)
        munmap(memory, s->private_mib * MIB);
}

static ptools_err touch(int i, ptools_array *const *arrays, void *arg, ptools_child *child)
{
    char *at = ptools_array_data(arrays[0]);

    (void)i;
    (void)arg;
    (void)child;
    for (size_t k = 0; k < ptools_array_bytes(arrays[0]); k += PAGE_BYTES)
        at[k] = 1;
    return PTOOLS_OK;
}

/* The same children from a caller that has a GiB of arrays, and from one that has 10 MiB: the "floor" of this line. */
static void measure_arrays(size_t rounds)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG(NULL, PTOOLS_UINT8, 1024, MIB);
    struct series with = { .n = 0 }, without = { .n = 0 };
    char *memory = touched(10);
    const struct report_line line = { .title = "100 children, 1 GiB of arrays (floor: from 10 MiB)", .unit = UNIT_US,
                                      .ours = &with, .floor = &without, .ratio_at_most = 1.2 };

    for (size_t i = 0; i < rounds; i++) {
        ptools_array *array;
        const char *why = "";

        series_add(&without, pfork_us(CHILDREN, CHILDREN, 8));
        ck_assert_msg(ptools_pfork_shm(1, &cfg, 1, touch, NULL, NULL, &array, NULL, &why) == PTOOLS_OK, "%s", why);
        touch(0, &array, NULL, NULL);
        series_add(&with, pfork_us(CHILDREN, CHILDREN, 8));
        ptools_array_free(array);
    }
    report_print(&line);
    munmap(memory, (size_t)10 * MIB);
}

/* Each line in a process of its own: what another has left in the heap would have to be forked, too. */
static void in_process(const struct subject *s, size_t rounds)
{
    pid_t pid = phase_fork();
    int status;

    if (pid == 0) {
        if (s)
            measure(s, rounds);
        else
            measure_arrays(rounds);
        fflush(stdout);
        _exit(0);
    }
    phase_assert(waitpid(pid, &status, 0) == pid && status == 0);
}

START_TEST(figures)
{
    const unsigned rounds = program_setting("ROUNDS", 5, ROUNDS_MAX);

    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++)
        in_process(&subjects[i], rounds);
    in_process(NULL, rounds);
}
END_TEST

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    return program_run("bench_pfork", figures);
}
