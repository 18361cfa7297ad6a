/* SPDX-License-Identifier: MIT */
/* crew -- see crew.h. Each answer bears the number of its question, which is checked. */
#include "tests/bench/crew.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/phase.h"

struct frame {
    uint64_t number, answer, unused[3];
};
_Static_assert(sizeof(struct frame) == 40, "as large as the frames of ptools");

static void send_frame(int fd, const struct frame *frame)
{
    phase_assert(send(fd, frame, sizeof *frame, MSG_NOSIGNAL) == (ssize_t)sizeof *frame);
}

/* The socket is readable. False: the other side has ended. */
static bool recv_frame(int fd, struct frame *ret)
{
    ssize_t n = recv(fd, ret, sizeof *ret, MSG_DONTWAIT);

    phase_assert(n == 0 || n == (ssize_t)sizeof *ret); /* so short a frame comes whole */
    return n > 0;
}

static void serve(int fd, unsigned i, crew_work work, void *arg)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    struct frame frame;

    for (;;) {
        if (poll(&p, 1, -1) < 0 && errno == EINTR)
            continue;
        if (!recv_frame(fd, &frame))
            _exit(0);
        frame.answer = work(i, arg);
        send_frame(fd, &frame);
    }
}

void crew_start(struct crew *crew, unsigned n, crew_work work, void *arg)
{
    ck_assert_uint_le(n, CREW_MAX);
    *crew = (struct crew){ .n = n };
    for (unsigned i = 0; i < n; i++) {
        int ends[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        crew->pids[i] = phase_fork();
        if (crew->pids[i] == 0)
            serve(ends[1], i, work, arg);
        close(ends[1]);
        crew->sockets[i] = ends[0];
    }
}

/* Waits until someone that owes an answer has given it. Returns how many did. */
static unsigned collect(struct crew *crew, bool *owes, uint64_t *answers)
{
    struct pollfd p[CREW_MAX];
    unsigned who[CREW_MAX], n = 0, got = 0;
    struct frame frame;

    for (unsigned i = 0; i < crew->n; i++) {
        if (!owes[i])
            continue;
        who[n] = i;
        p[n++] = (struct pollfd){ .fd = crew->sockets[i], .events = POLLIN };
    }
    poll(p, n, -1);
    for (unsigned k = 0; k < n; k++) {
        if (!p[k].revents)
            continue;
        phase_assert(recv_frame(p[k].fd, &frame) && frame.number == crew->asked);
        answers[who[k]] = frame.answer;
        owes[who[k]] = false;
        got++;
    }
    return got;
}

void crew_call(struct crew *crew, uint64_t answers[CREW_MAX])
{
    const struct frame frame = { .number = ++crew->asked };
    bool owes[CREW_MAX] = { false };

    for (unsigned i = 0; i < crew->n; i++) {
        send_frame(crew->sockets[i], &frame);
        owes[i] = true;
    }
    for (unsigned left = crew->n; left > 0;)
        left -= collect(crew, owes, answers);
}

void crew_stop(struct crew *crew)
{
    for (unsigned i = 0; i < crew->n; i++) {
        close(crew->sockets[i]);
        phase_kill(crew->pids[i]);
    }
}
