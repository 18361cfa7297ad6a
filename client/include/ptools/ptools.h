/* SPDX-License-Identifier: MIT */
/*
 * ptools.h -- call functions in the worker processes of a ptoolsd daemon.
 *
 * Errors   Everything that can fail returns ptools_err. On failure no ret_ parameter is touched,
 *          and ptools_error_message() tells the story behind the code.
 * Owning   ret_ parameters hand you an object: release it with its _free or _close. What an
 *          accessor returns is borrowed: it lives as long as the object it came from. Every
 *          release function accepts NULL and returns NULL.
 * Waiting  Timeouts are milliseconds: PTOOLS_FOREVER waits, 0 only looks. A wait that times out
 *          leaves its task running; a deadline (ptools_call_options) stops the task itself.
 * Threads  A ptools and all that came from it belong to one thread at a time; different handles
 *          are independent. No globals, no threads of its own, no signal handlers, no output.
 * Forking  A handle does not survive fork(): in the child every call returns PTOOLS_ERR_FORKED;
 *          only ptools_close() and the _free functions work there (they release memory and touch
 *          no connection).
 * Delivery A call is executed at most once. When the connection ends before the answer, the
 *          future ends with PTOOLS_ERR_LOST, or with the reason that the daemon gave or the
 *          library had (PTOOLS_ERR_PROTOCOL): ptools_failure.maybe_executed tells whether it may
 *          have run; it is never repeated. The next call connects anew by itself if the daemon is
 *          back. Each connect, and each "round trip" below, ends after the connect timeout of
 *          ptools_options with PTOOLS_ERR_TIMEOUT.
 *
 * The calls and their names come from PTools.jl (WorkerSet) and Julia's Distributed.
 */
#ifndef PTOOLS_H
#define PTOOLS_H

#include <ptools/error.h>
#include <ptools/value.h>

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

#define PTOOLS_VERSION_NUMBER 100 /* major * 10000 + minor * 100 + patch                         */
#define PTOOLS_FOREVER INT64_C(-1)

uint32_t ptools_version_number(void); /* of the library in use: compare with the above           */
const char *ptools_version(void);     /* the same as text: "0.1.0"                               */

typedef struct ptools ptools;                     /* a connection to one daemon                  */
typedef struct ptools_future ptools_future;       /* a call, finished or not                     */
typedef struct ptools_workerset ptools_workerset; /* a subset of the workers, held by the daemon */

/* -- connection ----------------------------------------------------------------------------- */

enum {
    PTOOLS_PRIVATE = 1 /* where no daemon runs, start one that ends with its last connection.
                          PTOOLS_DAEMON in the environment names the program to start.           */
};

typedef struct ptools_options {
    uint32_t struct_size;       /* set by PTOOLS_OPTIONS_INIT; new fields come at the end        */
    uint32_t flags;             /* PTOOLS_PRIVATE or 0; unknown bits are refused                 */
    const char *address;        /* a directory (absolute: its daemon's socket), or "ipc://PATH" or
                                   "tcp://HOST:PORT" (through libzmq, loaded when named).
                                   NULL: $PTOOLS_ADDRESS, then $PTOOLS_DIR, then the user's daemon
                                   ($XDG_RUNTIME_DIR/ptools), then the system's (/run/ptools)    */
    int64_t connect_timeout_ms; /* 0: 5000; PTOOLS_FOREVER                                       */
    uint32_t private_workers;   /* workers of a private daemon; 0: one a processor               */
    const char *module_path;    /* module directories of a private daemon, ':' between; NULL: its own */
} ptools_options;
#define PTOOLS_OPTIONS_INIT { sizeof(ptools_options), 0, NULL, 0, 0, NULL }

/* Connects and agrees on a protocol version. options may be NULL. Blocks up to the connect timeout.
 * PTOOLS_ERR_NO_DAEMON, _DENIED, _VERSION, _PROTOCOL, _TIMEOUT, _TRANSPORT, _INVALID, _NO_MEMORY, _SYSTEM;
 * _LOST: the peer closed at once; and what a daemon refuses connections with (_LIMIT, _DRAINING).
 * There is no handle to ask when it fails: *ret_message, if ret_message is not NULL, is set to a
 * text that is valid until the thread's next ptools_open(). */
ptools_err ptools_open(const ptools_options *options, ptools **ret_pt, const char **ret_message);

/* Frees. Calls in flight are cancelled by the daemon (those of ptools_remote_do() go on). Futures
 * still around do not dangle: those in flight end with PTOOLS_ERR_CLOSED, those that were done
 * keep what they have; worker sets answer PTOOLS_ERR_CLOSED. Callbacks that had not run never
 * will. Does not block. May be called from a callback. */
ptools *ptools_close(ptools *pt);

/* The story of the last failure on pt, one sentence or more; "" if there was none. Never NULL; valid
 * until the next failure on pt. ptools_last_failure() has the facts. */
const char *ptools_error_message(ptools *pt);

/* For your own event loop: poll ptools_fd() for ptools_events() (POLLIN, POLLOUT), then call
 * ptools_dispatch(pt, 0) until it returns something else than PTOOLS_OK. Ask both again before each
 * poll: the descriptor changes when the library connects anew, and the events make poll() return at
 * once while callbacks wait to be run. -1 and 0 while there is no connection. */
int ptools_fd(ptools *pt);
short ptools_events(ptools *pt);

/* Moves bytes and calls the callbacks of futures that ended (ptools_future_then()): callbacks run
 * here and nowhere else. Calls that a callback starts leave together when the callbacks have run.
 * Waits up to timeout_ms for something to happen. PTOOLS_OK: something did; PTOOLS_ERR_AGAIN: nothing;
 * PTOOLS_ERR_LOST: there is no connection, and nothing is in flight: no need to dispatch before the
 * next call; PTOOLS_ERR_CLOSED: a callback has closed pt. */
ptools_err ptools_dispatch(ptools *pt, int64_t timeout_ms);

/* A call leaves the process when it is started, which costs a system call each. Between cork and
 * uncork calls gather and leave together: at uncork, in any wait or dispatch, or when 64 KiB have
 * gathered. Corks nest. PTOOLS_ERR_INVALID: uncork without cork. */
ptools_err ptools_cork(ptools *pt);
ptools_err ptools_uncork(ptools *pt);

/* -- calls (contract: remotecall, remotecall_fetch, remotecall_wait, remote_do) --------------- */

typedef struct ptools_call_options {
    uint32_t struct_size; /* set by PTOOLS_CALL_OPTIONS_INIT                                     */
    uint32_t flags;       /* must be 0                                                           */
    uint32_t worker;      /* 0: any of the set; else this worker and no other                    */
    int64_t deadline_ms;  /* 0: none; else, that long after the daemon took the call, the task is
                             stopped, even in an endless loop, or taken from the queue           */
} ptools_call_options;
#define PTOOLS_CALL_OPTIONS_INIT { sizeof(ptools_call_options), 0, 0, 0 }

/* Common to the four: function is "module.function"; args may be NULL (no arguments), stays yours
 * and may be used again; set NULL is all workers, first free; options may be NULL. */

/* Starts; returns at once with a future. What the daemon has to say about the call, also a
 * refusal, comes through the future. Large arguments take the time that the daemon takes to read
 * them; when it reads nothing for 100 ms the rest leaves with the next wait or dispatch. While more
 * than 16 MiB wait to leave it blocks, and gives up with PTOOLS_ERR_TIMEOUT, nothing started, when
 * the daemon reads nothing for the connect timeout. */
ptools_err ptools_remotecall(ptools *pt, ptools_workerset *set, const char *function, const ptools_pack *args,
                             const ptools_call_options *options, ptools_future **ret_future);

/* Starts, waits, and hands out the value, all in one round trip. On PTOOLS_OK *ret_future is done
 * and owns *ret_value (either may be NULL if not wanted; without ret_future no ret_value).
 * Otherwise the code of the failure, and ptools_last_failure() has the facts. When the wait times
 * out the task is cancelled: nobody could ask for it any more. */
ptools_err ptools_remotecall_fetch(ptools *pt, ptools_workerset *set, const char *function, const ptools_pack *args,
                                   const ptools_call_options *options, int64_t timeout_ms,
                                   ptools_future **ret_future, ptools_value *ret_value);

/* Starts and waits until the task is done, well or not; the value stays fetchable. PTOOLS_OK: it
 * is done; *ret_future tells how. PTOOLS_ERR_TIMEOUT: *ret_future IS set (the one exception to
 * the rule on ret_ parameters) and the task goes on. */
ptools_err ptools_remotecall_wait(ptools *pt, ptools_workerset *set, const char *function, const ptools_pack *args,
                                  const ptools_call_options *options, int64_t timeout_ms,
                                  ptools_future **ret_future);

/* Starts and expects no answer. Blocks for one round trip to the daemon (not to the worker), so
 * that a refusal is known; the task goes on when this client ends. ret_task may be NULL. */
ptools_err ptools_remote_do(ptools *pt, ptools_workerset *set, const char *function, const ptools_pack *args,
                            const ptools_call_options *options, uint64_t *ret_task);

/* -- futures -------------------------------------------------------------------------------- */

bool ptools_future_done(ptools_future *f);  /* only looks; moves no bytes: see ptools_dispatch() */
uint64_t ptools_future_task(ptools_future *f); /* the daemon's task id; 0 while not done         */
uint32_t ptools_future_worker(ptools_future *f); /* where it ran; 0 if nowhere or not done       */

/* PTOOLS_OK: done, well or not. PTOOLS_ERR_TIMEOUT: not yet. */
ptools_err ptools_future_wait(ptools_future *f, int64_t timeout_ms);
/* Waits, then: PTOOLS_OK and the value (borrowed from f), or the failure of the call, or
 * PTOOLS_ERR_TIMEOUT. May be called again: the value stays. */
ptools_err ptools_future_fetch(ptools_future *f, int64_t timeout_ms, ptools_value *ret_value);

/* Waits until one of the n is done: the lowest such index. NULL entries are passed over;
 * PTOOLS_ERR_INVALID if nothing is left to wait for. All must come from pt. */
ptools_err ptools_wait_any(ptools *pt, ptools_future *const *futures, size_t n, int64_t timeout_ms, size_t *ret_index);
/* Waits until all of them are done. NULL entries are passed over. */
ptools_err ptools_wait_all(ptools *pt, ptools_future *const *futures, size_t n, int64_t timeout_ms);

/* Asks the daemon to stop the task or to take it from the queue. Does not wait: the future ends
 * with PTOOLS_ERR_CANCELLED, or with what it had come to before. PTOOLS_OK also when done. */
ptools_err ptools_future_cancel(ptools_future *f);

/* fn(f, arg) is called once, from ptools_dispatch(), when f is done (also if it is already). It
 * may call anything, also ptools_future_free(f). One per future: a second call replaces it. */
typedef void (*ptools_future_fn)(ptools_future *f, void *arg);
ptools_err ptools_future_then(ptools_future *f, ptools_future_fn fn, void *arg);

/* Forgets the call, does not stop it (its answer is dropped). */
ptools_future *ptools_future_free(ptools_future *f);

/* Last words: all that is known about a failed call. */
typedef struct ptools_failure {
    ptools_err code;
    const char *message;    /* one sentence; never NULL                                          */
    uint64_t task;          /* 0: refused before it was a task                                   */
    uint32_t worker;        /* 0: never given to a worker                                        */
    uint32_t attempt;       /* 0: never begun                                                    */
    int32_t pid;            /* of the worker; 0: unknown                                         */
    int32_t exit_status;    /* of the worker that died; -1: it did not exit by itself            */
    int32_t signal;         /* that killed the worker; 0: none                                   */
    bool maybe_executed;    /* the function had begun (or nobody knows)                          */
    uint64_t run_us;        /* time from its begin to its end                                    */
    uint64_t peak_bytes;    /* largest memory of the worker                                      */
    const char *phase;      /* what the function said it was at; "" if nothing                   */
    uint64_t progress;      /* n of m that it reported; m = 0: it reported none                  */
    uint64_t progress_of;
    const char *log;        /* its last log lines, each ended by '\n'; "" if none                */
    const char *backtrace;  /* where it crashed or was stopped, a line a frame; "" if unknown    */
} ptools_failure;

/* Borrowed from f; NULL unless f is done and failed. */
const ptools_failure *ptools_future_failure(ptools_future *f);
/* Of the last call on pt that failed, whichever it was; NULL: none has. Valid until the next failure. */
const ptools_failure *ptools_last_failure(ptools *pt);

/* -- worker sets (contract: WorkerSet) ------------------------------------------------------- */

typedef enum ptools_ws_mode {
    PTOOLS_WS_RR = 1, /* strictly round robin over the ids, in the order given, busy or not      */
    PTOOLS_WS_FF = 2, /* first free: the longest free worker; when all are busy the next to become
                         free takes the oldest request                                           */
    PTOOLS_WS_WIDTH_ = 0x7fffffff
} ptools_ws_mode;

/* A set whose connection was lost: a named one is looked up again by its name when it is next used;
 * an anonymous one went with its connection: PTOOLS_ERR_NO_SET. */

/* Creates a set of n > 0 different workers. The ids are copied. name NULL: anonymous, gone with
 * this connection; otherwise 1 to 64 of A-Z a-z 0-9 _ . - , not beginning with a digit: any
 * client of the same user can open it, and it stays until destroyed or the daemon ends.
 * PTOOLS_ERR_NO_WORKER, _EXISTS, _LIMIT, _INVALID. One round trip. */
ptools_err ptools_workerset_create(ptools *pt, const char *name, const uint32_t *ids, size_t n, ptools_ws_mode mode,
                                   ptools_workerset **ret_set);
/* A named set that exists. PTOOLS_ERR_NO_SET. One round trip. */
ptools_err ptools_workerset_open(ptools *pt, const char *name, ptools_workerset **ret_set);
/* New members and mode, at once. Tasks that wait in the set stay in it; those that round robin had
 * given to a worker that is no longer in it are dealt out again. Starts its round at the first id. */
ptools_err ptools_workerset_change(ptools_workerset *set, const uint32_t *ids, size_t n, ptools_ws_mode mode);
/* Ends the set in the daemon. Tasks that wait in it end with PTOOLS_ERR_NO_SET; running ones go on. */
ptools_err ptools_workerset_destroy(ptools_workerset *set);
/* Releases this handle only. A named set stays; an anonymous one ends with its handle, as if by
 * ptools_workerset_destroy(): free it when the calls that wait in it have begun. */
ptools_workerset *ptools_workerset_free(ptools_workerset *set);

/* -- workers (Julia: workers, nprocs, addprocs, rmprocs) -------------------------------------- */

typedef struct ptools_worker_info {
    uint32_t id;          /* small, stable: a replaced worker keeps it                           */
    int32_t pid;          /* 0: no process now                                                   */
    const char *state;    /* "starting", "idle", "busy", "stopping", "dead"                      */
    const char *function; /* that it runs now; "" if none                                        */
    const char *phase;    /* what that says it is at; ""                                         */
    uint64_t progress;    /* n of m                                                              */
    uint64_t progress_of;
    uint64_t tasks_done;  /* by all processes of this id                                         */
    uint64_t waiting;     /* tasks that wait for this worker and no other                        */
    uint64_t deaths;      /* processes of this id that died of a task                            */
    uint64_t recycled;    /* processes of this id that were replaced on purpose                  */
    uint64_t rss_bytes;   /* resident memory as last reported                                    */
} ptools_worker_info;

/* All workers, by id. *ret_workers is one block, strings included: free() it. One round trip. */
ptools_err ptools_workers(ptools *pt, ptools_worker_info **ret_workers, size_t *ret_n);
/* Adds n workers; they join the set of all workers. *ret_first_id may be NULL; ids are consecutive. */
ptools_err ptools_workers_add(ptools *pt, uint32_t n, uint32_t *ret_first_id);
/* Removes one: it finishes what it runs and takes no more; sets lose it; tasks for it alone end
 * with PTOOLS_ERR_NO_WORKER. Its id is not used again. PTOOLS_ERR_NO_WORKER. */
ptools_err ptools_workers_remove(ptools *pt, uint32_t id);

/* A look at the daemon as a document: what is "status", "workers", "sets" or "modules"; the fields
 * are in PROTOCOL.md, section 7. *ret_future owns *ret_value. One round trip. */
ptools_err ptools_inspect(ptools *pt, const char *what, ptools_future **ret_future, ptools_value *ret_value);

/* -- scope-bound release:  PTOOLS_AUTO(ptools_future) f = NULL; ------------------------------- */
#if defined(__GNUC__)
#define PTOOLS_AUTO(type) __attribute__((__cleanup__(type##_autop))) type *
#define PTOOLS_AUTO_DEFINE(type, release) \
    static inline void type##_autop(type **p) { (void)release(*p); }
PTOOLS_AUTO_DEFINE(ptools, ptools_close)
PTOOLS_AUTO_DEFINE(ptools_pack, ptools_pack_free)
PTOOLS_AUTO_DEFINE(ptools_future, ptools_future_free)
PTOOLS_AUTO_DEFINE(ptools_workerset, ptools_workerset_free)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif
#endif
