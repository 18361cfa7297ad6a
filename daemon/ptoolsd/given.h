/* SPDX-License-Identifier: MIT */
/*
 * given -- a descriptor that a client gives is received by a process of its own, which passes on only what cannot
 * keep the daemon waiting. See given.c.
 */
#ifndef PTOOLSD_GIVEN_H
#define PTOOLSD_GIVEN_H

#include <sys/types.h>

#include "daemon/ptoolsd/daemon.h"

struct given;

/* fd -1: why tells; NULL: it came to its end before it could tell. Takes fd; the given is over, and may be freed. */
typedef void given_done(void *userdata, int take_fd, const char *why);

/* socket has a packet with descriptors at its front, and is not received from until done() was called. pid: the
 * client. 0 or -errno: then the packet is still there. */
int given_look(struct daemon *d, int socket, pid_t pid, given_done *done, void *userdata, struct given **ret);
struct given *given_free(struct given *g);
DEFINE_AUTO(given)
/* The process that looks. */
pid_t given_pid(const struct given *g);

#endif
