/* SPDX-License-Identifier: MIT */
/*
 * test_top -- the model of `ptools top`: order, rates, use of processors, scrolling, and the lines it makes of a look.
 */
#include <stdlib.h>
#include <string.h>

#include "client/cli/top.h"
#include "tests/support/suite.h"

static const char *const tags[] = { "night", "big" };
static const ptools_queued_info tasks[] = {
    { .id = 1, .state = PTOOLS_QUEUED_QUEUED, .function = "m.a", .priority = 5, .queued_ms = 3000 },
    { .id = 2,
      .state = PTOOLS_QUEUED_RUNNING,
      .function = "m.b",
      .priority = 9,
      .queued_ms = 2000,
      .tags = tags,
      .n_tags = 2 },
    { .id = 3, .state = PTOOLS_QUEUED_QUEUED, .function = "m.\x1b[2J", .priority = 1, .queued_ms = 1000 },
    { .id = 4, .state = PTOOLS_QUEUED_WAITING, .function = "m.d", .priority = 0, .queued_ms = 4000 },
    { .id = 5, .state = PTOOLS_QUEUED_QUEUED, .function = "m.e", .priority = 1, .queued_ms = 1000 },
    { .id = 6, .state = PTOOLS_QUEUED_RUNNING, .function = "m.f", .priority = 0, .queued_ms = 9000 },
};
enum { TASKS = sizeof tasks / sizeof tasks[0] };

START_TEST(orders)
{
    static const uint64_t want[TOP_ORDERS][TASKS] = {
        [TOP_ORDER_NEXT] = { 2, 6, 3, 5, 1, 4 },
        [TOP_ORDER_AGE] = { 3, 5, 2, 1, 4, 6 },
        [TOP_ORDER_ID] = { 6, 5, 4, 3, 2, 1 },
    };
    const ptools_queued_info *list[TASKS];

    for (size_t i = 0; i < TASKS; i++)
        list[i] = &tasks[i];
    for (enum top_order order = 0; order < TOP_ORDERS; order++) {
        top_sort(list, TASKS, order);
        for (size_t i = 0; i < TASKS; i++)
            ck_assert_msg(list[i]->id == want[order][i], "order %d, place %zu", (int)order, i);
    }
    top_sort(NULL, 0, TOP_ORDER_NEXT);
}
END_TEST

START_TEST(rates_of_two_looks)
{
    struct top_daemon d = { .done = 100, .failed = 10, .cancelled = 1 };
    struct top_rates rates = { 0 };

    top_rates_add(&rates, 1000000, &d);
    ck_assert(!rates.known && rates.n == 0);
    d = (struct top_daemon){ .done = 120, .failed = 11, .cancelled = 1 };
    top_rates_add(&rates, 3000000, &d);
    ck_assert(rates.known && rates.n == 1);
    ck_assert(rates.done > 9.999 && rates.done < 10.001);
    ck_assert(rates.failed > 0.499 && rates.failed < 0.501);
    ck_assert(rates.cancelled < 0.001 && rates.history[0] > 10.499 && rates.history[0] < 10.501);
    top_rates_add(&rates, 3000000, &d); /* no time has passed */
    ck_assert(rates.n == 1);
}
END_TEST

START_TEST(rates_of_a_daemon_that_began_anew)
{
    struct top_daemon d = { .done = 100 };
    struct top_rates rates = { 0 };

    top_rates_add(&rates, 1, &d);
    top_rates_add(&rates, 1000001, &d);
    d.done = 3;
    top_rates_add(&rates, 2000001, &d);
    ck_assert(!rates.known && rates.n == 0);
    d.done = 5;
    top_rates_add(&rates, 3000001, &d);
    ck_assert(rates.known && rates.done > 1.999 && rates.done < 2.001);
}
END_TEST

START_TEST(history_is_bounded)
{
    struct top_daemon d = { 0 };
    struct top_rates rates = { 0 };

    for (uint64_t i = 0; i < 2 * TOP_HISTORY; i++) {
        d.done += i;
        top_rates_add(&rates, (i + 1) * 1000000, &d);
    }
    ck_assert_uint_eq(rates.n, TOP_HISTORY);
    ck_assert(rates.history[TOP_HISTORY - 1] > 2 * TOP_HISTORY - 1.001);
    ck_assert(rates.history[0] > TOP_HISTORY - 0.001 && rates.history[0] < TOP_HISTORY + 0.001);
}
END_TEST

START_TEST(use_of_processors)
{
    const ptools_worker_info infos[] = { { .id = 1, .pid = 10 }, { .id = 2, .pid = 20 }, { .id = 2, .pid = 21 } };
    const struct top_worker before[] = { { .info = &infos[0], .cpu_us = 1000 }, { .info = &infos[1], .cpu_us = 0 } };
    struct top_worker now[] = { { .info = &infos[0], .cpu_us = 501000 },
                                { .info = &infos[2], .cpu_us = 900000 }, /* another process in its place */
                                { .info = &infos[1], .cpu_us = TOP_UNKNOWN } };

    top_use_cpu(now, 3, before, 2, 1000000);
    ck_assert(now[0].cpu_percent > 49.99 && now[0].cpu_percent < 50.01);
    ck_assert(now[1].cpu_percent < 0 && now[2].cpu_percent < 0);
    top_use_cpu(now, 3, before, 2, 0);
    ck_assert(now[0].cpu_percent < 0);
}
END_TEST

START_TEST(what_proc_says)
{
    uint64_t ticks = 7, pages = 7;

    ck_assert(
        top_read_stat("42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22\n", &ticks, &pages));
    ck_assert_uint_eq(ticks, 11 + 12);
    ck_assert_uint_eq(pages, 21);
    ck_assert(!top_read_stat("", &ticks, &pages));
    ck_assert(!top_read_stat("42 (a) S 1 2", &ticks, &pages));
    ck_assert_uint_eq(ticks, 23);
    ck_assert_uint_eq(top_read_available("MemTotal:  9 kB\nMemAvailable:     3 kB\n"), 3072);
    ck_assert(top_read_available("MemTotal: 9 kB\n") == TOP_UNKNOWN);
    ck_assert(top_read_available("") == TOP_UNKNOWN);
}
END_TEST

static const char *line_with(const struct top_picture *p, const char *text)
{
    for (size_t i = 0; i < p->n; i++)
        if (strstr(p->lines[i].text, text))
            return p->lines[i].text;
    return "";
}

START_TEST(the_picture)
{
    const ptools_queued_info *list[TASKS];
    const ptools_worker_info info = {
        .id = 3, .pid = 33, .state = "busy", .function = "m.b", .phase = "reading", .progress = 2, .progress_of = 9
    };
    struct top_worker worker = { &info, 2048, 5, 12.4 };
    struct top_look look = { .now_ms = 9000,
                             .workers = &worker,
                             .n_workers = 1,
                             .tasks = list,
                             .n_tasks = TASKS,
                             .daemon = { .version = "1.2.3",
                                         .paused = true,
                                         .tags_paused = 1,
                                         .available_bytes = TOP_UNKNOWN,
                                         .journal = "/j",
                                         .journal_failed = "full" },
                             .states = { [PTOOLS_QUEUED_RUNNING] = 2, [PTOOLS_QUEUED_QUEUED] = 3 } };
    struct top_rates rates = { .known = true, .done = 2.5, .n = 3, .history = { 0, 1, 2 } };
    struct top_picture p;

    for (size_t i = 0; i < TASKS; i++)
        list[i] = &tasks[i];
    top_picture_make(&p, &look, &rates, TOP_ORDER_NEXT, NULL);
    ck_assert(!p.no_memory);
    ck_assert_uint_eq(p.fixed, 4);
    ck_assert_uint_eq(p.n, 4 + 2 + 1 + TASKS);
    ck_assert(strstr(p.lines[0].text, "1.2.3") && strstr(p.lines[0].text, "durable"));
    ck_assert(strstr(p.lines[0].text, "PAUSED, 1 tag paused") != NULL);
    ck_assert(strstr(line_with(&p, "queue "), "3 queued, 2 running") != NULL);
    ck_assert(strstr(line_with(&p, "ended/s"), "2.5 done, 0.0 failed, 0.0 cancelled  [ =#]") != NULL);
    ck_assert(strstr(line_with(&p, "memory "), "journal /j FAILED: full") != NULL);
    ck_assert(strstr(line_with(&p, "2.0K"), " 33  busy ") != NULL);
    ck_assert(strstr(line_with(&p, "2.0K"), "   12  m.b 2/9: reading") != NULL);
    ck_assert(strstr(line_with(&p, "night,big"), "7.0 s  m.b") != NULL);
    ck_assert(*line_with(&p, "\x1b") == '\0' && strstr(line_with(&p, "[2J"), "\\x1b[2J") != NULL);
    ck_assert_uint_eq(p.lines[7].task, 1);
    ck_assert(p.lines[8].kind == TOP_BUSY && p.lines[7].kind == TOP_PLAIN);
    top_picture_deinit(&p);

    look.short_list = true;
    top_picture_make(&p, &look, &rates, TOP_ORDER_NEXT, "lost");
    ck_assert(p.fixed == 5 && p.lines[0].kind == TOP_WARNING && strstr(p.lines[0].text, "lost"));
    ck_assert(*line_with(&p, "too many wait") != '\0');
    top_picture_deinit(&p);

    top_picture_make(&p, NULL, &rates, TOP_ORDER_NEXT, "lost");
    ck_assert(p.n == 1 && p.fixed == 1);
    ck_assert_uint_eq(top_follow(&p, 1, 5), 0);
    top_picture_deinit(&p);
}
END_TEST

START_TEST(cursor_and_scrolling)
{
    struct top_line lines[] = {
        { TOP_HEAD, 0, NULL }, { TOP_PLAIN, 7, NULL }, { TOP_PLAIN, 0, NULL }, { TOP_PLAIN, 9, NULL }
    };
    const struct top_picture p = { .lines = lines, .n = 4, .fixed = 1 };

    ck_assert_uint_eq(top_follow(&p, 9, 0), 2); /* it has moved */
    ck_assert_uint_eq(top_follow(&p, 8, 1), 1); /* it is gone */
    ck_assert_uint_eq(top_follow(&p, 0, 99), 2);
    ck_assert_uint_eq(top_scroll(0, 3, 10, 5), 0);
    ck_assert_uint_eq(top_scroll(0, 10, 10, 50), 1);
    ck_assert_uint_eq(top_scroll(20, 5, 10, 50), 5);
    ck_assert_uint_eq(top_scroll(45, 49, 10, 50), 40);
    ck_assert_uint_eq(top_scroll(3, 4, 0, 50), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("top");
    TCase *tc = suite_case(suite, "top");

    tcase_add_test(tc, orders);
    tcase_add_test(tc, rates_of_two_looks);
    tcase_add_test(tc, rates_of_a_daemon_that_began_anew);
    tcase_add_test(tc, history_is_bounded);
    tcase_add_test(tc, use_of_processors);
    tcase_add_test(tc, what_proc_says);
    tcase_add_test(tc, the_picture);
    tcase_add_test(tc, cursor_and_scrolling);
    return suite_run(suite);
}
