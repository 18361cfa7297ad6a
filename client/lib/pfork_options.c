/* SPDX-License-Identifier: MIT */
/*
 * pfork_options -- what was asked for, checked before anything is forked. The message of a failure is the thread's,
 * as ptools_open()'s is, for there is no handle.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/lib/handle.h"
#include "client/lib/pfork.h"

enum { CAPTURE_BYTES = 1 << 20 };
#define KNOWN_FLAGS                                                                                                 \
    ((uint32_t)(PTOOLS_PFORK_PROCESSORS | PTOOLS_PFORK_FAIL_FAST | PTOOLS_PFORK_SEED | PTOOLS_PFORK_SPREAD |        \
                PTOOLS_PFORK_STOP_FD))

static _Thread_local char message[512];

void pfork_tell(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
}

const char *pfork_message(void)
{
    return message;
}

/* How many processors this process may use. */
static uint32_t processors(void)
{
    cpu_set_t set;
    long n;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return (uint32_t)CPU_COUNT(&set);
    n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (uint32_t)n : 1;
}

static ptools_err check_lists(const ptools_pfork_options *o)
{
    if (o->n_cpus > 0 && !o->cpus)
        return pfork_fail(PTOOLS_ERR_INVALID, "options of pfork: n_cpus is %u, and cpus is NULL", o->n_cpus);
    if (o->flags & PTOOLS_PFORK_SPREAD && o->n_cpus == 0)
        return pfork_fail(PTOOLS_ERR_INVALID, "options of pfork: PTOOLS_PFORK_SPREAD needs cpus");
    for (uint32_t i = 0; i < o->n_cpus; i++)
        if (o->cpus[i] >= CPU_SETSIZE)
            return pfork_fail(PTOOLS_ERR_INVALID, "options of pfork: cpus[%u] is %u: 0 to %d are allowed", i,
                              o->cpus[i], CPU_SETSIZE - 1);
    if (o->n_limits > 0 && !o->limits)
        return pfork_fail(PTOOLS_ERR_INVALID, "options of pfork: n_limits is %u, and limits is NULL", o->n_limits);
    for (uint32_t i = 0; i < o->n_limits; i++) {
        const ptools_pfork_limit *l = &o->limits[i];

        if (l->resource < 0 || l->resource >= RLIM_NLIMITS)
            return pfork_fail(PTOOLS_ERR_INVALID, "options of pfork: limits[%u] is of resource %d: no RLIMIT_...", i,
                              l->resource);
        if (l->soft > l->hard)
            return pfork_fail(PTOOLS_ERR_INVALID, "options of pfork: limits[%u] has a soft limit, %" PRIu64
                              ", above its hard one, %" PRIu64, i, l->soft, l->hard);
    }
    return PTOOLS_OK;
}

static ptools_err check(const ptools_pfork_options *o)
{
    if (o->flags & ~KNOWN_FLAGS)
        return pfork_fail(PTOOLS_ERR_INVALID, "options of pfork: unknown bits 0x%x in flags", o->flags & ~KNOWN_FLAGS);
    if (o->reserved != 0)
        return pfork_fail(PTOOLS_ERR_INVALID, "options of pfork: reserved is %u: it must be 0", o->reserved);
    if (o->timeout_ms < 0 || o->timeout_all_ms < 0)
        return pfork_fail(PTOOLS_ERR_INVALID, "options of pfork: %s is %" PRId64 ": 0 (none) or more",
                          o->timeout_ms < 0 ? "timeout_ms" : "timeout_all_ms",
                          o->timeout_ms < 0 ? o->timeout_ms : o->timeout_all_ms);
    if (o->flags & PTOOLS_PFORK_PROCESSORS && o->at_once)
        return pfork_fail(PTOOLS_ERR_INVALID, "options of pfork: at_once is %u, and PTOOLS_PFORK_PROCESSORS is set: "
                          "one of them", o->at_once);
    if ((unsigned)o->output > PTOOLS_PFORK_DISCARD || (unsigned)o->errors > PTOOLS_PFORK_DISCARD)
        return pfork_fail(PTOOLS_ERR_INVALID, "options of pfork: %s is %d: PTOOLS_PFORK_INHERIT, _CAPTURE or _DISCARD",
                          (unsigned)o->output > PTOOLS_PFORK_DISCARD ? "output" : "errors",
                          (int)((unsigned)o->output > PTOOLS_PFORK_DISCARD ? o->output : o->errors));
    return check_lists(o);
}

ptools_err pfork_job_read(int n, ptools_pfork_fn f, void *arg, const ptools_pfork_options *given, struct pfork_job *ret)
{
    const ptools_pfork_options defaults = PTOOLS_PFORK_OPTIONS_INIT;
    ptools_err err;

    *ret = (struct pfork_job){ n, f, arg, defaults };
    if (n < 0)
        return pfork_fail(PTOOLS_ERR_INVALID, "pfork: n is %d: 0 or more children", n);
    if (!f)
        return pfork_fail(PTOOLS_ERR_INVALID, "pfork: the function is NULL");
    err = options_copy("options of pfork", given, sizeof ret->how, &ret->how, sizeof ret->how, message, sizeof message);
    if (err == PTOOLS_OK)
        err = check(&ret->how);
    if (err != PTOOLS_OK)
        return err;
    if (ret->how.flags & PTOOLS_PFORK_PROCESSORS)
        ret->how.at_once = processors();
    if (ret->how.at_once == 0 || ret->how.at_once > (uint32_t)n)
        ret->how.at_once = (uint32_t)n;
    if (ret->how.capture_bytes == 0)
        ret->how.capture_bytes = CAPTURE_BYTES;
    if (!(ret->how.flags & PTOOLS_PFORK_SEED) && n > 0 &&
        getrandom(&ret->how.seed, sizeof ret->how.seed, 0) != sizeof ret->how.seed)
        return pfork_fail(PTOOLS_ERR_SYSTEM, "getrandom: %s", strerror(errno));
    return PTOOLS_OK;
}
