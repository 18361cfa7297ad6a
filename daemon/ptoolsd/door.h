/* SPDX-License-Identifier: MIT */
/*
 * door -- where clients come in: connections, their limits, bytes in and out. See door.c.
 */
#ifndef PTOOLSD_DOOR_H
#define PTOOLSD_DOOR_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/ptoolsd/daemon.h"
#include "proto/fds.h"
#include "proto/zmtp.h"

struct client;

/* Takes listen_fd, which listens; -1: clients come by door_let_in() alone. 0 or -errno. */
int door_new(struct daemon *d, int listen_fd, struct door **ret);
struct door *door_free(struct door *door);
DEFINE_AUTO(door)

/* Takes a connection that the front has accepted: its peer is this daemon's user, or steers what that has. */
void door_let_in(struct door *door, int take_fd);
/* Sends what gathered during the turn, and closes those that are to be closed. true: messages that had waited for
 * that were handled, and their answers gathered: to be called again, once processes have got what is theirs. */
bool door_flush(struct door *door);
/* Sends what is left, as far as it goes at once, and ends all connections; no new ones. */
void door_close(struct door *door);
void door_stop_listening(struct door *door);
uint32_t door_clients(const struct door *door);
/* Whether something waits to be sent to a client that can still take it. */
bool door_pending(const struct door *door);
/* The client that has this token and is of this user; 0: none. */
uint32_t door_client_by_token(const struct door *door, const uint8_t token[FDS_TOKEN_BYTES], uint32_t uid);
/* The pid of a client, for people; 0: it is gone. */
int32_t door_client_pid(const struct door *door, uint32_t client);
/* Descriptors have run out: nobody is let in for a moment, here and at the door of descriptors. */
void door_pause(struct door *door);
/* Whether a client ever was in; private daemons end by it. */
bool door_was_used(const struct door *door);

/* Queues an answer; payload may be NULL. A client that is gone is passed over. */
void door_answer(struct door *door, uint32_t client, const struct msg_answer *answer, struct blob *payload);

/* The same with an event. false: the client does not read, and is not sent it. */
bool door_event(struct door *door, uint32_t client, const struct msg_answer *event);

/* What requests.c needs of a client. */
uint32_t client_id(const struct client *client);
uint32_t client_uid(const struct client *client);
/* Tells the core what it is inside of, if it is: see core_client_inside(). */
void client_tell_inside(struct client *client);
/* Its token for the door of descriptors, FDS_TOKEN_BYTES; made when it is first asked for. NULL: there is none. */
const uint8_t *client_token(struct client *client);
/* The connection ends at the end of the turn, when what is queued has been sent as far as its socket takes it at
 * once; why is for the log. */
void client_doom(struct client *client, const char *why);
/* What its request cost, beside what any does, in tasks that were looked at. When it has spent what it may in a turn of
 * the loop, its next requests wait for another turn: small requests may cost much, and many come at once. */
void client_spend(struct client *client, uint64_t cost);
/* A protocol error that was answered: the third closes the connection. */
void client_strike(struct client *client);

/* requests.c: one message of a client, from envelope to core. */
void request_handle(struct daemon *d, struct client *client, struct msg_decoder *decoder,
                    const struct zmtp_message *message);

#endif
