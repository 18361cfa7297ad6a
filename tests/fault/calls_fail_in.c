/* SPDX-License-Identifier: MIT */
/*
 * calls_fail_in -- for LD_PRELOAD: one system call of a program fails, whoever of its libraries makes it, and is not
 * made. The file that PTOOLS_TEST_CALLS_FAIL names is mapped, and says which and how (calls_fail_in.h). Only in
 * programs of the name that stands there: others that inherit this are left alone.
 *
 * Calls that the C library makes for itself (within fgets(), say) are not seen: those that begin them are.
 */
#undef _FILE_OFFSET_BITS /* both names of each call are wanted: open and open64 */
#undef _FORTIFY_SOURCE
#include "tests/fault/calls_fail_in.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static struct calls_fail_in *control;

__attribute__((constructor)) static void find_control(void)
{
    const char *path = getenv("PTOOLS_TEST_CALLS_FAIL");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    struct calls_fail_in *found;

    if (fd < 0)
        return;
    found = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (found != MAP_FAILED)
        control = found;
}

static void say_where(const char *function, void *caller)
{
    Dl_info at = { 0 };
    const char *object = "?";

    if (dladdr(caller, &at) && at.dli_fname)
        object = strrchr(at.dli_fname, '/') ? strrchr(at.dli_fname, '/') + 1 : at.dli_fname;
    snprintf(control->where, sizeof control->where, "%s by %s+0x%lx", function, object,
             (unsigned long)((char *)caller - (char *)at.dli_fbase));
}

/* errno is set then. */
static bool fails(enum call call, const char *function, void *caller)
{
    uint64_t n;

    if (!control || !control->armed || strcmp(program_invocation_short_name, control->program) != 0)
        return false;
    n = ++control->count[call];
    if (n != control->fails || (int)call != control->call)
        return false;
    say_where(function, caller);
    errno = control->error;
    return true;
}

/* The function that this one stands before. ret: a pointer to one of its type. */
static void next(const char *function, void *ret)
{
    void *found = dlsym(RTLD_NEXT, function);

    memcpy(ret, &found, sizeof found);
}

/* One function; `failed` is what it returns when it fails. */
#define CALL(call, type, failed, name, parameters, arguments)                                                          \
    EXPORT type name parameters;                                                                                       \
    type name parameters                                                                                               \
    {                                                                                                                  \
        static type(*real) parameters;                                                                                 \
                                                                                                                       \
        if (fails(call, #name, __builtin_return_address(0)))                                                           \
            return failed;                                                                                             \
        if (!real)                                                                                                     \
            next(#name, &real);                                                                                        \
        return real arguments;                                                                                         \
    }

/* As open(): with a mode only if it is going to create a file. */
#define CALL_MODE(name, parameters, arguments)                                                                         \
    EXPORT int name(parameters int flags, ...);                                                                        \
    int name(parameters int flags, ...)                                                                                \
    {                                                                                                                  \
        static int (*real)(parameters int flags, ...);                                                                 \
        va_list list;                                                                                                  \
        mode_t mode;                                                                                                   \
                                                                                                                       \
        if (fails(CALL_OPEN, #name, __builtin_return_address(0)))                                                      \
            return -1;                                                                                                 \
        va_start(list, flags);                                                                                         \
        mode = (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(list, mode_t) : 0;                                           \
        va_end(list);                                                                                                  \
        if (!real)                                                                                                     \
            next(#name, &real);                                                                                        \
        return real(arguments flags, mode);                                                                            \
    }
#define AND ,

CALL_MODE(open, const char *path AND, path AND)
CALL_MODE(open64, const char *path AND, path AND)
CALL_MODE(openat, int dir AND const char *path AND, dir AND path AND)
CALL_MODE(openat64, int dir AND const char *path AND, dir AND path AND)
CALL(CALL_OPEN, int, -1, __open_2, (const char *path, int flags), (path, flags))
CALL(CALL_OPEN, int, -1, __open64_2, (const char *path, int flags), (path, flags))
CALL(CALL_OPEN, int, -1, __openat_2, (int dir, const char *path, int flags), (dir, path, flags))
CALL(CALL_OPEN, int, -1, __openat64_2, (int dir, const char *path, int flags), (dir, path, flags))
CALL(CALL_OPEN, DIR *, NULL, opendir, (const char *path), (path))
CALL(CALL_OPEN, DIR *, NULL, fdopendir, (int fd), (fd))
CALL(CALL_OPEN, FILE *, NULL, fopen, (const char *path, const char *mode), (path, mode))
CALL(CALL_OPEN, FILE *, NULL, fopen64, (const char *path, const char *mode), (path, mode))

CALL(CALL_READ, ssize_t, -1, read, (int fd, void *to, size_t n), (fd, to, n))
CALL(CALL_READ, ssize_t, -1, __read_chk, (int fd, void *to, size_t n, size_t room), (fd, to, n, room))
CALL(CALL_READ, ssize_t, -1, pread, (int fd, void *to, size_t n, off_t at), (fd, to, n, at))
CALL(CALL_READ, ssize_t, -1, pread64, (int fd, void *to, size_t n, off64_t at), (fd, to, n, at))
CALL(CALL_READ, ssize_t, -1, __pread64_chk, (int fd, void *to, size_t n, off64_t at, size_t r), (fd, to, n, at, r))
CALL(CALL_WRITE, ssize_t, -1, write, (int fd, const void *from, size_t n), (fd, from, n))
CALL(CALL_WRITE, ssize_t, -1, pwrite, (int fd, const void *from, size_t n, off_t at), (fd, from, n, at))
CALL(CALL_WRITE, ssize_t, -1, pwrite64, (int fd, const void *from, size_t n, off64_t at), (fd, from, n, at))
CALL(CALL_WRITE, ssize_t, -1, writev, (int fd, const struct iovec *from, int n), (fd, from, n))
CALL(CALL_SYNC, int, -1, fsync, (int fd), (fd))
CALL(CALL_SYNC, int, -1, fdatasync, (int fd), (fd))
CALL(CALL_SYNC, int, -1, syncfs, (int fd), (fd))
CALL(CALL_SIZE, int, -1, ftruncate, (int fd, off_t n), (fd, n))
CALL(CALL_SIZE, int, -1, ftruncate64, (int fd, off64_t n), (fd, n))
CALL(CALL_SIZE, int, -1, fallocate, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n))
CALL(CALL_SIZE, int, -1, fallocate64, (int fd, int mode, off64_t at, off64_t n), (fd, mode, at, n))
CALL(CALL_SIZE, int, errno, posix_fallocate, (int fd, off_t at, off_t n), (fd, at, n))
CALL(CALL_SIZE, int, errno, posix_fallocate64, (int fd, off64_t at, off64_t n), (fd, at, n))

CALL(CALL_NAME, int, -1, mkdir, (const char *path, mode_t mode), (path, mode))
CALL(CALL_NAME, int, -1, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode))
CALL(CALL_NAME, int, -1, unlink, (const char *path), (path))
CALL(CALL_NAME, int, -1, unlinkat, (int dir, const char *path, int flags), (dir, path, flags))
CALL(CALL_NAME, int, -1, rename, (const char *from, const char *to), (from, to))
CALL(CALL_NAME, int, -1, renameat, (int dir, const char *from, int dir2, const char *to), (dir, from, dir2, to))
CALL(CALL_NAME, int, -1, fchmod, (int fd, mode_t mode), (fd, mode))
CALL(CALL_STAT, int, -1, stat, (const char *path, struct stat *to), (path, to))
CALL(CALL_STAT, int, -1, stat64, (const char *path, struct stat64 *to), (path, to))
CALL(CALL_STAT, int, -1, lstat, (const char *path, struct stat *to), (path, to))
CALL(CALL_STAT, int, -1, lstat64, (const char *path, struct stat64 *to), (path, to))
CALL(CALL_STAT, int, -1, fstat, (int fd, struct stat *to), (fd, to))
CALL(CALL_STAT, int, -1, fstat64, (int fd, struct stat64 *to), (fd, to))
CALL(CALL_STAT, int, -1, fstatat, (int dir, const char *path, struct stat *to, int flags), (dir, path, to, flags))
CALL(CALL_STAT, int, -1, fstatat64, (int dir, const char *path, struct stat64 *to, int flags), (dir, path, to, flags))
CALL(CALL_STAT, int, -1, fstatfs, (int fd, struct statfs *to), (fd, to))
CALL(CALL_STAT, int, -1, fstatfs64, (int fd, struct statfs64 *to), (fd, to))
CALL(CALL_STAT, int, -1, statx, (int dir, const char *path, int flags, unsigned mask, struct statx *to),
     (dir, path, flags, mask, to))

CALL(CALL_MAP, void *, MAP_FAILED, mmap, (void *at, size_t n, int prot, int flags, int fd, off_t from),
     (at, n, prot, flags, fd, from))
CALL(CALL_MAP, void *, MAP_FAILED, mmap64, (void *at, size_t n, int prot, int flags, int fd, off64_t from),
     (at, n, prot, flags, fd, from))
CALL(CALL_MEMFD, int, -1, memfd_create, (const char *name, unsigned flags), (name, flags))
CALL(CALL_DUP, int, -1, dup2, (int from, int to), (from, to))
CALL(CALL_PIPE, int, -1, pipe2, (int fds[2], int flags), (fds, flags))
CALL(CALL_PIPE, int, -1, eventfd, (unsigned n, int flags), (n, flags))
CALL(CALL_PIPE, int, -1, signalfd, (int fd, const sigset_t *mask, int flags), (fd, mask, flags))

CALL(CALL_SOCKET, int, -1, socket, (int family, int type, int protocol), (family, type, protocol))
CALL(CALL_SOCKET, int, -1, socketpair, (int family, int type, int protocol, int fds[2]), (family, type, protocol, fds))
CALL(CALL_SOCKET, int, -1, bind, (int fd, __CONST_SOCKADDR_ARG address, socklen_t n), (fd, address, n))
CALL(CALL_SOCKET, int, -1, listen, (int fd, int n), (fd, n))
CALL(CALL_CONNECT, int, -1, connect, (int fd, __CONST_SOCKADDR_ARG address, socklen_t n), (fd, address, n))
CALL(CALL_ACCEPT, int, -1, accept4, (int fd, __SOCKADDR_ARG address, socklen_t *n, int flags), (fd, address, n, flags))
CALL(CALL_SEND, ssize_t, -1, send, (int fd, const void *from, size_t n, int flags), (fd, from, n, flags))
CALL(CALL_SEND, ssize_t, -1, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags))
CALL(CALL_SEND, ssize_t, -1, sendto,
     (int fd, const void *from, size_t n, int flags, __CONST_SOCKADDR_ARG address, socklen_t bytes),
     (fd, from, n, flags, address, bytes))
CALL(CALL_RECEIVE, ssize_t, -1, recv, (int fd, void *to, size_t n, int flags), (fd, to, n, flags))
CALL(CALL_RECEIVE, ssize_t, -1, __recv_chk, (int fd, void *to, size_t n, size_t r, int flags), (fd, to, n, r, flags))
CALL(CALL_RECEIVE, ssize_t, -1, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags))

CALL(CALL_FORK, pid_t, -1, fork, (void), ())
CALL(CALL_FORK, int, errno, posix_spawn,
     (pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
      char *const argv[], char *const env[]),
     (pid, path, actions, attr, argv, env))
CALL(CALL_FORK, int, errno, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attr, void *(*f)(void *), void *arg), (thread, attr, f, arg))
CALL(CALL_WAIT, int, -1, waitid, (idtype_t type, id_t id, siginfo_t *info, int flags), (type, id, info, flags))
CALL(CALL_WAIT, pid_t, -1, waitpid, (pid_t pid, int *status, int flags), (pid, status, flags))

CALL(CALL_EPOLL, int, -1, epoll_create1, (int flags), (flags))
CALL(CALL_SLEEP, int, -1, epoll_wait, (int epoll, struct epoll_event *events, int n, int ms), (epoll, events, n, ms))
CALL(CALL_SLEEP, int, -1, poll, (struct pollfd * fds, nfds_t n, int ms), (fds, n, ms))
CALL(CALL_SLEEP, int, -1, __poll_chk, (struct pollfd * fds, nfds_t n, int ms, size_t room), (fds, n, ms, room))
CALL(CALL_SLEEP, int, -1, ppoll, (struct pollfd * fds, nfds_t n, const struct timespec *most, const sigset_t *mask),
     (fds, n, most, mask))
CALL(CALL_TIMER, int, -1, timerfd_create, (int clock, int flags), (clock, flags))
CALL(CALL_TIMER, int, -1, timerfd_settime, (int fd, int flags, const struct itimerspec *to, struct itimerspec *was),
     (fd, flags, to, was))
CALL(CALL_TIMER, int, -1, timer_create, (clockid_t clock, struct sigevent *event, timer_t *timer),
     (clock, event, timer))

/* -- those that fail only for some arguments ----------------------------------------------------------------------- */

/* What is in there already needs no memory, and cannot fail. */
EXPORT int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    static int (*real)(int, int, int, struct epoll_event *);

    if (op == EPOLL_CTL_ADD && fails(CALL_EPOLL, "epoll_ctl", __builtin_return_address(0)))
        return -1;
    if (!real)
        next("epoll_ctl", &real);
    return real(epoll, op, fd, event);
}

#define CALL_FCNTL(name)                                                                                               \
    EXPORT int name(int fd, int op, ...);                                                                              \
    int name(int fd, int op, ...)                                                                                      \
    {                                                                                                                  \
        static int (*real)(int, int, ...);                                                                             \
        va_list list;                                                                                                  \
        void *arg;                                                                                                     \
                                                                                                                       \
        if ((op == F_DUPFD || op == F_DUPFD_CLOEXEC) && fails(CALL_DUP, #name, __builtin_return_address(0)))           \
            return -1;                                                                                                 \
        va_start(list, op);                                                                                            \
        arg = va_arg(list, void *);                                                                                    \
        va_end(list);                                                                                                  \
        if (!real)                                                                                                     \
            next(#name, &real);                                                                                        \
        return real(fd, op, arg);                                                                                      \
    }
CALL_FCNTL(fcntl)
CALL_FCNTL(fcntl64)

EXPORT long syscall(long number, ...);
long syscall(long number, ...)
{
    static const struct {
        long number;
        enum call call;
        const char *name;
    } known[] = { { SYS_pidfd_open, CALL_PIDFD, "pidfd_open" },
                  { SYS_clone3, CALL_FORK, "clone3" },
                  { SYS_waitid, CALL_WAIT, "waitid" } };
    static long (*real)(long, ...);
    va_list list;
    long a[6];

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].number == number && fails(known[i].call, known[i].name, __builtin_return_address(0)))
            return -1;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (!real)
        next("syscall", &real);
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
