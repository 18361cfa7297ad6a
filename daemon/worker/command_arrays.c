/* SPDX-License-Identifier: MIT */
/* command_arrays -- see command_arrays.h. */
#include "daemon/worker/command_arrays.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/worker/arrays.h"
#include "proto/util.h"

enum { NAME_MAX_BYTES = 64, LIST_BYTES = 24 * PTOOLS_DIMS_MAX, FD_FROM = 3 + SPAWN_FDS_MAX };

uint32_t command_arrays_count(const msgpack_object *list)
{
    return list && list->type == MSGPACK_OBJECT_ARRAY ? list->via.array.size : 0;
}

static ptools_err wrong(struct ptools_task *t)
{
    return task_fail(t, PTOOLS_ERR_BAD_ARGUMENT,
                     "arrays of %s must be a list of at most %d pairs, each a name (1 to %d of A-Z a-z 0-9 _) and a "
                     "shared array",
                     t->function, SPAWN_FDS_MAX, NAME_MAX_BYTES);
}

static bool read_name(const msgpack_object *o, char ret[NAME_MAX_BYTES + 1])
{
    if (o->type != MSGPACK_OBJECT_STR || o->via.str.size == 0 || o->via.str.size > NAME_MAX_BYTES)
        return false;
    memcpy(ret, o->via.str.ptr, o->via.str.size);
    ret[o->via.str.size] = '\0';
    return strspn(ret, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == o->via.str.size;
}

static ptools_err put_variables(struct command_environment *e, const char *name, int number, uint64_t offset,
                                const ptools_view *view)
{
    char dims[LIST_BYTES] = "", strides[LIST_BYTES] = "";
    size_t d = 0, s = 0;
    ptools_err err;

    for (uint32_t i = 0; i < view->ndims; i++) {
        d += (size_t)snprintf(dims + d, sizeof dims - d, "%s%" PRIu64, i ? "," : "", view->dims[i]);
        s += (size_t)snprintf(strides + s, sizeof strides - s, "%s%" PRId64, i ? "," : "", view->strides[i]);
    }
    err = command_environment_put(e, false, "PTOOLS_ARRAY_%s_FD=%d", name, number);
    if (err == PTOOLS_OK)
        err = command_environment_put(e, false, "PTOOLS_ARRAY_%s_OFFSET=%" PRIu64, name, offset);
    if (err == PTOOLS_OK)
        err = command_environment_put(e, false, "PTOOLS_ARRAY_%s_COUNT=%" PRIu64, name, ptools_view_count(view));
    if (err == PTOOLS_OK)
        err = command_environment_put(e, false, "PTOOLS_ARRAY_%s_TYPE=%s", name, ptools_type_name(view->type));
    if (err == PTOOLS_OK)
        err = command_environment_put(e, false, "PTOOLS_ARRAY_%s_DIMS=%s", name, dims);
    if (err == PTOOLS_OK)
        err = command_environment_put(e, false, "PTOOLS_ARRAY_%s_STRIDES=%s", name, strides);
    return err;
}

/* The array and the part of it that is meant. */
static ptools_err find(struct ptools_task *t, const msgpack_object *o, ptools_view *ret)
{
    char prefix[NAME_BYTES_MAX + 1] = "", name[NAME_BYTES_MAX + 1] = "", why[ARRAYS_WHY_BYTES] = "";
    struct ptools_array *a;
    struct view_ref ref;
    ptools_err err;
    const int r = view_ref_read(o, &ref, why);

    if (r != 0)
        return r > 0 ? wrong(t) : task_fail(t, PTOOLS_ERR_BAD_ARGUMENT, "arrays of %s: %s", t->function, why);
    memcpy(prefix, ref.prefix, ref.prefix_n);
    memcpy(name, ref.name ? ref.name : "", ref.name_n);
    err = ref.id ? arrays_by_id(ref.id, t->id, t->uid, &a, why)
                 : arrays_by_name(prefix, name, t->id, t->uid, &a, why);
    if (err == PTOOLS_OK && !view_ref_resolve(&ref, a, ret, why))
        err = PTOOLS_ERR_BAD_ARGUMENT;
    return err == PTOOLS_OK ? err : task_fail(t, err, "arrays of %s: %s", t->function, why);
}

/* Above those that a command begins with, so that placing one does not close another. */
static int settle(int take_fd)
{
    const int fd = fcntl(take_fd, F_DUPFD_CLOEXEC, FD_FROM);

    close(take_fd);
    return fd;
}

static ptools_err open_one(struct ptools_task *t, const msgpack_object *o, int number, struct command_environment *e,
                           struct command_arrays *ret)
{
    char name[NAME_MAX_BYTES + 1], why[ARRAYS_WHY_BYTES] = "";
    uint64_t offset = 0;
    ptools_view view;
    ptools_err err;
    int fd;

    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size != 2 || !read_name(&o->via.array.ptr[0], name))
        return wrong(t);
    err = find(t, &o->via.array.ptr[1], &view);
    if (err != PTOOLS_OK)
        return err;
    err = arrays_descriptor(view.array->id, t->id, &fd, &offset, why);
    if (err != PTOOLS_OK)
        return task_fail(t, err, "arrays of %s: %s", t->function, why);
    fd = settle(fd);
    if (fd < 0)
        return task_fail(t, PTOOLS_ERR_FAILED, "arrays of %s: %s", t->function, strerror(errno));
    ret->fds[ret->n++] = fd;
    return put_variables(e, name, number, offset + (uint64_t)((char *)view.data - (char *)view.array->data), &view);
}

ptools_err command_arrays_open(struct ptools_task *t, const msgpack_object *list, int first,
                               struct command_environment *e, struct command_arrays *ret)
{
    ptools_err err = PTOOLS_OK;

    ret->n = 0;
    if (!list)
        return PTOOLS_OK;
    if (list->type != MSGPACK_OBJECT_ARRAY || list->via.array.size > SPAWN_FDS_MAX)
        return wrong(t);
    for (uint32_t i = 0; err == PTOOLS_OK && i < list->via.array.size; i++)
        err = open_one(t, &list->via.array.ptr[i], first + (int)i, e, ret);
    return err;
}

void command_arrays_close(struct command_arrays *a)
{
    while (a->n > 0)
        close(a->fds[--a->n]);
}
