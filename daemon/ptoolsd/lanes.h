/* SPDX-License-Identifier: MIT */
/*
 * lanes -- whose lane a number is: calls of server tasks begin with the number of their lane, and what a process asks
 * on behalf of a call (room for a large value) is charged to the client of that lane. See lanes.c.
 */
#ifndef PTOOLSD_LANES_H
#define PTOOLSD_LANES_H

#include <stdint.h>

#include "proto/util.h"

enum { LANES_KEPT = 64 }; /* of one client and one process */

struct lanes;

struct lanes *lanes_new(void); /* NULL: no memory */
struct lanes *lanes_free(struct lanes *l);
DEFINE_AUTO(lanes)

/* A number for a new lane from the client to the process; 0: no memory. */
uint32_t lanes_add(struct lanes *l, uint32_t client, uint32_t process);
/* It did not come to be. */
void lanes_remove(struct lanes *l, uint32_t number);
/* Whose lane it is, if it leads to this process; 0: nobody's. */
uint32_t lanes_client(const struct lanes *l, uint32_t number, uint32_t process);
void lanes_client_gone(struct lanes *l, uint32_t client);
void lanes_process_gone(struct lanes *l, uint32_t process);
/* How many numbers are kept. */
uint32_t lanes_count(const struct lanes *l);

#endif
