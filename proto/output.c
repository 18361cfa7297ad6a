/* SPDX-License-Identifier: MIT */
/* output -- see output.h. */
#include "proto/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/util.h"

size_t output_path(char *ret, size_t cap, const char *dir, uint64_t ms, uint64_t task, uint32_t attempt, int64_t item)
{
    const time_t s = (time_t)(ms / 1000);
    char tail[32] = "";
    struct tm day;
    int n;

    if (!gmtime_r(&s, &day))
        return 0;
    if (item >= 0)
        snprintf(tail, sizeof tail, ".%" PRId64, item);
    n = snprintf(ret, cap, "%s/%04d-%02d-%02d/%" PRIu64 "-%" PRIu32 "%s", dir, day.tm_year + 1900, day.tm_mon + 1,
                 day.tm_mday, task, attempt, tail);
    return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

bool output_is_day(const char *name)
{
    static const char form[] = "dddd-dd-dd";

    if (strlen(name) != sizeof form - 1)
        return false;
    for (size_t i = 0; form[i]; i++)
        if (form[i] == 'd' ? name[i] < '0' || name[i] > '9' : name[i] != form[i])
            return false;
    return true;
}

/* Behind the digits at the front, of which there is at least one; NULL: there is none. */
static const char *behind_digits(const char *s)
{
    const size_t n = strspn(s, "0123456789");

    return n > 0 ? s + n : NULL;
}

bool output_is_file(const char *name, uint64_t *ret_task, bool *ret_item)
{
    static const char *const suffixes[] = { ".out", ".err", ".out.old", ".err.old" };
    const char *at = behind_digits(name);

    if (!at || *at != '-' || sscanf(name, "%" SCNu64, ret_task) != 1)
        return false;
    at = behind_digits(at + 1);
    *ret_item = at && *at == '.' && behind_digits(at + 1);
    if (*ret_item)
        at = behind_digits(at + 1);
    for (size_t i = 0; at && i < ELEMENTS(suffixes); i++)
        if (strcmp(at, suffixes[i]) == 0)
            return true;
    return false;
}
