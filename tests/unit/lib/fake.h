/* SPDX-License-Identifier: MIT */
/*
 * fake -- a daemon for the tests of libptools: a unix socket in a directory of its own, and a child
 * that serves it by a script.
 *
 * The parent listens before the child exists, so that a connect cannot come too early. The child
 * speaks ZMTP with the house's own codec, which libzmq also understands: so each test runs over both
 * transports, see fake_address(). Scripts run in the child and use FAKE_CHECK(); the parent learns of a
 * failed one in fake_end(). A script that the parent wants gone waits for the end of a connection.
 */
#ifndef TESTS_UNIT_LIB_FAKE_H
#define TESTS_UNIT_LIB_FAKE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <ptools/ptools.h>

#include "proto/message.h"
#include "proto/zmtp.h"

enum { VIA_UNIX, VIA_IPC, VIAS };

struct fake {
    char dir[64];
    char endpoint[128];
    int listener;
    int gate[2]; /* a pipe: its end of file is the parent's signal to the child */
    pid_t child;
    /* in the child */
    int fd;
    struct zmtp zmtp;
    struct chain out;
    struct intake in;
    struct zmtp_message message;
    struct msg_decoder *decoder;
    uint64_t message_max; /* told in hello; 0: not told */
    const char *epoch;    /* told in hello, 16 bytes; NULL: not told */
    unsigned connections; /* accepted so far */
};

typedef void fake_script(struct fake *f);

#define FAKE_CHECK(condition) fake_check(condition, #condition, __FILE__, __LINE__)
void fake_check(bool ok, const char *what, const char *file, int line);

/* -- in the parent ---------------------------------------------------------------------------------------- */

/* Makes the directory and listens. */
void fake_begin(struct fake *f);
/* Forks the child. May be called again when it has ended. */
void fake_run(struct fake *f, fake_script *script);
/* Lets fake_wait_gate() in the child go on. Once. */
void fake_open_gate(struct fake *f);
/* Waits for the child: its script must have come to its end without a failed check. */
void fake_join(struct fake *f);
/* Joins, and removes everything. */
void fake_end(struct fake *f);
/* How the library reaches it: the directory, or ipc://. */
const char *fake_address(struct fake *f, int via);
/* Opens a handle; the test fails if that fails. */
ptools *fake_open(struct fake *f, int via);

/* -- in scripts --------------------------------------------------------------------------------------------- */

/* Waits until the parent says so. */
void fake_wait_gate(struct fake *f);
/* Accepts, and makes the ZMTP handshake. False: the client has closed before its end. */
bool fake_accept(struct fake *f);
/* Accepts, and answers the hello. False: see above. */
bool fake_accept_hello(struct fake *f);
/* Until one says hello: attempts before it may have been given up as too long. */
void fake_accept_again(struct fake *f);
/* The next request. False: the client has closed. */
bool fake_next(struct fake *f, struct msg_request *ret);
/* The next request must be of this kind. */
void fake_next_of(struct fake *f, enum msg_kind kind, struct msg_request *ret);
/* The next request must be a call. Returns its id. */
uint64_t fake_next_call(struct fake *f);
/* Its payload; valid until the next fake_next(). */
struct span fake_payload(const struct fake *f);
void fake_reply(struct fake *f, const struct msg_answer *answer, const ptools_pack *value);
/* With what was packed as its payload, one value after the other: the records of a batch. */
void fake_reply_records(struct fake *f, const struct msg_answer *answer, const ptools_pack *records);
/* A reply to a call, as worker 1, with a number as its value. */
void fake_reply_number(struct fake *f, uint64_t id, uint64_t number);
/* The answer to inspect: two workers. */
void fake_reply_workers(struct fake *f, const struct msg_request *request);
void fake_error(struct fake *f, uint64_t id, ptools_err code, const char *message);
void fake_write(struct fake *f, const void *data, size_t n);
/* Waits until the client closes, drops what it sends meanwhile. */
void fake_until_closed(struct fake *f);
/* Nobody can connect from now on, until it is shown again. Also for the parent. */
void fake_hide(struct fake *f);
void fake_show(struct fake *f);
void fake_close(struct fake *f);

/* Serves so many connections, one after the other. Functions: t.echo X -> X; t.fail -> all facts of a failure;
 * t.hold -> nothing until t.release, then the answers in reverse; t.never; t.drop closes the connection
 * without an answer; t.big N -> N bytes; t.count -> how many connections there were. Sets and workers: see fake.c. */
void fake_serve(struct fake *f, unsigned connections);
/* A script: one batch of one item is answered, by one of many workers, and no more is read until the gate is open. */
void fake_serve_deaf(struct fake *f);
void fake_serve_one(struct fake *f); /* scripts */
void fake_serve_two(struct fake *f);

#endif
