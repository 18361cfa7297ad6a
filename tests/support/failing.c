/* SPDX-License-Identifier: MIT */
/*
 * failing -- see failing.h.
 */
#include "tests/support/failing.h"

#include <errno.h>
#include <stdlib.h>

static unsigned fails_at, count;
static size_t largest;

void failing_at(unsigned nth)
{
    fails_at = nth;
    count = 0;
    largest = 0;
}

bool failing_stop(void)
{
    bool failed = fails_at > 0 && count >= fails_at;

    fails_at = 0;
    return failed;
}

unsigned failing_count(void)
{
    return count;
}

size_t failing_largest(void)
{
    return largest;
}

static bool fails(size_t n)
{
    count++;
    if (n > largest)
        largest = n;
    if (count != fails_at)
        return false;
    errno = ENOMEM;
    return true;
}

void *failing_malloc(size_t n)
{
    return fails(n) ? NULL : malloc(n);
}

void *failing_calloc(size_t n, size_t size)
{
    return fails(n * size) ? NULL : calloc(n, size);
}

void *failing_realloc(void *p, size_t n)
{
    return fails(n) ? NULL : realloc(p, n);
}
