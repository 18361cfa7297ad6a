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

/* Stands before the library's own: what a zone asks for when its chunk is used up. */
void *msgpack_zone_malloc_expand(msgpack_zone *zone, size_t size)
{
    void *(*real)(msgpack_zone *, size_t);

    if (scarce_fail_now())
        return NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "msgpack_zone_malloc_expand");
    return real(zone, size);
}
