/* SPDX-License-Identifier: MIT */
/*
 * symbols -- the name of the function at an address of an ELF file. See symbols.c.
 */
#ifndef WORKER_SYMBOLS_H
#define WORKER_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* address: as in the file (the load bias subtracted). The name is cut to cap bytes, its NUL included.
 * Safe in a signal handler. */
bool symbols_find(const char *file, uint64_t address, char *ret_name, size_t cap, uint64_t *ret_offset);

#endif
