/* SPDX-License-Identifier: MIT */
/*
 * peer -- see peer.h. Each phase has a queue of its own, so that nothing of a killed worker reaches the
 * next phase.
 */
#include "tests/bench/peer.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum { WORKERS_MAX = 4, START_MS = 20000, RETRY_MS = 10 };

struct call_of_client {
    const struct peer *peer;
    char queue[32];
};

static void client(struct meter *m, void *arg)
{
    const struct call_of_client *call = arg;

    call->peer->client(m, call->queue);
}

void peer_run(const struct peer *peer, pid_t server, const struct load *load, struct figures *ret)
{
    static unsigned serial;
    struct call_of_client call = { .peer = peer };
    pid_t pids[1 + WORKERS_MAX] = { server };

    ck_assert_uint_le(load->workers, WORKERS_MAX);
    snprintf(call.queue, sizeof call.queue, "q%u", serial++);
    for (unsigned i = 1; i <= load->workers; i++) {
        pids[i] = phase_fork();
        if (pids[i] == 0)
            peer->worker(call.queue);
    }
    phase_run(load, pids, 1 + load->workers, client, &call, ret);
    for (unsigned i = 1; i <= load->workers; i++)
        phase_kill(pids[i]);
}

pid_t peer_spawn(const char *const *argv)
{
    pid_t pid = phase_fork();

    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);

        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
            dup2(null, fd);
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    return pid;
}

void peer_wait(const char *name, bool (*answers)(void))
{
    for (int ms = 0; !answers(); ms += RETRY_MS) {
        ck_assert_msg(ms < START_MS, "%s does not answer", name);
        poll(NULL, 0, RETRY_MS);
    }
}
