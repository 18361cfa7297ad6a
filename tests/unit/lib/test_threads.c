/* SPDX-License-Identifier: MIT */
/*
 * test_threads -- two threads, a handle each, at the same time: nothing is shared. For ThreadSanitizer above all.
 */
#include <pthread.h>
#include <string.h>

#include "tests/support/suite.h"
#include "tests/unit/lib/fake.h"

enum { THREADS = 2, CALLS = 500 };

struct job {
    struct fake f;
    int via;
    const char *problem;
};

static void *work(void *arg)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    struct job *job = arg;
    ptools_pack *args = ptools_pack_new();
    const char *message;
    ptools *pt;

    options.address = "/nowhere";
    if (ptools_open(&options, &pt, &message) != PTOOLS_ERR_NO_DAEMON || !strstr(message, "/nowhere"))
        job->problem = "open of nothing";
    options.address = fake_address(&job->f, job->via);
    if (ptools_open(&options, &pt, &message) != PTOOLS_OK) {
        job->problem = "open";
        return NULL;
    }
    for (uint64_t i = 0; i < CALLS && !job->problem; i++) {
        ptools_future *future;
        ptools_value value;
        uint64_t n;

        ptools_pack_reset(args);
        ptools_pack_u64(args, i);
        if (ptools_remotecall_fetch(pt, NULL, "t.echo", args, NULL, 5000, &future, &value) != PTOOLS_OK ||
            ptools_get_u64(value, &n) != PTOOLS_OK || n != i)
            job->problem = "call";
        else
            ptools_future_free(future);
    }
    ptools_pack_free(args);
    ptools_close(pt);
    return NULL;
}

START_TEST(a_handle_a_thread)
{
    struct job jobs[THREADS] = { 0 };
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        jobs[i].via = _i;
        fake_begin(&jobs[i].f);
        fake_run(&jobs[i].f, fake_serve_one);
    }
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &jobs[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_ptr_eq(jobs[i].problem, NULL);
        fake_end(&jobs[i].f);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/threads");
    TCase *tc = suite_case(suite, "threads");

    tcase_add_loop_test(tc, a_handle_a_thread, 0, VIAS);
    return suite_run(suite);
}
