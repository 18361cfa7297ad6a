/* SPDX-License-Identifier: MIT */
/*
 * peer -- a system that a user would take instead, measured beside ptools: a server, workers that echo 64
 * bytes, a client, all in C with the system's own library.
 *
 * One struct peer each. Where its library or server was not found when Meson looked, peer_absent.c.in takes
 * the place of its file, and missing says what to install.
 */
#ifndef TESTS_BENCH_PEER_H
#define TESTS_BENCH_PEER_H

#include "tests/bench/phase.h"

enum { PEER_BODY_BYTES = 64 };

struct peer {
    const char *name;
    const char *missing;  /* NULL: it is there; otherwise the rest is NULL      */
    pid_t (*start)(void); /* its server; returns when it answers                */
    void (*stop)(pid_t server);
    void (*worker)(const char *queue); /* never returns                                      */
    void (*client)(struct meter *m, const char *queue);
};

extern const struct peer peer_gearman, peer_redis;

void peer_run(const struct peer *peer, pid_t server, const struct load *load, struct figures *ret);

/* For the peers' start(): a program of their own, silent, ended with phase_kill(). */
pid_t peer_spawn(const char *const *argv);
/* Asks answers() until it says yes. These servers have no readiness to wait for: 10 ms between the tries. */
void peer_wait(const char *name, bool (*answers)(void));

#endif
