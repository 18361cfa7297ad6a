/* SPDX-License-Identifier: MIT */
/*
 * task_state -- what <ptools/module.h> offers beside arguments and results: shared arrays, and task local storage.
 *
 * The arrays themselves are the process's (arrays.h), the storage is the task's: of a server task it lives as long as
 * that, of any other it ends with the task (task_end()).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/worker/arrays.h"
#include "daemon/worker/task.h"

/* -- arrays --------------------------------------------------------------------------------------- */

/* PTOOLS_OK, or MISMATCH with both told. */
static ptools_err check(struct ptools_task *t, const char *what, const struct ptools_array *a, ptools_type type,
                        uint32_t ndims, const uint64_t *dims)
{
    char is[LAYOUT_TEXT_BYTES], wanted[LAYOUT_TEXT_BYTES];

    if (layout_is(&a->layout, type, ndims, dims))
        return PTOOLS_OK;
    layout_text(&a->layout, is);
    layout_wanted_text(type, ndims, dims, wanted);
    return task_fail(t, PTOOLS_ERR_MISMATCH, "%s is %s; %s wants %s", what, is, t->function, wanted);
}

ptools_err ptools_task_array(ptools_task *t, const char *prefix, const char *name, ptools_type type, uint32_t ndims,
                             const uint64_t *dims, ptools_array **ret)
{
    char why[ARRAYS_WHY_BYTES], what[NAME_BYTES_MAX * 2 + 16];
    struct ptools_array *a;
    ptools_err err;

    if (!name || !ret || ndims > PTOOLS_DIMS_MAX)
        return task_fail(t, PTOOLS_ERR_INVALID, "ptools_task_array(): %s",
                         !name ? "name is NULL" : !ret ? "ret is NULL" : "an array has at most 8 dimensions");
    if (!prefix)
        prefix = t->prefix;
    err = arrays_by_name(prefix, name, t->id, t->uid, &a, why);
    if (err != PTOOLS_OK)
        return task_fail(t, err, "%s", why);
    snprintf(what, sizeof what, "array %s%s%s", a->prefix, a->prefix[0] ? "/" : "", a->name);
    err = check(t, what, a, type, ndims, dims);
    if (err != PTOOLS_OK)
        return err;
    arrays_given(a);
    *ret = a;
    return PTOOLS_OK;
}

static ptools_err bad_view(struct ptools_task *t, uint32_t index, const char *why)
{
    return task_fail(t, PTOOLS_ERR_BAD_ARGUMENT, "argument %" PRIu32 " of %s: %s", index + 1, t->function, why);
}

ptools_err ptools_task_arg_view(ptools_task *t, uint32_t index, ptools_type type, uint32_t ndims, ptools_view *ret)
{
    char why[ARRAYS_WHY_BYTES], wanted[LAYOUT_TEXT_BYTES];
    char prefix[NAME_BYTES_MAX + 1] = "", name[NAME_BYTES_MAX + 1] = "";
    struct ptools_array *a;
    struct view_ref ref;
    ptools_view view;
    ptools_value v;
    ptools_err err = ptools_task_arg(t, index, &v);
    int r;

    if (err != PTOOLS_OK)
        return err;
    r = view_ref_read(v.object, &ref, why);
    if (r > 0)
        return task_fail(t, PTOOLS_ERR_BAD_ARGUMENT, "argument %" PRIu32 " of %s must be a shared array, not the %s",
                         index + 1, t->function, ptools_kind_name(ptools_value_kind(v)));
    if (r < 0)
        return bad_view(t, index, why);
    if (ref.id) {
        err = arrays_by_id(ref.id, t->id, t->uid, &a, why);
    } else {
        memcpy(prefix, ref.prefix, ref.prefix_n);
        memcpy(name, ref.name, ref.name_n);
        err = arrays_by_name(prefix, name, t->id, t->uid, &a, why);
    }
    if (err != PTOOLS_OK || !view_ref_resolve(&ref, a, &view, why))
        return bad_view(t, index, why);
    if ((type && type != view.type) || (ndims && ndims != view.ndims)) {
        layout_wanted_text(type, ndims, NULL, wanted);
        return task_fail(t, PTOOLS_ERR_BAD_ARGUMENT,
                         "argument %" PRIu32 " of %s is %s with %" PRIu32 " dimensions; wanted is %s", index + 1,
                         t->function, ptools_type_name(view.type), view.ndims, wanted);
    }
    arrays_given(a);
    *ret = view;
    return PTOOLS_OK;
}

/* -- storage --------------------------------------------------------------------------------------- */

static ptools_err check_name(struct ptools_task *t, const char *name)
{
    if (name && *name && strlen(name) <= STORAGE_NAME_BYTES)
        return PTOOLS_OK;
    return task_fail(t, PTOOLS_ERR_INVALID, "names in task local storage have 1 to %d bytes, not %zu",
                     STORAGE_NAME_BYTES, name ? strlen(name) : 0);
}

static ptools_err told(struct ptools_task *t, const char *name, ptools_err err, const char *wanted)
{
    switch (err) {
    case PTOOLS_OK:
        return err;
    case PTOOLS_ERR_RANGE:
        return task_fail(t, err, "there is no \"%s\" in task local storage", name);
    case PTOOLS_ERR_TYPE:
        return task_fail(t, err, "\"%s\" in task local storage is no %s", name, wanted);
    case PTOOLS_ERR_NO_MEMORY:
        return task_fail(t, err, "the worker has no memory to keep \"%s\"", name);
    default:
        return task_fail(t, err, "what is to be kept as \"%s\" is no complete value", name);
    }
}

ptools_err ptools_task_set(ptools_task *t, const char *name, const ptools_pack *value)
{
    const uint8_t *data;
    ptools_err err = check_name(t, name);
    size_t n;

    if (err != PTOOLS_OK)
        return err;
    if (!value)
        return task_fail(t, PTOOLS_ERR_INVALID, "ptools_task_set(): value is NULL");
    err = pack_finish_value(value, &data, &n);
    if (err == PTOOLS_OK)
        err = storage_set(&t->storage, name, data, n);
    return told(t, name, err, "value");
}

ptools_err ptools_task_set_pointer(ptools_task *t, const char *name, void *pointer, void (*destroy)(void *pointer))
{
    ptools_err err = check_name(t, name);

    return err == PTOOLS_OK ? told(t, name, storage_set_pointer(&t->storage, name, pointer, destroy), "pointer") : err;
}

ptools_err ptools_task_get(ptools_task *t, const char *name, ptools_value *ret)
{
    ptools_err err = check_name(t, name);

    return err == PTOOLS_OK ? told(t, name, storage_get(t->storage, name, ret), "value") : err;
}

ptools_err ptools_task_get_pointer(ptools_task *t, const char *name, void **ret)
{
    ptools_err err = check_name(t, name);

    return err == PTOOLS_OK ? told(t, name, storage_get_pointer(t->storage, name, ret), "pointer") : err;
}

ptools_err ptools_task_del(ptools_task *t, const char *name)
{
    ptools_err err = check_name(t, name);

    if (err == PTOOLS_OK)
        storage_del(&t->storage, name);
    return err;
}

/* -- asking ------------------------------------------------------------------------------------------ */

uint32_t ptools_task_stask_index(ptools_task *t)
{
    return t->stask_index;
}

uint32_t ptools_task_stask_count(ptools_task *t)
{
    return t->stask_count;
}
