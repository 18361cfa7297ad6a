/* SPDX-License-Identifier: MIT */
/*
 * pfork.h -- run a function in forked copies of this process, and get what came of each of them.
 *
 * No daemon is needed, and nothing is copied on the way in: a child has the caller's memory as it was, and what it
 * changes is its own (copy-on-write). Arrays that the caller has mapped (<ptools/array.h>) are shared: what a child
 * writes there, all see. The value that f leaves comes back, of any size up to 2 GiB, in index order, whatever
 * order the children end in. A child that crashes, exits, fails or takes too long tells so in its own slot, and
 * those of the others stand.
 *
 * Children count from 1 to n, here and in every message.
 *
 * What f may do. It runs in a copy of the process that has one thread only, the one that called. In a program
 * without other threads it may do nearly anything. Where other threads were running at the time of the call, whatever
 * they held stays held for ever in the child: of the C library memory, stdio and all that is async-signal-safe can be
 * used (glibc sees to it); a lock of your own or of a library (also the one in rand() and random()) may never be
 * given. A ptools handle answers PTOOLS_ERR_FORKED there, only arrays and values can still be used; f may open a
 * handle of its own. Signal handlers, signal mask, directory and open descriptors are those of the caller. What f may
 * not do is close descriptors that it has not opened: one of them is the pipe of its result. Nor should it read from a
 * terminal: it is in the background there, and would be stopped until its time is over.
 *
 * What a child leaves. The caller's atexit handlers do not run, also when f calls exit(). Streams: what the caller had
 * written to stdout and stderr is flushed before the first fork, and each child flushes these two when it ends;
 * whatever is in the buffers of other streams at the fork stays the caller's, and only what f itself flushes or closes
 * is written by a child. Each child leads a process group of its own, which is killed when the child has ended or is
 * stopped: what it has started ends with it, unless that went to another group. (So Ctrl-C does not reach them; but
 * they die with the caller.) Children are killed when the caller dies (PR_SET_PDEATHSIG; those that they have started
 * themselves are not). All are reaped before the call returns, and no other child of the process is. A wait()
 * elsewhere that takes the status of one away leaves its value, but not its exit status or signal, and its group is not
 * killed; so does SIGCHLD ignored. An f that changes its user id, or becomes a program with another one, loses
 * PR_SET_PDEATHSIG, as prctl(2) says.
 *
 * From PTools.jl: pfork, pfork_shm.
 */
#ifndef PTOOLS_PFORK_H
#define PTOOLS_PFORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ptools/array.h>
#include <ptools/error.h>
#include <ptools/value.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

typedef struct ptools_child ptools_child;       /* in a child: the one that it is; borrowed by f     */
typedef struct ptools_children ptools_children; /* in the caller: what came of all of them          */

/* -- in the child -------------------------------------------------------------------------------- */

/* Returns PTOOLS_OK, or a failure: best ptools_child_fail(...). Any other code is reported as PTOOLS_ERR_FAILED with
 * the text of the code. It must return: not by longjmp() to what is below it on the stack, nor by an exception. */
typedef ptools_err (*ptools_pfork_fn)(int i, void *arg, ptools_child *child);

/* Append the value to it. Nothing appended: nil. Several: a list of them. Borrowed. */
ptools_pack *ptools_child_result(ptools_child *child);
/* Sets the message and returns PTOOLS_ERR_FAILED: `return ptools_child_fail(child, "no such %s", what);` */
ptools_err ptools_child_fail(ptools_child *child, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((__format__(__printf__, 2, 3)))
#endif
    ;
int ptools_child_count(const ptools_child *child); /* n */
/* Another in each child of a call: a mixture of options.seed and i, and so the same in each run, if one was given; else
 * of a random number. Where the caller never had another thread, srandom() (so srand()) and srand48() have been given
 * it. */
uint64_t ptools_child_seed(const ptools_child *child);

/* -- options ------------------------------------------------------------------------------------- */

enum {
    PTOOLS_PFORK_PROCESSORS = 1, /* as many at once as there are processors for this process         */
    PTOOLS_PFORK_FAIL_FAST = 2,  /* the first that does not succeed stops the others, and no more are begun */
    PTOOLS_PFORK_SEED = 4,       /* seed is set                                                      */
    PTOOLS_PFORK_SPREAD = 8,     /* each child runs on one processor alone, which they get in turn   */
    PTOOLS_PFORK_STOP_FD = 16    /* stop_fd is set                                                   */
};

typedef enum ptools_pfork_output {
    PTOOLS_PFORK_INHERIT = 0, /* it goes where that of the caller goes                               */
    PTOOLS_PFORK_CAPTURE = 1, /* it is kept for the caller                                           */
    PTOOLS_PFORK_DISCARD = 2, /* it goes to /dev/null                                                */
    PTOOLS_PFORK_OUTPUT_WIDTH_ = 0x7fffffff
} ptools_pfork_output;

typedef struct ptools_pfork_limit {
    int resource;             /* RLIMIT_CPU, RLIMIT_AS, ...: <sys/resource.h>                        */
    uint64_t soft, hard;      /* UINT64_MAX: none                                                    */
} ptools_pfork_limit;

typedef struct ptools_child_outcome ptools_child_outcome;

/* How far a call has come. begun: of n, how many were forked, or could not be; done: of these, how many have ended;
 * failed: of these, how many did not succeed. */
typedef struct ptools_pfork_progress {
    int n, begun, done, failed;
} ptools_pfork_progress;

/* Called in the caller for each child that has ended, or could not be forked, in the order of that. The outcome is
 * borrowed, complete, and stays where it is as long as those of ret_children; but children that are forked later in
 * the same call do not have it. false: the others are stopped, and no more are begun. */
typedef bool (*ptools_pfork_done_fn)(const ptools_child_outcome *outcome, const ptools_pfork_progress *progress,
                                     void *arg);

typedef struct ptools_pfork_options {
    uint32_t struct_size;     /* set by PTOOLS_PFORK_OPTIONS_INIT; new fields come at the end        */
    uint32_t flags;           /* PTOOLS_PFORK_...; unknown bits are refused                          */
    uint32_t at_once;         /* how many run at once; 0: all                                        */
    int32_t nice;             /* added to the niceness of each                                       */
    int64_t timeout_ms;       /* a child that has run so long is killed; 0: none does                */
    int64_t timeout_all_ms;   /* the call ends after so long: what runs is killed, no more are begun; 0: never */
    uint64_t seed;            /* see ptools_child_seed()                                             */
    const uint32_t *cpus;     /* the processors for them; NULL: those of the caller                  */
    uint32_t n_cpus;
    uint32_t n_limits;
    const ptools_pfork_limit *limits; /* setrlimit() in each                                         */
    ptools_pfork_output output;       /* what becomes of its stdout                                  */
    ptools_pfork_output errors;       /* and of its stderr                                           */
    uint64_t capture_bytes;   /* of each captured stream of a child so much is kept, from its beginning; 0: 1 MiB */
    ptools_pfork_done_fn on_done; /* may be NULL                                                     */
    void *on_done_arg;
    int stop_fd;              /* when this can be read (an eventfd, a signalfd, a pipe), all are stopped; nothing is
                                 read from it                                                        */
    uint32_t reserved;        /* must be 0                                                           */
} ptools_pfork_options;
#define PTOOLS_PFORK_OPTIONS_INIT                                                                                   \
    { sizeof(ptools_pfork_options), 0, 0, 0, 0, 0, 0, NULL, 0, 0, NULL, PTOOLS_PFORK_INHERIT, PTOOLS_PFORK_INHERIT, \
      0, NULL, NULL, -1, 0 }

/* -- the call -------------------------------------------------------------------------------------- */

/* Runs f(i, arg, child) for i = 1 to n, each in a child of its own, and waits for all. options may be NULL.
 *
 * PTOOLS_OK: every one succeeded; n = 0 is that. Otherwise, if *ret_children is set (it is NULL when nothing was
 * begun), at least one did not: the code is that of the first by index, and what came of each is there. Nothing was
 * begun with PTOOLS_ERR_INVALID (n < 0, an option), _NO_MEMORY, _SYSTEM, if it is NULL.
 * ret_children may be NULL. *ret_message, if that is not NULL, is set, unless all is well, to a text that is valid
 * until the thread's next ptools_pfork(). What cannot be forked, for want of processes, memory or descriptors,
 * is tried again when another child of the call has ended; if none runs, its slot tells why. */
ptools_err ptools_pfork(int n, ptools_pfork_fn f, void *arg, const ptools_pfork_options *options,
                        ptools_children **ret_children, const char **ret_message);

/* The same with n_cfgs shared arrays, made here for the purpose: zeroed, reserved, without a name in any file system.
 * Their names in cfgs may be NULL. f writes to them, best each child to a part of its own; it may leave a value too.
 * ret_arrays has room for n_cfgs, and is set whenever *ret_children is, also if children failed (else to NULLs):
 * release each with ptools_array_free(). PTOOLS_ERR_NO_SPACE: this machine lacks the memory; the message tells asked
 * and free. */
typedef ptools_err (*ptools_pfork_shm_fn)(int i, ptools_array *const *arrays, void *arg, ptools_child *child);
ptools_err ptools_pfork_shm(int n, const ptools_shmcfg *cfgs, size_t n_cfgs, ptools_pfork_shm_fn f, void *arg,
                            const ptools_pfork_options *options, ptools_array **ret_arrays,
                            ptools_children **ret_children, const char **ret_message);

/* -- what came of it --------------------------------------------------------------------------------- */

struct ptools_child_outcome {
    int index;                /* from 1 on                                                           */
    /* PTOOLS_OK; PTOOLS_ERR_FAILED: f did; _WORKER_DIED: it crashed, was killed, or exited without having returned from
     * f; _DEADLINE: killed because its time was over; _CANCELLED: killed because all were stopped; _NOT_RUN: not begun,
     * for one of these two reasons; _SYSTEM: it could not be forked or set up; _NO_MEMORY, _TOO_LARGE, _INVALID: there
     * was no memory for its value, that was too large, or its pack incomplete */
    ptools_err code;
    ptools_value value;       /* nil unless PTOOLS_OK                                                */
    const char *message;      /* one sentence; "" if PTOOLS_OK                                       */
    int32_t pid;              /* 0: it was not forked                                                */
    int32_t exit_status;      /* if it called exit(); -1: it did not, or nobody knows                */
    int32_t signal;           /* that killed it; 0: none, or nobody knows                            */
    uint64_t run_us;          /* from its fork to its end                                            */
    uint64_t cpu_us;          /* processor time of it                                                */
    uint64_t peak_bytes;      /* largest memory of it, with what it shares with the caller           */
    const char *output;       /* captured; never NULL, ended by a NUL that does not count            */
    size_t output_bytes;
    uint64_t output_dropped;  /* bytes over the limit, which are lost                                */
    const char *errors;
    size_t errors_bytes;
    uint64_t errors_dropped;
};

int ptools_children_count(const ptools_children *children); /* n */
/* Of child i, from 1 to n; borrowed. NULL: there is none. */
const ptools_child_outcome *ptools_children_outcome(const ptools_children *children, int i);
ptools_children *ptools_children_free(ptools_children *children); /* accepts NULL, returns NULL      */

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
