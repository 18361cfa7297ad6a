/* SPDX-License-Identifier: MIT */
/*
 * test_workers -- client/lib/workers.c: the list of workers as one block, the pool's size, documents.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/support/suite.h"
#include "tests/unit/lib/fake.h"

static struct fake f;
static ptools *pt;

static void begin(int via, fake_script *script)
{
    fake_begin(&f);
    fake_run(&f, script);
    pt = fake_open(&f, via);
}

static void end(void)
{
    ptools_close(pt);
    fake_end(&f);
}

START_TEST(the_list_is_one_block)
{
    ptools_worker_info *w = NULL;
    size_t n = 0;

    begin(_i, fake_serve_one);
    ck_assert_int_eq(ptools_workers(pt, &w, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 2);
    ck_assert_uint_eq(w[0].id, 1);
    ck_assert_int_eq(w[0].pid, 2);
    ck_assert_str_eq(w[0].state, "idle");
    ck_assert_str_eq(w[0].function, "");
    ck_assert_uint_eq(w[1].id, 101);
    ck_assert_int_eq(w[1].pid, 102);
    ck_assert_uint_eq(w[1].tasks_done, 103);
    ck_assert_uint_eq(w[1].waiting, 104);
    ck_assert_uint_eq(w[1].deaths, 105);
    ck_assert_uint_eq(w[1].recycled, 106);
    ck_assert_uint_eq(w[1].rss_bytes, 107);
    ck_assert_str_eq(w[1].state, "busy");
    ck_assert_str_eq(w[1].function, "text.count");
    ck_assert_str_eq(w[1].phase, "reading");
    ck_assert_uint_eq(w[1].progress, 1);
    ck_assert_uint_eq(w[1].progress_of, 10);
    free(w);
    ck_assert_int_eq(ptools_workers(pt, NULL, &n), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_workers(pt, &w, NULL), PTOOLS_ERR_INVALID);
    end();
}
END_TEST

static void sends_odd_lists(struct fake *s)
{
    for (int i = 0;; i++) {
        struct msg_request r;
        ptools_pack *p = ptools_pack_new();

        if (i == 0)
            fake_accept_hello(s);
        if (!fake_next(s, &r)) {
            ptools_pack_free(p);
            return;
        }
        if (i == 0) {
            ptools_pack_u64(p, 3); /* no list */
        } else if (i == 1) {
            ptools_pack_list(p, 1); /* of no maps */
            ptools_pack_nil(p);
        } else if (i == 2) { /* texts, but no numbers */
            ptools_pack_list(p, 1);
            ptools_pack_map(p, 3);
            for (int k = 0; k < 3; k++) {
                ptools_pack_str(p, k == 0 ? "state" : k == 1 ? "function" : "phase");
                ptools_pack_str(p, "x");
            }
        } else {
            ptools_pack_list(p, 0);
        }
        fake_reply(s, &(struct msg_answer){ .id = r.id }, p);
        ptools_pack_free(p);
    }
}

START_TEST(odd_lists_are_refused)
{
    ptools_worker_info *w = NULL;
    size_t n = 77;

    begin(_i, sends_odd_lists);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(ptools_workers(pt, &w, &n), PTOOLS_ERR_PROTOCOL);
        ck_assert_ptr_null(w);
        ck_assert_uint_eq(n, 77);
    }
    ck_assert_int_eq(ptools_workers(pt, &w, &n), PTOOLS_OK);
    ck_assert_ptr_nonnull(w);
    ck_assert_uint_eq(n, 0);
    free(w);
    end();
}
END_TEST

START_TEST(the_pool_grows_and_shrinks)
{
    uint32_t first = 0;

    begin(_i, fake_serve_one);
    ck_assert_int_eq(ptools_workers_add(pt, 2, &first), PTOOLS_OK);
    ck_assert_uint_eq(first, 5);
    ck_assert_int_eq(ptools_workers_add(pt, 2, NULL), PTOOLS_OK);
    ck_assert_int_eq(ptools_workers_add(pt, 0, &first), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_workers_add(pt, 2000, &first), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_workers_remove(pt, 5), PTOOLS_OK);
    ck_assert_int_eq(ptools_workers_remove(pt, 9), PTOOLS_ERR_NO_WORKER);
    ck_assert_int_eq(ptools_workers_remove(pt, 0), PTOOLS_ERR_INVALID);
    end();
}
END_TEST

START_TEST(documents)
{
    ptools_future *future = NULL;
    ptools_value value;
    uint32_t n;

    begin(_i, fake_serve_one);
    ck_assert_int_eq(ptools_inspect(pt, "workers", &future, &value), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_count(value, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 2);
    ptools_future_free(future);
    future = NULL;
    ck_assert_int_eq(ptools_inspect(pt, "weather", &future, &value), PTOOLS_ERR_BAD_REQUEST);
    ck_assert_int_eq(ptools_inspect(pt, NULL, &future, &value), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_inspect(pt, "workers", NULL, &value), PTOOLS_ERR_INVALID);
    ck_assert_ptr_null(future);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/workers");
    TCase *tc = suite_case(suite, "workers");

    tcase_add_loop_test(tc, the_list_is_one_block, 0, VIAS);
    tcase_add_loop_test(tc, odd_lists_are_refused, 0, VIAS);
    tcase_add_loop_test(tc, the_pool_grows_and_shrinks, 0, VIAS);
    tcase_add_loop_test(tc, documents, 0, VIAS);
    return suite_run(suite);
}
