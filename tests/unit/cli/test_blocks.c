/* SPDX-License-Identifier: MIT */
/*
 * test_blocks -- where blocks are cut, whatever their size, and what a pipe has not brought yet.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/blocks.h"
#include "tests/support/suite.h"

/* The blocks of data, with | between. */
static void expect(const char *data, size_t block_bytes, char separator, const char *want)
{
    char *block, *got;
    struct blocks b;
    int fds[2], r;
    size_t n;
    FILE *out = open_memstream(&got, &n);

    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(write(fds[1], data, strlen(data)), (ssize_t)strlen(data));
    close(fds[1]);
    blocks_init(&b, fds[0], separator, block_bytes);
    while ((r = blocks_next(&b, &block, &n)) == BLOCKS_BLOCK) {
        fprintf(out, "%.*s|", (int)n, block);
        free(block);
    }
    ck_assert_int_eq(r, BLOCKS_NO_MORE);
    fclose(out);
    ck_assert_str_eq(got, want);
    free(got);
    blocks_deinit(&b);
    close(fds[0]);
}

START_TEST(cut)
{
    expect("", 10, '\n', "");
    expect("a\nb\nc\n", 4, '\n', "a\nb\n|c\n|");
    expect("a\nb\nc\n", 3, '\n', "a\n|b\n|c\n|");
    expect("a\nb\nc", 100, '\n', "a\nb\nc|");
    expect("a\nbbbbbbb\nc\n", 3, '\n', "a\n|bbbbbbb\n|c\n|");
    expect("aaaaaa", 2, '\n', "aaaaaa|");
    expect("a;b\n;c", 3, ';', "a;|b\n;|c|");
    expect("\n\n\n", 1, '\n', "\n|\n|\n|");
}
END_TEST

START_TEST(later)
{
    struct blocks b;
    char *block;
    size_t n;
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    blocks_init(&b, fds[0], '\n', 4);
    ck_assert_int_eq(blocks_next(&b, &block, &n), BLOCKS_LATER);
    ck_assert_int_eq(write(fds[1], "a\nb", 3), 3);
    ck_assert_int_eq(blocks_next(&b, &block, &n), BLOCKS_LATER);
    ck_assert_int_eq(write(fds[1], "c\nd", 3), 3);
    ck_assert_int_eq(blocks_next(&b, &block, &n), BLOCKS_BLOCK);
    ck_assert_uint_eq(n, 2);
    ck_assert_mem_eq(block, "a\n", 2);
    free(block);
    close(fds[1]);
    ck_assert_int_eq(blocks_next(&b, &block, &n), BLOCKS_BLOCK);
    ck_assert_uint_eq(n, 3);
    free(block);
    ck_assert_int_eq(blocks_next(&b, &block, &n), BLOCKS_BLOCK);
    ck_assert_uint_eq(n, 1);
    free(block);
    ck_assert_int_eq(blocks_next(&b, &block, &n), BLOCKS_NO_MORE);
    blocks_deinit(&b);
    close(fds[0]);
    blocks_init(&b, fds[0], '\n', 4);
    ck_assert_int_eq(blocks_next(&b, &block, &n), -EBADF);
    blocks_deinit(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blocks");
    TCase *tc = suite_case(suite, "blocks");

    tcase_add_test(tc, cut);
    tcase_add_test(tc, later);
    return suite_run(suite);
}
