/* SPDX-License-Identifier: MIT */
/*
 * ptools-spawn -- starts the daemons of users, each as its user, when the front of the service asks for it.
 *
 * One socket, on which only the user of the front is heard (SO_PEERCRED). A request is the number of a user, not below
 * --min-uid, and a descriptor; all else was decided when this program was started, by root. There is no answer but
 * how the daemon ended: that it could not be started is one way to end.
 *
 * It holds no state that matters: when it ends, the daemons go on, and the next one starts further ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "daemon/cgroup/cgroup.h"
#include "daemon/spawn/become.h"
#include "daemon/spawn/groups.h"
#include "proto/front.h"
#include "proto/util.h"

enum { FRONTS_MAX = 4, CHILDREN_MAX = 4096, TIDY_MS = 100, EXIT_USAGE = 2 };

struct child {
    pid_t pid; /* 0: this place is free */
    uint32_t uid;
    uint64_t group;
    int why_fd;
};

static struct become become;
static uint32_t front_uid = UINT32_MAX, min_uid = 1000;
static const char *socket_path;
static int fronts[FRONTS_MAX] = { -1, -1, -1, -1 };
static struct child children[CHILDREN_MAX];
static bool tidy; /* nobody is in a group whose daemon has ended */

static const char usage[] =
    "usage: ptools-spawn --for USER --daemon PROGRAM --dir DIR --state-dir DIR --config FILE [--socket PATH] [--min-uid N]\n"
    "Starts a ptoolsd for each user that the front of the service names. Started by systemd, not by hand: ptools-spawn(8).\n";

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "ptools-spawn: %s: %s\n", what, why);
    return EXIT_FAILURE;
}

/* -- children -------------------------------------------------------------------------------------------------- */

static struct child *free_place(void)
{
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (children[i].pid == 0)
            return &children[i];
    return NULL;
}

/* To whoever asks now: the front that had asked for it may have been replaced. */
static void tell_ended(const struct front_packet *p)
{
    for (size_t i = 0; i < FRONTS_MAX; i++)
        if (fronts[i] >= 0)
            (void)send(fronts[i], p, sizeof *p, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void tell_not_started(uint32_t uid, const char *why, int error)
{
    struct front_packet p = { .magic = FRONT_MAGIC, .kind = FRONT_ENDED, .uid = uid };

    snprintf(p.text, sizeof p.text, "%s%s%s", why, error ? ": " : "", error ? strerror(error) : "");
    fprintf(stderr, "ptools-spawn: user %u: %s\n", (unsigned)uid, p.text);
    tell_ended(&p);
}

static void start(uint32_t uid, int socket)
{
    struct child *c = free_place();
    uint64_t number;
    int why[2], group;
    pid_t pid;

    if (uid < min_uid || uid == UINT32_MAX) {
        tell_not_started(uid, "its number is below --min-uid", 0);
        return;
    }
    if (!c || pipe2(why, O_CLOEXEC) < 0) {
        tell_not_started(uid, "cannot start its daemon", c ? errno : ENOMEM);
        return;
    }
    group = groups_make(uid, &number);
    pid = group >= 0 ? cgroup_fork_into(group) : fork();
    if (pid == 0)
        become_daemon(&become, uid, socket, group, why[1]);
    close(why[1]);
    if (group >= 0)
        close(group);
    if (pid < 0) {
        tell_not_started(uid, "cannot fork", pid < -1 ? -pid : errno);
        close(why[0]);
        return;
    }
    *c = (struct child){ .pid = pid, .uid = uid, .group = number, .why_fd = why[0] };
}

static void reap(void)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (size_t i = 0; i < CHILDREN_MAX; i++) {
            struct child *c = &children[i];
            struct front_packet p = { .magic = FRONT_MAGIC, .kind = FRONT_ENDED, .uid = c->uid, .pid = pid,
                                      .status = status };

            if (c->pid != pid)
                continue;
            if (read(c->why_fd, p.text, sizeof p.text - 1) > 0) {
                fprintf(stderr, "ptools-spawn: user %u: %s\n", (unsigned)c->uid, p.text);
                p.pid = 0; /* it never was a daemon */
            }
            tidy &= groups_end(c->uid, c->group);
            tell_ended(&p);
            close(c->why_fd);
            c->pid = 0;
            break;
        }
    }
}

/* -- requests --------------------------------------------------------------------------------------------------- */

/* false: it is to be closed. */
static bool request(int front)
{
    struct front_packet p;
    struct iovec iov = { &p, sizeof p };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                          .msg_controllen = CMSG_LEN(sizeof(int)) }; /* for one: the kernel drops others */
    ssize_t got = recvmsg(front, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *c;
    int socket = -1;
    bool good;

    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    c = CMSG_FIRSTHDR(&msg);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof socket))
        memcpy(&socket, CMSG_DATA(c), sizeof socket);
    good = got == (ssize_t)sizeof p && p.magic == FRONT_MAGIC && p.kind == FRONT_SPAWN && socket >= 0;
    if (good)
        start(p.uid, socket);
    else if (got != 0)
        complain("a request", "it is none");
    if (socket >= 0)
        close(socket);
    return good;
}

static void let_in(int listen_fd)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct ucred cred;
    socklen_t n = sizeof cred;

    if (fd < 0)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) == 0 && cred.uid == front_uid)
        for (size_t i = 0; i < FRONTS_MAX; i++)
            if (fronts[i] < 0) {
                fronts[i] = fd;
                return;
            }
    complain("a connection", cred.uid == front_uid ? "there are too many" : "it is not the front's");
    close(fd);
}

static int loop(int listen_fd, int signal_fd)
{
    struct pollfd fds[2 + FRONTS_MAX] = { { .fd = listen_fd, .events = POLLIN }, { .fd = signal_fd, .events = POLLIN } };
    struct signalfd_siginfo info;

    for (;;) {
        for (size_t i = 0; i < FRONTS_MAX; i++)
            fds[2 + i] = (struct pollfd){ .fd = fronts[i], .events = POLLIN };
        if (poll(fds, ELEMENTS(fds), tidy ? -1 : TIDY_MS) < 0 && errno != EINTR)
            return complain("poll", strerror(errno));
        if (!tidy)
            tidy = groups_tidy();
        if (fds[1].revents && read(signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
            if (info.ssi_signo != SIGCHLD)
                return EXIT_SUCCESS;
            reap();
        }
        for (size_t i = 0; i < FRONTS_MAX; i++)
            if (fds[2 + i].revents && !request(fronts[i])) {
                close(fronts[i]);
                fronts[i] = -1;
            }
        if (fds[0].revents)
            let_in(listen_fd);
    }
}

/* -- the start ---------------------------------------------------------------------------------------------------- */

static bool take_number(const char *text, uint32_t *ret)
{
    unsigned long v;
    char *end;

    errno = 0;
    v = strtoul(text, &end, 10);
    if (errno || *text < '0' || *text > '9' || *end || v >= UINT32_MAX)
        return false;
    *ret = (uint32_t)v;
    return true;
}

static bool take_user(const char *text, uint32_t *ret)
{
    const struct passwd *user;

    if (take_number(text, ret))
        return true;
    user = getpwnam(text);
    if (user)
        *ret = user->pw_uid;
    return user != NULL;
}

/* -1: go on; else the status to exit with. */
static int take_arguments(int argc, char *argv[])
{
    static const struct option options[] = {
        { "for", required_argument, NULL, 'f' },       { "daemon", required_argument, NULL, 'd' },
        { "dir", required_argument, NULL, 'D' },       { "state-dir", required_argument, NULL, 's' },
        { "socket", required_argument, NULL, 'S' },    { "min-uid", required_argument, NULL, 'm' },
        { "config", required_argument, NULL, 'c' },    { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'v' },         { 0 },
    };
    bool good = true;
    int o;

    while (good && (o = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (o) {
        case 'f': good = take_user(optarg, &front_uid); break;
        case 'd': become.daemon = optarg; break;
        case 'D': become.dir = optarg; break;
        case 's': become.state_dir = optarg; break;
        case 'S': socket_path = optarg; break;
        case 'm': good = take_number(optarg, &min_uid); break;
        case 'c': become.config = optarg; break;
        case 'h': return fputs(usage, stdout) < 0;
        case 'v': return printf("ptools-spawn %s\n", PTOOLS_VERSION) < 0;
        default: good = false;
        }
        if (!good && o != '?')
            complain(optarg, o == 'f' ? "there is no such user" : "it is no number of a user");
    }
    if (good && optind == argc && front_uid != UINT32_MAX && become.daemon && become.daemon[0] == '/' && become.dir &&
        become.state_dir && become.state_dir[0] == '/' && become.config)
        return -1;
    fputs(usage, stderr);
    return EXIT_USAGE;
}

static int open_socket(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = SD_LISTEN_FDS_START, n = sd_listen_fds(true);
    mode_t mask;

    if (n > 0)
        return n == 1 && sd_is_socket_unix(fd, SOCK_SEQPACKET, 1, NULL, 0) > 0 ? fd : -EINVAL;
    if (!socket_path || strlen(socket_path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    mask = umask(0111); /* anybody can connect, and who that is is looked at */
    unlink(socket_path);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 || listen(fd, FRONTS_MAX) < 0)
        fd = -errno;
    umask(mask);
    return fd;
}

int main(int argc, char *argv[])
{
    int status = take_arguments(argc, argv), listen_fd, signal_fd;
    sigset_t set;

    if (status >= 0)
        return status;
    listen_fd = open_socket();
    if (listen_fd < 0)
        return complain(socket_path ? socket_path : "the socket (neither the service manager nor --socket gives one)",
                        strerror(-listen_fd));
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (signal_fd < 0)
        return complain("signalfd", strerror(errno));
    groups_open();
    sd_notify(0, "READY=1");
    status = loop(listen_fd, signal_fd);
    if (socket_path)
        unlink(socket_path);
    return status;
}
