/* SPDX-License-Identifier: MIT */
/*
 * storage -- task local storage: values and pointers by name. See storage.c.
 */
#ifndef WORKER_STORAGE_H
#define WORKER_STORAGE_H

#include <ptools/value.h>

struct storage;

/* A name has 1 to so many bytes. */
enum { STORAGE_NAME_BYTES = 64 };

/* All of these: *s NULL is an empty storage; name must be a name. */

/* One value in msgpack, copied, instead of what was there. PTOOLS_OK, _NO_MEMORY, _INVALID: no value. */
ptools_err storage_set(struct storage **s, const char *name, const uint8_t *value, size_t n);
ptools_err storage_set_pointer(struct storage **s, const char *name, void *pointer, void (*destroy)(void *pointer));
/* PTOOLS_ERR_RANGE: nothing is there; PTOOLS_ERR_TYPE: the other kind is. */
ptools_err storage_get(struct storage *s, const char *name, ptools_value *ret);
ptools_err storage_get_pointer(struct storage *s, const char *name, void **ret);
void storage_del(struct storage **s, const char *name);
/* Everything, in the order in which it was set; destructors are called. */
void storage_clear(struct storage **s);

#endif
