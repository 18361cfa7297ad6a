/* SPDX-License-Identifier: MIT */
/*
 * array.h -- arrays in memory that a program and the workers share: their types, shapes and views.
 *
 * Shared by programs (<ptools/ptools.h>, which creates and maps arrays) and modules (<ptools/module.h>, where a
 * function finds them). An array is a block of elements of one type with 1 to 8 dimensions, mapped by all who
 * use it: what one writes, all see, at once and without a lock. Who writes where is theirs to agree on, best by
 * disjoint parts: ptools_localindices() deals them out.
 *
 * A ptools_array belongs to whoever mapped it. A ptools_view is a borrowed look at a part of one, by value:
 * narrowing it copies no element.
 *
 * From PTools.jl: ShmCfg, and Julia's localindices.
 */
#ifndef PTOOLS_ARRAY_H
#define PTOOLS_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ptools/error.h>
#include <ptools/value.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

/* -- types and shapes ------------------------------------------------------------------------ */

typedef enum ptools_type {
    PTOOLS_INT8 = 1,
    PTOOLS_UINT8 = 2,
    PTOOLS_INT16 = 3,
    PTOOLS_UINT16 = 4,
    PTOOLS_INT32 = 5,
    PTOOLS_UINT32 = 6,
    PTOOLS_INT64 = 7,
    PTOOLS_UINT64 = 8,
    PTOOLS_FLOAT32 = 9,
    PTOOLS_FLOAT64 = 10,
    PTOOLS_COMPLEX64 = 11,  /* two float32: real, imaginary; C's float _Complex                  */
    PTOOLS_COMPLEX128 = 12, /* two float64                                                       */
    PTOOLS_BOOLEAN = 13,    /* one byte, 0 or 1; C's bool                                        */
    PTOOLS_TYPE_WIDTH_ = 0x7fffffff
} ptools_type;

/* "int8" ... "complex128", "bool", as numpy says them; "unknown type" for what is none. Never NULL. */
const char *ptools_type_name(ptools_type type);
/* The type of that name; 0: there is none. */
ptools_type ptools_type_of(const char *name);
/* Bytes of one element; 0 for what is no type. */
size_t ptools_type_bytes(ptools_type type);

enum { PTOOLS_DIMS_MAX = 8 };

typedef enum ptools_order {
    PTOOLS_ROW_MAJOR = 0,    /* the last index varies fastest, as in C and numpy                 */
    PTOOLS_COLUMN_MAJOR = 1, /* the first index varies fastest, as in Julia and Fortran          */
    PTOOLS_ORDER_WIDTH_ = 0x7fffffff
} ptools_order;

/* What an array is to be (PTools: ShmCfg). dims: each at least 1. name: 1 to 64 of A-Z a-z 0-9 _ . - ,
 * not beginning with a digit. */
typedef struct ptools_shmcfg {
    const char *name;
    ptools_type type;
    uint32_t ndims;
    uint64_t dims[PTOOLS_DIMS_MAX];
    ptools_order order;
} ptools_shmcfg;

/* PTOOLS_SHMCFG("svar1", PTOOLS_INT32, 64, 1024): an initializer, row-major. */
#define PTOOLS_SHMCFG(name, type, ...)                                                                              \
    { (name), (type), sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t), { __VA_ARGS__ }, PTOOLS_ROW_MAJOR }

/* -- arrays ---------------------------------------------------------------------------------- */

typedef struct ptools_array ptools_array; /* one that is mapped into this process                */

/* None of these fails; what they return is borrowed from the array. */
void *ptools_array_data(const ptools_array *a);          /* the first element                    */
size_t ptools_array_bytes(const ptools_array *a);        /* of all elements                      */
uint64_t ptools_array_count(const ptools_array *a);      /* of elements: the product of its dims */
ptools_type ptools_array_type(const ptools_array *a);
ptools_order ptools_array_order(const ptools_array *a);
uint32_t ptools_array_ndims(const ptools_array *a);
const uint64_t *ptools_array_dims(const ptools_array *a);
const char *ptools_array_name(const ptools_array *a);    /* ""; it has none                      */
const char *ptools_array_prefix(const ptools_array *a);
uint64_t ptools_array_id(const ptools_array *a);         /* the daemon's number of it            */
bool ptools_array_read_only(const ptools_array *a);      /* writing to it ends the process with SIGSEGV */

/* Whether it is of this type and shape: type 0, ndims 0, dims NULL or an entry 0 of it stand for any.
 * PTOOLS_OK or PTOOLS_ERR_MISMATCH. */
ptools_err ptools_array_check(const ptools_array *a, ptools_type type, uint32_t ndims, const uint64_t *dims);

/* -- views ----------------------------------------------------------------------------------- */

typedef struct ptools_view {
    void *data;                        /* the first element of the part                          */
    ptools_type type;
    uint32_t ndims;                    /* 0: a single element                                    */
    uint64_t dims[PTOOLS_DIMS_MAX];
    int64_t strides[PTOOLS_DIMS_MAX];  /* bytes from one element to the next along a dimension   */
    const ptools_array *array;         /* of which it is a part                                  */
} ptools_view;

/* All of it. */
void ptools_view_of(const ptools_array *a, ptools_view *ret);
/* Keeps `count` indices along dimension `dim`, from `first` on (both from 0; count at least 1).
 * PTOOLS_ERR_RANGE: they are not in it, and the view is as it was. */
ptools_err ptools_view_range(ptools_view *view, uint32_t dim, uint64_t first, uint64_t count);
/* Keeps every step-th index along dimension `dim`, from its first on; step at least 1. */
ptools_err ptools_view_step(ptools_view *view, uint32_t dim, uint64_t step);
/* Keeps index i along `dim`, and drops that dimension: row i is (0, i), column i is (1, i). */
ptools_err ptools_view_index(ptools_view *view, uint32_t dim, uint64_t i);
/* The element at these ndims indices, from 0; they are not checked. */
void *ptools_view_at(const ptools_view *view, const uint64_t *index);
uint64_t ptools_view_count(const ptools_view *view);
/* Whether its elements lie side by side, in the order of its array, so that data and count are all one needs. */
bool ptools_view_contiguous(const ptools_view *view);

/* As an argument of a call: its number, place and shape travel, its elements do not. The function gets it
 * with ptools_task_arg_view(). It must still be there when the call begins: else PTOOLS_ERR_BAD_ARGUMENT. */
void ptools_pack_array(ptools_pack *pack, const ptools_array *a);
void ptools_pack_view(ptools_pack *pack, const ptools_view *view);

/* -- splitting work ------------------------------------------------------------------------- */

/* Part i of n (i from 0) of the indices 0 to length - 1: *ret_count of them from *ret_first on. The parts are
 * in order, cover everything once, and differ by one at most; the longer ones come first. n = 0 and i >= n give
 * nothing: *ret_first = length, *ret_count = 0. */
void ptools_localindices(uint64_t i, uint64_t n, uint64_t length, uint64_t *ret_first, uint64_t *ret_count);

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
