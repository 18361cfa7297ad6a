/* SPDX-License-Identifier: MIT */
/*
 * given -- see given.h. Whoever receives a descriptor has to close it, and to close one of FUSE or NFS (which flushes)
 * or a socket that lingers may take for ever. So the daemon does not receive what clients send: a child of it does,
 * looks at the file system, and passes on what is good. What is not good it closes, or waits for that in its place.
 *
 * The child is forked and no other program: the daemon has one thread, and all that the child does is here. It ends
 * with the daemon, and holds nothing of it.
 */
#include "daemon/ptoolsd/given.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/ptoolsd/filesystem.h"
#include "proto/fds.h"

struct given {
    pid_t pid;
    int fd;
    sd_event_source *source;
    given_done *done;
    void *userdata;
};

/* One packet and its one descriptor; -1: there was not just one. */
static int receive_one(int socket, void *packet, size_t bytes)
{
    struct iovec iov = { packet, bytes };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr msg = { /* room for one: were there more, the kernel would close them */
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))
    };
    ssize_t got = recvmsg(socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = got < 0 ? NULL : CMSG_FIRSTHDR(&msg);
    int fd = -1;

    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    if (msg.msg_flags & MSG_CTRUNC || got != (ssize_t)bytes) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/* -- the child ------------------------------------------------------------------------------------------------- */

static void close_but(unsigned a, unsigned b)
{
    unsigned low = a < b ? a : b, high = a < b ? b : a;

    if (low > STDERR_FILENO + 1)
        close_range(STDERR_FILENO + 1, low - 1, 0);
    if (high > low + 1)
        close_range(low + 1, high - 1, 0);
    close_range(high + 1, ~0u, 0);
}

static void tell(int out, const char *why, int fd)
{
    char text[FILESYSTEM_WHY_BYTES] = "";
    struct iovec iov = { text, sizeof text };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = { .header = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd) } };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    strncpy(text, why, sizeof text - 1);
    if (fd >= 0) {
        msg.msg_control = control.room;
        msg.msg_controllen = sizeof control.room;
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    }
    sendmsg(out, &msg, MSG_NOSIGNAL);
}

__attribute__((noreturn)) static void look(int socket, int out, pid_t client)
{
    char why[FILESYSTEM_WHY_BYTES] = "";
    struct fds_request request;
    int fd;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close_but((unsigned)socket, (unsigned)out);
    fd = receive_one(socket, &request, sizeof request);
    if (fd < 0)
        tell(out, "a request to give a file takes one descriptor", -1);
    else if (filesystem_is_local(fd, client, why))
        tell(out, "", fd);
    else
        tell(out, why, -1);
    close(socket);
    close(out);
    _exit(0); /* closes it, which may take long */
}

/* -- the daemon ------------------------------------------------------------------------------------------------- */

static int on_told(sd_event_source *s, int source_fd, uint32_t revents, void *userdata)
{
    char why[FILESYSTEM_WHY_BYTES] = "";
    struct given *g = userdata;
    int fd = receive_one(source_fd, why, sizeof why);

    (void)s;
    (void)revents;
    why[sizeof why - 1] = '\0';
    g->done(g->userdata, fd, fd < 0 && !*why ? NULL : why);
    return 0;
}

int given_look(struct daemon *d, int socket, pid_t client, given_done *done, void *userdata, struct given **ret)
{
    AUTO(given) g = calloc(1, sizeof *g);
    int pair[2], r;

    if (!g)
        return -ENOMEM;
    g->fd = -1;
    g->done = done;
    g->userdata = userdata;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    g->fd = pair[0];
    r = sd_event_add_io(d->event, &g->source, g->fd, EPOLLIN, on_told, g);
    if (r >= 0)
        r = sd_event_source_set_priority(g->source, PHASE_CLIENT);
    if (r >= 0) {
        g->pid = fork();
        if (g->pid == 0)
            look(socket, pair[1], client);
        r = g->pid < 0 ? -errno : 0;
    }
    close(pair[1]);
    if (r < 0)
        return r;
    *ret = TAKE(g);
    return 0;
}

/* Its child goes on, to its own end: it may have told already, and SIGCHLD has it reaped. */
struct given *given_free(struct given *g)
{
    if (!g)
        return NULL;
    sd_event_source_disable_unref(g->source);
    if (g->fd >= 0)
        close(g->fd);
    free(g);
    return NULL;
}

pid_t given_pid(const struct given *g)
{
    return g->pid;
}
