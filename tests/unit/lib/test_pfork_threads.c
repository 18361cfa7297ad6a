/* SPDX-License-Identifier: MIT */
/* test_pfork_threads -- pfork among threads that allocate and write, and from several threads at once. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/lib/pfork_rig.h"

static bool over;

static void *allocate(void *arg)
{
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
        void *p = malloc(100);

        fprintf(arg, "%p", p);
        free(p);
    }
    return NULL;
}

static ptools_err allocate_too(int i, void *arg, ptools_child *child)
{
    char *text = NULL;

    for (int k = 0; k < 100; k++) {
        free(text);
        if (asprintf(&text, "child %d of %d", i, ptools_child_count(child)) < 0)
            return PTOOLS_ERR_NO_MEMORY;
    }
    fputs(text, arg);
    free(text);
    return give_index(i, NULL, child);
}

START_TEST(among_threads)
{
    FILE *null = fopen("/dev/null", "we");
    pthread_t threads[2];

    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, allocate, null), 0);
    for (int round = 0; round < 10; round++) {
        ptools_children *c = pfork_as(PTOOLS_OK, 20, allocate_too, null, NULL);

        for (int i = 1; i <= 20; i++)
            ck_value(c, i, i);
        ptools_children_free(c);
    }
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    fclose(null);
}
END_TEST

static void *pfork_in_thread(void *arg)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;

    o.at_once = 4;
    for (int round = 0; round < 10; round++) {
        ptools_children *c = pfork_as(PTOOLS_OK, 10, give_index, arg, &o);

        for (int i = 1; i <= 10; i++)
            ck_value(c, i, i);
        ptools_children_free(c);
    }
    return NULL;
}

START_TEST(from_several_threads)
{
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, pfork_in_thread, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_no_children();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pfork_threads");
    TCase *tc = suite_case(s, "threads");

    tcase_add_test(tc, among_threads);
    tcase_add_test(tc, from_several_threads);
    return suite_run(s);
}
