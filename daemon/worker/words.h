/* SPDX-License-Identifier: MIT */
/*
 * words -- a worker's last words: what its signal handlers leave in the control page.
 *
 * A fatal signal (SEGV, BUS, FPE, ILL, ABRT, TRAP, SYS) puts signal, address and backtrace there, then
 * kills the process by the same signal, so that its status tells the truth. SIGTERM, which is how the
 * daemon asks a task to stop, puts the backtrace of where the function is, and returns (see words_set_role()).
 *
 * Handlers use system calls and the page only: no memory is allocated, no lock of libc's is taken, what
 * is known is written before more is looked for. So a crash in the heap, of the stack, or in the
 * unwinder itself leaves at least the signal.
 *
 * There is one page a process, so the state is the process's.
 */
#ifndef WORKER_WORDS_H
#define WORKER_WORDS_H

#include <stddef.h>

#include "proto/page.h"

/* Installs handlers on a stack of their own. before_death is called by the fatal handler once the signal
 * is recorded, before it looks at the stack; it must be safe in a handler. 0 or -errno. */
int words_init(struct page *page, void (*before_death)(void));
/* Installs them anew: a function may have changed them. */
void words_arm(void);
/* In a child that a function forked: the page is its parent's. */
void words_disarm(void);

/* What SIGTERM means while a task is to stop: */
enum words_role {
    WORDS_OWN,      /* the function is here: it is told where it is, and goes on */
    WORDS_WATCHING, /* the function is in a child: nothing, but that it interrupts */
    WORDS_ITEM      /* the child: as the first, and that is its end */
};
/* The one until now. */
enum words_role words_set_role(enum words_role role);

/* Learns the names of the shared objects that were loaded since the last time; those that were loaded
 * through a descriptor are called module.so and lie at path. */
void words_learn(const char *module, const char *path);

/* The stack frame from which functions are called: backtraces end there. NULL: they go on to main(). */
void words_set_base(const void *frame);

/* Writes the backtrace of a signal's context (or, NULL, of the caller): a line a frame, always
 * terminated, cut to cap bytes. For the handlers, and for tests. */
void words_backtrace(const void *ucontext, char *ret, size_t cap);

#endif
