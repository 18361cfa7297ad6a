/* SPDX-License-Identifier: MIT */
/*
 * What maps capture: one segment for all maps of a handle over the same content, whether at once or one after the
 * other; few that nobody uses; none that stands in the way of an array, or outlives its handle.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/integration/pmap_rig.h"

enum { ITEMS = 20, KEPT = 8, MIB = 1 << 20 };

static uint64_t arrays(void)
{
    return server_status(pt, NULL, "arrays");
}

/* Waits: what is unlinked goes when the workers have let go of it. */
static void arrays_become(uint64_t n)
{
    for (uint64_t until = now_ms() + WAIT_MS; arrays() != n;)
        ck_assert_msg(now_ms() < until, "%d arrays, not %d", (int)arrays(), (int)n);
}

/* Bytes, of which the last says so. */
static ptools_pack *content(size_t n, char last)
{
    ptools_pack *pack = ptools_pack_new();
    char *data = calloc(1, n);

    data[n - 1] = last;
    ptools_pack_bytes(pack, data, n);
    free(data);
    return pack;
}

/* The number of the only array there is, which each worker and this handle have mapped. */
static uint64_t only_array(void)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value v, array, field;
    uint64_t id = 0;
    uint32_t n = 0;

    ck_assert_ptools(ptools_inspect(pt, "arrays", &f, &v));
    ck_assert_int_eq(ptools_get_count(v, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(ptools_get_item(v, 0, &array), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_field(array, "id", &field), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_u64(field, &id), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_field(array, "mapped_by", &field), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_count(field, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 1 + 2);
    return id;
}

static void map_over(ptools_pack *take_content, size_t bytes)
{
    ptools_pmap *map;

    options.captured = take_content;
    map = start("i.length");
    for (int64_t i = 0; i < ITEMS; i++)
        next_is(map, i, (int64_t)bytes);
    ends(map);
    ptools_pack_free(take_content);
}

static void begin(void)
{
    up(2);
    numbers(1, ITEMS);
    options.batch_size = 1;
}

/* Not the same pack, nor the same kind of map: the same content. */
START_TEST(maps_over_the_same_have_one_segment)
{
    PTOOLS_AUTO(ptools_pack) again = content(MIB, 'a');
    ptools_pmap *map, *beside;
    uint64_t id;

    begin();
    map_over(content(MIB, 'a'), MIB);
    id = only_array();
    map_over(content(MIB, 'a'), MIB);
    ck_assert_uint_eq(only_array(), id);
    options.captured = again;
    map = start("i.length");
    beside = start("i.length");
    for (int64_t i = 0; i < ITEMS; i++) {
        next_is(map, i, MIB);
        next_is(beside, i, MIB);
    }
    ends(map);
    ck_assert_uint_eq(only_array(), id);
    ends(beside);
    ck_assert_ptools(reduce_list("i.length", "p.add"));
    ck_assert_int_eq(reduced_number(), (int64_t)ITEMS * MIB);
    ck_assert_uint_eq(only_array(), id);
    ck_assert_ptools(ptools_pmap_forget(pt));
    arrays_become(0);
    down();
}
END_TEST

START_TEST(a_byte_makes_another)
{
    begin();
    map_over(content(MIB, 'a'), MIB);
    map_over(content(MIB, 'b'), MIB);
    map_over(content(MIB - 1, 'a'), MIB - 1);
    ck_assert_uint_eq(arrays(), 3);
    down();
}
END_TEST

/* A function that writes to it, which it must not, changes nothing for a map that begins after it. */
START_TEST(what_was_written_to_is_not_taken_again)
{
    begin();
    map_over(content(64, 'a'), 64);
    options.captured = content(64, 'a');
    run_all("i.scribbles");
    ptools_pack_free((ptools_pack *)(uintptr_t)options.captured);
    map_over(content(64, 'a'), 64);
    ck_assert_uint_eq(arrays(), 2);
    down();
}
END_TEST

START_TEST(the_last_few_are_kept)
{
    begin();
    for (int i = 0; i < KEPT + 4; i++)
        map_over(content(100, (char)('a' + i)), 100);
    arrays_become(KEPT);
    map_over(content(100, 'a' + 4), 100); /* the oldest of them, which is the last used now */
    arrays_become(KEPT);
    ck_assert_ptools(ptools_pmap_forget(pt));
    arrays_become(0);
    for (int i = 0; i < 3; i++)
        map_over(content(30 * MIB, (char)('a' + i)), 30 * MIB);
    arrays_become(2); /* more are over 64 MiB */
    down();
}
END_TEST

START_TEST(what_is_in_use_stays)
{
    PTOOLS_AUTO(ptools_pack) used = content(MIB, 'a');
    ptools_pmap *map;

    begin();
    options.captured = used;
    map = start("i.length");
    next_is(map, 0, MIB);
    map_over(content(MIB, 'b'), MIB);
    ck_assert_ptools(ptools_pmap_forget(pt));
    arrays_become(1);
    for (int64_t i = 1; i < ITEMS; i++)
        next_is(map, i, MIB);
    ends(map);
    down();
}
END_TEST

START_TEST(it_makes_room_for_arrays)
{
    static const char *const args[] = { "-o", "limits.user_shm_max=40M", NULL };
    ptools_array *array;

    up_with(2, args);
    numbers(1, ITEMS);
    map_over(content(30 * MIB, 'a'), 30 * MIB);
    array = array_of("large", PTOOLS_UINT8, 30 * MIB);
    ck_assert_ptools(ptools_unlink_shm_names(pt, (const char *const[]){ "large" }, 1, NULL));
    ptools_array_free(array);
    map_over(content(30 * MIB, 'b'), 30 * MIB); /* and for another of its kind */
    map_over(content(30 * MIB, 'c'), 30 * MIB);
    down();
}
END_TEST

START_TEST(it_ends_with_its_handle)
{
    ptools *first;

    begin();
    first = pt;
    pt = server_open(&server);
    map_over(content(MIB, 'a'), MIB);
    ck_assert_uint_eq(arrays(), 1);
    ptools_close(pt);
    pt = first;
    arrays_become(0);
    down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pmap-captured");
    TCase *tc = suite_case(suite, "captured");

    tcase_add_test(tc, maps_over_the_same_have_one_segment);
    tcase_add_test(tc, a_byte_makes_another);
    tcase_add_test(tc, what_was_written_to_is_not_taken_again);
    tcase_add_test(tc, the_last_few_are_kept);
    tcase_add_test(tc, what_is_in_use_stays);
    tcase_add_test(tc, it_makes_room_for_arrays);
    tcase_add_test(tc, it_ends_with_its_handle);
    return suite_run(suite);
}
