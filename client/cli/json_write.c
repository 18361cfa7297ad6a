/* SPDX-License-Identifier: MIT */
/*
 * json_write -- values to JSON, written as they are walked. See json.h.
 *
 * json-c builds a tree before it writes: that would copy a result of 100 MiB twice, merge two keys of a map that
 * look alike as text (1 and "1"), and cut a key at a NUL. So only the reading is left to it.
 *
 * The recursion is bounded: libptools takes no value that is nested deeper than 28.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/json.h"
#include "client/cli/words.h"

static void new_line(struct json_writer *w)
{
    if (w->pretty)
        fprintf(w->out, "\n%*s", (int)(2 * w->depth), "");
}

/* What stands before a key or an item. */
static void begin(struct json_writer *w)
{
    if (w->keyed) {
        w->keyed = false;
        return;
    }
    if (w->depth == 0)
        return;
    if (!w->empty)
        putc(',', w->out);
    w->empty = false;
    new_line(w);
}

void json_open(struct json_writer *w, char bracket)
{
    begin(w);
    putc(bracket, w->out);
    w->depth++;
    w->empty = true;
}

void json_close(struct json_writer *w, char bracket)
{
    w->depth--;
    if (!w->empty)
        new_line(w);
    w->empty = false;
    putc(bracket, w->out);
}

static bool is_plain(char c)
{
    return (unsigned char)c >= ' ' && c != '"' && c != '\\' && c != 0x7f;
}

static void escape(FILE *out, char c)
{
    static const char letters[] = "\bb\ff\nn\rr\tt\"\"\\\\";

    for (const char *letter = letters; *letter; letter += 2) {
        if (*letter == c) {
            fprintf(out, "\\%c", letter[1]);
            return;
        }
    }
    fprintf(out, "\\u%04x", (unsigned char)c);
}

static void quote(FILE *out, const char *s, size_t n)
{
    size_t from = 0;

    putc('"', out);
    for (size_t i = 0; i < n; i++) {
        if (is_plain(s[i]))
            continue;
        fwrite(s + from, 1, i - from, out);
        escape(out, s[i]);
        from = i + 1;
    }
    fwrite(s + from, 1, n - from, out);
    putc('"', out);
}

static void write_bytes(struct json_writer *w, const void *data, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *s = data;

    json_open(w, '{');
    json_key(w, "$bytes");
    begin(w);
    putc('"', w->out);
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)s[i] << 16 | (i + 1 < n ? (uint32_t)s[i + 1] << 8 : 0) | (i + 2 < n ? s[i + 2] : 0);

        putc(digits[v >> 18], w->out);
        putc(digits[v >> 12 & 63], w->out);
        putc(i + 1 < n ? digits[v >> 6 & 63] : '=', w->out);
        putc(i + 2 < n ? digits[v & 63] : '=', w->out);
    }
    putc('"', w->out);
    json_close(w, '}');
}

void json_put_text(struct json_writer *w, const char *s, size_t n)
{
    if (!words_utf8(s, n)) {
        write_bytes(w, s, n);
        return;
    }
    begin(w);
    quote(w->out, n ? s : "", n); /* s is NULL where msgpack has an empty one */
}

void json_put_string(struct json_writer *w, const char *text)
{
    json_put_text(w, text, strlen(text));
}

static void write_key(struct json_writer *w, const char *key, size_t n)
{
    begin(w);
    quote(w->out, n ? key : "", n);
    fputs(w->pretty ? ": " : ":", w->out);
    w->keyed = true;
}

void json_key(struct json_writer *w, const char *key)
{
    write_key(w, key, strlen(key));
}

void json_put_bool(struct json_writer *w, bool yes)
{
    begin(w);
    fputs(yes ? "true" : "false", w->out);
}

void json_put_i64(struct json_writer *w, int64_t v)
{
    begin(w);
    fprintf(w->out, "%" PRId64, v);
}

void json_put_u64(struct json_writer *w, uint64_t v)
{
    begin(w);
    fprintf(w->out, "%" PRIu64, v);
}

void json_put_number(struct json_writer *w, const char *digits)
{
    begin(w);
    fputs(digits, w->out);
}

void json_put_f64(struct json_writer *w, double v)
{
    char text[40];

    if (!isfinite(v)) {
        json_put_string(w, isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    begin(w);
    fputs(text, w->out);
    if (!strpbrk(text, ".e"))
        fputs(".0", w->out); /* still a float when it is read again */
}

static void write_int(struct json_writer *w, ptools_value v)
{
    uint64_t u;
    int64_t i;

    if (ptools_get_i64(v, &i) == PTOOLS_OK)
        json_put_i64(w, i);
    else if (ptools_get_u64(v, &u) == PTOOLS_OK)
        json_put_u64(w, u);
}

/* Keys of other kinds than strings (and strings that are not UTF-8) become the text of their JSON. */
static void write_key_value(struct json_writer *w, ptools_value key)
{
    const char *s;
    char *text = NULL;
    size_t n;
    struct json_writer inner = { 0 };

    if (ptools_get_str(key, &s, &n) == PTOOLS_OK && words_utf8(s, n)) {
        write_key(w, s, n);
        return;
    }
    inner.out = open_memstream(&text, &n);
    if (inner.out)
        json_put_value(&inner, key);
    if (!inner.out || fclose(inner.out) != 0 || inner.no_memory)
        w->no_memory = true;
    else
        write_key(w, text, n);
    free(text);
}

void json_put_value(struct json_writer *w, ptools_value v)
{
    ptools_value item, key;
    const void *data;
    const char *s;
    uint32_t count;
    bool yes;
    double f;
    size_t n;

    switch (ptools_value_kind(v)) {
    case PTOOLS_BOOL:
        if (ptools_get_bool(v, &yes) == PTOOLS_OK)
            json_put_bool(w, yes);
        return;
    case PTOOLS_INT:
        write_int(w, v);
        return;
    case PTOOLS_FLOAT:
        if (ptools_get_f64(v, &f) == PTOOLS_OK)
            json_put_f64(w, f);
        return;
    case PTOOLS_STR:
        if (ptools_get_str(v, &s, &n) == PTOOLS_OK)
            json_put_text(w, s, n);
        return;
    case PTOOLS_BYTES:
        if (ptools_get_bytes(v, &data, &n) == PTOOLS_OK)
            write_bytes(w, data, n);
        return;
    case PTOOLS_LIST:
        json_open(w, '[');
        if (ptools_get_count(v, &count) == PTOOLS_OK)
            for (uint32_t i = 0; i < count && ptools_get_item(v, i, &item) == PTOOLS_OK; i++)
                json_put_value(w, item);
        json_close(w, ']');
        return;
    case PTOOLS_MAP:
        json_open(w, '{');
        if (ptools_get_count(v, &count) == PTOOLS_OK) {
            for (uint32_t i = 0; i < count && ptools_get_pair(v, i, &key, &item) == PTOOLS_OK; i++) {
                write_key_value(w, key);
                json_put_value(w, item);
            }
        }
        json_close(w, '}');
        return;
    case PTOOLS_NIL:
    case PTOOLS_KIND_WIDTH_:
        break;
    }
    begin(w);
    fputs("null", w->out);
}
