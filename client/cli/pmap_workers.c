/* SPDX-License-Identifier: MIT */
/*
 * pmap_workers -- see pmap_workers.h. How many there are is what percentages, places and estimates are of; a set that
 * is changed meanwhile changes none of these.
 */
#include "client/cli/pmap_workers.h"

#include <stdlib.h>
#include <string.h>

#include "client/cli/failure.h"

static int no_memory(const struct command_line *line)
{
    return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
}

static int take_named(const struct command_line *line, const struct submission *s, uint32_t **ret_ids, uint32_t *ret_n)
{
    const uint32_t n = (uint32_t)s->task.n_targets;

    *ret_ids = calloc(n + 1, sizeof **ret_ids);
    if (!*ret_ids)
        return no_memory(line);
    memcpy(*ret_ids, s->workers, n * sizeof **ret_ids);
    *ret_n = n;
    return EXIT_VALUE;
}

static int take_all(const struct command_line *line, ptools *pt, uint32_t **ret_ids, uint32_t *ret_n)
{
    ptools_worker_info *workers;
    size_t n;
    ptools_err err = ptools_workers(pt, &workers, &n);

    if (err != PTOOLS_OK)
        return failure_report_last(line, pt, err);
    *ret_ids = calloc(n + 1, sizeof **ret_ids);
    for (size_t i = 0; *ret_ids && i < n; i++)
        (*ret_ids)[i] = workers[i].id;
    free(workers);
    *ret_n = (uint32_t)n;
    return *ret_ids ? EXIT_VALUE : no_memory(line);
}

/* "workers" of the one of that name in the document; false: there is none. */
static bool find_members(ptools_value sets, const char *name, ptools_value *ret)
{
    ptools_value set, value;
    const char *text;
    size_t n;

    for (uint32_t i = 0; ptools_get_item(sets, i, &set) == PTOOLS_OK; i++)
        if (ptools_get_field(set, "name", &value) == PTOOLS_OK && ptools_get_str(value, &text, &n) == PTOOLS_OK &&
            n == strlen(name) && memcmp(text, name, n) == 0)
            return ptools_get_field(set, "workers", ret) == PTOOLS_OK;
    return false;
}

static int take_set(const struct command_line *line, ptools *pt, const char *name, uint32_t **ret_ids, uint32_t *ret_n)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value sets, members, member;
    uint32_t n = 0;
    uint64_t id;
    ptools_err err = ptools_inspect(pt, "sets", &f, &sets);

    if (err != PTOOLS_OK)
        return failure_report_last(line, pt, err);
    if (!find_members(sets, name, &members))
        return failure_report_code(line, PTOOLS_ERR_NO_SET, NULL);
    while (ptools_get_item(members, n, &member) == PTOOLS_OK)
        n++;
    *ret_ids = calloc(n + 1, sizeof **ret_ids);
    if (!*ret_ids)
        return no_memory(line);
    for (*ret_n = 0; *ret_n < n && ptools_get_item(members, *ret_n, &member) == PTOOLS_OK; ++*ret_n)
        (*ret_ids)[*ret_n] = ptools_get_u64(member, &id) == PTOOLS_OK ? (uint32_t)id : 0;
    return EXIT_VALUE;
}

int pmap_workers(const struct command_line *line, ptools *pt, const struct submission *s, uint32_t **ret_ids,
                 uint32_t *ret_n)
{
    *ret_ids = NULL;
    *ret_n = 0;
    if (s->set)
        return take_set(line, pt, s->set, ret_ids, ret_n);
    if (s->task.target == PTOOLS_TARGET_WORKERS)
        return take_named(line, s, ret_ids, ret_n);
    return take_all(line, pt, ret_ids, ret_n);
}
