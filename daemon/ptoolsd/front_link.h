/* SPDX-License-Identifier: MIT */
/*
 * front_link -- of the daemon of one user: its end of the socket to the front. See front_link.c.
 */
#ifndef PTOOLSD_FRONT_LINK_H
#define PTOOLSD_FRONT_LINK_H

#include "daemon/ptoolsd/daemon.h"

struct front_link;

/* Takes fd. 0 or -errno. */
int front_link_new(struct daemon *d, int fd, struct front_link **ret);
struct front_link *front_link_free(struct front_link *l);
DEFINE_AUTO(front_link)
/* To be called at the end of each turn. idle: nobody is here, and nothing would be lost if this daemon ended; once that
 * has been so for users.idle_s, the front is asked whether it may. */
void front_link_turn(struct front_link *l, bool idle);
/* This daemon takes no new work any more. */
void front_link_leaves(struct front_link *l);
/* It serves. */
void front_link_up(struct front_link *l);

#endif
