/* SPDX-License-Identifier: MIT */
/*
 * front_users -- which users have a daemon now, and the way to it. See front_users.c.
 */
#ifndef PTOOLSD_FRONT_USERS_H
#define PTOOLSD_FRONT_USERS_H

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "daemon/ptoolsd/config.h"
#include "proto/front.h"

struct front_users;

int front_users_new(sd_event *event, const struct config *config, struct front_users **ret);
struct front_users *front_users_free(struct front_users *f);

/* A connection of one of the doors (FRONT_CLIENT or FRONT_ARRAYS), by somebody who may act as this user: taken. false: it
 * was refused. */
bool front_users_give(struct front_users *f, uint32_t uid, enum front_kind door, int take_fd);
/* Somebody who may not: taken. */
void front_users_refuse(struct front_users *f, enum front_kind door, int take_fd, const char *why);
/* Starts the daemon of a user, who may have queued tasks, without anybody having come. */
void front_users_start(struct front_users *f, uint32_t uid);
/* The socket of one that is there already, which the service manager has kept: taken. */
void front_users_adopt(struct front_users *f, uint32_t uid, int take_fd);
/* To all daemons: FRONT_DRAIN or FRONT_RELOAD. After DRAIN nobody is let in any more. */
void front_users_tell(struct front_users *f, enum front_kind kind);
/* fn is told from now on when the daemon of a user serves, and when it is gone. */
void front_users_watch(struct front_users *f, void (*fn)(void *userdata, uint32_t uid, bool up), void *userdata);
/* How many have one; and whether this user has. */
unsigned front_users_n(const struct front_users *f);
bool front_users_has(const struct front_users *f, uint32_t uid);

#endif
