/* SPDX-License-Identifier: MIT */
/*
 * test_arguments -- words and files to arguments.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/cli/arguments.h"
#include "tests/support/suite.h"
#include "tests/unit/cli/values.h"

/* Makes a file without a name of it, and the argument of that. */
static ptools_err add_content(ptools_pack *pack, const void *data, size_t n)
{
    char path[40], why[ARGUMENTS_WHY_BYTES];
    int fd = memfd_create("content", MFD_CLOEXEC);
    ptools_err r;

    ck_assert_int_eq(write(fd, data, n), (ssize_t)n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    r = arguments_add_file(pack, path, why);
    close(fd);
    return r;
}

START_TEST(words)
{
    static const struct {
        const char *word, *json;
    } rows[] = { { "7", "7" },
                 { "-3", "-3" },
                 { "true", "true" },
                 { "\"7\"", "\"7\"" },
                 { "README.md", "\"README.md\"" },
                 { "", "\"\"" },
                 { "[1,2]", "[1,2]" },
                 { "[1,2", "\"[1,2\"" },
                 { "{\"$bytes\":\"AA==\"}", "{\"$bytes\":\"AA==\"}" } };
    char why[ARGUMENTS_WHY_BYTES];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ptools_pack *pack = ptools_pack_new();
        char *json;

        ck_assert_int_eq(arguments_add_word(pack, rows[i].word, why), PTOOLS_OK);
        json = json_of(pack, false);
        ck_assert_str_eq(json, rows[i].json);
        free(json);
        ptools_pack_free(pack);
    }
}
END_TEST

START_TEST(a_word_that_cannot_be)
{
    ptools_pack *pack = ptools_pack_new();
    char why[ARGUMENTS_WHY_BYTES];

    ck_assert_int_eq(arguments_add_word(pack, "99999999999999999999", why), PTOOLS_ERR_INVALID);
    ck_assert_str_eq(why,
                     "the argument 99999999999999999999 is JSON, but the number 99999999999999999999 does not fit into "
                     "64 bits; after --string it is a string");
    ptools_pack_free(pack);
}
END_TEST

START_TEST(contents)
{
    static const struct {
        const char *data;
        size_t n;
        const char *json;
    } rows[] = { { "", 0, "\"\"" }, { "7", 1, "\"7\"" }, { "a\n\xc3\xa4", 4, "\"a\\n\xc3\xa4\"" },
                 { "\xff", 1, "{\"$bytes\":\"/w==\"}" }, { "a\0b", 3, "{\"$bytes\":\"YQBi\"}" } };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ptools_pack *pack = ptools_pack_new();
        char *json;

        ck_assert_int_eq(add_content(pack, rows[i].data, rows[i].n), PTOOLS_OK);
        json = json_of(pack, false);
        ck_assert_str_eq(json, rows[i].json);
        free(json);
        ptools_pack_free(pack);
    }
}
END_TEST

/* Around the sizes at which the block grows. */
START_TEST(large_contents)
{
    static const size_t sizes[] = { 65535, 65536, 65537, 131072, 1000000 };
    uint8_t *data = malloc(1000000);

    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < 1000000; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 8));
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ptools_pack *pack = ptools_pack_new();
        struct payload payload;
        const void *got;
        size_t n;

        ck_assert_int_eq(add_content(pack, data, sizes[i]), PTOOLS_OK);
        ck_assert_int_eq(ptools_get_bytes(value_of(pack, &payload), &got, &n), PTOOLS_OK);
        ck_assert_uint_eq(n, sizes[i]);
        ck_assert_int_eq(memcmp(got, data, n), 0);
        payload_deinit(&payload);
        ptools_pack_free(pack);
    }
    free(data);
}
END_TEST

START_TEST(a_pipe_as_standard_input)
{
    ptools_pack *pack = ptools_pack_new();
    char why[ARGUMENTS_WHY_BYTES], *json;
    int fds[2], saved = dup(STDIN_FILENO);

    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(write(fds[1], "from a pipe", 11), 11);
    close(fds[1]);
    dup2(fds[0], STDIN_FILENO);
    close(fds[0]);
    ck_assert_int_eq(arguments_add_file(pack, NULL, why), PTOOLS_OK);
    if (saved >= 0) {
        dup2(saved, STDIN_FILENO);
        close(saved);
    }
    json = json_of(pack, false);
    ck_assert_str_eq(json, "\"from a pipe\"");
    free(json);
    ptools_pack_free(pack);
}
END_TEST

START_TEST(what_cannot_be_read)
{
    ptools_pack *pack = ptools_pack_new();
    char why[ARGUMENTS_WHY_BYTES];

    ck_assert_int_eq(arguments_add_file(pack, "/nowhere/at/all", why), PTOOLS_ERR_SYSTEM);
    ck_assert_str_eq(why, "cannot read /nowhere/at/all: No such file or directory");
    ck_assert_int_eq(arguments_add_file(pack, "/", why), PTOOLS_ERR_SYSTEM);
    ck_assert_str_eq(why, "cannot read /: Is a directory");
    ptools_pack_free(pack);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("arguments");
    TCase *tc = suite_case(suite, "arguments");

    tcase_add_test(tc, words);
    tcase_add_test(tc, a_word_that_cannot_be);
    tcase_add_test(tc, contents);
    tcase_add_test(tc, large_contents);
    tcase_add_test(tc, a_pipe_as_standard_input);
    tcase_add_test(tc, what_cannot_be_read);
    return suite_run(suite);
}
