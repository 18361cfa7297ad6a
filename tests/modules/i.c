/* SPDX-License-Identifier: MIT */
/*
 * i -- functions for tests of very many items, and of items that behave badly.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <ptools/module.h>

static volatile bool enough; /* never */

static ptools_err rest(int64_t ms)
{
    struct timespec t = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        continue;
    return PTOOLS_OK;
}

/* Its arguments, which are numbers: at least one, at most as many as there is room for; the others are 0. */
static ptools_err numbers(ptools_task *task, int64_t *ret, uint32_t room)
{
    const uint32_t n = ptools_task_argc(task);

    memset(ret, 0, room * sizeof *ret);
    if (n < 1 || n > room)
        return ptools_task_fail(task, "1 to %u numbers are expected", room);
    for (uint32_t k = 0; k < n; k++) {
        ptools_err err = ptools_task_arg_i64(task, k, &ret[k]);

        if (err != PTOOLS_OK)
            return err;
    }
    return PTOOLS_OK;
}

/* One item of a hundred fails, one takes a millisecond (so that who looks for a busy worker finds one), and one of
 * HANG_EVERY never ends. */
static ptools_err fate(ptools_task *task)
{
    int64_t v[2];
    ptools_err err = numbers(task, v, 2);

    if (err != PTOOLS_OK)
        return err;
    if (v[0] > 0 && v[1] % v[0] == v[0] / 2) {
        ptools_task_phase(task, "for ever");
        while (!enough)
            continue;
    }
    if (v[1] % 100 == 17)
        return ptools_task_fail(task, "no good: %lld", (long long)v[1]);
    ptools_pack_i64(ptools_task_result(task), v[1] * 3);
    return v[1] % 100 == 67 ? rest(1) : PTOOLS_OK;
}

/* Takes so long -> the worker that it ran in. */
static ptools_err worker(ptools_task *task)
{
    int64_t v[2];
    ptools_err err = numbers(task, v, 2);

    if (err == PTOOLS_OK)
        err = rest(v[0]);
    if (err == PTOOLS_OK)
        ptools_pack_u64(ptools_task_result(task), ptools_task_worker_id(task));
    return err;
}

/* Fails in that worker, wherever else it is N. */
static ptools_err not_in(ptools_task *task)
{
    int64_t v[2];
    ptools_err err = numbers(task, v, 2);

    if (err != PTOOLS_OK)
        return err;
    if (v[0] == (int64_t)ptools_task_worker_id(task))
        return ptools_task_fail(task, "not here");
    ptools_pack_i64(ptools_task_result(task), v[1] * 2);
    return PTOOLS_OK;
}

static ptools_err count(ptools_task *task)
{
    ptools_pack_u64(ptools_task_result(task), ptools_task_argc(task));
    return PTOOLS_OK;
}

static ptools_err mute(ptools_task *task)
{
    (void)task;
    return PTOOLS_OK;
}

/* Says much, not all of it text. */
static ptools_err noisy(ptools_task *task)
{
    int64_t v[1];
    ptools_err err = numbers(task, v, 1);

    if (err != PTOOLS_OK)
        return err;
    for (int k = 0; k < 2000; k++)
        ptools_task_log(task, "item %lld says \xff\xfe\x01 for the %dth time", (long long)v[0], k);
    ptools_task_phase(task, "\xc0\xaf");
    if (v[0] % 3 == 0)
        return ptools_task_fail(task, "enough of \xff");
    ptools_pack_i64(ptools_task_result(task), v[0]);
    return PTOOLS_OK;
}

/* Item CULPRIT closes whatever is open. */
static ptools_err closes(ptools_task *task)
{
    int64_t v[3];
    ptools_err err = numbers(task, v, 3);

    if (err != PTOOLS_OK)
        return err;
    if (v[0] == v[2])
        close_range(3, ~0u, 0);
    ptools_pack_list(ptools_task_result(task), (uint32_t)v[1]);
    for (int64_t k = 0; k < v[1]; k++)
        ptools_pack_i64(ptools_task_result(task), v[2]);
    return PTOOLS_OK;
}

static ptools_err length(ptools_task *task)
{
    const void *data;
    size_t n = 0;
    ptools_err err = ptools_task_arg_bytes(task, 0, &data, &n);

    if (err == PTOOLS_OK)
        ptools_pack_u64(ptools_task_result(task), n);
    return err;
}

/* What may be done with the memory that the argument lies in; to its last page nothing any more, until it is mapped
 * anew. */
static ptools_err mapping(ptools_task *task)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    char line[256], allowed[5] = "";
    const void *data;
    uintptr_t last;
    size_t n = 0;
    FILE *maps;
    ptools_err err = ptools_task_arg_bytes(task, 0, &data, &n);

    if (err != PTOOLS_OK)
        return err;
    if (n < 2 * page)
        return ptools_task_fail(task, "%zu bytes are too few", n);
    last = (uintptr_t)data + n - 1;
    maps = fopen("/proc/self/maps", "re");
    while (maps && fgets(line, sizeof line, maps)) {
        uintptr_t from, to;

        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &from, &to, allowed) == 3 && from <= last && last < to)
            break;
        allowed[0] = '\0';
    }
    if (maps)
        fclose(maps);
    if (mprotect((void *)(last / page * page), page, PROT_NONE) < 0)
        return ptools_task_fail(task, "mprotect: %s", strerror(errno));
    ptools_pack_str(ptools_task_result(task), allowed);
    return rest(1);
}

/* Makes the memory of its argument one that can be written, and writes to it. */
static ptools_err scribble(ptools_task *task)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const void *data;
    size_t n = 0;
    ptools_err err = ptools_task_arg_bytes(task, 0, &data, &n);

    if (err != PTOOLS_OK)
        return err;
    if (mprotect((void *)((uintptr_t)data / page * page), page, PROT_READ | PROT_WRITE) < 0)
        return ptools_task_fail(task, "mprotect: %s", strerror(errno));
    *(volatile char *)(uintptr_t)data = 'x';
    return PTOOLS_OK;
}

static const ptools_function functions[] = {
    { "fate", fate, "fate HANG_EVERY N -> 3 N, or fails, or never ends", PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY },
    { "worker", worker, "worker MS [N] -> the worker it ran in, after so long", 0 },
    { "not_in", not_in, "not_in WORKER N -> 2 N, but fails in that worker", PTOOLS_FN_IDEMPOTENT },
    { "count", count, "count ... -> how many arguments it has", PTOOLS_FN_TIDY },
    { "mute", mute, "mute ... -> nothing", PTOOLS_FN_TIDY },
    { "noisy", noisy, "noisy N: logs 2000 lines -> N", 0 },
    { "closes", closes, "closes CULPRIT TIMES N: closes all if N is that -> a list of N, so often", 0 },
    { "mapping", mapping, "mapping BYTES -> as what it was mapped; its last page is of no use then", 0 },
    { "scribble", scribble, "scribble BYTES: writes to it, or fails", 0 },
    { "length", length, "length BYTES -> how many there are", PTOOLS_FN_TIDY },
    { NULL, NULL, NULL, 0 }
};
PTOOLS_MODULE_EXPORT const ptools_module_info ptools_module = { PTOOLS_MODULE_ABI, sizeof(ptools_module_info),
                                                                "many items, and bad ones, for tests of pmap",
                                                                functions, NULL };
