/* SPDX-License-Identifier: MIT */
/*
 * elements -- single elements of arrays: text to bytes and back, and their sum. See elements.c.
 */
#ifndef CLI_ELEMENTS_H
#define CLI_ELEMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ptools/array.h>

enum { ELEMENT_BYTES_MAX = 16, ELEMENT_TEXT_BYTES = 80, ELEMENT_WHY_BYTES = 200 };

/* The n bytes of text as an element of that type. Nothing is rounded that need not be: a whole number must be held
 * exactly, a fraction becomes the nearest float. Spaces around it are none of it.
 *   integers   whole numbers in the range of the type; also as 1.0 or 1e3
 *   floats     1, -0.5, 1e-3, nan, inf
 *   complex    1, 2i, 1+2i, with j for i, in parentheses
 *   bool       true, false, and what is 1 or 0
 * false: why names what was wrong and what is allowed; ret is untouched. */
bool element_read(ptools_type type, const char *text, size_t n, void *ret, char why[ELEMENT_WHY_BYTES]);

/* With the fewest digits that read back as the same: "-7", "0.1", "nan", "1+2i", "true". Returns text. */
const char *element_text(ptools_type type, const void *element, char text[ELEMENT_TEXT_BYTES]);

/* Whether all of them are 0 or 1, as a bool must be; else the index of the first that is not. */
bool elements_are_bool(const void *data, uint64_t count, uint64_t *ret_index);

/* Of count elements: integers and bools (as 0 and 1) exactly; floats, and each part of complex numbers, in double with
 * the rounding errors summed up beside it. */
struct sum {
    bool exact, complex;       /* which of these count */
    __extension__ __int128 whole;
    double re, im;
};
void elements_sum(ptools_type type, const void *data, uint64_t count, struct sum *ret);
const char *sum_text(const struct sum *sum, char text[ELEMENT_TEXT_BYTES]);

#endif
