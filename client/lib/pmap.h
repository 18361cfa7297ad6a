/* SPDX-License-Identifier: MIT */
/*
 * pmap -- the inside of ptools_pmap: pmap.c is its life and its options, pmap_items.c takes items from lists and
 * sources, pmap_segment.c has the ranges they lie in, pmap_captured.c what goes before them, pmap_run.c sends batches,
 * pmap_answer.c sorts out what came of them, pmap_read.c hands outcomes out, pmap_array.c makes items of ranges of
 * arrays. reduce.h is for reductions.
 *
 * The items that were taken lie in segments, in the order of the items: a segment is a range of items that are at
 * the same point. It is taken as a whole, and falls apart when its items fare differently. A batch carries one
 * segment or more; what its answer says is dealt out to them in turn.
 */
#ifndef CLIENT_LIB_PMAP_H
#define CLIENT_LIB_PMAP_H

#include <ptools/pmap.h>
#include <sys/queue.h>

#include "client/lib/handle.h"

enum {
    PMAP_BATCH_BYTES = 60 << 10, /* of arguments in an automatic batch: so much is warm, and its like fits an outbox */
    PMAP_BATCH_US = 4000,        /* that it shall take ... */
    PMAP_TAIL_US = 200,          /* ... or less at the end, but what the way costs shall not count there, either ... */
    PMAP_HAND_BACK_MS = 40,      /* ... and when it gives back what it has not begun */
    PMAP_PATIENCE_MS = 100,      /* for a new connection, whatever the wait allows ... */
    PMAP_PAUSE_MS = 500,         /* ... and how long none is tried when the daemon did not answer in that */
    PMAP_GROW = 8,               /* a batch is at most so many times as large as the one that was measured */
    PMAP_LISTS_MAX = 64
};
#define PMAP_WINDOW_BYTES (UINT64_C(64) << 20)
#define PMAP_WINDOW_PARTS 4 /* the arguments of a batch are at most so much of it, but for one item */

enum segment_state {
    SEGMENT_WAITING, /* to be sent */
    SEGMENT_HELD,    /* ... when those before it in its strand have ended; in no queue */
    SEGMENT_SENT,
    SEGMENT_ENDED
};
struct segment {
    TAILQ_ENTRY(segment) link;  /* in map->segments, by index */
    TAILQ_ENTRY(segment) queue; /* in map->waiting or delayed, or in ended if outcomes come unordered */
    enum segment_state state;
    uint64_t first; /* item ... */
    uint32_t n;     /* ... and how many */
    uint32_t attempts;
    uint64_t due_us;
    struct blob *args; /* its items' lists lie there; NULL: ended */
    size_t args_at, args_n;
    struct blob *records; /* ended: their records lie there ... */
    size_t records_at, records_n;
    bool failed;          /* ... or there are none, and this is the outcome of each */
    size_t failure_bytes; /* of its texts, as they were counted */
    struct failure failure;
    struct strand *strand; /* of a reduction; NULL */
};
TAILQ_HEAD(segments, segment);

struct batch {
    LIST_ENTRY(batch) link; /* in map->batches */
    struct ptools_future *f;
    uint32_t items;
    uint32_t values;     /* a reduction: those of its strand, before its items */
    size_t bytes;        /* of arguments */
    uint64_t generation; /* of the connection that it was sent on */
    size_t n;
    struct segment *segments[];
};

/* What has come of a batch, while it is dealt out to its segments. */
struct answer {
    struct ptools_pmap *map;
    struct batch *batch;
    struct blob *records;
    size_t at;     /* where the next record is */
    uint32_t done; /* items that have one and were not dealt out */
    bool failures; /* some of them may be failures */
    bool stop;     /* one failed for good, and that ends it all */
    bool malformed, no_memory;
};

struct pmap_list {
    const uint8_t *at;
    size_t left;
};

struct ptools_pmap {
    struct ptools *pt;            /* NULL: closed */
    LIST_ENTRY(ptools_pmap) link; /* in pt->maps */
    char *function, *init;        /* init NULL: none */
    ptools_pmap_options options;  /* the pointers in it are not ours, but for set */
    int64_t *retry_delays;
    struct bytes default_value; /* empty: none */
    struct bytes captured;      /* a list; empty: none ... */
    struct captured *shared;    /* ... and where it is for workers; NULL: not yet */
    uint32_t number;            /* of this run, on its connection */
    uint64_t until_us;          /* of all; CLOCK_FOREVER */
    uint64_t tell_us;           /* when its progress is told next; CLOCK_FOREVER */

    ptools_pmap_source source; /* NULL: lists */
    void *source_arg;
    struct pmap_list lists[PMAP_LISTS_MAX];
    size_t n_lists;
    uint64_t of;           /* items in the lists; UINT64_MAX */
    bool exhausted;        /* there are no more to be taken */
    ptools_err source_err; /* why there are no more: PTOOLS_OK, _CANCELLED (it gave up), or what its item is */
    bool source_later;     /* it had none yet */
    bool asking;           /* a function of the user's is running */
    struct bytes building;
    ptools_pack *pack; /* that a source appends to; NULL: lists */

    struct segments segments, ended;
    struct segments waiting; /* to be sent ... */
    struct segments delayed; /* ... but not yet: by due_us */
    LIST_HEAD(, batch) batches;
    unsigned in_flight;       /* batches */
    uint32_t in_vain;         /* times in a row that batches were lost before they were begun ... */
    uint64_t vain_generation; /* ... the last time with this connection; 0: no connection was lost so */
    uint64_t vain_since_us; /* the first of those in_vain */
    uint32_t workers;         /* that may run its batches, by the last answer */
    uint64_t held_bytes;      /* of arguments and records, and of what they lie in */
    size_t batch_bytes;       /* of arguments: the daemon took no batch of several items that had more */
    uint64_t next;            /* number of the next item to be taken */
    uint64_t read;            /* outcomes that were handed out */
    uint64_t look_at; /* with so many outcomes read, answers are looked for, though there are others to hand out */
    uint64_t not_before_us; /* the daemon took no more: nothing is sent before; 0: it may be */
    bool stopping;          /* no item is begun any more */
    ptools_pmap_progress progress;
    double item_us;      /* what an item takes of late; 0: not known */
    double record_bytes; /* ... and how long its record is */
    uint32_t last_items; /* of the batch that was measured last */

    /* of a reduction */
    char *op;                  /* NULL: it is none */
    bool values;               /* its items are values already */
    bool fed;                  /* they are put there (reduce.h), and not taken */
    uint32_t strand_items;     /* so many are one strand, whatever becomes of them; 0: see reduce.h */
    struct ptools_pmap *items; /* the lowest one, which has what is captured; NULL: this */
    TAILQ_HEAD(, strand) strands;
    uint64_t first_failed;        /* item ... */
    struct failure first_failure; /* ... and why; PTOOLS_OK: none */
    struct failure broken;        /* why it cannot go on; PTOOLS_OK: it can */

    struct blob *handed_out; /* the records of the last segment that was read to its end: a value may lie there */
    struct payload payload;  /* of the record that was handed out last ... */
    msgpack_object flat;     /* ... if it needs a tree, or else its value */
    msgpack_object root;
    struct failure failure;
};

/* -- pmap_items.c -- */

/* Takes up to n items, of about bytes_max bytes: a new waiting segment, or none when there are no more. */
ptools_err pmap_take(struct ptools_pmap *map, uint32_t n, size_t bytes_max);
/* The items that were not taken get the outcome that they were not run. Unless there is no memory for that,
 * map->exhausted is set. */
ptools_err pmap_take_none(struct ptools_pmap *map);
/* The lists are of one length. */
ptools_err pmap_open_lists(struct ptools_pmap *map, const ptools_pack *const *lists, size_t n);

/* -- pmap_segment.c -- */

/* The last one. NULL: no memory. */
struct segment *segment_new(struct ptools_pmap *map, uint64_t first, uint32_t n);
struct segment *segment_free(struct ptools_pmap *map, struct segment *s);
/* Its failure is the outcome of all its items. It waits in no queue. */
void segment_end_failed(struct ptools_pmap *map, struct segment *s);
/* How many of its items have no more than so many bytes of arguments together; at least 1. */
uint32_t segment_within(const struct segment *s, size_t bytes);
/* Its items from the n-th on become a segment of their own, behind it, in no queue. NULL: no memory. */
struct segment *segment_split(struct ptools_pmap *map, struct segment *s, uint32_t n);
/* The outcomes of its items lie there (NULL: they are in the value of its strand). It waits in no queue. */
void segment_end(struct ptools_pmap *map, struct segment *s, struct blob *records, size_t at, size_t n);

/* -- pmap_captured.c -- */

/* What is captured lies in shared memory of this connection; or this run needs it no more. */
ptools_err captured_ready(struct ptools_pmap *map, uint64_t until_us);
void captured_drop(struct ptools_pmap *map);
/* The number of the array that it lies in; 0: none. */
uint64_t captured_id(const struct ptools_pmap *map);

/* -- pmap_answer.c -- */

#define PMAP_NOT_RUN "not begun, for all was ended before its turn"

/* Takes in the answers that have come. */
ptools_err pmap_collect(struct ptools_pmap *map);
/* There are some. */
bool pmap_answered(const struct ptools_pmap *map);
/* Nothing is under way, and nothing waits: it is its source's turn. */
bool pmap_idle(const struct ptools_pmap *map);
/* No item is begun any more. */
ptools_err pmap_stop(struct ptools_pmap *map);
/* Tells the daemon to stop them. If it reads nothing, one round trip is waited for it, and not one for each. */
void pmap_cancel_batches(struct ptools_pmap *map);
/* What waits comes to its end; what is held waits as soon as that before it has ended. */
void pmap_end_waiting(struct ptools_pmap *map);
/* It was sent and not begun after all: it is sent before items that come behind it. */
void segment_wait_again(struct ptools_pmap *map, struct segment *s);
/* All its items came to this. Whether one is tried again is asked for each. True: for one of them it was the end. */
bool segment_fail(struct ptools_pmap *map, struct segment *s, const struct failure *why);
/* Up to n records are dealt out to nobody. */
void answer_pass_over(struct answer *a, uint32_t n);
void batch_free(struct ptools_pmap *map, struct batch *b);

/* -- pmap_run.c -- */

/* Sends what can be sent. Until until_us it may wait for the daemon; for a new connection PMAP_PATIENCE_MS at least. */
ptools_err pmap_send(struct ptools_pmap *map, uint64_t until_us);
/* The daemon is told the time of the items of all that are under way. */
void pmap_limit_batches(struct ptools_pmap *map);
/* When there is something to do that no answer tells; CLOCK_FOREVER. */
uint64_t pmap_due_us(const struct ptools_pmap *map);

/* -- pmap_read.c -- */

/* The next outcome that can be handed out. False: there is none yet. */
bool pmap_read(struct ptools_pmap *map, ptools_item *ret);
/* The record at the front: its bytes; whether it is a failure. */
bool record_skip(const uint8_t *data, size_t n, size_t *ret_bytes, bool *ret_failed);
/* A failure record as a failure. PTOOLS_ERR_PROTOCOL: it is malformed; _NO_MEMORY. */
ptools_err record_failure(struct payload *payload, const uint8_t *data, size_t n, struct failure *ret);

/* -- pmap.c -- */

/* Each outcome to `outcome` (NULL: none), and the end of it. what: as items are called in a message. */
ptools_err pmap_run(struct ptools_pmap *map, const char *what, ptools_pmap_outcome outcome, void *arg);
/* One without items, function and options. NULL: no memory. */
struct ptools_pmap *pmap_new(struct ptools *pt);
ptools_err pmap_check_function(struct ptools *pt, const char *what, const char *function);
/* Answers in, batches out. */
ptools_err pmap_work(struct ptools_pmap *map, uint64_t until_us);
/* Until something happens. Without a connection nothing does, but for what is due. */
void pmap_rest(const struct ptools_pmap *map, uint64_t until_us);
/* All items had their turn: PTOOLS_ERR_RANGE, or what was wrong with their source. */
ptools_err pmap_the_end(const struct ptools_pmap *map);
/* Its progress, if somebody wants to know, and it is time or the end. */
void pmap_tell(struct ptools_pmap *map, bool end);
/* The handle is closed. */
void pmap_orphan(struct ptools_pmap *map);

#endif
