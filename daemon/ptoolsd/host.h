/* SPDX-License-Identifier: MIT */
/*
 * host -- how this machine is called, for tasks whose target is a host. See host.c.
 */
#ifndef PTOOLSD_HOST_H
#define PTOOLSD_HOST_H

#include <stddef.h>

struct core;

enum { HOST_NAMES_MAX = 64 };

/* Its names and addresses, each once; how many. Strings in *ret are the caller's to free, one by one. */
size_t host_names(char *ret[HOST_NAMES_MAX]);
/* Tells them to the core. 0 or -ENOMEM. */
int host_tell(struct core *core);

#endif
