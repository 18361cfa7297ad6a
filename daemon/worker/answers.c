/* SPDX-License-Identifier: MIT */
/*
 * answers -- see answers.h.
 *
 * The timer costs a system call to arm and one to disarm for each batch of several tasks, and none for
 * tasks that come one by one. Its signal goes to the worker's own thread, whatever threads a module
 * has; a function sees it (EINTR) only if it ran for ANSWERS_US while answers of others waited.
 */
#include "daemon/worker/answers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "proto/util.h"

static struct {
    int fd;                    /* -1: not ours any more */
    void (*lost)(int cause);
    timer_t timer;
    bool armed;
    volatile sig_atomic_t in_function;
    uint64_t oldest_us;
    size_t begin, end;         /* data[begin..end) waits */
    uint8_t data[ANSWERS_BYTES];
} self = { .fd = -1 };

static int tick_signal(void)
{
    return SIGRTMAX; /* not a constant; the one that is least likely to be a function's own */
}

static void timer_set(uint64_t us)
{
    struct itimerspec when = { .it_value = { .tv_nsec = (long)us * 1000 } };

    timer_settime(self.timer, 0, &when, NULL);
    self.armed = us > 0;
}

static void on_tick(int signal)
{
    int saved = errno;

    (void)signal;
    answers_flush_now(0);
    if (self.in_function && self.begin < self.end)
        timer_set(ANSWERS_US); /* the socket was full */
    errno = saved;
}

void answers_arm(void)
{
    struct sigaction tick = { .sa_handler = on_tick, .sa_flags = SA_RESTART | SA_ONSTACK };

    sigfillset(&tick.sa_mask);
    sigaction(tick_signal(), &tick, NULL);
}

int answers_init(int link_fd, void (*lost)(int cause))
{
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = tick_signal() };

    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    self.fd = link_fd;
    self.lost = lost;
    answers_arm();
    return timer_create(CLOCK_MONOTONIC, &event, &self.timer) < 0 ? -errno : 0;
}

void answers_disown(void)
{
    self.fd = -1;
    self.begin = self.end = 0;
}

/* Waits until the link takes bytes again. */
static void wait_writable(void)
{
    struct pollfd p = { .fd = self.fd, .events = POLLOUT };

    if (poll(&p, 1, -1) < 0 && errno != EINTR)
        self.lost(errno);
    if (p.revents & POLLNVAL)
        self.lost(EBADF);
}

/* Sends all of it, however long that takes. Consumes iov. */
static void send_all(struct iovec *iov, int n)
{
    while (n > 0) {
        struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
        ssize_t sent = sendmsg(self.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0) {
            if (errno == EAGAIN)
                wait_writable();
            else if (errno != EINTR)
                self.lost(errno);
            continue;
        }
        while (n > 0 && (size_t)sent >= iov->iov_len) {
            sent -= (ssize_t)iov->iov_len;
            iov++;
            n--;
        }
        if (n > 0) {
            iov->iov_base = (uint8_t *)iov->iov_base + sent;
            iov->iov_len -= (size_t)sent;
        }
    }
}

void answers_flush(void)
{
    struct iovec iov = { self.data + self.begin, self.end - self.begin };

    if (self.armed)
        timer_set(0);
    if (iov.iov_len > 0)
        send_all(&iov, 1);
    self.begin = self.end = 0;
}

void answers_add(const struct link_frame *frame, const void *body, uint64_t now_us)
{
    size_t n = sizeof *frame + frame->body_bytes;

    if (n > sizeof self.data - self.end || frame->body_bytes > ANSWERS_COPY_BYTES)
        answers_flush();
    if (frame->body_bytes > ANSWERS_COPY_BYTES) {
        struct iovec iov[2] = { { (void *)(uintptr_t)frame, sizeof *frame },
                                { (void *)(uintptr_t)body, frame->body_bytes } };

        send_all(iov, 2);
        return;
    }
    if (self.begin == self.end)
        self.oldest_us = now_us;
    memcpy(self.data + self.end, frame, sizeof *frame);
    if (frame->body_bytes > 0)
        memcpy(self.data + self.end + sizeof *frame, body, frame->body_bytes);
    self.end += n;
}

void answers_look(void)
{
    if (fcntl(self.fd, F_GETFD) < 0)
        self.lost(errno);
}

bool answers_waiting(void)
{
    return self.begin < self.end;
}

uint64_t answers_oldest_us(void)
{
    return self.oldest_us;
}

void answers_function_begins(void)
{
    if (self.begin < self.end && !self.armed)
        timer_set(ANSWERS_US);
    self.in_function = 1;
}

void answers_function_ended(void)
{
    self.in_function = 0;
}

void answers_flush_now(int wait_ms)
{
    if (!self.in_function || self.fd < 0)
        return;
    while (self.begin < self.end) {
        ssize_t sent = send(self.fd, self.data + self.begin, self.end - self.begin, MSG_NOSIGNAL | MSG_DONTWAIT);
        struct pollfd p = { .fd = self.fd, .events = POLLOUT };

        if (sent > 0)
            self.begin += (size_t)sent;
        else if (errno != EAGAIN || poll(&p, 1, wait_ms) != 1)
            return;
    }
}
