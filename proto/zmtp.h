/* SPDX-License-Identifier: MIT */
/*
 * zmtp -- ZeroMQ's wire protocol, both ends, as one pure state machine.
 *
 * ZMTP 3.0 and 3.1 (ZeroMQ RFC 23 and 37) over a stream, NULL mechanism. Bytes go in (through an
 * intake), whole messages come out; what must be sent goes into a chain. No I/O, no clock, no log.
 * One of these serves one connection. The server side is a ROUTER that takes DEALER and REQ peers;
 * the client side is a DEALER that takes a ROUTER. PING is answered by PONG inside; ERROR ends the
 * connection with the peer's reason. Identities in READY are read and ignored: nobody can claim one.
 *
 * Invariants: no length is believed before it is compared with a limit; a message has at most
 * ZMTP_FRAMES_MAX frames and limits.message_bytes in sum; a command at most ZMTP_COMMAND_BYTES.
 * What comes out does not depend on how the stream was cut into reads. After an error the machine
 * stays in that state. The deadline for the handshake and for peers that stop in the middle of a
 * message is the owner's, who has the clock: see zmtp_midway().
 */
#ifndef PROTO_ZMTP_H
#define PROTO_ZMTP_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/chain.h"
#include "proto/intake.h"

enum {
    ZMTP_FRAMES_MAX = 4,       /* of one message, a REQ peer's empty delimiter included */
    ZMTP_COMMAND_BYTES = 1024, /* body of READY, PING, ERROR */
    ZMTP_GREETING_BYTES = 64
};

enum zmtp_side { ZMTP_SERVER, ZMTP_CLIENT };

enum zmtp_state { ZMTP_GREETING, ZMTP_HANDSHAKE, ZMTP_OPEN, ZMTP_FAILED };

/* Why it failed; zmtp_problem() has the sentence. */
enum zmtp_error {
    ZMTP_OK = 0,
    ZMTP_BAD_SIGNATURE,   /* not ZMTP */
    ZMTP_BAD_VERSION,     /* ZMTP 1 or 2; higher ones than 3 are fine, the peer has to come down */
    ZMTP_BAD_MECHANISM,   /* not NULL */
    ZMTP_BAD_ROLE,        /* as-server set with NULL */
    ZMTP_BAD_COMMAND,     /* malformed, too long, or not expected now */
    ZMTP_BAD_SOCKET_TYPE, /* not a type this side talks to */
    ZMTP_BAD_FRAME,       /* reserved flags, a command with MORE, ... */
    ZMTP_TOO_LARGE,       /* over limits.message_bytes */
    ZMTP_TOO_MANY_FRAMES,
    ZMTP_PEER_ERROR, /* the peer sent ERROR */
    ZMTP_NO_MEMORY
};

struct zmtp_limits {
    uint64_t message_bytes; /* all frames of one message together */
};

struct zmtp_message {
    struct span frame[ZMTP_FRAMES_MAX]; /* without the delimiter of a REQ peer */
    unsigned n;                         /* 1 to ZMTP_FRAMES_MAX */
};

struct zmtp {
    enum zmtp_side side;
    enum zmtp_state state;
    enum zmtp_error error;
    struct zmtp_limits limits;
    bool peer_is_req;            /* each message has an empty delimiter frame first, both ways */
    uint8_t peer_minor;          /* of ZMTP 3.x */
    char peer_text[256];         /* what the peer said in ERROR, cleaned, or "" */
    struct zmtp_message message; /* the one being read; blobs are owned here until it is handed out */
    uint64_t message_sum;        /* bytes of its frames, by their headers */
    unsigned frames;             /* headers of it that were read, the delimiter's included */
    bool in_body;                /* a header was read, its body not yet: */
    uint8_t flags;
    uint64_t body_bytes;
    char problem[255];
};

/* Queues the greeting; a client's READY goes right behind it, so that a connection is open after one
 * round trip. 0 or -ENOMEM. */
int zmtp_init(struct zmtp *z, enum zmtp_side side, const struct zmtp_limits *limits, struct chain *out);
void zmtp_deinit(struct zmtp *z);
/* What a server says to a peer that it will not serve, whatever that says: a greeting, and ERROR with the reason, of
 * which it takes as much as a reason may have. 0 or -ENOMEM. */
int zmtp_refuse(struct chain *out, const char *reason);

enum zmtp_event {
    ZMTP_NEED_MORE, /* nothing whole is there: read on */
    ZMTP_OPENED,    /* the handshake is done (once) */
    ZMTP_MESSAGE,   /* *ret_message is set */
    ZMTP_ERROR      /* z->error and zmtp_problem() tell; close when `out` is sent */
};
/* Takes the next thing out of the intake. Call until it says ZMTP_NEED_MORE or ZMTP_ERROR. Spans of
 * *ret_message without a blob are valid until the next zmtp_next() or intake_space(); blobs in it are
 * the caller's (zmtp_message_deinit). Answers that the protocol asks for are put into out. */
enum zmtp_event zmtp_next(struct zmtp *z, struct intake *in, struct chain *out, struct zmtp_message *ret_message);
void zmtp_message_deinit(struct zmtp_message *m);

/* Queues one message of n >= 1 frames (the delimiter for a REQ peer is added), not before the handshake
 * is done. 0 or -ENOMEM: then nothing of it is queued. A large frame that reaches to the end of its
 * blob is referenced, everything else copied. */
int zmtp_send(const struct zmtp *z, struct chain *out, const struct span *frames, unsigned n);

/* Asked after ZMTP_NEED_MORE: whether the peer stopped in the middle of something, a handshake, a frame
 * or a message: it owes us bytes now. The owner bounds that. */
bool zmtp_midway(const struct zmtp *z, const struct intake *in);

/* The sentence for z->error; never NULL. */
const char *zmtp_problem(const struct zmtp *z);

#endif
