/* SPDX-License-Identifier: MIT */
/*
 * front_as -- the doors by which admins come in as another user: dir/as/UID. See front_as.c.
 */
#ifndef PTOOLSD_FRONT_AS_H
#define PTOOLSD_FRONT_AS_H

#include "daemon/ptoolsd/front_users.h"

struct front_as;

/* 0, or -errno. Where there is no group for it, *ret is NULL, and nobody comes in as somebody else. */
int front_as_new(sd_event *event, const struct config *config, struct front_users *users, struct front_as **ret);
/* Makes the pair of this user, unless it is there. NULL is allowed. */
void front_as_open(struct front_as *a, uint32_t uid);
/* Marks whether the daemon of this user is there, by the file `up` beside the pair. */
void front_as_mark(struct front_as *a, uint32_t uid, bool up);
struct front_as *front_as_free(struct front_as *a);

#endif
