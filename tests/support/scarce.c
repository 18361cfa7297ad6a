/* SPDX-License-Identifier: MIT */
/*
 * scarce -- see scarce.h.
 */
#include "tests/support/scarce.h"

#include <dlfcn.h>
#include <msgpack.h>
#include <stddef.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

atomic_bool scarce_armed, scarce_lasts;
_Atomic uint64_t scarce_count, scarce_fails;

void scarce_from_now(uint64_t nth)
{
    scarce_count = 0;
    scarce_fails = nth;
    scarce_armed = true;
}

bool scarce_fail_now(void)
{
    uint64_t n;

    if (!scarce_armed)
        return false;
    n = ++scarce_count;
    return n == scarce_fails || (scarce_lasts && scarce_fails > 0 && n > scarce_fails);
}

void *__wrap_malloc(size_t n)
{
    return scarce_fail_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return scarce_fail_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return scarce_fail_now() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
    return scarce_fail_now() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
    return scarce_fail_now() ? NULL : __real_strndup(s, n);
}

/* These stand before msgpack-c's own, also for itself. */
#define INSTEAD __attribute__((visibility("default")))

static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

INSTEAD bool msgpack_zone_init(msgpack_zone *zone, size_t chunk_size)
{
    bool (*real)(msgpack_zone *, size_t);

    *(void **)&real = next("msgpack_zone_init");
    return !scarce_fail_now() && real(zone, chunk_size);
}

INSTEAD msgpack_zone *msgpack_zone_new(size_t chunk_size)
{
    msgpack_zone *(*real)(size_t);

    *(void **)&real = next("msgpack_zone_new");
    return scarce_fail_now() ? NULL : real(chunk_size);
}

/* What a zone asks for when its chunk is used up. */
INSTEAD void *msgpack_zone_malloc_expand(msgpack_zone *zone, size_t size)
{
    void *(*real)(msgpack_zone *, size_t);

    if (scarce_fail_now())
        return NULL;
    *(void **)&real = next("msgpack_zone_malloc_expand");
    return real(zone, size);
}
