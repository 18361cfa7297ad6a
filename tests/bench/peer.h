/* SPDX-License-Identifier: MIT */
/*
 * peer -- a system that a user would take instead, measured beside ptools: a server, workers that echo 64
 * bytes, a client, all in C with the system's own library. Where only queueing is measured there are no workers,
 * and the client puts records of 200 bytes into the server's keeping, one or many at once.
 *
 * One struct peer each. Where its library or server was not found when Meson looked, peer_absent.c.in takes
 * the place of its file, and missing says what to install.
 */
#ifndef TESTS_BENCH_PEER_H
#define TESTS_BENCH_PEER_H

#include "tests/bench/phase.h"

enum { PEER_BODY_BYTES = 64, PEER_RECORD_BYTES = 200 /* of what is queued, and no more than that */ };

struct peer {
    const char *name;
    const char *missing;  /* NULL: it is there; otherwise the rest is NULL      */
    pid_t (*start)(void); /* its server; returns when it answers                */
    void (*stop)(pid_t server);
    void (*worker)(const char *queue); /* never returns; NULL: it has none                    */
    void (*client)(struct meter *m, const char *queue);
};

extern const struct peer peer_gearman, peer_redis;
extern const struct peer peer_beanstalkd, peer_beanstalkd_sync, peer_redis_push, peer_redis_aof; /* queueing only */

void peer_run(const struct peer *peer, pid_t server, const struct load *load, struct figures *ret);

/* For the peers' start(): a program of their own, silent, ended with phase_kill(). */
pid_t peer_spawn(const char *const *argv);
/* Asks answers() until it says yes. These servers have no readiness to wait for: 10 ms between the tries. */
void peer_wait(const char *name, bool (*answers)(void));

#endif
