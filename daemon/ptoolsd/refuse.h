/* SPDX-License-Identifier: MIT */
/*
 * refuse -- connections that are told why they are not served, in words that every ZeroMQ client understands. See
 * refuse.c.
 */
#ifndef PTOOLSD_REFUSE_H
#define PTOOLSD_REFUSE_H

#include <stdbool.h>

#include <systemd/sd-event.h>

struct refuse;

/* 0 or -errno. */
int refuse_new(sd_event *event, struct refuse **ret);
struct refuse *refuse_free(struct refuse *r);
/* Closes a socket that may hold descriptors which its peer has sent, in a process of its own: to close the last one of a
 * descriptor may take as long as whoever sent it likes. */
void refuse_close(int take_fd);
/* Says why, and closes the connection in its own time. messages: it speaks ZMTP; others see their end alone. */
void refuse_peer(struct refuse *r, int take_fd, bool messages, const char *why);

#endif
