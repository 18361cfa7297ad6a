/* SPDX-License-Identifier: MIT */
/*
 * test_pfork_large -- pfork with numbers that are large: ten thousand children, and a result of a GiB.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/support/suite.h"

#include <ptools/ptools.h>

enum { CHILDREN = 10000, AT_ONCE = 50, K = 2 };
#define GIB ((size_t)1 << 30)
#define ROOM_BYTES (6 * GIB) /* the caller's, the child's, its pack that grows by doubling, and some to spare */

static ptools_err square(int i, void *arg, ptools_child *child)
{
    (void)arg;
    ptools_pack_i64(ptools_child_result(child), (int64_t)i * i);
    return PTOOLS_OK;
}

static void ck_square(const ptools_children *c, int i)
{
    int64_t v;

    ck_assert_int_eq(ptools_get_i64(ptools_children_outcome(c, i)->value, &v), PTOOLS_OK);
    ck_assert_int_eq(v, (int64_t)i * i);
}

START_TEST(ten_thousand)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    ptools_children *c;
    const char *why = "";

    o.at_once = AT_ONCE;
    ck_assert_msg(ptools_pfork(CHILDREN, square, NULL, &o, &c, &why) == PTOOLS_OK, "%s", why);
    for (int i = 1; i <= CHILDREN; i++)
        ck_square(c, i);
    ptools_children_free(c);
}
END_TEST

static uint64_t available_bytes(void)
{
    FILE *f = fopen("/proc/meminfo", "re");
    unsigned long long kib = 0;
    char line[160];

    while (f && fgets(line, sizeof line, f) && sscanf(line, "MemAvailable: %llu", &kib) != 1)
        ;
    if (f)
        fclose(f);
    return (uint64_t)kib * 1024;
}

static ptools_err give_a_gib(int i, void *arg, ptools_child *child)
{
    char *at;

    if (i != K)
        return square(i, arg, child);
    at = mmap(NULL, GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return PTOOLS_ERR_NO_MEMORY;
    at[0] = 1;
    at[GIB - 1] = 2;
    ptools_pack_bytes(ptools_child_result(child), at, GIB);
    munmap(at, GIB);
    return PTOOLS_OK;
}

START_TEST(a_gib)
{
    ptools_children *c;
    const char *why = "", *data;
    const void *bytes;
    size_t n;

    if (available_bytes() < ROOM_BYTES) {
        fprintf(stderr, "# not enough memory for a result of a GiB\n");
        return;
    }
    ck_assert_msg(ptools_pfork(4, give_a_gib, NULL, NULL, &c, &why) == PTOOLS_OK, "%s", why);
    for (int i = 1; i <= 4; i++)
        if (i != K)
            ck_square(c, i);
    ck_assert_int_eq(ptools_get_bytes(ptools_children_outcome(c, K)->value, &bytes, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, GIB);
    data = bytes;
    ck_assert_int_eq(data[0], 1);
    ck_assert_int_eq(data[GIB / 2], 0);
    ck_assert_int_eq(data[GIB - 1], 2);
    ptools_children_free(c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pfork_large");
    TCase *tc = suite_case(s, "large");

    tcase_set_timeout(tc, 600);
    tcase_add_test(tc, ten_thousand);
    tcase_add_test(tc, a_gib);
    return suite_run(s);
}
