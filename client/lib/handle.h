/* SPDX-License-Identifier: MIT */
/*
 * handle -- the inside of the library's objects: handle, future, worker set, and who does what.
 *
 *     call.c       makes a request of a call            workerset.c  sets
 *     request.c    sends requests, takes answers in     workers.c    workers, inspect
 *     wait.c       pump, waits, dispatch                futures.c    what a future tells
 *     open.c       options, addresses, connect, hello   private.c    starts a private daemon
 *     fds.c        the door of descriptors              arrays.c     creates and maps shared arrays, unlinks them
 *     shm_options.c their options, and files behind them  large.c    arguments and values that go by descriptor
 *     stasks.c     server tasks, from start to stop      stask_call.c calls of them, and their outcomes
 *     lane.c       the sockets to server tasks           multiplex.c  waiting for daemon and lanes at once
 *     queue.c      queued tasks: describes, submits      queued.c     by their ids: result, wait, change
 *     queued_list.c looks at them                        priorities.c for all that wait: calc() and pick()
 *     watch.c      what happens to them                  again.c      requests that outlive their connection
 *
 * Who owns what: the handle has a list of its futures and of its sets; both belong to the user and
 * may outlive it (then their `pt` is NULL). A future is in flight exactly while it is in the table
 * `in_flight`; an answer whose id is not there is dropped. While there is no connection, or one that has
 * ended, all that is in the table waits to be sent again: connection_end() ends every other future in it.
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
#include "proto/array.h"
#include "proto/chain.h"
#include "proto/fds.h"
#include "proto/intake.h"
#include "proto/link.h"
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
    TAKE_MAX = 4096,         /* answers taken in at once, before time is looked at again */
    SCRATCH_MAX = 8,         /* memory of large ones that is kept for the next */
    EPOCH_BYTES = 16,
    KEY_PASSING_BYTES = 16
};

struct again;
struct captured;
struct lane;
struct scratch;

struct ptools_future {
    struct ptools *pt;              /* NULL: closed */
    LIST_ENTRY(ptools_future) link; /* in pt->futures, or in pt->pool */
    UT_hash_handle hh;              /* in pt->in_flight */
    uint64_t id;                    /* of its request */
    uint64_t end;                   /* t->queued when its request had been queued */
    bool done;
    bool failed;
    struct failure failure; /* done and failed */
    uint32_t items;         /* done and failed, a batch: its items that have a record in the value all the same */
    struct msg_reply reply; /* done and not failed; its texts are not kept */
    struct blob *blob;      /* a large value ... */
    struct bytes copy;      /* ... a small one; both empty: nil */
    msgpack_object root;    /* the value, once it is parsed ... */
    bool parsed;
    struct payload payload; /* ... and its tree, if it is a list or map */
    ptools_future_fn fn;
    void *arg;
    struct scratch *args, *room, *value; /* large.c: memory that the call uses; of the value, once it is done */
    struct lane *lane;                   /* on whose list it is: a call of a server task that is not done */
    uint64_t call;                       /* the number of that call; 0: it is none of a server task */
    struct again *again;                 /* in flight: it outlives its connection; NULL: it does not */
    uint64_t task;                       /* that it is about, as far as that is known before it is done; 0 */
    ptools_worker_task_fn task_fn;       /* with fn, for a callback of a queued task (queue.c) */
    bool owned;                          /* by the library: no user has it */
    bool abandoned;                      /* freed by its user in flight: it goes when its answer has come */
    bool undo;                           /* ... and what that brings is ended */
    TAILQ_ENTRY(ptools_future) lane_link;
    TAILQ_ENTRY(ptools_future) ready_link;
    bool ready; /* in pt->ready: done, and fn was not called yet */
};

/* What is special about a request that outlives its connection. */
struct manner {
    struct ptools_watch *watch;  /* whose it is: it stays in flight when it is answered. Or NULL */
    ptools_worker_task_fn callback; /* of a submit: for its end, with ... */
    void *arg;                   /* ... this */
    bool once;                   /* it ends with its daemon: not for one that was started anew */
    bool bound;                  /* it names something of its connection: not for another one */
};
/* Such a request in flight, as it was sent: see again.c. */
struct again {
    TAILQ_ENTRY(again) link;     /* in pt->parked ... */
    bool parked;                 /* ... if it waits to be sent */
    enum msg_kind kind;
    struct ptools_future *f;
    struct manner how;
    bool left;                   /* it may have been taken by the daemon ... */
    bool anew;                   /* ... of a daemon that another has followed */
    bool cancelled;              /* a cancel is to follow it */
    uint64_t generation;         /* of the connection that it was made for: pt->generation */
    uint64_t start;              /* of the daemon that it was made for, then sent to: pt->starts */
    size_t envelope_bytes, payload_bytes;
    uint8_t bytes[];
};

/* Events of queued tasks. */
struct ptools_watch {
    struct ptools *pt;           /* NULL: closed */
    LIST_ENTRY(ptools_watch) link; /* in pt->watches */
    struct ptools_future *f;     /* of its request, in flight as long as it lives; done: the daemon has ended it */
    ptools_event_fn fn;
    void *arg;
    bool begun, ended;
    bool delivering, freed;
    size_t at, n, cap;           /* of those that wait to be told: the next, and how many there were */
    struct ptools_event *events;
    uint64_t missed;             /* came when there was no room for them; behind all in `events` */
};

struct ptools_workerset {
    struct ptools *pt;                 /* NULL: closed */
    LIST_ENTRY(ptools_workerset) link; /* in pt->sets */
    char name[NAME_BYTES_MAX + 1];     /* "": anonymous */
    uint32_t id;                       /* on the connection of ... */
    uint64_t generation;               /* ... this number */
};

/* The way to one server task, for this handle. */
struct lane {
    struct ptools_stasks *stasks;
    uint32_t index;
    uint32_t process;                /* the daemon's number of the process at its other end */
    int32_t pid;
    int fd;                          /* -1: it has ended */
    uint64_t last_call;
    struct intake in;
    struct chain out;
    struct link_frame head;          /* of the frame whose body is still coming */
    bool have_head;
    bool given_up;                   /* large values are not wanted any more */
    TAILQ_HEAD(lane_futures, ptools_future) futures; /* in flight, in order */
};

struct ptools_stasks {
    struct ptools *pt;                /* NULL: closed */
    LIST_ENTRY(ptools_stasks) link;   /* in pt->stasks */
    uint64_t id;                      /* on the connection of ... */
    uint64_t generation;              /* ... this number */
    bool named;
    bool stopped;                     /* asked to stop: no calls any more */
    bool gone;                        /* ... and all have ended */
    uint32_t n;
    struct lane *lanes;
    uint32_t n_arrays;
    struct ptools_array **arrays;
};

struct ptools_outcomes {
    uint32_t n;
    struct ptools_future *futures[];
};

struct settings {
    uint32_t flags;
    uint64_t large_bytes; /* 0: as the daemon says */
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
    uint32_t workers;            /* that it had when it said hello */
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
    TAILQ_HEAD(parked, again) parked; /* in flight, but not sent on this connection yet */
    bool connecting;             /* the daemon has not said hello yet */
    bool resting;                /* what is parked waits for the next call to connect */
    LIST_HEAD(, ptools_watch) watches;
    uint64_t again_until_us;     /* then it rests; 0: there was no attempt yet */
    uint64_t retry_us, pause_us; /* when to try next, and how long to wait if that is in vain, too */
    uint64_t patience_us;        /* how long an attempt may take at least */
    int timer_fd;                /* tells a loop of the user's when; -1 */
    uint8_t epoch[EPOCH_BYTES];  /* of the daemon */
    uint64_t starts;             /* how many different ones there were */
    struct passing_key {
        uint64_t count;
        uint8_t random[KEY_PASSING_BYTES - sizeof(uint64_t)];
    } key;                       /* of the last task that was queued ... */
    bool has_key;                /* ... if there was one */
    char *reason;                /* ptools_queued_why() */
    bool remotes_known;
    uint32_t remotes;
    LIST_HEAD(, ptools_workerset) sets;
    bool has_door;               /* the door of descriptors is known: */
    char door[SOCKET_PATH_BYTES_MAX + 1];
    uint8_t token[FDS_TOKEN_BYTES];
    int door_fd;                 /* -1: not connected */
    uint64_t large;              /* what counts as large on this connection; UINT64_MAX: nothing */
    uint64_t last_value_bytes;   /* of the last large value */
    struct scratch *scratches;   /* by next */
    struct ptools_array *arrays; /* mapped, by next */
    LIST_HEAD(, ptools_stasks) stasks;
    LIST_HEAD(, ptools_pmap) maps;
    TAILQ_HEAD(, captured) captured; /* what runs over many items have, or had, before the arguments of each */
    uint32_t last_map;
    unsigned lane_calls;         /* in flight on lanes */
    int epoll_fd, wake_fd;       /* multiplex.c; -1 */
    bool waking;
    int epoll_transport_fd;      /* what is in there of the transport; -1 */
    struct msg_decoder *decoder;
    struct bytes envelope;
    struct bytes aside;     /* the envelope of what is said while another may wait for room */
    struct payload scratch; /* where values are parsed */
    struct failure last;    /* the last failure; its message may be `text` */
    char text[512];
};

/* -- handle.c ------------------------------------------------------------------------------------ */

/* False in a child of the process that made pt. */
static inline bool handle_is_ours(const struct ptools *pt)
{
    return *pt->birthmark != 0;
}
/* Why pt cannot be used at all: NULL, closed, forked. */
ptools_err handle_refusal(struct ptools *pt);
/* That, or PTOOLS_OK. */
static inline ptools_err handle_check(struct ptools *pt)
{
    return pt && handle_is_ours(pt) && !pt->closing ? PTOOLS_OK : handle_refusal(pt);
}
struct ptools *handle_new(void);
struct ptools *handle_free(struct ptools *pt);
/* Record a failure of pt. The macros return its code, in the caller's sight: whoever reads that, be it a compiler, knows
 * that it is none but the one that stands there, and not PTOOLS_OK. */
void fail_record(struct ptools *pt, ptools_err code, const char *format, ...)
    __attribute__((__format__(__printf__, 3, 4)));
void fail_record_static(struct ptools *pt, ptools_err code, const char *text); /* text is not copied */
#define fail(pt, code, ...) (fail_record(pt, code, __VA_ARGS__), (ptools_err)(code))
#define fail_static(pt, code, text) (fail_record_static(pt, code, text), (ptools_err)(code))
#define fail_no_memory(pt) fail_static(pt, PTOOLS_ERR_NO_MEMORY, "this process is out of memory")
ptools_err fail_with(struct ptools *pt, const struct failure *failure);

/* -- open.c --------------------------------------------------------------------------------------- */

/* The first connect: options may be NULL. On failure the handle's last failure tells. */
ptools_err connection_open(struct ptools *pt, const ptools_options *options);
/* PTOOLS_OK: there is a connection that works, as far as one knows. Else connects, waiting until until_us
 * or for the connect timeout. */
ptools_err connection_ensure(struct ptools *pt, uint64_t until_us);
/* There is none from now on. */
void connection_free(struct ptools *pt);
/* The end of a wait that is bounded by the connect timeout, and by until_us. */
uint64_t round_trip_until_us(const struct ptools *pt, uint64_t until_us);

/* -- private.c ------------------------------------------------------------------------------------- */

/* Starts a private daemon that serves dir, and returns when it is ready, or why it is not. */
ptools_err private_start(const struct settings *settings, const char *dir, uint64_t until_us,
                         struct problem *ret_problem);
/* A new directory for one; the caller's to free. NULL: *ret_problem tells. */
char *private_dir_new(struct problem *ret_problem);

/* -- fds.c ------------------------------------------------------------------------------------------- */

/* One question at the door of descriptors; give_fd: sent along, -1: none. PTOOLS_OK: *ret, and what came, if it is
 * wanted, in *ret_fd. Connects if need be. Waits at most until until_us, or for the connect timeout. */
ptools_err fds_ask(struct ptools *pt, struct fds_request *request, int give_fd, uint64_t until_us,
                   struct fds_answer *ret, int *ret_fd);
/* PTOOLS_OK, or that there is no such door: not a daemon of this machine. */
ptools_err fds_check(struct ptools *pt);
/* What hello told of it. */
void fds_learn(struct ptools *pt, const struct msg_reply *reply);
/* The connection that the token belonged to is gone. */
void fds_forget(struct ptools *pt);

/* -- arrays.c ---------------------------------------------------------------------------------------- */

/* Asks for a descriptor and maps it; *ret is in the handle's list. */
ptools_err array_map(struct ptools *pt, struct fds_request *request, uint32_t flags, uint64_t until_us,
                     struct ptools_array **ret);
/* The handle is closed. */
void arrays_orphan(struct ptools *pt);
/* Creates one; its number. One that is there after until_us is ended again, if the daemon tells of it. Before a limit
 * is in its way, what pmap keeps unused goes. */
ptools_err array_create(struct ptools *pt, const struct msg_array *m, uint64_t until_us, uint64_t *ret_id);
/* Ends one without waiting for an answer; without a connection it has ended with that. pt's last failure stays. */
void array_unlink(struct ptools *pt, uint64_t id);

/* -- shm_options.c ------------------------------------------------------------------------------------ */

/* Checks a configuration and its options; what can be known without asking. everywhere: in all workers. */
ptools_err shm_describe(struct ptools *pt, const ptools_shmcfg *cfg, const ptools_shm_options *options,
                        struct msg_array *ret);
/* NULL: the defaults. */
ptools_err shm_options_read(struct ptools *pt, const ptools_shm_options *given, ptools_shm_options *ret);
ptools_err shm_check_names(struct ptools *pt, const char *name, const char *prefix);
/* A file for an array: opened, made long enough, and given to the daemon, under *ret_number. */
struct shm_file {
    int fd; /* -1: none */
    bool made;
    uint64_t before, grown; /* how long it was, and is now; 0, 0: it was long enough */
    uint64_t number;
};
ptools_err shm_file_open(struct ptools *pt, const ptools_shm_options *options, uint64_t bytes, struct shm_file *ret);
/* The array is there (code PTOOLS_OK), or is not: the file is emptied, or removed if it was made for it. */
ptools_err shm_file_settle(struct ptools *pt, struct shm_file *file, const ptools_shm_options *options, uint64_t bytes,
                           ptools_err code);

/* -- large.c ------------------------------------------------------------------------------------------ */

/* For a call with n bytes of arguments: memory for them, if they are large and there is some (*ret_args), and for its
 * value (*ret_room); NULL: none. The arguments are copied. PTOOLS_ERR_TIMEOUT: the daemon did not answer until
 * until_us, or for as long as a round trip and so much memory may take; PTOOLS_ERR_LOST: the connection is another
 * one now. */
ptools_err large_prepare(struct ptools *pt, const uint8_t *payload, size_t n, uint64_t until_us,
                         struct scratch **ret_args, struct scratch **ret_room);
uint64_t scratch_id(const struct scratch *s); /* 0 for NULL */
/* It was not used after all; NULL is welcome. */
void scratch_give_back(struct scratch *s);
/* A value has come by descriptor. PTOOLS_OK: it is the future's. */
ptools_err large_take_value(struct ptools_future *f, uint64_t id, uint64_t bytes);
/* The value's bytes. */
const uint8_t *scratch_data(const struct scratch *s, size_t *ret_n);
/* The call is done: its arguments, and a room that was not used, are free for the next. */
void large_done(struct ptools_future *f);
/* The future goes. Not done: what it used is given up, for the task may still use it. */
void large_release(struct ptools_future *f);
/* The handle goes: a value stays with its future, until that is destroyed. */
void large_orphan(struct ptools_future *f);
void large_destroy(struct ptools_future *f);
/* All of it: the handle is closed, or the connection is a new one. */
void scratch_forget(struct ptools *pt);

/* -- pmap_captured.c ---------------------------------------------------------------------------------- */

/* What no run uses goes: the handle is closed, the connection is a new one, or its memory is needed. Whether anything
 * went. */
bool captured_forget(struct ptools *pt);

/* -- lane.c ------------------------------------------------------------------------------------------- */

/* Gets a socket to the server task. */
ptools_err lane_open(struct lane *lane);
/* It ends, with what is in flight on it: the daemon is asked what became of that. */
void lane_end(struct lane *lane);
/* The same without a question: what has come is taken in, but for large values, which are ended; what is still in
 * flight fails so. */
void lane_give_up(struct lane *lane, ptools_err code, const char *text);
/* Starts a call; *ret_future is in flight, or done with the reason why not. until_us: for memory of large arguments. */
ptools_err lane_call(struct lane *lane, const char *function, const uint8_t *payload, size_t n, uint64_t until_us,
                     struct ptools_future **ret_future);
void lane_flush(struct lane *lane);
/* Asks the daemon to stop it; what it answers nobody hears. */
ptools_err lane_cancel(struct ptools_future *f);
/* Takes in what has come. True if anything did. */
bool lane_receive(struct lane *lane);
static inline bool lane_is_awaited(const struct lane *lane)
{
    return lane->fd >= 0 && (lane->out.n > 0 || !TAILQ_EMPTY(&lane->futures));
}

/* -- stasks.c ------------------------------------------------------------------------------------------- */

/* The handle pt goes: its server tasks have no way any more. */
void stasks_orphan(struct ptools_stasks *s);
/* The connection is about to be another one: all lanes end. */
void stasks_disconnect(struct ptools *pt);
/* PTOOLS_OK, or why they cannot be called. */
ptools_err stasks_check(struct ptools_stasks *s);

/* -- stask_call.c --------------------------------------------------------------------------------------- */

/* Runs it, with the same arguments, in those that are picked, and waits for all. */
ptools_err stasks_call_each(struct ptools_stasks *s, const char *function, const ptools_pack *args, const bool *which);

/* -- multiplex.c ---------------------------------------------------------------------------------------- */

/* As connection_pump(), for the daemon and all lanes that something is awaited from. */
bool handle_pump(struct ptools *pt, uint64_t until_us);
/* The same for the wait for all server tasks of a handle, one after the other: what else is in flight on other lanes of
 * that handle wakes nobody, where it is one call alone. lane NULL: no such wait. */
bool handle_pump_lane(struct ptools *pt, const struct lane *lane, uint64_t until_us);
/* Whether anything is in flight or waits to be sent on a lane. */
bool lanes_busy(const struct ptools *pt);
/* What ptools_fd() and ptools_events() are, once there are lanes. */
int multiplex_fd(struct ptools *pt);
short multiplex_events(struct ptools *pt, bool wake);
void multiplex_close(struct ptools *pt);
/* The transport is about to be freed. */
void multiplex_leave(struct ptools *pt);
/* What makes the user's loop wake, and nobody waits for: lanes that ended while they had nothing to do. True if so. */
bool multiplex_look(struct ptools *pt);

/* -- request.c -------------------------------------------------------------------------------------- */

static inline bool connection_alive(const struct ptools *pt)
{
    return pt->transport && pt->transport->end.code == PTOOLS_OK;
}
/* The transport has ended: so do all futures in flight. */
void connection_end(struct ptools *pt);
/* Sends what has gathered, as long as the daemon takes it, or until until_us. */
void connection_push(struct ptools *pt, uint64_t until_us);
/* Takes in what has come. True if anything did. */
bool connection_receive(struct ptools *pt);
/* Waits until bytes have moved, and takes in what came. False: the time was over first. */
bool connection_pump(struct ptools *pt, uint64_t until_us);
/* Sends one request on the connection that there is (request->id is set here). *ret_future is in flight; NULL: the
 * answer will be dropped. PTOOLS_ERR_LOST: the connection turned out to have ended, and nothing of the request has
 * left. */
ptools_err request_send(struct ptools *pt, struct msg_request *request, const uint8_t *payload, size_t n,
                        uint64_t until_us, struct ptools_future **ret_future);
/* The same of a payload that lies in a blob, perhaps: to the end of it, it is not copied. */
ptools_err request_send_span(struct ptools *pt, struct msg_request *request, const struct span *payload,
                             uint64_t until_us, struct ptools_future **ret_future);
/* Sends one whose answer will be dropped, past all limits of what may wait, and never waits itself: for what is said on
 * the way out of something else. False: it cannot be sent. pt's last failure stays. */
bool request_tell(struct ptools *pt, struct msg_request *request);
/* The same for a future that was in flight elsewhere. If it cannot be sent, it ends with that. */
void request_send_for(struct ptools *pt, struct msg_request *request, struct ptools_future *f);
/* As request_send(), on a new connection if need be, of a request that outlives its connection: *ret_future is in
 * flight, sent or not. */
ptools_err request_send_again(struct ptools *pt, struct msg_request *request, const uint8_t *payload, size_t n,
                              uint64_t until_us, const struct manner *how, struct ptools_future **ret_future);
/* The same for what is said on the way out of something else: it never waits, and connects nothing. */
ptools_err request_tell_again(struct ptools *pt, struct msg_request *request, const struct manner *how,
                              struct ptools_future **ret_future);
/* Sends, on a new connection if need be, and waits for the answer, at most until until_us. On PTOOLS_OK *ret_future is
 * done, well or not. set: NULL, or the request is about this set. */
ptools_err request_ask(struct ptools *pt, struct msg_request *request, struct ptools_workerset *set,
                       const uint8_t *payload, size_t n, uint64_t until_us, struct ptools_future **ret_future);
/* The same; on PTOOLS_OK *ret_future (may be NULL) did not fail. */
ptools_err request_round_trip(struct ptools *pt, struct msg_request *request, struct ptools_workerset *set,
                              struct ptools_future **ret_future);
ptools_err request_wait(struct ptools *pt, struct msg_request *request, uint64_t until_us,
                        struct ptools_future **ret_future);
/* A struct that a caller filled in: given (NULL: nothing to do) is copied over *ret, which holds the defaults. A struct
 * of an older library, down to first_bytes, is welcome; fields that this one does not know must be 0. */
ptools_err options_read(struct ptools *pt, const char *what, const void *given, size_t first_bytes, void *ret,
                        size_t bytes);
/* The same without a handle: what is wrong is written to why. */
ptools_err options_copy(const char *what, const void *given, size_t first_bytes, void *ret, size_t bytes, char *why,
                        size_t why_bytes);
/* Waits for one. PTOOLS_OK: done. PTOOLS_ERR_TIMEOUT. */
ptools_err future_await(struct ptools_future *f, uint64_t until_us);

/* -- again.c ------------------------------------------------------------------------------------------- */

/* The future's request as it is sent. False: no memory. */
bool again_attach(struct ptools_future *f, enum msg_kind kind, const struct bytes *envelope, const uint8_t *payload,
                  size_t n, const struct manner *how);
/* It was sent, on this connection; f->end is set. */
void again_sent(struct ptools_future *f);
/* It is answered, or not wanted any more. f->again may be NULL. */
void again_drop(struct ptools_future *f);
/* It waits to be sent. */
void again_park(struct ptools_future *f);
/* Sends what is parked, as far as it is taken; never waits. */
void again_flush(struct ptools *pt);
/* Something is parked and there is no connection for it, but one may be made. */
static inline bool again_is_due(const struct ptools *pt)
{
    return !TAILQ_EMPTY(&pt->parked) && !connection_alive(pt) && !pt->resting && !pt->connecting;
}
/* It is due: tries to connect, or waits until it is time to try. False: the time was over first. */
bool again_connect(struct ptools *pt, uint64_t until_us);
/* As connection_ensure(), but a daemon that was there a moment ago is waited for, within the connect timeout; once. */
ptools_err again_ensure(struct ptools *pt, uint64_t until_us);
/* There is a connection. */
void again_connected(struct ptools *pt);
/* What hello told of the daemon. */
void again_learn(struct ptools *pt, struct text epoch);
/* The daemon's NO_TASK, for a task that it knew before the connection was lost: fills *ret, with a text in room. False:
 * it is what it is. */
bool again_explain(const struct ptools_future *f, const struct msg_failure *told, char *room, size_t room_bytes,
                   struct msg_failure *ret);
/* A descriptor that is readable when something is to be done without a connection: -1: nothing is. */
int again_fd(struct ptools *pt);

/* -- queue.c, queued.c, priorities.c, queued_list.c, watch.c ------------------------------------------- */

/* A submit with a callback was accepted: asks for the end, of it or of its parts. */
ptools_err queue_follow(struct ptools *pt, const struct manner *submit, const struct msg_reply *accepted);

/* what: the change, without tasks. In parts of TASK_IDS_MAX; those to which it cannot be done are no failure. */
ptools_err queued_change_some(struct ptools *pt, const uint64_t *tasks, size_t n, const struct msg_task *what,
                              uint64_t *ret_changed);
/* In one message; what is given is overwritten. The counts may be NULL. */
ptools_err queued_set_priorities(struct ptools *pt, struct msg_priority *given, size_t n, uint64_t *ret_changed,
                                 uint64_t *ret_skipped);

/* A page of a list: as the daemon told it, for queued_read(). */
struct queued_page {
    struct ptools_future *f;
    ptools_value tasks;
    uint32_t n;
    uint64_t next; /* what to ask for next; 0: that was the last */
};
/* request: task-get or task-list. */
ptools_err queued_page_ask(struct ptools *pt, struct msg_request *request, struct queued_page *ret);
void queued_page_free(struct queued_page *page);
/* Look i; its texts and lists, and *ret_args, come from zone. */
ptools_err queued_read(struct ptools *pt, const struct queued_page *page, uint32_t i, msgpack_zone *zone,
                       ptools_queued_info *ret, struct span *ret_args);
/* Their value, in *room and zone, or nil if they are none. False: nil, for lack of memory. */
bool queued_read_args(const struct span *args, msgpack_zone *zone, msgpack_object *room, ptools_value *ret);

/* Its request was answered: for the first time, or on another connection. */
void watch_answered(struct ptools_watch *w);
void watch_take(struct ptools_watch *w, const struct msg_event *told);
/* The handle goes. */
void watch_orphan(struct ptools_watch *w);

/* -- futures.c --------------------------------------------------------------------------------------- */

/* From the pool, or new; NULL: no memory. Belongs to pt->futures. */
struct ptools_future *future_new(struct ptools *pt);
/* So many can be had from future_new() without memory. False: they cannot. */
bool futures_reserve(struct ptools *pt, uint32_t n);
/* One that is done, and failed as pt did last. NULL: no memory. */
struct ptools_future *future_new_failed(struct ptools *pt);
/* Its callback is due; or not, after all. */
void future_ready(struct ptools_future *f);
void future_unready(struct ptools_future *f);
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
ptools_err workerset_resolve(struct ptools_workerset *set, uint64_t until_us, uint32_t *ret_id);

#endif
