/* SPDX-License-Identifier: MIT */
/*
 * inspect -- the documents that clients may look at: status, workers, sets, modules, and, in
 * inspect_shared.c, arrays and stasks (PROTOCOL.md, 7).
 */
#ifndef PTOOLSD_INSPECT_H
#define PTOOLSD_INSPECT_H

#include "daemon/ptoolsd/daemon.h"
#include "proto/value.h"

enum { INSPECT_UNKNOWN = 1 };

/* 0 and a blob of msgpack; INSPECT_UNKNOWN; -ENOMEM. uid: whose sets, arrays and server tasks are shown. */
int inspect_document(struct daemon *d, uint32_t uid, const struct text *what, struct blob **ret);

/* What documents are written with. */
void inspect_u64(ptools_pack *p, const char *key, uint64_t v);
void inspect_str(ptools_pack *p, const char *key, const char *v);
void inspect_bool(ptools_pack *p, const char *key, bool v);
/* inspect_queue.c: task-get (INSPECT_UNKNOWN: there is none) and task-list. *reply says what goes into the envelope,
 * *ret_cost what it took, in tasks that were looked at: see client_spend(). */
int inspect_queue(struct daemon *d, uint32_t uid, const struct msg_request *r, struct msg_reply *reply,
                  struct blob **ret, uint64_t *ret_cost);
void inspect_arrays(struct daemon *d, uint32_t uid, ptools_pack *p);
void inspect_stasks(struct daemon *d, uint32_t uid, ptools_pack *p);

#endif
