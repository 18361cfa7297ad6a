/* SPDX-License-Identifier: MIT */
/* error -- every code of <ptools/error.h> has a name and a sentence; the header itself is read. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <ptools/error.h>

#include "proto/util.h"
#include "tests/support/suite.h"

START_TEST(every_code)
{
    FILE *f = fopen(SOURCE_ROOT "/client/include/ptools/error.h", "re");
    char line[256];
    unsigned codes = 0;

    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f)) {
        char name[64];
        unsigned code;

        if (sscanf(line, " PTOOLS_ERR_%63[A-Z_] = %u", name, &code) != 2 || strcmp(name, "WIDTH_") == 0)
            continue;
        codes++;
        ck_assert_str_eq(ptools_errname((ptools_err)code), name);
        ck_assert_str_ne(ptools_strerror((ptools_err)code), "unknown error");
        ck_assert_uint_gt(strlen(ptools_strerror((ptools_err)code)), 8);
    }
    fclose(f);
    ck_assert_uint_eq(codes, 50);
}
END_TEST

/* The codes that travel: each has its row in PROTOCOL.md. */
START_TEST(every_code_is_in_the_protocol)
{
    FILE *f = fopen(SOURCE_ROOT "/proto/PROTOCOL.md", "re");
    bool there[PTOOLS_ERR_INTERNAL + 1] = { false };
    char line[2048], name[64];
    unsigned code;

    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "| %u | %63[A-Z_] |", &code, name) == 2 && code < ELEMENTS(there))
            there[code] = strcmp(name, ptools_errname((ptools_err)code)) == 0;
    fclose(f);
    for (code = PTOOLS_ERR_NO_DAEMON; code < ELEMENTS(there); code++)
        ck_assert_msg(there[code] == (strcmp(ptools_errname((ptools_err)code), "UNKNOWN") != 0), "%u", code);
}
END_TEST

START_TEST(ok_and_unknown)
{
    static const ptools_err unknown[] = { (ptools_err)10, (ptools_err)19, (ptools_err)91, (ptools_err)-1,
                                          PTOOLS_ERR_WIDTH_ };

    ck_assert_str_eq(ptools_errname(PTOOLS_OK), "OK");
    ck_assert_str_eq(ptools_strerror(PTOOLS_OK), "success");
    for (size_t i = 0; i < ELEMENTS(unknown); i++) {
        ck_assert_str_eq(ptools_errname(unknown[i]), "UNKNOWN");
        ck_assert_str_eq(ptools_strerror(unknown[i]), "unknown error");
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("error");
    TCase *tc = suite_case(suite, "error");

    tcase_add_test(tc, every_code);
    tcase_add_test(tc, every_code_is_in_the_protocol);
    tcase_add_test(tc, ok_and_unknown);
    return suite_run(suite);
}
