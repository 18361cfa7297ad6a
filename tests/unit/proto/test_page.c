/* SPDX-License-Identifier: MIT */
/* page -- slots change hands exactly once; last words are read whole, clean and bounded. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "proto/page.h"
#include "proto/text.h"
#include "proto/util.h"
#include "tests/support/suite.h"

static struct page page;
static struct page_words words;

static void log_line(const char *s)
{
    uint32_t next = atomic_load(&page.log_next);

    strncpy(page.log[next % PAGE_LOG_LINES], s, PAGE_LOG_BYTES);
    atomic_store(&page.log_next, next + 1);
}

START_TEST(empty_page)
{
    memset(&words, 0xa5, sizeof words);
    page_read_words(&page, &words);
    ck_assert_int_eq(words.process_phase, PAGE_BOOT);
    ck_assert_uint_eq(words.task, 0);
    ck_assert_str_eq(words.function, "");
    ck_assert_str_eq(words.module, "");
    ck_assert_str_eq(words.phase, "");
    ck_assert_str_eq(words.log, "");
    ck_assert_str_eq(words.backtrace, "");
}
END_TEST

START_TEST(all_words)
{
    atomic_store(&page.process_phase, PAGE_RUNNING);
    atomic_store(&page.task, 4711);
    atomic_store(&page.began_us, UINT64_MAX);
    atomic_store(&page.progress, 3);
    atomic_store(&page.progress_of, 9);
    atomic_store(&page.peak_kb, 1024);
    atomic_store(&page.fault_signal, 11);
    atomic_store(&page.fault_address, 0xdeadbeef);
    strcpy(page.function, "text.count");
    strcpy(page.module, "text");
    strcpy(page.phase, "sorting \xc3\xa4");
    strcpy(page.backtrace, "one\ntwo\n");
    log_line("first");
    log_line("second");
    page_read_words(&page, &words);
    ck_assert_int_eq(words.process_phase, PAGE_RUNNING);
    ck_assert_uint_eq(words.task, 4711);
    ck_assert_uint_eq(words.began_us, UINT64_MAX);
    ck_assert_uint_eq(words.progress, 3);
    ck_assert_uint_eq(words.progress_of, 9);
    ck_assert_uint_eq(words.peak_kb, 1024);
    ck_assert_uint_eq(words.fault_signal, 11);
    ck_assert_uint_eq(words.fault_address, 0xdeadbeef);
    ck_assert_str_eq(words.function, "text.count");
    ck_assert_str_eq(words.module, "text");
    ck_assert_str_eq(words.phase, "sorting \xc3\xa4");
    ck_assert_str_eq(words.backtrace, "one\ntwo\n");
    ck_assert_str_eq(words.log, "first\nsecond\n");
}
END_TEST

START_TEST(log_wraps)
{
    char expected[PAGE_LOG_LINES * 16] = "", line[16];

    for (int i = 0; i < PAGE_LOG_LINES + 5; i++) {
        snprintf(line, sizeof line, "%d", i);
        log_line(line);
        if (i >= 5) {
            strcat(expected, line);
            strcat(expected, "\n");
        }
    }
    page_read_words(&page, &words);
    ck_assert_str_eq(words.log, expected);
}
END_TEST

START_TEST(log_counter_wraps)
{
    atomic_store(&page.log_next, UINT32_MAX - 1);
    for (int i = 0; i < PAGE_LOG_LINES; i++) {
        char line[3] = { (char)('a' + i), '\0' };

        log_line(line);
    }
    ck_assert_uint_eq(atomic_load(&page.log_next), PAGE_LOG_LINES - 2);
    page_read_words(&page, &words); /* fewer lines than the ring holds, but the newest, in order */
    ck_assert_str_eq(words.log, "c\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\no\np\n");
}
END_TEST

/* Whatever the bytes are, every string is terminated inside its array and clean. */
static void check_clean(void)
{
    size_t n;

    ck_assert_int_le(words.process_phase, PAGE_SENDING);
#define CHECK(member, lines)                                                                                        \
    n = strnlen(words.member, sizeof words.member);                                                                 \
    ck_assert_uint_lt(n, sizeof words.member);                                                                      \
    ck_assert(text_is_clean(words.member, n, lines))
    CHECK(function, false);
    CHECK(module, false);
    CHECK(phase, false);
    CHECK(log, true);
    CHECK(backtrace, true);
#undef CHECK
}

START_TEST(every_byte_garbage)
{
    for (int byte = 1; byte < 256; byte++) {
        memset(&page, byte, sizeof page);
        page_read_words(&page, &words);
        check_clean();
        ck_assert_uint_eq(strlen(words.phase), PAGE_PHASE_BYTES - 1);
        ck_assert_uint_eq(strlen(words.log), PAGE_LOG_LINES * PAGE_LOG_BYTES);
        ck_assert_uint_eq(strlen(words.backtrace), PAGE_BACKTRACE_BYTES - 1);
    }
}
END_TEST

START_TEST(control_bytes)
{
    strcpy(page.phase, "a\tb\nc\x1b[2J\x7f");
    strcpy(page.backtrace, "a\tb\nc\x1b[2J\xff");
    log_line("bell\a\r\xe2\x82");
    page_read_words(&page, &words);
    ck_assert_str_eq(words.phase, "a?b?c?[2J?");
    ck_assert_str_eq(words.backtrace, "a?b\nc?[2J?");
    ck_assert_str_eq(words.log, "bell????\n");
}
END_TEST

static void *scribble(void *arg)
{
    _Atomic bool *stop = arg;
    volatile unsigned char *p = (volatile unsigned char *)&page;

    for (unsigned i = 1; !atomic_load(stop); i = i * 1103515245u + 12345u)
        p[i % sizeof page] = (unsigned char)(i >> 24);
    return NULL;
}

START_TEST(written_while_read)
{
    _Atomic bool stop = false;
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, scribble, &stop), 0);
    for (int i = 0; i < 3000; i++) {
        page_read_words(&page, &words);
        check_clean();
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
}
END_TEST

START_TEST(slots)
{
    page_give(&page, 5, 100);
    ck_assert(!page_maybe_started(&page, 5, 100));
    ck_assert(!page_start(&page, 5, 101)); /* another task */
    ck_assert(!page_revoke(&page, 5, 99));
    ck_assert(page_start(&page, 5, 100));
    ck_assert(page_maybe_started(&page, 5, 100));
    ck_assert(!page_revoke(&page, 5, 100)); /* too late */
    ck_assert(!page_start(&page, 5, 100));  /* not twice */

    page_give(&page, 5 + PAGE_SLOTS, 200); /* any index is brought into the page */
    ck_assert(page_revoke(&page, 5, 200));
    ck_assert(!page_start(&page, 5, 200));
    ck_assert(!page_maybe_started(&page, 5, 200));
    atomic_store(&page.slot[5], 0x1234); /* foreign code wrote here: no evidence that nothing began */
    ck_assert(page_maybe_started(&page, 5, 200));
}
END_TEST

struct race {
    _Atomic unsigned given, taken;
    unsigned started;
};

enum { RACE_TASKS = 20000 };

static void *worker(void *arg)
{
    struct race *race = arg;

    for (unsigned task = 1; task <= RACE_TASKS; task++) {
        while (atomic_load(&race->given) < task)
            sched_yield();
        race->started += page_start(&page, 0, task);
        atomic_store(&race->taken, task);
    }
    return NULL;
}

START_TEST(either_started_or_revoked)
{
    struct race race = { 0 };
    unsigned revoked = 0;
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, worker, &race), 0);
    for (unsigned task = 1; task <= RACE_TASKS; task++) {
        page_give(&page, 0, task);
        atomic_store(&race.given, task);
        for (unsigned pause = task % 64; pause > 0; pause--)
            atomic_signal_fence(memory_order_seq_cst);
        revoked += page_revoke(&page, 0, task);
        while (atomic_load(&race.taken) < task)
            sched_yield();
    }
    pthread_join(thread, NULL);
    ck_assert_uint_eq(revoked + race.started, RACE_TASKS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("page");
    TCase *tc = suite_case(suite, "page");

    tcase_add_test(tc, empty_page);
    tcase_add_test(tc, all_words);
    tcase_add_test(tc, log_wraps);
    tcase_add_test(tc, log_counter_wraps);
    tcase_add_test(tc, every_byte_garbage);
    tcase_add_test(tc, control_bytes);
    tcase_add_test(tc, written_while_read);
    tcase_add_test(tc, slots);
    tcase_add_test(tc, either_started_or_revoked);
    return suite_run(suite);
}
