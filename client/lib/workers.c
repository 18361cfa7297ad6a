/* SPDX-License-Identifier: MIT */
/*
 * workers -- the pool: listing it, growing it, shrinking it; and the documents of the daemon.
 */
#include "client/lib/handle.h"

#include <string.h>

ptools_err ptools_inspect(ptools *pt, const char *what, ptools_future **ret_future, ptools_value *ret_value)
{
    struct msg_request request = { .kind = MSG_INSPECT };
    struct ptools_future *f;
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    if (!what || strlen(what) > NAME_BYTES_MAX || !ret_future)
        return fail_static(pt, PTOOLS_ERR_INVALID,
                           !ret_future ? "ret_future is NULL"
                                       : "what is expected to be status, workers, sets or modules");
    request.inspect.what = (struct text){ what, strlen(what) };
    err = request_round_trip(pt, &request, NULL, &f);
    if (err != PTOOLS_OK)
        return err;
    err = future_result(f, ret_value);
    if (err == PTOOLS_OK)
        *ret_future = f;
    else
        ptools_future_free(f);
    return err;
}

/* -- the list ------------------------------------------------------------------------------------------------ */

/* Where the fields of one worker are, by name: a newer daemon may tell more, and in another order. */
static ptools_err get_u64(ptools_value row, const char *key, uint64_t *ret)
{
    ptools_value v;
    ptools_err err = ptools_get_field(row, key, &v);

    return err == PTOOLS_OK ? ptools_get_u64(v, ret) : err;
}

static ptools_err get_str(ptools_value row, const char *key, const char **ret, size_t *ret_n)
{
    ptools_value v;
    ptools_err err = ptools_get_field(row, key, &v);

    return err == PTOOLS_OK ? ptools_get_str(v, ret, ret_n) : err;
}

enum { TEXTS = 3 };
static const char *const text_keys[TEXTS] = { "state", "function", "phase" };

/* Numbers of one worker. False: the document is not what PROTOCOL.md says. */
static bool read_numbers(ptools_value row, ptools_worker_info *ret)
{
    ptools_value progress, n, of;
    uint64_t id, pid;

    if (get_u64(row, "id", &id) || get_u64(row, "pid", &pid) || get_u64(row, "tasks_done", &ret->tasks_done) ||
        get_u64(row, "waiting", &ret->waiting) || get_u64(row, "deaths", &ret->deaths) ||
        get_u64(row, "recycled", &ret->recycled) || get_u64(row, "rss_bytes", &ret->rss_bytes) ||
        ptools_get_field(row, "progress", &progress) || ptools_get_item(progress, 0, &n) ||
        ptools_get_item(progress, 1, &of) || ptools_get_u64(n, &ret->progress) ||
        ptools_get_u64(of, &ret->progress_of) || id > UINT32_MAX || pid > INT32_MAX)
        return false;
    ret->id = (uint32_t)id;
    ret->pid = (int32_t)pid;
    return true;
}

/* It is in no count of workers: it comes and goes with what a worker waits for. */
static bool is_stand_in(ptools_value row)
{
    uint64_t stands_for;

    return get_u64(row, "stands_for", &stands_for) == PTOOLS_OK && stands_for != 0;
}

/* How many workers there are, and the bytes of all their texts, their NULs included. False: see above. */
static bool measure(ptools_value list, uint32_t n, size_t *ret_workers, size_t *ret_bytes)
{
    size_t bytes = 0;

    *ret_workers = 0;
    for (uint32_t i = 0; i < n; i++) {
        ptools_value row;

        if (ptools_get_item(list, i, &row))
            return false;
        if (is_stand_in(row))
            continue;
        ++*ret_workers;
        for (int k = 0; k < TEXTS; k++) {
            const char *text;
            size_t text_n;

            if (get_str(row, text_keys[k], &text, &text_n))
                return false;
            bytes += text_n + 1;
        }
    }
    *ret_bytes = bytes;
    return true;
}

/* The rows, then the texts that they point to. */
static bool fill(ptools_value list, uint32_t n, ptools_worker_info *rows, size_t n_rows)
{
    char *p = (char *)(rows + n_rows);

    for (uint32_t i = 0; i < n; i++) {
        const char **to[TEXTS] = { &rows->state, &rows->function, &rows->phase };
        ptools_value row;

        if (ptools_get_item(list, i, &row))
            return false;
        if (is_stand_in(row))
            continue;
        if (!read_numbers(row, rows++))
            return false;
        for (int k = 0; k < TEXTS; k++) {
            const char *text;
            size_t text_n;

            if (get_str(row, text_keys[k], &text, &text_n))
                return false;
            *to[k] = memcpy(p, text, text_n);
            p[text_n] = '\0';
            p += text_n + 1;
        }
    }
    return true;
}

static ptools_err malformed(struct ptools *pt)
{
    return fail_static(pt, PTOOLS_ERR_PROTOCOL, "the daemon's list of workers is not what the protocol says");
}

static ptools_err read_workers(struct ptools *pt, ptools_value list, ptools_worker_info **ret_workers, size_t *ret_n)
{
    AUTO_MEM ptools_worker_info *rows = NULL;
    size_t bytes, n_rows;
    uint32_t n;

    if (ptools_value_kind(list) != PTOOLS_LIST || ptools_get_count(list, &n) || !measure(list, n, &n_rows, &bytes))
        return malformed(pt);
    rows = calloc(1, n_rows * sizeof *rows + bytes + 1);
    if (!rows)
        return fail_no_memory(pt);
    if (!fill(list, n, rows, n_rows))
        return malformed(pt);
    *ret_workers = TAKE(rows);
    *ret_n = n_rows;
    return PTOOLS_OK;
}

ptools_err ptools_workers(ptools *pt, ptools_worker_info **ret_workers, size_t *ret_n)
{
    ptools_future *f;
    ptools_value list;
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    if (!ret_workers || !ret_n)
        return fail_static(pt, PTOOLS_ERR_INVALID, "ret_workers or ret_n is NULL");
    err = ptools_inspect(pt, "workers", &f, &list);
    if (err != PTOOLS_OK)
        return err;
    err = read_workers(pt, list, ret_workers, ret_n);
    ptools_future_free(f);
    return err;
}

/* -- for queued tasks ------------------------------------------------------------------------------------------- */

ptools_err ptools_prep_remotes(ptools *pt, bool force)
{
    ptools_worker_info *workers;
    size_t n;
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK || (pt->remotes_known && !force))
        return err;
    err = ptools_workers(pt, &workers, &n);
    if (err != PTOOLS_OK)
        return err;
    free(workers);
    pt->remotes = (uint32_t)n;
    pt->remotes_known = true;
    return PTOOLS_OK;
}

ptools_err ptools_num_remotes(ptools *pt, uint32_t *ret_n)
{
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    if (!ret_n)
        return fail_static(pt, PTOOLS_ERR_INVALID, "ret_n is NULL");
    err = ptools_prep_remotes(pt, false);
    if (err == PTOOLS_OK)
        *ret_n = pt->remotes;
    return err;
}

/* -- changing it ------------------------------------------------------------------------------------------------ */

ptools_err ptools_workers_add(ptools *pt, uint32_t n, uint32_t *ret_first_id)
{
    struct msg_request request = { .kind = MSG_WORKERS_ADD, .workers = { .n = n } };
    struct ptools_future *f;
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    if (n == 0 || n > WORKERS_MAX)
        return fail(pt, PTOOLS_ERR_INVALID, "%u workers to add: 1 to %u are allowed", n, WORKERS_MAX);
    err = request_round_trip(pt, &request, NULL, &f);
    if (err != PTOOLS_OK)
        return err;
    if (ret_first_id)
        *ret_first_id = f->reply.worker;
    ptools_future_free(f);
    return PTOOLS_OK;
}

ptools_err ptools_workers_remove(ptools *pt, uint32_t id)
{
    struct msg_request request = { .kind = MSG_WORKERS_REMOVE, .workers = { .worker = id } };
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    if (id == 0 || id > INT32_MAX)
        return fail(pt, PTOOLS_ERR_INVALID, "%u is no worker id: 1 to %d", id, INT32_MAX);
    return request_round_trip(pt, &request, NULL, NULL);
}
