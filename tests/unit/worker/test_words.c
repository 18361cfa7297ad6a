/* SPDX-License-Identifier: MIT */
/* The text of backtraces. What handlers do with it in a real worker: test_worker.c. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/worker/words.h"
#include "tests/support/suite.h"

static void never(void)
{
    ck_abort_msg("nobody dies here");
}

static struct page *set_up(void)
{
    struct page *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(page, MAP_FAILED);
    ck_assert_int_eq(words_init(page, never), 0);
    return page;
}

__attribute__((__noinline__)) static void inner(char *text, size_t cap)
{
    words_backtrace(NULL, text, cap);
    __asm__ volatile("");
}

__attribute__((__noinline__)) static void outer(char *text, size_t cap)
{
    inner(text, cap);
    __asm__ volatile("");
}

__attribute__((__noinline__)) static void caller(char *text, size_t cap)
{
    words_set_base(__builtin_frame_address(0));
    outer(text, cap);
    words_set_base(NULL);
}

START_TEST(frames_have_number_address_name_and_object)
{
    char text[4096], name[64];
    unsigned long long address, offset;
    unsigned number;
    const char *line;

    set_up();
    outer(text, sizeof text);
    line = strstr(text, " inner+0x");
    ck_assert_msg(line != NULL, "%s", text);
    while (line > text && line[-1] != '\n')
        line--;
    ck_assert_int_eq(sscanf(line, "#%u 0x%16llx inner+0x%llx (%63[^)])\n", &number, &address, &offset, name), 4);
    ck_assert_str_eq(name, program_invocation_short_name);
    ck_assert_uint_eq(address - offset, (uintptr_t)inner);
    ck_assert_ptr_nonnull(strstr(line, " outer+0x"));
    ck_assert_ptr_nonnull(strstr(line, " _start+0x")); /* to the very beginning */
    ck_assert_int_eq(text[strlen(text) - 1], '\n');
}
END_TEST

START_TEST(they_end_at_the_base)
{
    char text[4096];

    set_up();
    caller(text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, " outer+0x"));
    ck_assert_ptr_nonnull(strstr(text, " caller+0x"));
    ck_assert_ptr_null(strstr(text, " _start+0x"));
}
END_TEST

START_TEST(they_fit_into_any_room)
{
    char whole[4096], text[4096];

    set_up();
    for (size_t cap = 1; cap < 300; cap += 7) {
        memset(text, 'x', sizeof text);
        caller(text, cap);
        caller(whole, sizeof whole);
        ck_assert_uint_lt(strlen(text), cap);
        ck_assert_int_eq(strncmp(text, "#0 0x", cap < 6 ? cap - 1 : 5), 0);
        ck_assert_int_eq(text[cap], 'x'); /* not one byte beyond */
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/words");
    TCase *tc = tcase_create("words"); /* without the count of descriptors: libunwind keeps two */

    suite_add_tcase(suite, tc);
    tcase_add_test(tc, frames_have_number_address_name_and_object);
    tcase_add_test(tc, they_end_at_the_base);
    tcase_add_test(tc, they_fit_into_any_room);
    return suite_run(suite);
}
