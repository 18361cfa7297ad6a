/* SPDX-License-Identifier: MIT */
/*
 * calls_fail_in -- what a test and the processes whose system calls fail share: see calls_fail_in.c.
 */
#ifndef TESTS_CALLS_FAIL_IN_H
#define TESTS_CALLS_FAIL_IN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The system calls that can fail, each with its variants: the names are those that the test prints. */
enum call {
    CALL_OPEN,   /* openat, opendir, fopen */
    CALL_READ,   /* pread */
    CALL_WRITE,  /* pwrite, writev */
    CALL_SYNC,   /* fsync, fdatasync, syncfs */
    CALL_SIZE,   /* ftruncate, fallocate */
    CALL_NAME,   /* mkdir, unlink, rename, fchmod */
    CALL_STAT,   /* fstat, statx, fstatfs */
    CALL_MAP,    /* mmap, mremap */
    CALL_MEMFD,  /* memfd_create */
    CALL_DUP,    /* fcntl(F_DUPFD), dup2 */
    CALL_PIPE,   /* pipe2, eventfd, signalfd */
    CALL_SOCKET, /* socketpair, bind, listen */
    CALL_CONNECT,
    CALL_ACCEPT,
    CALL_SEND,    /* sendmsg, sendto */
    CALL_RECEIVE, /* recvmsg */
    CALL_FORK,    /* vfork is left alone; posix_spawn, clone3, pthread_create */
    CALL_PIDFD,   /* pidfd_open */
    CALL_WAIT,    /* waitid, waitpid */
    CALL_EPOLL,   /* epoll_create1, epoll_ctl */
    CALL_SLEEP,   /* epoll_wait, poll */
    CALL_TIMER,   /* timerfd_create, timerfd_settime, timer_create, setitimer */
    CALLS
};
#define CALL_NAMES                                                                                                     \
    {                                                                                                                  \
        "open", "read", "write", "sync", "size", "name", "stat", "mmap", "memfd", "dup", "pipe", "socket", "connect",  \
            "accept", "send", "receive", "fork", "pidfd", "wait", "epoll", "sleep", "timer"                            \
    }

struct calls_fail_in {
    char program[32]; /* the name of the processes whose calls fail; they count together */
    atomic_bool armed;
    _Atomic uint64_t count[CALLS]; /* calls while it was armed */
    _Atomic uint64_t fails;        /* the n-th of `call` fails with `error`, 0: none */
    _Atomic int call, error;
    char where[160]; /* which call that was, for people: function and caller */
};

#endif
