/* SPDX-License-Identifier: MIT */
/*
 * link -- the frames between daemon and worker, and between daemon and template.
 *
 * Worker link: a stream socket pair. A frame is a fixed header and a body of body_bytes; many are
 * read and written with one system call. Both ends are on one machine and of one build, so numbers
 * are native; every field is checked all the same, for a worker runs foreign code.
 *
 * Template link: a seqpacket socket pair, one frame a packet (header and body), descriptors beside it:
 * SPAWN carries the worker's end of a worker link and the control page, in this order.
 */
#ifndef PROTO_LINK_H
#define PROTO_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "proto/bytes.h"

enum link_type {
    /* daemon to worker */
    LINK_START = 1, /* first frame: you are the daemon's child now; a = the daemon's pid, worker = your id */
    LINK_RUN,       /* a task: task, attempt, slot, uid = a; body = name (name_bytes) then arguments */
    LINK_STOP,      /* finish what was given, then exit 0 */
    /* worker to daemon */
    LINK_READY,     /* answer to START: takes tasks now */
    LINK_DONE,      /* task, attempt, slot, code; a = run time in us, b = memory in KiB or 0, fds or 0;
                       body = the value (code 0), or four strings, each ended by NUL:
                       message, phase, log, and the progress as "n of" */
    LINK_SKIPPED,   /* the task was revoked: its slot is free again. Carries task, attempt, slot */
    /* daemon to template */
    LINK_LOAD,      /* body = module name */
    LINK_SPAWN,     /* worker = its id; two descriptors */
    /* template to daemon */
    LINK_TEMPLATE_READY,
    LINK_LOADED,    /* answer to LOAD: code; body = a module report (report.h) */
    LINK_SPAWNED    /* answer to SPAWN: worker; a = pid, or code != 0 and body = why */
};

struct link_frame {
    uint32_t body_bytes;
    uint8_t type;        /* enum link_type */
    uint8_t name_bytes;  /* RUN: of body, the function's name */
    uint16_t code;       /* ptools_err; PTOOLS_OK = 0 */
    uint64_t task;
    uint32_t worker;
    uint32_t attempt;
    uint32_t slot;
    uint32_t a;
    uint32_t b;
    uint32_t fds;        /* open descriptors above those it was born with; 0: not looked */
};
_Static_assert(sizeof(struct link_frame) == 40, "a wire struct");

/* How a worker ends by itself, other than with 0 (asked to, or the daemon is gone). */
enum {
    WORKER_EXIT_LINK_LOST = 121, /* its function closed or broke the link */
    WORKER_EXIT_PROTOCOL = 122,  /* it did not understand the daemon */
    WORKER_EXIT_MEMORY = 123     /* no memory for a frame */
};

enum { LINK_PACKET_BYTES = 60000 }; /* largest packet on the template link, header included */

#endif
