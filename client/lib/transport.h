/* SPDX-License-Identifier: MIT */
/*
 * transport -- a connection that carries whole messages to the daemon and back.
 *
 * Two kinds: transport_unix.c speaks ZMTP itself over the daemon's unix socket; transport_zmq.c has
 * libzmq do it, for "ipc://" and "tcp://". Nothing above this interface knows which one it has.
 *
 * A transport knows nothing of requests. It ends once (`end` tells why) and stays ended; what had
 * arrived before the end is handed out first. Its descriptor stays open until it is freed, and is
 * readable from its end on, so that a loop that polls it wakes.
 */
#ifndef CLIENT_LIB_TRANSPORT_H
#define CLIENT_LIB_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ptools/error.h>

#include "proto/zmtp.h"

/* No daemon's limit is believed beyond this: lengths of values are below 2 GiB. */
#define ANSWER_BYTES_MAX ((uint64_t)INT32_MAX)

/* A code and its sentence. */
struct problem {
    ptools_err code;
    char text[400];
};
/* Returns the code. */
ptools_err problem_set(struct problem *p, ptools_err code, const char *format, ...)
    __attribute__((__format__(__printf__, 3, 4)));

struct transport;
struct transport_ops {
    /* Queues a message of n frames. 0; -EAGAIN: no room now, wait first; -EPIPE: it has ended, or does so with
     * the next receive(); -ENOMEM. */
    int (*send)(struct transport *t, const struct span *frames, unsigned n);
    /* Sends what the other side takes now; never blocks. */
    void (*flush)(struct transport *t);
    /* Flushes, and sleeps until something can be received or sent, or until_us. False: it was the time. */
    bool (*wait)(struct transport *t, uint64_t until_us);
    /* 1: *ret is a message, in the transport's memory until the next receive(), but for its blobs, which are the
     * caller's. 0: none has come whole; see `end`. */
    int (*receive)(struct transport *t, struct zmtp_message *ret);
    /* For poll(2). wake: something waits to be dispatched, so that the next poll() shall return at once. */
    int (*fd)(struct transport *t);
    short (*events)(struct transport *t, bool wake);
    void (*limit)(struct transport *t, uint64_t message_bytes);
    /* It has ended (t->end is set): whoever polls fd() wakes. */
    void (*shut)(struct transport *t);
    /* forked: in a child of the process that made it; nothing may be said to the other side. */
    void (*free)(struct transport *t, bool forked);
};

struct transport {
    const struct transport_ops *ops;
    bool open;          /* the handshake is done: send() may be used */
    uint64_t queued;    /* bytes ever given to send(), as counted by the kind */
    uint64_t sent;      /* of these, how many may have left the process */
    struct problem end; /* PTOOLS_OK while it works */
};

/* DIR/ptoolsd.sock, or any path of a socket. PTOOLS_ERR_NO_DAEMON, _DENIED, _TIMEOUT, _SYSTEM, _NO_MEMORY. */
ptools_err transport_unix_new(const char *path, uint64_t until_us, struct transport **ret, struct problem *ret_problem);
/* "ipc://..." or "tcp://...". PTOOLS_ERR_TRANSPORT, _SYSTEM, _NO_MEMORY; whether anybody is there shows later. */
ptools_err transport_zmq_new(const char *endpoint, struct transport **ret, struct problem *ret_problem);
/* Ends it, if it has not ended yet. */
void transport_end(struct transport *t, ptools_err code, const char *format, ...)
    __attribute__((__format__(__printf__, 3, 4)));
struct transport *transport_free(struct transport *t, bool forked);

#endif
