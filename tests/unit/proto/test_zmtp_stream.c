/* SPDX-License-Identifier: MIT */
/*
 * test_zmtp_stream -- what comes out of a stream does not depend on how it was cut, costs no memory where
 * it needs none, and none is lost or half queued when memory ends.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "tests/support/failing.h"
#include "tests/support/suite.h"
#include "tests/unit/proto/zmtp_end.h"

/* -- streams in pieces ---------------------------------------------------------------------------- */

/* A conversation with everything in it, as it would come to a server. large: with bodies that become blobs. */
static size_t make_stream(uint8_t *p, size_t cap, bool large)
{
    static const size_t sizes[][4] = { { 60, 20 }, { 0 },          { 1, 0, 3 }, { 300, 1, 300, 2 }, { 255, 256 },
                                       { 5 },      { 0, 0, 0, 0 }, { 40, 70 },  { 1000 },           { 3, 4, 5, 6 } };
    static const size_t large_sizes[][4] = { { 60, 40000 }, { 32767, 32767, 32767, 32767 }, { 70000, 3 },
                                             { 32768 },     { 1, 65536, 0, 32768 },         { 100, 50 } };
    const size_t(*s)[4] = large ? large_sizes : sizes;
    size_t count = large ? ELEMENTS(large_sizes) : ELEMENTS(sizes), n = 0;
    struct end c;

    end_open(&c, ZMTP_CLIENT, 1 << 20, LITERAL(READY_ROUTER));
    ck_assert_int_eq(chain_append(&c.out, GREETING READY_DEALER, sizeof GREETING READY_DEALER - 1), 0);
    for (size_t i = 0; i < count; i++) {
        struct span frames[4];
        unsigned used = 4;
        static uint8_t body[4][70000];

        while (used > 1 && s[i][used - 1] == 0 && i != 6)
            used--;
        for (unsigned k = 0; k < used; k++) {
            for (size_t b = 0; b < s[i][k]; b++)
                body[k][b] = (uint8_t)(i * 11 + k * 5 + b * 3 + b / 256);
            frames[k] = (struct span){ body[k], s[i][k], NULL };
        }
        ck_assert_int_eq(zmtp_send(&c.z, &c.out, frames, used), 0);
        if (i % 3 == 1)
            ck_assert_int_eq(chain_append(&c.out, "\4\x09\4PING\0\1ab", 11), 0);
    }
    while (c.out.n > 0) {
        struct iovec iov;

        chain_peek(&c.out, &iov, 1);
        ck_assert_uint_le(iov.iov_len, cap - n);
        memcpy(p + n, iov.iov_base, iov.iov_len);
        n += iov.iov_len;
        chain_consume(&c.out, iov.iov_len);
    }
    end_deinit(&c);
    return n;
}

static uint8_t stream[1 << 20];

/* Reads stream[0..n) with a cut at each of these places, and compares with what came out uncut. */
static void assert_same(const struct end *whole, size_t n, const size_t *cuts, size_t cuts_n, size_t step)
{
    struct end s;
    size_t at = 0;

    end_init(&s, ZMTP_SERVER, 1 << 20);
    for (size_t i = 0; i < cuts_n; i++) {
        ck_assert_int_eq(end_feed(&s, stream + at, cuts[i] - at, step), ZMTP_NEED_MORE);
        at = cuts[i];
    }
    ck_assert_int_eq(end_feed(&s, stream + at, n - at, step), ZMTP_NEED_MORE);
    ck_assert_uint_eq(s.messages, whole->messages);
    ck_assert_uint_eq(s.story.n, whole->story.n);
    ck_assert_mem_eq(s.story.data, whole->story.data, whole->story.n);
    ck_assert_uint_eq(s.out.n, whole->out.n);
    ck_assert(!zmtp_midway(&s.z, &s.in));
    end_deinit(&s);
}

START_TEST(every_cut_gives_the_same)
{
    size_t n = make_stream(stream, sizeof stream, false);
    struct end whole;

    end_init(&whole, ZMTP_SERVER, 1 << 20);
    ck_assert_int_eq(end_feed(&whole, stream, n, n), ZMTP_NEED_MORE);
    ck_assert_uint_eq(whole.messages, 10);
    for (size_t cut = 0; cut <= n; cut++)
        assert_same(&whole, n, &cut, 1, SIZE_MAX);
    for (size_t cut = 0; cut < n; cut++)
        assert_same(&whole, n, (const size_t[]){ cut, cut + 1 }, 2, SIZE_MAX);
    for (size_t step = 1; step < 600; step++)
        assert_same(&whole, n, NULL, 0, step);
    end_deinit(&whole);
}
END_TEST

START_TEST(every_cut_gives_the_same_for_large_bodies)
{
    size_t n = make_stream(stream, sizeof stream, true);
    struct end whole;

    end_init(&whole, ZMTP_SERVER, 1 << 20);
    ck_assert_int_eq(end_feed(&whole, stream, n, n), ZMTP_NEED_MORE);
    ck_assert_uint_eq(whole.messages, 6);
    for (size_t cut = 0; cut <= n; cut += cut < 400 ? 1 : 997)
        assert_same(&whole, n, &cut, 1, SIZE_MAX);
    for (size_t step = 1; step < n; step += 1 + step * 2)
        assert_same(&whole, n, NULL, 0, step);
    end_deinit(&whole);
}
END_TEST

START_TEST(small_messages_cost_no_memory)
{
    enum { MESSAGES = 700 };
    uint8_t message[2 + 60 + 2 + 20] = "\1\x3c";
    struct end s;
    size_t n = 0;

    memcpy(message + 62, "\0\x14", 2);
    for (unsigned i = 0; i < MESSAGES; i++, n += sizeof message)
        memcpy(stream + n, message, sizeof message);
    end_open(&s, ZMTP_SERVER, 1 << 20, LITERAL(READY_DEALER));
    ck_assert_int_eq(bytes_append(&s.story, NULL, 1 << 20), 0);
    bytes_reset(&s.story);

    failing_at(0);
    ck_assert_uint_eq(end_read(&s, stream, n), n);
    ck_assert_int_eq(end_take(&s), ZMTP_NEED_MORE);
    ck_assert_uint_eq(s.messages, MESSAGES);
    ck_assert_uint_eq(failing_count(), 0);

    /* one that a read cuts costs what came of it */
    ck_assert_uint_eq(end_read(&s, stream, 70), 70);
    ck_assert_int_eq(end_take(&s), ZMTP_NEED_MORE);
    ck_assert_uint_eq(failing_count(), 1);
    ck_assert_uint_eq(failing_largest(), sizeof(struct blob) + 60);
    ck_assert_uint_eq(end_read(&s, stream + 70, n - 70), n - 70);
    ck_assert_int_eq(end_take(&s), ZMTP_NEED_MORE);
    ck_assert_uint_eq(s.messages, 2 * MESSAGES);
    ck_assert_uint_eq(failing_count(), 1);
    failing_stop();
    end_deinit(&s);
}
END_TEST

START_TEST(claimed_size_costs_no_memory)
{
    struct end s;

    end_open(&s, ZMTP_SERVER, (uint64_t)1 << 40, LITERAL(READY_DEALER));
    failing_at(0);
    ck_assert_int_eq(end_feed(&s, LITERAL("\2\0\0\1\0\0\0\0\0abc"), 100), ZMTP_NEED_MORE);
    ck_assert_uint_le(failing_largest(), INTAKE_CLAIM_BYTES + sizeof(struct blob));
    failing_stop();
    end_deinit(&s);
}
END_TEST

/* -- without memory -------------------------------------------------------------------------------- */

/* Both ends, messages of all kinds both ways, some cut. Ends early where memory ends. */
static void converse(struct end *c, struct end *s)
{
    struct blob *blob = blob_new(NULL, 100000);

    end_init(s, ZMTP_SERVER, 1 << 20);
    end_init(c, ZMTP_CLIENT, 1 << 20);
    if (!blob)
        c->no_memory = true;
    else
        memset(blob->data, 'b', blob->n);
    for (unsigned round = 0; round < 4 && !c->no_memory && !s->no_memory; round++) {
        end_flush(c, s);
        if (c->no_memory || s->no_memory)
            break;
        end_flush(s, c);
        if (c->no_memory || s->no_memory)
            break;
        for (unsigned side = 0; side < 2; side++) {
            struct end *e = side ? c : s;
            size_t before = e->out.n;
            uint32_t refs = blob->refs;
            struct span frames[3] = { { blob->data, 100, NULL },
                                      { blob->data, blob->n, blob },
                                      { blob->data, 9, NULL } };

            if (zmtp_send(&e->z, &e->out, frames, 3) < 0) {
                ck_assert_uint_eq(e->out.n, before);
                ck_assert_uint_eq(blob->refs, refs);
                e->no_memory = true;
                break;
            }
        }
        if (!c->no_memory && !s->no_memory && chain_append(&c->out, "\4\7\4PING\0\0\1\5hello", 16) < 0)
            c->no_memory = true;
        end_flush(c, s); /* a message that stays cut for now */
        if (!c->no_memory && !s->no_memory && chain_append(&c->out, "\0\5world", 7) < 0)
            c->no_memory = true;
    }
    blob_free(blob);
}

START_TEST(each_allocation_fails_once)
{
    bool failed = true;
    unsigned nth;

    for (nth = 1; failed; nth++) {
        struct end c, s;

        failing_at(nth);
        converse(&c, &s);
        failed = failing_stop();
        ck_assert_int_eq(c.no_memory || s.no_memory, failed);
        if (s.z.state == ZMTP_FAILED)
            ck_assert_str_eq(zmtp_problem(&s.z), "out of memory");
        if (!failed) {
            ck_assert_uint_eq(s.messages, 4 + 3);
            ck_assert_uint_eq(c.messages, 3);
        }
        end_deinit(&c);
        end_deinit(&s);
    }
    ck_assert_uint_gt(nth, 10);
}
END_TEST

/* The answer to these bytes is the first that needs memory, for some fill of the block before it. */
static void assert_fails_somewhere(const uint8_t *first, size_t first_n, const uint8_t *then, size_t then_n)
{
    static const uint8_t fill[CHAIN_COPY_BYTES];
    unsigned failures = 0;

    for (size_t n = sizeof fill - 200; n < sizeof fill; n++) {
        struct end s;
        enum zmtp_event event;

        end_init(&s, ZMTP_SERVER, 1000);
        ck_assert_int_eq(end_feed(&s, first, first_n, SIZE_MAX), ZMTP_NEED_MORE);
        chain_consume(&s.out, s.out.n);
        ck_assert_int_eq(chain_append(&s.out, fill, n), 0);
        ck_assert_int_eq(bytes_append(&s.story, "story", 5), 0);
        failing_at(1);
        event = end_feed(&s, then, then_n, SIZE_MAX);
        if (failing_stop()) {
            failures++;
            ck_assert_int_eq(event, ZMTP_ERROR);
            ck_assert_int_eq(s.z.error, ZMTP_NO_MEMORY);
            ck_assert_uint_eq(s.out.n, n);
        } else {
            ck_assert_int_eq(event, ZMTP_NEED_MORE);
            ck_assert_uint_gt(s.out.n, n);
        }
        end_deinit(&s);
    }
    ck_assert_uint_gt(failures, 0);
    ck_assert_uint_lt(failures, 200);
}

START_TEST(answers_that_find_no_memory)
{
    assert_fails_somewhere(LITERAL(GREETING), LITERAL(READY_DEALER));
    assert_fails_somewhere(LITERAL(GREETING READY_DEALER), LITERAL("\4\7\4PING\0\0"));
}
END_TEST

START_TEST(frames_that_cannot_be_kept)
{
    struct end s;

    end_open(&s, ZMTP_SERVER, 1000, LITERAL(READY_DEALER));
    failing_at(1);
    ck_assert_int_eq(end_feed(&s, LITERAL("\1\5first\0\6sec"), 100), ZMTP_ERROR);
    ck_assert(failing_stop());
    ck_assert_int_eq(s.z.error, ZMTP_NO_MEMORY);
    ck_assert_uint_eq(s.z.message.n, 0);
    end_deinit(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/zmtp_stream");
    TCase *tc = suite_case(suite, "pieces");

    tcase_add_test(tc, every_cut_gives_the_same);
    tcase_add_test(tc, every_cut_gives_the_same_for_large_bodies);
    tc = suite_case(suite, "memory");
    tcase_add_test(tc, small_messages_cost_no_memory);
    tcase_add_test(tc, claimed_size_costs_no_memory);
    tcase_add_test(tc, each_allocation_fails_once);
    tcase_add_test(tc, answers_that_find_no_memory);
    tcase_add_test(tc, frames_that_cannot_be_kept);
    return suite_run(suite);
}
