/* SPDX-License-Identifier: MIT */
/*
 * scarce -- see scarce.h.
 */
#include "tests/unit/core/scarce.h"

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

bool scarce_armed;
uint64_t scarce_count, scarce_fails;

static bool fail_now(void)
{
    return scarce_armed && ++scarce_count == scarce_fails;
}

void *__wrap_malloc(size_t n)
{
    return fail_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fail_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fail_now() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
    return fail_now() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
    return fail_now() ? NULL : __real_strndup(s, n);
}

/* Stands before the library's own: what a zone asks for when its chunk is used up. */
void *msgpack_zone_malloc_expand(msgpack_zone *zone, size_t size)
{
    void *(*real)(msgpack_zone *, size_t);

    if (fail_now())
        return NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "msgpack_zone_malloc_expand");
    return real(zone, size);
}
