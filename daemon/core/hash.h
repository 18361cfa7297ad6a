/* SPDX-License-Identifier: MIT */
/*
 * hash -- what the core's tables hash with: SipHash-2-4, under a seed that no client knows.
 *
 * Many keys are chosen by clients: the keys of tasks, the numbers of requests, names. Whoever knows the hash can choose
 * thousands of one value, and then each look costs a walk along all of them. So it is a keyed hash, and the key is made
 * when the daemon starts (core_seed()). The seed is a constant of the process, no state: nothing that the core decides
 * depends on it.
 */
#ifndef CORE_HASH_H
#define CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *data, size_t n);

#endif
