/* SPDX-License-Identifier: MIT */
/*
 * test_input -- files and pipes: what is left of them, parts of them, all of them, too much of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/cli/input.h"
#include "tests/support/suite.h"

/* A file without a name, of so many bytes, read from its beginning. */
static struct input file_of(size_t n)
{
    struct input in = { .fd = memfd_create("input", MFD_CLOEXEC), .name = "file" };
    char *data = malloc(n + 1);

    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < n; i++)
        data[i] = (char)('a' + i % 26);
    ck_assert_int_eq(write(in.fd, data, n), (ssize_t)n);
    ck_assert_int_eq(lseek(in.fd, 0, SEEK_SET), 0);
    free(data);
    return in;
}

START_TEST(what_is_left)
{
    struct input in = file_of(100), none = file_of(0), proc, pipe_end = { .name = "pipe" };
    uint64_t left = 7;
    int fds[2];

    ck_assert(input_left(&in, &left) && left == 100);
    ck_assert_int_eq(lseek(in.fd, 30, SEEK_SET), 30);
    ck_assert(input_left(&in, &left) && left == 70);
    ck_assert_int_eq(lseek(in.fd, 300, SEEK_SET), 300);
    ck_assert(input_left(&in, &left) && left == 0);
    ck_assert(!input_left(&none, &left)); /* it may be one of those of /proc, which have more than they say */
    ck_assert_int_eq(input_open(&proc, "/proc/self/status"), 0);
    ck_assert(!input_left(&proc, &left));
    ck_assert_int_eq(pipe(fds), 0);
    pipe_end.fd = fds[0];
    ck_assert(!input_left(&pipe_end, &left));
    close(fds[1]);
    input_close(&pipe_end);
    input_close(&proc);
    input_close(&none);
    input_close(&in);
}
END_TEST

START_TEST(parts)
{
    struct input in = file_of(100);
    char data[200];
    size_t n = 0;

    ck_assert_int_eq(input_read(&in, data, 30, &n), 0);
    ck_assert_uint_eq(n, 30);
    ck_assert_int_eq(input_read(&in, data, sizeof data, &n), 0);
    ck_assert_uint_eq(n, 70);
    ck_assert_int_eq(data[0], 'a' + 30 % 26);
    ck_assert_int_eq(input_read(&in, data, sizeof data, &n), 0);
    ck_assert_uint_eq(n, 0);
    input_close(&in);
    ck_assert_int_eq(input_read(&in, data, 1, &n), -EBADF);
}
END_TEST

/* Around the sizes at which the block grows, and around the limit. */
START_TEST(all_of_it)
{
    static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, 131072, 200000 };

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct input in = file_of(sizes[i]);
        char *data = NULL;
        size_t n = 7;

        ck_assert_int_eq(input_read_all(&in, 1000000, &data, &n), 0);
        ck_assert_uint_eq(n, sizes[i]);
        for (size_t k = 0; k < n; k++)
            ck_assert(data[k] == (char)('a' + k % 26));
        free(data);
        data = NULL;
        if (sizes[i] > 0) {
            ck_assert_int_eq(lseek(in.fd, 0, SEEK_SET), 0);
            ck_assert_int_eq(input_read_all(&in, sizes[i] - 1, &data, &n), -EFBIG);
            ck_assert_ptr_null(data);
        }
        ck_assert_int_eq(lseek(in.fd, 0, SEEK_SET), 0);
        ck_assert_int_eq(input_read_all(&in, sizes[i], &data, &n), 0);
        free(data);
        input_close(&in);
    }
}
END_TEST

START_TEST(what_cannot_be_read)
{
    struct input in;
    char *data = NULL;
    size_t n;

    ck_assert_int_eq(input_open(&in, "/nowhere/at/all"), -ENOENT);
    ck_assert_str_eq(in.name, "/nowhere/at/all");
    input_close(&in);
    ck_assert_int_eq(input_open(&in, "/"), 0);
    ck_assert_int_eq(input_read_all(&in, 10, &data, &n), -EISDIR);
    ck_assert_ptr_null(data);
    input_close(&in);
    ck_assert_int_eq(input_open(&in, NULL), 0);
    ck_assert_str_eq(in.name, "standard input");
    input_close(&in); /* which stays open: the suite counts descriptors */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("input");
    TCase *tc = suite_case(suite, "input");

    tcase_add_test(tc, what_is_left);
    tcase_add_test(tc, parts);
    tcase_add_test(tc, all_of_it);
    tcase_add_test(tc, what_cannot_be_read);
    return suite_run(suite);
}
