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
/* Ends a connection at once, and closes its socket soon, which may hold descriptors that its peer has sent: to close the
 * last one of a descriptor may take as long as whoever sent it likes, and this does not. */
void refuse_close(struct refuse *r, int take_fd);
/* Closes it soon, and as carefully, but leaves the connection to others who have it. */
void refuse_close_later(struct refuse *r, int take_fd);
/* Says why, and closes the connection in its own time. messages: it speaks ZMTP; others see their end alone. */
void refuse_peer(struct refuse *r, int take_fd, bool messages, const char *why);

#endif
