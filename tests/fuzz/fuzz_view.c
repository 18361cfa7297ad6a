/* SPDX-License-Identifier: MIT */
/*
 * fuzz_view -- any bytes as the arguments of a call, each looked at as a reference to a part of an array.
 *
 * Whatever resolves to a view has all its elements in the array, and where the type puts them: of small arrays
 * each is looked at, of huge ones the corners, between which all others lie. Written and read again it is the
 * same view. Whatever is refused comes with a printable sentence.
 *
 * The first byte of the input chooses the array.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/array.h"
#include "proto/text.h"
#include "proto/util.h"
#include "proto/value.h"
#include "tests/fuzz/fuzz.h"

enum { COUNT_SMALL = 65536 };

__extension__ typedef __int128 wide; /* what no sum of 64-bit numbers overflows */

static const ptools_shmcfg arrays[] = {
    { NULL, PTOOLS_INT8, 1, { 1 }, PTOOLS_ROW_MAJOR },
    { NULL, PTOOLS_INT32, 2, { 10, 20 }, PTOOLS_ROW_MAJOR },
    { NULL, PTOOLS_FLOAT64, 3, { 4, 5, 6 }, PTOOLS_COLUMN_MAJOR },
    { NULL, PTOOLS_COMPLEX128, 8, { 1, 2, 3, 2, 1, 2, 3, 2 }, PTOOLS_ROW_MAJOR },
    { NULL, PTOOLS_INT16, 8, { 2, 2, 2, 2, 2, 2, 2, 2 }, PTOOLS_COLUMN_MAJOR },
    { NULL, PTOOLS_BOOLEAN, 1, { UINT64_C(0x7fffffff00000000) - 1 }, PTOOLS_ROW_MAJOR }, /* the largest there is */
    { NULL, PTOOLS_COMPLEX64, 2, { UINT64_C(1) << 29, UINT64_C(1) << 30 }, PTOOLS_COLUMN_MAJOR },
};

static void check_sentence(const char *why)
{
    check(memchr(why, '\0', LAYOUT_WHY_BYTES) != NULL);
    check(strlen(why) > 0 && text_is_clean(why, strlen(why), false));
}

/* An element of the array lies so far behind its begin. */
static void check_offset(const struct layout *l, wide offset)
{
    const size_t size = ptools_type_bytes(l->type);

    check(offset >= 0 && offset + (wide)size <= (wide)l->bytes && offset % (wide)size == 0);
}

static void check_corners(const ptools_view *view)
{
    for (uint32_t corner = 0; corner < UINT32_C(1) << view->ndims; corner++) {
        wide offset = (char *)view->data - (char *)view->array->data;

        for (uint32_t k = 0; k < view->ndims; k++)
            if (corner & UINT32_C(1) << k)
                offset += (wide)(view->dims[k] - 1) * view->strides[k];
        check_offset(&view->array->layout, offset);
    }
}

static bool next_index(uint64_t *index, const ptools_view *view)
{
    for (uint32_t k = view->ndims; k-- > 0;) {
        if (++index[k] < view->dims[k])
            return true;
        index[k] = 0;
    }
    return false;
}

static void check_elements(const ptools_view *view)
{
    uint64_t index[PTOOLS_DIMS_MAX] = { 0 }, n = 0;

    do {
        check_offset(&view->array->layout, (char *)ptools_view_at(view, index) - (char *)view->array->data);
        n++;
    } while (next_index(index, view));
    check(n == ptools_view_count(view));
}

/* Contiguous is: the last element in the order of the array is where counting leads. */
static void check_contiguous(const ptools_view *view)
{
    uint64_t last[PTOOLS_DIMS_MAX], bytes = (ptools_view_count(view) - 1) * ptools_type_bytes(view->type);

    for (uint32_t k = 0; k < view->ndims; k++)
        last[k] = view->dims[k] - 1;
    check(!ptools_view_contiguous(view) || (char *)ptools_view_at(view, last) == (char *)view->data + bytes);
}

static void check_again(const ptools_view *view)
{
    ptools_pack *pack = ptools_pack_new();
    char why[LAYOUT_WHY_BYTES];
    struct payload payload;
    const char *problem;
    struct view_ref ref;
    const uint8_t *data;
    ptools_view again;
    size_t n;

    payload_init(&payload);
    ptools_pack_view(pack, view);
    check(pack_finish_value(pack, &data, &n) == PTOOLS_OK);
    check(payload_parse(&payload, data, n, &problem) == PTOOLS_OK);
    check(view_ref_read(&payload.root, &ref, why) == 0 && !ref.whole && ref.id == view->array->id);
    check(view_ref_resolve(&ref, view->array, &again, why));
    check(memcmp(&again, view, sizeof again) == 0);
    payload_deinit(&payload);
    ptools_pack_free(pack);
}

static void fuzz_argument(const msgpack_object *o, const struct ptools_array *a)
{
    char why[LAYOUT_WHY_BYTES] = "";
    struct view_ref ref;
    ptools_view view;
    int r = view_ref_read(o, &ref, why);

    if (r < 0)
        check_sentence(why);
    if (r != 0)
        return;
    check((ref.id != 0) != (ref.name != NULL) && ref.name_n <= NAME_BYTES_MAX && ref.prefix_n <= NAME_BYTES_MAX);
    if (!view_ref_resolve(&ref, a, &view, why)) {
        check_sentence(why);
        return;
    }
    check(view.array == a && view.type == a->layout.type && view.ndims <= PTOOLS_DIMS_MAX);
    check(ptools_view_count(&view) >= 1 && ptools_view_count(&view) <= a->layout.count);
    check_corners(&view);
    if (a->layout.count <= COUNT_SMALL)
        check_elements(&view);
    check_contiguous(&view);
    check_again(&view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const ptools_shmcfg *cfg = &arrays[n > 0 ? data[0] % ELEMENTS(arrays) : 0];
    struct ptools_array a = { .id = 7, .data = (void *)(uintptr_t)4096 }; /* no element is touched */
    char why[LAYOUT_WHY_BYTES] = "";
    struct payload payload;
    const char *problem;

    if (n == 0)
        return 0;
    check(layout_make(&a.layout, cfg->type, cfg->order, cfg->ndims, cfg->dims, why));
    payload_init(&payload);
    if (payload_parse(&payload, data + 1, n - 1, &problem) == PTOOLS_OK) {
        fuzz_argument(&payload.root, &a);
        for (uint32_t i = 0; payload.root.type == MSGPACK_OBJECT_ARRAY && i < payload.root.via.array.size; i++)
            fuzz_argument(&payload.root.via.array.ptr[i], &a);
    }
    payload_deinit(&payload);
    return 0;
}
