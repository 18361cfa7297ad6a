/* SPDX-License-Identifier: MIT */
/*
 * shape -- see shape.h. The library says all of this once more when an array is made; here it is said before
 * anything is asked of it, of a file's header, and by the words that the command line has for it.
 */
#include "client/cli/shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/words.h"

bool shape_read_type(const char *text, struct shape *ret, char why[SHAPE_WHY_BYTES])
{
    ptools_type type = ptools_type_of(text);
    struct nearest near;
    int n;

    if (type) {
        ret->type = type;
        return true;
    }
    nearest_init(&near, text);
    n = snprintf(why, SHAPE_WHY_BYTES, "there is no type \"%.40s\"; allowed are", text);
    for (int i = PTOOLS_INT8; i <= PTOOLS_BOOLEAN; i++) {
        const char *name = ptools_type_name((ptools_type)i);

        n += snprintf(why + n, SHAPE_WHY_BYTES - (size_t)n, "%s %s", i > PTOOLS_INT8 ? "," : "", name);
        nearest_offer(&near, name);
    }
    if (near.best)
        snprintf(why + n, SHAPE_WHY_BYTES - (size_t)n, "; the nearest is %s", near.best);
    return false;
}

bool shape_read_dims(const char *text, struct shape *ret, char why[SHAPE_WHY_BYTES])
{
    uint64_t dims[PTOOLS_DIMS_MAX] = { 0 };
    uint32_t ndims = 0;
    char number[24];

    for (const char *s = text;; s++) {
        size_t n = strcspn(s, ",");

        if (ndims == PTOOLS_DIMS_MAX) {
            snprintf(why, SHAPE_WHY_BYTES, "the dimensions \"%.60s\" are more than %d", text, PTOOLS_DIMS_MAX);
            return false;
        }
        snprintf(number, sizeof number, "%.*s", (int)(n < sizeof number ? n : sizeof number - 1), s);
        if (!words_count(number, INT64_MAX, &dims[ndims]) || dims[ndims] == 0) {
            snprintf(
                why, SHAPE_WHY_BYTES,
                "\"%.60s\" are no dimensions: 1 to %d whole numbers, each at least 1, with commas between: 1000 or "
                "1000,10",
                text, PTOOLS_DIMS_MAX);
            return false;
        }
        ndims++;
        s += n;
        if (*s == '\0')
            break;
    }
    ret->ndims = ndims;
    memcpy(ret->dims, dims, sizeof dims);
    return true;
}

bool shape_read_order(const char *text, struct shape *ret, char why[SHAPE_WHY_BYTES])
{
    if (strcmp(text, "row") == 0) {
        ret->order = PTOOLS_ROW_MAJOR;
    } else if (strcmp(text, "column") == 0) {
        ret->order = PTOOLS_COLUMN_MAJOR;
    } else {
        snprintf(
            why, SHAPE_WHY_BYTES,
            "there is no order \"%.40s\"; allowed are row (the last index varies fastest: C, numpy) and column (the "
            "first does: Julia, Fortran)",
            text);
        return false;
    }
    return true;
}

bool shape_size(const struct shape *s, uint64_t *ret_count, uint64_t *ret_bytes, char why[SHAPE_WHY_BYTES])
{
    uint64_t count = 1, bytes = 0;

    if (s->ndims < 1 || s->ndims > PTOOLS_DIMS_MAX) {
        snprintf(why, SHAPE_WHY_BYTES, "it has %" PRIu32 " dimensions; an array has 1 to %d", s->ndims,
                 PTOOLS_DIMS_MAX);
        return false;
    }
    for (uint32_t i = 0; i < s->ndims; i++) {
        if (s->dims[i] == 0) {
            snprintf(why, SHAPE_WHY_BYTES, "its dimension %" PRIu32 " is 0; each is at least 1", i + 1);
            return false;
        }
        if (__builtin_mul_overflow(count, s->dims[i], &count) ||
            __builtin_mul_overflow(count, (uint64_t)ptools_type_bytes(s->type), &bytes) || bytes > INT64_MAX) {
            snprintf(why, SHAPE_WHY_BYTES, "its dimensions multiply to more bytes than can be");
            return false;
        }
    }
    if (ret_count)
        *ret_count = count;
    if (ret_bytes)
        *ret_bytes = bytes;
    return true;
}

void shape_of(const ptools_array *a, struct shape *ret)
{
    *ret = (struct shape){
        .type = ptools_array_type(a),
        .order = ptools_array_order(a),
        .ndims = ptools_array_ndims(a),
    };
    memcpy(ret->dims, ptools_array_dims(a), ret->ndims * sizeof ret->dims[0]);
}

bool shape_equal(const struct shape *a, const struct shape *b)
{
    return a->type == b->type && a->ndims == b->ndims && memcmp(a->dims, b->dims, a->ndims * sizeof a->dims[0]) == 0;
}

bool shape_same_order(const struct shape *a, const struct shape *b)
{
    uint32_t wide = 0; /* dimensions in which there is a choice */

    for (uint32_t i = 0; i < a->ndims; i++)
        wide += a->dims[i] > 1;
    return a->order == b->order || wide < 2;
}

void shape_strides(const struct shape *s, uint64_t ret[PTOOLS_DIMS_MAX])
{
    uint64_t stride = ptools_type_bytes(s->type);

    for (uint32_t k = 0; k < s->ndims; k++) {
        uint32_t i = s->order == PTOOLS_COLUMN_MAJOR ? k : s->ndims - 1 - k;

        ret[i] = stride;
        stride *= s->dims[i];
    }
}

const char *shape_text(const struct shape *s, char text[SHAPE_TEXT_BYTES])
{
    int n = snprintf(text, SHAPE_TEXT_BYTES, "%s[", ptools_type_name(s->type));

    for (uint32_t i = 0; i < s->ndims && i < PTOOLS_DIMS_MAX; i++)
        n += snprintf(text + n, SHAPE_TEXT_BYTES - (size_t)n, "%s%" PRIu64, i ? "," : "", s->dims[i]);
    snprintf(text + n, SHAPE_TEXT_BYTES - (size_t)n, "]");
    return text;
}
