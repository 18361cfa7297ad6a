/* SPDX-License-Identifier: MIT */
/*
 * answers -- a worker's frames on their way to the daemon: many in one system call, none held back.
 *
 * Small ones gather here; answers_flush() sends them. While a function runs, nobody calls that: so a
 * timer, armed when a function begins while answers wait, sends them from its handler after ANSWERS_US.
 * The fatal handler and exit() send them as well: what was finished is not lost with what crashed.
 *
 * There is one link a process, so the state is the process's. Only answers_flush_now() may be called
 * from signal handlers, and it does nothing unless a function is running: then nobody else is at work
 * on the state.
 */
#ifndef WORKER_ANSWERS_H
#define WORKER_ANSWERS_H

#include <stdbool.h>

#include "proto/link.h"

enum {
    ANSWERS_BYTES = 64 << 10,        /* of small frames gather before they are sent */
    ANSWERS_COPY_BYTES = 16 << 10,   /* larger bodies are sent at once, from where they are */
    ANSWERS_US = 1000                /* so long answers may wait behind a function that was short so far */
};

/* The link is borrowed. lost is called when it is broken, with the cause; it does not return. 0 or -errno. */
int answers_init(int link_fd, void (*lost)(int cause));
/* Installs the handler anew: a function may have changed it. */
void answers_arm(void);
/* In a child that a function forked: nothing is sent from here any more. */
void answers_disown(void);

void answers_add(const struct link_frame *frame, const void *body, uint64_t now_us);
void answers_flush(void);
/* After a function that may have closed the link: then it is lost. */
void answers_look(void);
bool answers_waiting(void);
/* When the oldest that waits was added. */
uint64_t answers_oldest_us(void);

/* Around the call of a function. */
void answers_function_begins(void);
void answers_function_ended(void);
/* For handlers: tries for up to wait_ms to send what waits. */
void answers_flush_now(int wait_ms);

#endif
