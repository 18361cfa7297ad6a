/* SPDX-License-Identifier: MIT */
/*
 * zmtp_end -- one end of a ZMTP connection for tests: a state machine with its intake and chain, and the
 * story of what came out of it in words: "(opened)(one frame)(two|frames)". It makes assertions of Check.
 */
#ifndef TESTS_ZMTP_END_H
#define TESTS_ZMTP_END_H

#include "proto/zmtp.h"

#define LITERAL(text)    (const uint8_t *)(text), sizeof(text) - 1
#define REST_OF_GREETING "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define GREETING         "\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" REST_OF_GREETING
#define READY(n, type)   "\x04" n "\5READY\x0bSocket-Type\0\0\0" type
#define READY_DEALER     READY("\x1c", "\6DEALER")
#define READY_ROUTER     READY("\x1c", "\6ROUTER")
#define READY_REQ        READY("\x19", "\3REQ")
_Static_assert(sizeof GREETING == ZMTP_GREETING_BYTES + 1, "a whole greeting");

struct end {
    struct zmtp z;
    struct intake in;
    struct chain out;
    struct bytes story;
    unsigned messages; /* that came out */
    bool no_memory;    /* something failed for lack of it */
};

void end_init(struct end *e, enum zmtp_side side, uint64_t message_bytes);
void end_deinit(struct end *e);
/* An end whose handshake is done by this READY; nothing waits in out. */
void end_open(struct end *e, enum zmtp_side side, uint64_t message_bytes, const uint8_t *ready, size_t n);

/* Everything that can be taken out of the intake now. */
enum zmtp_event end_take(struct end *e);
/* One read of at most n bytes. Returns how many fitted. */
size_t end_read(struct end *e, const uint8_t *data, size_t n);
/* Reads all of it, step bytes at a time at most; stops at an error. */
enum zmtp_event end_feed(struct end *e, const uint8_t *data, size_t n, size_t step);
/* What waits in out goes to the other end. */
enum zmtp_event end_flush(struct end *from, struct end *to);

/* What waits in out is exactly this, and goes. */
void assert_out(struct end *e, const uint8_t *expected, size_t n);
/* What came out since the last time is exactly this. */
void assert_story(struct end *e, const char *expected);

/* Queues a message of these frames: SEND(&end, "one", "two"). */
int send_texts(struct end *e, const char *const *texts, unsigned n);
#define SEND(e, ...)                                                                                                   \
    send_texts(e, (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

#endif
