/* SPDX-License-Identifier: MIT */
/*
 * floor -- what a brokered call costs at least: client, broker, worker, each a process, and nothing in
 * them but the way of the bytes. No scheduling, no encoding, no log, no limits.
 *
 * Calls of 64 bytes. The broker speaks the wire protocol of ZeroMQ itself (ZMTP 3.0, NULL mechanism) over
 * a unix socket; so does the client, or it is libzmq. Workers hang on stream sockets and may hold prefetch
 * calls each. All that is there is read, and all that is ready is written, in one system call each; whoever
 * waits sleeps in poll or epoll, not in recv: a blocking recv also wakes when the peer reads.
 */
#ifndef TESTS_BENCH_FLOOR_H
#define TESTS_BENCH_FLOOR_H

#include "tests/bench/phase.h"

enum floor_client { FLOOR_OWN_CLIENT, FLOOR_ZMQ_CLIENT };

void floor_run(enum floor_client client, const struct load *load, struct figures *ret);

#endif
