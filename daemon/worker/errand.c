/* SPDX-License-Identifier: MIT */
/*
 * errand -- see errand.h. One question at a time, so that the next answer is its answer; lanes that come meanwhile
 * are handed on in between.
 */
#include "daemon/worker/errand.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RESTING = 0, ASKING, ASKED }; /* ASKING: whether the question has left is not known */
enum { ANSWER_MS = 5000 };           /* the daemon answers at once */

static struct {
    int fd; /* -1: not ours any more */
    void (*lane)(const struct fds_answer *told, int take_fd);
    _Atomic uint32_t *state; /* NULL: nobody else looks at it */
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
                          .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = CMSG_LEN(sizeof(int))
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

/* The answer to what was asked. */
static bool receive_answer(struct fds_answer *ret, int *ret_fd)
{
    for (;;) {
        if (receive(ret, ret_fd, 0) != 1)
            return false;
        if (ret->code != FDS_CODE_LANE)
            return true;
        handle_unasked(ret, *ret_fd);
    }
}

static bool ask(struct fds_request *request, struct fds_answer *ret, int *ret_fd)
{
    ssize_t sent;

    request->magic = FDS_MAGIC;
    do
        sent = send(self.fd, request, sizeof *request, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (self.state)
        atomic_store(self.state, ASKED);
    return sent == (ssize_t)sizeof *request && receive_answer(ret, ret_fd);
}

/* SIGTERM, which ends a child that shares it, waits until there is an answer. */
static bool ask_shared(struct fds_request *request, struct fds_answer *ret, int *ret_fd)
{
    sigset_t stop, mask;
    bool answered;

    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, &mask);
    atomic_store(self.state, ASKING);
    answered = ask(request, ret, ret_fd);
    atomic_store(self.state, RESTING);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    return answered;
}

void errand_share(_Atomic uint32_t *state)
{
    self.state = state;
}

bool errand_settle(_Atomic uint32_t *state)
{
    struct fds_answer dropped;
    int fd = -1;

    struct pollfd its = { .fd = self.fd, .events = POLLIN };

    if (atomic_load(state) == ASKED) {
        if (poll(&its, 1, ANSWER_MS) != 1) /* it has taken the answer, and was killed before it could say so */
            return false;
        if (receive_answer(&dropped, &fd) && fd >= 0)
            close(fd);
    }
    return atomic_exchange(state, RESTING) != ASKING;
}

void errand_ask(struct fds_request *request, struct fds_answer *ret, int *ret_fd)
{
    *ret_fd = -1;
    errno = EBADF;
    if (self.fd < 0 || !(self.state ? ask_shared : ask)(request, ret, ret_fd)) {
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
