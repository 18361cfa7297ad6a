/* SPDX-License-Identifier: MIT */
/*
 * test_zmtp -- the state machine without a socket: both ends against each other and against hand-made
 * bytes, good and bad. test_zmtp_stream.c cuts the stream and takes memory away, test_zmtp_libzmq.c has
 * the real peer.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/suite.h"
#include "tests/unit/proto/zmtp_end.h"

/* -- handshake ----------------------------------------------------------------------------------- */

START_TEST(server_greets_and_waits_for_ready)
{
    struct end s;

    end_init(&s, ZMTP_SERVER, 1000);
    assert_out(&s, LITERAL("\xff\0\0\0\0\0\0\0\0\x7f\3\1NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" REST_OF_GREETING));
    ck_assert_int_eq(end_take(&s), ZMTP_NEED_MORE);
    ck_assert_int_eq(end_feed(&s, LITERAL(GREETING), 10), ZMTP_NEED_MORE);
    ck_assert_int_eq(s.z.state, ZMTP_HANDSHAKE);
    ck_assert_uint_eq(s.out.n, 0);
    ck_assert_int_eq(end_feed(&s, LITERAL(READY_DEALER), 10), ZMTP_NEED_MORE);
    assert_out(&s, LITERAL(READY_ROUTER));
    assert_story(&s, "(opened)");
    ck_assert_uint_eq(s.z.peer_minor, 0);
    ck_assert(!s.z.peer_is_req);
    ck_assert_int_eq(s.z.error, ZMTP_OK);
    ck_assert_str_eq(zmtp_problem(&s.z), "no problem");
    end_deinit(&s);
}
END_TEST

START_TEST(client_sends_ready_with_its_greeting)
{
    struct end c;

    end_init(&c, ZMTP_CLIENT, 1000);
    assert_out(
        &c,
        LITERAL("\xff\0\0\0\0\0\0\0\0\x7f\3\1NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" REST_OF_GREETING READY_DEALER));
    ck_assert_int_eq(end_feed(&c, LITERAL(GREETING READY_ROUTER), 1000), ZMTP_NEED_MORE);
    assert_story(&c, "(opened)");
    ck_assert_uint_eq(c.out.n, 0);
    end_deinit(&c);
}
END_TEST

/* Before it has said anything, and whatever it says. */
START_TEST(a_peer_that_is_not_served_is_told_why)
{
    char long_reason[400];
    struct end c;

    for (unsigned i = 0; i < 2; i++) {
        struct chain out;
        struct iovec iov[4];
        int n;

        memset(long_reason, 'x', sizeof long_reason - 1);
        long_reason[sizeof long_reason - 1] = '\0';
        end_init(&c, ZMTP_CLIENT, 1000);
        chain_init(&out);
        ck_assert_int_eq(zmtp_refuse(&out, i == 0 ? "you are not a user here" : long_reason), 0);
        n = chain_peek(&out, iov, 4);
        ck_assert_int_eq(n, 1);
        ck_assert_int_eq(end_feed(&c, iov[0].iov_base, iov[0].iov_len, 7), ZMTP_ERROR);
        ck_assert_int_eq(c.z.error, ZMTP_PEER_ERROR);
        ck_assert_ptr_nonnull(strstr(zmtp_problem(&c.z), i == 0 ? "refuses: you are not a user here" : "refuses: xxxxxx"));
        chain_deinit(&out);
        end_deinit(&c);
    }
}
END_TEST

START_TEST(both_ends_talk_after_one_round_trip)
{
    struct end s, c;

    end_init(&s, ZMTP_SERVER, 1000);
    end_init(&c, ZMTP_CLIENT, 1000);
    ck_assert_int_eq(end_flush(&c, &s), ZMTP_NEED_MORE);
    ck_assert_int_eq(end_flush(&s, &c), ZMTP_NEED_MORE);
    ck_assert_int_eq(s.z.state, ZMTP_OPEN);
    ck_assert_int_eq(c.z.state, ZMTP_OPEN);
    ck_assert_uint_eq(c.z.peer_minor, 1);
    ck_assert_int_eq(SEND(&c, "ask", "", "me"), 0);
    ck_assert_int_eq(SEND(&c, ""), 0);
    ck_assert_int_eq(end_flush(&c, &s), ZMTP_NEED_MORE);
    assert_story(&s, "(opened)(ask||me)()");
    ck_assert_int_eq(SEND(&s, "1", "2", "3", "4"), 0);
    ck_assert_int_eq(end_flush(&s, &c), ZMTP_NEED_MORE);
    assert_story(&c, "(opened)(1|2|3|4)");
    end_deinit(&s);
    end_deinit(&c);
}
END_TEST

START_TEST(higher_versions_and_odd_padding_are_accepted)
{
    uint8_t g[64];
    struct end s;

    memcpy(g, GREETING, 64);
    memset(g + 1, 0xaa, 8);   /* padding */
    memset(g + 33, 0xbb, 31); /* filler */
    g[10] = 4;
    g[11] = 9;
    end_init(&s, ZMTP_SERVER, 1000);
    ck_assert_int_eq(end_feed(&s, g, 64, 64), ZMTP_NEED_MORE);
    ck_assert_int_eq(s.z.state, ZMTP_HANDSHAKE);
    ck_assert_uint_eq(s.z.peer_minor, 1);
    end_deinit(&s);
}
END_TEST

START_TEST(bad_greetings_end_at_the_first_wrong_byte)
{
    static const struct {
        size_t at;  /* this byte ... */
        uint8_t is; /* ... is this */
        enum zmtp_error error;
        const char *problem;
    } bad[] = {
        { 0, 'G', ZMTP_BAD_SIGNATURE, "not ZMTP: the first byte is 0x47, not 0xff" },
        { 0, 0, ZMTP_BAD_SIGNATURE, "not ZMTP: the first byte is 0x00, not 0xff" },
        { 0, 1, ZMTP_BAD_VERSION, "the peer speaks ZMTP 1, this side needs 3" },
        { 9, 0x7e, ZMTP_BAD_SIGNATURE, "not ZMTP: the tenth byte is 0x7e, not 0x7f" },
        { 10, 0, ZMTP_BAD_VERSION, "the peer speaks ZMTP 2, this side needs 3" },
        { 10, 1, ZMTP_BAD_VERSION, "the peer speaks ZMTP 2, this side needs 3" },
        { 10, 2, ZMTP_BAD_VERSION, "the peer speaks ZMTP 2, this side needs 3" },
        { 12, 'C', ZMTP_BAD_MECHANISM, "the peer asks for another security mechanism than NULL" },
        { 15, 'l', ZMTP_BAD_MECHANISM, "the peer asks for another security mechanism than NULL" },
        { 16, 'S', ZMTP_BAD_MECHANISM, "the peer asks for another security mechanism than NULL" },
        { 31, 1, ZMTP_BAD_MECHANISM, "the peer asks for another security mechanism than NULL" },
        { 32, 1, ZMTP_BAD_ROLE, "the greeting sets as-server, which NULL does not have" },
    };

    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        uint8_t g[64];
        struct end e;

        memcpy(g, GREETING, 64);
        g[bad[i].at] = bad[i].is;
        for (int side = ZMTP_SERVER; side <= ZMTP_CLIENT; side++) {
            size_t out;

            end_init(&e, (enum zmtp_side)side, 1000);
            out = e.out.n;
            if (bad[i].at > 0)
                ck_assert_int_eq(end_feed(&e, g, bad[i].at, 1), ZMTP_NEED_MORE);
            ck_assert(zmtp_midway(&e.z, &e.in));
            ck_assert_int_eq(end_feed(&e, g + bad[i].at, 1, 1), ZMTP_ERROR);
            ck_assert_int_eq(e.z.error, bad[i].error);
            ck_assert_str_eq(zmtp_problem(&e.z), bad[i].problem);
            ck_assert_uint_eq(e.out.n, out); /* a peer without a good greeting would not understand ERROR */
            ck_assert(!zmtp_midway(&e.z, &e.in));
            end_deinit(&e);

            /* and the same when all of it comes at once */
            end_init(&e, (enum zmtp_side)side, 1000);
            ck_assert_int_eq(end_feed(&e, g, 64, 64), ZMTP_ERROR);
            ck_assert_int_eq(e.z.error, bad[i].error);
            ck_assert_str_eq(zmtp_problem(&e.z), bad[i].problem);
            end_deinit(&e);
        }
    }
}
END_TEST

/* Bytes that end the handshake of a side with an error; they come right behind a good greeting. */
static const struct {
    enum zmtp_side side;
    const char *data;
    size_t n;
    enum zmtp_error error;
    const char *problem;
} bad_handshakes[] = {
#define BAD(side, data, error, problem)                                                                                \
    {                                                                                                                  \
        side, data, sizeof(data) - 1, error, problem                                                                   \
    }
    BAD(ZMTP_SERVER, READY_ROUTER, ZMTP_BAD_SOCKET_TYPE,
        "the peer's socket is a ROUTER; a ROUTER takes DEALER and REQ"),
    BAD(ZMTP_SERVER, READY("\x19", "\3SUB"), ZMTP_BAD_SOCKET_TYPE,
        "the peer's socket is a SUB; a ROUTER takes DEALER and REQ"),
    BAD(ZMTP_SERVER, READY("\x16", "\0"), ZMTP_BAD_SOCKET_TYPE,
        "the peer's socket is a ; a ROUTER takes DEALER and REQ"),
    BAD(ZMTP_SERVER, READY("\x1a", "\4REQ\n"), ZMTP_BAD_SOCKET_TYPE,
        "the peer's socket is a REQ?; a ROUTER takes DEALER and REQ"),
    BAD(ZMTP_CLIENT, READY("\x19", "\3REP"), ZMTP_BAD_SOCKET_TYPE,
        "the peer's socket is a REP; this DEALER takes ROUTER"),
    BAD(ZMTP_CLIENT, READY_DEALER, ZMTP_BAD_SOCKET_TYPE, "the peer's socket is a DEALER; this DEALER takes ROUTER"),
    BAD(ZMTP_SERVER, "\x04\6\5READY", ZMTP_BAD_SOCKET_TYPE, "READY: Socket-Type is missing"),
    BAD(ZMTP_SERVER, "\x04\x13\5READY\x08Identity\0\0\0\0", ZMTP_BAD_SOCKET_TYPE, "READY: Socket-Type is missing"),
    BAD(ZMTP_SERVER, "\x04\x30\5READY\x0bSocket-Type\0\0\0\3REQ\x0bsocket-type\0\0\0\7DEALER!", ZMTP_BAD_COMMAND,
        "READY: Socket-Type is there twice"),
    BAD(ZMTP_SERVER, "\x04\x07\5READY\0", ZMTP_BAD_COMMAND, "READY: a property's name is empty or cut off"),
    BAD(ZMTP_SERVER, "\x04\x09\5READY\5ab", ZMTP_BAD_COMMAND, "READY: a property's name is empty or cut off"),
    BAD(ZMTP_SERVER, "\x04\x0c\5READY\2ab\0\0\0", ZMTP_BAD_COMMAND, "READY: a property's name is empty or cut off"),
    BAD(ZMTP_SERVER, "\x04\x0d\5READY\2a \0\0\0\0", ZMTP_BAD_COMMAND, "READY: byte 0x20 in a property's name"),
    BAD(ZMTP_SERVER, "\x04\x0d\5READY\2a\0\0\0\0\0", ZMTP_BAD_COMMAND, "READY: byte 0x00 in a property's name"),
    BAD(ZMTP_SERVER, "\x04\x0e\5READY\2ab\0\0\0\2x", ZMTP_BAD_COMMAND, "READY: the value of ab is cut off"),
    BAD(ZMTP_SERVER, "\x04\x0e\5READY\2ab\xff\xff\xff\xffx", ZMTP_BAD_COMMAND, "READY: the value of ab is cut off"),
    BAD(ZMTP_SERVER, "\x04\7\4PING\0\0", ZMTP_BAD_COMMAND, "PING is not expected now"),
    BAD(ZMTP_CLIENT, "\x04\5\4PONG", ZMTP_BAD_COMMAND, "PONG is not expected now"),
    BAD(ZMTP_SERVER, "\x04\6\5HELLO", ZMTP_BAD_COMMAND, "the command HELLO is not known here"),
    BAD(ZMTP_SERVER, "\x04\0", ZMTP_BAD_COMMAND, "a command's name is empty or cut off"),
    BAD(ZMTP_SERVER, "\x04\3\0ab", ZMTP_BAD_COMMAND, "a command's name is empty or cut off"),
    BAD(ZMTP_SERVER, "\x04\5\5READ", ZMTP_BAD_COMMAND, "a command's name is empty or cut off"),
    BAD(ZMTP_SERVER, "\x06\0\0\0\0\0\0\4\1", ZMTP_BAD_COMMAND, "a command of 1025 bytes; the limit is 1024"),
    BAD(ZMTP_SERVER, "\x06\xff\xff\xff\xff\xff\xff\xff\xff", ZMTP_BAD_COMMAND,
        "a command of 18446744073709551615 bytes; the limit is 1024"),
    BAD(ZMTP_SERVER, "\x05\6", ZMTP_BAD_FRAME, "a command says that more frames follow"),
    BAD(ZMTP_SERVER, "\x00\1", ZMTP_BAD_FRAME, "a message before READY"),
    BAD(ZMTP_CLIENT, "\x01\0", ZMTP_BAD_FRAME, "a message before READY"),
    BAD(ZMTP_SERVER, "\x08\1", ZMTP_BAD_FRAME, "a frame with reserved flags: 0x08"),
    BAD(ZMTP_CLIENT, "\x84\1", ZMTP_BAD_FRAME, "a frame with reserved flags: 0x84"),
#undef BAD
};

START_TEST(bad_handshakes_are_told_the_reason)
{
    for (size_t i = 0; i < ELEMENTS(bad_handshakes); i++) {
        const uint8_t *data = (const uint8_t *)bad_handshakes[i].data;
        size_t n = bad_handshakes[i].n, reason = strlen(bad_handshakes[i].problem);
        uint8_t expected[300] = { 4, (uint8_t)(7 + reason), 5, 'E', 'R', 'R', 'O', 'R', (uint8_t)reason };
        struct end e;

        memcpy(expected + 9, bad_handshakes[i].problem, reason);
        end_init(&e, bad_handshakes[i].side, 1000);
        chain_consume(&e.out, e.out.n);
        ck_assert_int_eq(end_feed(&e, LITERAL(GREETING), 64), ZMTP_NEED_MORE);
        if (n > 1)
            ck_assert_int_eq(end_feed(&e, data, n - 1, SIZE_MAX), ZMTP_NEED_MORE);
        ck_assert_int_eq(end_feed(&e, data + n - 1, 1, 1), ZMTP_ERROR);
        ck_assert_str_eq(zmtp_problem(&e.z), bad_handshakes[i].problem);
        ck_assert_int_eq(e.z.error, bad_handshakes[i].error);
        assert_out(&e, expected, 9 + reason);
        ck_assert_int_eq(end_take(&e), ZMTP_ERROR); /* for ever, and said once */
        ck_assert_uint_eq(e.out.n, 0);
        end_deinit(&e);
    }
}
END_TEST

START_TEST(ready_of_any_good_form_is_accepted)
{
    static const char full[] = "\x06\0\0\0\0\0\0\0\x4f\5READY"
                               "\x08Identity\0\0\0\x05\0abcd" /* not even one that claims a ROUTER's own id */
                               "\x0bsOCKET-tYPE\0\0\0\x06"
                               "DEALER"
                               "\x0aX-a_b.c+19\0\0\0\0"
                               "\x08Resource\0\0\0\x05x/y/z";
    struct end s;

    _Static_assert(sizeof full - 1 == 9 + 0x4f, "the length in it is right");
    end_init(&s, ZMTP_SERVER, 1000);
    ck_assert_int_eq(end_feed(&s, LITERAL(GREETING), 64), ZMTP_NEED_MORE);
    ck_assert_int_eq(end_feed(&s, LITERAL(full), SIZE_MAX), ZMTP_NEED_MORE);
    ck_assert_int_eq(s.z.state, ZMTP_OPEN);
    end_deinit(&s);
}
END_TEST

START_TEST(ready_of_full_size_is_accepted)
{
    uint8_t ready[9 + ZMTP_COMMAND_BYTES] = "\x06\0\0\0\0\0\0\4\0\5READY\x0bSocket-Type\0\0\0\3REQ";
    const size_t used = 9 + 6 + 12 + 4 + 3;
    struct end s;

    memcpy(ready + used, "\1X\0\0\3\xe1", 6); /* the rest is one value */
    ck_assert_uint_eq(used + 6 + 0x3e1, sizeof ready);
    end_init(&s, ZMTP_SERVER, 1000);
    ck_assert_int_eq(end_feed(&s, LITERAL(GREETING), 64), ZMTP_NEED_MORE);
    ck_assert_int_eq(end_feed(&s, ready, sizeof ready, 100), ZMTP_NEED_MORE);
    ck_assert_int_eq(s.z.state, ZMTP_OPEN);
    ck_assert(s.z.peer_is_req);
    end_deinit(&s);
}
END_TEST

/* -- commands ------------------------------------------------------------------------------------ */

START_TEST(ping_is_answered_with_its_context)
{
    struct end s;

    end_open(&s, ZMTP_SERVER, 1000, LITERAL(READY_DEALER));
    ck_assert_int_eq(end_feed(&s, LITERAL("\4\7\4PING\1\2"), 1), ZMTP_NEED_MORE);
    assert_out(&s, LITERAL("\4\5\4PONG"));
    ck_assert_int_eq(end_feed(&s,
                              LITERAL("\4\x17\4PING\xff\xff"
                                      "0123456789abcdef"),
                              100),
                     ZMTP_NEED_MORE);
    assert_out(&s, LITERAL("\4\x15\4PONG0123456789abcdef"));
    ck_assert_int_eq(end_feed(&s, LITERAL("\4\x09\4PONGabcd"), 100), ZMTP_NEED_MORE);
    ck_assert_uint_eq(s.out.n, 0);
    assert_story(&s, "");
    end_deinit(&s);
}
END_TEST

START_TEST(ping_may_come_between_frames)
{
    struct end s;

    end_open(&s, ZMTP_SERVER, 1000, LITERAL(READY_DEALER));
    ck_assert_int_eq(end_feed(&s, LITERAL("\1\2ab\4\7\4PING\0\0\0\2cd"), 3), ZMTP_NEED_MORE);
    assert_out(&s, LITERAL("\4\5\4PONG"));
    assert_story(&s, "(ab|cd)");
    end_deinit(&s);
}
END_TEST

START_TEST(error_of_the_peer_ends_it)
{
    for (int when = 0; when < 2; when++) {
        struct end c;
        size_t out;

        if (when == 0) {
            end_init(&c, ZMTP_CLIENT, 1000);
            ck_assert_int_eq(end_feed(&c, LITERAL(GREETING), 64), ZMTP_NEED_MORE);
        } else {
            end_open(&c, ZMTP_CLIENT, 1000, LITERAL(READY_ROUTER));
        }
        out = c.out.n;
        ck_assert_int_eq(end_feed(&c, LITERAL("\4\x11\5ERRORgo\n\xff away\xc3\xa9"), 100), ZMTP_ERROR);
        ck_assert_int_eq(c.z.error, ZMTP_BAD_COMMAND); /* 'g' is no length */
        end_deinit(&c);

        if (when == 0) {
            end_init(&c, ZMTP_CLIENT, 1000);
            ck_assert_int_eq(end_feed(&c, LITERAL(GREETING), 64), ZMTP_NEED_MORE);
        } else {
            end_open(&c, ZMTP_CLIENT, 1000, LITERAL(READY_ROUTER));
        }
        ck_assert_int_eq(end_feed(&c, LITERAL("\4\x12\5ERROR\x0bgo\n\xff away\xc3\xa9"), 100), ZMTP_ERROR);
        ck_assert_int_eq(c.z.error, ZMTP_PEER_ERROR);
        ck_assert_str_eq(c.z.peer_text, "go?? away\xc3\xa9");
        ck_assert_str_eq(zmtp_problem(&c.z), "the peer refuses: go?? away\xc3\xa9");
        ck_assert_uint_eq(c.out.n, out); /* no ERROR for an ERROR */
        end_deinit(&c);
    }
}
END_TEST

START_TEST(longest_reason_fits)
{
    uint8_t command[9 + 7 + 255] = "\6\0\0\0\0\0\0\1\6\5ERROR\xff";
    char problem[256];
    struct end c;

    memset(command + 16, 'r', 255);
    memcpy(command + 16 + 219, "\xc3\xa9", 2); /* the sentence cuts this one in two */
    end_open(&c, ZMTP_CLIENT, 1000, LITERAL(READY_ROUTER));
    ck_assert_int_eq(end_feed(&c, command, sizeof command, 50), ZMTP_ERROR);
    ck_assert_int_eq(c.z.error, ZMTP_PEER_ERROR);
    ck_assert_mem_eq(c.z.peer_text, command + 16, 255);
    ck_assert_uint_eq(strlen(c.z.peer_text), 255);
    snprintf(problem, sizeof problem, "the peer refuses: %.219s?", (const char *)command + 16);
    ck_assert_str_eq(zmtp_problem(&c.z), problem);
    end_deinit(&c);
}
END_TEST

/* -- messages ------------------------------------------------------------------------------------ */

START_TEST(frames_of_every_size_go_both_ways)
{
    static const size_t sizes[] = { 0,     1,     254,   255,   256,    257,   16383,  16384,
                                    32767, 32768, 65535, 65536, 200000, 70000, 1 << 20 };
    static uint8_t body[1 << 20];
    struct end c, s;

    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)(i * 7 + i / 256);
    end_open(&c, ZMTP_CLIENT, 4 << 20, LITERAL(READY_ROUTER));
    end_open(&s, ZMTP_SERVER, 4 << 20, LITERAL(READY_DEALER));
    for (size_t i = 0; i < ELEMENTS(sizes); i++) {
        struct blob *blob = blob_new(body, sizes[i]);
        struct span frames[4] = { { blob->data, blob->n, blob },                         /* referenced if large */
                                  { body, sizes[i], NULL },                              /* copied */
                                  { blob->data + blob->n / 2, (blob->n + 1) / 2, blob }, /* the blob's end */
                                  { blob->data, blob->n / 2, blob } };                   /* its beginning: copied */
        const size_t n = sizes[i];

        ck_assert_int_eq(zmtp_send(&c.z, &c.out, frames, 4), 0);
        ck_assert_uint_eq(blob->refs, 1 + (n >= CHAIN_COPY_BYTES) + ((n + 1) / 2 >= CHAIN_COPY_BYTES));
        ck_assert_int_eq(end_flush(&c, &s), ZMTP_NEED_MORE);
        ck_assert_uint_eq(s.messages, i + 1);
        ck_assert_uint_eq(s.story.n, 3 * n + 5);
        ck_assert_mem_eq(s.story.data + 1, body, n);
        ck_assert_mem_eq(s.story.data + 2 + n, body, n);
        ck_assert_mem_eq(s.story.data + 3 + 2 * n, body + n / 2, (n + 1) / 2);
        ck_assert_mem_eq(s.story.data + 4 + 2 * n + (n + 1) / 2, body, n / 2);
        ck_assert_uint_eq(blob->refs, 1);
        bytes_reset(&s.story);
        blob_free(blob);
    }
    end_deinit(&c);
    end_deinit(&s);
}
END_TEST

START_TEST(headers_are_short_when_they_can_be)
{
    uint8_t body[256], expected[9 + 256] = "\2\0\0\0\0\0\0\1\0";
    struct end c;

    memset(body, 'b', sizeof body);
    memcpy(expected + 9, body, 256);
    end_open(&c, ZMTP_CLIENT, 1000, LITERAL(READY_ROUTER));
    ck_assert_int_eq(SEND(&c, "ab", "", "c"), 0);
    assert_out(&c, LITERAL("\1\2ab\1\0\0\1c"));
    ck_assert_int_eq(zmtp_send(&c.z, &c.out, &(struct span){ body, 256, NULL }, 1), 0);
    assert_out(&c, expected, 265);
    memcpy(expected, "\0\xff", 2);
    memcpy(expected + 2, body, 255);
    ck_assert_int_eq(zmtp_send(&c.z, &c.out, &(struct span){ body, 255, NULL }, 1), 0);
    assert_out(&c, expected, 257);
    end_deinit(&c);
}
END_TEST

START_TEST(long_header_of_a_short_frame_is_accepted)
{
    struct end s;

    end_open(&s, ZMTP_SERVER, 1000, LITERAL(READY_DEALER));
    ck_assert_int_eq(end_feed(&s, LITERAL("\3\0\0\0\0\0\0\0\2ab\2\0\0\0\0\0\0\0\0"), 100), ZMTP_NEED_MORE);
    assert_story(&s, "(ab|)");
    end_deinit(&s);
}
END_TEST

START_TEST(req_peer_has_its_delimiter)
{
    struct end s;

    end_open(&s, ZMTP_SERVER, 1000, LITERAL(READY_REQ));
    ck_assert(s.z.peer_is_req);
    ck_assert_int_eq(end_feed(&s, LITERAL("\1\0\1\2ab\0\1c\1\0\0\0\1\0\1\0\1\0\0\1x"), 100), ZMTP_NEED_MORE);
    assert_story(&s, "(ab|c)()(||x)");
    ck_assert_int_eq(SEND(&s, "yes", "no"), 0);
    assert_out(&s, LITERAL("\1\0\1\3yes\0\2no"));
    end_deinit(&s);
}
END_TEST

/* Bytes that end an open connection with an error, with 1000 bytes allowed. */
static const struct {
    bool req;
    const char *data;
    size_t n;
    enum zmtp_error error;
    const char *problem;
} bad_frames[] = {
#define BAD(req, data, error, problem)                                                                                 \
    {                                                                                                                  \
        req, data, sizeof(data) - 1, error, problem                                                                    \
    }
    BAD(false, "\x08\0", ZMTP_BAD_FRAME, "a frame with reserved flags: 0x08"),
    BAD(false, "\x10\0", ZMTP_BAD_FRAME, "a frame with reserved flags: 0x10"),
    BAD(false, "\x21\0", ZMTP_BAD_FRAME, "a frame with reserved flags: 0x21"),
    BAD(false, "\x42\0", ZMTP_BAD_FRAME, "a frame with reserved flags: 0x42"),
    BAD(false, "\xff\0", ZMTP_BAD_FRAME, "a frame with reserved flags: 0xff"),
    BAD(false, "\x05\6", ZMTP_BAD_FRAME, "a command says that more frames follow"),
    BAD(false, "\x07\0\0\0\0\0\0\0\6", ZMTP_BAD_FRAME, "a command says that more frames follow"),
    BAD(false, "\2\0\0\0\0\0\0\3\xe9", ZMTP_TOO_LARGE,
        "a message with a frame of 1001 bytes; the limit of a message is 1000"),
    BAD(false, "\2\x80\0\0\0\0\0\0\0", ZMTP_TOO_LARGE,
        "a message with a frame of 9223372036854775808 bytes; the limit of a message is 1000"),
    BAD(false, "\2\xff\xff\xff\xff\xff\xff\xff\xff", ZMTP_TOO_LARGE,
        "a message with a frame of 18446744073709551615 bytes; the limit of a message is 1000"),
    BAD(false, "\1\1a\3\0\0\0\0\0\0\3\xe8", ZMTP_TOO_LARGE,
        "a message with a frame of 1000 bytes; the limit of a message is 1000"),
    BAD(false, "\1\0\1\0\1\0\1\0", ZMTP_TOO_MANY_FRAMES, "a message of more than 4 frames"),
    BAD(true, "\1\0\1\0\1\0\1\0", ZMTP_TOO_MANY_FRAMES, "a message of more than 4 frames"),
    BAD(true, "\0\1", ZMTP_BAD_FRAME, "a REQ peer's message does not begin with an empty frame before its content"),
    BAD(true, "\1\1", ZMTP_BAD_FRAME, "a REQ peer's message does not begin with an empty frame before its content"),
    BAD(true, "\0\0", ZMTP_BAD_FRAME, "a REQ peer's message does not begin with an empty frame before its content"),
    BAD(false, READY_DEALER, ZMTP_BAD_COMMAND, "READY is not expected now"),
    BAD(false, "\4\x0c\x09SUBSCRIBEab", ZMTP_BAD_COMMAND, "the command SUBSCRIBE is not known here"),
    BAD(false, "\4\7\6p\nng\xff!", ZMTP_BAD_COMMAND, "the command p?ng?! is not known here"),
    BAD(false, "\4\5\4ping", ZMTP_BAD_COMMAND, "the command ping is not known here"),
    BAD(false, "\4\5\4PING", ZMTP_BAD_COMMAND, "PING of 0 bytes; it has 2 of time to live and up to 16 of context"),
    BAD(false, "\4\6\4PING\1", ZMTP_BAD_COMMAND, "PING of 1 bytes; it has 2 of time to live and up to 16 of context"),
    BAD(false,
        "\4\x18\4PING\0\0"
        "0123456789abcdefg",
        ZMTP_BAD_COMMAND, "PING of 19 bytes; it has 2 of time to live and up to 16 of context"),
    BAD(false, "\4\6\5ERROR", ZMTP_BAD_COMMAND, "ERROR: the reason's length is wrong"),
    BAD(false, "\4\x09\5ERROR\1no", ZMTP_BAD_COMMAND, "ERROR: the reason's length is wrong"),
    BAD(false, "\4\x09\5ERROR\3no", ZMTP_BAD_COMMAND, "ERROR: the reason's length is wrong"),
    BAD(false, "\4\0", ZMTP_BAD_COMMAND, "a command's name is empty or cut off"),
    BAD(false, "\6\0\0\0\0\0\0\4\1", ZMTP_BAD_COMMAND, "a command of 1025 bytes; the limit is 1024"),
#undef BAD
};

START_TEST(bad_frames_end_it)
{
    for (size_t i = 0; i < ELEMENTS(bad_frames); i++) {
        const uint8_t *data = (const uint8_t *)bad_frames[i].data;
        size_t n = bad_frames[i].n;

        for (size_t step = 1; step <= n; step += n - 1) {
            struct end s;

            if (bad_frames[i].req)
                end_open(&s, ZMTP_SERVER, 1000, LITERAL(READY_REQ));
            else
                end_open(&s, ZMTP_SERVER, 1000, LITERAL(READY_DEALER));
            ck_assert_int_eq(end_feed(&s, data, n - 1, step), ZMTP_NEED_MORE);
            ck_assert_int_eq(end_feed(&s, data + n - 1, 1, 1), ZMTP_ERROR);
            ck_assert_str_eq(zmtp_problem(&s.z), bad_frames[i].problem);
            ck_assert_int_eq(s.z.error, bad_frames[i].error);
            ck_assert_int_eq(s.z.state, ZMTP_FAILED);
            ck_assert_uint_eq(s.out.n, 0); /* ERROR belongs to the handshake */
            ck_assert_int_eq(end_feed(&s, LITERAL("\0\1a"), 3), ZMTP_ERROR);
            ck_assert_str_eq(zmtp_problem(&s.z), bad_frames[i].problem);
            assert_story(&s, "");
            end_deinit(&s);
        }
    }
}
END_TEST

START_TEST(limit_of_a_message_is_exact)
{
    uint8_t message[5 + 9 + 997 + 2] = "\1\3abc\3\0\0\0\0\0\0\3\xe5";
    struct end s;

    memset(message + 14, 'x', 997); /* and an empty frame */
    end_open(&s, ZMTP_SERVER, 1000, LITERAL(READY_DEALER));
    for (unsigned i = 0; i < 3; i++) /* the sum starts anew with each message */
        ck_assert_int_eq(end_feed(&s, message, sizeof message, SIZE_MAX), ZMTP_NEED_MORE);
    ck_assert_uint_eq(s.messages, 3);
    ck_assert_uint_eq(s.story.n, 3 * (1 + 3 + 1 + 997 + 1 + 1));
    end_deinit(&s);
}
END_TEST

START_TEST(error_frees_what_came_before)
{
    static uint8_t stream[9 + 40000 + 2];
    struct end s;

    memcpy(stream, "\3\0\0\0\0\0\0\x9c\x40", 9);
    memcpy(stream + 9 + 40000, "\xf0\0", 2);
    end_open(&s, ZMTP_SERVER, 1 << 20, LITERAL(READY_DEALER));
    ck_assert_int_eq(end_feed(&s, stream, sizeof stream, 10000), ZMTP_ERROR);
    ck_assert_int_eq(s.z.error, ZMTP_BAD_FRAME);
    ck_assert_uint_eq(s.z.message.n, 0); /* a sanitizer tells the rest */
    end_deinit(&s);
}
END_TEST

START_TEST(midway_is_true_inside_of_things_only)
{
    struct end s;

    end_init(&s, ZMTP_SERVER, 100000);
    ck_assert(zmtp_midway(&s.z, &s.in)); /* nothing came: it owes a greeting */
    ck_assert_int_eq(end_feed(&s, LITERAL(GREETING), 64), ZMTP_NEED_MORE);
    ck_assert(zmtp_midway(&s.z, &s.in)); /* it owes READY */
    ck_assert_int_eq(end_feed(&s, LITERAL(READY_DEALER), 64), ZMTP_NEED_MORE);
    ck_assert(!zmtp_midway(&s.z, &s.in));

#define MIDWAY(bytes, expected)                                                                                        \
    do {                                                                                                               \
        ck_assert_int_eq(end_feed(&s, LITERAL(bytes), 100), ZMTP_NEED_MORE);                                           \
        ck_assert_int_eq(zmtp_midway(&s.z, &s.in), expected);                                                          \
    } while (0)
    MIDWAY("\1", true);   /* half a header */
    MIDWAY("\0", true);   /* an empty frame, more to follow */
    MIDWAY("\0\2", true); /* a header */
    MIDWAY("a", true);    /* half a body */
    MIDWAY("b", false);
    MIDWAY("\2\0\0\0", true); /* half a long header */
    MIDWAY("\0\0\0\xff\xf0", true);
    MIDWAY("large", true); /* in a blob of its own */
    end_deinit(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/zmtp");
    TCase *tc = suite_case(suite, "handshake");

    tcase_add_test(tc, server_greets_and_waits_for_ready);
    tcase_add_test(tc, client_sends_ready_with_its_greeting);
    tcase_add_test(tc, both_ends_talk_after_one_round_trip);
    tcase_add_test(tc, higher_versions_and_odd_padding_are_accepted);
    tcase_add_test(tc, bad_greetings_end_at_the_first_wrong_byte);
    tcase_add_test(tc, bad_handshakes_are_told_the_reason);
    tcase_add_test(tc, ready_of_any_good_form_is_accepted);
    tcase_add_test(tc, ready_of_full_size_is_accepted);
    tc = suite_case(suite, "commands");
    tcase_add_test(tc, ping_is_answered_with_its_context);
    tcase_add_test(tc, ping_may_come_between_frames);
    tcase_add_test(tc, error_of_the_peer_ends_it);
    tcase_add_test(tc, longest_reason_fits);
    tc = suite_case(suite, "messages");
    tcase_add_test(tc, frames_of_every_size_go_both_ways);
    tcase_add_test(tc, headers_are_short_when_they_can_be);
    tcase_add_test(tc, long_header_of_a_short_frame_is_accepted);
    tcase_add_test(tc, req_peer_has_its_delimiter);
    tcase_add_test(tc, bad_frames_end_it);
    tcase_add_test(tc, a_peer_that_is_not_served_is_told_why);
    tcase_add_test(tc, limit_of_a_message_is_exact);
    tcase_add_test(tc, error_frees_what_came_before);
    tcase_add_test(tc, midway_is_true_inside_of_things_only);
    return suite_run(suite);
}
