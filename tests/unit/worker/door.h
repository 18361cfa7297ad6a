/* SPDX-License-Identifier: MIT */
/*
 * door -- plays the daemon's end of a process's socket for descriptors (proto/fds.h): makes segments, tells about
 * them, looks at what is asked. A test in one process answers before it has the code under test ask.
 *
 * Any failure ends the test.
 */
#ifndef TESTS_WORKER_DOOR_H
#define TESTS_WORKER_DOOR_H

#include <stdbool.h>

#include "proto/fds.h"

enum { DOOR_PAGE = 4096 };

/* A socket of that kind; *ret_theirs is the end of the process. The value is ours. */
int door_open(int *ret_theirs);
/* A sealed segment of whole pages that begins with these bytes. */
int door_segment(const void *data, size_t n, size_t bytes);
/* What the daemon would tell of an array of n bytes (uint8) of user 1000. name NULL: none. */
struct fds_answer door_array(uint64_t id, const char *name, uint64_t n);
/* fd -1: none. Neither it nor the answer is waited for. */
void door_tell(int door, const struct fds_answer *answer, int take_fd);
void door_tell_bytes(int door, const void *data, size_t n, const int *take_fds, size_t n_fds);
/* Tells of a new segment. */
void door_give(int door, const struct fds_answer *answer, const void *data, size_t n);
void door_refuse(int door, ptools_err code, const char *text);
/* The next request, which is waited for. */
struct fds_request door_asked(int door);
/* Nothing has been asked. */
bool door_is_quiet(int door);

/* How often the process maps memory like that: lines of its /proc/PID/maps (0: of this one) with "memfd:NAME" and
 * these permissions (NULL: any). */
unsigned door_mappings(int pid, const char *permissions);

#endif
