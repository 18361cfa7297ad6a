/* SPDX-License-Identifier: MIT */
/*
 * fds -- the library's side of the door of descriptors: a packet asks, a packet answers, a descriptor comes along.
 *
 * The connection is made when it is first needed and kept. Each question waits for its answer, at most for the
 * connect timeout: the daemon answers at once, or is in trouble. A connection that turns out to be gone is made
 * anew once.
 */
#include "client/lib/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void fds_learn(struct ptools *pt, const struct msg_reply *reply)
{
    if (reply->door.data == NULL || reply->door.n >= sizeof pt->door || strncmp(pt->address, "tcp://", 6) == 0)
        return; /* a door on another machine is of no use */
    memcpy(pt->token, reply->token.data, sizeof pt->token);
    memcpy(pt->door, reply->door.data, reply->door.n);
    pt->door[reply->door.n] = '\0';
    if (access(pt->door, W_OK) < 0)
        return; /* nor is one that cannot be seen from here: another mount namespace */
    pt->has_door = true;
    pt->large = pt->settings.large_bytes ? pt->settings.large_bytes : reply->large ? reply->large : UINT64_MAX;
}

void fds_forget(struct ptools *pt)
{
    if (pt->door_fd >= 0)
        close(pt->door_fd);
    pt->door_fd = -1;
    pt->has_door = false;
    pt->large = UINT64_MAX;
}

ptools_err fds_check(struct ptools *pt)
{
    ptools_err err = connection_ensure(pt, CLOCK_FOREVER);

    if (err != PTOOLS_OK || pt->has_door)
        return err;
    return fail(pt, PTOOLS_ERR_TRANSPORT,
                "%s: this daemon hands out no descriptors here: arrays and server tasks need one on this machine",
                pt->address);
}

static ptools_err connect_door(struct ptools *pt)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (pt->door_fd >= 0)
        return PTOOLS_OK;
    memcpy(address.sun_path, pt->door, sizeof pt->door);
    pt->door_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (pt->door_fd < 0)
        return fail(pt, PTOOLS_ERR_SYSTEM, "socket: %s", strerror(errno));
    if (connect(pt->door_fd, (struct sockaddr *)&address, sizeof address) == 0)
        return PTOOLS_OK;
    fail_record(pt, errno == EACCES ? PTOOLS_ERR_DENIED : PTOOLS_ERR_SYSTEM, "connect to %s: %s", pt->door,
                strerror(errno));
    close(pt->door_fd);
    pt->door_fd = -1;
    return pt->last.facts.code;
}

static bool send_request(struct ptools *pt, const struct fds_request *request, int give_fd)
{
    struct iovec iov = { (void *)(uintptr_t)request, sizeof *request };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t sent;

    if (give_fd >= 0) {
        msg.msg_control = control.room;
        msg.msg_controllen = sizeof control.room;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof give_fd);
        memcpy(CMSG_DATA(&control.header), &give_fd, sizeof give_fd);
    }
    do
        sent = sendmsg(pt->door_fd, &msg, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof *request;
}

/* 1: *ret; 0: not in time; -1: the connection is gone. */
static int receive_answer(struct ptools *pt, uint64_t until_us, struct fds_answer *ret, int *ret_fd)
{
    struct iovec iov = { ret, sizeof *ret };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    struct pollfd p = { .fd = pt->door_fd, .events = POLLIN };
    ssize_t got;
    int r;

    *ret_fd = -1;
    do
        r = poll(&p, 1, clock_poll_ms(until_us));
    while (r < 0 && errno == EINTR);
    if (r == 0)
        return 0;
    do
        got = recvmsg(pt->door_fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    for (struct cmsghdr *c = got <= 0 ? NULL : CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(ret_fd, CMSG_DATA(c), sizeof *ret_fd);
    if (got == (ssize_t)sizeof *ret && ret->magic == FDS_MAGIC) {
        ret->text[sizeof ret->text - 1] = ret->name[sizeof ret->name - 1] = ret->prefix[sizeof ret->prefix - 1] = '\0';
        return 1;
    }
    if (*ret_fd >= 0)
        close(*ret_fd);
    return -1;
}

static void drop_door(struct ptools *pt)
{
    close(pt->door_fd);
    pt->door_fd = -1;
}

ptools_err fds_ask(struct ptools *pt, struct fds_request *request, int give_fd, uint64_t until_us,
                   struct fds_answer *ret, int *ret_fd)
{
    int fd = -1, r = -1;
    ptools_err err;

    until_us = round_trip_until_us(pt, until_us);
    request->magic = FDS_MAGIC;
    memcpy(request->token, pt->token, sizeof request->token);
    for (int attempt = 0; attempt < 2 && r < 0; attempt++) {
        err = connect_door(pt);
        if (err != PTOOLS_OK)
            return err;
        r = send_request(pt, request, give_fd) ? receive_answer(pt, until_us, ret, &fd) : -1;
        if (r <= 0) /* an answer that comes later would be taken for that of another question */
            drop_door(pt);
    }
    if (r < 0)
        return fail(pt, PTOOLS_ERR_LOST, "%s: the daemon closed the connection for descriptors", pt->door);
    if (r == 0)
        return fail(pt, PTOOLS_ERR_TIMEOUT, "%s: the daemon did not answer in time", pt->door);
    if (ret->code == PTOOLS_OK && (fd >= 0) == (ret_fd != NULL)) {
        if (ret_fd)
            *ret_fd = fd;
        return PTOOLS_OK;
    }
    if (fd >= 0)
        close(fd);
    if (ret->code == PTOOLS_OK)
        return fail_static(pt, PTOOLS_ERR_SYSTEM, "a descriptor did not come: this process may have too many open");
    return fail(pt, (ptools_err)ret->code, "%s", ret->text);
}
