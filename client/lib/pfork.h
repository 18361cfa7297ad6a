/* SPDX-License-Identifier: MIT */
/*
 * pfork -- the inside of <ptools/pfork.h>.
 *
 *     pfork_options.c    what was asked for, checked
 *     pfork.c            the caller: forks, reads, waits, stops, reaps
 *     pfork_child.c      the child: from fork to _exit
 *     pfork_outcomes.c   what came of each child, in words
 *     pfork_shm.c        the same with arrays
 *
 * A page that is touched for the first time after a fork is copied, and that is dearer than ten system calls. So what
 * the caller writes to while children come and go is one mapping that is shared, and hence never copied
 * (struct ptools_children with all that is behind it); a child leaves that mapping at once, and reads nothing there.
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
/* Sets the thread's text, and returns the code. */
ptools_err pfork_fail(ptools_err code, const char *format, ...) __attribute__((__format__(__printf__, 2, 3)));
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
    uint8_t *payload;            /* small, or of its own; NULL: not yet */
    uint8_t small[SMALL_BYTES];
    char *message;               /* owned; NULL: told.message is static, or in the payload */
    struct bytes *captured[2];   /* stdout, stderr; NULL: nothing came */
    uint64_t dropped[2];
    ptools_err trouble;          /* with its result: PTOOLS_OK: none */
    ptools_err stopped;          /* PTOOLS_OK: it was not */
    msgpack_object root;         /* the value */
};

struct ptools_children {
    size_t mapping_bytes;
    int n;
    msgpack_zone *zone;          /* of all values; NULL: not yet */
    struct outcome outcomes[];
};

static inline bool outcome_has_frame(const struct outcome *o)
{
    return o->trouble == PTOOLS_OK && o->got >= sizeof o->frame && o->got == sizeof o->frame + o->frame.bytes;
}

/* A mapping with room for n outcomes and so many bytes behind them, zeroed. NULL: no memory. */
struct ptools_children *children_new(int n, size_t behind_bytes);
/* Works out code, value and message of a child that has ended. status: of wait4(); -1: unknown. why: if it was stopped,
 * because of this. */
void outcome_end(struct ptools_children *c, struct outcome *o, int status, const char *why);
/* The same of one that never was. */
void outcome_end_unborn(struct outcome *o, ptools_err code, const char *format, ...)
    __attribute__((__format__(__printf__, 3, 4)));
/* The code of the first that failed, and the thread's text about all. */
ptools_err children_verdict(const struct ptools_children *c);

/* -- pfork_child.c -------------------------------------------------------------------------------------------- */

enum { PIPE_RESULT, PIPE_OUTPUT, PIPE_ERRORS, PIPES };

struct fd_run {
    int first, last;
};

/* All that a child needs to know, in memory of its own: the caller goes on changing what is shared. */
struct pfork_birth {
    struct pfork_job job;
    int index;
    ptools_pack *pack;           /* empty, of the caller: nothing is allocated before the function wants it */
    bool single_threaded;        /* the caller was */
    pid_t parent;
    int write_fds[PIPES];        /* -1: none */
    void *mapping;               /* of the caller, to be left */
    size_t mapping_bytes;
    const struct fd_run *foreign; /* descriptors that are the caller's alone */
    size_t n_foreign;
};
void pfork_child_run(const struct pfork_birth *birth) __attribute__((__noreturn__));
/* stdout and stderr, if there is anything in them: in the caller before the forks, in a child at its end. */
void pfork_flush(void);

/* -- pfork.c --------------------------------------------------------------------------------------------------- */

/* *ret: NULL, and nothing was begun; or what came of all. The code and the thread's text are those of ptools_pfork(). */
ptools_err pfork_run(const struct pfork_job *job, struct ptools_children **ret);

#endif
