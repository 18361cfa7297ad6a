/* SPDX-License-Identifier: MIT */
/*
 * memory -- the memory of shared arrays: made, looked at, let go. See memory.c.
 */
#ifndef PTOOLSD_MEMORY_H
#define PTOOLSD_MEMORY_H

#include "daemon/ptoolsd/daemon.h"

struct memory;

int memory_new(struct daemon *d, struct memory **ret);
struct memory *memory_free(struct memory *m);
DEFINE_AUTO(memory)

/* ACT_ARRAY_MAKE and ACT_ARRAY_DROP. */
void memory_make(struct memory *m, const struct action *a);
void memory_drop(struct memory *m, uint64_t array);
/* The end of a turn: what is being made must not wait for ever behind clients. */
void memory_turn(struct memory *m);

/* A descriptor of its own for whoever asked, to be closed when it is sent; -errno. */
int memory_open(struct memory *m, uint64_t array, bool read_only);
/* Whether a file behind it is still long enough; *ret_bytes is how long it is. True for memory. */
bool memory_is_whole(struct memory *m, uint64_t array, uint64_t *ret_bytes);
/* Bytes that are in memory, of an array in memory; of a file, its blocks when it was given. 0: unknown. */
uint64_t memory_resident_bytes(struct memory *m, uint64_t array);

/* A descriptor that a client gave, for an array of its own: taken in any case. Its number, or 0 and why. */
uint64_t memory_keep_file(struct memory *m, uint32_t client, int take_fd, char why[160]);
/* What it gave and did not use is closed. */
void memory_client_gone(struct memory *m, uint32_t client);

#endif
