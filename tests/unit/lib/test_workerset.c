/* SPDX-License-Identifier: MIT */
/*
 * test_workerset -- client/lib/workerset.c: handles of sets, and what a reconnect does to them.
 */
#include <string.h>

#include "tests/support/suite.h"
#include "tests/unit/lib/fake.h"

static struct fake f;
static ptools *pt;
static const uint32_t ids[] = { 2, 3, 4 };

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

static ptools_err call(ptools_workerset *set, const char *function)
{
    return ptools_remotecall_fetch(pt, set, function, NULL, NULL, 5000, NULL, NULL);
}

START_TEST(wrong_sets_are_refused_here)
{
    static const char *const names[] = { "", "7up", "a b", "a/b",
                                         "12345678901234567890123456789012345678901234567890123456789012345" };
    static uint32_t many[2000];
    ptools_workerset *set = NULL;

    begin(_i, fake_serve_one);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_assert_int_eq(ptools_workerset_create(pt, names[i], ids, 3, PTOOLS_WS_RR, &set), PTOOLS_ERR_INVALID);
        ck_assert_int_eq(ptools_workerset_open(pt, names[i], &set), PTOOLS_ERR_INVALID);
    }
    ck_assert_int_eq(ptools_workerset_open(pt, NULL, &set), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_workerset_open(pt, "box", NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_workerset_create(pt, NULL, ids, 0, PTOOLS_WS_RR, &set), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_workerset_create(pt, NULL, NULL, 1, PTOOLS_WS_RR, &set), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_workerset_create(pt, NULL, many, 2000, PTOOLS_WS_RR, &set), PTOOLS_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "1 to 1024"));
    ck_assert_int_eq(ptools_workerset_create(pt, NULL, ids, 3, (ptools_ws_mode)3, &set), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_workerset_create(pt, NULL, ids, 3, PTOOLS_WS_RR, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_workerset_change(NULL, ids, 3, PTOOLS_WS_RR), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_workerset_destroy(NULL), PTOOLS_ERR_INVALID);
    ck_assert_ptr_null(ptools_workerset_free(NULL));
    ck_assert_ptr_null(set);
    end();
}
END_TEST

static void looks_at_sets(struct fake *s)
{
    struct msg_request r;

    fake_accept_hello(s);
    FAKE_CHECK(fake_next(s, &r) && r.kind == MSG_SET_CREATE);
    FAKE_CHECK(r.set.n == 3 && r.set.members[0] == 2 && r.set.members[2] == 4 && r.set.mode == 1 && !r.set.name.data);
    fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .set_id = 41 } }, NULL);
    FAKE_CHECK(fake_next(s, &r) && r.kind == MSG_CALL && r.call.set_id == 41);
    fake_reply_number(s, r.id, 0);
    FAKE_CHECK(fake_next(s, &r) && r.kind == MSG_SET_CHANGE && r.set.set_id == 41 && r.set.mode == 2 && r.set.n == 1);
    fake_reply(s, &(struct msg_answer){ .id = r.id }, NULL);
    FAKE_CHECK(fake_next(s, &r) && r.kind == MSG_SET_DESTROY && r.set.set_id == 41); /* by its handle's end */
    fake_reply(s, &(struct msg_answer){ .id = r.id }, NULL);
    FAKE_CHECK(fake_next(s, &r) && r.kind == MSG_SET_CREATE && r.set.name.n == 3 &&
               memcmp(r.set.name.data, "box", 3) == 0);
    fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .set_id = 42 } }, NULL);
    FAKE_CHECK(!fake_next(s, &r)); /* a named one stays */
}

START_TEST(sets_reach_the_daemon)
{
    ptools_workerset *set;

    begin(_i, looks_at_sets);
    ck_assert_int_eq(ptools_workerset_create(pt, NULL, ids, 3, PTOOLS_WS_RR, &set), PTOOLS_OK);
    ck_assert_int_eq(call(set, "t.x"), PTOOLS_OK);
    ck_assert_int_eq(ptools_workerset_change(set, ids, 1, PTOOLS_WS_FF), PTOOLS_OK);
    ptools_workerset_free(set);
    ck_assert_int_eq(ptools_workerset_create(pt, "box", ids, 3, PTOOLS_WS_RR, &set), PTOOLS_OK);
    ptools_workerset_free(set);
    end();
}
END_TEST

START_TEST(what_the_daemon_refuses_is_told)
{
    const uint32_t unknown[] = { 500 };
    ptools_workerset *set = NULL;

    begin(_i, fake_serve_one);
    ck_assert_int_eq(ptools_workerset_create(pt, NULL, unknown, 1, PTOOLS_WS_RR, &set), PTOOLS_ERR_NO_WORKER);
    ck_assert_str_eq(ptools_error_message(pt), "no worker of that id");
    ck_assert_int_eq(ptools_workerset_open(pt, "box", &set), PTOOLS_ERR_NO_SET);
    ck_assert_ptr_null(set);
    ck_assert_int_eq(ptools_workerset_create(pt, "box", ids, 3, PTOOLS_WS_RR, &set), PTOOLS_OK);
    ck_assert_int_eq(ptools_workerset_destroy(set), PTOOLS_OK);
    ptools_workerset_free(set);
    end();
}
END_TEST

START_TEST(a_named_set_outlives_its_connection)
{
    ptools_workerset *named, *opened;

    begin(_i, fake_serve_two);
    ck_assert_int_eq(ptools_workerset_create(pt, "box", ids, 3, PTOOLS_WS_RR, &named), PTOOLS_OK);
    ck_assert_int_eq(ptools_workerset_open(pt, "box", &opened), PTOOLS_OK);
    ck_assert_int_eq(call(named, "t.drop"), PTOOLS_ERR_LOST);
    ck_assert_int_eq(call(named, "t.echo"), PTOOLS_OK);
    ck_assert_int_eq(call(opened, "t.echo"), PTOOLS_OK);
    ck_assert_int_eq(ptools_workerset_change(opened, ids, 1, PTOOLS_WS_FF), PTOOLS_OK);
    ck_assert_int_eq(ptools_workerset_destroy(opened), PTOOLS_OK);
    ptools_workerset_free(named);
    ptools_workerset_free(opened);
    end();
}
END_TEST

START_TEST(an_anonymous_set_ends_with_its_connection)
{
    ptools_workerset *set;

    begin(_i, fake_serve_two);
    ck_assert_int_eq(ptools_workerset_create(pt, NULL, ids, 3, PTOOLS_WS_RR, &set), PTOOLS_OK);
    ck_assert_int_eq(call(set, "t.drop"), PTOOLS_ERR_LOST);
    ck_assert_int_eq(call(set, "t.echo"), PTOOLS_ERR_NO_SET);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "anonymous"));
    ck_assert_int_eq(ptools_workerset_change(set, ids, 1, PTOOLS_WS_RR), PTOOLS_ERR_NO_SET);
    ptools_workerset_free(set); /* tells nobody: the number may be another's by now */
    ck_assert_int_eq(call(NULL, "t.echo"), PTOOLS_OK);
    end();
}
END_TEST

START_TEST(a_set_belongs_to_its_handle)
{
    ptools_workerset *set;
    struct fake g;
    ptools *other;

    begin(_i, fake_serve_one);
    fake_begin(&g);
    fake_run(&g, fake_serve_one);
    other = fake_open(&g, _i);
    ck_assert_int_eq(ptools_workerset_create(other, NULL, ids, 3, PTOOLS_WS_RR, &set), PTOOLS_OK);
    ck_assert_int_eq(call(set, "t.echo"), PTOOLS_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "another handle"));
    ptools_close(other);
    ck_assert_int_eq(call(set, "t.echo"), PTOOLS_ERR_CLOSED);
    ptools_workerset_free(set);
    fake_end(&g);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/workerset");
    TCase *tc = suite_case(suite, "sets");

    tcase_add_loop_test(tc, wrong_sets_are_refused_here, 0, VIAS);
    tcase_add_loop_test(tc, sets_reach_the_daemon, 0, VIAS);
    tcase_add_loop_test(tc, what_the_daemon_refuses_is_told, 0, VIAS);
    tcase_add_loop_test(tc, a_named_set_outlives_its_connection, 0, VIAS);
    tcase_add_loop_test(tc, an_anonymous_set_ends_with_its_connection, 0, VIAS);
    tcase_add_loop_test(tc, a_set_belongs_to_its_handle, 0, VIAS);
    return suite_run(suite);
}
