/* SPDX-License-Identifier: MIT */
#include "daemon/core/heap.h"
#include "tests/support/suite.h"

enum { N = 200 };
static struct heap heap;
static struct heap_node nodes[N];

static void check_order(void)
{
    for (size_t i = 0; i < heap.n; i++) {
        ck_assert_uint_eq(heap.v[i].node->place, i + 1);
        ck_assert(i == 0 || heap.v[(i - 1) / 2].key <= heap.v[i].key);
    }
}

START_TEST(empty_has_no_top)
{
    ck_assert_ptr_null(heap_top(&heap));
    ck_assert_uint_eq(heap_top_key(&heap), UINT64_MAX);
    heap_remove(&heap, &nodes[0]); /* in no heap: nothing happens */
    ck_assert_uint_eq(heap.n, 0);
}
END_TEST

START_TEST(smallest_comes_first)
{
    uint64_t last = 0;

    for (size_t i = 0; i < N; i++)
        ck_assert_int_eq(heap_push(&heap, &nodes[i], i * 73 % N), 0);
    check_order();
    for (size_t i = 0; i < N; i++) {
        struct heap_node *top = heap_top(&heap);

        ck_assert_uint_eq(heap_top_key(&heap), i);
        ck_assert(heap_holds(top));
        ck_assert(i == 0 || heap_top_key(&heap) > last);
        last = heap_top_key(&heap);
        heap_remove(&heap, top);
        ck_assert(!heap_holds(top));
    }
    ck_assert_uint_eq(heap.n, 0);
    heap_deinit(&heap);
}
END_TEST

START_TEST(any_can_be_taken_out)
{
    for (size_t first = 0; first < 40; first++) {
        for (size_t i = 0; i < 40; i++)
            ck_assert_int_eq(heap_push(&heap, &nodes[i], i * 17 % 40), 0);
        for (size_t i = 0; i < 40; i++) {
            heap_remove(&heap, &nodes[(first + i * 7) % 40]);
            ck_assert_uint_eq(heap.n, 39 - i);
            check_order();
        }
    }
    heap_deinit(&heap);
}
END_TEST

START_TEST(rising_keys_move_nothing)
{
    for (size_t i = 0; i < N; i++) {
        ck_assert_int_eq(heap_push(&heap, &nodes[i], i), 0);
        ck_assert_uint_eq(nodes[i].place, i + 1);
    }
    heap_deinit(&heap);
}
END_TEST

START_TEST(reserved_room_is_kept)
{
    const struct heap_entry *v;

    ck_assert_int_eq(heap_reserve(&heap, N), 0);
    v = heap.v;
    for (size_t i = 0; i < N; i++)
        ck_assert_int_eq(heap_push(&heap, &nodes[i], 5), 0);
    ck_assert_ptr_eq(heap.v, v);
    ck_assert_int_eq(heap_reserve(&heap, SIZE_MAX / 2), -12);
    ck_assert_uint_eq(heap.n, N);
    heap_deinit(&heap);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core heap");
    TCase *tc = suite_case(suite, "heap");

    tcase_add_test(tc, empty_has_no_top);
    tcase_add_test(tc, smallest_comes_first);
    tcase_add_test(tc, any_can_be_taken_out);
    tcase_add_test(tc, rising_keys_move_nothing);
    tcase_add_test(tc, reserved_room_is_kept);
    return suite_run(suite);
}
