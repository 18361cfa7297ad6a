/* SPDX-License-Identifier: MIT */
/*
 * words -- see words.h. Pure functions: nothing here looks at the environment, the locale or the clock.
 */
#include "client/cli/words.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS "0123456789"
#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" DIGITS "_-"
#define YEAR_MS (366.0 * 24 * 3600 * 1000)

bool words_duration(const char *text, int64_t *ret_ms)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };
    size_t n = strspn(text, DIGITS ".");
    const char *point = memchr(text, '.', n);
    double ms;

    /* strtod() alone would take "inf", "0x10" and " 1" as well. */
    if (n == 0 || n > 20 || text[0] == '.' || text[n - 1] == '.' || point != memrchr(text, '.', n))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text + n, units[i].name) != 0)
            continue;
        ms = strtod(text, NULL) * units[i].ms;
        if (ms < 1 || ms > YEAR_MS)
            return false;
        *ret_ms = (int64_t)(ms + 0.5);
        return true;
    }
    return false;
}

bool words_number(const char *text, uint32_t *ret)
{
    uint64_t v = 0;
    size_t n = strlen(text);

    if (n == 0 || n > 10 || strspn(text, DIGITS) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        v = v * 10 + (uint64_t)(text[i] - '0');
    if (v < 1 || v > INT32_MAX)
        return false;
    *ret = (uint32_t)v;
    return true;
}

bool words_count(const char *text, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;
    size_t n = strlen(text);

    if (n == 0 || strspn(text, DIGITS) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(text[i] - '0'), &v))
            return false;
    if (v > max)
        return false;
    *ret = v;
    return true;
}

bool words_bytes(const char *text, uint64_t *ret)
{
    static const char units[] = "KMGT";
    size_t n = strspn(text, DIGITS);
    const char *unit = text[n] ? strchr(units, text[n]) : NULL;
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    char digits[24];
    uint64_t v;

    if (n >= sizeof digits || (text[n] && (!unit || text[n + 1])))
        return false;
    memcpy(digits, text, n);
    digits[n] = '\0';
    if (!words_count(digits, INT64_MAX >> shift, &v))
        return false;
    *ret = v << shift;
    return true;
}

bool words_prefix(const char *text)
{
    size_t n = strspn(text, NAME_CHARS ".");

    return n <= 64 && text[n] == '\0';
}

bool words_name(const char *text)
{
    return *text && !strchr(DIGITS, *text) && words_prefix(text);
}

bool words_tag(const char *text)
{
    size_t n = strspn(text, NAME_CHARS ".:/=@+");

    return n >= 1 && n <= WORDS_TAG_BYTES && text[n] == '\0';
}

bool words_priority(const char *text, double *ret)
{
    const char *s = text + (*text == '-');
    const size_t whole = strspn(s, DIGITS), part = s[whole] == '.' ? strspn(s + whole + 1, DIGITS) : 0;
    const char *e = s + whole + (part ? 1 + part : 0);
    double v;

    if (strcmp(s, "inf") == 0) {
        *ret = *text == '-' ? -HUGE_VAL : HUGE_VAL;
        return true;
    }
    if (whole == 0)
        return false;
    if (*e == 'e' || *e == 'E') {
        e += 1 + (e[1] == '-' || e[1] == '+');
        if (strspn(e, DIGITS) == 0)
            return false;
        e += strspn(e, DIGITS);
    }
    if (*e)
        return false;
    v = strtod(text, NULL);
    if (v == HUGE_VAL || v == -HUGE_VAL)
        return false;
    *ret = v;
    return true;
}

bool words_function(const char *text)
{
    size_t module = strspn(text, NAME_CHARS);
    size_t function = text[module] == '.' ? strspn(text + module + 1, NAME_CHARS) : 0;

    return module >= 1 && module <= 64 && function >= 1 && function <= 64 && text[module + 1 + function] == '\0';
}

/* Letters to add, drop, replace, or swap with their neighbour to make one word the other. */
static unsigned edits(const char *a, const char *b)
{
    enum { MAX = 24 };
    unsigned d[MAX + 1][MAX + 1];
    size_t n = strlen(a), m = strlen(b);

    if (n > MAX || m > MAX)
        return MAX;
    for (size_t i = 0; i <= n; i++) {
        for (size_t j = 0; j <= m; j++) {
            unsigned best;

            if (i == 0 || j == 0) {
                d[i][j] = (unsigned)(i + j);
                continue;
            }
            best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[n][m];
}

void nearest_init(struct nearest *near, const char *word)
{
    *near = (struct nearest){ .word = word };
}

void nearest_offer(struct nearest *near, const char *allowed)
{
    size_t n = strlen(near->word);
    unsigned distance = edits(near->word, allowed);
    bool begins = n >= 2 && strncmp(near->word, allowed, n) == 0;

    if (begins)
        distance = 1;
    else if (distance > 2 || distance >= n || distance >= strlen(allowed))
        return;
    if (near->best && near->distance <= distance)
        return;
    near->best = allowed;
    near->distance = distance;
}

bool words_utf8(const void *data, size_t bytes)
{
    const uint8_t *s = data, *end = bytes ? s + bytes : s;

    while (s < end) {
        static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
        uint32_t c = *s++;
        int more = c < 0x80 ? 0 : c < 0xc2 ? -1 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : -1;

        if (more == 0)
            continue;
        if (more < 0 || end - s < more)
            return false;
        c &= 0x3fu >> more;
        for (int i = 0; i < more; i++, s++) {
            if ((*s & 0xc0) != 0x80)
                return false;
            c = c << 6 | (*s & 0x3f);
        }
        if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            return false;
    }
    return true;
}

const char *words_size(uint64_t bytes, char text[WORDS_BYTES])
{
    static const char units[] = "BKMGTPE";
    double v = (double)bytes;
    size_t i = 0;

    while (v >= 1000 && units[i + 1]) { /* 1000, so that there are never more than three digits */
        v /= 1024;
        i++;
    }
    snprintf(text, WORDS_BYTES, "%.*f%c", i > 0 && v < 99.5 ? 1 : 0, v, units[i]);
    return text;
}

const char *words_time(uint64_t us, char text[WORDS_BYTES])
{
    uint64_t s = us / 1000000;

    if (us < 1000)
        snprintf(text, WORDS_BYTES, "%" PRIu64 " us", us);
    else if (us < 1000000)
        snprintf(text, WORDS_BYTES, "%.*f ms", us < 100000 ? 1 : 0, (double)us / 1e3);
    else if (s < 60)
        snprintf(text, WORDS_BYTES, "%.1f s", (double)us / 1e6);
    else if (s < 3600)
        snprintf(text, WORDS_BYTES, "%" PRIu64 "m %" PRIu64 "s", s / 60, s % 60);
    else
        snprintf(text, WORDS_BYTES, "%" PRIu64 "h %" PRIu64 "m", s / 3600, s / 60 % 60);
    return text;
}

/* How many bytes from text on are one character that may be shown; 0: this byte is not of one. */
static size_t shown(const char *text, size_t bytes)
{
    unsigned char c = (unsigned char)*text;

    if (c < 0x80)
        return (c >= ' ' && c != 0x7f) || c == '\t';
    if (c == 0xc2 && bytes > 1 && (unsigned char)text[1] < 0xa0)
        return 0; /* control characters, too */
    for (size_t n = 2; n <= 4 && n <= bytes; n++)
        if (words_utf8(text, n))
            return n;
    return 0;
}

void words_print(FILE *out, const char *text, size_t bytes)
{
    for (size_t i = 0, n; i < bytes; i += n ? n : 1) {
        n = shown(text + i, bytes - i);
        if (n)
            fwrite(text + i, 1, n, out);
        else
            fprintf(out, "\\x%02x", (unsigned char)text[i]);
    }
}
