/* SPDX-License-Identifier: MIT */
/*
 * mutate_values -- what goes into the fields and arguments of mutate.c; nobody else includes it. See mutate_values.c.
 */
#ifndef TESTS_FAULT_MUTATE_VALUES_H
#define TESTS_FAULT_MUTATE_VALUES_H

#include "proto/envelope.h"
#include "tests/fault/mutate.h"

void put_str(msgpack_packer *pk, const char *s);
/* As the field should have it; at the edges of what it may have, and beyond; whatever there is. */
void put_good(struct mutate *m, msgpack_packer *pk, const struct field *f);
void put_edge(struct mutate *m, msgpack_packer *pk, const struct field *f);
void put_edge_text(struct mutate *m, msgpack_packer *pk);
void put_any(struct mutate *m, msgpack_packer *pk, unsigned depth);

bool is_known(const struct mutate *m, enum mutate_thing thing, uint64_t id);
/* The place of a function in the list of those that may be called; -1: it is none of them. */
int mutate_function(struct text name);
/* A list of arguments for it. Returns whether it may be made wrong. */
bool put_arguments(struct mutate *m, msgpack_packer *pk, int function);

#endif
