/* SPDX-License-Identifier: MIT */
/*
 * become -- see become.h. In this order, and each step checked, for a setuid() that fails unnoticed is the oldest hole
 * of programs like this one:
 *
 *   1. descriptors, signals, session: nothing of ptools-spawn is left but standard output and error, the socket, and the
 *      control group it is in by now;
 *   2. the groups of the user;
 *   3. the user's name, which must be the one that the number had before; then the user's directory of state, made by the
 *      user's own rights and the group's of the directory above;
 *   4. the numbers for good: real, effective and saved, and a look whether there is a way back;
 *   5. a way to the journal of its own: who shares a socket with others can shut it down for all;
 *   6. no new privileges, home as working directory, an environment from scratch, exec.
 */
#include "daemon/spawn/become.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <systemd/sd-journal.h>

#include "proto/front.h"
#include "proto/util.h"

enum { EXIT_NOT_BECOME = 127, PATH_BYTES = 4096 };

static int why = -1;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
    char text[FRONT_TEXT_BYTES];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n > 0 && write(why, text, MIN((size_t)n, sizeof text - 1)) < 0)
        _exit(EXIT_NOT_BECOME); /* there is nobody to tell */
    _exit(EXIT_NOT_BECOME);
}

static void set_descriptors(int socket, int group, int why_fd)
{
    int null, last = FRONT_LINK_FD;

    /* All out of the way of what follows, first. */
    socket = fcntl(socket, F_DUPFD_CLOEXEC, 16);
    why = fcntl(why_fd, F_DUPFD_CLOEXEC, 16);
    group = group < 0 ? -1 : fcntl(group, F_DUPFD_CLOEXEC, 16);
    null = open("/dev/null", O_RDONLY);
    if (socket < 0 || why < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(socket, FRONT_LINK_FD) < 0)
        fail("its descriptors: %s", strerror(errno));
    if (group >= 0)
        last = dup2(group, FRONT_CGROUP_FD);
    for (int fd = last + 1; fd < 16; fd++)
        close(fd);
    close_range(16, ~0U, CLOSE_RANGE_CLOEXEC);
}

static void set_signals(void)
{
    sigset_t none;

    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
}

/* A number can be another user's by now, and what the one has queued must not run as the other. The file is root's, as the
 * directory is, for whoever had the number could write into their own. */
static void check_name(const struct become *b, const struct passwd *user)
{
    const size_t n = strlen(user->pw_name);
    char path[PATH_BYTES], before[256];
    ssize_t got;
    int fd;

    snprintf(path, sizeof path, "%s/%u.user", b->state_dir, (unsigned)user->pw_uid);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    got = fd < 0 ? -1 : read(fd, before, sizeof before);
    if (got < 0 || (got == 0 && write(fd, user->pw_name, n) != (ssize_t)n))
        fail("%s: %s", path, strerror(errno));
    close(fd);
    if (got > 0 && ((size_t)got != n || memcmp(before, user->pw_name, n) != 0))
        fail("number %u was user %.*s: an admin removes %s, with the directory if its tasks are not yours",
             (unsigned)user->pw_uid, (int)MIN(got, 32), before, path);
}

/* All that is below state_dir is named by numbers: nobody chooses a path. */
static void make_state(const struct become *b, uint32_t uid, char path[PATH_BYTES])
{
    struct stat above, st;

    snprintf(path, PATH_BYTES, "%s/%u", b->state_dir, (unsigned)uid);
    if (stat(b->state_dir, &above) < 0)
        fail("%s: %s", b->state_dir, strerror(errno));
    if (setegid(above.st_gid) < 0 || seteuid(uid) < 0)
        fail("the rights of its user and of the group of %s: %s", b->state_dir, strerror(errno));
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        fail("cannot make %s: %s", path, strerror(errno));
    if (lstat(path, &st) < 0)
        fail("%s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode) || st.st_uid != uid || (st.st_mode & (S_IWGRP | S_IWOTH)))
        fail("%s is no directory that only user %u can write to", path, (unsigned)uid);
    if (seteuid(0) < 0)
        fail("back from the rights of its user: %s", strerror(errno));
}

static void become_user(uint32_t uid, gid_t gid)
{
    uid_t r, e, s;
    gid_t rg, eg, sg;

    if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        fail("its user's numbers: %s", strerror(errno));
    if (getresuid(&r, &e, &s) < 0 || r != uid || e != uid || s != uid || getresgid(&rg, &eg, &sg) < 0 || rg != gid ||
        eg != gid || sg != gid)
        fail("its user's numbers are not what they were set to");
    if (uid != 0 && setuid(0) == 0)
        fail("there is a way back to root");
}

/* Standard output and error, and the value of JOURNAL_STREAM, which says what they are; "": they are no socket of the
 * journal, but what somebody gave ptools-spawn. */
static void set_journal(char stream[64])
{
    struct stat st;
    int fd;

    *stream = '\0';
    if (!getenv("JOURNAL_STREAM"))
        return;
    fd = sd_journal_stream_fd("ptoolsd", LOG_INFO, true);
    if (fd < 0 || fstat(fd, &st) < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
        fail("its way to the journal: %s", strerror(fd < 0 ? -fd : errno));
    snprintf(stream, 64, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
}

static const char *variable(const char *name, const char *value)
{
    char *text;

    if (asprintf(&text, "%s=%s", name, value) < 0)
        fail("its environment: %s", strerror(ENOMEM));
    return text;
}

_Noreturn void become_daemon(const struct become *b, uint32_t uid, int socket, int group, int why_fd)
{
    char state[PATH_BYTES], journal[64];
    const struct passwd *user;

    why = why_fd;
    set_descriptors(socket, group, why_fd);
    set_signals();
    errno = 0;
    user = getpwuid(uid);
    if (!user)
        fail("there is no user with the number %u%s%s", (unsigned)uid, errno ? ": " : "", errno ? strerror(errno) : "");
    if (initgroups(user->pw_name, user->pw_gid) < 0)
        fail("the groups of user %s: %s", user->pw_name, strerror(errno));
    check_name(b, user);
    make_state(b, uid, state);
    become_user(uid, user->pw_gid);
    set_journal(journal);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        fail("no new privileges: %s", strerror(errno));
    umask(0022);
    if (chdir(user->pw_dir) < 0 && chdir("/") < 0)
        fail("a working directory: %s", strerror(errno));
    {
        const char *argv[] = { b->daemon, "--front-fd", FRONT_LINK_FD_TEXT, "--dir", b->dir, "--state-dir", state, "--config",
                               b->config, group >= 0 ? "--cgroup-fd" : NULL, FRONT_CGROUP_FD_TEXT, NULL };
        const char *env[] = { variable("HOME", user->pw_dir), variable("USER", user->pw_name),
                              variable("LOGNAME", user->pw_name),
                              variable("SHELL", *user->pw_shell ? user->pw_shell : "/bin/sh"),
                              "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8",
                              *journal ? variable("JOURNAL_STREAM", journal) : NULL, NULL };

        execve(b->daemon, (char *const *)argv, (char *const *)env);
    }
    fail("%s: %s", b->daemon, strerror(errno));
}
