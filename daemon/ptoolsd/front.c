/* SPDX-License-Identifier: MIT */
/*
 * front -- listens for all users, and hands each connection to the daemon of the user who made it.
 *
 * Who a connection is of, the kernel tells (SO_PEERCRED): nothing is read from it here, so there is nothing here that a
 * peer could confuse. The daemon of a user runs as that user, with what the user may do and no more; whatever one user
 * sends, queues or crashes, another's daemon is another process with another journal. There an id of somebody else is
 * one that does not exist, without anybody checking.
 *
 * Daemons are started by ptools-spawn, which alone may become other users: on the first connection of their user, and at
 * the start of the service for all who have a directory of state, for queued tasks go on without their users. They end
 * when nothing is left for them to do (proto/front.h).
 *
 * The front's ends of the daemons' sockets are left with the service manager (its descriptor store): a front that was
 * killed, or ended and shall be followed by another (users.stay), finds them again in the next, and no daemon notices.
 * Without that they end as by SIGTERM, and the front waits for them.
 *
 * Never does: read or write what clients say, resolve names once it serves, start a program, signal a process.
 */
#include "daemon/ptoolsd/front.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "daemon/ptoolsd/front_as.h"
#include "daemon/ptoolsd/front_users.h"
#include "daemon/ptoolsd/log.h"
#include "proto/util.h"

enum { ACCEPTS_PER_TURN = 32, PAUSE_US = 250000, LAST_US = 10000000 /* behind drain_ms: then the front leaves */ };

struct front {
    const struct config *config;
    sd_event *event;
    struct front_users *users;
    struct front_as *as;
    struct start start;
    sd_event_source *listen[2], *pause, *last;
    unsigned told; /* how many users the service manager was told of */
    bool draining;
    int exit_code;
};

static void fail(struct front *f, const char *what, int error)
{
    log_error("front-fails", LOG_STR("msg", what), LOG_STR("why", strerror(-error)));
    f->exit_code = 1;
    sd_event_exit(f->event, 1);
}

/* -- the doors ------------------------------------------------------------------------------------------------ */

static void listen_on_both(struct front *f, bool on)
{
    for (size_t i = 0; i < ELEMENTS(f->listen); i++)
        if (f->listen[i])
            sd_event_source_set_enabled(f->listen[i], on ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int on_pause(sd_event_source *s, uint64_t usec, void *userdata)
{
    (void)s;
    (void)usec;
    listen_on_both(userdata, true);
    return 0;
}

/* Descriptors have run out. */
static void rest(struct front *f)
{
    log_warning("listening-paused", LOG_STR("why", strerror(errno)));
    listen_on_both(f, false);
    if (sd_event_source_set_time_relative(f->pause, PAUSE_US) < 0 ||
        sd_event_source_set_enabled(f->pause, SD_EVENT_ONESHOT) < 0)
        fail(f, "setting a timer", -ENOMEM);
}

static void let_in(struct front *f, enum front_kind door, int take_fd)
{
    struct ucred cred;
    socklen_t n = sizeof cred;
    char why[96];

    if (getsockopt(take_fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0) {
        close(take_fd);
        return;
    }
    if (cred.uid < f->config->users_min_uid) {
        snprintf(why, sizeof why, "this service is for users from number %" PRIu64 " on; you are %" PRIu32,
                 f->config->users_min_uid, (uint32_t)cred.uid);
        log_info("client-refused", LOG_U64("uid", cred.uid), LOG_STR("why", why));
        front_users_refuse(f->users, door, take_fd, why);
        return;
    }
    if (front_users_give(f->users, cred.uid, door, take_fd))
        front_as_open(f->as, cred.uid);
}

static int on_listen(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    struct front *f = userdata;

    (void)s;
    (void)revents;
    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (peer >= 0) {
            let_in(f, fd == f->start.listen_fd ? FRONT_CLIENT : FRONT_ARRAYS, peer);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            rest(f);
        break;
    }
    return 0;
}

static void stop_listening(struct front *f)
{
    for (size_t i = 0; i < ELEMENTS(f->listen); i++)
        f->listen[i] = sd_event_source_disable_unref(f->listen[i]);
    f->as = front_as_free(f->as);
}

/* -- the beginning and the end ---------------------------------------------------------------------------------- */

/* "user-1000": 1000; -1. */
static int64_t uid_of(const char *name, const char *prefix)
{
    const size_t n = strlen(prefix);
    unsigned long long uid;
    char *end;

    if (strncmp(name, prefix, n) != 0 || name[n] < '0' || name[n] > '9')
        return -1;
    uid = strtoull(name + n, &end, 10);
    return *end || uid >= UINT32_MAX ? -1 : (int64_t)uid;
}

static void adopt(struct front *f)
{
    char **names = NULL;
    int n = sd_listen_fds_with_names(false, &names);

    for (int i = 0; i < n; i++) {
        const int64_t uid = uid_of(names[i], "user-");

        if (uid >= 0)
            front_users_adopt(f->users, (uint32_t)uid, SD_LISTEN_FDS_START + i);
        if (uid >= 0)
            front_as_open(f->as, (uint32_t)uid);
        free(names[i]);
    }
    free(names);
}

/* All who have a directory of state: they may have queued tasks. */
static void start_all(struct front *f)
{
    char path[PATH_MAX];
    const struct dirent *e;
    DIR *dir;

    snprintf(path, sizeof path, "%s/users", f->config->state_dir);
    dir = opendir(path);
    if (!dir) {
        log_warning("no-users", LOG_STR("dir", path), LOG_STR("why", strerror(errno)));
        return;
    }
    while ((e = readdir(dir))) {
        const int64_t uid = uid_of(e->d_name, "");

        if (uid < (int64_t)f->config->users_min_uid)
            continue;
        front_as_open(f->as, (uint32_t)uid);
        front_users_start(f->users, (uint32_t)uid);
    }
    closedir(dir);
}

static int on_last(sd_event_source *s, uint64_t usec, void *userdata)
{
    struct front *f = userdata;

    (void)s;
    (void)usec;
    log_warning("drain-over", LOG_U64("users", front_users_n(f->users)));
    return sd_event_exit(f->event, f->exit_code);
}

static int on_stop_signal(sd_event_source *s, const struct signalfd_siginfo *info, void *userdata)
{
    struct front *f = userdata;

    (void)s;
    log_info("signal", LOG_U64("signal", info->ssi_signo), LOG_U64("from", info->ssi_pid));
    if (f->config->users_stay) {
        stop_listening(f);
        return sd_event_exit(f->event, f->exit_code);
    }
    if (!f->draining) {
        sd_notify(0, "STOPPING=1\nSTATUS=Waiting for running tasks.");
        stop_listening(f);
        if (sd_event_add_time_relative(f->event, &f->last, CLOCK_MONOTONIC,
                                       f->config->drain_ms * UINT64_C(1000) + LAST_US, 100000, on_last, f) < 0)
            fail(f, "setting a timer", -ENOMEM);
    }
    f->draining = true;
    front_users_tell(f->users, FRONT_DRAIN);
    return 0;
}

static int on_reload(sd_event_source *s, const struct signalfd_siginfo *info, void *userdata)
{
    struct front *f = userdata;

    (void)s;
    (void)info;
    if (reload_config(&f->start.source))
        front_users_tell(f->users, FRONT_RELOAD);
    return 0;
}

static void on_user_change(void *userdata, uint32_t uid, bool up)
{
    struct front *f = userdata;

    front_as_mark(f->as, uid, up);
}

static int front_start(struct front *f)
{
    const int fds[2] = { f->start.fds_fd, f->start.listen_fd }; /* descriptors first: who is in by messages needs it */
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
    int r = front_users_new(f->event, f->config, &f->users);

    if (r >= 0)
        r = front_as_new(f->event, f->config, f->users, &f->as);
    if (r >= 0)
        front_users_watch(f->users, on_user_change, f);
    if (r >= 0)
        r = sd_event_add_time(f->event, &f->pause, CLOCK_MONOTONIC, 0, 1000, on_pause, f);
    if (r >= 0)
        r = sd_event_source_set_enabled(f->pause, SD_EVENT_OFF);
    for (size_t i = 0; i < ELEMENTS(signals) && r >= 0; i++)
        r = sd_event_add_signal(f->event, NULL, signals[i], signals[i] == SIGHUP ? on_reload : on_stop_signal, f);
    if (r >= 0)
        r = sd_event_set_watchdog(f->event, true);
    if (r < 0)
        return r;
    adopt(f);
    start_all(f);
    for (size_t i = 0; i < ELEMENTS(fds) && r >= 0; i++)
        r = sd_event_add_io(f->event, &f->listen[i], fds[i], EPOLLIN, on_listen, f);
    return r;
}

static void tell_status(struct front *f)
{
    const unsigned n = front_users_n(f->users);

    if (f->draining || n == f->told)
        return;
    sd_notifyf(0, "STATUS=Serving; daemons of users: %u.", n);
    f->told = n;
}

int front_run(const struct config *config, struct start *take_start)
{
    struct front f = { .config = config, .start = *take_start };
    int r = sd_event_new(&f.event);

    signal(SIGCHLD, SIG_IGN); /* of children of refuse.c, which nobody waits for */

    if (r >= 0)
        r = front_start(&f);
    if (r < 0) {
        log_error("cannot-start", LOG_STR("why", strerror(-r)));
        f.exit_code = 1;
    } else {
        log_info("ready", LOG_STR("dir", config->dir));
        sd_notify(0, "READY=1\nSTATUS=Serving.");
        if (f.start.ready_fd >= 0 && write(f.start.ready_fd, "READY\n", 6) != 6)
            log_warning("ready-fd", LOG_STR("why", strerror(errno)));
        if (f.start.ready_fd >= 0)
            close(f.start.ready_fd);
        while (r >= 0 && sd_event_get_state(f.event) != SD_EVENT_FINISHED) {
            tell_status(&f);
            r = f.draining && front_users_n(f.users) == 0 ? sd_event_exit(f.event, f.exit_code) : 0;
            if (r >= 0)
                r = sd_event_run(f.event, UINT64_MAX);
        }
        if (r < 0)
            f.exit_code = 1;
    }
    stop_listening(&f);
    f.users = front_users_free(f.users);
    sd_event_source_disable_unref(f.pause);
    sd_event_source_disable_unref(f.last);
    sd_event_unref(f.event);
    close(f.start.listen_fd);
    close(f.start.fds_fd);
    log_info("ended", LOG_U64("status", (uint64_t)f.exit_code));
    return f.exit_code;
}
