/* SPDX-License-Identifier: MIT */
/*
 * link -- the frames between daemon and worker, and between daemon and template.
 *
 * Worker link: a stream socket pair. A frame is a fixed header and a body of body_bytes; many are
 * read and written with one system call. Both ends are on one machine and of one build, so numbers
 * are native; every field is checked all the same, for a worker runs foreign code.
 *
 * Template link: a seqpacket socket pair, one frame a packet (header and body), descriptors beside it:
 * SPAWN carries the process's end of a worker link, the control page, and its end of a socket for descriptors
 * (fds.h), in this order.
 *
 * Lane: a stream socket pair between a server task and whoever calls it, of RUN and DONE frames as on a worker link;
 * PROTOCOL.md describes it, so what it uses of struct link_frame stays as it is.
 */
#ifndef PROTO_LINK_H
#define PROTO_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/bytes.h"

enum link_type { /* those with a number travel on lanes, too: PROTOCOL.md */
    /* daemon to worker */
    LINK_START = 1, /* first frame: you are the daemon's child now; a = the daemon's pid, worker = your id */
    LINK_RUN = 2,   /* a task: task, attempt, slot, uid = a, large = b (a value of more bytes may be put into an
                       array; 0: never), code = RUN_... flags; body = name (name_bytes), then, as the flags say,
                       when it was queued (8 bytes: ms since 1970), the room (8 bytes: the number of an array), struct
                       link_batch and the names of its init function and its operator, and the arguments or where they
                       are */
    LINK_STOP,      /* finish what was given, then exit 0. a = 1 (server tasks): what runs shall stop as well */
    /* worker to daemon */
    LINK_READY,     /* answer to START: takes tasks now */
    LINK_DONE = 5,  /* task, attempt, slot, code; a = run time in us, b = memory in KiB or 0, fds or 0;
                       body = the value (code 0), or four strings, each ended by NUL:
                       message, phase, log, and the progress as "n of"; with EXITED (a worker's alone) a fifth,
                       "exit_status signal", of which one is -1 or 0 */
    LINK_DONE_ARRAY = 6, /* as DONE with code 0; body = struct link_reference, where the value is */
    LINK_LOG,       /* task, attempt, slot; body = the last lines that its function logged: before the DONE of one that
                       did not fail, if there are any */
    LINK_ITEMS,     /* task, attempt, slot; a = so many more items of a batch are done, b = of which so many failed; body =
                       their records. Before its DONE, whose body has no value */
    LINK_SKIPPED,   /* the task was revoked: its slot is free again. Carries task, attempt, slot */
    /* daemon to template */
    LINK_LOAD,      /* body = module name */
    LINK_SPAWN,     /* worker = its id, or with STASK_PROCESS_BIT the number of a server task's process, which is task
                       `slot` of `attempt`, of user a; body = their prefix; three descriptors, and that of the directory of its control
                       group, if it has one */
    LINK_CLOSE,     /* one descriptor, to be closed: that may take long */
    /* template to daemon */
    LINK_TEMPLATE_READY,
    LINK_LOADED,    /* answer to LOAD: code; body = a module report (report.h) */
    LINK_SPAWNED,   /* answer to SPAWN: worker; a = pid, or code != 0 and body = why */
    /* daemon to worker and server task, and back */
    LINK_MAP,       /* task = an array: ask for it by the socket for descriptors, and map it */
    LINK_FORGET,    /* task = an array that has ended: unmap it */
    LINK_MAPPED,    /* answer to MAP: task; code != 0: body = why not */
    LINK_CANCEL     /* server tasks: the call `task` shall not be begun. One that runs is told by the page */
};

enum { /* LINK_RUN: code */
    RUN_ARGS_ARRAY = 1, /* the arguments are a struct link_reference: they lie in that array */
    RUN_ROOM = 2,       /* there is a room */
    RUN_BATCH = 4,      /* a batch: there is a struct link_batch, and the arguments are a list for each item, one after
                           the other */
    RUN_QUEUED = 8      /* a queued task: there is the time */
};
struct link_batch {
    uint64_t map;                      /* of the run, and of no other client's; 0: none, then there is no init function */
    uint64_t captured, captured_bytes; /* as in struct msg_call; 0: none */
    uint32_t items;
    uint32_t hand_back_ms;             /* 0: never */
    uint16_t init_bytes;               /* of the name of the init function; 0: none */
    uint16_t op_bytes;                 /* of the name of the operator, a reduction; 0: none */
    uint32_t values;                   /* as in struct msg_call */
    uint32_t isolated;                 /* 1: each item has a process of its own; 0 */
    uint32_t zero;
};
_Static_assert(sizeof(struct link_batch) == 48, "a wire struct");
struct link_reference {
    uint64_t array, bytes;
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

struct msg_failure;
/* The body of a DONE frame that tells a failure, whose code is in *ret: its texts point into the body. false: it is
 * malformed. */
bool link_failure_read(const struct span *body, struct msg_failure *ret);

/* How a worker ends by itself, other than with 0 (asked to, or the daemon is gone). */
enum {
    WORKER_EXIT_LINK_LOST = 121, /* its function closed or broke the link */
    WORKER_EXIT_PROTOCOL = 122,  /* it did not understand the daemon */
    WORKER_EXIT_MEMORY = 123     /* no memory for a frame */
};

enum { LINK_PACKET_BYTES = 60000 }; /* largest packet on the template link, header included */

#endif
