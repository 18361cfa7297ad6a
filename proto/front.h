/* SPDX-License-Identifier: MIT */
/*
 * front -- between the three programs of the system's service: fixed structs over SOCK_SEQPACKET sockets, one a packet,
 * and over a pipe.
 *
 * The front (ptoolsd with users.mode=each) listens, and gives each connection to the daemon of the user who made it.
 * ptools-spawn starts these daemons, each as its user. A daemon of a user has no door of its own: its clients come
 * as descriptors through a socket to the front, which it has from birth.
 *
 *     front -> spawn   SPAWN uid, with the socket that the daemon shall have
 *     spawn -> front   ENDED uid, why it ended or could not be started, and its status
 *     front -> daemon  BEGIN, with the pipe; CLIENT, ARRAYS: a connection of either door; DRAIN; RELOAD; LEAVE
 *     daemon -> front  UP; IDLE n; LEAVING: by the pipe
 *
 * A daemon is its user's to replace, so nothing that it can put into the socket may come to lie where it would be closed
 * by the front, or by the service manager, which keeps the front's end: a descriptor that is slow to close would hold up
 * the whole machine. So the front's end takes nothing (shutdown()), and a daemon speaks by a pipe, which no descriptor
 * goes through. Its end of file is the end of the daemon.
 *
 * Whether a daemon may end is agreed on, so that no connection is lost between two of them: it says IDLE with the number
 * of connections it has taken since BEGIN, and the front answers LEAVE if it sent no more than that. One that ends for
 * another reason says LEAVING. Each front begins with BEGIN, a pipe of its own and its version: a daemon of another
 * version leaves.
 * Numbers are native: all are on one machine, and of one version.
 */
#ifndef PROTO_FRONT_H
#define PROTO_FRONT_H

#include <stdint.h>

#define FRONT_MAGIC 0x31726670u /* "pfr1" in memory, little-endian */
enum { FRONT_TEXT_BYTES = 160, FRONT_LINK_FD = 3, FRONT_CGROUP_FD /* of a user's daemon, at its start */ };
#define FRONT_LINK_FD_TEXT "3"
#define FRONT_CGROUP_FD_TEXT "4"

enum front_kind {
    FRONT_SPAWN = 1,
    FRONT_ENDED,
    FRONT_CLIENT, /* with a connection of the door of messages */
    FRONT_ARRAYS, /* with one of the door of descriptors */
    FRONT_BEGIN,  /* with the pipe: connections are counted from here on; text: the front's version */
    FRONT_DRAIN,  /* end when what runs has ended; the second time: at once */
    FRONT_RELOAD, /* read the configuration again */
    FRONT_LEAVE,  /* the answer to IDLE: end now */
    FRONT_IDLE,
    FRONT_LEAVING,
    FRONT_UP      /* it serves: whoever came before that is sent to it now, and would hear why if it could not */
};

struct front_packet {
    uint32_t magic;
    uint32_t kind;
    uint32_t uid;
    int32_t pid;       /* ENDED: 0, if there never was a process */
    int32_t status;    /* ENDED: as waitpid() tells it */
    uint32_t zero;
    uint64_t taken;    /* IDLE */
    char text[FRONT_TEXT_BYTES]; /* ENDED: why, for people; BEGIN: a version; ends with NUL */
};
_Static_assert(sizeof(struct front_packet) == 192, "a wire struct");

#endif
