/* SPDX-License-Identifier: MIT */
/*
 * The life of an array: who owns it, who maps it, what keeps it, and that nothing of it is left.
 */
#include <inttypes.h>

#include "tests/unit/core/rig_shared.h"

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_start(&r, workers);
}

static uint64_t shm_bytes(void)
{
    struct core_stats stats;

    core_view_stats(r.core, &stats);
    return stats.shm_bytes;
}

static uint32_t arrays(void)
{
    struct core_stats stats;

    core_view_stats(r.core, &stats);
    return stats.arrays;
}

/* How many hold it. */
static size_t holders(uint64_t array)
{
    enum core_holder kind;
    uint32_t id;
    size_t n = 0;

    while (core_view_holder(r.core, array, n, &kind, &id))
        n++;
    return n;
}

/* -- from making to the end -------------------------------------------------------------------------------- */

START_TEST(from_making_to_the_end)
{
    struct msg_array m = rig_shape("a", 5000);
    struct core_array_view v;
    uint64_t array;

    setup(1);
    m.prefix = TEXT("run");
    rig_array_request(&r, r.client, MSG_ARRAY_CREATE, &m);
    array = rig_asked(&r);
    ck_assert_uint_ne(array, 0);
    ck_assert_uint_eq(rig_find(&r, ACT_ARRAY_MAKE, 0)->bytes, 5000);
    ck_assert_uint_eq(rig_find(&r, ACT_ARRAY_MAKE, 0)->file, 0);
    ck_assert_ptr_null(rig_answer(&r, r.request)); /* once it is there */
    ck_assert_uint_eq(shm_bytes(), 5000);          /* but it is charged from now on */
    ck_assert(core_view_array(r.core, 0, &v));
    ck_assert_str_eq(v.state, "making");
    ck_assert_int_eq(rig_take(&r, true, r.client, 0, array, NULL), PTOOLS_ERR_NO_ARRAY);
    rig_made(&r, array);
    ck_assert_uint_eq(rig_reply(&r, r.request).array, array);
    ck_assert(!rig_reply(&r, r.request).huge);
    ck_assert_uint_eq(shm_bytes(), 8192); /* whole pages, now that it is known */
    ck_has(rig_note(&r, NOTE_ARRAY_MADE)->text, "(run/a) of uid 1000: uint8[5000]");
    ck_assert(core_view_array(r.core, 0, &v));
    ck_assert_str_eq(v.state, "ready");
    ck_assert_str_eq(v.name, "a");
    ck_assert_str_eq(v.prefix, "run");
    ck_assert_uint_eq(v.bytes, 5000);
    ck_assert_uint_eq(v.mapped_bytes, 8192);
    ck_assert_uint_eq(v.client, r.client);
    ck_assert_uint_eq(v.uid, 1000);
    ck_assert_uint_eq(v.until_us, CORE_NEVER);
    ck_assert(!core_view_array(r.core, 1, &v));
    rig_clear(&r);
    rig_leaves(&r, r.client);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, array), 1);
    ck_has(rig_note(&r, NOTE_ARRAY_ENDED)->text, "(run/a) of uid 1000 ended: its owner left");
    ck_assert_uint_eq(arrays(), 0);
    ck_assert_uint_eq(shm_bytes(), 0);
    ck_assert_ptr_null(r.core->users);
    rig_end(&r);
}
END_TEST

START_TEST(its_client_leaves_while_it_is_made)
{
    struct msg_array m = rig_shape("a", 10);
    uint64_t array;

    setup(1);
    m.keep = true; /* it would have been kept, had it been there */
    rig_array_request(&r, r.client, MSG_ARRAY_CREATE, &m);
    array = rig_asked(&r);
    rig_leaves(&r, r.client);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, array), 1);
    ck_assert_uint_eq(arrays(), 0);
    ck_assert_ptr_null(r.core->users);
    rig_clear(&r);
    rig_end(&r);
}
END_TEST

START_TEST(a_name_is_free_again_at_once)
{
    uint64_t first, second;

    setup(1);
    first = rig_array_of(&r, "a", 10);
    array_end(r.core, rig_the_array(&r, first), "the test says so", &r.out);
    second = rig_array_of(&r, "a", 10);
    ck_assert_uint_ne(first, second); /* numbers are never used again */
    ck_assert_ptr_null(rig_the_array(&r, first));
    rig_end(&r);
}
END_TEST

START_TEST(names_of_64_bytes)
{
    char longest[NAME_BYTES_MAX + 1];
    struct msg_array m;
    struct fds_answer told;

    memset(longest, 'n', NAME_BYTES_MAX);
    longest[NAME_BYTES_MAX] = '\0';
    setup(1);
    m = rig_shape(longest, 10);
    m.prefix = m.name;
    rig_array(&r, r.client, &m);
    ck_assert_int_eq(rig_take_name(&r, true, r.client, 0, FDS_OWN, longest, longest, &told), PTOOLS_OK);
    ck_assert_str_eq(told.name, longest);
    ck_assert_str_eq(told.prefix, longest);
    longest[NAME_BYTES_MAX - 1] = '\0';
    ck_assert_int_eq(rig_take_name(&r, true, r.client, 0, FDS_OWN, longest, longest, &told), PTOOLS_ERR_NO_ARRAY);
    rig_end(&r);
}
END_TEST

START_TEST(all_memory_goes_with_the_core)
{
    const struct msg_stasks m = { .count = 1, .n_arrays = 1, .arrays = (uint64_t[1]){ 0 } };
    struct msg_array kept = rig_shape("kept", 10);
    uint64_t array, task;

    setup(1);
    kept.keep = true;
    kept.keep_ms = 1000;
    rig_array(&r, r.client, &kept);
    m.arrays[0] = rig_array_of(&r, "shared", 10);
    rig_stasks(&r, r.client, &m);
    array = rig_array_of(&r, NULL, 10);
    task = rig_runs_large(&r, array, 10, 0, 1);
    ck_assert_int_eq(rig_take(&r, false, 1, task, array, NULL), PTOOLS_OK);
    rig_wants_room(&r, 1, 0, task, 50);
    ck_assert_uint_eq(arrays(), 4);
    rig_end(&r); /* the sanitizer sees what is left */
}
END_TEST

/* -- kept ones --------------------------------------------------------------------------------------------- */

START_TEST(a_kept_one_outlives_its_client)
{
    struct msg_array m = rig_shape("a", 10);
    struct msg_array unlink = { .name = TEXT("a") };
    struct core_array_view v;
    uint64_t array;
    uint32_t other;

    setup(1);
    m.keep = true;
    array = rig_array(&r, r.client, &m);
    rig_leaves(&r, r.client);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_DROP), 0);
    ck_assert_uint_eq(HASH_COUNT(r.core->users), 1); /* who is charged for it */
    ck_assert(core_view_array(r.core, 0, &v));
    ck_assert(v.keep);
    ck_assert_uint_eq(v.client, 0);
    rig_tick(&r, UINT64_C(1) << 40);
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER);
    other = rig_client(&r, 1000);
    ck_assert_int_eq(rig_take_name(&r, true, other, 0, FDS_OWN, "", "a", NULL), PTOOLS_OK);
    rig_array_request(&r, other, MSG_ARRAY_UNLINK, &unlink);
    rig_reply(&r, r.request);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, array), 1);
    rig_leaves(&r, other);
    ck_assert_ptr_null(r.core->users);
    rig_end(&r);
}
END_TEST

START_TEST(a_lease_ends_with_its_array)
{
    struct msg_array m = rig_shape("a", 10), unlink = { 0 };

    setup(1);
    m.keep = true;
    m.keep_ms = 70;
    unlink.array = rig_array(&r, r.client, &m);
    rig_array_request(&r, r.client, MSG_ARRAY_UNLINK, &unlink);
    ck_assert_ptr_null(r.core->arrays);
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER);
    rig_tick(&r, 70000);
    rig_end(&r);
}
END_TEST

START_TEST(leases_end_in_their_order)
{
    struct msg_array m = rig_shape("a", 10);
    struct core_array_view v;
    uint64_t a, b, made_us;

    setup(1);
    m.keep = true;
    m.keep_ms = 70;
    a = rig_array(&r, r.client, &m);
    made_us = r.now;
    m.name = TEXT("b");
    m.keep_ms = 30;
    rig_array_request(&r, r.client, MSG_ARRAY_CREATE, &m);
    b = rig_asked(&r);
    rig_tick(&r, 10000); /* its time begins when it is there */
    rig_made(&r, b);
    ck_assert(core_view_array(r.core, 1, &v));
    ck_assert_uint_eq(v.until_us, made_us + 40000);
    ck_assert_uint_eq(core_next_us(r.core), made_us + 40000);
    rig_tick(&r, 29999);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_DROP), 0);
    rig_tick(&r, 1);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, b), 1);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_DROP), 1);
    ck_has(rig_note(&r, NOTE_ARRAY_ENDED)->text, "(b) of uid 1000 ended: its time is over");
    ck_assert_uint_eq(core_next_us(r.core), made_us + 70000);
    rig_tick(&r, 30000);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, a), 1);
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER);
    rig_end(&r);
}
END_TEST

/* -- who maps it ------------------------------------------------------------------------------------------- */

START_TEST(holds_count_and_end_with_their_holder)
{
    struct msg_array close = { 0 };
    uint64_t array, stasks;
    uint32_t other, process;

    setup(2);
    array = close.array = rig_array_of(&r, "a", 10);
    stasks = rig_stasks_of(&r, 1);
    process = rig_process(&r, stasks, 0);
    other = rig_client(&r, 1000);
    rig_call_worker(&r, "m.f", 1);
    rig_assign(&r);
    ck_assert_int_eq(rig_take(&r, true, r.client, 0, array, NULL), PTOOLS_OK);
    ck_assert_int_eq(rig_take(&r, true, r.client, 0, array, NULL), PTOOLS_OK);
    ck_assert_int_eq(rig_take(&r, true, other, 0, array, NULL), PTOOLS_OK);
    ck_assert_int_eq(rig_take(&r, false, 1, rig_worker(&r, 1)->oldest, array, NULL), PTOOLS_OK);
    ck_assert_int_eq(rig_take(&r, false, process, 0, array, NULL), PTOOLS_OK);
    ck_assert_uint_eq(holders(array), 4);
    ck_assert_uint_eq(rig_the_array(&r, array)->holds->count, 2);
    rig_array_request(&r, r.client, MSG_ARRAY_CLOSE, &close);
    ck_assert_uint_eq(holders(array), 4); /* mapped twice, closed once */
    rig_array_request(&r, r.client, MSG_ARRAY_CLOSE, &close);
    ck_assert_uint_eq(holders(array), 3);
    rig_array_request(&r, r.client, MSG_ARRAY_CLOSE, &close); /* nothing to give back, and no harm */
    rig_reply(&r, r.request);
    ck_assert_uint_eq(holders(array), 3);
    rig_leaves(&r, other);
    ck_assert_uint_eq(holders(array), 2);
    rig_dies(&r, 1, 9, 1);
    ck_assert_uint_eq(holders(array), 1);
    rig_stask_dies(&r, process, 9, 0);
    ck_assert_uint_eq(holders(array), 0);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_FORGET), 0); /* nobody is told to unmap what goes on */
    rig_end(&r);
}
END_TEST

START_TEST(processes_forget_what_has_ended)
{
    struct msg_array unlink = { .name = TEXT("a") };
    uint64_t array, stasks;
    uint32_t process;

    setup(2);
    array = rig_array_of(&r, "a", 10);
    stasks = rig_stasks_of(&r, 1);
    process = rig_process(&r, stasks, 0);
    rig_call_worker(&r, "m.f", 2);
    rig_assign(&r);
    ck_assert_int_eq(rig_take(&r, true, r.client, 0, array, NULL), PTOOLS_OK);
    ck_assert_int_eq(rig_take(&r, false, 2, rig_worker(&r, 2)->oldest, array, NULL), PTOOLS_OK);
    ck_assert_int_eq(rig_take(&r, false, process, 0, array, NULL), PTOOLS_OK);
    rig_array_request(&r, r.client, MSG_ARRAY_UNLINK, &unlink);
    rig_reply(&r, r.request);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_FORGET, array), 2);
    ck_assert_uint_eq(rig_action_of(&r, ACT_ARRAY_FORGET, 2)->array, array);
    ck_assert_uint_eq(rig_action_of(&r, ACT_ARRAY_FORGET, process)->array, array);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, array), 1);
    rig_end(&r);
}
END_TEST

START_TEST(everywhere_is_every_worker)
{
    struct msg_array m = rig_shape("a", 10);
    uint64_t array, gone;

    setup(3);
    rig_dies(&r, 3, 9, 0);                                             /* its successor is still to come */
    core_workers_add(r.core, r.now, r.client, ++r.request, 1, &r.out); /* and the fourth to be ready */
    rig_clear(&r);
    m.everywhere = true;
    rig_array_request(&r, r.client, MSG_ARRAY_CREATE, &m);
    array = rig_asked(&r);
    rig_made(&r, array);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_MAP), 2);
    ck_assert_uint_eq(rig_action_of(&r, ACT_ARRAY_MAP, 1)->array, array);
    ck_assert_uint_eq(rig_action_of(&r, ACT_ARRAY_MAP, 2)->array, array);
    ck_assert_int_eq(rig_take(&r, false, 1, 0, array, NULL), PTOOLS_OK); /* of nobody's task */
    core_array_mapped(r.core, r.now, 1, array, PTOOLS_OK, "", &r.out);
    rig_check(&r);
    m.name = TEXT("b");
    gone = rig_array(&r, r.client, &m);
    array_end(r.core, rig_the_array(&r, gone), "the test says so", &r.out);
    rig_clear(&r);
    m = rig_shape("c", 10);
    rig_array_request(&r, r.client, MSG_ARRAY_CREATE, &m);
    rig_made(&r, rig_asked(&r));
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_MAP), 0); /* not everywhere */
    core_workers_add(r.core, r.now, r.client, ++r.request, 1, &r.out);
    ck_assert_uint_eq(r.core->n_workers, 5);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_MAP), 0); /* not before it is ready */
    rig_ready(&r, 5);
    ck_assert_uint_eq(rig_action_of(&r, ACT_ARRAY_MAP, 5)->array, array);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_MAP), 1);
    rig_clear(&r);
    rig_dies(&r, 1, 9, 0);
    rig_tick(&r, 1000000);
    rig_ready(&r, 1);
    ck_assert_uint_eq(rig_action_of(&r, ACT_ARRAY_MAP, 1)->array, array);
    rig_end(&r);
}
END_TEST

START_TEST(a_worker_that_cannot_map_is_no_reason_to_end)
{
    struct msg_array m = rig_shape("a", 10);
    uint64_t array;

    setup(1);
    m.everywhere = true;
    array = rig_array(&r, r.client, &m);
    core_array_mapped(r.core, r.now, 1, array, PTOOLS_ERR_SYSTEM, "no memory", &r.out);
    rig_check(&r);
    ck_has(rig_find(&r, ACT_NOTE, 0)->text, "could not be mapped: no memory");
    ck_assert_uint_eq(rig_find(&r, ACT_NOTE, 0)->worker, 1);
    ck_assert_int_eq(rig_the_array(&r, array)->state, ARRAY_READY);
    rig_end(&r);
}
END_TEST

/* -- looking ------------------------------------------------------------------------------------------------- */

START_TEST(what_can_be_seen)
{
    struct msg_array m = rig_shape("a", 10), file = rig_shape(NULL, 10);
    const struct core_memory memory = { .read_only = true, .mapped_bytes = 10 };
    enum core_holder kind;
    struct core_array_view v;
    uint64_t array, in_file, ended;
    uint32_t id;

    setup(1);
    m.n_share = 1;
    m.share = (uint32_t[]){ 1001 };
    array = rig_array(&r, r.client, &m);
    file.file = 7;
    file.offset = 8192;
    rig_array_request(&r, r.client, MSG_ARRAY_CREATE, &file);
    in_file = rig_asked(&r);
    ck_assert_uint_eq(rig_find(&r, ACT_ARRAY_MAKE, 0)->file, 7);
    ck_assert_uint_eq(rig_find(&r, ACT_ARRAY_MAKE, 0)->offset, 8192);
    ck_assert_uint_eq(rig_find(&r, ACT_ARRAY_MAKE, 0)->client, r.client);
    core_array_made(r.core, r.now, in_file, PTOOLS_OK, "", &memory, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(shm_bytes(), 4096); /* what is in a file costs nothing */
    ended = rig_array_of(&r, NULL, 10);
    rig_runs_large(&r, ended, 10, 0, 0);
    array_end(r.core, rig_the_array(&r, ended), "the test says so", &r.out);
    rig_check(&r);

    ck_assert(core_view_array(r.core, 0, &v));
    ck_assert_uint_eq(v.id, array);
    ck_assert_uint_eq(v.n_share, 1);
    ck_assert_uint_eq(v.share[0], 1001);
    ck_assert(!v.file);
    ck_assert(core_view_array(r.core, 1, &v));
    ck_assert_uint_eq(v.id, in_file);
    ck_assert(v.file && v.read_only);
    ck_assert_uint_eq(v.offset, 8192);
    ck_assert_str_eq(v.name, "");
    ck_assert(!core_view_array(r.core, 2, &v)); /* what has ended is not shown */
    ck_assert_ptr_nonnull(rig_the_array(&r, ended));

    ck_assert(core_array_seen_by(r.core, array, 1000));
    ck_assert(core_array_seen_by(r.core, array, 1001));
    ck_assert(!core_array_seen_by(r.core, array, 1002));
    ck_assert(!core_array_seen_by(r.core, 12345, 1000));
    ck_assert(!core_view_holder(r.core, 12345, 0, &kind, &id));
    ck_assert(!core_view_holder(r.core, array, 0, &kind, &id));
    ck_assert_int_eq(rig_take(&r, true, r.client, 0, array, NULL), PTOOLS_OK);
    ck_assert(core_view_holder(r.core, array, 0, &kind, &id));
    ck_assert_int_eq(kind, HOLDER_CLIENT);
    ck_assert_uint_eq(id, r.client);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core array");
    TCase *life = suite_case(suite, "life");
    TCase *holds = suite_case(suite, "holds");

    tcase_add_test(life, from_making_to_the_end);
    tcase_add_test(life, its_client_leaves_while_it_is_made);
    tcase_add_test(life, a_name_is_free_again_at_once);
    tcase_add_test(life, names_of_64_bytes);
    tcase_add_test(life, all_memory_goes_with_the_core);
    tcase_add_test(life, a_kept_one_outlives_its_client);
    tcase_add_test(life, leases_end_in_their_order);
    tcase_add_test(life, a_lease_ends_with_its_array);
    tcase_add_test(life, what_can_be_seen);

    tcase_add_test(holds, holds_count_and_end_with_their_holder);
    tcase_add_test(holds, processes_forget_what_has_ended);
    tcase_add_test(holds, everywhere_is_every_worker);
    tcase_add_test(holds, a_worker_that_cannot_map_is_no_reason_to_end);
    return suite_run(suite);
}
