/* SPDX-License-Identifier: MIT */
/*
 * test_intake -- bodies come out whole and in order, however the stream is cut, and memory is not spent
 * on sizes that are only claimed.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "proto/intake.h"
#include "tests/support/failing.h"
#include "tests/support/suite.h"

/* Offers n bytes as one read would: as many as fit. Returns how many were taken, 0 without memory. (Here and
 * below, loops that run a million times ask before they assert: Check makes a note of each assertion.) */
static size_t offer(struct intake *in, const uint8_t *data, size_t n)
{
    size_t room;
    void *space = intake_space(in, &room);

    if (!space)
        return 0;
    if (room == 0)
        ck_abort_msg("no room");
    n = MIN(n, room);
    memcpy(space, data, n);
    intake_commit(in, n);
    return n;
}

/* The records of these tests: four bytes of size, in native order, and a body of that size. */
struct reader {
    struct intake in;
    bool have_head;
    uint32_t size;
    uint8_t *at; /* where the bodies go, one after another */
    unsigned bodies, blobs;
    int err;
};

static void reader_take(struct reader *r)
{
    for (;;) {
        struct span body;

        if (!r->have_head) {
            const uint8_t *head = intake_peek(&r->in, sizeof r->size);

            if (!head)
                return;
            memcpy(&r->size, head, sizeof r->size);
            intake_drop(&r->in, sizeof r->size);
            r->have_head = true;
        }
        r->err = intake_body(&r->in, r->size, &body);
        if (r->err <= 0)
            return;
        ck_assert_uint_eq(body.n, r->size);
        ck_assert_ptr_nonnull(body.data);
        ck_assert(!!body.blob == (body.n >= INTAKE_BLOB_BYTES));
        memcpy(r->at, body.data, body.n);
        r->at += body.n;
        r->bodies++;
        r->blobs += !!body.blob;
        blob_free(body.blob);
        r->have_head = false;
    }
}

static const uint32_t sizes[] = {
    0,     1,       50, 4096, INTAKE_BLOB_BYTES - 1, INTAKE_BLOB_BYTES, 0, 3, 70000, 32000, 32767, 32768, 65536,
    65537, 3 << 20, 8,  0
};

/* A stream of one record of each size; *ret_bodies: what must come out. Both are static. */
static size_t make_stream(const uint8_t **ret_stream, const uint8_t **ret_bodies, size_t *ret_bodies_n)
{
    static uint8_t stream[8 << 20], bodies[8 << 20];
    size_t n = 0, b = 0;

    for (size_t i = 0; i < ELEMENTS(sizes); i++) {
        memcpy(stream + n, &sizes[i], sizeof sizes[i]);
        n += sizeof sizes[i];
        for (size_t k = 0; k < sizes[i]; k++)
            stream[n++] = bodies[b++] = (uint8_t)(i * 13 + k * 7 + k / 251);
    }
    *ret_stream = stream;
    *ret_bodies = bodies;
    *ret_bodies_n = b;
    return n;
}

START_TEST(bodies_come_out_whole_for_any_step)
{
    static const size_t steps[] = { 1, 2, 3, 5, 1000, 4099, 32768, 65535, 65536, 100000, 8 << 20 };
    static uint8_t got[8 << 20];
    const uint8_t *stream, *bodies;
    size_t bodies_n, n = make_stream(&stream, &bodies, &bodies_n);

    for (size_t s = 0; s < ELEMENTS(steps); s++) {
        struct reader r = { .at = got };
        size_t at = 0;

        intake_init(&r.in);
        while (at < n) {
            at += offer(&r.in, stream + at, MIN(steps[s], n - at));
            reader_take(&r);
            if (r.err < 0)
                ck_abort_msg("error %d", r.err);
        }
        ck_assert_uint_eq(r.bodies, ELEMENTS(sizes));
        ck_assert_uint_eq(r.blobs, 6);
        ck_assert_uint_eq(r.at - got, bodies_n);
        ck_assert_mem_eq(got, bodies, bodies_n);
        ck_assert_uint_eq(intake_pending(&r.in), 0);
        intake_deinit(&r.in);
    }
}
END_TEST

START_TEST(small_bodies_are_looks_into_the_buffer)
{
    struct intake in;
    struct span first, second;

    intake_init(&in);
    ck_assert_uint_eq(offer(&in, (const uint8_t *)"headbodymore", 12), 12);
    failing_at(1);
    ck_assert_mem_eq(intake_peek(&in, 4), "head", 4);
    intake_drop(&in, 4);
    ck_assert_int_eq(intake_body(&in, 4, &first), 1);
    ck_assert_int_eq(intake_body(&in, 4, &second), 1);
    ck_assert(!failing_stop());
    ck_assert_mem_eq(first.data, "body", 4); /* still there: nothing moves before the next intake_space() */
    ck_assert_mem_eq(second.data, "more", 4);
    ck_assert_ptr_eq(second.data, first.data + 4);
    ck_assert_uint_eq(intake_pending(&in), 0);
    intake_deinit(&in);
}
END_TEST

START_TEST(empty_intake_has_nothing)
{
    struct intake in;
    struct span body = { .n = 77 };

    intake_init(&in);
    ck_assert_ptr_null(intake_peek(&in, 1));
    ck_assert_int_eq(intake_body(&in, 1, &body), 0);
    ck_assert_uint_eq(body.n, 77); /* untouched */
    ck_assert_uint_eq(intake_pending(&in), 0);
    ck_assert_int_eq(intake_body(&in, 0, &body), 1);
    ck_assert_uint_eq(body.n, 0);
    ck_assert_ptr_nonnull(body.data);
    intake_deinit(&in);
    intake_deinit(&in);
}
END_TEST

START_TEST(peek_waits_for_all_of_it)
{
    static uint8_t data[INTAKE_PEEK_MAX];
    struct intake in;

    memset(data, 'p', sizeof data);
    intake_init(&in);
    ck_assert_uint_eq(offer(&in, data, INTAKE_PEEK_MAX - 1), INTAKE_PEEK_MAX - 1);
    ck_assert_ptr_null(intake_peek(&in, INTAKE_PEEK_MAX));
    ck_assert_uint_eq(intake_pending(&in), INTAKE_PEEK_MAX - 1);
    ck_assert_uint_eq(offer(&in, data, 1), 1);
    ck_assert_mem_eq(intake_peek(&in, INTAKE_PEEK_MAX), data, INTAKE_PEEK_MAX);
    ck_assert_uint_eq(intake_pending(&in), INTAKE_PEEK_MAX); /* looking takes nothing */
    intake_deinit(&in);
}
END_TEST

START_TEST(claimed_size_costs_no_memory)
{
    static uint8_t data[INTAKE_BUFFER_BYTES];
    const size_t claimed = (size_t)1 << 40;
    struct intake in;
    struct span body;
    size_t came = 0;

    intake_init(&in);
    failing_at(0);
    came += offer(&in, data, 10);
    ck_assert_int_eq(intake_body(&in, claimed, &body), 0);
    ck_assert_uint_le(failing_largest(), INTAKE_CLAIM_BYTES + 100);
    while (came < 8 * INTAKE_CLAIM_BYTES) {
        came += offer(&in, data, sizeof data);
        ck_assert_int_eq(intake_body(&in, claimed, &body), 0);
        ck_assert_uint_le(failing_largest(), MAX((size_t)INTAKE_CLAIM_BYTES, 2 * came) + 100);
        ck_assert_uint_eq(intake_pending(&in), came);
    }
    ck_assert_uint_le(failing_count(), 6); /* doubling, not creeping */
    failing_stop();
    intake_deinit(&in);
}
END_TEST

START_TEST(impossible_size_is_no_memory)
{
    struct intake in;
    struct span body;

    intake_init(&in);
    ck_assert_int_eq(intake_body(&in, SIZE_MAX, &body), -ENOMEM);
    ck_assert_int_eq(intake_body(&in, SIZE_MAX - sizeof(struct blob) + 1, &body), -ENOMEM);
    ck_assert_uint_eq(intake_pending(&in), 0);
    intake_deinit(&in);
}
END_TEST

START_TEST(large_body_is_read_into_its_blob)
{
    static uint8_t data[200000];
    struct intake in;
    struct span body;
    size_t room, at;
    void *space;

    memset(data, 'd', sizeof data);
    intake_init(&in);
    at = offer(&in, data, 1000);
    ck_assert_int_eq(intake_body(&in, 100000, &body), 0);
    space = intake_space(&in, &room);
    ck_assert_uint_eq(room, 99000); /* no byte that belongs to the next record */
    memcpy(space, data, room);
    intake_commit(&in, room);
    at += room;

    /* what follows may come before the body is taken */
    ck_assert_uint_eq(offer(&in, (const uint8_t *)"next", 4), 4);
    ck_assert_uint_eq(intake_pending(&in), at + 4);
    ck_assert_int_eq(intake_body(&in, 100000, &body), 1);
    ck_assert_ptr_eq(body.data, body.blob->data);
    ck_assert_uint_eq(body.blob->n, 100000);
    ck_assert_uint_eq(body.blob->refs, 1);
    ck_assert_mem_eq(body.data, data, 100000);
    ck_assert_mem_eq(intake_peek(&in, 4), "next", 4);
    blob_free(body.blob);
    intake_deinit(&in);
}
END_TEST

START_TEST(half_a_body_is_freed)
{
    static uint8_t data[50000];
    struct intake in;
    struct span body;

    intake_init(&in);
    ck_assert_uint_eq(offer(&in, data, sizeof data), sizeof data);
    ck_assert_int_eq(intake_body(&in, 60000, &body), 0);
    intake_deinit(&in); /* a sanitizer tells if not */
    ck_assert_uint_eq(intake_pending(&in), 0);
}
END_TEST

START_TEST(each_allocation_fails_once)
{
    static uint8_t got[8 << 20];
    const uint8_t *stream, *bodies;
    size_t bodies_n, n = make_stream(&stream, &bodies, &bodies_n);
    bool failed = true;

    /* No failure loses a byte: the same is asked again, and works. */
    for (unsigned nth = 1; failed; nth++) {
        struct reader r = { .at = got };
        size_t at = 0, took;
        unsigned refused = 0;

        intake_init(&r.in);
        failing_at(nth);
        while (at < n) {
            took = offer(&r.in, stream + at, MIN((size_t)50000, n - at));
            refused += took == 0;
            at += took;
            reader_take(&r);
            if (r.err < 0) {
                ck_assert_int_eq(r.err, -ENOMEM);
                refused++;
                reader_take(&r);
            }
        }
        failed = failing_stop();
        ck_assert_uint_eq(refused, failed);
        ck_assert_uint_eq(r.at - got, bodies_n);
        ck_assert_mem_eq(got, bodies, bodies_n);
        intake_deinit(&r.in);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/intake");
    TCase *tc = suite_case(suite, "intake");

    tcase_add_test(tc, bodies_come_out_whole_for_any_step);
    tcase_add_test(tc, small_bodies_are_looks_into_the_buffer);
    tcase_add_test(tc, empty_intake_has_nothing);
    tcase_add_test(tc, peek_waits_for_all_of_it);
    tcase_add_test(tc, claimed_size_costs_no_memory);
    tcase_add_test(tc, impossible_size_is_no_memory);
    tcase_add_test(tc, large_body_is_read_into_its_blob);
    tcase_add_test(tc, half_a_body_is_freed);
    tcase_add_test(tc, each_allocation_fails_once);
    return suite_run(suite);
}
