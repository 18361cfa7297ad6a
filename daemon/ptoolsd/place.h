/* SPDX-License-Identifier: MIT */
/*
 * place -- the directory in which a daemon lives: its lock and its listening socket. See place.c.
 */
#ifndef PTOOLSD_PLACE_H
#define PTOOLSD_PLACE_H

#include <stdbool.h>
#include <sys/un.h>

enum { PLACE_WHY_BYTES = 512 };

struct place {
    const char *dir; /* borrowed */
    char socket_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    int dir_fd;
    int lock_fd;
    int listen_fd;   /* the doors take these two: then -1 */
    int fds_fd;
    bool bound, fds_bound; /* the sockets are ours to remove */
    bool made;       /* so is the directory */
};

/* Makes the directory if only its last component is missing, locks it, listens; sockets that the service manager listens
 * on there already are taken from it. for_all: everybody may connect. 0; -1: why tells. */
int place_open(struct place *p, const char *dir, bool for_all, char why[PLACE_WHY_BYTES]);
/* Removes what it made: socket, lock, the log of a private daemon; the directory if it was made here or
 * remove_dir, and it is empty. */
void place_close(struct place *p, bool remove_dir);
/* A log file in the directory, for a private daemon. -1: why tells. */
int place_log(struct place *p, char why[PLACE_WHY_BYTES]);

#endif
