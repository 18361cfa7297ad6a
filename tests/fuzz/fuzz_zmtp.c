/* SPDX-License-Identifier: MIT */
/*
 * fuzz_zmtp -- any bytes as what a ZMTP peer sends, to both sides of the state machine.
 *
 * Each input is read three times by each side: in pieces as large as can be, in tiny ones, and in pieces of
 * a size that it chooses. What comes out must be the same each time: messages, the end, the reason,
 * the answers. All limits must hold, and every byte handed out must be there.
 *
 * Input: one byte of options (bit 0: the greeting and READY of a good peer come first, so that the fuzzer
 * starts behind them; bit 1: that peer is a REQ), one byte that sizes the pieces, then the stream.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/zmtp.h"
#include "tests/fuzz/fuzz.h"

enum { MESSAGE_BYTES = 200000, OPTION_OPEN = 1, OPTION_REQ = 2 };
enum { BYTEWISE_MAX = 4096, TINY = 61 }; /* longer inputs byte by byte would cost all the time */

static const char good_greeting[ZMTP_GREETING_BYTES] = "\xff\0\0\0\0\0\0\0\1\x7f\3\1NULL";
static const char ready_router[] = "\x04\x1c\5READY\x0bSocket-Type\0\0\0\6ROUTER";
static const char ready_dealer[] = "\x04\x1c\5READY\x0bSocket-Type\0\0\0\6"
                                   "DEALER";
static const char ready_req[] = "\x04\x19\5READY\x0bSocket-Type\0\0\0\3REQ";

/* What came out, as numbers that differ if anything does. */
struct outcome {
    unsigned opened, messages;
    uint64_t digest;
    enum zmtp_state state;
    enum zmtp_error error;
    bool midway;
    size_t out_bytes;
    char problem[160];
};

struct reader {
    struct zmtp z;
    struct intake in;
    struct chain out;
    struct outcome o;
    size_t read; /* bytes that were fed */
};

static void digest(struct outcome *o, const uint8_t *data, size_t n)
{
    o->digest = (o->digest ^ n) * 0x100000001b3;
    for (size_t i = 0; i < n; i++)
        o->digest = (o->digest ^ data[i]) * 0x100000001b3;
}

static void take_message(struct reader *r, struct zmtp_message *m)
{
    uint64_t sum = 0;

    check(r->z.state == ZMTP_OPEN);
    check(m->n >= 1 && m->n <= ZMTP_FRAMES_MAX);
    for (unsigned i = 0; i < m->n; i++) {
        const struct span *f = &m->frame[i];

        if (f->blob) {
            check(f->blob->refs == 1);
            check(f->data == f->blob->data && f->n == f->blob->n);
        } else {
            check(f->n < INTAKE_BLOB_BYTES);
        }
        sum += f->n;
        digest(&r->o, f->data, f->n);
    }
    check(sum <= MESSAGE_BYTES && sum <= r->read);
    r->o.messages++;
    digest(&r->o, (const uint8_t *)"end", m->n - 1);
    zmtp_message_deinit(m);
}

/* Everything that is there. False: the end. */
static bool take(struct reader *r)
{
    for (;;) {
        struct zmtp_message m;

        switch (zmtp_next(&r->z, &r->in, &r->out, &m)) {
        case ZMTP_NEED_MORE:
            check(r->z.state != ZMTP_FAILED);
            check(intake_pending(&r->in) <= r->read);
            return true;
        case ZMTP_OPENED:
            r->o.opened++;
            break;
        case ZMTP_MESSAGE:
            take_message(r, &m);
            break;
        case ZMTP_ERROR:
            check(r->z.state == ZMTP_FAILED && r->z.error != ZMTP_OK);
            check(zmtp_next(&r->z, &r->in, &r->out, &m) == ZMTP_ERROR);
            return false;
        }
    }
}

static bool feed(struct reader *r, const void *data, size_t n, size_t step)
{
    for (size_t at = 0; at < n;) {
        size_t room;
        void *space = intake_space(&r->in, &room);

        check(space != NULL && room > 0);
        room = MIN(room, MIN(step, n - at));
        memcpy(space, (const uint8_t *)data + at, room);
        intake_commit(&r->in, room);
        at += room;
        r->read += room;
        if (!take(r))
            return false;
    }
    return true;
}

static void run(enum zmtp_side side, unsigned options, const uint8_t *data, size_t n, size_t step, struct outcome *ret)
{
    struct reader r = { 0 };
    bool goes_on = true;

    intake_init(&r.in);
    chain_init(&r.out);
    check(zmtp_init(&r.z, side, &(struct zmtp_limits){ MESSAGE_BYTES }, &r.out) == 0);
    if (options & OPTION_OPEN) {
        goes_on = feed(&r, good_greeting, sizeof good_greeting, step);
        if (side == ZMTP_CLIENT)
            goes_on = goes_on && feed(&r, ready_router, sizeof ready_router - 1, step);
        else if (options & OPTION_REQ)
            goes_on = goes_on && feed(&r, ready_req, sizeof ready_req - 1, step);
        else
            goes_on = goes_on && feed(&r, ready_dealer, sizeof ready_dealer - 1, step);
        check(goes_on && r.z.state == ZMTP_OPEN);
    }
    if (goes_on)
        feed(&r, data, n, step);

    check(r.o.opened <= 1);
    check(r.o.opened == 1 || (r.z.state != ZMTP_OPEN && r.o.messages == 0));
    check(strlen(zmtp_problem(&r.z)) > 0);
    check(strlen(r.z.peer_text) < sizeof r.z.peer_text);
    check(r.out.n <= 2 * ZMTP_GREETING_BYTES + 200 + r.read); /* answers are never larger than what asked */
    r.o.state = r.z.state;
    r.o.error = r.z.error;
    r.o.midway = zmtp_midway(&r.z, &r.in);
    r.o.out_bytes = r.out.n;
    strcpy(r.o.problem, zmtp_problem(&r.z));
    *ret = r.o;
    zmtp_deinit(&r.z);
    intake_deinit(&r.in);
    chain_deinit(&r.out);
}

static void check_same(const struct outcome *a, const struct outcome *b)
{
    check(a->opened == b->opened && a->messages == b->messages && a->digest == b->digest);
    check(a->state == b->state && a->error == b->error && a->midway == b->midway);
    check(a->out_bytes == b->out_bytes);
    check(strcmp(a->problem, b->problem) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    for (int side = ZMTP_SERVER; side <= ZMTP_CLIENT; side++) {
        struct outcome whole, tiny, pieces;

        run((enum zmtp_side)side, data[0], data + 2, n - 2, SIZE_MAX, &whole);
        run((enum zmtp_side)side, data[0], data + 2, n - 2, n > BYTEWISE_MAX ? TINY : 1, &tiny);
        run((enum zmtp_side)side, data[0], data + 2, n - 2, 1 + (size_t)data[1] * data[1], &pieces);
        check_same(&whole, &tiny);
        check_same(&whole, &pieces);
    }
    return 0;
}
