/* SPDX-License-Identifier: MIT */
/*
 * array -- what a shared array is made of: type, order, dimensions, and how many bytes that takes.
 *
 * The inside of <ptools/array.h>: its functions on types, arrays and views are defined in array.c and view.c,
 * once, for library and worker. Whoever maps an array (client/lib, daemon/worker) fills in a struct ptools_array.
 * A layout that comes from a peer goes through layout_make() before anything is computed from it. Pure.
 */
#ifndef PROTO_ARRAY_H
#define PROTO_ARRAY_H

#include <msgpack.h>
#include <ptools/array.h>

#include "proto/limits.h"

struct layout {
    ptools_type type;
    ptools_order order;
    uint32_t ndims;
    uint64_t dims[PTOOLS_DIMS_MAX];
    uint64_t count; /* elements */
    uint64_t bytes;
};
enum { LAYOUT_WHY_BYTES = 160, LAYOUT_TEXT_BYTES = 160 };

/* Checks all of it and works out count and bytes. false: why tells what is wrong and what is allowed. */
bool layout_make(struct layout *ret, uint32_t type, uint32_t order, uint32_t ndims, const uint64_t *dims,
                 char why[LAYOUT_WHY_BYTES]);
/* "float64[1000,10]", ", column-major" behind it if it is. */
void layout_text(const struct layout *l, char ret[LAYOUT_TEXT_BYTES]);
/* The same of something that was asked for: 0 is "any". */
void layout_wanted_text(ptools_type type, uint32_t ndims, const uint64_t *dims, char ret[LAYOUT_TEXT_BYTES]);
/* By the rule of ptools_array_check(). */
bool layout_is(const struct layout *l, ptools_type type, uint32_t ndims, const uint64_t *dims);

struct ptools_array {
    struct layout layout;
    uint64_t id;
    char name[NAME_BYTES_MAX + 1], prefix[NAME_BYTES_MAX + 1];
    void *data;
    bool read_only;
    /* of whoever mapped it */
    void *mapping;
    size_t mapping_bytes;
    void *keeper;        /* client: the handle; NULL: it is closed */
    uint64_t generation; /* client: of its connection */
    struct ptools_array *next; /* client: in the handle's list */
};

/* What ptools_pack_view() wrote: a map { "$array": { "id": ... } }. */
struct view_ref {
    uint64_t id;
    const char *name, *prefix; /* instead of an id; not terminated */
    size_t name_n, prefix_n;
    bool whole;     /* the rest is not set */
    uint64_t offset; /* of the first element, in bytes */
    uint32_t ndims;
    uint64_t dims[PTOOLS_DIMS_MAX];
    int64_t strides[PTOOLS_DIMS_MAX];
};
/* 0: o is one; 1: o is something else; -1: it is one, but malformed, and why tells. */
int view_ref_read(const msgpack_object *o, struct view_ref *ret, char why[LAYOUT_WHY_BYTES]);
/* The view that it means, all of whose elements lie in the array. false: they do not, and why tells. */
bool view_ref_resolve(const struct view_ref *r, const struct ptools_array *a, ptools_view *ret,
                      char why[LAYOUT_WHY_BYTES]);

#endif
