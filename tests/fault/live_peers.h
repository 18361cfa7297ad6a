/* SPDX-License-Identifier: MIT */
/*
 * live_peers -- peers of a living daemon that send it what mutate.c makes, over both of its doors. See live_peers.c.
 */
#ifndef TESTS_FAULT_LIVE_PEERS_H
#define TESTS_FAULT_LIVE_PEERS_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/fault/client.h"

/* In shared memory: what a process of peers has done, and when it is to end. */
struct live_peers {
    atomic_bool enough;
    atomic_ullong messages;    /* over ZMTP, that the daemon has taken */
    atomic_ullong packets;     /* sent through the door of descriptors and over lanes */
    atomic_ullong descriptors; /* that came through it */
    atomic_ullong replies, errors, events;
    atomic_ullong connections, closed; /* ... by the daemon */
    struct client_problem problem;
};

/* A process of them; ends with 0, or with what is wrong in the problem. dir: the daemon's. */
pid_t live_peers_start(struct live_peers *shared, const char *dir, uint64_t seed);

#endif
