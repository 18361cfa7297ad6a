/* SPDX-License-Identifier: MIT */
/*
 * test_halt -- every form of --halt, what is none, and when it is reached.
 */
#include "client/cli/halt.h"
#include "tests/support/suite.h"

START_TEST(forms)
{
    static const char *const wrong[] = { "",
                                         "soon",
                                         "soon,fail",
                                         "soon,fail=",
                                         "later,fail=1",
                                         "now,fail=0",
                                         "now,fail=-1",
                                         "now,fail=101%",
                                         "now,fail=1%%",
                                         "now,bad=1",
                                         "now,fail=1x",
                                         "never,fail=1",
                                         "now, fail=1",
                                         "soon,fail=9999999999999999999" };
    struct halt h;

    ck_assert(halt_read("never", &h) && h.when == HALT_NEVER);
    ck_assert(halt_read("soon,fail=1", &h) && h.when == HALT_SOON && h.why == HALT_FAIL && h.n == 1 && !h.percent);
    ck_assert(halt_read("now,success=25%", &h) && h.when == HALT_NOW && h.why == HALT_SUCCESS && h.n == 25 &&
              h.percent);
    ck_assert(halt_read("now,done=100%", &h) && h.why == HALT_DONE);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(!halt_read(wrong[i], &h), "%s", wrong[i]);
}
END_TEST

START_TEST(reached)
{
    static const struct {
        const char *text;
        uint64_t failed, good, of;
        bool want;
    } rows[] = {
        { "never", 9, 9, 18, false },
        { "soon,fail=2", 1, 9, 20, false },
        { "soon,fail=2", 2, 0, 20, true },
        { "now,success=1", 9, 0, 20, false },
        { "now,success=1", 9, 1, 20, true },
        { "now,done=3", 1, 2, 20, true },
        { "now,fail=10%", 1, 9, 20, false },
        { "now,fail=10%", 2, 0, 20, true },
        { "now,fail=1%", 0, 9, 20, false },
        { "now,fail=1%", 1, 0, 20, true },
        { "now,done=50%", 1, 1, UINT64_MAX, false },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct halt h;

        ck_assert(halt_read(rows[i].text, &h));
        ck_assert_msg(halt_reached(&h, rows[i].failed, rows[i].good, rows[i].of) == rows[i].want, "row %zu", i);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("halt");
    TCase *tc = suite_case(suite, "halt");

    tcase_add_test(tc, forms);
    tcase_add_test(tc, reached);
    return suite_run(suite);
}
