/* SPDX-License-Identifier: MIT */
/* output -- see output.h. */
#include "proto/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/util.h"

/* The date of a day since 1970-01-01, in the calendar of today, counted in years that begin with March. */
static void date_of(uint64_t day, unsigned *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    const uint64_t days = day + 719468, era = days / 146097;
    const unsigned in_era = (unsigned)(days % 146097);
    const unsigned year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    const unsigned in_year = in_era - (365 * year + year / 4 - year / 100);
    const unsigned month = (5 * in_year + 2) / 153;

    *ret_day = in_year - (153 * month + 2) / 5 + 1;
    *ret_month = month < 10 ? month + 3 : month - 9;
    *ret_year = (unsigned)(era * 400) + year + (*ret_month <= 2);
}

size_t output_path(char *ret, size_t cap, const char *dir, uint64_t ms, uint64_t task, uint32_t attempt, int64_t item)
{
    const uint64_t days = ms / 86400000;
    unsigned year, month, day;
    char tail[32] = "";
    int n;

    if (days > 2932896) /* the end of the year 9999 */
        return 0;
    date_of(days, &year, &month, &day);
    if (item >= 0)
        snprintf(tail, sizeof tail, ".%" PRId64, item);
    n = snprintf(ret, cap, "%s/%04u-%02u-%02u/%" PRIu64 "-%" PRIu32 "%s", dir, year, month, day, task, attempt, tail);
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
