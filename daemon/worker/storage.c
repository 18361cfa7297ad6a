/* SPDX-License-Identifier: MIT */
/*
 * storage -- see storage.h. A hash of entries; an entry is out of it, and its successor in, before its destructor is
 * called, so that this may use the storage as well.
 */
#include "daemon/worker/storage.h"

#include <stdlib.h>
#include <string.h>
#define HASH_NONFATAL_OOM 1 /* an element that could not be added has no table */
#define HASH_FUNCTION HASH_OAT /* uthash's default falls through its cases, which clang warns of */
#include <uthash.h>

#include "proto/value.h"

struct storage { /* an entry; the first stands for all */
    char name[STORAGE_NAME_BYTES + 1];
    bool is_pointer;
    void *pointer;
    void (*destroy)(void *pointer);
    struct payload payload; /* of a value: its tree, which borrows from ... */
    uint8_t *bytes;
    UT_hash_handle hh;
};

static struct storage *find(struct storage *s, const char *name)
{
    struct storage *e;

    HASH_FIND_STR(s, name, e);
    return e;
}

static void entry_free(struct storage *e)
{
    if (e->is_pointer && e->destroy)
        e->destroy(e->pointer);
    payload_deinit(&e->payload);
    free(e->bytes);
    free(e);
}

static ptools_err put(struct storage **s, const char *name, struct storage *take_entry)
{
    struct storage *old = find(*s, name);

    strcpy(take_entry->name, name);
    HASH_ADD_STR(*s, name, take_entry);
    if (!take_entry->hh.tbl) {
        take_entry->destroy = NULL; /* the pointer is still its owner's */
        entry_free(take_entry);
        return PTOOLS_ERR_NO_MEMORY;
    }
    if (old) {
        HASH_DEL(*s, old);
        entry_free(old);
    }
    return PTOOLS_OK;
}

ptools_err storage_set(struct storage **s, const char *name, const uint8_t *value, size_t n)
{
    struct storage *e = calloc(1, sizeof *e);
    const char *why;
    ptools_err err;

    if (!e)
        return PTOOLS_ERR_NO_MEMORY;
    payload_init(&e->payload);
    e->bytes = malloc(n);
    if (!e->bytes) {
        entry_free(e);
        return PTOOLS_ERR_NO_MEMORY;
    }
    memcpy(e->bytes, value, n);
    err = payload_parse(&e->payload, e->bytes, n, &why);
    if (err != PTOOLS_OK) {
        entry_free(e);
        return err == PTOOLS_ERR_NO_MEMORY ? err : PTOOLS_ERR_INVALID;
    }
    return put(s, name, e);
}

ptools_err storage_set_pointer(struct storage **s, const char *name, void *pointer, void (*destroy)(void *pointer))
{
    struct storage *e = calloc(1, sizeof *e);

    if (!e)
        return PTOOLS_ERR_NO_MEMORY;
    payload_init(&e->payload);
    e->is_pointer = true;
    e->pointer = pointer;
    e->destroy = destroy;
    return put(s, name, e);
}

ptools_err storage_get(struct storage *s, const char *name, ptools_value *ret)
{
    struct storage *e = find(s, name);

    if (!e)
        return PTOOLS_ERR_RANGE;
    if (e->is_pointer)
        return PTOOLS_ERR_TYPE;
    ret->object = &e->payload.root;
    return PTOOLS_OK;
}

ptools_err storage_get_pointer(struct storage *s, const char *name, void **ret)
{
    struct storage *e = find(s, name);

    if (!e)
        return PTOOLS_ERR_RANGE;
    if (!e->is_pointer)
        return PTOOLS_ERR_TYPE;
    *ret = e->pointer;
    return PTOOLS_OK;
}

void storage_del(struct storage **s, const char *name)
{
    struct storage *e = find(*s, name);

    if (!e)
        return;
    HASH_DEL(*s, e);
    entry_free(e);
}

void storage_clear(struct storage **s)
{
    struct storage *e;

    while ((e = *s)) {
        HASH_DEL(*s, e);
        entry_free(e);
    }
}
