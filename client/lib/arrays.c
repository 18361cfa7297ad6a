/* SPDX-License-Identifier: MIT */
/*
 * arrays -- shared arrays: created, mapped, unmapped, unlinked. The daemon owns them; what is here is mappings.
 *
 * The handle knows its mappings by a list, so that they do not dangle: after ptools_close() an array is still mapped,
 * and ptools_array_free() still unmaps it, but nothing is told to the daemon any more.
 */
#include "client/lib/handle.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- mapping ----------------------------------------------------------------------------------------- */

static void array_list(struct ptools *pt, struct ptools_array *a)
{
    a->keeper = pt;
    a->generation = pt->generation;
    a->next = pt->arrays;
    pt->arrays = a;
}

static void array_unlist(struct ptools *pt, struct ptools_array *a)
{
    struct ptools_array **at = &pt->arrays;

    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
}

void arrays_orphan(struct ptools *pt)
{
    for (struct ptools_array *a = pt->arrays; a; a = a->next)
        a->keeper = NULL;
    pt->arrays = NULL;
}

static ptools_err map_fd(struct ptools *pt, const struct fds_answer *answer, int fd, bool populate,
                         struct ptools_array *ret)
{
    char why[FDS_TEXT_BYTES];
    struct stat st;
    ptools_err err;

    if (fstat(fd, &st) < 0)
        return fail(pt, PTOOLS_ERR_SYSTEM, "fstat: %s", strerror(errno));
    err = fds_answer_array(answer, (uint64_t)st.st_size, ret, why);
    if (err != PTOOLS_OK)
        return fail(pt, err, "%s", why);
    ret->mapping = mmap(NULL, ret->mapping_bytes, PROT_READ | (ret->read_only ? 0 : PROT_WRITE),
                        MAP_SHARED | (populate ? MAP_POPULATE : 0), fd, (off_t)answer->offset);
    if (ret->mapping == MAP_FAILED)
        return fail(pt, PTOOLS_ERR_SYSTEM, "mapping %zu bytes: %s", ret->mapping_bytes, strerror(errno));
    ret->data = ret->mapping;
    return PTOOLS_OK;
}

ptools_err array_map(struct ptools *pt, struct fds_request *request, uint32_t flags, uint64_t until_us,
                     struct ptools_array **ret)
{
    struct ptools_array *a = calloc(1, sizeof *a);
    struct fds_answer answer;
    ptools_err err;
    int fd;

    if (!a)
        return fail_no_memory(pt);
    request->flags = flags & PTOOLS_SHM_READ_ONLY ? FDS_READ_ONLY : 0;
    err = fds_ask(pt, request, -1, until_us, &answer, &fd);
    if (err == PTOOLS_OK) {
        if (flags & PTOOLS_SHM_READ_ONLY)
            answer.flags |= FDS_IS_READ_ONLY; /* also of a file that is open for writing */
        err = map_fd(pt, &answer, fd, flags & PTOOLS_SHM_POPULATE || answer.flags & FDS_POPULATE, a);
        close(fd);
        if (err != PTOOLS_OK) /* the daemon takes it for mapped */
            request_tell(pt, &(struct msg_request){ .kind = MSG_ARRAY_CLOSE, .array = { .array = answer.id } });
    }
    if (err != PTOOLS_OK) {
        free(a);
        return err;
    }
    array_list(pt, a);
    *ret = a;
    return PTOOLS_OK;
}

ptools_err ptools_shm_map(ptools *pt, const char *prefix, const char *name, uint32_t owner, uint32_t flags,
                          ptools_array **ret_array)
{
    struct fds_request request = { .kind = FDS_ARRAY, .owner = owner };
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    prefix = prefix ? prefix : "";
    if (!ret_array)
        return fail_static(pt, PTOOLS_ERR_INVALID, "ret_array is NULL");
    if (flags & ~(uint32_t)(PTOOLS_SHM_READ_ONLY | PTOOLS_SHM_POPULATE))
        return fail(pt, PTOOLS_ERR_INVALID, "flags is 0x%x: only PTOOLS_SHM_READ_ONLY and _POPULATE are for mapping",
                    flags);
    err = shm_check_names(pt, name, prefix);
    if (err == PTOOLS_OK)
        err = fds_check(pt);
    if (err != PTOOLS_OK)
        return err;
    strcpy(request.name, name);
    strcpy(request.prefix, prefix);
    return array_map(pt, &request, flags, CLOCK_FOREVER, ret_array);
}

ptools_err ptools_shm_map_id(ptools *pt, uint64_t id, uint32_t flags, ptools_array **ret_array)
{
    struct fds_request request = { .kind = FDS_ARRAY, .id = id, .owner = FDS_OWN };
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    if (!ret_array || id == 0)
        return fail_static(pt, PTOOLS_ERR_INVALID, id ? "ret_array is NULL" : "0 is no number of an array");
    if (flags & ~(uint32_t)(PTOOLS_SHM_READ_ONLY | PTOOLS_SHM_POPULATE))
        return fail(pt, PTOOLS_ERR_INVALID, "flags is 0x%x: only PTOOLS_SHM_READ_ONLY and _POPULATE are for mapping",
                    flags);
    err = fds_check(pt);
    return err == PTOOLS_OK ? array_map(pt, &request, flags, CLOCK_FOREVER, ret_array) : err;
}

ptools_array *ptools_array_free(ptools_array *a)
{
    struct ptools *pt;

    if (!a)
        return NULL;
    pt = a->keeper;
    munmap(a->mapping, a->mapping_bytes);
    if (pt && handle_is_ours(pt)) {
        struct msg_request request = { .kind = MSG_ARRAY_CLOSE, .array = { .array = a->id } };

        array_unlist(pt, a);
        if (connection_alive(pt) && a->generation == pt->generation)
            request_send(pt, &request, NULL, 0, CLOCK_FOREVER, NULL);
    } else if (pt) {
        array_unlist(pt, a);
    }
    free(a);
    return NULL;
}

/* -- creating ---------------------------------------------------------------------------------------- */

ptools_err array_create(struct ptools *pt, const struct msg_array *m, uint64_t until_us, uint64_t *ret_id)
{
    struct msg_request request = { .kind = MSG_ARRAY_CREATE, .array = *m };
    struct ptools_future *f;
    ptools_err err = request_wait(pt, &request, until_us, &f);

    if ((err == PTOOLS_ERR_LIMIT || err == PTOOLS_ERR_NO_SPACE) && captured_forget(pt))
        err = request_wait(pt, &request, until_us, &f);
    if (err != PTOOLS_OK)
        return err;
    *ret_id = f->reply.array;
    ptools_future_free(f);
    return PTOOLS_OK;
}

void array_unlink(struct ptools *pt, uint64_t id)
{
    struct msg_request request = { .kind = MSG_ARRAY_UNLINK, .array = { .array = id } };

    if (handle_is_ours(pt))
        request_tell(pt, &request);
}

/* Created and mapped, or nothing of it is left. */
static ptools_err create(struct ptools *pt, const ptools_shmcfg *cfg, const ptools_shm_options *options,
                         bool everywhere, ptools_array **ret)
{
    struct fds_request request = { .kind = FDS_ARRAY, .owner = FDS_OWN };
    struct shm_file file = { .fd = -1 };
    struct msg_array m;
    struct layout layout;
    char why[LAYOUT_WHY_BYTES];
    ptools_err err = shm_describe(pt, cfg, options, &m);

    if (err != PTOOLS_OK)
        return err;
    m.everywhere = everywhere;
    (void)layout_make(&layout, m.type, m.order, m.ndims, m.dims, why); /* shm_describe() has done so */
    if (options->file)
        err = shm_file_open(pt, options, layout.bytes, &file);
    m.file = file.number;
    if (err == PTOOLS_OK)
        err = array_create(pt, &m, CLOCK_FOREVER, &request.id); /* a large one takes its time */
    if (err == PTOOLS_OK)
        err = array_map(pt, &request, options->flags, CLOCK_FOREVER, ret);
    if (options->file)
        err = shm_file_settle(pt, &file, options, layout.bytes, err);
    if (err != PTOOLS_OK && request.id)
        array_unlink(pt, request.id);
    return err;
}

ptools_err ptools_shm_create(ptools *pt, const ptools_shmcfg *cfg, const ptools_shm_options *given,
                             ptools_array **ret_array)
{
    ptools_shm_options options = PTOOLS_SHM_OPTIONS_INIT;
    ptools_err err = handle_check(pt);

    if (err == PTOOLS_OK && !ret_array)
        return fail_static(pt, PTOOLS_ERR_INVALID, "ret_array is NULL");
    if (err == PTOOLS_OK)
        err = shm_options_read(pt, given, &options);
    if (err == PTOOLS_OK)
        err = fds_check(pt);
    return err == PTOOLS_OK ? create(pt, cfg, &options, false, ret_array) : err;
}

ptools_err ptools_pmap_shm_create(ptools *pt, const ptools_shmcfg *cfgs, size_t n, const ptools_shm_options *given,
                                  ptools_array **ret_arrays)
{
    ptools_shm_options options = PTOOLS_SHM_OPTIONS_INIT;
    struct msg_array checked;
    struct failure kept;
    size_t done = 0;
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    if (n > 0 && (!cfgs || !ret_arrays))
        return fail_static(pt, PTOOLS_ERR_INVALID, cfgs ? "ret_arrays is NULL" : "cfgs is NULL");
    err = shm_options_read(pt, given, &options);
    if (err == PTOOLS_OK && options.file && n > 1)
        return fail_static(pt, PTOOLS_ERR_INVALID, "one file cannot hold several arrays: create them one by one");
    for (size_t i = 0; err == PTOOLS_OK && i < n; i++)
        err = shm_describe(pt, &cfgs[i], &options, &checked); /* all of them, before any is there */
    if (err == PTOOLS_OK)
        err = fds_check(pt);
    while (err == PTOOLS_OK && done < n) {
        err = create(pt, &cfgs[done], &options, true, &ret_arrays[done]);
        done += err == PTOOLS_OK;
    }
    if (err == PTOOLS_OK)
        return PTOOLS_OK;
    failure_init(&kept);
    failure_copy(&kept, &pt->last);
    while (done-- > 0) {
        array_unlink(pt, ret_arrays[done]->id);
        ret_arrays[done] = ptools_array_free(ret_arrays[done]);
    }
    fail_with(pt, &kept);
    failure_deinit(&kept);
    return err;
}

/* -- unlinking --------------------------------------------------------------------------------------- */

/* *missing: names of those that were not there, for one message. */
static ptools_err unlink_one(struct ptools *pt, const char *name, const char *prefix, bool *missing)
{
    struct msg_request request = { .kind = MSG_ARRAY_UNLINK };
    ptools_err err = shm_check_names(pt, name, prefix);

    if (err != PTOOLS_OK)
        return err;
    request.array.name = (struct text){ name, strlen(name) };
    if (*prefix)
        request.array.prefix = (struct text){ prefix, strlen(prefix) };
    err = request_round_trip(pt, &request, NULL, NULL);
    *missing = *missing || err == PTOOLS_ERR_NO_ARRAY;
    return err == PTOOLS_ERR_NO_ARRAY ? PTOOLS_OK : err;
}

/* names, or, NULL, those of cfgs. */
static ptools_err unlink_all(struct ptools *pt, const char *const *names, const ptools_shmcfg *cfgs, size_t n,
                             const char *prefix)
{
    bool missing = false;
    ptools_err err = handle_check(pt);

    if (err == PTOOLS_OK && n > 0 && !names && !cfgs)
        return fail_static(pt, PTOOLS_ERR_INVALID, "the names of the arrays are NULL");
    for (size_t i = 0; err == PTOOLS_OK && i < n; i++)
        err = shm_check_names(pt, names ? names[i] : cfgs[i].name, prefix ? prefix : "");
    for (size_t i = 0; err == PTOOLS_OK && i < n; i++)
        err = unlink_one(pt, names ? names[i] : cfgs[i].name, prefix ? prefix : "", &missing);
    return err == PTOOLS_OK && missing ? PTOOLS_ERR_NO_ARRAY : err; /* the last failure names the last of them */
}

ptools_err ptools_unlink_shm(ptools *pt, const ptools_shmcfg *cfgs, size_t n, const char *prefix)
{
    return unlink_all(pt, NULL, cfgs, n, prefix);
}

ptools_err ptools_unlink_shm_names(ptools *pt, const char *const *names, size_t n, const char *prefix)
{
    return unlink_all(pt, names, NULL, n, prefix);
}
