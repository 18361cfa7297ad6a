/* SPDX-License-Identifier: MIT */
/*
 * pfork -- the inside of <ptools/pfork.h>.
 *
 *     pfork_options.c    what was asked for, checked
 *     pfork.c            the caller: forks, waits, stops, reaps
 *     pfork_read.c       its descriptors, and what it reads from them
 *     pfork_child.c      the child: from fork to _exit
 *     pfork_outcomes.c   what came of each child, in words
 *     pfork_shm.c        the same with arrays
 *
 * A page that is written to for the first time after a fork is copied, and that is dearer than ten system calls. So
 * what the caller writes to while children come and go is one mapping (struct ptools_children with all that is behind
 * it) that children do not get at all; and a child allocates nothing before it must.
 */
#ifndef CLIENT_LIB_PFORK_H
#define CLIENT_LIB_PFORK_H

#include <ptools/ptools.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "proto/bytes.h"
#include "proto/value.h"

/* -- pfork_options.c ----------------------------------------------------------------------------------------- */

struct pfork_job {
    int n;
    ptools_pfork_fn f;
    void *arg;
    ptools_pfork_options how; /* seed and at_once are set */
};

/* PTOOLS_OK, or the text of pfork_message() tells what is wrong. */
ptools_err pfork_job_read(int n, ptools_pfork_fn f, void *arg, const ptools_pfork_options *given,
                          struct pfork_job *ret);
/* Sets the thread's text, and returns the code, in the caller's sight: see fail(). */
#define pfork_fail(code, ...) (pfork_tell(__VA_ARGS__), (ptools_err)(code))
void pfork_tell(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));
const char *pfork_message(void);

/* -- pfork_outcomes.c ---------------------------------------------------------------------------------------- */

/* What a child writes into the pipe of its result: this, then so many bytes. */
struct pfork_frame {
    uint32_t magic;
    uint32_t code;  /* PTOOLS_OK: a value follows; else a text */
    uint64_t bytes;
};
#define PFORK_MAGIC     0x31667270u
#define PFORK_BYTES_MAX (((uint64_t)2 << 30) + 64)
enum { SMALL_BYTES = 40 };

struct outcome {
    ptools_child_outcome told;
    struct pfork_frame frame;
    uint64_t got;                /* bytes of frame and payload */
    uint8_t *payload;            /* small, or kept; NULL: not yet */
    uint8_t small[SMALL_BYTES];
    struct bytes *captured[2];   /* stdout, stderr; NULL: nothing came */
    uint64_t dropped[2];
    ptools_err trouble;          /* with its result: PTOOLS_OK: none */
    ptools_err stopped;          /* PTOOLS_OK: it was not */
    msgpack_object root;         /* the value */
};

/* Memory that outcomes point to. It is listed where children still find it, so that what looks for leaks in them,
 * and does not see the mapping of the outcomes, finds none. */
struct kept {
    struct kept *next;
    struct bytes *bytes;         /* of a captured stream; NULL: something else */
    max_align_t data[];
};
struct keeper {
    struct kept *first;
    msgpack_zone *zone;          /* of all values; NULL: not yet */
};

struct ptools_children {
    size_t mapping_bytes;
    int n;
    struct keeper *keeper;
    struct outcome outcomes[];
};

static inline bool outcome_has_frame(const struct outcome *o)
{
    return o->trouble == PTOOLS_OK && o->got >= sizeof o->frame && o->got == sizeof o->frame + o->frame.bytes;
}

/* A mapping with room for n outcomes and so many bytes behind them, zeroed. NULL: no memory. */
struct ptools_children *children_new(int n, size_t behind_bytes);
/* So many bytes that end with it. NULL: no memory. */
void *children_keep(struct ptools_children *c, size_t bytes);
/* An empty buffer that ends with it. NULL: no memory. */
struct bytes *children_keep_bytes(struct ptools_children *c, size_t max_bytes);
/* Whether processes that are forked from now on get it. */
void children_share(struct ptools_children *c, bool yes);
/* Works out code, value and message of a child that has ended. status: of wait4(); -1: unknown. why: if it was stopped,
 * because of this. */
void outcome_end(struct ptools_children *c, struct outcome *o, int status, const char *why);
/* ... which leaves its value unread: this makes told.value. It may turn out that there is no memory for it. */
void outcome_read_value(struct ptools_children *c, struct outcome *o);
/* The same of one that never was. */
void outcome_end_unborn(struct ptools_children *c, struct outcome *o, ptools_err code, const char *format, ...)
    __attribute__((__format__(__printf__, 4, 5)));
/* The code of the first that failed, and the thread's text about all. */
ptools_err children_verdict(const struct ptools_children *c);

/* -- pfork_read.c ---------------------------------------------------------------------------------------------- */

enum {
    PIPE_RESULT,
    PIPE_OUTPUT,
    PIPE_ERRORS,
    PIPES,
    FD_PID = PIPES,
    FDS,                 /* of a child: its pipes, its pidfd */
    STOP_EVENT = 0,      /* the number of the event of options.stop_fd */
    FIRST_EVENT,         /* ... of the first descriptor of the first slot; the others follow */
    TURN_BYTES = 1 << 20 /* so much of one stream is read before others get their turn */
};

struct slot {
    struct outcome *outcome; /* NULL: free */
    uint64_t begun_us;
    TAILQ_ENTRY(slot) link;
    int fds[FDS];            /* -1: none */
    bool watched[FDS];       /* it is in the epoll */
};

struct run {
    const struct pfork_job *job;
    struct ptools_children *children;
    struct keeper *keeper;         /* of children: here a child, which lacks these, still has a pointer to it */
    struct slot *slots;
    uint8_t *scratch;
    TAILQ_HEAD(slots, slot) running, idle; /* running: in the order in which they were begun */
    int epoll;
    pid_t self;
    uint64_t until_us;             /* of all */
    uint64_t looked_us, look_us;   /* when it was last looked what has happened, and how long that took */
    ptools_pfork_progress at;
    ptools_err stopped;            /* PTOOLS_OK, _DEADLINE, _CANCELLED: no more are begun */
    char why[160];                 /* ... because of this */
    bool single_threaded;
};
enum { SCRATCH_BYTES = 65536 };

/* A descriptor that is none of the three that a program has to itself, even if it has closed them. */
int fd_move_up(int fd);
void fd_close(int *fd);
/* The pipes that a child needs; its ends: write_fds. False: errno tells. */
bool slot_open(struct run *r, struct slot *s, int *write_fds);
/* Puts into the epoll what is not there yet. False: not all of it can be. */
bool slot_watch(struct run *r, struct slot *s);
void slot_close(struct run *r, struct slot *s);
/* Reads what there is, at most so many bytes of each stream. */
void slot_read(struct run *r, struct slot *s, uint64_t bytes_at_most);
void slot_read_one(struct run *r, struct slot *s, int which, uint64_t bytes_at_most);

struct fd_run {
    int first, last;
};
enum { FEW_RUNS = 16 };
/* What is the caller's alone. Descriptors that were opened one after the other mostly lie side by side: few runs. */
struct foreign {
    struct fd_run few[FEW_RUNS], *runs;
    size_t n;
};
bool foreign_list(const struct run *r, struct foreign *ret);
void foreign_free(struct foreign *f);

/* -- pfork_child.c -------------------------------------------------------------------------------------------- */

/* All that a child needs to know, in memory of its own: the caller goes on changing what is shared. */
struct pfork_birth {
    struct pfork_job job;
    int index;
    bool single_threaded;        /* the caller was */
    pid_t parent;
    int write_fds[PIPES];        /* -1: none */
    const struct fd_run *foreign; /* descriptors that are the caller's alone */
    size_t n_foreign;
};
void pfork_child_run(const struct pfork_birth *birth) __attribute__((__noreturn__));
/* stdout and stderr, if there is anything in them: in the caller before the forks, in a child at its end. */
void pfork_flush(void);

/* -- pfork.c --------------------------------------------------------------------------------------------------- */

/* *ret: NULL, and nothing was begun; or what came of all. The code and the thread's text are those of ptools_pfork().
 */
ptools_err pfork_run(const struct pfork_job *job, struct ptools_children **ret);

#endif
