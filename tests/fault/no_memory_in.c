/* SPDX-License-Identifier: MIT */
/*
 * no_memory_in -- for LD_PRELOAD: memory that runs out in one process, all of it: what its libraries ask for, too. The
 * file that PTOOLS_TEST_NO_MEMORY names is mapped, and says when (no_memory_in.h). Only in a program of the name that
 * stands there: others that inherit this are left alone.
 */
#include "tests/fault/no_memory_in.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
EXPORTED void *malloc(size_t n);
EXPORTED void *calloc(size_t n, size_t size);
EXPORTED void *realloc(void *p, size_t n);

static struct no_memory_in *control;

__attribute__((constructor)) static void find_control(void)
{
    const char *path = getenv("PTOOLS_TEST_NO_MEMORY");
    struct no_memory_in *found;
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    found = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (found != MAP_FAILED && strcmp(program_invocation_short_name, found->program) == 0)
        control = found;
}

static bool fails(void)
{
    uint64_t n;

    if (!control || !control->armed)
        return false;
    n = ++control->count;
    if (n != control->fails && !(control->lasts && control->fails > 0 && n > control->fails))
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t n)
{
    return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return fails() ? NULL : __libc_realloc(p, n);
}
