/* SPDX-License-Identifier: MIT */
/*
 * value.h -- building and reading the values that travel: arguments and results.
 *
 * Shared by programs (<ptools/ptools.h>) and modules (<ptools/module.h>). On the wire a value is
 * msgpack. A ptools_pack builds one: append in order; the first failure sticks and surfaces in
 * the call that uses the pack, so that forty appends need one check. A ptools_value is a borrowed
 * look at one: two words, nothing to free; it lives as long as the object it came from.
 *
 * No silent conversion: a getter for another type gives PTOOLS_ERR_TYPE, a number that does not
 * fit gives PTOOLS_ERR_RANGE, and in both cases *ret is untouched. The one widening that is
 * allowed is exact: ptools_get_f64() takes an integer that a double holds exactly.
 */
#ifndef PTOOLS_VALUE_H
#define PTOOLS_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ptools/error.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

/* -- building ------------------------------------------------------------------------------- */
typedef struct ptools_pack ptools_pack;

/* What is appended on the top level is, in order, one argument each. NULL: no memory. Strings should
 * be UTF-8; nobody on the way checks that. */
ptools_pack *ptools_pack_new(void);
ptools_pack *ptools_pack_free(ptools_pack *pack); /* accepts NULL, returns NULL                  */
void ptools_pack_reset(ptools_pack *pack);        /* empty again, keeps its memory               */

void ptools_pack_nil(ptools_pack *pack);
void ptools_pack_bool(ptools_pack *pack, bool yes);
void ptools_pack_i64(ptools_pack *pack, int64_t v);
void ptools_pack_u64(ptools_pack *pack, uint64_t v);
void ptools_pack_f64(ptools_pack *pack, double v);
void ptools_pack_str(ptools_pack *pack, const char *utf8);                 /* up to its NUL; copied */
void ptools_pack_strn(ptools_pack *pack, const char *utf8, size_t bytes);  /* copied             */
void ptools_pack_bytes(ptools_pack *pack, const void *data, size_t bytes); /* copied             */
void ptools_pack_list(ptools_pack *pack, uint32_t count); /* the next count appends are in it    */
void ptools_pack_map(ptools_pack *pack, uint32_t pairs);  /* the next 2 * pairs appends: key, value */

/* Appends bytes that are msgpack already, exactly one value, for instance from msgpack_pack_*();
 * anything else is PTOOLS_ERR_INVALID. Copied. */
void ptools_pack_raw(ptools_pack *pack, const void *msgpack, size_t bytes);

/* The failure that stuck: PTOOLS_OK, PTOOLS_ERR_NO_MEMORY, PTOOLS_ERR_TOO_LARGE (over 2 GiB),
 * PTOOLS_ERR_INVALID (raw bytes that are no value, NULL for a string, lists and maps nested more than
 * 27 deep). A list or map with fewer appends than it announced is PTOOLS_ERR_INVALID in the call
 * that uses the pack. */
ptools_err ptools_pack_error(const ptools_pack *pack);

/* -- reading -------------------------------------------------------------------------------- */
typedef struct ptools_value {
    const void *object; /* a const msgpack_object *, for those who use <msgpack.h> themselves    */
} ptools_value;

typedef enum ptools_kind {
    PTOOLS_NIL = 0,
    PTOOLS_BOOL = 1,
    PTOOLS_INT = 2, /* from -2^63 to 2^64 - 1                                                    */
    PTOOLS_FLOAT = 3,
    PTOOLS_STR = 4,
    PTOOLS_BYTES = 5,
    PTOOLS_LIST = 6,
    PTOOLS_MAP = 7,
    PTOOLS_KIND_WIDTH_ = 0x7fffffff
} ptools_kind;

/* A value that was never set ({ NULL }) reads as nil. */
ptools_kind ptools_value_kind(ptools_value v);
const char *ptools_kind_name(ptools_kind kind); /* "integer", "list", ...; never NULL            */

ptools_err ptools_get_bool(ptools_value v, bool *ret);
ptools_err ptools_get_i64(ptools_value v, int64_t *ret);
ptools_err ptools_get_u64(ptools_value v, uint64_t *ret);
ptools_err ptools_get_f64(ptools_value v, double *ret);
/* Borrowed, not terminated by NUL: use the length. Never NULL, also when it is 0. */
ptools_err ptools_get_str(ptools_value v, const char **ret_utf8, size_t *ret_bytes);
ptools_err ptools_get_bytes(ptools_value v, const void **ret_data, size_t *ret_bytes);
/* The number of items of a list, or of pairs of a map. */
ptools_err ptools_get_count(ptools_value v, uint32_t *ret);
/* Item index of a list, from 0. PTOOLS_ERR_RANGE beyond the end. O(1). */
ptools_err ptools_get_item(ptools_value v, uint32_t index, ptools_value *ret);
/* Pair index of a map, from 0, in the order in which they were sent. O(1). */
ptools_err ptools_get_pair(ptools_value v, uint32_t index, ptools_value *ret_key, ptools_value *ret_value);
/* The value under a string key. PTOOLS_ERR_RANGE if there is none. O(pairs). */
ptools_err ptools_get_field(ptools_value v, const char *key, ptools_value *ret);

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
