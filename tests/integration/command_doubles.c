/* SPDX-License-Identifier: MIT */
/*
 * A command that is given a shared array x: it takes it by its descriptor, doubles each float64, and prints how many
 * there were. Nothing of ptools is linked: what the environment says is all that it needs.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static long long number(const char *name)
{
    const char *text = getenv(name);

    return text ? atoll(text) : -1;
}

int main(void)
{
    const long long fd = number("PTOOLS_ARRAY_x_FD"), offset = number("PTOOLS_ARRAY_x_OFFSET");
    const long long count = number("PTOOLS_ARRAY_x_COUNT"), page = sysconf(_SC_PAGESIZE), from = offset / page * page;
    const char *type = getenv("PTOOLS_ARRAY_x_TYPE"), *dims = getenv("PTOOLS_ARRAY_x_DIMS");
    const char *strides = getenv("PTOOLS_ARRAY_x_STRIDES");
    char *at;

    if (fd < 3 || offset < 0 || count < 1 || !type || strcmp(type, "float64") != 0 || !dims || !strides)
        return 2;
    at = mmap(NULL, (size_t)(offset - from + count * 8), PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, from);
    if (at == MAP_FAILED)
        return 3;
    for (long long i = 0; i < count; i++)
        ((double *)(void *)(at + (offset - from)))[i] *= 2;
    printf("%lld %s %s\n", count, dims, strides);
    return 0;
}
