/* SPDX-License-Identifier: MIT */
/*
 * test_bytes -- the growing buffer: its limit, its sticky errors, its memory; and the shared block.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "proto/bytes.h"
#include "tests/support/failing.h"
#include "tests/support/suite.h"

START_TEST(appends_in_order)
{
    struct bytes b;

    bytes_init(&b, 1000000);
    for (unsigned i = 0; i < 100000; i++) {
        uint8_t byte = (uint8_t)(i * 7);

        bytes_append(&b, &byte, 1);
    }
    ck_assert_int_eq(b.err, 0);
    ck_assert_uint_eq(b.n, 100000);
    for (unsigned i = 0; i < 100000; i++)
        if (b.data[i] != (uint8_t)(i * 7))
            ck_abort_msg("byte %u is %u", i, b.data[i]);
    bytes_deinit(&b);
}
END_TEST

START_TEST(grows_by_doubling)
{
    struct bytes b;

    bytes_init(&b, SIZE_MAX);
    failing_at(0);
    for (unsigned i = 0; i < 1 << 20; i++)
        bytes_append(&b, "x", 1);
    ck_assert_uint_eq(b.n, 1 << 20);
    ck_assert_uint_le(failing_count(), 20);
    failing_stop();
    bytes_deinit(&b);
}
END_TEST

START_TEST(makes_room_without_data)
{
    struct bytes b;

    bytes_init(&b, 100);
    ck_assert_int_eq(bytes_append(&b, NULL, 8), 0);
    ck_assert_uint_eq(b.n, 8);
    memset(b.data, 'a', 8);
    ck_assert_int_eq(bytes_append(&b, NULL, 0), 0);
    ck_assert_int_eq(bytes_append(&b, "", 0), 0);
    ck_assert_uint_eq(b.n, 8);
    bytes_deinit(&b);
}
END_TEST

START_TEST(room_is_not_added)
{
    struct bytes b;
    uint8_t *at;

    bytes_init(&b, 300);
    at = bytes_room(&b, 9);
    ck_assert_ptr_nonnull(at);
    ck_assert_uint_eq(b.n, 0);
    ck_assert_ptr_eq(bytes_room(&b, 9), at);
    ck_assert_int_eq(bytes_append(&b, "ab", 2), 0);
    ck_assert_ptr_eq(bytes_room(&b, 298), b.data + 2);
    ck_assert_uint_eq(b.n, 2);
    ck_assert_mem_eq(b.data, "ab", 2);
    ck_assert_ptr_null(bytes_room(&b, 299));
    ck_assert_int_eq(b.err, -EMSGSIZE);
    ck_assert_ptr_null(bytes_room(&b, 1));
    ck_assert_uint_eq(b.n, 2);
    bytes_deinit(&b);
}
END_TEST

/* Of any length, no byte more. */
START_TEST(copies_are_exact)
{
    uint8_t from[64], to[64], untouched[64];

    memset(untouched, 0xee, sizeof untouched);
    for (unsigned i = 0; i < sizeof from; i++)
        from[i] = (uint8_t)(i + 1);
    for (size_t n = 0; n <= 40; n++) {
        memcpy(to, untouched, sizeof to);
        bytes_copy(to + 8, from + 3, n);
        ck_assert_mem_eq(to + 8, from + 3, n);
        ck_assert_mem_eq(to, untouched, 8);
        ck_assert_mem_eq(to + 8 + n, untouched, sizeof to - 8 - n);
    }
}
END_TEST

START_TEST(nothing_needs_no_memory)
{
    struct bytes b;

    bytes_init(&b, 0);
    failing_at(1);
    ck_assert_int_eq(bytes_append(&b, "", 0), 0);
    ck_assert(!failing_stop());
    ck_assert_int_eq(bytes_append(&b, "x", 1), -EMSGSIZE);
    bytes_deinit(&b);
}
END_TEST

START_TEST(limit_is_exact_and_sticks)
{
    struct bytes b;

    bytes_init(&b, 10);
    ck_assert_int_eq(bytes_append(&b, "0123456789", 10), 0);
    ck_assert_uint_le(b.cap, 10);
    ck_assert_int_eq(bytes_append(&b, "x", 1), -EMSGSIZE);
    ck_assert_uint_eq(b.n, 10);
    ck_assert_int_eq(bytes_append(&b, "", 0), -EMSGSIZE); /* it sticks */
    ck_assert_int_eq(b.err, -EMSGSIZE);
    bytes_reset(&b);
    ck_assert_int_eq(b.err, 0);
    ck_assert_uint_eq(b.n, 0);
    ck_assert_int_eq(bytes_append(&b, "abc", 3), 0);
    ck_assert_mem_eq(b.data, "abc", 3);
    bytes_deinit(&b);
}
END_TEST

START_TEST(absurd_sizes_do_not_wrap)
{
    struct bytes b;

    bytes_init(&b, SIZE_MAX - 1);
    ck_assert_int_eq(bytes_append(&b, "abc", 3), 0);
    ck_assert_int_eq(bytes_append(&b, NULL, SIZE_MAX), -EMSGSIZE);
    bytes_reset(&b);
    ck_assert_int_eq(bytes_append(&b, "abc", 3), 0);
    failing_at(1); /* no machine has so much; a sanitizer would rather end the program than say so */
    ck_assert_int_eq(bytes_append(&b, NULL, SIZE_MAX - 4), -ENOMEM);
    ck_assert(failing_stop());
    ck_assert_uint_eq(b.n, 3);
    ck_assert_mem_eq(b.data, "abc", 3);
    bytes_deinit(&b);
}
END_TEST

START_TEST(no_memory_sticks)
{
    struct bytes b;
    char big[5000] = "";

    bytes_init(&b, 10000);
    ck_assert_int_eq(bytes_append(&b, "abc", 3), 0);
    failing_at(1);
    ck_assert_int_eq(bytes_append(&b, big, sizeof big), -ENOMEM);
    ck_assert(failing_stop());
    ck_assert_int_eq(bytes_append(&b, "d", 1), -ENOMEM);
    ck_assert_uint_eq(b.n, 3);
    ck_assert_mem_eq(b.data, "abc", 3);
    bytes_deinit(&b);
}
END_TEST

START_TEST(reset_keeps_memory)
{
    struct bytes b;

    bytes_init(&b, 10000);
    ck_assert_int_eq(bytes_append(&b, NULL, 5000), 0);
    bytes_reset(&b);
    failing_at(1);
    ck_assert_int_eq(bytes_append(&b, NULL, 5000), 0);
    ck_assert(!failing_stop());
    bytes_deinit(&b);
}
END_TEST

START_TEST(deinit_leaves_it_usable)
{
    struct bytes b;

    bytes_init(&b, 100);
    ck_assert_int_eq(bytes_append(&b, "abc", 3), 0);
    bytes_deinit(&b);
    bytes_deinit(&b);
    ck_assert_int_eq(bytes_append(&b, "de", 2), 0);
    ck_assert_uint_eq(b.n, 2);
    bytes_deinit(&b);
}
END_TEST

START_TEST(blob_counts_its_holders)
{
    struct blob *blob = blob_new("hello", 5);

    ck_assert_uint_eq(blob->n, 5);
    ck_assert_uint_eq(blob->refs, 1);
    ck_assert_mem_eq(blob->data, "hello", 5);
    ck_assert_ptr_eq(blob_ref(blob), blob);
    ck_assert_uint_eq(blob->refs, 2);
    ck_assert_ptr_null(blob_free(blob));
    ck_assert_uint_eq(blob->refs, 1);
    ck_assert_mem_eq(blob->data, "hello", 5);
    ck_assert_ptr_null(blob_free(blob));
    ck_assert_ptr_null(blob_free(NULL));
}
END_TEST

/* What is freed is there for the next one of about that size; many are not kept. */
START_TEST(blobs_of_batches_are_kept)
{
    struct blob *blobs[20];
    unsigned asked;

    for (size_t i = 0; i < ELEMENTS(blobs); i++) {
        blobs[i] = blob_new(NULL, 60000);
        ck_assert_ptr_nonnull(blobs[i]);
        memset(blobs[i]->data, 'x', 60000);
    }
    for (size_t i = 0; i < ELEMENTS(blobs); i++)
        blob_free(blobs[i]);
    failing_at(0);
    for (size_t i = 0; i < ELEMENTS(blobs); i++) {
        blobs[i] = blob_new("abc", 3);
        ck_assert_ptr_nonnull(blobs[i]);
    }
    asked = failing_count();
    ck_assert_uint_eq(asked, ELEMENTS(blobs)); /* small ones are nobody's */
    for (size_t i = 0; i < ELEMENTS(blobs); i++) {
        blob_free(blobs[i]);
        blobs[i] = blob_new(NULL, 59000 + i);
        ck_assert_ptr_nonnull(blobs[i]);
        ck_assert(blobs[i]->refs == 1 && blobs[i]->n == 59000 + i);
        memset(blobs[i]->data, 'y', 59000 + i);
    }
    ck_assert_uint_eq(failing_count(), asked + ELEMENTS(blobs) - 8);
    failing_stop();
    for (size_t i = 0; i < ELEMENTS(blobs); i++)
        blob_free(blobs[i]);
}
END_TEST

START_TEST(blob_of_nothing_and_of_too_much)
{
    struct blob *blob = blob_new(NULL, 0);

    ck_assert_ptr_nonnull(blob);
    ck_assert_uint_eq(blob->n, 0);
    blob_free(blob);
    ck_assert_ptr_null(blob_new(NULL, SIZE_MAX));
    failing_at(1);
    ck_assert_ptr_null(blob_new("x", 1));
    ck_assert(failing_stop());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/bytes");
    TCase *tc = suite_case(suite, "bytes");

    tcase_add_test(tc, appends_in_order);
    tcase_add_test(tc, grows_by_doubling);
    tcase_add_test(tc, makes_room_without_data);
    tcase_add_test(tc, room_is_not_added);
    tcase_add_test(tc, copies_are_exact);
    tcase_add_test(tc, nothing_needs_no_memory);
    tcase_add_test(tc, limit_is_exact_and_sticks);
    tcase_add_test(tc, absurd_sizes_do_not_wrap);
    tcase_add_test(tc, no_memory_sticks);
    tcase_add_test(tc, reset_keeps_memory);
    tcase_add_test(tc, deinit_leaves_it_usable);
    tc = suite_case(suite, "blob");
    tcase_add_test(tc, blob_counts_its_holders);
    tcase_add_test(tc, blobs_of_batches_are_kept);
    tcase_add_test(tc, blob_of_nothing_and_of_too_much);
    return suite_run(suite);
}
