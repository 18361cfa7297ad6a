/* SPDX-License-Identifier: MIT */
/*
 * fds -- the door of descriptors, for clients and for processes of workers and server tasks. See fds.c; the structs
 * are proto/fds.h.
 */
#ifndef PTOOLSD_FDS_H
#define PTOOLSD_FDS_H

#include "daemon/ptoolsd/daemon.h"

struct fds;
struct fds_peer;

/* Takes listen_fd, which listens; -1: clients come by fds_let_in() alone. 0 or -errno. */
int fds_new(struct daemon *d, int take_listen_fd, struct fds **ret);
struct fds *fds_free(struct fds *f);
DEFINE_AUTO(fds)
/* As door_let_in(). */
void fds_let_in(struct fds *f, int take_fd);
void fds_stop_listening(struct fds *f);
/* Takes no new connections for a moment, or takes them again. */
void fds_pause(struct fds *f, bool pause);

/* The daemon's end of a process's own socket: taken. 0 or -errno. */
int fds_add_process(struct fds *f, uint32_t process, int take_fd);
void fds_process_gone(struct fds *f, uint32_t process);
/* A connection over ZMTP has ended: so do those here that showed its token. */
void fds_client_gone(struct fds *f, uint32_t client);
/* ACT_ARRAY_GIVE. */
void fds_give(struct fds *f, const struct action *a);

#endif
