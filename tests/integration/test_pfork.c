/* SPDX-License-Identifier: MIT */
/*
 * test_pfork -- pfork in a program that is connected to a daemon: children never touch the connection, which goes on as
 * if nothing had been; and arrays of the daemon that the caller has mapped are seen and written by children.
 */
#include <string.h>

#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum { N = 8 };

struct connected {
    ptools *pt;
    ptools_future *in_flight;
    ptools_array *array;
    struct server *server;
};

/* Its own number into the array; the codes of what is tried on the connection. */
static ptools_err touch_all(int i, void *arg, ptools_child *child)
{
    struct connected *c = arg;
    ptools_pack *p = ptools_child_result(child);

    ((int64_t *)ptools_array_data(c->array))[i - 1] = i;
    ptools_pack_i64(p, ptools_remotecall_fetch(c->pt, NULL, "t.nop", NULL, NULL, 1000, NULL, NULL));
    ptools_pack_i64(p, ptools_future_wait(c->in_flight, 1000));
    ptools_pack_i64(p, ptools_dispatch(c->pt, 0));
    if (i == 2)
        ptools_array_free(c->array);
    if (i == 3)
        ptools_close(c->pt);
    return PTOOLS_OK;
}

START_TEST(connection_is_left_alone)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("a", PTOOLS_INT64, N);
    struct server s;
    struct connected c = { .server = &s };
    ptools_pack *args = ptools_pack_new();
    ptools_children *children;
    const char *why = "";

    server_start(&s, 1, NULL);
    c.pt = server_open(&s);
    ck_assert_ptools(ptools_shm_create(c.pt, &cfg, NULL, &c.array));
    ptools_pack_i64(args, 200);
    ck_assert_ptools(ptools_remotecall(c.pt, NULL, "t.nop", NULL, NULL, &c.in_flight));
    ck_assert_msg(ptools_pfork(N, touch_all, &c, NULL, &children, &why) == PTOOLS_OK, "%s", why);
    for (int i = 1; i <= N; i++) {
        for (uint32_t k = 0; k < 3; k++) {
            ptools_value v;
            int64_t code;

            ck_assert_ptools(ptools_get_item(ptools_children_outcome(children, i)->value, k, &v));
            ck_assert_ptools(ptools_get_i64(v, &code));
            ck_assert_err((ptools_err)code, PTOOLS_ERR_FORKED);
        }
        ck_assert_int_eq(((int64_t *)ptools_array_data(c.array))[i - 1], i);
    }
    ptools_children_free(children);
    ck_assert_ptools(ptools_future_fetch(c.in_flight, 10000, NULL));
    ck_assert_ptools(ptools_remotecall_fetch(c.pt, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL));
    ptools_future_free(c.in_flight);
    ptools_pack_free(args);
    ptools_array_free(c.array);
    ptools_close(c.pt);
    server_stop(&s);
}
END_TEST

/* A child may have a connection of its own. */
static ptools_err call_from_child(int i, void *arg, ptools_child *child)
{
    struct connected *c = arg;
    PTOOLS_AUTO(ptools) pt = server_open(c->server);

    (void)i;
    return ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL) == PTOOLS_OK
               ? PTOOLS_OK
               : ptools_child_fail(child, "%s", ptools_error_message(pt));
}

START_TEST(connection_of_a_child)
{
    struct server s;
    struct connected c = { .server = &s };
    const char *why = "";

    server_start(&s, 1, NULL);
    c.pt = server_open(&s);
    ck_assert_ptools(ptools_remotecall_fetch(c.pt, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL));
    ck_assert_msg(ptools_pfork(N, call_from_child, &c, NULL, NULL, &why) == PTOOLS_OK, "%s", why);
    ck_assert_ptools(ptools_remotecall_fetch(c.pt, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL));
    ptools_close(c.pt);
    server_stop(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pfork");
    TCase *tc = suite_case(s, "connected");

    tcase_add_test(tc, connection_is_left_alone);
    tcase_add_test(tc, connection_of_a_child);
    return suite_run(s);
}
