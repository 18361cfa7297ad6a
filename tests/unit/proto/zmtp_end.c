/* SPDX-License-Identifier: MIT */
/*
 * zmtp_end -- see zmtp_end.h.
 */
#include "tests/unit/proto/zmtp_end.h"

#include <check.h>
#include <string.h>

void end_init(struct end *e, enum zmtp_side side, uint64_t message_bytes)
{
    memset(e, 0, sizeof *e);
    intake_init(&e->in);
    chain_init(&e->out);
    bytes_init(&e->story, 1 << 26);
    if (zmtp_init(&e->z, side, &(struct zmtp_limits){ message_bytes }, &e->out) < 0)
        e->no_memory = true;
}

void end_deinit(struct end *e)
{
    zmtp_deinit(&e->z);
    intake_deinit(&e->in);
    chain_deinit(&e->out);
    bytes_deinit(&e->story);
}

enum zmtp_event end_take(struct end *e)
{
    struct zmtp_message m;
    enum zmtp_event event;

    while ((event = zmtp_next(&e->z, &e->in, &e->out, &m)) == ZMTP_OPENED || event == ZMTP_MESSAGE) {
        if (event == ZMTP_OPENED) {
            bytes_append(&e->story, "(opened)", 8);
            continue;
        }
        e->messages++;
        ck_assert(m.n >= 1 && m.n <= ZMTP_FRAMES_MAX);
        bytes_append(&e->story, "(", 1);
        for (unsigned i = 0; i < m.n; i++) {
            bytes_append(&e->story, m.frame[i].data, m.frame[i].n);
            bytes_append(&e->story, i + 1 < m.n ? "|" : ")", 1);
        }
        zmtp_message_deinit(&m);
    }
    if (e->z.error == ZMTP_NO_MEMORY || e->story.err)
        e->no_memory = true;
    return event;
}

size_t end_read(struct end *e, const uint8_t *data, size_t n)
{
    size_t room;
    void *space = intake_space(&e->in, &room);

    if (!space) {
        e->no_memory = true;
        return 0;
    }
    n = MIN(n, room);
    memcpy(space, data, n);
    intake_commit(&e->in, n);
    return n;
}

enum zmtp_event end_feed(struct end *e, const uint8_t *data, size_t n, size_t step)
{
    enum zmtp_event event = ZMTP_NEED_MORE;

    for (size_t at = 0, took; at < n && event == ZMTP_NEED_MORE; at += took) {
        took = end_read(e, data + at, MIN(step, n - at));
        if (took == 0)
            return ZMTP_ERROR;
        event = end_take(e);
    }
    return event;
}

enum zmtp_event end_flush(struct end *from, struct end *to)
{
    enum zmtp_event event = ZMTP_NEED_MORE;

    while (from->out.n > 0 && event == ZMTP_NEED_MORE) {
        struct iovec iov;

        chain_peek(&from->out, &iov, 1);
        event = end_feed(to, iov.iov_base, iov.iov_len, SIZE_MAX);
        chain_consume(&from->out, iov.iov_len);
    }
    return event;
}

void assert_out(struct end *e, const uint8_t *expected, size_t n)
{
    uint8_t got[4096];
    size_t at = 0;

    ck_assert_uint_eq(e->out.n, n);
    while (e->out.n > 0) {
        struct iovec iov;

        chain_peek(&e->out, &iov, 1);
        memcpy(got + at, iov.iov_base, iov.iov_len);
        at += iov.iov_len;
        chain_consume(&e->out, iov.iov_len);
    }
    ck_assert_mem_eq(got, expected, n);
}

void assert_story(struct end *e, const char *expected)
{
    bytes_append(&e->story, "", 1);
    ck_assert_str_eq((char *)e->story.data, expected);
    bytes_reset(&e->story);
}

void end_open(struct end *e, enum zmtp_side side, uint64_t message_bytes, const uint8_t *ready, size_t n)
{
    end_init(e, side, message_bytes);
    ck_assert_int_eq(end_feed(e, LITERAL(GREETING), 64), ZMTP_NEED_MORE);
    ck_assert_int_eq(end_feed(e, ready, n, n), ZMTP_NEED_MORE);
    ck_assert_int_eq(e->z.state, ZMTP_OPEN);
    chain_consume(&e->out, e->out.n);
    bytes_reset(&e->story);
}

int send_texts(struct end *e, const char *const *texts, unsigned n)
{
    struct span frames[ZMTP_FRAMES_MAX];

    for (unsigned i = 0; i < n; i++)
        frames[i] = (struct span){ (const uint8_t *)texts[i], strlen(texts[i]), NULL };
    return zmtp_send(&e->z, &e->out, frames, n);
}
