/* SPDX-License-Identifier: MIT */
/*
 * pfork_shm -- pfork with arrays for the children to fill.
 *
 * Each is a memfd that is closed as soon as it is mapped: it has no name in any file system, and is free when the last
 * who maps it has ended, however. It is reserved before it is handed out, and what the machine has left is asked first,
 * for the kernel would rather kill somebody than refuse.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/lib/pfork.h"
#include "proto/array.h"
#include "proto/headroom.h"
#include "proto/message.h"

#define PIECE_BYTES   (UINT64_C(256) << 10)
#define UNASKED_BYTES (UINT64_C(1) << 20) /* so much is there, or the fork fails too */

struct call {
    ptools_pfork_shm_fn f;
    ptools_array *const *arrays;
    void *arg;
};

static ptools_err call_with_arrays(int i, void *arg, ptools_child *child)
{
    const struct call *call = arg;

    return call->f(i, call->arrays, call->arg, child);
}

static ptools_err describe(const ptools_shmcfg *cfgs, size_t i, struct layout *ret)
{
    const ptools_shmcfg *cfg = &cfgs[i];
    char why[LAYOUT_WHY_BYTES];

    if (cfg->name && !name_ok_set(cfg->name, strlen(cfg->name)))
        return pfork_fail(PTOOLS_ERR_INVALID,
                          "array %zu: \"%.80s\" is no name for an array: NULL, or 1 to %u of A-Z a-z "
                          "0-9 _ . - , not beginning with a digit",
                          i, cfg->name, NAME_BYTES_MAX);
    if (!layout_make(ret, (uint32_t)cfg->type, (uint32_t)cfg->order, cfg->ndims, cfg->dims, why))
        return pfork_fail(PTOOLS_ERR_INVALID, "array %zu%s%s: %s", i, cfg->name ? ", " : "", cfg->name ? cfg->name : "",
                          why);
    return PTOOLS_OK;
}

/* All of them, before one is made. */
static ptools_err check(const ptools_shmcfg *cfgs, size_t n)
{
    struct headroom room;
    struct layout layout;
    uint64_t bytes = 0;
    ptools_err err;

    if (n > 0 && !cfgs)
        return pfork_fail(PTOOLS_ERR_INVALID, "pfork_shm: n_cfgs is %zu, and cfgs is NULL", n);
    for (size_t i = 0; i < n; i++) {
        err = describe(cfgs, i, &layout);
        if (err != PTOOLS_OK)
            return err;
        if (__builtin_add_overflow(bytes, layout.bytes, &bytes))
            bytes = UINT64_MAX;
    }
    if (bytes <= UNASKED_BYTES)
        return PTOOLS_OK;
    headroom_now(&room);
    if (bytes > room.free_bytes)
        return pfork_fail(PTOOLS_ERR_NO_SPACE, "the arrays need %" PRIu64 " bytes; %s has %" PRIu64 " left", bytes,
                          room.what, room.free_bytes);
    return PTOOLS_OK;
}

/* In pieces, for a signal ends a fallocate() and undoes what it has done. */
static int reserve(int fd, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes;) {
        const uint64_t n = MIN(bytes - at, PIECE_BYTES);
        int r = posix_fallocate(fd, (off_t)at, (off_t)n);

        if (r != 0 && r != EINTR)
            return r;
        at += r == 0 ? n : 0;
    }
    return 0;
}

static ptools_err make_memory(struct ptools_array *a)
{
    const long page = sysconf(_SC_PAGESIZE);
    int fd = memfd_create("ptools-pfork", MFD_CLOEXEC), r;

    if (fd < 0)
        return pfork_fail(PTOOLS_ERR_SYSTEM, "memfd_create: %s", strerror(errno));
    a->mapping_bytes = (a->layout.bytes + (size_t)page - 1) / (size_t)page * (size_t)page;
    r = reserve(fd, a->mapping_bytes);
    if (r == 0)
        a->mapping = mmap(NULL, a->mapping_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (r == 0 && a->mapping == MAP_FAILED)
        r = errno;
    close(fd);
    if (r != 0)
        return pfork_fail(r == ENOSPC || r == ENOMEM || r == EFBIG ? PTOOLS_ERR_NO_SPACE : PTOOLS_ERR_SYSTEM,
                          "%" PRIu64 " bytes for an array are not to be had: %s", a->layout.bytes, strerror(r));
    a->data = a->mapping;
    return PTOOLS_OK;
}

static ptools_err make(const ptools_shmcfg *cfgs, size_t i, ptools_array **ret)
{
    struct ptools_array *a = calloc(1, sizeof *a);
    ptools_err err;

    if (!a)
        return pfork_fail(PTOOLS_ERR_NO_MEMORY, "this process is out of memory");
    err = describe(cfgs, i, &a->layout);
    if (err == PTOOLS_OK)
        err = make_memory(a);
    if (err != PTOOLS_OK) {
        free(a);
        return err;
    }
    if (cfgs[i].name)
        memcpy(a->name, cfgs[i].name, strlen(cfgs[i].name));
    *ret = a;
    return PTOOLS_OK;
}

static void free_all(ptools_array **arrays, size_t n)
{
    while (n-- > 0)
        arrays[n] = ptools_array_free(arrays[n]);
}

static ptools_err make_all(const ptools_shmcfg *cfgs, size_t n, ptools_array **ret)
{
    ptools_err err = check(cfgs, n);

    for (size_t i = 0; i < n && err == PTOOLS_OK; i++) {
        err = make(cfgs, i, &ret[i]);
        if (err != PTOOLS_OK)
            free_all(ret, i);
    }
    return err;
}

ptools_err ptools_pfork_shm(int n, const ptools_shmcfg *cfgs, size_t n_cfgs, ptools_pfork_shm_fn f, void *arg,
                            const ptools_pfork_options *options, ptools_array **ret_arrays,
                            ptools_children **ret_children, const char **ret_message)
{
    AUTO_MEM ptools_array **arrays = calloc(n_cfgs + 1, sizeof(ptools_array *));
    struct call call = { f, arrays, arg };
    struct ptools_children *children = NULL;
    struct pfork_job job;
    ptools_err err;

    if (ret_children)
        *ret_children = NULL;
    for (size_t i = 0; ret_arrays && i < n_cfgs; i++)
        ret_arrays[i] = NULL;
    err = pfork_job_read(n, f ? call_with_arrays : NULL, &call, options, &job);
    if (err == PTOOLS_OK && n_cfgs > 0 && !ret_arrays)
        err = pfork_fail(PTOOLS_ERR_INVALID, "pfork_shm: ret_arrays is NULL");
    if (err == PTOOLS_OK && !arrays)
        err = pfork_fail(PTOOLS_ERR_NO_MEMORY, "this process is out of memory");
    if (err == PTOOLS_OK)
        err = make_all(cfgs, n_cfgs, arrays);
    if (err == PTOOLS_OK) {
        err = pfork_run(&job, &children);
        if (children && n_cfgs > 0)
            memcpy(ret_arrays, arrays, n_cfgs * sizeof(ptools_array *));
        else
            free_all(arrays, n_cfgs);
    }
    if (ret_children)
        *ret_children = children;
    else
        ptools_children_free(children);
    if (err != PTOOLS_OK && ret_message)
        *ret_message = pfork_message();
    return err;
}
