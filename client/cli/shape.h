/* SPDX-License-Identifier: MIT */
/*
 * shape -- what an array of elements is like: type, order, dimensions; as people write them and as they are told.
 * See shape.c.
 */
#ifndef CLI_SHAPE_H
#define CLI_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include <ptools/array.h>

struct shape {
    ptools_type type;
    ptools_order order;
    uint32_t ndims;
    uint64_t dims[PTOOLS_DIMS_MAX];
};
enum { SHAPE_WHY_BYTES = 320, SHAPE_TEXT_BYTES = 240 };

/* "float64", "1000,10", "column". false: why names what was wrong and what is allowed; *ret is as it was. */
bool shape_read_type(const char *text, struct shape *ret, char why[SHAPE_WHY_BYTES]);
bool shape_read_dims(const char *text, struct shape *ret, char why[SHAPE_WHY_BYTES]);
bool shape_read_order(const char *text, struct shape *ret, char why[SHAPE_WHY_BYTES]);

/* false: it has no dimensions, or more than 8, or one of them is 0, or they multiply to more bytes than can be; why
 * tells which. ret_count and ret_bytes may be NULL. */
bool shape_size(const struct shape *s, uint64_t *ret_count, uint64_t *ret_bytes, char why[SHAPE_WHY_BYTES]);

void shape_of(const ptools_array *a, struct shape *ret);
/* The same type and dimensions, whatever the orders. */
bool shape_equal(const struct shape *a, const struct shape *b);
/* For two that are equal: the elements also come in the same order. */
bool shape_same_order(const struct shape *a, const struct shape *b);
/* Bytes from one element to the next along each dimension. */
void shape_strides(const struct shape *s, uint64_t ret[PTOOLS_DIMS_MAX]);
/* "float64[1000,10]" */
const char *shape_text(const struct shape *s, char text[SHAPE_TEXT_BYTES]);

#endif
