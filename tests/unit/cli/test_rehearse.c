/* SPDX-License-Identifier: MIT */
/*
 * test_rehearse -- what a few samples say about all items, by numbers that can be checked by hand; and its text.
 */
#include <stdlib.h>
#include <string.h>

#include "client/cli/rehearse.h"
#include "tests/support/suite.h"

#define NONE REHEARSE_NOT_KNOWN

static const struct {
    struct rehearse_sample samples[5];
    size_t n;
    struct rehearse_host host;
    uint64_t left;
    struct rehearse_estimate want;
} rows[] = {
    /* One sample is all there is to know. */
    { { { 1000, 2000 } },
      1,
      { 4, 1000000, 2 },
      10,
      { 1, { 1000, 1000, 1000 }, { 2000, 2000, 2000 }, 1000, 10, 5000, 2, 4, 500, 1000000, 4, 2500 } },
    /* The median is no mean; time and memory are sorted apart. */
    { { { 30, 1 }, { 10, 3 }, { 1000, 2 }, { 20, 5 }, { 40, 4 } },
      5,
      { 8, NONE, 1 },
      100,
      { 5, { 10, 30, 1000 }, { 1, 3, 5 }, 220, 100, 22000, 1, 8, NONE, NONE, 8, 2750 } },
    /* Memory is the limit: ten processors, room for three. */
    { { { 100, 300 }, { 300, 100 } },
      2,
      { 10, 1000, 10 },
      1000,
      { 2, { 100, 300, 300 }, { 100, 300, 300 }, 200, 1000, 20000, 10, 10, 3, 1000, 3, 66666 } },
    /* ... and never less than one worker. */
    { { { 100, 5000 } },
      1,
      { 10, 1000, 10 },
      10,
      { 1, { 100, 100, 100 }, { 5000, 5000, 5000 }, 100, 10, 100, 10, 10, 0, 1000, 1, 1000 } },
    /* The longest one is the least. */
    { { { 100, 1 }, { 900, 1 } },
      2,
      { 4, 1000, 4 },
      2,
      { 2, { 100, 900, 900 }, { 1, 1, 1 }, 500, 2, 900, 4, 4, 1000, 1000, 4, 900 } },
    /* All were rehearsed. Nothing is known of memory, processors, workers. */
    { { { 100, 0 } }, 1, { 0, 1000, 0 }, 0, { 1, { 100, 100, 100 }, { 0, 0, 0 }, 100, 0, 0, 0, 0, NONE, 1000, 1, 0 } },
    /* Nobody knows how many there are. */
    { { { 100, 1 } },
      1,
      { 2, 1000, 2 },
      NONE,
      { 1, { 100, 100, 100 }, { 1, 1, 1 }, 100, NONE, NONE, 2, 2, 1000, 1000, 2, NONE } },
    /* Times that no one lives to see. */
    { { { UINT64_MAX / 4, 1 } },
      1,
      { 1, 1000, 1 },
      UINT64_MAX / 2,
      { 1,
        { UINT64_MAX / 4, UINT64_MAX / 4, UINT64_MAX / 4 },
        { 1, 1, 1 },
        UINT64_MAX / 4 + 1,
        UINT64_MAX / 2,
        UINT64_C(1000000000000000000),
        1,
        1,
        1000,
        1000,
        1,
        UINT64_C(1000000000000000000) } },
};

START_TEST(estimates)
{
    const struct rehearse_estimate *w = &rows[_i].want;
    struct rehearse_sample samples[5];
    struct rehearse_estimate e;

    memcpy(samples, rows[_i].samples, sizeof samples);
    rehearse_estimate(samples, rows[_i].n, &rows[_i].host, rows[_i].left, &e);
    ck_assert_uint_eq(e.n, w->n);
    ck_assert_uint_eq(e.us.min, w->us.min);
    ck_assert_uint_eq(e.us.median, w->us.median);
    ck_assert_uint_eq(e.us.max, w->us.max);
    ck_assert_uint_eq(e.kb.min, w->kb.min);
    ck_assert_uint_eq(e.kb.median, w->kb.median);
    ck_assert_uint_eq(e.kb.max, w->kb.max);
    ck_assert_uint_eq(e.mean_us, w->mean_us);
    ck_assert_uint_eq(e.left, w->left);
    ck_assert_uint_eq(e.total_us, w->total_us);
    ck_assert_uint_eq(e.workers, w->workers);
    ck_assert_uint_eq(e.processors, w->processors);
    ck_assert_uint_eq(e.fit, w->fit);
    ck_assert_uint_eq(e.free_kb, w->free_kb);
    ck_assert_uint_eq(e.proposed, w->proposed);
    ck_assert_uint_eq(e.proposed_us, w->proposed_us);
}
END_TEST

static char *text_of(int row)
{
    struct rehearse_sample samples[5];
    struct rehearse_estimate e;
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    memcpy(samples, rows[row].samples, sizeof samples);
    rehearse_estimate(samples, rows[row].n, &rows[row].host, rows[row].left, &e);
    rehearse_print(&e, out);
    fclose(out);
    return text;
}

START_TEST(texts)
{
    char *text = text_of(0);

    ck_assert_str_eq(text, "rehearsed   1 item\n"
                           "time        1.0 ms, median 1.0 ms, at most 1.0 ms an item\n"
                           "memory      2.0M, median 2.0M, at most 2.0M an item\n"
                           "to come     10 items: about 5.0 ms with the 2 workers that there are\n"
                           "proposed    4 workers, one a processor: about 2.5 ms\n");
    free(text);
    text = text_of(2);
    ck_assert_ptr_nonnull(
        strstr(text, "proposed    3 workers: about 66.7 ms; for more of 300K each, 1.0M of free memory are too few\n"));
    free(text);
    text = text_of(6);
    ck_assert_ptr_nonnull(strstr(text, "to come     nobody knows how many\n"));
    ck_assert_ptr_nonnull(strstr(text, "proposed    2 workers, one a processor\n"));
    free(text);
}
END_TEST

START_TEST(documents)
{
    struct rehearse_sample samples[5];
    struct rehearse_estimate e;
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    memcpy(samples, rows[2].samples, sizeof samples);
    rehearse_estimate(samples, rows[2].n, &rows[2].host, rows[2].left, &e);
    rehearse_write(&e, out);
    memcpy(samples, rows[6].samples, sizeof samples);
    rehearse_estimate(samples, rows[6].n, &rows[6].host, rows[6].left, &e);
    rehearse_write(&e, out);
    fclose(out);
    ck_assert_str_eq(text, "{\"schema\":1,\"rehearsal\":{\"items\":2,"
                           "\"run_us\":{\"min\":100,\"median\":300,\"max\":300},\"mean_us\":200,"
                           "\"peak_kb\":{\"min\":100,\"median\":300,\"max\":300},\"left\":1000,"
                           "\"workers\":10,\"total_us\":20000,\"proposed\":3,\"proposed_us\":66666,"
                           "\"limit\":\"memory\",\"processors\":10,\"free_kb\":1000}}\n"
                           "{\"schema\":1,\"rehearsal\":{\"items\":1,"
                           "\"run_us\":{\"min\":100,\"median\":100,\"max\":100},\"mean_us\":100,"
                           "\"peak_kb\":{\"min\":1,\"median\":1,\"max\":1},\"left\":null,"
                           "\"workers\":2,\"total_us\":null,\"proposed\":2,\"proposed_us\":null,"
                           "\"limit\":\"processors\",\"processors\":2,\"free_kb\":1000}}\n");
    free(text);
}
END_TEST

START_TEST(this_machine)
{
    struct rehearse_host host = { 0 };

    rehearse_look_around(&host);
    ck_assert_uint_ge(host.processors, 1);
    ck_assert_uint_gt(host.free_kb, 1000);
    ck_assert_uint_lt(host.free_kb, UINT64_C(1) << 40);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rehearse");
    TCase *tc = suite_case(suite, "rehearse");

    tcase_add_loop_test(tc, estimates, 0, (int)(sizeof rows / sizeof rows[0]));
    tcase_add_test(tc, texts);
    tcase_add_test(tc, documents);
    tcase_add_test(tc, this_machine);
    return suite_run(suite);
}
