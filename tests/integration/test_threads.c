/* SPDX-License-Identifier: MIT */
/*
 * A threaded client: one handle a thread, all at once, opening and closing as they go. Built with
 * -Db_sanitize=thread this is the library's test for data races.
 */
#include <pthread.h>
#include <stdlib.h>

#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum { THREADS = 4, HANDLES = 5, CALLS = 200, WINDOW = 16 };

static struct server server;

/* The number of calls whose value was right. */
static void *client(void *arg)
{
    uint64_t first = (uint64_t)(uintptr_t)arg * 1000000, right = 0;

    for (int h = 0; h < HANDLES; h++) {
        PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
        ptools *pt = server_open(&server);

        for (uint64_t i = 0; i < CALLS; i += WINDOW) {
            ptools_future *f[WINDOW] = { NULL };

            for (uint64_t k = 0; k < WINDOW; k++) {
                ptools_pack_reset(args);
                ptools_pack_u64(args, first + i + k);
                ck_assert_ptools(ptools_remotecall(pt, NULL, "t.echo", args, NULL, &f[k]));
            }
            ck_assert_ptools(ptools_wait_all(pt, f, WINDOW, 60000));
            for (uint64_t k = 0; k < WINDOW; k++) {
                ptools_value list, v;
                uint64_t n = 0;

                ck_assert_ptools(ptools_future_fetch(f[k], 0, &list));
                ck_assert_ptools(ptools_get_item(list, 0, &v));
                ck_assert_ptools(ptools_get_u64(v, &n));
                right += n == first + i + k;
                ptools_future_free(f[k]);
            }
        }
        ptools_close(pt);
    }
    return (void *)(uintptr_t)right;
}

START_TEST(one_handle_a_thread)
{
    pthread_t threads[THREADS];
    const uint64_t calls = (uint64_t)((CALLS + WINDOW - 1) / WINDOW * WINDOW) * HANDLES;

    server_start(&server, 2, NULL);
    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, client, (void *)i), 0);
    for (int i = 0; i < THREADS; i++) {
        void *right;

        ck_assert_int_eq(pthread_join(threads[i], &right), 0);
        ck_assert_uint_eq((uintptr_t)right, calls);
    }
    server_clean(&server, 0);
    server_stop(&server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads");
    TCase *tc = suite_case(suite, "threads");

    tcase_add_test(tc, one_handle_a_thread);
    return suite_run(suite);
}
