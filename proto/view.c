/* SPDX-License-Identifier: MIT */
/*
 * view -- parts of arrays: narrowing one, sending one, and believing one that was sent.
 *
 * A view travels as { "$array": { "id": N, "offset": BYTES, "dims": [...], "strides": [BYTES...] } }; all but the
 * number is left out when it is the whole array, and "name" and "prefix" may stand for the number. Whoever gets
 * one computes its first and last byte with every overflow caught, before a pointer is made of it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/array.h"
#include "proto/message.h"
#include "proto/util.h"

#define REF_KEY "$array"

void ptools_view_of(const ptools_array *a, ptools_view *ret)
{
    const struct layout *l = &a->layout;
    int64_t stride = (int64_t)ptools_type_bytes(l->type);

    *ret = (ptools_view){ .data = a->data, .type = l->type, .ndims = l->ndims, .array = a };
    for (uint32_t k = 0; k < l->ndims; k++) {
        uint32_t i = l->order == PTOOLS_COLUMN_MAJOR ? k : l->ndims - 1 - k;

        ret->dims[i] = l->dims[i];
        ret->strides[i] = stride;
        stride *= (int64_t)l->dims[i];
    }
}

ptools_err ptools_view_range(ptools_view *view, uint32_t dim, uint64_t first, uint64_t count)
{
    if (dim >= view->ndims || count == 0 || first >= view->dims[dim] || count > view->dims[dim] - first)
        return PTOOLS_ERR_RANGE;
    view->data = (char *)view->data + (int64_t)first * view->strides[dim];
    view->dims[dim] = count;
    return PTOOLS_OK;
}

ptools_err ptools_view_step(ptools_view *view, uint32_t dim, uint64_t step)
{
    if (dim >= view->ndims || step == 0)
        return PTOOLS_ERR_RANGE;
    view->dims[dim] = (view->dims[dim] - 1) / step + 1;
    if (view->dims[dim] > 1)
        view->strides[dim] *= (int64_t)step;
    return PTOOLS_OK;
}

ptools_err ptools_view_index(ptools_view *view, uint32_t dim, uint64_t i)
{
    ptools_err err = ptools_view_range(view, dim, i, 1);

    if (err != PTOOLS_OK)
        return err;
    view->ndims--;
    for (uint32_t k = dim; k < view->ndims; k++) {
        view->dims[k] = view->dims[k + 1];
        view->strides[k] = view->strides[k + 1];
    }
    view->dims[view->ndims] = 0;
    view->strides[view->ndims] = 0;
    return PTOOLS_OK;
}

void *ptools_view_at(const ptools_view *view, const uint64_t *index)
{
    char *at = view->data;

    for (uint32_t k = 0; k < view->ndims; k++)
        at += (int64_t)index[k] * view->strides[k];
    return at;
}

uint64_t ptools_view_count(const ptools_view *view)
{
    uint64_t n = 1;

    for (uint32_t k = 0; k < view->ndims; k++)
        n *= view->dims[k];
    return n;
}

bool ptools_view_contiguous(const ptools_view *view)
{
    int64_t stride = (int64_t)ptools_type_bytes(view->type);

    for (uint32_t k = 0; k < view->ndims; k++) {
        uint32_t i = view->array->layout.order == PTOOLS_COLUMN_MAJOR ? k : view->ndims - 1 - k;

        if (view->dims[i] > 1 && view->strides[i] != stride)
            return false;
        stride *= (int64_t)view->dims[i];
    }
    return true;
}

/* -- out ------------------------------------------------------------------------------------ */

void ptools_pack_array(ptools_pack *pack, const ptools_array *a)
{
    ptools_pack_map(pack, 1);
    ptools_pack_str(pack, REF_KEY);
    ptools_pack_map(pack, 1);
    ptools_pack_str(pack, "id");
    ptools_pack_u64(pack, a->id);
}

void ptools_pack_view(ptools_pack *pack, const ptools_view *view)
{
    ptools_pack_map(pack, 1);
    ptools_pack_str(pack, REF_KEY);
    ptools_pack_map(pack, 4);
    ptools_pack_str(pack, "id");
    ptools_pack_u64(pack, view->array->id);
    ptools_pack_str(pack, "offset");
    ptools_pack_u64(pack, (uint64_t)((char *)view->data - (char *)view->array->data));
    ptools_pack_str(pack, "dims");
    ptools_pack_list(pack, view->ndims);
    for (uint32_t k = 0; k < view->ndims; k++)
        ptools_pack_u64(pack, view->dims[k]);
    ptools_pack_str(pack, "strides");
    ptools_pack_list(pack, view->ndims);
    for (uint32_t k = 0; k < view->ndims; k++)
        ptools_pack_i64(pack, view->strides[k]);
}

/* -- in ------------------------------------------------------------------------------------- */

static bool key_is(const msgpack_object *key, const char *name)
{
    return key->type == MSGPACK_OBJECT_STR && key->via.str.size == strlen(name) &&
           memcmp(key->via.str.ptr, name, strlen(name)) == 0;
}

static const msgpack_object *field(const msgpack_object *map, const char *name)
{
    for (uint32_t i = 0; i < map->via.map.size; i++)
        if (key_is(&map->via.map.ptr[i].key, name))
            return &map->via.map.ptr[i].val;
    return NULL;
}

static int malformed(char why[LAYOUT_WHY_BYTES], const char *what)
{
    snprintf(why, LAYOUT_WHY_BYTES, "the map under \"" REF_KEY "\" %s", what);
    return -1;
}

static bool get_name(const msgpack_object *o, bool (*ok)(const char *s, size_t n), const char **ret, size_t *ret_n)
{
    if (o->type != MSGPACK_OBJECT_STR || !ok(o->via.str.ptr, o->via.str.size))
        return false;
    *ret = o->via.str.ptr;
    *ret_n = o->via.str.size;
    return true;
}

static bool get_shape(const msgpack_object *dims, const msgpack_object *strides, struct view_ref *ret)
{
    if (dims->type != MSGPACK_OBJECT_ARRAY || strides->type != MSGPACK_OBJECT_ARRAY ||
        dims->via.array.size > PTOOLS_DIMS_MAX || strides->via.array.size != dims->via.array.size)
        return false;
    ret->ndims = dims->via.array.size;
    for (uint32_t i = 0; i < ret->ndims; i++) {
        if (ptools_get_u64((ptools_value){ &dims->via.array.ptr[i] }, &ret->dims[i]) != PTOOLS_OK ||
            ptools_get_i64((ptools_value){ &strides->via.array.ptr[i] }, &ret->strides[i]) != PTOOLS_OK)
            return false;
    }
    return true;
}

int view_ref_read(const msgpack_object *o, struct view_ref *ret, char why[LAYOUT_WHY_BYTES])
{
    const msgpack_object *map, *id, *name, *prefix, *offset, *dims, *strides;

    if (o->type != MSGPACK_OBJECT_MAP || o->via.map.size != 1 || !key_is(&o->via.map.ptr[0].key, REF_KEY))
        return 1;
    *ret = (struct view_ref){ .prefix = "" };
    map = &o->via.map.ptr[0].val;
    if (map->type != MSGPACK_OBJECT_MAP)
        return malformed(why, "is no map: {\"id\": N} or {\"name\": NAME} is expected");
    id = field(map, "id");
    name = field(map, "name");
    prefix = field(map, "prefix");
    if (!id == !name)
        return malformed(why, "must hold exactly one of id and name");
    if (id && (ptools_get_u64((ptools_value){ id }, &ret->id) != PTOOLS_OK || ret->id == 0))
        return malformed(why, "has an id that is no number from 1 on");
    if (name && !get_name(name, name_ok_set, &ret->name, &ret->name_n))
        return malformed(why, "has a name that no array can have");
    if (prefix && !get_name(prefix, name_ok_prefix, &ret->prefix, &ret->prefix_n))
        return malformed(why, "has a prefix that no array can have");
    offset = field(map, "offset");
    dims = field(map, "dims");
    strides = field(map, "strides");
    ret->whole = !offset && !dims && !strides;
    if (ret->whole)
        return 0;
    if (!offset || !dims || !strides)
        return malformed(why, "must hold all of offset, dims and strides, or none");
    if (ptools_get_u64((ptools_value){ offset }, &ret->offset) != PTOOLS_OK || !get_shape(dims, strides, ret))
        return malformed(why, "must have an offset of 0 or more, and up to 8 dims with as many strides");
    return 0;
}

/* The elements that r counts; a part of an array repeats none, so they are no more than it has. */
static bool counts(const struct view_ref *r, uint64_t most)
{
    uint64_t n = 1;

    for (uint32_t k = 0; k < r->ndims; k++)
        if (r->dims[k] == 0 || __builtin_mul_overflow(n, r->dims[k], &n) || n > most)
            return false;
    return true;
}

/* From the first byte of r's lowest element to that of its highest, both of them elements of l. */
static bool lies_in(const struct view_ref *r, const struct layout *l)
{
    const uint64_t size = ptools_type_bytes(l->type);
    int64_t low, high;

    if (r->offset >= l->bytes || r->offset % size != 0)
        return false;
    low = high = (int64_t)r->offset;
    for (uint32_t k = 0; k < r->ndims; k++) {
        int64_t span;

        if (r->strides[k] % (int64_t)size != 0 ||
            __builtin_mul_overflow((int64_t)(r->dims[k] - 1), r->strides[k], &span) ||
            __builtin_add_overflow(span < 0 ? low : high, span, span < 0 ? &low : &high))
            return false;
    }
    return low >= 0 && (uint64_t)high <= l->bytes - size;
}

bool view_ref_resolve(const struct view_ref *r, const struct ptools_array *a, ptools_view *ret,
                      char why[LAYOUT_WHY_BYTES])
{
    if (r->whole) {
        ptools_view_of(a, ret);
        return true;
    }
    if (!counts(r, a->layout.count) || !lies_in(r, &a->layout)) {
        snprintf(why, LAYOUT_WHY_BYTES, "the view is no part of the array, which has %" PRIu64 " elements of %s",
                 a->layout.count, ptools_type_name(a->layout.type));
        return false;
    }
    *ret = (ptools_view){ .data = (char *)a->data + r->offset, .type = a->layout.type, .ndims = r->ndims, .array = a };
    memcpy(ret->dims, r->dims, r->ndims * sizeof r->dims[0]);
    memcpy(ret->strides, r->strides, r->ndims * sizeof r->strides[0]);
    return true;
}
