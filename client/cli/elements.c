/* SPDX-License-Identifier: MIT */
/*
 * elements -- see elements.h. Numbers are looked at letter by letter before strtod() sees them: that would take "0x10",
 * "nan(7)", leading space and much else that would be a mistake in a table of numbers.
 */
#include "client/cli/elements.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    NUMBER_BYTES_MAX = 400, /* of one number that is read; the largest double has 309 digits */
    PART_BYTES = 32,        /* of one that is written */
};

static const struct {
    int64_t low;
    uint64_t high;
} ranges[] = {
    [PTOOLS_INT8] = { INT8_MIN, INT8_MAX },
    [PTOOLS_UINT8] = { 0, UINT8_MAX },
    [PTOOLS_INT16] = { INT16_MIN, INT16_MAX },
    [PTOOLS_UINT16] = { 0, UINT16_MAX },
    [PTOOLS_INT32] = { INT32_MIN, INT32_MAX },
    [PTOOLS_UINT32] = { 0, UINT32_MAX },
    [PTOOLS_INT64] = { INT64_MIN, INT64_MAX },
    [PTOOLS_UINT64] = { 0, UINT64_MAX },
    [PTOOLS_BOOLEAN] = { 0, 1 },
};

/* -- text to elements --------------------------------------------------------------------------------- */

enum verdict { GOOD, NO_NUMBER, TOO_LARGE, TOO_SMALL, NOT_EXACT };

static size_t digits_at(const char *s)
{
    return strspn(s, "0123456789");
}

/* The bytes of the number that s begins with; 0: it begins with none. */
static size_t number_at(const char *s)
{
    size_t sign = *s == '+' || *s == '-', n = sign, before, after = 0, exponent;

    if (strncasecmp(s + n, "infinity", 8) == 0)
        return n + 8;
    if (strncasecmp(s + n, "inf", 3) == 0 || strncasecmp(s + n, "nan", 3) == 0)
        return n + 3;
    before = digits_at(s + n);
    n += before;
    if (s[n] == '.') {
        after = digits_at(s + n + 1);
        n += 1 + after;
    }
    if (before + after == 0)
        return 0;
    if (s[n] == 'e' || s[n] == 'E') {
        exponent = s[n + 1] == '+' || s[n + 1] == '-' ? 2 : 1;
        after = digits_at(s + n + exponent);
        n += after ? exponent + after : 0;
    }
    return n;
}

/* Of n bytes at s, which are a number. A whole one, written as digits alone, must be held exactly. */
static enum verdict read_double(const char *s, size_t n, bool narrow, double *ret)
{
    char text[NUMBER_BYTES_MAX + 1], again[NUMBER_BYTES_MAX + 1];
    const char *digits;
    double v;

    snprintf(text, sizeof text, "%.*s", (int)n, s);
    v = narrow ? (double)strtof(text, NULL) : strtod(text, NULL);
    *ret = v;
    if (strpbrk(text, "nN")) /* nan, inf */
        return GOOD;
    if (isinf(v))
        return TOO_LARGE;
    digits = text + (*text == '+' || *text == '-');
    if (v == 0) /* and something other than 0 before the exponent */
        return digits[strspn(digits, "0.")] && strchr("123456789", digits[strspn(digits, "0.")]) ? TOO_SMALL : GOOD;
    if (digits[digits_at(digits)])
        return GOOD;
    digits += strspn(digits, "0");
    snprintf(again, sizeof again, "%.0f", fabs(v));
    return strcmp(again, digits) == 0 ? GOOD : NOT_EXACT;
}

/* Digits alone; also a float that is a whole number, as long as every whole number near it is a float, too. */
static enum verdict read_whole(const char *s, size_t n, bool *ret_negative, uint64_t *ret)
{
    const char *digits = s + (*s == '+' || *s == '-');
    uint64_t v = 0;
    double d;

    *ret_negative = *s == '-';
    if (digits + digits_at(digits) == s + n) {
        for (; digits < s + n; digits++)
            if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*digits - '0'), &v))
                return TOO_LARGE;
        *ret = v;
        return GOOD;
    }
    if (read_double(s, n, false, &d) != GOOD || !isfinite(d) || d != trunc(d))
        return NOT_EXACT;
    if (fabs(d) > 0x1p53)
        return TOO_LARGE;
    *ret = (uint64_t)fabs(d);
    return GOOD;
}

static enum verdict take_whole(ptools_type type, const char *s, size_t n, void *ret)
{
    uint64_t v = 0;
    bool negative = false;
    enum verdict verdict;

    if (number_at(s) != n)
        return NO_NUMBER;
    verdict = read_whole(s, n, &negative, &v);
    if (verdict != GOOD)
        return verdict;
    if (negative ? v > -(uint64_t)ranges[type].low : v > ranges[type].high)
        return TOO_LARGE;
    if (negative)
        v = -v;
    memcpy(ret, &v, ptools_type_bytes(type)); /* little-endian, and two's complement */
    return GOOD;
}

static enum verdict take_bool(const char *s, size_t n, void *ret)
{
    static const char *const words[] = { "false", "true" };

    for (size_t i = 0; i < 2; i++) {
        if (strlen(words[i]) == n && strncasecmp(s, words[i], n) == 0) {
            *(uint8_t *)ret = (uint8_t)i;
            return GOOD;
        }
    }
    return take_whole(PTOOLS_BOOLEAN, s, n, ret) == GOOD ? GOOD : NO_NUMBER;
}

static void put_double(bool narrow, double v, void *ret)
{
    float f = (float)v;

    if (narrow)
        memcpy(ret, &f, sizeof f);
    else
        memcpy(ret, &v, sizeof v);
}

static enum verdict take_float(bool narrow, const char *s, size_t n, void *ret)
{
    enum verdict verdict;
    double v;

    if (number_at(s) != n)
        return NO_NUMBER;
    verdict = read_double(s, n, narrow, &v);
    if (verdict == GOOD)
        put_double(narrow, v, ret);
    return verdict;
}

static bool is_unit(const char *s, size_t n)
{
    return n == 1 && (*s == 'i' || *s == 'j');
}

static enum verdict take_complex(bool narrow, const char *s, size_t n, void *ret)
{
    const size_t part = narrow ? sizeof(float) : sizeof(double);
    enum verdict verdict = GOOD;
    double re = 0, im = 0;
    size_t first, second;

    if (n >= 2 && s[0] == '(' && s[n - 1] == ')') {
        s++;
        n -= 2;
    }
    first = number_at(s);
    if (first == 0 || first > n)
        return NO_NUMBER;
    if (is_unit(s + first, n - first)) {
        verdict = read_double(s, first, narrow, &im);
    } else {
        verdict = read_double(s, first, narrow, &re);
        second = n > first && (s[first] == '+' || s[first] == '-') ? number_at(s + first) : 0;
        if (n > first && (second == 0 || first + second > n || !is_unit(s + first + second, n - first - second)))
            return NO_NUMBER;
        if (verdict == GOOD && second)
            verdict = read_double(s + first, second, narrow, &im);
    }
    if (verdict != GOOD)
        return verdict;
    put_double(narrow, re, ret);
    put_double(narrow, im, (char *)ret + part);
    return GOOD;
}

static enum verdict take_element(ptools_type type, const char *s, size_t n, void *ret)
{
    switch (type) {
    case PTOOLS_FLOAT32:
    case PTOOLS_FLOAT64:
        return take_float(type == PTOOLS_FLOAT32, s, n, ret);
    case PTOOLS_COMPLEX64:
    case PTOOLS_COMPLEX128:
        return take_complex(type == PTOOLS_COMPLEX64, s, n, ret);
    case PTOOLS_BOOLEAN:
        return take_bool(s, n, ret);
    default:
        return take_whole(type, s, n, ret);
    }
}

static void explain(ptools_type type, enum verdict verdict, const char *s, char why[ELEMENT_WHY_BYTES])
{
    static const char *const problems[] = {
        [TOO_LARGE] = "is too large for",
        [TOO_SMALL] = "is too small for",
        [NOT_EXACT] = "is a whole number that is not held exactly by",
    };
    const char *name = ptools_type_name(type), *more = strlen(s) > 40 ? "..." : "";
    bool complex = type == PTOOLS_COMPLEX64 || type == PTOOLS_COMPLEX128;

    if (type == PTOOLS_BOOLEAN)
        snprintf(why, ELEMENT_WHY_BYTES, "\"%.40s%s\" is no bool: allowed are true, false, 1 and 0", s, more);
    else if (type <= PTOOLS_UINT64)
        snprintf(why, ELEMENT_WHY_BYTES, "\"%.40s%s\" is no %s: allowed are whole numbers from %" PRId64 " to %" PRIu64,
                 s, more, name, ranges[type].low, ranges[type].high);
    else if (verdict == NO_NUMBER)
        snprintf(why, ELEMENT_WHY_BYTES, "\"%.40s%s\" is no %s: allowed are numbers such as %s, nan and inf", s, more,
                 name, complex ? "1, 2i, 1.5-2i" : "1, -0.5, 1e-3");
    else
        snprintf(why, ELEMENT_WHY_BYTES, "%.40s%s %s %s", s, more, problems[verdict], name);
}

bool element_read(ptools_type type, const char *text, size_t n, void *ret, char why[ELEMENT_WHY_BYTES])
{
    char s[NUMBER_BYTES_MAX + 1];
    enum verdict verdict;

    for (; n > 0 && (*text == ' ' || *text == '\t'); n--)
        text++;
    while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t'))
        n--;
    snprintf(s, sizeof s, "%.*s", (int)(n < sizeof s ? n : sizeof s - 1), n ? text : "");
    /* Nothing, too long for a number, or with a NUL within. */
    verdict = n > 0 && strlen(s) == n ? take_element(type, s, n, ret) : NO_NUMBER;
    if (verdict != GOOD)
        explain(type, verdict, s, why);
    return verdict == GOOD;
}

/* -- elements to text --------------------------------------------------------------------------------- */

static void write_double(double v, bool narrow, char text[PART_BYTES])
{
    if (!isfinite(v)) {
        snprintf(text, PART_BYTES, "%s", isnan(v) ? "nan" : v > 0 ? "inf" : "-inf");
        return;
    }
    for (int digits = narrow ? 6 : 15; digits <= (narrow ? 9 : 17); digits++) {
        snprintf(text, PART_BYTES, "%.*g", digits, v);
        if (narrow ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v)
            break;
    }
}

static double get_double(bool narrow, const void *at)
{
    double v;
    float f;

    if (narrow) {
        memcpy(&f, at, sizeof f);
        return (double)f;
    }
    memcpy(&v, at, sizeof v);
    return v;
}

static void write_complex(double re, double im, bool narrow, char text[ELEMENT_TEXT_BYTES])
{
    char first[PART_BYTES], second[PART_BYTES];

    write_double(re, narrow, first);
    write_double(im, narrow, second);
    snprintf(text, ELEMENT_TEXT_BYTES, "%s%s%si", first, *second == '-' ? "" : "+", second);
}

static bool is_signed(ptools_type type)
{
    return type <= PTOOLS_UINT64 && ranges[type].low < 0;
}

/* An integer of any size, as the 64 bits that it is widened to. */
static uint64_t get_bits(ptools_type type, const void *element)
{
    const unsigned bits = 8 * (unsigned)ptools_type_bytes(type);
    uint64_t v = 0;

    memcpy(&v, element, bits / 8);
    if (is_signed(type) && bits < 64 && v >> (bits - 1))
        v |= UINT64_MAX << bits;
    return v;
}

const char *element_text(ptools_type type, const void *element, char text[ELEMENT_TEXT_BYTES])
{
    const bool narrow = type == PTOOLS_FLOAT32 || type == PTOOLS_COMPLEX64;
    const size_t part = narrow ? sizeof(float) : sizeof(double);

    switch (type) {
    case PTOOLS_FLOAT32:
    case PTOOLS_FLOAT64:
        write_double(get_double(narrow, element), narrow, text);
        break;
    case PTOOLS_COMPLEX64:
    case PTOOLS_COMPLEX128:
        write_complex(get_double(narrow, element), get_double(narrow, (const char *)element + part), narrow, text);
        break;
    case PTOOLS_BOOLEAN:
        snprintf(text, ELEMENT_TEXT_BYTES, "%s", *(const uint8_t *)element ? "true" : "false");
        break;
    default:
        if (is_signed(type))
            snprintf(text, ELEMENT_TEXT_BYTES, "%" PRId64, (int64_t)get_bits(type, element));
        else
            snprintf(text, ELEMENT_TEXT_BYTES, "%" PRIu64, get_bits(type, element));
    }
    return text;
}

bool elements_are_bool(const void *data, uint64_t count, uint64_t *ret_index)
{
    const uint8_t *s = data;

    for (uint64_t i = 0; i < count; i++) {
        if (s[i] > 1) {
            *ret_index = i;
            return false;
        }
    }
    return true;
}

/* -- sums ------------------------------------------------------------------------------------------------ */

/* By Neumaier: what each addition loses is kept. The plain sum is what holds where infinities come in. */
struct running {
    double sum, lost;
};

static void add(struct running *r, double v)
{
    double sum = r->sum + v;

    r->lost += fabs(r->sum) >= fabs(v) ? r->sum - sum + v : v - sum + r->sum;
    r->sum = sum;
}

static double total(const struct running *r)
{
    return isfinite(r->sum) ? r->sum + r->lost : r->sum;
}

/* One loop for each type of C: a sum of 512 MiB is as fast as the memory is. Partial sums of 2^32 elements of 32 bits
 * fit into 64. */
#define SUM_WHOLE(type, partial)                                                                                       \
    do {                                                                                                               \
        const type *s = data;                                                                                          \
        for (uint64_t i = 0; i < count;) {                                                                             \
            const uint64_t until = count - i > UINT32_MAX ? i + UINT32_MAX : count;                                    \
            partial sum = 0;                                                                                           \
            for (; i < until; i++)                                                                                     \
                sum += s[i];                                                                                           \
            ret->whole += sum;                                                                                         \
        }                                                                                                              \
    } while (0)

__extension__ typedef __int128 wide;

static void sum_whole(ptools_type type, const void *data, uint64_t count, struct sum *ret)
{
    switch (type) {
    case PTOOLS_INT8:
        SUM_WHOLE(int8_t, int64_t);
        break;
    case PTOOLS_INT16:
        SUM_WHOLE(int16_t, int64_t);
        break;
    case PTOOLS_INT32:
        SUM_WHOLE(int32_t, int64_t);
        break;
    case PTOOLS_INT64:
        SUM_WHOLE(int64_t, wide);
        break;
    case PTOOLS_UINT16:
        SUM_WHOLE(uint16_t, uint64_t);
        break;
    case PTOOLS_UINT32:
        SUM_WHOLE(uint32_t, uint64_t);
        break;
    case PTOOLS_UINT64:
        SUM_WHOLE(uint64_t, wide);
        break;
    default: /* uint8, bool */
        SUM_WHOLE(uint8_t, uint64_t);
    }
}

#define SUM_FLOATS(type, n)                                                                                            \
    do {                                                                                                               \
        const type *s = data;                                                                                          \
        for (uint64_t i = 0; i < count; i++)                                                                           \
            for (size_t k = 0; k < (n); k++)                                                                           \
                add(&sums[k], (double)s[i * (n) + k]);                                                                 \
    } while (0)

static void sum_floats(ptools_type type, const void *data, uint64_t count, struct sum *ret)
{
    struct running sums[2] = { { 0 } };

    switch (type) {
    case PTOOLS_FLOAT32:
        SUM_FLOATS(float, 1);
        break;
    case PTOOLS_FLOAT64:
        SUM_FLOATS(double, 1);
        break;
    case PTOOLS_COMPLEX64:
        SUM_FLOATS(float, 2);
        break;
    default:
        SUM_FLOATS(double, 2);
    }
    ret->re = total(&sums[0]);
    ret->im = total(&sums[1]);
}

void elements_sum(ptools_type type, const void *data, uint64_t count, struct sum *ret)
{
    *ret = (struct sum){
        .exact = type <= PTOOLS_UINT64 || type == PTOOLS_BOOLEAN,
        .complex = type == PTOOLS_COMPLEX64 || type == PTOOLS_COMPLEX128,
    };
    if (ret->exact)
        sum_whole(type, data, count, ret);
    else
        sum_floats(type, data, count, ret);
}

const char *sum_text(const struct sum *sum, char text[ELEMENT_TEXT_BYTES])
{
    char digits[48], *s = digits + sizeof digits;
    wide v = sum->whole;

    if (sum->complex) {
        write_complex(sum->re, sum->im, false, text);
        return text;
    }
    if (!sum->exact) {
        write_double(sum->re, false, text);
        return text;
    }
    *--s = '\0';
    do {
        int digit = (int)(v % 10);

        *--s = (char)('0' + (digit < 0 ? -digit : digit));
        v /= 10;
    } while (v != 0);
    snprintf(text, ELEMENT_TEXT_BYTES, "%s%s", sum->whole < 0 ? "-" : "", s);
    return text;
}
