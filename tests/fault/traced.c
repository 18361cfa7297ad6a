/* SPDX-License-Identifier: MIT */
/* traced -- see traced.h. strace is a grandchild (-D): the daemon stays the child of the test. */
#include "tests/fault/traced.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define STRACE "/usr/bin/strace"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 }; /* a sanitizer does not run below strace */
#else
enum { SANITIZED = 0 };
#endif

static char trace[160], inject[240];
static const char *const runner[] = { STRACE, "-D", "-f", "-qqq", "-o", "/dev/null", "-e", trace, "-e", inject, NULL };

bool traced_possible(void)
{
    static const char probe[] =
        STRACE " -D -f -qqq -o /dev/null -e trace=fdatasync -e inject=fdatasync:error=EIO:when=1 "
               "sync -d /dev/null >/dev/null 2>&1";
    const char *why = SANITIZED                 ? "a sanitizer does not run below strace"
                      : system(probe) != 1 << 8 ? STRACE " is not there, or may not make calls fail"
                                                : NULL;

    if (why)
        printf("1..0 # SKIP %s\n", why);
    return !why;
}

void traced_inject(const char *calls, const char *what, const char *when)
{
    ck_assert_int_lt(snprintf(trace, sizeof trace, "trace=%s", calls), (int)sizeof trace);
    ck_assert_int_lt(snprintf(inject, sizeof inject, "inject=%s:%s:when=%s", calls, what, when), (int)sizeof inject);
    server_runner = runner;
}

void traced_end(void)
{
    server_runner = NULL;
}
