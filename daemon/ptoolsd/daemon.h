/* SPDX-License-Identifier: MIT */
/*
 * daemon -- what the parts of ptoolsd share: the loop, the core, and the way from one to the other.
 *
 * Everything runs in one thread. A part that learnt something tells the core (core_...(&d->actions))
 * and calls daemon_deliver() at once: actions are carried out in order, immediately, so that what
 * they borrow is still there. Carrying out an action only queues bytes; they leave at the end of the
 * turn (daemon_turn()), one system call for each socket.
 */
#ifndef PTOOLSD_DAEMON_H
#define PTOOLSD_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "daemon/core/core.h"
#include "daemon/ptoolsd/config.h"
#include "daemon/ptoolsd/reload.h"

struct cgroups;
struct door;
struct fds;
struct front_link;
struct memory;
struct recorder;
struct supervisor;

/* Within one turn of the loop, earlier phases run first. */
enum phase {
    PHASE_STOP = -50,        /* a request to end must not queue behind work                      */
    PHASE_WORKER_DATA = -40, /* a result that was sent counts, even if its sender died since     */
    PHASE_WORKER_EXIT = -30, /* so exits come after data, or we would fail tasks that are done   */
    PHASE_JOURNAL = -25,     /* what is recorded frees workers and answers                       */
    PHASE_TIMER = -20,       /* a deadline must not beat a result that has arrived               */
    PHASE_CLIENT = 0,        /* new work last: it sees every worker that became free             */
    PHASE_SWEEP = 10,        /* who owes us bytes is asked after they were read                  */
    PHASE_SPARE = 20,        /* what can wait, but not for ever: memory is reserved, see memory.c     */
};

/* What main() gives into the hands of the daemon: all of it is taken. */
struct start {
    struct source source;  /* of the settings, to read them again */
    int listen_fd, fds_fd; /* -1: this is the daemon of one user ... */
    int front_fd;          /* ... whose clients come by this; else -1 */
    int cgroup_fd;         /* of the control group that it was given; -1: none */
    int ready_fd;  /* gets "READY\n" once all workers are up; -1: nobody asks */
    int stderr_fd; /* of a private daemon: the log goes there until it is ready; -1: it is at its place */
};

struct daemon {
    const struct config *config;
    sd_event *event;
    struct core *core;
    struct actions actions;
    bool delivering;
    sd_event_source *core_timer;
    uint64_t core_timer_us;      /* what it is armed for */
    struct door *door;
    struct fds *fds;
    struct front_link *front;    /* NULL: this daemon has doors of its own */
    struct memory *memory;
    struct recorder *recorder;   /* NULL: there is no journal */
    int fence_fd;                /* for templates; -1: there is no journal */
    struct cgroups *cgroups;     /* NULL: there are none ... */
    const char *cgroups_why;     /* ... for this reason */
    struct supervisor *supervisor;
    struct span envelope;        /* of the request that is being handled */
    uint8_t epoch[16];
    uint64_t started_us;
    struct start start;          /* its descriptors are -1 once they are used up */
    bool ready;
    bool draining;
    bool hurry;
    sd_event_source *drain_timer;
    sd_event_source *progress_timer;
    bool looking;                /* progress_timer is set */
    int exit_code;
};

/* Runs until told to end; the value is the exit status of the program. */
int daemon_run(const struct config *config, struct start *take_start);

uint64_t daemon_now(struct daemon *d);
/* Carries out what the core wants. */
void daemon_deliver(struct daemon *d);
/* Stop taking work; end when what runs has ended. A second call hurries. */
void daemon_drain(struct daemon *d);
/* Reads the settings again, and does what they say: limits, workers, modules. */
void daemon_reload(struct daemon *d);
/* All workers of the start are up: tell whoever waits for it (once). */
void daemon_tell_ready(struct daemon *d);
/* This process is in trouble and cannot go on: say so and end with status 1. */
void daemon_fail(struct daemon *d, const char *what, int error);

#endif
