/* SPDX-License-Identifier: MIT */
/*
 * test_lines -- lines of a file and of a pipe: their ends, their NULs, long ones, none yet, and errors.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/cli/lines.h"
#include "tests/support/suite.h"

static int file_of(const void *data, size_t n)
{
    int fd = memfd_create("lines", MFD_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, data, n), (ssize_t)n);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

/* The lines of the data, each in <>, in one string. */
static char *read_all(const void *data, size_t n, char separator)
{
    struct lines lines;
    int fd = file_of(data, n);
    char *text, *line;
    size_t text_n, line_n;
    FILE *out = open_memstream(&text, &text_n);
    uint64_t number = 0;

    ck_assert_int_eq(lines_init(&lines, fd, separator), 0);
    while (lines_next(&lines, true, &line, &line_n) == 1) {
        ck_assert_uint_eq(lines.number, ++number);
        ck_assert_int_eq(line[line_n], '\0');
        fputc('<', out);
        for (size_t i = 0; i < line_n; i++)
            fputc(line[i] ? line[i] : '0', out);
        fputc('>', out);
    }
    ck_assert_uint_eq(lines.taken, n);
    ck_assert_int_eq(lines_next(&lines, true, &line, &line_n), 0);
    fclose(out);
    lines_deinit(&lines);
    close(fd);
    return text;
}

START_TEST(small_ones)
{
    static const struct {
        const char *data;
        size_t n;
        char separator;
        const char *want;
    } rows[] = {
        { "", 0, '\n', "" },
        { "\n", 1, '\n', "<>" },
        { "a", 1, '\n', "<a>" },
        { "a\n", 2, '\n', "<a>" },
        { "a\n\nb", 4, '\n', "<a><><b>" },
        { "a\r\n", 3, '\n', "<a\r>" },
        { "a\0b\nc", 5, '\n', "<a0b><c>" },
        { "a\0b\nc", 5, '\0', "<a><b\nc>" },
        { "a\0\0", 3, '\0', "<a><>" },
        { "\xff\xfe\n", 3, '\n', "<\xff\xfe>" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *text = read_all(rows[i].data, rows[i].n, rows[i].separator);

        ck_assert_str_eq(text, rows[i].want);
        free(text);
    }
}
END_TEST

START_TEST(long_ones)
{
    enum { N = 1000003 };
    char *data = malloc(2 * N + 1), *text;

    memset(data, 'x', 2 * N + 1);
    data[N] = '\n';
    text = read_all(data, 2 * N + 1, '\n');
    ck_assert_uint_eq(strlen(text), 2 * N + 4);
    ck_assert_int_eq(strncmp(text + N, "x><x", 4), 0);
    free(text);
    free(data);
}
END_TEST

START_TEST(too_long)
{
    const size_t n = ((size_t)65 << 20) + 1;
    char *data = malloc(n), *line, why[LINES_WHY_BYTES];
    struct lines lines;
    size_t line_n;
    int fd;

    memset(data, 'x', n);
    fd = file_of(data, n);
    free(data);
    ck_assert_int_eq(lines_init(&lines, fd, '\n'), 0);
    ck_assert_int_eq(lines_next(&lines, true, &line, &line_n), -EMSGSIZE);
    ck_assert_int_eq(lines_error(-EMSGSIZE, why), PTOOLS_ERR_TOO_LARGE);
    ck_assert_str_eq(why, "a line of standard input has more than 64 MiB");
    lines_deinit(&lines);
    close(fd);
}
END_TEST

START_TEST(none_yet)
{
    struct lines lines;
    int fds[2];
    char *line;
    size_t n;

    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(lines_init(&lines, fds[0], '\n'), 0);
    ck_assert_int_eq(lines_next(&lines, false, &line, &n), LINES_NONE_YET);
    ck_assert_int_eq(write(fds[1], "one\ntw", 6), 6);
    ck_assert_int_eq(lines_next(&lines, false, &line, &n), 1);
    ck_assert_str_eq(line, "one");
    ck_assert_int_eq(lines_next(&lines, false, &line, &n), LINES_NONE_YET);
    ck_assert_int_eq(write(fds[1], "o\n", 2), 2);
    ck_assert_int_eq(lines_next(&lines, false, &line, &n), 1);
    ck_assert_str_eq(line, "two");
    ck_assert_uint_eq(lines.number, 2);
    close(fds[1]);
    ck_assert_int_eq(lines_next(&lines, false, &line, &n), 0);
    lines_deinit(&lines);
    close(fds[0]);
}
END_TEST

START_TEST(errors)
{
    struct lines lines;
    char *line, why[LINES_WHY_BYTES];
    size_t n;

    ck_assert_int_eq(lines_init(&lines, 999, '\n'), 0);
    ck_assert_int_eq(lines_next(&lines, false, &line, &n), -EBADF);
    ck_assert_int_eq(lines_error(-EBADF, why), PTOOLS_ERR_SYSTEM);
    ck_assert_str_eq(why, "cannot read standard input: Bad file descriptor");
    ck_assert_int_eq(lines_error(-ENOMEM, why), PTOOLS_ERR_NO_MEMORY);
    lines_deinit(&lines);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lines");
    TCase *tc = suite_case(suite, "lines");

    tcase_add_test(tc, small_ones);
    tcase_add_test(tc, long_ones);
    tcase_add_test(tc, too_long);
    tcase_add_test(tc, none_yet);
    tcase_add_test(tc, errors);
    return suite_run(suite);
}
