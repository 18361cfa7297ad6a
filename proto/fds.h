/* SPDX-License-Identifier: MIT */
/*
 * fds -- the door of descriptors: fixed structs over a SOCK_SEQPACKET unix socket, one a packet.
 *
 * What ZeroMQ cannot carry passes here: the memory of arrays, the sockets to server tasks, files that a client
 * gives. A client connects to the path that hello told, shows the token of its ZMTP connection in every request,
 * and must be of the same uid. Workers have a socket of the same kind from their birth: there the daemon knows
 * who asks, and the token is not looked at. Answers come in the order of the requests.
 *
 * Numbers are native: both ends are on one machine. Texts end with NUL within their field. PROTOCOL.md has the
 * layout byte by byte; nothing of it moves within a protocol version.
 */
#ifndef PROTO_FDS_H
#define PROTO_FDS_H

#include <stddef.h>
#include <stdint.h>

#include <ptools/array.h>

#include "proto/limits.h"

#define FDS_MAGIC 0x31646670u /* "pfd1" in memory, little-endian */
#define FDS_OWN UINT32_MAX    /* of the asking user */
enum { FDS_TOKEN_BYTES = 16, FDS_NAME_BYTES = 72, FDS_TEXT_BYTES = 256 };

enum fds_kind {
    FDS_ARRAY = 1,  /* id, or, id 0, owner, prefix and name: what it is, and its descriptor */
    FDS_LANE = 2,   /* id of server tasks, index: a socket to that task */
    FDS_SHARED = 3, /* id of server tasks, index: their array of that index, as FDS_ARRAY */
    FDS_GIVE = 4,   /* with one descriptor, of a regular file: its number, for array-create */
    FDS_MAKE = 5    /* from workers, bytes: a new array for a large value of the task that runs, as FDS_ARRAY */
};
enum { /* flags of a request */
    FDS_READ_ONLY = 1
};
enum { /* flags of an answer */
    FDS_IS_READ_ONLY = 1, /* the descriptor can only be mapped for reading */
    FDS_IS_FILE = 2,      /* it may become shorter than the array */
    FDS_IS_HUGE = 4,      /* mapped_bytes is a multiple of 2 MiB */
    FDS_POPULATE = 8,     /* its creator wants all pages mapped at once */
    FDS_IS_NAMED = 16     /* server tasks: they outlive their connection */
};

struct fds_request {
    uint32_t magic;
    uint32_t kind;
    uint8_t token[FDS_TOKEN_BYTES];
    uint64_t id;
    uint64_t task;   /* from workers: the one that runs */
    uint64_t bytes;  /* FDS_MAKE */
    uint32_t index;
    uint32_t flags;
    uint32_t owner;  /* a uid; FDS_OWN */
    uint32_t zero;
    char name[FDS_NAME_BYTES];
    char prefix[FDS_NAME_BYTES];
};
_Static_assert(sizeof(struct fds_request) == 208, "a wire struct");

struct fds_answer {
    uint32_t magic;
    uint32_t code;         /* 0, or why not: text tells. With 0, all but FDS_GIVE carry one descriptor */
    uint64_t id;           /* of the array; FDS_GIVE: the number of the file */
    uint64_t bytes;        /* of the elements; FDS_LANE: the number of the lane, below 2^32 */
    uint64_t mapped_bytes; /* to be mapped, from offset on */
    uint64_t offset;
    uint32_t type, order;
    uint32_t ndims;        /* FDS_LANE: how many server tasks there are */
    uint32_t flags;
    uint64_t dims[PTOOLS_DIMS_MAX];
    uint32_t process;      /* FDS_LANE: the number of the process */
    int32_t pid;           /* FDS_LANE */
    uint32_t owner;        /* of the array: a uid */
    uint32_t zero;
    char name[FDS_NAME_BYTES];
    char prefix[FDS_NAME_BYTES];
    char text[FDS_TEXT_BYTES];
};
_Static_assert(sizeof(struct fds_answer) == 536, "a wire struct");

struct ptools_array;
/* What an answer (code 0) says of an array, believed only if it hangs together and the object behind the descriptor
 * is as large: object_bytes. All of *ret but the mapping. PTOOLS_OK, _PROTOCOL, _BAD_FILE; then why tells. */
ptools_err fds_answer_array(const struct fds_answer *a, uint64_t object_bytes, struct ptools_array *ret,
                            char why[FDS_TEXT_BYTES]);

/* An answer that says no; the text is cut to fit. */
void fds_answer_refuse(struct fds_answer *ret, ptools_err code, const char *format, ...)
    __attribute__((__format__(__printf__, 3, 4)));

/* From daemon to a server task, unasked: another lane. Told from answers by its code. */
enum { FDS_CODE_LANE = 0xffff };

#endif
