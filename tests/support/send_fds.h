/* SPDX-License-Identifier: MIT */
/*
 * send_fds -- one message on a unix socket, with descriptors: for tests that send more of them, or others, than the
 * project's own code would.
 */
#ifndef TESTS_SEND_FDS_H
#define TESTS_SEND_FDS_H

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { SEND_FDS_MAX = 253 }; /* as many as Linux lets go along */

/* n descriptors, which stay the caller's; 0: none. What sendmsg() says. */
static inline ssize_t send_fds(int socket, const struct iovec *iov, size_t n_iov, const int *fds, size_t n, int flags)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(SEND_FDS_MAX * sizeof(int))];
    } control = { 0 };
    struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n_iov };

    if (n > 0) {
        msg.msg_control = control.room;
        msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, n * sizeof(int));
    }
    return sendmsg(socket, &msg, MSG_NOSIGNAL | flags);
}

#endif
