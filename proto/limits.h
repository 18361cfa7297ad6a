/* SPDX-License-Identifier: MIT */
/*
 * limits -- the numbers that daemon, library and worker must agree on.
 *
 * Limits that an administrator may change have their defaults in daemon/ptoolsd/config.c; those
 * here are part of the protocol and stand in PROTOCOL.md.
 */
#ifndef PROTO_LIMITS_H
#define PROTO_LIMITS_H

#define PROTOCOL_VERSION_MIN 1u
#define PROTOCOL_VERSION_MAX 1u

#define ENVELOPE_BYTES_MAX 65536u          /* first frame of a message */
#define ENVELOPE_DEPTH_MAX 6u
#define ENVELOPE_ITEMS_MAX 8192u
#define PAYLOAD_DEPTH_MAX 28u              /* nesting of arguments and results; msgpack-c stops at 32 */
#define MESSAGE_BYTES_DEFAULT (128u << 20) /* all frames of a message; the daemon's option message_max */

#define NAME_BYTES_MAX 64u                 /* of a module, a function, a set */
#define FUNCTION_BYTES_MAX (2 * NAME_BYTES_MAX + 1) /* "module.function" */
#define WORKERS_MAX 1024u                  /* at a time; ids are 1 to WORKER_ID_MAX */
#define WORKER_ID_MAX 1000000000u          /* above it, those of stand-ins */
#define NESTING_MAX 16u                    /* calls within calls: see daemon/core/nested.h */
#define SET_MEMBERS_MAX WORKERS_MAX
#define STASKS_MAX 1024u                   /* server tasks of one handle */
#define STASKS_ARRAYS_MAX 64u              /* arrays of one handle */
#define HOST_BYTES_MAX 253u                /* of a name or address of a host */
#define KEY_BYTES_MAX 64u                  /* of the key of a queued task */
#define TAGS_MAX 16u                       /* of one queued task; each is 1 to NAME_BYTES_MAX bytes */
#define HOSTS_MAX 64u                      /* named in one target */
#define TASK_AFTER_MAX 64u                 /* tasks that one waits for */
#define TASK_IDS_MAX 1024u                 /* tasks in one request */
#define TASK_PAGE_MAX 4096u                /* tasks in one page of a list */
#define ATTEMPTS_MAX 255u                  /* of one queued task */
#define SHARE_MAX 16u                      /* users that an array is shared with */
#define DEADLINE_MS_MAX UINT64_C(1000000000000) /* 31 years: added to a clock it does not overflow */
#define BATCH_ITEMS_MAX 65536u             /* items of one batch */

#define SOCKET_NAME "ptoolsd.sock"         /* in the daemon's directory: clients' door */
#define FDS_SOCKET_NAME "ptoolsd.fds"      /* in the same place: the door of descriptors */
#define SOCKET_PATH_BYTES_MAX 107u
#define LOCK_NAME "ptoolsd.lock"           /* held while a daemon serves the directory */

#endif
