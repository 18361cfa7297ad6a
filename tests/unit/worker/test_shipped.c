/* SPDX-License-Identifier: MIT */
/* The shipped modules in a real worker: text against wc(1), math against what is known. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/worker/driver.h"

static struct driver d;
static struct peer w;
static uint64_t task;
static char file[] = "/tmp/shipped-XXXXXX";

static void set_up(void)
{
    int fd;

    driver_start(&d, SHIPPED_MODULES, NULL);
    peer_start(&w, &d, 1);
    fd = mkstemp(file);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void tear_down(void)
{
    unlink(file);
    ck_assert_int_eq(peer_stop(&w), 0);
    driver_stop(&d);
}

static ptools_pack *args2(uint64_t a, uint64_t b)
{
    ptools_pack *args = args_u64(a);

    ptools_pack_u64(args, b);
    return args;
}

static ptools_pack *args_top(const char *name, uint64_t n)
{
    ptools_pack *args = args_str(name);

    ptools_pack_u64(args, n);
    return args;
}

static void write_file(const void *data, size_t n)
{
    FILE *f = fopen(file, "we");

    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, n, f), n);
    fclose(f);
}

/* -- text ------------------------------------------------------------------------------------ */

static void count(const char *name, uint64_t ret[3])
{
    static const char *const keys[] = { "lines", "words", "bytes" };
    struct answer a;
    ptools_value v;

    peer_call(&w, ++task, "text.count", args_str(name), &a);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(ptools_get_field(a.value, keys[i], &v), PTOOLS_OK);
        ck_assert_int_eq(ptools_get_u64(v, &ret[i]), PTOOLS_OK);
    }
    answer_deinit(&a);
}

static void check_against_wc(const char *name)
{
    unsigned long long wc[3];
    char command[4352];
    uint64_t ours[3];
    FILE *pipe;

    snprintf(command, sizeof command, "LC_ALL=C wc '%s'", name);
    pipe = popen(command, "re");
    ck_assert_ptr_nonnull(pipe);
    ck_assert_int_eq(fscanf(pipe, "%llu %llu %llu", &wc[0], &wc[1], &wc[2]), 3);
    pclose(pipe);
    count(name, ours);
    ck_assert_msg(ours[0] == wc[0] && ours[1] == wc[1] && ours[2] == wc[2],
                  "%s: %llu %llu %llu, wc says %llu %llu %llu", name, (unsigned long long)ours[0],
                  (unsigned long long)ours[1], (unsigned long long)ours[2], wc[0], wc[1], wc[2]);
}

static void check_directory(const char *path, unsigned most)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    struct stat st;
    char name[4096];
    unsigned n = 0;

    ck_assert_ptr_nonnull(dir);
    while (n < most && (entry = readdir(dir))) {
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (stat(name, &st) < 0 || !S_ISREG(st.st_mode) || strchr(name, '\''))
            continue;
        check_against_wc(name);
        n++;
    }
    closedir(dir);
    ck_assert_uint_gt(n, 0);
}

START_TEST(counts_what_wc_counts)
{
    check_directory("/usr/share/common-licenses", 40);
    check_directory("/usr/bin", 60);
    check_directory(SHIPPED_MODULES, 10);
}
END_TEST

START_TEST(counts_every_byte_as_wc_does)
{
    uint8_t data[256 * 3 + 200000];
    uint32_t random = 1;
    size_t n = 0;

    for (int c = 0; c < 256; c++) { /* each byte alone between blanks, and next to a letter */
        data[n++] = ' ';
        data[n++] = (uint8_t)c;
        data[n++] = c % 2 ? 'a' : ' ';
    }
    write_file(data, n);
    check_against_wc(file);
    for (size_t i = 0; i < sizeof data; i++) { /* words across the blocks in which it reads */
        random = random * 1664525 + 1013904223;
        data[i] = (uint8_t)((random >> 24) % 5 ? random >> 16 : (random >> 20) % 34);
    }
    write_file(data, sizeof data);
    check_against_wc(file);
    memset(data, 'x', sizeof data); /* one word, no line */
    write_file(data, sizeof data);
    check_against_wc(file);
    write_file(data, 0);
    check_against_wc(file);
}
END_TEST

START_TEST(reverse_reverses_characters)
{
    static const char *const texts[][2] = {
        { "", "" }, { "a", "a" }, { "abc", "cba" }, { "a\xc3\xa4\xe2\x82\xac", "\xe2\x82\xac\xc3\xa4" "a" },
        { "\xa4\xa4x", "x\xa4\xa4" }, /* not UTF-8: nothing is lost */
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct answer a;
        const char *text;
        size_t n;

        peer_call(&w, ++task, "text.reverse", args_str(texts[i][0]), &a);
        ck_assert_int_eq(ptools_get_str(a.value, &text, &n), PTOOLS_OK);
        ck_assert(n == strlen(texts[i][1]) && memcmp(text, texts[i][1], n) == 0);
        answer_deinit(&a);
    }
    peer_fail(&w, ++task, "text.reverse", args_u64(1), PTOOLS_ERR_BAD_ARGUMENT,
              "argument 1 of text.reverse must be a string");
}
END_TEST

START_TEST(count_refuses_what_it_cannot_read)
{
    peer_fail(&w, ++task, "text.count", args_str("/nowhere"), PTOOLS_ERR_FAILED, "cannot open /nowhere: No such file");
    peer_fail(&w, ++task, "text.count", args_str("/"), PTOOLS_ERR_FAILED, "cannot read /: Is a directory");
    peer_fail(&w, ++task, "text.count", args_str("README"), PTOOLS_ERR_FAILED, "README is not an absolute path");
    peer_fail(&w, ++task, "text.count", args_u64(1), PTOOLS_ERR_BAD_ARGUMENT,
              "argument 1 of text.count must be a string");
    peer_fail(&w, ++task, "text.count", NULL, PTOOLS_ERR_BAD_ARGUMENT, "text.count takes 1 argument, not 0");
}
END_TEST

static void check_top(uint64_t n, const char *expected)
{
    char got[512] = "";
    ptools_value pair, word, times;
    struct answer a;
    const char *s;
    uint64_t k;
    uint32_t found;
    size_t bytes;

    peer_call(&w, ++task, "text.top", args_top(file, n), &a);
    ck_assert_int_eq(ptools_get_count(a.value, &found), PTOOLS_OK);
    for (uint32_t i = 0; i < found; i++) {
        ck_assert_int_eq(ptools_get_item(a.value, i, &pair), PTOOLS_OK);
        ck_assert_int_eq(ptools_get_item(pair, 0, &word), PTOOLS_OK);
        ck_assert_int_eq(ptools_get_item(pair, 1, &times), PTOOLS_OK);
        ck_assert_int_eq(ptools_get_str(word, &s, &bytes), PTOOLS_OK);
        ck_assert_int_eq(ptools_get_u64(times, &k), PTOOLS_OK);
        sprintf(got + strlen(got), "%.*s=%llu ", (int)bytes, s, (unsigned long long)k);
    }
    answer_deinit(&a);
    ck_assert_str_eq(got, expected);
}

START_TEST(top_ranks_by_frequency_then_alphabet)
{
    static const char text[] = "The cat, the dog; THE END. a1 a1 cat-cat dog \xc3\xa4x zz";
    char *filler;

    write_file(text, strlen(text));
    check_top(4, "cat=3 the=3 a1=2 dog=2 ");
    check_top(100, "cat=3 the=3 a1=2 dog=2 end=1 x=1 zz=1 ");
    write_file("last", 4); /* ended by the end of the file */
    check_top(5, "last=1 ");
    write_file("", 0);
    check_top(5, "");
    filler = malloc(65536 + 2);
    memset(filler, ' ', 65536 + 2);
    memcpy(filler + 65536 - 2, "over", 4); /* across two blocks */
    write_file(filler, 65536 + 2);
    check_top(1, "over=1 ");
    memset(filler, 'q', 65536);
    write_file(filler, 65536); /* one word without end: its beginning counts */
    check_top(1, "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq=1 ");
    free(filler);
    peer_fail(&w, ++task, "text.top", args_top(file, 0), PTOOLS_ERR_FAILED, "N is 0, allowed is 1 to 100000");
    peer_fail(&w, ++task, "text.top", args_top(file, 100001), PTOOLS_ERR_FAILED, "N is 100001");
}
END_TEST

/* -- math ------------------------------------------------------------------------------------ */

static uint64_t primes(uint64_t lo, uint64_t hi)
{
    struct answer a;
    uint64_t n;

    peer_call(&w, ++task, "math.primes", args2(lo, hi), &a);
    ck_assert_int_eq(ptools_get_u64(a.value, &n), PTOOLS_OK);
    answer_deinit(&a);
    return n;
}

START_TEST(primes_are_counted)
{
    static const struct {
        uint64_t lo, hi, n;
    } known[] = {
        { 0, 0, 0 }, { 0, 2, 0 }, { 0, 3, 1 }, { 2, 3, 1 }, { 3, 3, 0 }, { 3, 4, 1 }, { 4, 5, 0 }, { 0, 10, 4 },
        { 0, 100, 25 }, { 0, 1000000, 78498 }, { 10, 5, 0 }, { 0, 10000000, 664579 },
        { UINT64_C(99999999900000), UINT64_C(100000000000000), 3079 }, { 524285, 524289, 1 },
    };

    for (size_t i = 0; i < ELEMENTS(known); i++)
        ck_assert_uint_eq(primes(known[i].lo, known[i].hi), known[i].n);
    for (uint64_t cut = 1; cut < 1000000; cut += 99991) /* parts add up */
        ck_assert_uint_eq(primes(0, cut) + primes(cut, 1000000), 78498);
    peer_fail(&w, ++task, "math.primes", args2(0, UINT64_C(100000000000001)), PTOOLS_ERR_FAILED,
              "HI is 100000000000001, the most is");
    peer_fail(&w, ++task, "math.primes", args_u64(1), PTOOLS_ERR_BAD_ARGUMENT, "math.primes takes 2 arguments, not 1");
}
END_TEST

START_TEST(primes_stop_when_asked)
{
    struct answer a;

    atomic_store(&w.page->cancel, ++task);
    peer_give(&w, task, "math.primes", args2(0, UINT64_C(100000000000000)));
    ck_assert(peer_answer(&w, &a));
    ck_assert_int_eq(a.frame.code, PTOOLS_ERR_FAILED);
    ck_assert_int_eq(strncmp(a.texts[0], "stopped at ", 11), 0);
    ck_assert_uint_gt(atomic_load(&w.page->progress), 0);
    answer_deinit(&a);
}
END_TEST

START_TEST(squares)
{
    ptools_pack *args;
    struct answer a;
    int64_t i;
    double f;

    args = ptools_pack_new();
    ptools_pack_i64(args, -3037000499);
    peer_call(&w, ++task, "math.square", args, &a);
    ck_assert_int_eq(ptools_get_i64(a.value, &i), PTOOLS_OK);
    ck_assert_int_eq(i, INT64_C(9223372030926249001));
    answer_deinit(&a);
    args = ptools_pack_new();
    ptools_pack_f64(args, 1.5);
    peer_call(&w, ++task, "math.square", args, &a);
    ck_assert_int_eq(ptools_value_kind(a.value), PTOOLS_FLOAT);
    ck_assert_int_eq(ptools_get_f64(a.value, &f), PTOOLS_OK);
    ck_assert(f == 2.25);
    answer_deinit(&a);
    peer_fail(&w, ++task, "math.square", args_u64(3037000500), PTOOLS_ERR_FAILED,
              "3037000500 squared does not fit into 64 bits");
    peer_fail(&w, ++task, "math.square", args_u64(UINT64_MAX), PTOOLS_ERR_BAD_ARGUMENT,
              "argument 1 of math.square must be");
    peer_fail(&w, ++task, "math.square", args_str("2"), PTOOLS_ERR_BAD_ARGUMENT, "not the string");
    peer_fail(&w, ++task, "math.square", NULL, PTOOLS_ERR_BAD_ARGUMENT, "math.square takes 1 argument, not 0");
}
END_TEST

static double pi_of(uint64_t samples, uint64_t seed)
{
    struct answer a;
    double f;

    peer_call(&w, ++task, "math.pi", args2(samples, seed), &a);
    ck_assert_int_eq(ptools_get_f64(a.value, &f), PTOOLS_OK);
    answer_deinit(&a);
    return f;
}

START_TEST(pi_is_near_and_repeats)
{
    ck_assert(fabs(pi_of(1000000, 1) - 3.14159265) < 0.01);
    ck_assert(fabs(pi_of(1000000, 2) - 3.14159265) < 0.01);
    ck_assert(pi_of(1000, 7) == pi_of(1000, 7));
    ck_assert(pi_of(1000, 7) != pi_of(1000, 8));
    peer_fail(&w, ++task, "math.pi", args2(0, 1), PTOOLS_ERR_FAILED, "SAMPLES is 0");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/shipped");
    TCase *tc = suite_case(suite, "shipped");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, counts_what_wc_counts);
    tcase_add_test(tc, counts_every_byte_as_wc_does);
    tcase_add_test(tc, count_refuses_what_it_cannot_read);
    tcase_add_test(tc, reverse_reverses_characters);
    tcase_add_test(tc, top_ranks_by_frequency_then_alphabet);
    tcase_add_test(tc, primes_are_counted);
    tcase_add_test(tc, primes_stop_when_asked);
    tcase_add_test(tc, squares);
    tcase_add_test(tc, pi_is_near_and_repeats);
    return suite_run(suite);
}
