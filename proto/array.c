/* SPDX-License-Identifier: MIT */
/*
 * array -- types and shapes: one table of types, one place where bytes are computed, with every overflow caught.
 */
#include "proto/array.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/util.h"

#define ARRAY_BYTES_MAX ((uint64_t)INT64_MAX - (UINT64_C(1) << 32)) /* rounded up to pages it is still an off_t */

static const struct {
    const char *name;
    size_t bytes;
} types[] = {
    [PTOOLS_INT8] = { "int8", 1 },
    [PTOOLS_UINT8] = { "uint8", 1 },
    [PTOOLS_INT16] = { "int16", 2 },
    [PTOOLS_UINT16] = { "uint16", 2 },
    [PTOOLS_INT32] = { "int32", 4 },
    [PTOOLS_UINT32] = { "uint32", 4 },
    [PTOOLS_INT64] = { "int64", 8 },
    [PTOOLS_UINT64] = { "uint64", 8 },
    [PTOOLS_FLOAT32] = { "float32", 4 },
    [PTOOLS_FLOAT64] = { "float64", 8 },
    [PTOOLS_COMPLEX64] = { "complex64", 8 },
    [PTOOLS_COMPLEX128] = { "complex128", 16 },
    [PTOOLS_BOOLEAN] = { "bool", 1 },
};

static bool is_type(uint32_t type)
{
    return type > 0 && type < ELEMENTS(types);
}

const char *ptools_type_name(ptools_type type)
{
    return is_type((uint32_t)type) ? types[type].name : "unknown type";
}

ptools_type ptools_type_of(const char *name)
{
    for (uint32_t i = 1; name && i < ELEMENTS(types); i++)
        if (strcmp(name, types[i].name) == 0)
            return (ptools_type)i;
    return (ptools_type)0;
}

size_t ptools_type_bytes(ptools_type type)
{
    return is_type((uint32_t)type) ? types[type].bytes : 0;
}

/* -- layouts -------------------------------------------------------------------------------- */

bool layout_make(struct layout *ret, uint32_t type, uint32_t order, uint32_t ndims, const uint64_t *dims,
                 char why[LAYOUT_WHY_BYTES])
{
    struct layout l = { .type = (ptools_type)type, .order = (ptools_order)order, .ndims = ndims, .count = 1 };

    if (!is_type(type)) {
        snprintf(why, LAYOUT_WHY_BYTES,
                 "type %" PRIu32 " is none: int8 to int64, uint8 to uint64, float32, float64, complex64, "
                 "complex128, bool",
                 type);
        return false;
    }
    if (order != PTOOLS_ROW_MAJOR && order != PTOOLS_COLUMN_MAJOR) {
        snprintf(why, LAYOUT_WHY_BYTES, "order %" PRIu32 " is neither row-major (0) nor column-major (1)", order);
        return false;
    }
    if (ndims < 1 || ndims > PTOOLS_DIMS_MAX) {
        snprintf(why, LAYOUT_WHY_BYTES, "an array has 1 to %d dimensions, not %" PRIu32, PTOOLS_DIMS_MAX, ndims);
        return false;
    }
    for (uint32_t i = 0; i < ndims; i++) {
        if (dims[i] == 0) {
            snprintf(why, LAYOUT_WHY_BYTES, "dimension %" PRIu32 " is 0: each is at least 1", i + 1);
            return false;
        }
        l.dims[i] = dims[i];
        if (__builtin_mul_overflow(l.count, dims[i], &l.count) ||
            __builtin_mul_overflow(l.count, types[type].bytes, &l.bytes) || l.bytes > ARRAY_BYTES_MAX) {
            snprintf(why, LAYOUT_WHY_BYTES, "the dimensions multiply to more than %" PRIu64 " bytes of %s",
                     ARRAY_BYTES_MAX, types[type].name);
            return false;
        }
    }
    *ret = l;
    return true;
}

/* Dimensions that do not fit, which no array can have, but somebody may ask for, end in "...". */
static void shape_text(const char *type, uint32_t ndims, const uint64_t *dims, char ret[LAYOUT_TEXT_BYTES])
{
    static const int one = 1 + 20, rest = sizeof ",...]"; /* bytes: a dimension at its longest, the end */
    int n = snprintf(ret, LAYOUT_TEXT_BYTES, "%s", type);

    for (uint32_t i = 0; i < MIN(ndims, PTOOLS_DIMS_MAX); i++) {
        size_t room = LAYOUT_TEXT_BYTES - (size_t)n;

        if (n + one + rest > LAYOUT_TEXT_BYTES) {
            n += snprintf(ret + n, room, ",...");
            break;
        }
        if (dims && dims[i])
            n += snprintf(ret + n, room, "%c%" PRIu64, i ? ',' : '[', dims[i]);
        else
            n += snprintf(ret + n, room, "%cany", i ? ',' : '[');
    }
    if (ndims)
        snprintf(ret + n, LAYOUT_TEXT_BYTES - (size_t)n, "]");
}

void layout_text(const struct layout *l, char ret[LAYOUT_TEXT_BYTES])
{
    size_t n;

    shape_text(ptools_type_name(l->type), l->ndims, l->dims, ret);
    n = strlen(ret);
    if (l->order == PTOOLS_COLUMN_MAJOR)
        snprintf(ret + n, LAYOUT_TEXT_BYTES - n, ", column-major");
}

void layout_wanted_text(ptools_type type, uint32_t ndims, const uint64_t *dims, char ret[LAYOUT_TEXT_BYTES])
{
    shape_text(type ? ptools_type_name(type) : "any type", ndims, dims, ret);
}

bool layout_is(const struct layout *l, ptools_type type, uint32_t ndims, const uint64_t *dims)
{
    if ((type && type != l->type) || (ndims && ndims != l->ndims))
        return false;
    for (uint32_t i = 0; dims && i < ndims; i++)
        if (dims[i] && dims[i] != l->dims[i])
            return false;
    return true;
}

/* -- arrays --------------------------------------------------------------------------------- */

void *ptools_array_data(const ptools_array *a)
{
    return a->data;
}

size_t ptools_array_bytes(const ptools_array *a)
{
    return a->layout.bytes;
}

uint64_t ptools_array_count(const ptools_array *a)
{
    return a->layout.count;
}

ptools_type ptools_array_type(const ptools_array *a)
{
    return a->layout.type;
}

ptools_order ptools_array_order(const ptools_array *a)
{
    return a->layout.order;
}

uint32_t ptools_array_ndims(const ptools_array *a)
{
    return a->layout.ndims;
}

const uint64_t *ptools_array_dims(const ptools_array *a)
{
    return a->layout.dims;
}

const char *ptools_array_name(const ptools_array *a)
{
    return a->name;
}

const char *ptools_array_prefix(const ptools_array *a)
{
    return a->prefix;
}

uint64_t ptools_array_id(const ptools_array *a)
{
    return a->id;
}

bool ptools_array_read_only(const ptools_array *a)
{
    return a->read_only;
}

ptools_err ptools_array_check(const ptools_array *a, ptools_type type, uint32_t ndims, const uint64_t *dims)
{
    return layout_is(&a->layout, type, ndims, dims) ? PTOOLS_OK : PTOOLS_ERR_MISMATCH;
}

/* -- splitting ------------------------------------------------------------------------------ */

void ptools_localindices(uint64_t i, uint64_t n, uint64_t length, uint64_t *ret_first, uint64_t *ret_count)
{
    uint64_t each, longer; /* the first `longer` parts have one more */

    if (i >= n) {
        *ret_first = length;
        *ret_count = 0;
        return;
    }
    each = length / n;
    longer = length % n;
    *ret_first = i * each + MIN(i, longer);
    *ret_count = each + (i < longer);
}
