/* SPDX-License-Identifier: MIT */
/*
 * errand -- the process's own socket to the daemon for descriptors (proto/fds.h): what a function asks for while it
 * runs, and lanes that come unasked. There is one a process.
 */
#ifndef WORKER_ERRAND_H
#define WORKER_ERRAND_H

#include <stdatomic.h>
#include <stdbool.h>

#include "proto/fds.h"

/* Takes fd. lane is called with what comes unasked; the descriptor is then its own. NULL: they are closed. */
void errand_init(int take_fd, void (*lane)(const struct fds_answer *told, int take_fd));
/* For poll(): readable when something has come unasked. */
int errand_fd(void);
/* Takes one such packet, if there is one. */
void errand_receive(void);
/* Asks, and waits for the answer. ret->code tells; with PTOOLS_OK *ret_fd is a descriptor of the caller's. If the
 * socket is gone, so is the daemon: PTOOLS_ERR_SYSTEM. */
void errand_ask(struct fds_request *request, struct fds_answer *ret, int *ret_fd);
/* In a child that a function forked: the socket is its parent's. */
void errand_disown(void);
/* In a child that may use it, while its parent does nothing but wait for that: *state, in memory of both, which begins
 * as 0, tells how far it is. */
void errand_share(_Atomic uint32_t *state);
/* In the parent: the child is gone, and an answer that it did not take is dropped. false: nobody knows whether there
 * will be one. */
bool errand_settle(_Atomic uint32_t *state);

#endif
