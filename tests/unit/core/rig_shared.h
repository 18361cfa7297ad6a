/* SPDX-License-Identifier: MIT */
/*
 * rig_shared -- the rig's hands for shared arrays and server tasks. As with rig.h every step ends with core_check();
 * what the program would do of itself (making memory, forking) is done by the test, when it wants.
 *
 * Memory is made in pages of 4096 bytes. Processes of server tasks have the pid 5000 and the last digits of their
 * number.
 */
#ifndef TESTS_CORE_RIG_SHARED_H
#define TESTS_CORE_RIG_SHARED_H

#include "tests/unit/core/rig.h"

enum { RIG_PAGE = 4096 };

uint32_t rig_client(struct rig *r, uint32_t uid);
void rig_leaves(struct rig *r, uint32_t client);

/* -- arrays -- */

/* The message that asks for n bytes (uint8) under the name; NULL: none. */
struct msg_array rig_shape(const char *name, uint64_t n);
/* create, unlink, close. The value is the request. */
uint64_t rig_array_request(struct rig *r, uint32_t client, enum msg_kind kind, const struct msg_array *m);
/* The number of the array in the newest ACT_ARRAY_MAKE. */
uint64_t rig_asked(struct rig *r);
void rig_made(struct rig *r, uint64_t array);
void rig_not_made(struct rig *r, uint64_t array, ptools_err code, const char *why);
/* Asked for by the client, made, answered: its number. Out is clear afterwards. */
uint64_t rig_array(struct rig *r, uint32_t client, const struct msg_array *m);
uint64_t rig_array_of(struct rig *r, const char *name, uint64_t n); /* of the rig's client */
struct array *rig_the_array(struct rig *r, uint64_t array);          /* NULL: it is gone */
/* An array is asked for, by number. The value is the code, and the answer is in *ret (NULL: not wanted). */
ptools_err rig_take(struct rig *r, bool is_client, uint32_t who, uint64_t task, uint64_t array, struct fds_answer *ret);
/* The same by name; owner FDS_OWN. */
ptools_err rig_take_name(struct rig *r, bool is_client, uint32_t who, uint64_t task, uint32_t owner, const char *prefix,
                         const char *name, struct fds_answer *ret);
/* How often an action of this type is about the array. */
size_t rig_count_array(struct rig *r, enum action_type type, uint64_t array);
/* Fails the test unless there is one such, of this worker; it. */
struct action *rig_action_of(struct rig *r, enum action_type type, uint32_t worker);
/* A call of m.f whose arguments lie in an array (0: it has none), without a payload. The value is its request. */
uint64_t rig_call_large(struct rig *r, uint32_t client, uint64_t args, uint64_t args_bytes, uint64_t room,
                        uint64_t large);
/* The same, and given to a worker: the number of the task. */
uint64_t rig_runs_large(struct rig *r, uint64_t args, uint64_t args_bytes, uint64_t room, uint64_t large);
/* A process asks for room for a value. */
void rig_wants_room(struct rig *r, uint32_t worker, uint32_t client, uint64_t task, uint64_t bytes);
/* The task ends with so many bytes of that array as its value. */
void rig_done_array(struct rig *r, uint64_t task, uint64_t array, uint64_t bytes);
/* The reply to a request; fails the test if it was refused, or not answered. */
struct msg_reply rig_reply(struct rig *r, uint64_t request);

/* -- server tasks -- */

/* The value is the request. */
uint64_t rig_stasks_request(struct rig *r, uint32_t client, enum msg_kind kind, const struct msg_stasks *m);
/* The process of task index; 0: it has none. */
uint32_t rig_process(struct rig *r, uint64_t stasks, uint32_t index);
const char *rig_stask_state(struct rig *r, uint64_t stasks, uint32_t index);
void rig_stask_ready(struct rig *r, uint32_t process);
/* It maps all that it was told to map. */
void rig_stask_maps(struct rig *r, uint32_t process);
/* It ends of the signal (0: exits), running that call (0: none). */
void rig_stask_dies(struct rig *r, uint32_t process, int signal, uint64_t call);
void rig_stask_not_made(struct rig *r, uint32_t process);
/* Started, ready, mapped, answered: the handle. Out is clear afterwards. */
uint64_t rig_stasks(struct rig *r, uint32_t client, const struct msg_stasks *m);
uint64_t rig_stasks_of(struct rig *r, uint32_t n); /* of the rig's client, without name and arrays */

#endif
