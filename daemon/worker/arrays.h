/* SPDX-License-Identifier: MIT */
/*
 * arrays -- the shared arrays that are mapped in this process: by number, and by name. See arrays.c. There is one
 * table a process.
 */
#ifndef WORKER_ARRAYS_H
#define WORKER_ARRAYS_H

#include <stdbool.h>

#include "proto/array.h"
#include "proto/fds.h"

enum { ARRAYS_WHY_BYTES = FDS_TEXT_BYTES };

/* stay: what a function was given (arrays_given()) stays mapped until the process ends, also when the array has ended:
 * functions of server tasks may keep pointers. */
void arrays_init(bool stay);

/* The array of that number, mapped: on behalf of this task (0: of nobody). PTOOLS_OK; else why tells. Borrowed
 * until arrays_forget(). */
ptools_err arrays_by_id(uint64_t id, uint64_t task, uint32_t uid, struct ptools_array **ret,
                        char why[ARRAYS_WHY_BYTES]);
/* The one that the user has under these names. */
ptools_err arrays_by_name(const char *prefix, const char *name, uint64_t task, uint32_t uid, struct ptools_array **ret,
                          char why[ARRAYS_WHY_BYTES]);
/* A new one for a value. */
ptools_err arrays_make(uint64_t task, uint64_t bytes, struct ptools_array **ret, char why[ARRAYS_WHY_BYTES]);
/* A descriptor of it, the caller's; the array's first byte is at *ret_offset of it. */
ptools_err arrays_descriptor(uint64_t id, uint64_t task, int *ret_fd, uint64_t *ret_offset, char why[ARRAYS_WHY_BYTES]);
/* A function gets to see it. */
void arrays_given(struct ptools_array *array);
/* Whose it is. */
uint32_t arrays_owner(const struct ptools_array *array);
/* The array has ended. */
void arrays_forget(uint64_t id);

#endif
