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
 *          have run; it is never repeated. (Queued tasks have rules of their own: <ptools/queue.h>.)
 *          The next call connects anew by itself if the daemon is back. Each connect, and each
 *          "round trip" below, ends after the connect timeout of ptools_options with
 *          PTOOLS_ERR_TIMEOUT.
 *
 * The calls and their names come from PTools.jl (WorkerSet) and Julia's Distributed.
 */
#ifndef PTOOLS_H
#define PTOOLS_H

#include <ptools/array.h>
#include <ptools/error.h>
#include <ptools/pfork.h>
#include <ptools/pmap.h>
#include <ptools/queue.h>
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
    uint64_t large_bytes;       /* arguments and values of more than so many bytes travel as memory that is
                                   handed over, not through sockets; 0: 1 MiB; UINT64_MAX: never. Not with
                                   tcp://. Nothing else shows it; the memory counts as shared arrays */
} ptools_options;
#define PTOOLS_OPTIONS_INIT { sizeof(ptools_options), 0, NULL, 0, 0, NULL, 0 }

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
 * once while callbacks wait to be run. -1 and 0 while there is no connection; but while queued tasks wait for one
 * (<ptools/queue.h>) or callbacks to be run, a descriptor that is readable when it is time to dispatch. */
int ptools_fd(ptools *pt);
short ptools_events(ptools *pt);

/* Moves bytes and calls the callbacks of futures that ended (ptools_future_then()): callbacks run
 * here and nowhere else. Calls that a callback starts leave together when the callbacks have run.
 * Waits up to timeout_ms for something to happen. PTOOLS_OK: something did; PTOOLS_ERR_AGAIN: nothing;
 * PTOOLS_ERR_LOST: there is no connection, and nothing is in flight (or watches alone, and the daemon
 * has not come back): no need to dispatch before the next call; PTOOLS_ERR_CLOSED: a callback has
 * closed pt. When a value above large_bytes has come the daemon is asked for its memory: a short
 * round trip, also with 0. */
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
    int64_t grace_ms;     /* a task that is to stop is killed after so long; 0: as the daemon is set. Not for
                             calls of server tasks                                               */
} ptools_call_options;
#define PTOOLS_CALL_OPTIONS_INIT { sizeof(ptools_call_options), 0, 0, 0, 0 }

/* Common to the four: function is "module.function"; args may be NULL (no arguments), stays yours
 * and may be used again; set NULL is all workers, first free; options may be NULL. */

/* Starts; returns at once with a future. What the daemon has to say about the call, also a
 * refusal, comes through the future. Large arguments take the time that the daemon takes to read
 * them; when it reads nothing for 100 ms the rest leaves with the next wait or dispatch. While more
 * than 16 MiB wait to leave it blocks, and gives up with PTOOLS_ERR_TIMEOUT, nothing started, when
 * the daemon reads nothing for the connect timeout. So it does when memory for arguments above
 * large_bytes is not there within that, and 4 s more for each GiB of them. */
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
 * the rule on ret_ parameters) and the task goes on; NULL: the call could not be sent in time. */
ptools_err ptools_remotecall_wait(ptools *pt, ptools_workerset *set, const char *function, const ptools_pack *args,
                                  const ptools_call_options *options, int64_t timeout_ms,
                                  ptools_future **ret_future);

/* Starts and expects no answer. Blocks for one round trip to the daemon (not to the worker), so
 * that a refusal is known; the task goes on when this client ends. ret_task may be NULL. */
ptools_err ptools_remote_do(ptools *pt, ptools_workerset *set, const char *function, const ptools_pack *args,
                            const ptools_call_options *options, uint64_t *ret_task);

/* -- futures -------------------------------------------------------------------------------- */

bool ptools_future_done(ptools_future *f);  /* only looks; moves no bytes: see ptools_dispatch() */
uint64_t ptools_future_task(ptools_future *f); /* the daemon's task id; 0 while that is not known */
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
 * with PTOOLS_ERR_CANCELLED, or with what it had come to before. PTOOLS_OK also when done. The failure of sending that
 * otherwise; for a call of a server task a daemon for whose task too many are cancelled already (thousands, while it is
 * busy) refuses, and that cannot be told here: the call goes on. */
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
    int32_t exit_status;    /* of the worker that died, or (PTOOLS_ERR_EXITED) of the command; -1: it did not exit by
                               itself                                                            */
    int32_t signal;         /* that killed the worker, or the command; 0: none                   */
    bool maybe_executed;    /* the function had begun (or nobody knows)                          */
    uint64_t run_us;        /* time from its begin to its end                                    */
    uint64_t peak_bytes;    /* largest memory of the worker                                      */
    const char *phase;      /* what the function said it was at; "" if nothing                   */
    uint64_t progress;      /* n of m that it reported; m = 0: it reported none                  */
    uint64_t progress_of;
    const char *log;        /* its last log lines, each ended by '\n'; "" if none                */
    const char *backtrace;  /* where it crashed or was stopped, a line a frame; "" if unknown    */
    int64_t retry_ms;       /* PTOOLS_ERR_LIMIT: try again after about so long; 0: nobody can say */
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

/* A look at the daemon as a document: what is "status", "workers", "sets", "modules", "arrays" or "stasks"; the fields
 * are in PROTOCOL.md, section 7. *ret_future owns *ret_value. One round trip. */
ptools_err ptools_inspect(ptools *pt, const char *what, ptools_future **ret_future, ptools_value *ret_value);

/* -- shared arrays (contract: ShmCfg, pmap_shm_create, unlink_shm, shmpfx) ----------------------
 *
 * The daemon owns them; who uses one maps it (<ptools/array.h> has types, shapes, views). Memory has no name in
 * the file system: when the array has ended and the last process that maps it too, however they ended, it is
 * free. An array ends with the connection that created it, or, kept, when it is unlinked, when its time is over,
 * or with the daemon. What is mapped stays usable until it is unmapped. Two arrays may have one name if their
 * prefixes differ, or their users.
 *
 * They need a daemon on this machine (PTOOLS_ERR_TRANSPORT through tcp://). */

enum {
    PTOOLS_SHM_REPLACE = 1,   /* an array of that name ends when this one is there (both take memory until
                                 then); without it: PTOOLS_ERR_EXISTS                            */
    PTOOLS_SHM_KEEP = 2,      /* it outlives this connection                                        */
    PTOOLS_SHM_READ_ONLY = 4, /* map it for reading alone                                           */
    PTOOLS_SHM_POPULATE = 8,  /* map all its pages at once (MAP_POPULATE), here and in workers      */
    PTOOLS_SHM_HUGE = 16      /* in huge pages, if the system has enough of them free; if not, usual ones:
                                 "ptools shm info" tells                                            */
};

typedef struct ptools_shm_options {
    uint32_t struct_size;  /* set by PTOOLS_SHM_OPTIONS_INIT                                        */
    uint32_t flags;        /* PTOOLS_SHM_...; unknown bits are refused                              */
    const char *prefix;    /* PTools: shmpfx. Like a name, but it may begin with a digit; NULL or "": none */
    int64_t keep_ms;       /* with PTOOLS_SHM_KEEP: it ends after so long; 0: not by time           */
    const char *file;      /* the elements lie in this file, and stay there; NULL: in memory. On a file system that the
                              machine serves by itself (ext4, xfs, btrfs, tmpfs, ...): one of FUSE, NFS, CIFS or 9p,
                              which could keep the daemon waiting, is refused with PTOOLS_ERR_BAD_FILE */
    const char *file_mode; /* as Julia's SharedArray: "r" an existing file, read only; "r+" (also for NULL) an existing
                              one; "w+" created or emptied; "a+" created if there is none. The last two make it
                              large enough                                                          */
    uint64_t file_offset;  /* where in it the first element lies: a multiple of the page size       */
    const uint32_t *share; /* uids of other users who may map it as its owner may                   */
    uint32_t n_share;      /* at most 16                                                            */
} ptools_shm_options;
#define PTOOLS_SHM_OPTIONS_INIT { sizeof(ptools_shm_options), 0, NULL, 0, NULL, NULL, 0, NULL, 0 }

/* Creates an array and maps it here. Zeroed (but for a file's), and all its memory is reserved before this returns:
 * touching it never fails later (as long as nobody who may write to it makes holes: fallocate(2)). Workers map it when
 * a function of theirs first asks for it. options may be NULL.
 * PTOOLS_ERR_INVALID (a wrong name, type, dimension; more bytes than can be), _EXISTS, _LIMIT (a quota; asked, free
 * and limit are told), _NO_SPACE (the machine lacks the memory), _BAD_FILE. Blocks until the memory is there. */
ptools_err ptools_shm_create(ptools *pt, const ptools_shmcfg *cfg, const ptools_shm_options *options,
                             ptools_array **ret_array);

/* Creates n arrays, maps them here and in every worker: those that run something, before their next task; those
 * that come later, before their first. All of them or none: what fails undoes what was created before it.
 * ret_arrays has room for n. Errors as above. */
ptools_err ptools_pmap_shm_create(ptools *pt, const ptools_shmcfg *cfgs, size_t n, const ptools_shm_options *options,
                                  ptools_array **ret_arrays);

/* Maps an array that exists. prefix NULL or "": none. owner: the uid whose it is, or PTOOLS_SHM_OWN. flags:
 * PTOOLS_SHM_READ_ONLY, _POPULATE. Mapping it twice gives two mappings. PTOOLS_ERR_NO_ARRAY (also when it may not
 * be seen), _BAD_FILE: the file has become too short. One round trip. */
#define PTOOLS_SHM_OWN UINT32_MAX
ptools_err ptools_shm_map(ptools *pt, const char *prefix, const char *name, uint32_t owner, uint32_t flags,
                          ptools_array **ret_array);
/* The same, of the array that the daemon numbers so. */
ptools_err ptools_shm_map_id(ptools *pt, uint64_t id, uint32_t flags, ptools_array **ret_array);

/* Unmaps it here, and no more: the array goes on. May be called after ptools_close(), and in a forked child. */
ptools_array *ptools_array_free(ptools_array *array);

/* Ends arrays by configuration or by bare name: no new mapping, the name is free, the memory as soon as nobody maps
 * it, and so long it counts against the user's limits. Workers unmap it before their next task.
 * PTOOLS_ERR_NO_ARRAY: some were not there (those that were are unlinked all the same). One round trip each. */
ptools_err ptools_unlink_shm(ptools *pt, const ptools_shmcfg *cfgs, size_t n, const char *prefix);
ptools_err ptools_unlink_shm_names(ptools *pt, const char *const *names, size_t n, const char *prefix);

/* -- server tasks (contract: start_stasks, pmap_stasks, count_stasks, stop_stasks) --------------
 *
 * Long-running processes of their own, forked from the template of the workers, each with its own state: what a
 * function keeps with ptools_task_set(), static variables, and shared arrays. A call goes from this process to
 * that of the server task and back by a socket of their own, not through the daemon, which watches over their life.
 * Calls of one task on one handle are served in the order in which they were made; those of several handles in turn,
 * one call each. */

typedef struct ptools_stasks ptools_stasks;     /* a handle of n server tasks                       */
typedef struct ptools_outcomes ptools_outcomes; /* what came of one call of all of them             */

typedef struct ptools_stasks_options {
    uint32_t struct_size; /* set by PTOOLS_STASKS_OPTIONS_INIT                                      */
    uint32_t flags;       /* must be 0                                                              */
    uint32_t count;       /* how many; 0: one for each worker                                       */
    uint32_t shm_flags;   /* for the arrays: PTOOLS_SHM_REPLACE, _POPULATE, _HUGE                   */
    const char *name;     /* NULL: they end with this connection. Otherwise they, and the arrays, stay under this
                             name until they are stopped, for any client of the same user. As a set's name */
    int64_t timeout_ms;   /* for all to be up; 0: 30000; PTOOLS_FOREVER                             */
} ptools_stasks_options;
#define PTOOLS_STASKS_OPTIONS_INIT { sizeof(ptools_stasks_options), 0, 0, 0, NULL, 0 }

/* Starts them, creates the n_cfgs arrays (cfgs may be NULL if it is 0), maps these here and in each of them, where
 * ptools_task_array() finds them by their names. Returns when all are up. options may be NULL. prefix as in
 * ptools_shm_options; it is also that of ptools_task_array(task, NULL, ...) there. PTOOLS_ERR_EXISTS, _LIMIT,
 * _NO_SPACE, _INVALID, _TIMEOUT, _WORKER_DIED (one died while it came up): then nothing of it is left. After _TIMEOUT
 * what comes up late is stopped when the daemon tells of it, in any later wait or dispatch; if pt is closed before,
 * those without a name end with it, but those with a name stay: ptools_attach_stasks() finds them, to stop them. */
ptools_err ptools_start_stasks(ptools *pt, const ptools_shmcfg *cfgs, size_t n_cfgs, const char *prefix,
                               const ptools_stasks_options *options, ptools_stasks **ret_stasks);
/* Those that were started under a name, with their arrays. PTOOLS_ERR_NO_STASKS. */
ptools_err ptools_attach_stasks(ptools *pt, const char *name, ptools_stasks **ret_stasks);

uint32_t ptools_count_stasks(ptools_stasks *stasks);
/* The array of that name that they were started with, mapped here; borrowed. NULL: there is none. */
ptools_array *ptools_stasks_array(ptools_stasks *stasks, const char *name);
/* The process id of task i now; 0: it is dead, there is no task i, or that cannot be found out (ptools_last_failure()
 * tells). It is dead for you too when somebody else has restarted it, until you do. A round trip only if the way to
 * the task has ended. */
int32_t ptools_stasks_pid(ptools_stasks *stasks, uint32_t i);

/* Task i runs function(list1[i], list2[i], ...), all side by side. A list is a pack, its items what was appended to
 * it on the top level; without lists the function runs once in each, without arguments. A list that is not as long
 * as there are tasks is PTOOLS_ERR_INVALID, naming both numbers, before anything runs.
 *
 * Waits for all. PTOOLS_OK: every task succeeded. Otherwise, if *ret_outcomes is set (the other exception to the rule
 * on ret_ parameters; it is NULL when nothing was begun), at least one did not: the code is that of the first, the
 * message tells which and how many; every outcome is there. PTOOLS_ERR_TIMEOUT: the outcomes that are missing come
 * later. */
ptools_err ptools_pmap_stasks(ptools_stasks *stasks, const char *function, const ptools_pack *const *lists,
                              size_t n_lists, int64_t timeout_ms, ptools_outcomes **ret_outcomes);
/* The same without waiting: PTOOLS_OK means that it has begun, if not in all: a call that cannot be sent is an outcome
 * that has failed. */
ptools_err ptools_pmap_stasks_start(ptools_stasks *stasks, const char *function, const ptools_pack *const *lists,
                                    size_t n_lists, ptools_outcomes **ret_outcomes);
/* Waits; then as ptools_pmap_stasks(). */
ptools_err ptools_outcomes_wait(ptools_outcomes *o, int64_t timeout_ms);
uint32_t ptools_outcomes_count(const ptools_outcomes *o);
/* Of task i, from 0: for ptools_future_fetch(), _failure(), ptools_wait_any(). Borrowed; NULL beyond the end. */
ptools_future *ptools_outcomes_future(ptools_outcomes *o, uint32_t i);
/* Forgets it, does not stop it. */
ptools_outcomes *ptools_outcomes_free(ptools_outcomes *o);

/* One call of task i alone, as ptools_remotecall(). A future of a server task that is cancelled is asked to stop,
 * and after the grace time its process is killed, and its state lost. */
ptools_err ptools_stask_call(ptools_stasks *stasks, uint32_t i, const char *function, const ptools_pack *args,
                             ptools_future **ret_future);

/* A task that died: the call in which it died ends with PTOOLS_ERR_WORKER_DIED and its last words, all others, those
 * behind it and later ones, with PTOOLS_ERR_STATE_LOST, until this starts it anew. Tasks that live are left alone.
 * init, if not NULL, is then run in each that was started anew, with args (may be NULL). Returns when they are up;
 * PTOOLS_ERR_FAILED or what init failed with: they are up, but not as you want them. */
ptools_err ptools_restart_stasks(ptools_stasks *stasks, const char *init, const ptools_pack *args);

/* Ends them: each finishes the call that it runs, frees its state, and its arrays are unlinked. Waits so long for that,
 * then kills those that are still busy, and returns when all are gone. 0: only asks, and kills nobody; to wait, call it
 * again. PTOOLS_OK also if they were stopped before; calls are PTOOLS_ERR_NO_STASKS from now on. */
ptools_err ptools_stop_stasks(ptools_stasks *stasks, int64_t timeout_ms);
/* Releases the handle and unmaps its arrays here. Server tasks without a name are stopped, as by 0. */
ptools_stasks *ptools_stasks_free(ptools_stasks *stasks);

/* -- scope-bound release:  PTOOLS_AUTO(ptools_future) f = NULL; ------------------------------- */
#if defined(__GNUC__)
#define PTOOLS_AUTO(type) __attribute__((__cleanup__(type##_autop))) type *
#define PTOOLS_AUTO_DEFINE(type, release) \
    static inline void type##_autop(type **p) { (void)release(*p); }
PTOOLS_AUTO_DEFINE(ptools, ptools_close)
PTOOLS_AUTO_DEFINE(ptools_pack, ptools_pack_free)
PTOOLS_AUTO_DEFINE(ptools_future, ptools_future_free)
PTOOLS_AUTO_DEFINE(ptools_workerset, ptools_workerset_free)
PTOOLS_AUTO_DEFINE(ptools_array, ptools_array_free)
PTOOLS_AUTO_DEFINE(ptools_stasks, ptools_stasks_free)
PTOOLS_AUTO_DEFINE(ptools_outcomes, ptools_outcomes_free)
PTOOLS_AUTO_DEFINE(ptools_children, ptools_children_free)
PTOOLS_AUTO_DEFINE(ptools_queued, ptools_queued_free)
PTOOLS_AUTO_DEFINE(ptools_watch, ptools_watch_free)
PTOOLS_AUTO_DEFINE(ptools_pmap, ptools_pmap_free)
PTOOLS_AUTO_DEFINE(ptools_reduced, ptools_reduced_free)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif
#endif
