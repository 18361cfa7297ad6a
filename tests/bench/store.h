/* SPDX-License-Identifier: MIT */
/*
 * store -- the floor of a queue that survives: a loop in one process that inserts records of 200 bytes into an SQLite
 * table with the index that a queue needs. No protocol, no other process, no feature; what is left is what the disk
 * and SQLite take.
 */
#ifndef TESTS_BENCH_STORE_H
#define TESTS_BENCH_STORE_H

#include "tests/bench/phase.h"

/* load->outstanding records in a commit. sync: PRAGMA synchronous. */
void store_run(const char *sync, const struct load *load, struct figures *ret);

#endif
