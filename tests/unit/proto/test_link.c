/* SPDX-License-Identifier: MIT */
/* link -- what a worker says of a failure: read if it is as it must be, and never beyond its end. */
#include <stdlib.h>
#include <string.h>

#include "proto/link.h"
#include "proto/message.h"
#include "tests/support/suite.h"

/* n bytes of a buffer that has no more. */
static bool reads(const char *data, size_t n, ptools_err code, struct msg_failure *ret)
{
    char *copy = malloc(n ? n : 1);
    const struct span body = { (uint8_t *)memcpy(copy, data, n), n };
    bool good;

    *ret = (struct msg_failure){ .code = code };
    good = link_failure_read(&body, ret);
    free(copy); /* the texts are borrowed: only their lengths can be looked at */
    return good;
}

START_TEST(five_texts_and_no_more)
{
#define BODY(text) text, sizeof(text) - 1
    /* clang-format off */
    static const struct {
        const char *data;
        size_t n;
        ptools_err code;
        bool good;
    } of[] = {
        { BODY("no such file\0reading\0log\n\0" "3 7\0"), PTOOLS_ERR_FAILED, true },
        { BODY("\0\0\0" "0 0\0"), PTOOLS_ERR_FAILED, true },
        { BODY("\0\0\0" "0 0\0" "1 0\0"), PTOOLS_ERR_FAILED, false }, /* a fifth, and it did not exit */
        { BODY("\0\0\0" "0 0"), PTOOLS_ERR_FAILED, false },           /* without its end */
        { BODY("\0\0\0" "0 0\0x"), PTOOLS_ERR_FAILED, false },
        { BODY("\0\0\0\0"), PTOOLS_ERR_FAILED, false },
        { BODY("\0\0\0" "3\0"), PTOOLS_ERR_FAILED, false },
        { BODY("\0\0\0" "of\0"), PTOOLS_ERR_FAILED, false },
        { BODY("\0\0"), PTOOLS_ERR_FAILED, false },
        { BODY(""), PTOOLS_ERR_FAILED, false },
        { BODY("\0\0\0" "0 0\0"), PTOOLS_ERR_EXITED, false },
        { BODY("\0\0\0" "0 0\0" "3 0\0"), PTOOLS_ERR_EXITED, true },
        { BODY("\0\0\0" "0 0\0" "-1 9\0"), PTOOLS_ERR_EXITED, true },
        { BODY("\0\0\0" "0 0\0" "255 0\0"), PTOOLS_ERR_EXITED, true },
        { BODY("\0\0\0" "0 0\0" "256 0\0"), PTOOLS_ERR_EXITED, false },
        { BODY("\0\0\0" "0 0\0" "-2 0\0"), PTOOLS_ERR_EXITED, false },
        { BODY("\0\0\0" "0 0\0" "0 -1\0"), PTOOLS_ERR_EXITED, false },
        { BODY("\0\0\0" "0 0\0" "0\0"), PTOOLS_ERR_EXITED, false },
        { BODY("\0\0\0" "0 0\0" "0 0"), PTOOLS_ERR_EXITED, false },
    };
    /* clang-format on */
    struct msg_failure f;

    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        ck_assert_msg(reads(of[i].data, of[i].n, of[i].code, &f) == of[i].good, "body %zu", i);
    ck_assert(reads(of[0].data, of[0].n, of[0].code, &f));
    ck_assert_uint_eq(f.message.n, 12);
    ck_assert_uint_eq(f.phase.n, 7);
    ck_assert_uint_eq(f.log.n, 4);
    ck_assert_uint_eq(f.progress, 3);
    ck_assert_uint_eq(f.progress_of, 7);
}
END_TEST

START_TEST(how_it_exited)
{
    struct msg_failure f;

    /* clang-format off */
    ck_assert(reads(BODY("\0\0\0" "0 0\0" "0 0\0"), PTOOLS_ERR_EXITED, &f));
    ck_assert(f.exited && f.exit_status == 0 && f.signal == 0);
    ck_assert(reads(BODY("\0\0\0" "0 0\0" "3 0\0"), PTOOLS_ERR_EXITED, &f));
    ck_assert(f.exited && f.exit_status == 3 && f.signal == 0);
    ck_assert(reads(BODY("\0\0\0" "0 0\0" "-1 9\0"), PTOOLS_ERR_EXITED, &f));
    ck_assert(!f.exited && f.signal == 9);
    /* clang-format on */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto link");
    TCase *tc = suite_case(suite, "link");

    tcase_add_test(tc, five_texts_and_no_more);
    tcase_add_test(tc, how_it_exited);
    return suite_run(suite);
}
