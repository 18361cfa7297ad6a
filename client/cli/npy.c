/* SPDX-License-Identifier: MIT */
/*
 * npy -- see npy.h. The format: numpy.lib.format.
 *
 * A file begins with "\x93NUMPY", two bytes of version, and the length of the text that follows, little-endian, in 2
 * bytes (version 1) or 4. The text is a dictionary as Python writes it,
 *
 *     {'descr': '<f8', 'fortran_order': False, 'shape': (1000, 10), }
 *
 * filled up with spaces and ended by a newline so that the elements begin at a multiple of 64. It is read by a parser
 * that knows the three keys and their three kinds of value, in any order and spacing, and nothing else of Python.
 */
#include "client/cli/npy.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAGIC_BYTES = 6, ALIGN = 64 };
static const uint8_t magic[MAGIC_BYTES] = { 0x93, 'N', 'U', 'M', 'P', 'Y' };

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "elements are written as they lie in memory, and said to be little-endian"
#endif

static const char *const codes[] = {
    [PTOOLS_INT8] = "|i1",    [PTOOLS_UINT8] = "|u1",   [PTOOLS_INT16] = "<i2",     [PTOOLS_UINT16] = "<u2",
    [PTOOLS_INT32] = "<i4",   [PTOOLS_UINT32] = "<u4",  [PTOOLS_INT64] = "<i8",     [PTOOLS_UINT64] = "<u8",
    [PTOOLS_FLOAT32] = "<f4", [PTOOLS_FLOAT64] = "<f8", [PTOOLS_COMPLEX64] = "<c8", [PTOOLS_COMPLEX128] = "<c16",
    [PTOOLS_BOOLEAN] = "|b1",
};

bool npy_is(const void *data, size_t n)
{
    return n >= MAGIC_BYTES && memcmp(data, magic, MAGIC_BYTES) == 0;
}

/* -- writing ---------------------------------------------------------------------------------------- */

size_t npy_write(const struct shape *s, char ret[NPY_HEADER_BYTES])
{
    enum { BEFORE = MAGIC_BYTES + 4 };
    char *text = ret + BEFORE;
    const size_t room = NPY_HEADER_BYTES - BEFORE;
    size_t n, whole;

    n = (size_t)snprintf(text, room, "{'descr': '%s', 'fortran_order': %s, 'shape': (", codes[s->type],
                         s->order == PTOOLS_COLUMN_MAJOR ? "True" : "False");
    for (uint32_t i = 0; i < s->ndims; i++)
        n += (size_t)snprintf(text + n, room - n, "%s%" PRIu64, i ? ", " : "", s->dims[i]);
    n += (size_t)snprintf(text + n, room - n, "%s), }", s->ndims == 1 ? "," : "");
    whole = (BEFORE + n + 1 + ALIGN - 1) / ALIGN * ALIGN;
    memset(text + n, ' ', whole - BEFORE - n);
    ret[whole - 1] = '\n';
    memcpy(ret, magic, MAGIC_BYTES);
    ret[6] = 1;
    ret[7] = 0;
    ret[8] = (char)((whole - BEFORE) & 0xff);
    ret[9] = (char)((whole - BEFORE) >> 8);
    return whole;
}

/* -- reading ---------------------------------------------------------------------------------------- */

bool npy_start(const void *data, size_t n, size_t *ret_bytes, char why[NPY_WHY_BYTES])
{
    const uint8_t *s = data;
    size_t before, length;

    if (!npy_is(data, n) || n < MAGIC_BYTES + 4) {
        snprintf(why, NPY_WHY_BYTES,
                 npy_is(data, n) ? "it ends within its header" : "it does not begin as a .npy file does");
        return false;
    }
    if (s[6] < 1 || s[6] > 3) {
        snprintf(why, NPY_WHY_BYTES, "it is of version %d.%d of the format; known are 1 to 3", s[6], s[7]);
        return false;
    }
    before = s[6] == 1 ? MAGIC_BYTES + 4 : MAGIC_BYTES + 6;
    if (n < before) {
        snprintf(why, NPY_WHY_BYTES, "it ends within its header");
        return false;
    }
    length = s[8] | (size_t)s[9] << 8;
    if (s[6] > 1)
        length |= (size_t)s[10] << 16 | (size_t)s[11] << 24;
    if (length > NPY_HEADER_BYTES_MAX) {
        snprintf(why, NPY_WHY_BYTES, "its header is to have %zu bytes; at most %d are read", length,
                 NPY_HEADER_BYTES_MAX);
        return false;
    }
    *ret_bytes = before + length;
    return true;
}

/* What is left of the text, and what was found so far. */
struct parser {
    const char *s, *end;
    struct shape shape;
    bool descr, order, dims;
    char *why;
};

static bool fail(struct parser *p, const char *format, ...) __attribute__((__format__(__printf__, 2, 3)));
static bool fail(struct parser *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(p->why, NPY_WHY_BYTES, format, args);
    va_end(args);
    return false;
}

static bool malformed(struct parser *p)
{
    return fail(p, "its header is not {'descr': ..., 'fortran_order': ..., 'shape': ...}");
}

static void skip_space(struct parser *p)
{
    while (p->s < p->end && (*p->s == ' ' || *p->s == '\t' || *p->s == '\n' || *p->s == '\r'))
        p->s++;
}

/* Takes c, and space before it. */
static bool take(struct parser *p, char c)
{
    skip_space(p);
    if (p->s == p->end || *p->s != c)
        return false;
    p->s++;
    return true;
}

static bool take_word(struct parser *p, const char *word)
{
    size_t n = strlen(word);

    skip_space(p);
    if ((size_t)(p->end - p->s) < n || memcmp(p->s, word, n) != 0)
        return false;
    p->s += n;
    return true;
}

/* 'text' or "text", without escapes. */
static bool take_string(struct parser *p, const char **ret, size_t *ret_n)
{
    const char *close;

    skip_space(p);
    if (p->s == p->end || (*p->s != '\'' && *p->s != '"'))
        return false;
    close = memchr(p->s + 1, *p->s, (size_t)(p->end - p->s - 1));
    if (!close || memchr(p->s, '\\', (size_t)(close - p->s)))
        return false;
    *ret = p->s + 1;
    *ret_n = (size_t)(close - p->s - 1);
    p->s = close + 1;
    return true;
}

/* numpy writes "|" where there is no order of bytes; "<" means the same there. */
static ptools_type type_of(const char *code, size_t n)
{
    for (int i = PTOOLS_INT8; i <= PTOOLS_BOOLEAN; i++)
        if (strlen(codes[i]) == n && memcmp(codes[i] + 1, code + 1, n - 1) == 0 &&
            (code[0] == '<' || code[0] == codes[i][0]))
            return (ptools_type)i;
    return (ptools_type)0;
}

static bool take_descr(struct parser *p)
{
    const char *code;
    char shown[24] = "";
    size_t n;

    skip_space(p);
    if (p->s < p->end && *p->s == '[')
        return fail(p, "its elements are records; an array has numbers of one type");
    if (!take_string(p, &code, &n))
        return malformed(p);
    p->shape.type = n > 1 ? type_of(code, n) : (ptools_type)0;
    if (p->shape.type)
        return true;
    for (size_t i = 0; i < n && i < sizeof shown - 1; i++)
        shown[i] = code[i] > ' ' && code[i] < 0x7f ? code[i] : '?';
    if (n > 1 && code[0] == '>' && n < sizeof shown) {
        char other[sizeof shown];

        memcpy(other, code, n);
        other[0] = '<';
        if (type_of(other, n))
            return fail(p, "its elements are big-endian ('%s'); only little-endian ones are taken", shown);
    }
    return fail(p, "its elements are of type '%s'; an array has <i1 to <i8, <u1 to <u8, <f4, <f8, <c8, <c16 or |b1",
                shown);
}

static bool take_order(struct parser *p)
{
    if (take_word(p, "True"))
        p->shape.order = PTOOLS_COLUMN_MAJOR;
    else if (take_word(p, "False"))
        p->shape.order = PTOOLS_ROW_MAJOR;
    else
        return malformed(p);
    return true;
}

static bool take_number(struct parser *p, uint64_t *ret)
{
    const char *begin;

    skip_space(p);
    *ret = 0;
    for (begin = p->s; p->s < p->end && *p->s >= '0' && *p->s <= '9'; p->s++)
        if (__builtin_mul_overflow(*ret, 10, ret) || __builtin_add_overflow(*ret, (uint64_t)(*p->s - '0'), ret))
            return fail(p, "its dimensions multiply to more bytes than can be");
    if (p->s == begin)
        return malformed(p);
    if (p->s < p->end && *p->s == 'L') /* as Python 2 wrote it */
        p->s++;
    return true;
}

static bool take_dims(struct parser *p)
{
    if (!take(p, '('))
        return malformed(p);
    for (p->shape.ndims = 0; !take(p, ')'); p->shape.ndims++) {
        if (p->shape.ndims == PTOOLS_DIMS_MAX)
            return fail(p, "it has more than %d dimensions", PTOOLS_DIMS_MAX);
        if (!take_number(p, &p->shape.dims[p->shape.ndims]))
            return false;
        if (take(p, ','))
            continue;
        if (!take(p, ')') || p->shape.ndims == 0) /* (3) is no tuple */
            return malformed(p);
        p->shape.ndims++;
        break;
    }
    return p->shape.ndims > 0 ||
           fail(p, "it holds a single value without dimensions; an array has 1 to %d", PTOOLS_DIMS_MAX);
}

static bool take_pair(struct parser *p)
{
    static const struct {
        const char *name;
        size_t seen;
        bool (*take)(struct parser *p);
    } keys[] = {
        { "descr", offsetof(struct parser, descr), take_descr },
        { "fortran_order", offsetof(struct parser, order), take_order },
        { "shape", offsetof(struct parser, dims), take_dims },
    };
    const char *key;
    size_t n;

    if (!take_string(p, &key, &n) || !take(p, ':'))
        return malformed(p);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        bool *seen = (bool *)((char *)p + keys[i].seen);

        if (strlen(keys[i].name) != n || memcmp(keys[i].name, key, n) != 0 || *seen)
            continue;
        *seen = true;
        return keys[i].take(p);
    }
    return malformed(p);
}

bool npy_read(const void *data, size_t bytes, struct shape *ret, char why[NPY_WHY_BYTES])
{
    struct parser p = { .why = why };
    size_t whole;

    if (!npy_start(data, bytes, &whole, why))
        return false;
    if (whole != bytes)
        return fail(&p, "it ends within its header");
    p.s = (const char *)data + MAGIC_BYTES + (((const uint8_t *)data)[6] == 1 ? 4 : 6);
    p.end = (const char *)data + bytes;
    if (!take(&p, '{'))
        return malformed(&p);
    while (!take(&p, '}')) {
        if (!take_pair(&p))
            return false;
        if (take(&p, ','))
            continue;
        if (!take(&p, '}'))
            return malformed(&p);
        break;
    }
    skip_space(&p);
    if (p.s != p.end || !p.descr || !p.order || !p.dims)
        return malformed(&p);
    if (!shape_size(&p.shape, NULL, NULL, why))
        return false;
    *ret = p.shape;
    return true;
}
