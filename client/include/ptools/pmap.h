/* SPDX-License-Identifier: MIT */
/*
 * pmap.h -- one function over many items, in parallel (Julia's pmap).
 *
 * An item is a list of arguments. Items travel in batches, so that a million of them do not cost a million messages;
 * but however large a batch is, each item is a call of its own: it has its own outcome, and what one item does, be it
 * to kill its worker, costs no other item its result.
 *
 *     ptools_pack *xs = ptools_pack_new();
 *     for (int64_t i = 0; i < 1000000; i++)
 *         ptools_pack_i64(xs, i);
 *     ptools_pmap_start(pt, "mc.sample", (const ptools_pack *const[]){ xs }, 1, NULL, &map);
 *     while ((err = ptools_pmap_next(map, PTOOLS_FOREVER, &item)) == PTOOLS_OK)
 *         if (item.err == PTOOLS_OK)
 *             ptools_get_f64(item.value, &v);
 *     map = ptools_pmap_free(map);
 *
 * or, with a function of yours that is called with each outcome, ptools_pmap_each().
 *
 * There are always as many outcomes as there were items, whatever happens: a value, a failure of the function, a death
 * of the worker, a timeout, a cancellation, or PTOOLS_ERR_NOT_RUN.
 *
 * Nothing runs behind your back: items are sent and outcomes taken in by ptools_pmap_next() alone. Whoever stops
 * calling it stops the flow; whoever reads slowly is waited for, and neither library nor daemon gather more than
 * window_bytes, besides what the batches in flight bring. An item that is to be tried again waits for it, too.
 */
#ifndef PTOOLS_PMAP_H
#define PTOOLS_PMAP_H

#include <ptools/array.h>
#include <ptools/error.h>
#include <ptools/queue.h>
#include <ptools/value.h>

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

typedef struct ptools ptools;
typedef struct ptools_failure ptools_failure;
typedef struct ptools_workerset ptools_workerset;
typedef struct ptools_pmap ptools_pmap;

/* What became of one item. */
typedef struct ptools_item {
    uint64_t index;                /* of the item, from 0                                                        */
    ptools_err err;                /* PTOOLS_OK: `value` is what its function returned (or default_value)        */
    uint32_t attempts;             /* how often it was begun; 0: never                                           */
    ptools_value value;            /* borrowed until the next ptools_pmap_next()                                 */
    const ptools_failure *failure; /* NULL if it has a value of its own; borrowed as above. With default_value: why  */
    uint64_t run_us;               /* isolated items: what it took, its process included; 0: not measured           */
    uint64_t peak_kb;              /* the same: most memory, in KiB, beyond what its process began with; 0          */
} ptools_item;

enum {
    PTOOLS_PMAP_UNORDERED = 1,       /* outcomes as they come, not in the order of the items             */
    PTOOLS_PMAP_ISOLATED = 2,        /* each item in a process of its own, see below                     */
    PTOOLS_REDUCE_DETERMINISTIC = 16 /* reductions alone: see there                                      */
};
/* Without PTOOLS_PMAP_ISOLATED items run in standing workers, one after the other, and find what those before them left
 * behind (static variables, memory, descriptors: <ptools/module.h>). With it, each item runs in a fork of a worker that
 * has loaded and started the module and run `init`, and has run no function but those marked PTOOLS_FN_TIDY. (If there
 * is no such worker, one that is idle is replaced, and init run there; that takes some milliseconds, once, or again and
 * again beside other work that takes the same workers.) So all that init made is there,
 * in memory that is shared until it is written to; but whatever an item does to its process, no other item sees it:
 * neither the next one nor the next attempt. It may crash, exit, leak, and change or close what it wants: that costs
 * this item alone, and no worker. When it is done, or its time is over, or it is cancelled, its process is killed with
 * all that it has started. Its failure tells signal, exit status, log lines and backtrace.
 *
 * It costs a fork, some hundred microseconds for each item, and more if init has made much memory. Not of its process,
 * and so not undone, is what it does to shared arrays, to files, or to the position of a file that init opened. Threads
 * that a module or init has started are not in the fork. What is captured was read before, as in a standing worker.
 *
 * peak_kb is what the kernel says (ru_maxrss): memory and shared memory that was touched for the first time, and the
 * pages of programs and libraries, usually 1 to 3 MiB; not pages that were there before and are only written to.
 */
typedef enum ptools_on_error {
    PTOOLS_ON_ERROR_KEEP = 0,    /* the others go on                                                        */
    PTOOLS_ON_ERROR_STOP = 1,    /* the first item that fails for good ends it: running ones are cancelled,
                                    those that were not begun are PTOOLS_ERR_NOT_RUN                        */
    PTOOLS_ON_ERROR_DEFAULT = 2, /* the others go on, and default_value is its value; not of items that were not run,
                                    or cancelled, for all was ended                                       */
    PTOOLS_ON_ERROR_WIDTH_ = 0x7fffffff
} ptools_on_error;

typedef struct ptools_pmap_progress {
    uint64_t items;   /* taken from the lists or the source so far                                     */
    uint64_t of;      /* all items; UINT64_MAX: only the source knows                                  */
    uint64_t ended;   /* that have an outcome, read or not                                             */
    uint64_t failed;  /* ... other than a value of their own                                           */
    uint64_t retried; /* attempts after the first                                                      */
    uint64_t batches; /* that were sent                                                                */
    uint64_t item_us; /* microseconds that an item takes of late; 0: not known                         */
} ptools_pmap_progress;

typedef struct ptools_pmap_options {
    uint32_t struct_size;  /* set by PTOOLS_PMAP_OPTIONS_INIT                                            */
    uint32_t flags;        /* PTOOLS_PMAP_...; unknown bits are refused                                  */
    ptools_workerset *set; /* NULL: all workers, first free                                              */
    uint32_t batch_size;   /* items in a batch, at most 65536; 0: as many as take some milliseconds, which
                              is found out while it runs                                                 */
    ptools_on_error on_error;
    const ptools_pack *default_value; /* with PTOOLS_ON_ERROR_DEFAULT; copied                            */
    const int64_t *retry_delays_ms;   /* Julia's retry_delays: an item that fails is tried again after the
                                         first, then the second, ..., and so n_retry_delays times; copied */
    size_t n_retry_delays;
    bool (*retry_check)(const ptools_item *item, void *arg); /* false: no more; NULL: all are tried again.
                              Called by ptools_pmap_next(); must not use the handle                      */
    void *arg;           /* for retry_check and progress                                            */
    int64_t progress_ms; /* how often progress is called; 0: 500                                    */

    /* Told how far it is, now and then and at its end, by ptools_pmap_next(); must not use the handle. NULL: nobody. */
    void (*progress)(const ptools_pmap_progress *progress, void *arg);
    double priority;             /* among the calls and queued tasks of this user: lower goes first, also while it
                                    runs, from batch to batch; not NaN. PTOOLS_PRIORITY_LAST by default        */
    int64_t item_timeout_ms;     /* each item is stopped, even in an endless loop, when it has run so long, or up
                                    to a quarter longer; 0: never                                            */
    int64_t timeout_ms;          /* when so much time has passed since the start, the rest is cancelled; 0: never */
    const char *init;            /* a function that is run in each worker before its first item, with what is
                                    captured as its arguments; if it fails, so does each item there. NULL: none */
    const ptools_pack *captured; /* arguments that go before those of each item. They travel once, as shared
                                    memory, see ptools_pmap_forget(); NULL: none                         */
    uint64_t window_bytes;       /* of arguments and outcomes, and of what the library needs to keep them, at most about
                                    so many are in this process; 0: 64 MiB                               */
    const ptools_pack *initial;  /* reductions alone: the value if there is nothing to be reduced; NULL: none */
    int64_t grace_ms;            /* an item that is to stop is killed after so long; 0: as the daemon is set */
} ptools_pmap_options;
#define PTOOLS_PMAP_OPTIONS_INIT                                                                                       \
    {                                                                                                                  \
        sizeof(ptools_pmap_options), 0, NULL, 0, PTOOLS_ON_ERROR_KEEP, NULL, NULL, 0, NULL, NULL, 0, NULL,             \
            PTOOLS_PRIORITY_LAST, 0, 0, NULL, NULL, 0, NULL, 0                                                         \
    }

/* Starts function ("module.function") over lists: item i has the i-th value of each list as its arguments. The lists
 * must be of one length (PTOOLS_ERR_INVALID), and are yours: leave them unchanged until the end. n_lists is at least 1.
 * Does not wait for workers; what the daemon has to say comes with the items. */
ptools_err ptools_pmap_start(ptools *pt, const char *function, const ptools_pack *const *lists, size_t n_lists,
                             const ptools_pmap_options *options, ptools_pmap **ret_map);

/* The same over items that a function of yours yields when they are wanted: it appends the arguments of the next
 * item to args (nothing: it has none) and returns 1; 0: there are no more; 2: there is none yet, and it is asked again
 * when something has come or ptools_pmap_next() is called (ptools_pmap_each_from() ends with PTOOLS_ERR_TIMEOUT if
 * nothing is under way then); -1: it gives up, the items so far keep their outcomes, and ptools_pmap_next() then fails
 * with PTOOLS_ERR_INVALID; so it does when what was appended is no list of values. Called by ptools_pmap_next(); must
 * not use the handle. */
typedef int (*ptools_pmap_source)(ptools_pack *args, void *arg);
ptools_err ptools_pmap_start_from(ptools *pt, const char *function, ptools_pmap_source source, void *arg,
                                  const ptools_pmap_options *options, ptools_pmap **ret_map);

/* The next outcome, waiting up to timeout_ms for it. PTOOLS_ERR_TIMEOUT: not yet (at once, if the source has none yet
 * and nothing is under way); PTOOLS_ERR_RANGE: that was the last. When the connection was lost and the daemon is slow
 * to greet a new one, an attempt each half second takes up to 0.1 s beyond timeout_ms. Callbacks of futures are not run
 * by it. With 0 it does what can be done now: for loops of your own, call it until it returns PTOOLS_ERR_TIMEOUT, then
 * poll ptools_fd(), no longer than ptools_pmap_due_ms() says. */
ptools_err ptools_pmap_next(ptools_pmap *map, int64_t timeout_ms, ptools_item *ret_item);

/* For loops of your own: after so long ptools_pmap_next() has something to do though nothing came (a retry, the time
 * limit, progress to tell); -1: it has not. Only looks. */
int64_t ptools_pmap_due_ms(ptools_pmap *map);

/* Ends it early: running items are cancelled, those that were not begun are PTOOLS_ERR_NOT_RUN. Does not wait (but for
 * one round trip, if the daemon reads nothing): all outcomes still come from ptools_pmap_next(). A source is not asked
 * any more. */
ptools_err ptools_pmap_cancel(ptools_pmap *map);

/* Another item_timeout_ms from now on, also for items that are under way; one that runs already, and had none, has so
 * much time from now. 0: never. Does not wait, as ptools_pmap_cancel(). */
ptools_err ptools_pmap_set_item_timeout(ptools_pmap *map, int64_t item_timeout_ms);

/* How far it is. Only looks. */
ptools_err ptools_pmap_progress_read(ptools_pmap *map, ptools_pmap_progress *ret);

/* The same in one call, which waits until all is done: outcome (NULL: none) is called with every outcome; what it
 * returns other than 0 ends the run as ptools_pmap_cancel() does, and it is called for the outcomes that still come. It
 * must not use the handle. PTOOLS_OK: all have values; PTOOLS_ERR_PARTS: some failed, and the message says how many,
 * and what the first of them came to; others as ptools_pmap_next(): then not all have come. */
typedef int (*ptools_pmap_outcome)(const ptools_item *item, void *arg);
ptools_err ptools_pmap_each(ptools *pt, const char *function, const ptools_pack *const *lists, size_t n_lists,
                            const ptools_pmap_options *options, ptools_pmap_outcome outcome, void *outcome_arg);
ptools_err ptools_pmap_each_from(ptools *pt, const char *function, ptools_pmap_source source, void *source_arg,
                                 const ptools_pmap_options *options, ptools_pmap_outcome outcome, void *outcome_arg);

/* Runs function over parts of 1 to 8 shared arrays, which together cover them once, and waits for all of them: in
 * place, from one array into another, or over several side by side. The arrays must be of one length along their
 * outermost dimension (the first of a row-major one, the last of a column-major one); each call gets the same range of
 * it of each array, as a view (ptools_task_arg_view()), and then the first index of the range. Only that travels.
 * How long a range is, is found out while it runs. options as above, without batch_size and default_value; set, retries
 * and times are for ranges. PTOOLS_OK: all were done; PTOOLS_ERR_PARTS: some were not, and the message says what the
 * first of them came to; the rest was done all the same, unless on_error says otherwise. */
ptools_err ptools_pmap_array(ptools *pt, const char *function, const ptools_array *const *arrays, size_t n_arrays,
                             const ptools_pmap_options *options);

/* -- reductions (Julia's @distributed (op)) ---------------------------------------------------------------------
 *
 * function is run for each item, as above, and the values are reduced to one by op ("module.function"), a function of
 * two arguments, left and right, whose result may again be an argument of it. All of that is done by the workers: what
 * comes back is a value for each batch, and these are reduced by op in the workers, too.
 *
 * op has to be associative. It need not be commutative: the order of the items is kept. How they are grouped is found
 * out while it runs, and different each time; that matters to sums of floating point numbers. With
 * PTOOLS_REDUCE_DETERMINISTIC the groups depend on the number of items alone (of a source: on that of each call; and on
 * batch_size, and on the size of arguments above a megabyte a group), whatever workers there are and whatever becomes
 * of them: the same items, of which the same ones fail, then come to the same value to the last bit. op should have no
 * effects but its result, for what is reduced a second time, after a death, is not told; no item is.
 *
 * An item is in the value, or it has failed: by itself, by a timeout, or by a death of its worker, be it while op took
 * its value in. It is tried again as retry_delays_ms and retry_check say, and then on_error decides:
 *   PTOOLS_ON_ERROR_KEEP     it is left out. PTOOLS_ERR_PARTS, and the value of the others; the message says what the
 *                            first of them came to.
 *   PTOOLS_ON_ERROR_STOP     that is the end: its code and, with its number, its message. There is no value.
 *   PTOOLS_ON_ERROR_DEFAULT  default_value takes the place of its value.
 * An op that fails is no failure of an item, and the end of it all, with its code and its message; so is one that
 * kills its worker again and again while values of batches are reduced. timeout_ms ends all: PTOOLS_ERR_TIMEOUT, and
 * no value.
 *
 * A failing item ends its batch: where many fail, each costs a message. If the value is of more than 32 KB, a worker
 * that dies takes the items of its batch with it, up to the one that it died of: they fail as that one. Two
 * values that do not fit into one message of the daemon (message_max) together are the end of it all with
 * PTOOLS_ERR_TOO_LARGE. */
typedef struct ptools_reduced {
    uint64_t items;     /* that there were                                                               */
    uint64_t failed;    /* for good: those are not in the value, but for their default                   */
    bool empty;         /* nothing was reduced: value is `initial`, or nil                               */
    ptools_value value; /* as long as this is there                                                      */
} ptools_reduced;

/* Reduces the items of lists, as in ptools_pmap_start(), and waits for it. function NULL: there is one list, and its
 * items are the values. options as above, without PTOOLS_PMAP_UNORDERED and _ISOLATED; what is captured goes before the
 * arguments of function alone. Without any item, and without `initial`: PTOOLS_ERR_INVALID. *ret_reduced is set with
 * PTOOLS_OK and PTOOLS_ERR_PARTS, and is yours to free. */
ptools_err ptools_mapreduce(ptools *pt, const char *function, const char *op, const ptools_pack *const *lists,
                            size_t n_lists, const ptools_pmap_options *options, ptools_reduced **ret_reduced);
/* The same over what a source yields, as in ptools_pmap_start_from(); one that gives up: PTOOLS_ERR_INVALID, and one
 * that has none yet though nothing is under way: PTOOLS_ERR_TIMEOUT, both without a value. function NULL: each item is
 * one value. */
ptools_err ptools_mapreduce_from(ptools *pt, const char *function, const char *op, ptools_pmap_source source, void *arg,
                                 const ptools_pmap_options *options, ptools_reduced **ret_reduced);
/* The same over parts of shared arrays, as in ptools_pmap_array(): function returns the value of its ranges. */
ptools_err ptools_mapreduce_array(ptools *pt, const char *function, const char *op, const ptools_array *const *arrays,
                                  size_t n_arrays, const ptools_pmap_options *options, ptools_reduced **ret_reduced);
/* Frees it, and returns NULL; NULL is welcome. */
ptools_reduced *ptools_reduced_free(ptools_reduced *reduced);

/* Cancels what is in flight (which waits for one round trip if the daemon reads nothing), and frees it; NULL is
 * welcome. */
ptools_pmap *ptools_pmap_free(ptools_pmap *map);

/* -- what is captured (Julia's CachingPool) ------------------------------------------------------------------------
 *
 * It is put into shared memory once, and each worker maps it once, for reading alone: for all batches of a run, and for
 * all runs and reductions of the handle over the same bytes, be it one after the other, at once, or one within another.
 * (Another handle, one in a worker for instance, has its own.) When the last run over it has ended it is kept for the
 * next: the four that were left last, as far as they are not more than 256 MiB together; what is larger goes with its
 * run. It counts as an array of yours, but is no obstacle: when a limit is in the way of an array or of arguments that
 * this handle wants to make, what is kept goes first. What workers need for large values, and what other handles make,
 * does not know of it. All of it ends with ptools_close(), or with the connection.
 *
 * ptools_pmap_forget() gives up what is kept, and so its memory (Julia's clear!(pool)); what a run uses stays with that
 * run. Does not wait. */
ptools_err ptools_pmap_forget(ptools *pt);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
