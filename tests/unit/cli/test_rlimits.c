/* SPDX-License-Identifier: MIT */
/*
 * test_rlimits -- resource limits and lists of processors, and every way to get them wrong.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/cli/rlimits.h"
#include "tests/support/suite.h"

static const struct {
    const char *text;
    int resource;
    uint64_t soft, hard;
    const char *wrong; /* part of what is said */
} limits_rows[] = {
    { "as=2G", RLIMIT_AS, UINT64_C(2) << 30, UINT64_C(2) << 30 },
    { "core=0", RLIMIT_CORE, 0, 0 },
    { "core=unlimited", RLIMIT_CORE, UINT64_MAX, UINT64_MAX },
    { "cpu=3", RLIMIT_CPU, 3, 4 },
    { "cpu=unlimited", RLIMIT_CPU, UINT64_MAX, UINT64_MAX },
    { "data=64K", RLIMIT_DATA, 65536, 65536 },
    { "fsize=4096", RLIMIT_FSIZE, 4096, 4096 },
    { "memlock=1M", RLIMIT_MEMLOCK, 1 << 20, 1 << 20 },
    { "nofile=100", RLIMIT_NOFILE, 100, 100 },
    { "nproc=7", RLIMIT_NPROC, 7, 7 },
    { "stack=8M", RLIMIT_STACK, 8 << 20, 8 << 20 },
    { "", 0, 0, 0, "a limit is NAME=VALUE" },
    { "nofile", 0, 0, 0, "\"nofile\": a limit is NAME=VALUE" },
    { "=1", 0, 0, 0, "there is no limit \"\"; allowed are as, core, cpu, data, fsize, memlock, nofile, nproc, stack" },
    { "nofiles=1", 0, 0, 0, "; the nearest is nofile" },
    { "NOFILE=1", 0, 0, 0, "there is no limit \"NOFILE\"" },
    { "nofile=", 0, 0, 0, "that limit is a number, or \"unlimited\"" },
    { "nofile=1K", 0, 0, 0, "that limit is a number" },
    { "nofile=-1", 0, 0, 0, "that limit is a number" },
    { "cpu=1s", 0, 0, 0, "a number of seconds" },
    { "as=1.5G", 0, 0, 0, "\"as=1.5G\": a size is" },
    { "as=lots", 0, 0, 0, "a size is" },
    { "as=9999999999T", 0, 0, 0, "a size is" },
};

START_TEST(a_limit)
{
    ptools_pfork_limit limits[RLIMITS_MAX] = { { 0 } };
    char why[RLIMITS_WHY_BYTES] = "";
    uint32_t n = 0;
    bool good = rlimits_read(limits_rows[_i].text, limits, &n, why);

    if (limits_rows[_i].wrong) {
        ck_assert(!good);
        ck_assert_uint_eq(n, 0);
        ck_assert_msg(strstr(why, limits_rows[_i].wrong) != NULL, "%s", why);
        return;
    }
    ck_assert_msg(good, "%s", why);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(limits[0].resource, limits_rows[_i].resource);
    ck_assert_uint_eq(limits[0].soft, limits_rows[_i].soft);
    ck_assert_uint_eq(limits[0].hard, limits_rows[_i].hard);
}
END_TEST

START_TEST(many_limits)
{
    ptools_pfork_limit limits[RLIMITS_MAX];
    char why[RLIMITS_WHY_BYTES], text[40];
    uint32_t n = 0;

    for (int i = 0; i < 3; i++) {
        for (size_t k = 0; k < sizeof limits_rows / sizeof limits_rows[0]; k++) {
            if (limits_rows[k].wrong)
                continue;
            snprintf(text, sizeof text, "%.*s=%d", (int)strcspn(limits_rows[k].text, "="), limits_rows[k].text, i);
            ck_assert_msg(rlimits_read(text, limits, &n, why), "%s", why);
        }
        ck_assert_uint_eq(n, RLIMITS_MAX);
        for (uint32_t k = 0; k < n; k++)
            ck_assert_uint_eq(limits[k].soft, (uint64_t)i);
    }
}
END_TEST

/* Nothing of this process is changed by asking. */
START_TEST(what_may_be_raised)
{
    ptools_pfork_limit limit = { RLIMIT_NOFILE, 0, 0 };
    char why[RLIMITS_WHY_BYTES] = "";
    struct rlimit before, after;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit.soft = limit.hard = before.rlim_max;
    ck_assert(rlimits_check(&limit, 1, why));
    limit.soft = limit.hard = UINT64_MAX - 1; /* above fs.nr_open, for anybody */
    ck_assert(!rlimits_check(&limit, 1, why));
    ck_assert_msg(strstr(why, "the limit nofile of this process is") != NULL, "%s", why);
    limit.soft = limit.hard = before.rlim_max + 1;
    rlimits_check(&limit, 1, why); /* who is privileged may */
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &after), 0);
    ck_assert_uint_eq(after.rlim_cur, before.rlim_cur);
    ck_assert_uint_eq(after.rlim_max, before.rlim_max);
}
END_TEST

static const struct {
    const char *text;
    const char *want; /* as numbers with blanks behind; NULL: wrong */
    const char *wrong;
} cpu_rows[] = {
    { "0", "0 " },
    { "0,2-3", "0 2 3 " },
    { "3,1", "3 1 " },
    { "5-5", "5 " },
    { "1023", "1023 " },
    { "", NULL, "\"\" is no list of processors" },
    { "1024", NULL, "0 to 1023" },
    { "0-1024", NULL, "0 to 1023" },
    { "3-2", NULL, "no list" },
    { "1,", NULL, "no list" },
    { ",1", NULL, "no list" },
    { "1-", NULL, "no list" },
    { "-1", NULL, "no list" },
    { "1-2-3", NULL, "no list" },
    { "a", NULL, "no list" },
    { "0 1", NULL, "no list" },
    { "0,00000000000000000000", NULL, "no list" },
    { "0-3,2", NULL, "has processor 2 twice" },
};

START_TEST(a_list_of_processors)
{
    uint32_t cpus[RLIMITS_CPUS_MAX], n = 99;
    char why[RLIMITS_WHY_BYTES] = "", text[80] = "";
    bool good = rlimits_read_cpus(cpu_rows[_i].text, cpus, &n, why);

    if (!cpu_rows[_i].want) {
        ck_assert(!good);
        ck_assert_uint_eq(n, 99);
        ck_assert_msg(strstr(why, cpu_rows[_i].wrong) != NULL, "%s", why);
        return;
    }
    ck_assert_msg(good, "%s", why);
    for (uint32_t i = 0; i < n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%u ", cpus[i]);
    ck_assert_str_eq(text, cpu_rows[_i].want);
}
END_TEST

START_TEST(all_processors)
{
    uint32_t cpus[RLIMITS_CPUS_MAX], n;
    char why[RLIMITS_WHY_BYTES];

    ck_assert(rlimits_read_cpus("0-1023", cpus, &n, why));
    ck_assert_uint_eq(n, RLIMITS_CPUS_MAX);
    n = rlimits_own_cpus(cpus);
    ck_assert_uint_ge(n, 1);
    ck_assert_uint_le(n, (uint32_t)sysconf(_SC_NPROCESSORS_CONF));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rlimits");
    TCase *tc = suite_case(suite, "rlimits");

    tcase_add_loop_test(tc, a_limit, 0, sizeof limits_rows / sizeof limits_rows[0]);
    tcase_add_test(tc, many_limits);
    tcase_add_test(tc, what_may_be_raised);
    tcase_add_loop_test(tc, a_list_of_processors, 0, sizeof cpu_rows / sizeof cpu_rows[0]);
    tcase_add_test(tc, all_processors);
    return suite_run(suite);
}
