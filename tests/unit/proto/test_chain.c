/* SPDX-License-Identifier: MIT */
/*
 * test_chain -- bytes leave in the order they came, however they are cut; large blobs are held, not copied.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "proto/chain.h"
#include "tests/support/failing.h"
#include "tests/support/suite.h"

enum { IOV = 4 };

/* Takes n bytes from the front, as a socket that accepts at most step at a time would. (It asks before it
 * asserts: Check makes a note of each assertion.) */
static void drain(struct chain *c, uint8_t *to, size_t n, size_t step)
{
    while (n > 0) {
        struct iovec iov[IOV];
        int entries = chain_peek(c, iov, IOV);
        size_t left = MIN(step, n), took = 0;

        if (entries <= 0)
            ck_abort_msg("%zu bytes wait, but none can be seen", c->n);
        for (int i = 0; i < entries && left > 0; i++) {
            size_t here = MIN(left, iov[i].iov_len);

            if (iov[i].iov_len == 0)
                ck_abort_msg("an empty entry");
            memcpy(to, iov[i].iov_base, here);
            to += here;
            took += here;
            left -= here;
        }
        chain_consume(c, took);
        n -= took;
    }
}

static void fill(uint8_t *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(seed + i * 31);
}

/* Blocks, blobs (whole and from an offset), headers and large copies, in turn. */
static size_t add_mix(struct chain *c, uint8_t *expected, int *ret_err)
{
    size_t n = 0;

    *ret_err = 0;
    for (unsigned i = 0; i < 60 && *ret_err == 0; i++) {
        size_t size = i % 10 == 9 ? 40000 : i % 10 == 4 ? CHAIN_COPY_BYTES : 1 + i * 37;
        size_t from = i % 3 == 2 ? 100 : 0;
        struct blob *blob = NULL;
        uint8_t *at = NULL;

        fill(expected + n, size, i);
        switch (i % 3) {
        case 0:
            *ret_err = chain_append(c, expected + n, size);
            break;
        case 1:
            at = chain_extend(c, size);
            if (!at)
                *ret_err = -ENOMEM;
            else
                memcpy(at, expected + n, size);
            break;
        case 2:
            blob = blob_new(NULL, size + from);
            if (!blob) {
                *ret_err = -ENOMEM;
                break;
            }
            memcpy(blob->data + from, expected + n, size);
            *ret_err = chain_append_blob(c, blob, from);
            blob_free(blob);
            break;
        }
        if (*ret_err == 0)
            n += size;
    }
    return n;
}

START_TEST(keeps_order_however_it_is_drained)
{
    static const size_t steps[] = { 1, 7, 100, 4096, 16384, 100000, 10000000 };
    static uint8_t expected[2000000], got[2000000];

    for (size_t s = 0; s < ELEMENTS(steps); s++) {
        struct chain c;
        int err;
        size_t n;

        chain_init(&c);
        n = add_mix(&c, expected, &err);
        ck_assert_int_eq(err, 0);
        ck_assert_uint_eq(c.n, n);
        drain(&c, got, n, steps[s]);
        ck_assert_mem_eq(got, expected, n);
        ck_assert_uint_eq(c.n, 0);
        ck_assert_int_eq(chain_peek(&c, &(struct iovec){ 0 }, 1), 0);
        chain_deinit(&c);
    }
}
END_TEST

START_TEST(appends_between_sends)
{
    struct chain c;
    uint8_t sent[3000], got[3000];
    size_t in = 0, out = 0;

    fill(sent, sizeof sent, 3);
    chain_init(&c);
    while (out < sizeof sent) {
        size_t add = MIN((size_t)70, sizeof sent - in);

        ck_assert_int_eq(chain_append(&c, sent + in, add), 0);
        in += add;
        add = MIN((size_t)40 + out % 3 * 20, c.n);
        drain(&c, got + out, add, 33);
        out += add;
        ck_assert_uint_eq(c.n, in - out);
    }
    ck_assert_mem_eq(got, sent, sizeof sent);
    chain_deinit(&c);
}
END_TEST

START_TEST(large_blob_is_held_not_copied)
{
    struct blob *blob = blob_new(NULL, CHAIN_COPY_BYTES + 10);
    struct chain c;
    struct iovec iov[2];

    memset(blob->data, 'b', blob->n);
    chain_init(&c);
    ck_assert_int_eq(chain_append_blob(&c, blob, 10), 0);
    ck_assert_uint_eq(blob->refs, 2);
    ck_assert_int_eq(chain_append(&c, "tail", 4), 0);
    ck_assert_int_eq(chain_peek(&c, iov, 2), 2);
    ck_assert_ptr_eq(iov[0].iov_base, blob->data + 10);
    ck_assert_uint_eq(iov[0].iov_len, CHAIN_COPY_BYTES);
    ck_assert_mem_eq(iov[1].iov_base, "tail", 4);
    chain_consume(&c, CHAIN_COPY_BYTES - 1);
    ck_assert_uint_eq(blob->refs, 2);
    chain_consume(&c, 1);
    ck_assert_uint_eq(blob->refs, 1);
    ck_assert_uint_eq(c.n, 4);

    ck_assert_int_eq(chain_append_blob(&c, blob, 0), 0);
    chain_deinit(&c);
    ck_assert_uint_eq(blob->refs, 1);
    blob_free(blob);
}
END_TEST

START_TEST(small_blob_is_copied)
{
    struct blob *blob = blob_new(NULL, CHAIN_COPY_BYTES);
    struct chain c;

    memset(blob->data, 'b', blob->n);
    chain_init(&c);
    ck_assert_int_eq(chain_append_blob(&c, blob, 1), 0);
    ck_assert_uint_eq(blob->refs, 1);
    ck_assert_uint_eq(c.n, CHAIN_COPY_BYTES - 1);
    ck_assert_int_eq(chain_append_blob(&c, blob, blob->n), 0);
    ck_assert_uint_eq(c.n, CHAIN_COPY_BYTES - 1);
    blob_free(blob);
    chain_deinit(&c);
}
END_TEST

START_TEST(truncate_takes_back_to_any_length)
{
    static uint8_t expected[2000000], got[2000000];
    size_t all = 1;

    for (size_t keep = 0; keep < all; keep += 1 + keep / 3) {
        struct chain c;
        int err;

        chain_init(&c);
        all = add_mix(&c, expected, &err);
        ck_assert_int_eq(err, 0);
        chain_truncate(&c, keep);
        ck_assert_uint_eq(c.n, keep);
        ck_assert_int_eq(chain_append(&c, "after", 5), 0);
        memcpy(expected + keep, "after", 5);
        drain(&c, got, keep + 5, 5000);
        ck_assert_mem_eq(got, expected, keep + 5);
        ck_assert_uint_eq(c.n, 0);
        chain_deinit(&c);
    }
}
END_TEST

START_TEST(truncate_never_writes_into_a_blob)
{
    struct blob *blob = blob_new(NULL, 20000);
    struct chain c;

    memset(blob->data, 'b', blob->n);
    chain_init(&c);
    ck_assert_int_eq(chain_append_blob(&c, blob, 0), 0);
    chain_truncate(&c, 10000);
    ck_assert_int_eq(chain_append(&c, "xxxx", 4), 0);
    ck_assert_uint_eq(blob->data[10000], 'b');
    ck_assert_uint_eq(c.n, 10004);
    chain_deinit(&c);
    blob_free(blob);
}
END_TEST

START_TEST(one_block_serves_a_conversation)
{
    struct chain c;
    uint8_t line[100] = "", got[100];

    chain_init(&c);
    ck_assert_int_eq(chain_append(&c, line, sizeof line), 0);
    drain(&c, got, sizeof line, 100);
    failing_at(1);
    for (unsigned i = 0; i < 10000; i++) {
        ck_assert_int_eq(chain_append(&c, line, sizeof line), 0);
        drain(&c, got, sizeof line, 100);
    }
    ck_assert(!failing_stop());
    chain_deinit(&c);
}
END_TEST

START_TEST(small_pieces_share_blocks)
{
    struct chain c;
    struct iovec iov[IOV];

    chain_init(&c);
    failing_at(0);
    for (unsigned i = 0; i < 100; i++)
        ck_assert_int_eq(chain_append(&c, "0123456789", 10), 0);
    ck_assert_uint_eq(failing_count(), 1);
    ck_assert_int_eq(chain_peek(&c, iov, IOV), 1);
    ck_assert_uint_eq(iov[0].iov_len, 1000);
    chain_deinit(&c);
}
END_TEST

START_TEST(each_allocation_fails_once)
{
    static uint8_t expected[2000000], got[2000000];

    for (unsigned nth = 1;; nth++) {
        struct chain c;
        bool failed;
        int err;
        size_t n;

        chain_init(&c);
        failing_at(nth);
        n = add_mix(&c, expected, &err);
        failed = failing_stop();
        ck_assert_int_eq(err, failed ? -ENOMEM : 0);
        ck_assert_uint_eq(c.n, n); /* what failed is not there, not even in part */
        drain(&c, got, n, 100000);
        ck_assert_mem_eq(got, expected, n);
        chain_deinit(&c);
        if (!failed)
            break;
    }
}
END_TEST

START_TEST(absurd_sizes_are_refused)
{
    struct chain c;

    chain_init(&c);
    ck_assert_ptr_null(chain_extend(&c, SIZE_MAX));
    ck_assert_ptr_null(chain_extend(&c, SIZE_MAX - 8));
    ck_assert_uint_eq(c.n, 0);
    ck_assert_int_eq(chain_append(&c, NULL, 0), 0);
    ck_assert_int_eq(chain_peek(&c, &(struct iovec){ 0 }, 1), 0);
    chain_deinit(&c);
    chain_deinit(&c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/chain");
    TCase *tc = suite_case(suite, "chain");

    tcase_add_test(tc, keeps_order_however_it_is_drained);
    tcase_add_test(tc, appends_between_sends);
    tcase_add_test(tc, large_blob_is_held_not_copied);
    tcase_add_test(tc, small_blob_is_copied);
    tcase_add_test(tc, truncate_takes_back_to_any_length);
    tcase_add_test(tc, truncate_never_writes_into_a_blob);
    tcase_add_test(tc, one_block_serves_a_conversation);
    tcase_add_test(tc, small_pieces_share_blocks);
    tcase_add_test(tc, each_allocation_fails_once);
    tcase_add_test(tc, absurd_sizes_are_refused);
    return suite_run(suite);
}
