/* SPDX-License-Identifier: MIT */
/*
 * shm_options -- what an array shall be: names, shape and options, checked here as far as that goes without asking
 * the daemon; and the file behind one, which this process opens, with its own rights, and gives to the daemon.
 */
#include "client/lib/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KNOWN_FLAGS                                                                                                 \
    ((uint32_t)(PTOOLS_SHM_REPLACE | PTOOLS_SHM_KEEP | PTOOLS_SHM_READ_ONLY | PTOOLS_SHM_POPULATE | PTOOLS_SHM_HUGE))

ptools_err shm_check_names(struct ptools *pt, const char *name, const char *prefix)
{
    if (!name || !name_ok_set(name, strlen(name)))
        return fail(pt, PTOOLS_ERR_INVALID,
                    "\"%.80s\" is no name for an array: 1 to %u of A-Z a-z 0-9 _ . - , not beginning with a digit",
                    name ? name : "(NULL)", NAME_BYTES_MAX);
    if (!name_ok_prefix(prefix, strlen(prefix)))
        return fail(pt, PTOOLS_ERR_INVALID, "\"%.80s\" is no prefix for arrays: up to %u of A-Z a-z 0-9 _ . -", prefix,
                    NAME_BYTES_MAX);
    return PTOOLS_OK;
}

ptools_err shm_options_read(struct ptools *pt, const ptools_shm_options *given, ptools_shm_options *ret)
{
    const ptools_shm_options defaults = PTOOLS_SHM_OPTIONS_INIT;
    ptools_err err;

    *ret = defaults;
    err = options_read(pt, "options of an array", given, sizeof *ret, ret, sizeof *ret);
    if (err != PTOOLS_OK)
        return err;
    if (ret->flags & ~KNOWN_FLAGS)
        return fail(pt, PTOOLS_ERR_INVALID, "options of an array: unknown bits 0x%x in flags",
                    ret->flags & ~KNOWN_FLAGS);
    if (ret->keep_ms < 0 || (ret->keep_ms > 0 && !(ret->flags & PTOOLS_SHM_KEEP)))
        return fail(pt, PTOOLS_ERR_INVALID, "options of an array: keep_ms is %lld: 0, or more with PTOOLS_SHM_KEEP",
                    (long long)ret->keep_ms);
    if (!ret->file && (ret->file_mode || ret->file_offset))
        return fail_static(pt, PTOOLS_ERR_INVALID, "options of an array: file_mode and file_offset belong to a file");
    if (ret->file && ret->file_mode && strcmp(ret->file_mode, "r") != 0 && strcmp(ret->file_mode, "r+") != 0 &&
        strcmp(ret->file_mode, "w+") != 0 && strcmp(ret->file_mode, "a+") != 0)
        return fail(pt, PTOOLS_ERR_INVALID, "options of an array: file_mode is \"%.20s\": r, r+, w+ or a+",
                    ret->file_mode);
    if (ret->file_offset % (uint64_t)sysconf(_SC_PAGESIZE) != 0)
        return fail(pt, PTOOLS_ERR_INVALID,
                    "options of an array: file_offset is %" PRIu64 ": a multiple of the page size (%ld) is needed",
                    ret->file_offset, sysconf(_SC_PAGESIZE));
    if (ret->file && ret->flags & PTOOLS_SHM_HUGE)
        return fail_static(pt, PTOOLS_ERR_INVALID, "options of an array: a file has no huge pages");
    if (ret->n_share > SHARE_MAX || (ret->n_share > 0 && !ret->share))
        return fail(pt, PTOOLS_ERR_INVALID, "options of an array: n_share is %u%s: at most %u", ret->n_share,
                    ret->share ? "" : " and share is NULL", SHARE_MAX);
    return PTOOLS_OK;
}

ptools_err shm_describe(struct ptools *pt, const ptools_shmcfg *cfg, const ptools_shm_options *options,
                        struct msg_array *ret)
{
    char why[LAYOUT_WHY_BYTES];
    struct layout layout;
    ptools_err err;

    if (!cfg)
        return fail_static(pt, PTOOLS_ERR_INVALID, "the configuration of the array is NULL");
    err = shm_check_names(pt, cfg->name, options->prefix ? options->prefix : "");
    if (err != PTOOLS_OK)
        return err;
    if (!layout_make(&layout, (uint32_t)cfg->type, (uint32_t)cfg->order, cfg->ndims, cfg->dims, why))
        return fail(pt, PTOOLS_ERR_INVALID, "array %s: %s", cfg->name, why);
    *ret = (struct msg_array){
        .name = { cfg->name, strlen(cfg->name) },
        .type = (uint32_t)cfg->type,
        .order = (uint32_t)cfg->order,
        .ndims = cfg->ndims,
        .replace = options->flags & PTOOLS_SHM_REPLACE,
        .keep = options->flags & PTOOLS_SHM_KEEP,
        .huge = options->flags & PTOOLS_SHM_HUGE,
        .populate = options->flags & PTOOLS_SHM_POPULATE,
        .keep_ms = (uint64_t)options->keep_ms,
        .offset = options->file_offset,
        .n_share = options->n_share,
        .share = (uint32_t *)(uintptr_t)options->share, /* encoding does not write to it */
    };
    if (options->prefix && *options->prefix)
        ret->prefix = (struct text){ options->prefix, strlen(options->prefix) };
    memcpy(ret->dims, cfg->dims, sizeof ret->dims);
    return PTOOLS_OK;
}

/* -- files ------------------------------------------------------------------------------------------- */

static bool mode_is(const ptools_shm_options *options, const char *mode)
{
    return strcmp(options->file_mode ? options->file_mode : "r+", mode) == 0;
}

static ptools_err bad_file(struct ptools *pt, const ptools_shm_options *options, const char *what, int error)
{
    return fail(pt, PTOOLS_ERR_BAD_FILE, "%.200s: %s: %s", options->file, what, strerror(error));
}

/* The file as the mode says, without emptying it: that is done once the array is there. */
static ptools_err open_as(struct ptools *pt, const ptools_shm_options *options, struct shm_file *ret)
{
    bool may_make = mode_is(options, "w+") || mode_is(options, "a+");
    int how = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (mode_is(options, "r") ? O_RDONLY : O_RDWR);

    ret->fd = open(options->file, how);
    if (ret->fd < 0 && errno == ENOENT && may_make) {
        ret->fd = open(options->file, how | O_CREAT | O_EXCL, 0666);
        ret->made = ret->fd >= 0;
    }
    return ret->fd < 0 ? bad_file(pt, options, "cannot be opened", errno) : PTOOLS_OK;
}

static ptools_err make_long_enough(struct ptools *pt, const ptools_shm_options *options, uint64_t bytes,
                                   struct shm_file *file)
{
    bool may_grow = mode_is(options, "w+") || mode_is(options, "a+");
    uint64_t needed;
    const int fd = file->fd;
    struct stat st;
    int r;

    if (fstat(fd, &st) < 0)
        return bad_file(pt, options, "cannot be looked at", errno);
    if (!S_ISREG(st.st_mode))
        return fail(pt, PTOOLS_ERR_BAD_FILE, "%.200s is not a regular file", options->file);
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0) /* that was for opening what is none */
        return bad_file(pt, options, "cannot be set to block", errno);
    if (__builtin_add_overflow(options->file_offset, bytes, &needed) || needed > INT64_MAX)
        return fail_static(pt, PTOOLS_ERR_INVALID, "offset and size of the array are more than a file can have");
    if (!may_grow && (uint64_t)st.st_size < needed)
        return fail(pt, PTOOLS_ERR_BAD_FILE, "%.200s has %lld bytes; %" PRIu64 " from %" PRIu64 " on are needed",
                    options->file, (long long)st.st_size, bytes, options->file_offset);
    if (!may_grow)
        return PTOOLS_OK;
    if ((uint64_t)st.st_size < needed) {
        file->before = (uint64_t)st.st_size;
        file->grown = needed;
    }
    r = posix_fallocate(fd, (off_t)options->file_offset, (off_t)bytes);
    if (r == ENOSPC || r == EDQUOT || r == EFBIG)
        return fail(pt, PTOOLS_ERR_NO_SPACE, "%.200s cannot have %" PRIu64 " bytes from %" PRIu64 " on: %s",
                    options->file, bytes, options->file_offset, strerror(r));
    return r != 0 ? bad_file(pt, options, "cannot be made long enough", r) : PTOOLS_OK;
}

/* As it was: but for the file of somebody else who has made it longer meanwhile. */
static void give_up(struct shm_file *file, const ptools_shm_options *options)
{
    struct stat st;

    if (file->made)
        unlink(options->file);
    else if (file->grown && fstat(file->fd, &st) == 0 && (uint64_t)st.st_size > file->before &&
             (uint64_t)st.st_size <= file->grown && ftruncate(file->fd, (off_t)file->before) < 0)
        (void)0; /* then it stays long: the failure that led here is the one to tell */
    if (file->fd >= 0)
        close(file->fd);
    *file = (struct shm_file){ .fd = -1 };
}

ptools_err shm_file_open(struct ptools *pt, const ptools_shm_options *options, uint64_t bytes, struct shm_file *ret)
{
    struct fds_request request = { .kind = FDS_GIVE };
    struct fds_answer answer;
    ptools_err err;

    *ret = (struct shm_file){ .fd = -1 };
    err = open_as(pt, options, ret);
    if (err == PTOOLS_OK)
        err = make_long_enough(pt, options, bytes, ret);
    if (err == PTOOLS_OK)
        err = fds_ask(pt, &request, ret->fd, CLOCK_FOREVER, &answer, NULL);
    if (err == PTOOLS_OK)
        ret->number = answer.id;
    else
        give_up(ret, options);
    return err;
}

/* Its bytes are 0, and there are no others: as after O_TRUNC, but it is never shorter than the array. */
static int empty_file(int fd, uint64_t offset, uint64_t bytes)
{
    static const char zeros[65536];
    uint64_t end = offset + bytes, at = 0;

    if (ftruncate(fd, (off_t)end) < 0)
        return errno;
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)end) == 0)
        return posix_fallocate(fd, (off_t)offset, (off_t)bytes);
    while (at < end) {
        ssize_t n = pwrite(fd, zeros, MIN(sizeof zeros, end - at), (off_t)at);

        if (n < 0 && errno != EINTR)
            return errno;
        at += n > 0 ? (uint64_t)n : 0;
    }
    return 0;
}

ptools_err shm_file_settle(struct ptools *pt, struct shm_file *file, const ptools_shm_options *options, uint64_t bytes,
                           ptools_err code)
{
    int r = 0;

    if (code != PTOOLS_OK) {
        give_up(file, options);
        return code;
    }
    if (mode_is(options, "w+") && !file->made)
        r = empty_file(file->fd, options->file_offset, bytes);
    close(file->fd);
    file->fd = -1;
    return r != 0 ? bad_file(pt, options, "cannot be emptied", r) : PTOOLS_OK;
}
