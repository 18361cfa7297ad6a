/* SPDX-License-Identifier: MIT */
/*
 * times -- see times.h. mktime() knows when summer time begins, and corrects what it does not like: the 30th of
 * February, or half past two where the clocks go from two to three. What comes back corrected was no time.
 */
#include "client/cli/times.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Two digits, 0 to max. */
static bool two(const char **s, int max, int *ret)
{
    const char *d = *s;

    if (d[0] < '0' || d[0] > '9' || d[1] < '0' || d[1] > '9')
        return false;
    *ret = (d[0] - '0') * 10 + d[1] - '0';
    *s += 2;
    return *ret <= max;
}

static bool sign(const char **s, const char *allowed)
{
    if (!**s || !strchr(allowed, **s))
        return false;
    (*s)++;
    return true;
}

static bool read_date(const char **s, struct tm *t)
{
    int century, year;

    if (!two(s, 99, &century) || !two(s, 99, &year) || !sign(s, "-") || !two(s, 12, &t->tm_mon) || !sign(s, "-") ||
        !two(s, 31, &t->tm_mday) || !sign(s, " T"))
        return false;
    t->tm_year = century * 100 + year - 1900;
    t->tm_mon--;
    return true;
}

static bool read_clock(const char *s, struct tm *t)
{
    if (!two(&s, 23, &t->tm_hour) || !sign(&s, ":") || !two(&s, 59, &t->tm_min))
        return false;
    return !*s || (sign(&s, ":") && two(&s, 59, &t->tm_sec) && !*s);
}

/* Seconds since 1970; -1: there is no such local time. Before 1970 nothing is started. */
static int64_t seconds(const struct tm *wanted)
{
    struct tm t = *wanted;
    time_t s;

    t.tm_isdst = -1;
    s = mktime(&t);
    if (t.tm_year != wanted->tm_year || t.tm_mon != wanted->tm_mon || t.tm_mday != wanted->tm_mday ||
        t.tm_hour != wanted->tm_hour || t.tm_min != wanted->tm_min)
        return -1;
    return s > 0 ? s : -1;
}

/* The next time that a clock shows it: today, or tomorrow. */
static int64_t next(struct tm *t, int64_t now_ms)
{
    time_t now = (time_t)(now_ms / 1000);
    struct tm today;
    int64_t s = -1;

    if (!localtime_r(&now, &today))
        return -1;
    for (int day = 0; day < 3 && s <= now; day++) { /* the third: if it is not there tomorrow */
        struct tm noon = { .tm_year = today.tm_year, .tm_mon = today.tm_mon, .tm_mday = today.tm_mday + day };

        noon.tm_hour = 12;
        noon.tm_isdst = -1;
        if (mktime(&noon) < 0)
            return -1;
        t->tm_year = noon.tm_year;
        t->tm_mon = noon.tm_mon;
        t->tm_mday = noon.tm_mday;
        s = seconds(t);
    }
    return s;
}

static bool read_seconds(const char *s, int64_t *ret)
{
    int64_t v = 0;
    size_t n = strspn(s, "0123456789");

    if (n == 0 || n > 11 || s[n])
        return false;
    for (size_t i = 0; i < n; i++)
        v = v * 10 + (s[i] - '0');
    *ret = v;
    return v > 0;
}

bool times_read(const char *text, int64_t now_ms, int64_t *ret_ms, char why[TIMES_WHY_BYTES])
{
    const char *rest = text;
    struct tm t = { 0 };
    int64_t s = -1;

    if (*text == '@') {
        if (!read_seconds(text + 1, &s))
            s = -1;
    } else if (read_clock(text, &t)) {
        s = next(&t, now_ms);
    } else {
        t = (struct tm){ 0 };
        if (read_date(&rest, &t) && read_clock(rest, &t)) {
            s = seconds(&t);
            if (s < 0) {
                snprintf(why, TIMES_WHY_BYTES, "there is no %.40s here", text);
                return false;
            }
        }
    }
    if (s < 0) {
        snprintf(why, TIMES_WHY_BYTES, "\"%.40s\": " TIMES_FORMS, text);
        return false;
    }
    *ret_ms = s * 1000;
    return true;
}

const char *times_write(int64_t ms, char text[TIMES_TEXT_BYTES])
{
    time_t s = (time_t)(ms / 1000);
    struct tm t;

    if (ms == 0 || !localtime_r(&s, &t) || strftime(text, TIMES_TEXT_BYTES, "%Y-%m-%d %H:%M:%S", &t) == 0)
        *text = '\0';
    return text;
}

int64_t times_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
