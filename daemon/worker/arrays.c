/* SPDX-License-Identifier: MIT */
/*
 * arrays -- see arrays.h. What is not in the table is asked of the daemon, mapped whole, and kept for the next
 * tasks: a mapping costs far more than a call. The daemon tells when an array has ended; between two tasks it is
 * unmapped. The descriptor is closed as soon as it is mapped.
 *
 * What the daemon tells about an array is checked before it is mapped all the same (fds_answer_array()).
 */
#include "daemon/worker/arrays.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#define HASH_NONFATAL_OOM 1 /* an element that could not be added has no table */
#define HASH_FUNCTION HASH_OAT /* uthash's default falls through its cases, which clang warns of */
#include <uthash.h>

#include "daemon/worker/errand.h"
#include "proto/message.h"
#include "proto/util.h"

struct name_key {
    uint32_t uid;
    char prefix[NAME_BYTES_MAX + 2], name[NAME_BYTES_MAX + 2]; /* zero to their ends */
};
_Static_assert(sizeof(struct name_key) == 4 + 2 * (NAME_BYTES_MAX + 2), "a key has no padding");

struct mapped {
    struct ptools_array array;
    uint64_t id;
    struct name_key key;
    uint32_t owner;
    uint32_t for_uid;  /* on whose behalf it was asked for */
    bool named;        /* in by_name */
    bool given;        /* to a function */
    UT_hash_handle hh, hh_name;
};

static struct {
    bool stay;
    struct mapped *by_id, *by_name;
} self;

void arrays_init(bool stay)
{
    self.stay = stay;
}

static struct mapped *find(uint64_t id)
{
    struct mapped *m;

    HASH_FIND(hh, self.by_id, &id, sizeof id, m);
    return m;
}

static bool make_key(uint32_t uid, const char *prefix, const char *name, struct name_key *ret)
{
    size_t prefix_n = strlen(prefix), name_n = strlen(name);

    if (!name_ok_set(name, name_n) || !name_ok_prefix(prefix, prefix_n))
        return false;
    memset(ret, 0, sizeof *ret);
    ret->uid = uid;
    memcpy(ret->prefix, prefix, prefix_n);
    memcpy(ret->name, name, name_n);
    return true;
}

/* -- mapping ----------------------------------------------------------------------------------- */

__attribute__((__format__(__printf__, 3, 4)))
static ptools_err refuse(char why[ARRAYS_WHY_BYTES], ptools_err code, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(why, ARRAYS_WHY_BYTES, format, ap);
    va_end(ap);
    return code;
}

static ptools_err map_fd(const struct fds_answer *a, int fd, struct ptools_array *ret, char why[ARRAYS_WHY_BYTES])
{
    struct stat st;
    ptools_err err;

    if (fstat(fd, &st) < 0)
        return refuse(why, PTOOLS_ERR_SYSTEM, "fstat: %s", strerror(errno));
    err = fds_answer_array(a, (uint64_t)st.st_size, ret, why);
    if (err != PTOOLS_OK)
        return err;
    ret->mapping = mmap(NULL, ret->mapping_bytes, PROT_READ | (ret->read_only ? 0 : PROT_WRITE),
                        MAP_SHARED | (a->flags & FDS_POPULATE ? MAP_POPULATE : 0), fd, (off_t)a->offset);
    if (ret->mapping == MAP_FAILED)
        return refuse(why, PTOOLS_ERR_SYSTEM, "mapping %zu bytes: %s", ret->mapping_bytes, strerror(errno));
    ret->data = ret->mapping;
    return PTOOLS_OK;
}

static void unmap(struct mapped *m)
{
    munmap(m->array.mapping, m->array.mapping_bytes);
    free(m);
}

/* Into the table. */
static ptools_err keep(const struct fds_answer *a, int fd, uint32_t uid, struct mapped **ret,
                       char why[ARRAYS_WHY_BYTES])
{
    struct mapped *m = calloc(1, sizeof *m);
    ptools_err err;

    if (!m)
        return refuse(why, PTOOLS_ERR_FAILED, "the worker has no memory for an array");
    err = map_fd(a, fd, &m->array, why);
    if (err != PTOOLS_OK) {
        free(m);
        return err;
    }
    m->id = a->id;
    m->for_uid = uid;
    m->owner = a->owner;
    HASH_ADD(hh, self.by_id, id, sizeof m->id, m);
    if (!m->hh.tbl) {
        unmap(m);
        return refuse(why, PTOOLS_ERR_FAILED, "the worker has no memory for an array");
    }
    if (m->array.name[0] && make_key(a->owner, m->array.prefix, m->array.name, &m->key))
        HASH_ADD(hh_name, self.by_name, key, sizeof m->key, m);
    m->named = m->hh_name.tbl != NULL; /* if not, it is asked for again, and found by its number */
    *ret = m;
    return PTOOLS_OK;
}

static ptools_err ask(struct fds_request *request, uint32_t uid, struct ptools_array **ret, char why[ARRAYS_WHY_BYTES])
{
    struct fds_answer answer;
    struct mapped *m;
    ptools_err err;
    int fd;

    errand_ask(request, &answer, &fd);
    if (answer.code != PTOOLS_OK) {
        answer.text[sizeof answer.text - 1] = '\0';
        return refuse(why, (ptools_err)answer.code, "%s", answer.text);
    }
    m = find(answer.id); /* mapped before, for another user or by its number */
    err = m ? PTOOLS_OK : keep(&answer, fd, uid, &m, why);
    close(fd);
    if (err != PTOOLS_OK)
        return err;
    *ret = &m->array;
    return PTOOLS_OK;
}

/* -- finding ----------------------------------------------------------------------------------- */

ptools_err arrays_by_id(uint64_t id, uint64_t task, uint32_t uid, struct ptools_array **ret,
                        char why[ARRAYS_WHY_BYTES])
{
    struct fds_request request = { .kind = FDS_ARRAY, .id = id, .task = task, .owner = FDS_OWN };
    struct mapped *m = find(id);

    if (!m || (m->for_uid != uid && m->owner != uid))
        return ask(&request, uid, ret, why);
    *ret = &m->array;
    return PTOOLS_OK;
}

ptools_err arrays_by_name(const char *prefix, const char *name, uint64_t task, uint32_t uid, struct ptools_array **ret,
                          char why[ARRAYS_WHY_BYTES])
{
    struct fds_request request = { .kind = FDS_ARRAY, .task = task, .owner = FDS_OWN };
    struct name_key key;
    struct mapped *m;

    if (!make_key(uid, prefix, name, &key))
        return refuse(why, PTOOLS_ERR_INVALID,
                      "\"%.70s\" with prefix \"%.70s\" is no name of an array: 1 to %u of A-Z a-z 0-9 _ . - , not "
                      "beginning with a digit", name, prefix, NAME_BYTES_MAX);
    HASH_FIND(hh_name, self.by_name, &key, sizeof key, m);
    if (m) {
        *ret = &m->array;
        return PTOOLS_OK;
    }
    memcpy(request.name, key.name, sizeof key.name);
    memcpy(request.prefix, key.prefix, sizeof key.prefix);
    return ask(&request, uid, ret, why);
}

ptools_err arrays_make(uint64_t task, uint64_t bytes, struct ptools_array **ret, char why[ARRAYS_WHY_BYTES])
{
    struct fds_request request = { .kind = FDS_MAKE, .task = task, .bytes = bytes, .owner = FDS_OWN };

    return ask(&request, FDS_OWN, ret, why);
}

ptools_err arrays_descriptor(uint64_t id, uint64_t task, int *ret_fd, uint64_t *ret_offset, char why[ARRAYS_WHY_BYTES])
{
    struct fds_request request = { .kind = FDS_ARRAY, .id = id, .task = task, .owner = FDS_OWN };
    struct fds_answer answer;

    errand_ask(&request, &answer, ret_fd);
    if (answer.code != PTOOLS_OK) {
        answer.text[sizeof answer.text - 1] = '\0';
        return refuse(why, (ptools_err)answer.code, "%s", answer.text);
    }
    *ret_offset = answer.offset;
    return PTOOLS_OK;
}

void arrays_given(struct ptools_array *array)
{
    CONTAINER_OF(array, struct mapped, array)->given = true;
}

uint32_t arrays_owner(const struct ptools_array *array)
{
    return CONTAINER_OF(array, const struct mapped, array)->owner;
}

void arrays_forget(uint64_t id)
{
    struct mapped *m = find(id);

    if (!m)
        return;
    if (m->named)
        HASH_DELETE(hh_name, self.by_name, m);
    m->named = false;
    if (self.stay && m->given)
        return;
    HASH_DELETE(hh, self.by_id, m);
    unmap(m);
}
