/* SPDX-License-Identifier: MIT */
/*
 * test_pmap_input -- items out of words and out of standard input, in each form, good and bad; what is read ahead and
 * picked; how many there are.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/json.h"
#include "client/cli/pmap_input.h"
#include "tests/support/suite.h"
#include "tests/unit/cli/values.h"

/* Standard input is this, from the beginning. */
static void feed(const void *data, size_t n)
{
    int fd = memfd_create("input", MFD_CLOEXEC);

    ck_assert_int_eq(write(fd, data, n), (ssize_t)n);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    ck_assert_int_eq(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    close(fd);
}

/* What a source yields, as one list of argument lists, and what it returns at last. */
static char *drain(int (*source)(ptools_pack *args, void *in), struct pmap_input *in, int *ret_last)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    while ((*ret_last = source(args, in)) == 1) {
        struct json_writer w = { .out = out };
        struct payload payload;
        const uint8_t *data;
        const char *why;
        size_t bytes;

        payload_init(&payload);
        ck_assert_int_eq(pack_finish_arguments(args, &data, &bytes), PTOOLS_OK);
        ck_assert_int_eq(payload_parse(&payload, data, bytes, &why), PTOOLS_OK);
        json_put_value(&w, (ptools_value){ &payload.root });
        payload_deinit(&payload);
        ptools_pack_reset(args);
    }
    fclose(out);
    return text;
}

static struct command_line parse(const char *const *words)
{
    char *argv[16] = { NULL };
    struct command_line line;
    int argc = 0;

    while (words[argc])
        argc++;
    memcpy(argv, words, (size_t)argc * sizeof argv[0]);
    ck_assert_int_eq(command_line_parse(&line, argc, argv), 0);
    return line;
}

static const char *const no_words[] = { "ptools", "pmap", "a.b", NULL };

START_TEST(words)
{
    static const char *const argv[] = { "ptools", "pmap", "a.b", "1", "[2,\"x\"]", "word", "-s", "3", "", NULL };
    struct command_line line = parse(argv);
    struct pmap_input in;
    bool about = true;
    char *text;
    int last;

    ck_assert_int_eq(pmap_input_open(&in, &line, PMAP_WORDS, '\n'), EXIT_VALUE);
    ck_assert_uint_eq(pmap_input_of(&in, &about), 5);
    ck_assert(!about);
    text = drain(pmap_input_next, &in, &last);
    ck_assert_str_eq(text, "[1][[2,\"x\"]][\"word\"][\"3\"][\"\"]");
    ck_assert_int_eq(last, 0);
    ck_assert(in.ended && in.code == PTOOLS_OK);
    free(text);
    pmap_input_close(&in);
    command_line_deinit(&line);
}
END_TEST

START_TEST(a_bad_word_is_found_at_once)
{
    static const char *const argv[] = { "ptools", "pmap", "a.b", "1", "99999999999999999999", NULL };
    struct command_line line = parse(argv);
    struct pmap_input in;
    struct capture err;
    char *text;

    capture(&err, STDERR_FILENO);
    ck_assert_int_eq(pmap_input_open(&in, &line, PMAP_WORDS, '\n'), EXIT_USAGE);
    text = captured(&err);
    ck_assert_ptr_nonnull(strstr(text, "does not fit into 64 bits"));
    free(text);
    pmap_input_close(&in);
    command_line_deinit(&line);
}
END_TEST

static const struct {
    enum pmap_form form;
    char separator;
    const char *data;
    size_t n;
    const char *want;
    ptools_err code;
    uint64_t line; /* that is wrong */
    const char *why;
} rows[] = {
    { PMAP_TEXT, '\n', "", 0, "" },
    { PMAP_TEXT, '\n', "1\n\nnull\nx y", 11, "[\"1\"][\"\"][\"null\"][\"x y\"]" },
    { PMAP_TEXT, '\n', "a\0b\n", 4, "[\"a\\u0000b\"]" },
    { PMAP_TEXT, '\0', "a\nb\0c\0", 6, "[\"a\\nb\"][\"c\"]" },
    { PMAP_TEXT, '\n', "\xff\n", 2, "[{\"$bytes\":\"/w==\"}]" }, /* so JSON writes a string that is no UTF-8 */
    { PMAP_JSON, '\n', "", 0, "" },
    { PMAP_JSON, '\n', "1\n\n \t\n[2,3]\n[[4]]\n[]\n{\"a\":1}\n\"x\"\n", 33, "[1][2,3][[4]][][{\"a\":1}][\"x\"]" },
    { PMAP_JSON, '\n', "1\n\nx\n2\n", 7, "[1]", PTOOLS_ERR_INVALID, 3, "it is no JSON value" },
    { PMAP_JSON, '\n', "1 2\n", 4, "", PTOOLS_ERR_INVALID, 1, "it is no JSON value" },
    { PMAP_JSON, '\n', "1\0\n", 3, "", PTOOLS_ERR_INVALID, 1, "it is no JSON value" },
    { PMAP_JSON, '\n', "\"\xff\"\n", 4, "", PTOOLS_ERR_INVALID, 1, "it is no JSON value" },
    { PMAP_JSON, '\n', "99999999999999999999\n", 21, "", PTOOLS_ERR_INVALID, 1,
      "the number 99999999999999999999 does not fit into 64 bits" },
    { PMAP_JSON, '\n', "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n", 62, "", PTOOLS_ERR_INVALID, 1,
      "it is nested too deep" },
};

START_TEST(lines)
{
    struct command_line line = parse(no_words);
    struct pmap_input in;
    char *text;
    int last;

    feed(rows[_i].data, rows[_i].n);
    ck_assert_int_eq(pmap_input_open(&in, &line, rows[_i].form, rows[_i].separator), EXIT_VALUE);
    text = drain(pmap_input_next, &in, &last);
    ck_assert_str_eq(text, rows[_i].want);
    ck_assert_int_eq(last, rows[_i].why ? -1 : 0);
    ck_assert_int_eq(in.code, rows[_i].code);
    ck_assert_uint_eq(in.wrong_line, rows[_i].line);
    ck_assert_int_eq(strncmp(in.why, rows[_i].why ? rows[_i].why : "", strlen(rows[_i].why ? rows[_i].why : "")), 0);
    free(text);
    pmap_input_close(&in);
    command_line_deinit(&line);
}
END_TEST

START_TEST(a_bad_line_is_named)
{
    struct command_line line = parse(no_words);
    struct pmap_input in;
    struct capture err;
    char *text;
    int last;

    feed("1\n{\n", 4);
    ck_assert_int_eq(pmap_input_open(&in, &line, PMAP_JSON, '\n'), EXIT_VALUE);
    free(drain(pmap_input_next, &in, &last));
    capture(&err, STDERR_FILENO);
    ck_assert_int_eq(pmap_input_report(&in), EXIT_USAGE);
    text = captured(&err);
    ck_assert_str_eq(text, "ptools pmap: line 2: it is no JSON value\n");
    free(text);
    pmap_input_close(&in);
    command_line_deinit(&line);
}
END_TEST

START_TEST(none_yet)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    struct command_line line = parse(no_words);
    struct pmap_input in;
    bool about;
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
    close(fds[0]);
    ck_assert_int_eq(pmap_input_open(&in, &line, PMAP_TEXT, '\n'), EXIT_VALUE);
    ck_assert_int_eq(pmap_input_next(args, &in), 2);
    ck_assert(in.later && !in.ended);
    ck_assert_int_eq(write(fds[1], "a\n", 2), 2);
    ck_assert_int_eq(pmap_input_next(args, &in), 1);
    ck_assert(!in.later && !in.ended);
    ck_assert_uint_eq(pmap_input_of(&in, &about), PMAP_NOT_KNOWN);
    close(fds[1]);
    ck_assert_int_eq(pmap_input_next(args, &in), 0);
    ck_assert(!in.later && in.ended);
    ck_assert_uint_eq(pmap_input_of(&in, &about), 1);
    pmap_input_close(&in);
    command_line_deinit(&line);
}
END_TEST

/* It has more bytes by now than there were at the begin: its items are no fewer than those that were read. */
START_TEST(a_file_that_grows)
{
    struct command_line line = parse(no_words);
    struct pmap_input in;
    enum { MANY = 1 << 20 }; /* more than is read ahead */
    static char more[2 * MANY];
    bool about = false;

    for (size_t i = 0; i < sizeof more; i++)
        more[i] = i % 2 ? '\n' : '1';
    feed("1\n", 2);
    ck_assert_int_eq(pmap_input_open(&in, &line, PMAP_TEXT, '\n'), EXIT_VALUE);
    ck_assert_int_eq(pwrite(STDIN_FILENO, more, sizeof more, 2), sizeof more);
    ck_assert_int_eq(pmap_input_read_ahead(&in), EXIT_VALUE);
    ck_assert_uint_ge(in.n_ahead, 1000);
    ck_assert_uint_eq(pmap_input_of(&in, &about), in.n_ahead);
    ck_assert(about);
    pmap_input_close(&in);
    command_line_deinit(&line);
}
END_TEST

/* A thousand lines of four bytes. */
static void feed_thousand(void)
{
    char *data;
    size_t n;
    FILE *out = open_memstream(&data, &n);

    for (int i = 0; i < 1000; i++)
        fprintf(out, "%03d\n", i);
    fclose(out);
    feed(data, n);
    free(data);
}

START_TEST(how_many_by_the_size_of_a_file)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    struct command_line line = parse(no_words);
    struct pmap_input in;
    bool about = false;

    feed_thousand();
    ck_assert_int_eq(pmap_input_open(&in, &line, PMAP_TEXT, '\n'), EXIT_VALUE);
    ck_assert_uint_eq(pmap_input_of(&in, &about), PMAP_NOT_KNOWN);
    ck_assert_int_eq(pmap_input_next(args, &in), 1);
    ck_assert_uint_eq(pmap_input_of(&in, &about), 1000);
    ck_assert(about);
    pmap_input_close(&in);
    command_line_deinit(&line);
}
END_TEST

START_TEST(read_ahead_and_picked)
{
    struct command_line line = parse(no_words);
    uint64_t indices[4] = { 0 };
    struct pmap_input in;
    bool about;
    char *text;
    int last;

    feed_thousand();
    ck_assert_int_eq(pmap_input_open(&in, &line, PMAP_TEXT, '\n'), EXIT_VALUE);
    ck_assert_int_eq(pmap_input_read_ahead(&in), EXIT_VALUE);
    ck_assert_uint_eq(pmap_input_of(&in, &about), 1000);
    ck_assert_uint_eq(pmap_input_pick(&in, 4, indices), 4);
    ck_assert_uint_eq(indices[0], 0);
    ck_assert_uint_eq(indices[1], 333);
    ck_assert_uint_eq(indices[2], 666);
    ck_assert_uint_eq(indices[3], 999);
    text = drain(pmap_input_next_picked, &in, &last);
    ck_assert_str_eq(text, "[\"000\"][\"333\"][\"666\"][\"999\"]");
    free(text);
    text = drain(pmap_input_next, &in, &last);
    ck_assert_uint_eq(strlen(text), 996 * 7);
    ck_assert_ptr_null(strstr(text, "333"));
    ck_assert_ptr_nonnull(strstr(text, "[\"332\"][\"334\"]"));
    ck_assert(in.ended);
    free(text);
    pmap_input_close(&in);
    command_line_deinit(&line);
}
END_TEST

START_TEST(read_ahead_is_bounded)
{
    enum { LINE = 1 << 20, LINES = 40 };
    struct command_line line = parse(no_words);
    char *data = malloc((size_t)LINE * LINES), *text;
    uint64_t indices[2] = { 0 };
    struct pmap_input in;
    int last;

    for (int i = 0; i < LINES; i++) {
        memset(data + (size_t)i * LINE, '0' + i % 10, LINE);
        data[(size_t)(i + 1) * LINE - 1] = '\n';
    }
    feed(data, (size_t)LINE * LINES);
    free(data);
    ck_assert_int_eq(pmap_input_open(&in, &line, PMAP_JSON, '\n'), EXIT_VALUE);
    in.form = PMAP_TEXT;
    ck_assert_int_eq(pmap_input_read_ahead(&in), EXIT_VALUE);
    ck_assert_uint_ge(in.n_ahead, 15);
    ck_assert_uint_le(in.n_ahead, 17);
    ck_assert_uint_eq(pmap_input_pick(&in, 2, indices), 2);
    ck_assert_uint_eq(indices[1], in.n_ahead - 1);
    text = drain(pmap_input_next, &in, &last);
    ck_assert_uint_eq(strlen(text), (size_t)(LINE + 3) * (LINES - 2)); /* ["..."], without the newline */
    free(text);
    pmap_input_close(&in);
    command_line_deinit(&line);
}
END_TEST

START_TEST(few_are_all_picked)
{
    static const char *const argv[] = { "ptools", "pmap", "a.b", "1", "2", NULL };
    struct command_line line = parse(argv);
    uint64_t indices[7] = { 0 };
    struct pmap_input in;
    char *text;
    int last;

    ck_assert_int_eq(pmap_input_open(&in, &line, PMAP_WORDS, '\n'), EXIT_VALUE);
    ck_assert_int_eq(pmap_input_read_ahead(&in), EXIT_VALUE);
    ck_assert_uint_eq(pmap_input_pick(&in, 7, indices), 2);
    text = drain(pmap_input_next, &in, &last);
    ck_assert_str_eq(text, "");
    ck_assert(in.ended);
    free(text);
    pmap_input_close(&in);
    command_line_deinit(&line);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pmap_input");
    TCase *tc = suite_case(suite, "pmap_input");

    tcase_add_test(tc, words);
    tcase_add_test(tc, a_bad_word_is_found_at_once);
    tcase_add_loop_test(tc, lines, 0, (int)(sizeof rows / sizeof rows[0]));
    tcase_add_test(tc, a_bad_line_is_named);
    tcase_add_test(tc, none_yet);
    tcase_add_test(tc, a_file_that_grows);
    tcase_add_test(tc, how_many_by_the_size_of_a_file);
    tcase_add_test(tc, read_ahead_and_picked);
    tcase_add_test(tc, read_ahead_is_bounded);
    tcase_add_test(tc, few_are_all_picked);
    return suite_run(suite);
}
