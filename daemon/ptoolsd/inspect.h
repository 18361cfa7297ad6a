/* SPDX-License-Identifier: MIT */
/*
 * inspect -- the documents that clients may look at: status, workers, sets, modules (PROTOCOL.md, 7).
 */
#ifndef PTOOLSD_INSPECT_H
#define PTOOLSD_INSPECT_H

#include "daemon/ptoolsd/daemon.h"

enum { INSPECT_UNKNOWN = 1 };

/* 0 and a blob of msgpack; INSPECT_UNKNOWN; -ENOMEM. uid: whose sets are shown. */
int inspect_document(struct daemon *d, uint32_t uid, const struct text *what, struct blob **ret);

#endif
