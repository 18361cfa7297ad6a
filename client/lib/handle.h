/* SPDX-License-Identifier: MIT */
/*
 * handle -- the inside of the library's objects: handle, future, worker set, and who does what.
 *
 *     call.c       makes a request of a call            workerset.c  sets
 *     request.c    sends requests, takes answers in     workers.c    workers, inspect
 *     wait.c       pump, waits, dispatch                futures.c    what a future tells
 *     open.c       options, addresses, connect, hello   private.c    starts a private daemon
 *
 * Who owns what: the handle has a list of its futures and of its sets; both belong to the user and
 * may outlive it (then their `pt` is NULL). A future is in flight exactly while it is in the table
 * `in_flight`; an answer whose id is not there is dropped. The table is empty while there is no
 * connection, or one that has ended: connection_end() ends every future in it.
 *
 * Every public function begins with handle_check(). Callbacks are called by ptools_dispatch() alone,
 * and may call anything, ptools_close() too: then the struct lives until the dispatch ends.
 */
#ifndef CLIENT_LIB_HANDLE_H
#define CLIENT_LIB_HANDLE_H

#include <sys/queue.h>

#include <ptools/ptools.h>

#define HASH_NONFATAL_OOM          1 /* a future whose hh.tbl is NULL after HASH_ADD found no memory */
#define HASH_FUNCTION(key, n, ret) ((ret) = (unsigned)*(const uint64_t *)(key)) /* ids count up: they are hash enough  \
                                                                                 */
#include <uthash.h>

#include "client/lib/clock.h"
#include "client/lib/failure.h"
#include "client/lib/transport.h"
#include "proto/message.h"
#include "proto/value.h"

enum {
    CONNECT_TIMEOUT_MS = 5000,
    SEND_PATIENCE_MS = 100, /* for a daemon that takes no bytes, in ptools_remotecall() */
    UNSENT_BYTES_MAX = 16 * 1024 * 1024,
    CORKED_BYTES_MAX = 64 * 1024,
    IN_FLIGHT_MAX = 1024 * 1024,
    POOL_MAX = 256,          /* futures kept for the next call, with their memory ... */
    POOL_VALUE_BYTES = 4096, /* ... unless it is more than this */
    TAKE_MAX = 4096          /* answers taken in at once, before time is looked at again */
};

struct ptools_future {
    struct ptools *pt;              /* NULL: closed */
    LIST_ENTRY(ptools_future) link; /* in pt->futures, or in pt->pool */
    UT_hash_handle hh;              /* in pt->in_flight */
    uint64_t id;                    /* of its request */
    uint64_t end;                   /* t->queued when its request had been queued */
    bool done;
    bool failed;
    struct failure failure; /* done and failed */
    struct msg_reply reply; /* done and not failed; its texts are not kept */
    struct blob *blob;      /* a large value ... */
    struct bytes copy;      /* ... a small one; both empty: nil */
    msgpack_object root;    /* the value, once it is parsed ... */
    bool parsed;
    struct payload payload; /* ... and its tree, if it is a list or map */
    ptools_future_fn fn;
    void *arg;
    TAILQ_ENTRY(ptools_future) ready_link;
    bool ready; /* in pt->ready: done, and fn was not called yet */
};

struct ptools_workerset {
    struct ptools *pt;                 /* NULL: closed */
    LIST_ENTRY(ptools_workerset) link; /* in pt->sets */
    char name[NAME_BYTES_MAX + 1];     /* "": anonymous */
    uint32_t id;                       /* on the connection of ... */
    uint64_t generation;               /* ... this number */
};

struct settings {
    uint32_t flags;
    int64_t connect_timeout_ms;
    uint32_t private_workers;
    char *module_path; /* NULL: the daemon's own */
};

struct ptools {
    const volatile unsigned char *birthmark; /* a page that the kernel wipes in a forked child */
    struct settings settings;
    char *address;               /* directory or endpoint; decided by ptools_open(), then kept */
    bool implied;                /* nobody named it: a private daemon gets a directory of its own */
    struct transport *transport; /* NULL: none. One that has ended is kept until somebody was told */
    uint64_t generation;         /* connections so far */
    uint64_t message_max;        /* of this connection's daemon */
    uint64_t last_id;
    unsigned corks;
    unsigned dispatching;            /* depth */
    bool closing;                    /* ptools_close() was called by a callback */
    struct ptools_future *in_flight; /* by id */
    LIST_HEAD(, ptools_future) futures;
    LIST_HEAD(, ptools_future) pool;
    unsigned n_pool;
    TAILQ_HEAD(ready_futures, ptools_future) ready;
    unsigned n_ready;
    LIST_HEAD(, ptools_workerset) sets;
    struct msg_decoder *decoder;
    struct bytes envelope;
    struct payload scratch; /* where values are parsed */
    struct failure last;    /* the last failure; its message may be `text` */
    char text[512];
};

/* -- handle.c ------------------------------------------------------------------------------------ */

/* PTOOLS_OK, or why pt cannot be used at all: NULL, closed, forked. */
ptools_err handle_check(struct ptools *pt);
/* False in a child of the process that made pt. */
bool handle_is_ours(const struct ptools *pt);
struct ptools *handle_new(void);
struct ptools *handle_free(struct ptools *pt);
/* Record a failure of pt and return its code. */
ptools_err fail(struct ptools *pt, ptools_err code, const char *format, ...)
    __attribute__((__format__(__printf__, 3, 4)));
ptools_err fail_static(struct ptools *pt, ptools_err code, const char *text); /* text is not copied */
ptools_err fail_no_memory(struct ptools *pt);
ptools_err fail_with(struct ptools *pt, const struct failure *failure);

/* -- open.c --------------------------------------------------------------------------------------- */

/* The first connect: options may be NULL. On failure the handle's last failure tells. */
ptools_err connection_open(struct ptools *pt, const ptools_options *options);
/* PTOOLS_OK: there is a connection that works, as far as one knows. Else connects, waiting until until_us
 * or for the connect timeout. */
ptools_err connection_ensure(struct ptools *pt, uint64_t until_us);
/* The end of a wait that is bounded by the connect timeout, and by until_us. */
uint64_t round_trip_until_us(const struct ptools *pt, uint64_t until_us);

/* -- private.c ------------------------------------------------------------------------------------- */

/* Starts a private daemon that serves dir, and returns when it is ready, or why it is not. */
ptools_err private_start(const struct settings *settings, const char *dir, uint64_t until_us,
                         struct problem *ret_problem);
/* A new directory for one; the caller's to free. NULL: *ret_problem tells. */
char *private_dir_new(struct problem *ret_problem);

/* -- request.c -------------------------------------------------------------------------------------- */

static inline bool connection_alive(const struct ptools *pt)
{
    return pt->transport && pt->transport->end.code == PTOOLS_OK;
}
/* The transport has ended: so do all futures in flight. */
void connection_end(struct ptools *pt);
/* Sends what has gathered, as long as the daemon takes it. */
void connection_push(struct ptools *pt);
/* Takes in what has come. True if anything did. */
bool connection_receive(struct ptools *pt);
/* Waits until bytes have moved, and takes in what came. False: the time was over first. */
bool connection_pump(struct ptools *pt, uint64_t until_us);
/* Sends one request on the connection that there is (request->id is set here). *ret_future is in flight; NULL: the
 * answer will be dropped. PTOOLS_ERR_LOST: the connection turned out to have ended, and nothing of the request has
 * left. */
ptools_err request_send(struct ptools *pt, struct msg_request *request, const uint8_t *payload, size_t n,
                        uint64_t until_us, struct ptools_future **ret_future);
/* Sends, on a new connection if need be, and waits for the answer. On PTOOLS_OK *ret_future (may be NULL)
 * is done and did not fail. set: NULL, or the request is about this set. */
ptools_err request_round_trip(struct ptools *pt, struct msg_request *request, struct ptools_workerset *set,
                              struct ptools_future **ret_future);
/* Waits for one. PTOOLS_OK: done. PTOOLS_ERR_TIMEOUT. */
ptools_err future_await(struct ptools_future *f, uint64_t until_us);

/* -- futures.c --------------------------------------------------------------------------------------- */

/* From the pool, or new; NULL: no memory. Belongs to pt->futures. */
struct ptools_future *future_new(struct ptools *pt);
/* They end it: it leaves the table, and its callback is due. */
void future_succeed(struct ptools_future *f, const struct msg_reply *reply);
void future_fail(struct ptools_future *f, const struct msg_failure *told);
/* Why did the daemon not answer: a future whose connection ended with `code` before its answer. */
void future_lose(struct ptools_future *f, ptools_err code, const char *text);
/* PTOOLS_OK and the value (nil if there is none), or PTOOLS_ERR_PROTOCOL, _NO_MEMORY. f did not fail. */
ptools_err future_value(struct ptools_future *f, ptools_value *ret);
void future_destroy(struct ptools_future *f); /* its memory, nothing else */
/* The pt of f is about to go. */
void future_orphan(struct ptools_future *f);

/* -- wait.c -------------------------------------------------------------------------------------------- */

/* PTOOLS_OK, or PTOOLS_ERR_INVALID and why. */
ptools_err check_timeout(struct ptools *pt, int64_t timeout_ms);
/* f is done: PTOOLS_OK and its value (ret may be NULL), or its failure, which becomes the last one of its handle. */
ptools_err future_result(struct ptools_future *f, ptools_value *ret);

/* -- workerset.c --------------------------------------------------------------------------------------- */

/* The number of the set on the current connection: looks a named one up again after a reconnect. */
ptools_err workerset_resolve(struct ptools_workerset *set, uint32_t *ret_id);

#endif
