/* SPDX-License-Identifier: MIT */
/*
 * table -- uthash, with a hash for what this room looks up: small numbers.
 */
#ifndef PTOOLSD_TABLE_H
#define PTOOLSD_TABLE_H

/* Ids and pids count up: multiplied, they are hash enough. Keys are of four bytes, all of them. */
#define HASH_FUNCTION(key, bytes, ret) ((ret) = *(const unsigned *)(const void *)(key) * 2654435761u)
#define uthash_fatal(what) abort() /* out of memory: systemd, or whoever started it, starts it again */
#include <stdlib.h>
#include <uthash.h>

#endif
