/* SPDX-License-Identifier: MIT */
/*
 * driver -- plays the daemon for a real ptools-worker: starts the template, has it load modules and fork
 * workers, gives them tasks by hand. What these few functions do is all that the link asks of a daemon.
 *
 * Any failure ends the test. Nothing sleeps: an answer that does not come within DRIVER_MS is a failure.
 */
#ifndef TESTS_WORKER_DRIVER_H
#define TESTS_WORKER_DRIVER_H

#include <sys/types.h>

#include "proto/intake.h"
#include "proto/link.h"
#include "proto/page.h"
#include "proto/report.h"
#include "proto/value.h"

enum { DRIVER_MS = 30000 };

struct driver { /* a template */
    pid_t pid;
    int link;
};

struct peer { /* a worker */
    uint32_t id;
    pid_t pid;
    int link;
    int fds;         /* the daemon's end of its socket for descriptors */
    struct page *page;
    struct intake in;
    unsigned next_slot;
};

struct lane { /* to a server task */
    int fd;
    uint32_t number;
    uint32_t calls; /* so far: they are numbered from 1 */
    struct intake in;
};

struct answer {
    struct link_frame frame;
    uint8_t *body; /* with a NUL behind it */
    struct payload payload;
    ptools_value value;          /* frame.code is PTOOLS_OK */
    const char *texts[4];        /* otherwise: message, phase, log, "n of" */
};

/* args: further arguments, up to the first NULL. The caller becomes a subreaper, as the daemon is. */
void driver_start(struct driver *d, const char *module_path, const char *const args[]);
/* Closes the link; the template must end with status 0. */
void driver_stop(struct driver *d);
void driver_send(struct driver *d, const struct link_frame *frame, const void *body, size_t n, const int *fds,
                 size_t n_fds);
/* The next packet; false: the link is at its end. */
bool driver_receive(struct driver *d, struct link_frame *ret, uint8_t body[LINK_PACKET_BYTES]);
struct report *driver_load(struct driver *d, const char *module);

/* A worker that is ready. */
void peer_start(struct peer *w, struct driver *d, uint32_t id);
/* The same in steps: forked, but not told START. */
void peer_fork(struct peer *w, struct driver *d, uint32_t id);
/* A server task that is ready, of uid 1234: the one of that index, of so many. */
void peer_start_stask(struct peer *w, struct driver *d, uint32_t index, uint32_t count, const char *prefix);
/* Closes the link and waits: the wait status. */
int peer_stop(struct peer *w);
/* Waits for the end of a process that dies by itself: the wait status. */
int peer_wait(struct peer *w);
void peer_free(struct peer *w);

void peer_send(struct peer *w, const struct link_frame *frame, const void *body, size_t n);
/* Fills frame for a task in the next slot, and gives it in the page. */
void peer_prepare(struct peer *w, uint64_t task, const char *function, struct link_frame *ret);
/* Gives a task. arguments may be NULL, and is freed. */
void peer_give(struct peer *w, uint64_t task, const char *function, ptools_pack *take_arguments);
/* The next frame; false: the link is at its end. */
bool peer_answer(struct peer *w, struct answer *ret);
void answer_deinit(struct answer *a);

/* give and answer: must succeed. */
void peer_call(struct peer *w, uint64_t task, const char *function, ptools_pack *take_arguments, struct answer *ret);
/* give and answer: must fail with this code, and a message that contains text. */
void peer_fail(struct peer *w, uint64_t task, const char *function, ptools_pack *take_arguments, ptools_err code,
               const char *text);

/* A lane of that number, handed to the server task. */
void lane_open(struct lane *lane, struct peer *w, uint32_t number);
void lane_close(struct lane *lane);
/* What its call of that number is called in frames and in the page. */
uint64_t lane_number(const struct lane *lane, uint32_t call);
void lane_send(struct lane *lane, const struct link_frame *frame, const void *body, size_t n);
/* As peer_give(), peer_answer(), peer_call(), peer_fail(). The value is the number of the call. */
uint64_t lane_give(struct lane *lane, const char *function, ptools_pack *take_arguments);
bool lane_answer(struct lane *lane, struct answer *ret);
void lane_call(struct lane *lane, const char *function, ptools_pack *take_arguments, struct answer *ret);
void lane_fail(struct lane *lane, const char *function, ptools_pack *take_arguments, ptools_err code, const char *text);

ptools_pack *args_u64(uint64_t v);
ptools_pack *args_str(const char *s);

/* Waits until a word of the page says so. */
void page_await(const _Atomic uint32_t *word, uint32_t value);
/* Waits until the function that runs has named that phase: it has begun for certain. */
void page_await_phase(const struct page *page, const char *phase);

#endif
