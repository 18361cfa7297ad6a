/* SPDX-License-Identifier: MIT */
/*
 * errand -- see errand.h. One question at a time, so that the next answer is its answer; lanes that come meanwhile
 * are handed on in between.
 */
#include "daemon/worker/errand.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    int fd; /* -1: not ours any more */
    void (*lane)(const struct fds_answer *told, int take_fd);
} self = { .fd = -1 };

void errand_init(int take_fd, void (*lane)(const struct fds_answer *told, int take_fd))
{
    self.fd = take_fd;
    self.lane = lane;
}

int errand_fd(void)
{
    return self.fd;
}

void errand_disown(void)
{
    if (self.fd >= 0)
        close(self.fd);
    self.fd = -1;
}

/* One packet. 1: *ret is it; 0: none is there (MSG_DONTWAIT); -1: the socket is gone. */
static int receive(struct fds_answer *ret, int *ret_fd, int flags)
{
    struct iovec iov = { ret, sizeof *ret };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr msg = { /* room for one descriptor: were there more, the kernel would close them */
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))
    };
    ssize_t got;

    do
        got = recvmsg(self.fd, &msg, MSG_CMSG_CLOEXEC | flags);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN)
        return 0;
    *ret_fd = -1;
    for (struct cmsghdr *c = got <= 0 ? NULL : CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(ret_fd, CMSG_DATA(c), sizeof *ret_fd);
    if (got == (ssize_t)sizeof *ret && ret->magic == FDS_MAGIC)
        return 1;
    if (*ret_fd >= 0)
        close(*ret_fd);
    *ret_fd = -1;
    if (got >= 0)
        errno = got == 0 ? ECONNRESET : EBADMSG;
    return -1;
}

static void handle_unasked(const struct fds_answer *told, int fd)
{
    if (self.lane && told->code == FDS_CODE_LANE && fd >= 0)
        self.lane(told, fd);
    else if (fd >= 0)
        close(fd);
}

void errand_receive(void)
{
    struct fds_answer told;
    int fd;

    if (self.fd >= 0 && receive(&told, &fd, MSG_DONTWAIT) == 1)
        handle_unasked(&told, fd);
}

static bool ask(struct fds_request *request, struct fds_answer *ret, int *ret_fd)
{
    ssize_t sent;

    request->magic = FDS_MAGIC;
    do
        sent = send(self.fd, request, sizeof *request, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent != (ssize_t)sizeof *request)
        return false;
    for (;;) {
        if (receive(ret, ret_fd, 0) != 1)
            return false;
        if (ret->code != FDS_CODE_LANE)
            return true;
        handle_unasked(ret, *ret_fd);
    }
}

void errand_ask(struct fds_request *request, struct fds_answer *ret, int *ret_fd)
{
    *ret_fd = -1;
    errno = EBADF;
    if (self.fd < 0 || !ask(request, ret, ret_fd)) {
        fds_answer_refuse(ret, PTOOLS_ERR_SYSTEM, "the socket to ptoolsd for descriptors is gone: %s", strerror(errno));
        return;
    }
    if (ret->code == PTOOLS_OK && *ret_fd < 0)
        fds_answer_refuse(ret, PTOOLS_ERR_SYSTEM, "this process has no descriptor left for the array");
    if (ret->code != PTOOLS_OK && *ret_fd >= 0) {
        close(*ret_fd);
        *ret_fd = -1;
    }
}
