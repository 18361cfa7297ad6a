/* SPDX-License-Identifier: MIT */
/*
 * peer_gearman -- gearmand with one thread (its faster setting here) on a loopback port, libgearman at both
 * ends. One call at a time: gearman_client_do(). Many: libgearman has no window of calls, so batches of
 * BATCH tasks are added and then run together.
 */
#include "tests/bench/peer.h"

#include <arpa/inet.h>
#include <libgearman/gearman.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/integration/server.h"

enum { BATCH = 500 };

static const char host[] = "127.0.0.1";
static in_port_t port;
static char dir[64];

/* One that is free now. */
static in_port_t free_port(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t bytes = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert(fd >= 0 && bind(fd, (struct sockaddr *)&a, bytes) == 0 &&
              getsockname(fd, (struct sockaddr *)&a, &bytes) == 0);
    close(fd);
    return ntohs(a.sin_port);
}

static bool answers(void)
{
    gearman_client_st *c = gearman_client_create(NULL);
    bool yes;

    ck_assert(c && gearman_client_add_server(c, host, port) == GEARMAN_SUCCESS);
    yes = gearman_client_echo(c, "x", 1) == GEARMAN_SUCCESS;
    gearman_client_free(c);
    return yes;
}

static pid_t start(void)
{
    char port_option[24], log_option[96];
    pid_t server;

    temp_dir(dir, sizeof dir);
    port = free_port();
    snprintf(port_option, sizeof port_option, "--port=%u", port);
    snprintf(log_option, sizeof log_option, "--log-file=%s/log", dir);
    server = peer_spawn(
        (const char *const[]){ PEER_GEARMAND, "--listen=127.0.0.1", port_option, "--threads=1", log_option, NULL });
    peer_wait("gearmand", answers);
    return server;
}

static void stop(pid_t server)
{
    phase_kill(server);
    temp_remove(dir);
}

static void *echo(gearman_job_st *job, void *context, size_t *ret_bytes, gearman_return_t *ret)
{
    void *copy = malloc(gearman_job_workload_size(job)); /* libgearman frees it */

    (void)context;
    *ret_bytes = gearman_job_workload_size(job);
    memcpy(copy, gearman_job_workload(job), *ret_bytes);
    *ret = GEARMAN_SUCCESS;
    return copy;
}

static void worker(const char *queue)
{
    gearman_worker_st *w = gearman_worker_create(NULL);

    ck_assert(w && gearman_worker_add_server(w, host, port) == GEARMAN_SUCCESS);
    ck_assert(gearman_worker_add_function(w, queue, 0, echo, NULL) == GEARMAN_SUCCESS);
    for (;;)
        gearman_worker_work(w);
}

static unsigned n_done;

static gearman_return_t on_complete(gearman_task_st *task)
{
    n_done += gearman_task_data_size(task) == PEER_BODY_BYTES;
    return GEARMAN_SUCCESS;
}

static void run_batch(gearman_client_st *c, const char *queue, const char *body)
{
    gearman_return_t r;

    n_done = 0;
    for (unsigned i = 0; i < BATCH; i++) {
        gearman_client_add_task(c, NULL, NULL, queue, NULL, body, PEER_BODY_BYTES, &r);
        phase_assert(r == GEARMAN_SUCCESS);
    }
    r = gearman_client_run_tasks(c);
    phase_assert(r == GEARMAN_SUCCESS && n_done == BATCH);
    gearman_client_task_free_all(c);
}

static void run_one(gearman_client_st *c, const char *queue, const char *body)
{
    gearman_return_t r;
    size_t bytes = 0;
    void *answer = gearman_client_do(c, queue, NULL, body, PEER_BODY_BYTES, &bytes, &r);

    phase_assert(r == GEARMAN_SUCCESS && bytes == PEER_BODY_BYTES);
    free(answer);
}

static void client(struct meter *m, const char *queue)
{
    char body[PEER_BODY_BYTES] = "x";
    gearman_client_st *c = gearman_client_create(NULL);
    unsigned n = m->load.outstanding == 1 ? 1 : BATCH;

    ck_assert(c && gearman_client_add_server(c, host, port) == GEARMAN_SUCCESS);
    gearman_client_set_complete_fn(c, on_complete);
    do {
        if (n == 1)
            run_one(c, queue, body);
        else
            run_batch(c, queue, body);
    } while (meter_tick(m, n));
}

const struct peer peer_gearman = { "gearmand", NULL, start, stop, worker, client };
