/* SPDX-License-Identifier: MIT */
/*
 * json_read -- JSON to values: json-c parses, this file sees to what json-c lets pass. See json.h.
 *
 * Even its strict mode takes NaN, -01, 1. and control characters in strings, overlong forms for UTF-8, turns an integer
 * that is too large into the largest, and cuts a key at a NUL. So the text is looked over once more after the parse, when
 * its structure is known to be sound: what is no JSON after all is JSON_NOT, what cannot be held is JSON_CANNOT.
 */
#include "client/cli/json.h"

#include <errno.h>
#include <json-c/json.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/words.h"

enum { DEPTH_MAX = 32 }; /* more than the 28 that libptools takes, whose message tells the limit */

/* -- the second look ------------------------------------------------------------------------------ */

static size_t digits(const char *s)
{
    return strspn(s, "0123456789");
}

/* A number by the grammar of JSON, and whether it fits. */
static int look_number(const char **text, char why[JSON_WHY_BYTES])
{
    const char *begin = *text, *s = begin + (*begin == '-');
    size_t n = digits(s);
    bool whole = true, fits;

    if (n == 0 || (n > 1 && *s == '0'))
        return JSON_NOT;
    s += n;
    if (*s == '.') {
        whole = false;
        n = digits(++s);
        s += n;
    }
    if (n > 0 && (*s == 'e' || *s == 'E')) {
        whole = false;
        s += 1 + (s[1] == '+' || s[1] == '-');
        n = digits(s);
        s += n;
    }
    if (n == 0)
        return JSON_NOT;
    errno = 0;
    if (!whole)
        fits = isfinite(strtod(begin, NULL));
    else if (*begin == '-')
        fits = strtoll(begin, NULL, 10) <= 0 && errno == 0;
    else
        fits = strtoull(begin, NULL, 10) <= UINT64_MAX && errno == 0;
    if (!fits) {
        snprintf(why, JSON_WHY_BYTES, "the number %.*s%s does not fit into %s", (int)(s - begin < 40 ? s - begin : 40),
                 begin, s - begin < 40 ? "" : "...", whole ? "64 bits" : "a double");
        return JSON_CANNOT;
    }
    *text = s;
    return 0;
}

/* A string, from its opening quote to behind the closing one. */
static int look_string(const char **text, char why[JSON_WHY_BYTES])
{
    const char *s;
    bool nul = false;

    for (s = *text + 1; *s != '"'; s++) {
        if ((unsigned char)*s < ' ')
            return JSON_NOT;
        if (*s == '\\') {
            s++;
            nul = nul || strncmp(s, "u0000", 5) == 0;
        }
    }
    s++;
    *text = s;
    if (nul && s[strspn(s, " \t\r\n")] == ':') {
        snprintf(why, JSON_WHY_BYTES, "a key has \\u0000 in it");
        return JSON_CANNOT;
    }
    return 0;
}

static int look(const char *s, char why[JSON_WHY_BYTES])
{
    int r = 0;

    while (*s && r == 0) {
        if (*s == '"')
            r = look_string(&s, why);
        else if (*s == '-' || digits(s) > 0)
            r = look_number(&s, why);
        else if (*s == 'N' || *s == 'I')
            r = JSON_NOT; /* NaN, Infinity */
        else
            s++;
    }
    return r;
}

/* -- {"$bytes": "BASE64"} -------------------------------------------------------------------------- */

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The number of bytes written to out, which has room for n / 4 * 3; -1: not base64. */
static ssize_t decode(const char *s, size_t n, uint8_t *out)
{
    size_t used = 0, padding = n >= 4 && s[n - 1] == '=' ? 1 + (s[n - 2] == '=') : 0;
    uint32_t bits = 0;

    if (n % 4 != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        int v = i < n - padding ? sextet(s[i]) : 0;

        if (v < 0)
            return -1;
        bits = bits << 6 | (uint32_t)v;
        if (i % 4 == 3) {
            out[used++] = (uint8_t)(bits >> 16);
            out[used++] = (uint8_t)(bits >> 8);
            out[used++] = (uint8_t)bits;
        }
    }
    return (ssize_t)(used - padding);
}

static struct json_object *as_bytes(struct json_object *o)
{
    struct json_object *text;

    if (json_object_object_length(o) == 1 && json_object_object_get_ex(o, "$bytes", &text) &&
        json_object_is_type(text, json_type_string))
        return text;
    return NULL;
}

static int append_bytes(struct json_object *text, ptools_pack *pack, char why[JSON_WHY_BYTES])
{
    size_t n = (size_t)json_object_get_string_len(text);
    uint8_t *data = malloc(n + 1);
    ssize_t used;

    if (!data)
        return -ENOMEM;
    used = decode(json_object_get_string(text), n, data);
    if (used >= 0)
        ptools_pack_bytes(pack, data, (size_t)used);
    else
        snprintf(why, JSON_WHY_BYTES, "the text of $bytes is not base64 (with its padding, without spaces)");
    free(data);
    return used >= 0 ? 0 : JSON_CANNOT;
}

/* -- the tree, appended ---------------------------------------------------------------------------- */

static void append_int(struct json_object *o, ptools_pack *pack)
{
    if (json_object_get_int64(o) < 0)
        ptools_pack_i64(pack, json_object_get_int64(o));
    else
        ptools_pack_u64(pack, json_object_get_uint64(o));
}

int json_append(struct json_object *o, ptools_pack *pack, char why[JSON_WHY_BYTES])
{
    int r = 0;

    switch (json_object_get_type(o)) {
    case json_type_null:
        ptools_pack_nil(pack);
        break;
    case json_type_boolean:
        ptools_pack_bool(pack, json_object_get_boolean(o));
        break;
    case json_type_int:
        append_int(o, pack);
        break;
    case json_type_double:
        ptools_pack_f64(pack, json_object_get_double(o));
        break;
    case json_type_string:
        ptools_pack_strn(pack, json_object_get_string(o), (size_t)json_object_get_string_len(o));
        break;
    case json_type_array:
        ptools_pack_list(pack, (uint32_t)json_object_array_length(o));
        return json_append_items(o, pack, why);
    case json_type_object:
        if (as_bytes(o))
            return append_bytes(as_bytes(o), pack, why);
        ptools_pack_map(pack, (uint32_t)json_object_object_length(o));
        json_object_object_foreach(o, key, item) {
            if (r == 0) {
                ptools_pack_str(pack, key);
                r = json_append(item, pack, why);
            }
        }
        break;
    }
    return r;
}

int json_append_items(struct json_object *list, ptools_pack *pack, char why[JSON_WHY_BYTES])
{
    int r = 0;

    for (size_t i = 0; i < json_object_array_length(list) && r == 0; i++)
        r = json_append(json_object_array_get_idx(list, i), pack, why);
    return r;
}

int json_parse(const char *text, struct json_object **ret, char why[JSON_WHY_BYTES])
{
    struct json_tokener *tokener;
    struct json_object *o;
    enum json_tokener_error error;
    size_t space = strspn(text, " \t\r\n");
    int r;

    /* Most arguments are words, known by their first byte: no parser for them. */
    if (strcspn(text + space, "{[\"-0123456789tfn") != 0 || text[space] == '\0')
        return JSON_NOT;
    tokener = json_tokener_new_ex(DEPTH_MAX);
    if (!tokener)
        return -ENOMEM;
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    o = json_tokener_parse_ex(tokener, text, -1);
    error = json_tokener_get_error(tokener);
    json_tokener_free(tokener);
    if (error == json_tokener_error_depth) {
        snprintf(why, JSON_WHY_BYTES, "it is nested deeper than %d", DEPTH_MAX);
        r = JSON_CANNOT;
    } else if (error != json_tokener_success) {
        r = JSON_NOT;
    } else {
        r = words_utf8(text, strlen(text)) ? look(text, why) : JSON_NOT;
    }
    if (r != 0)
        json_object_put(o);
    else
        *ret = o;
    return r;
}

int json_read(const char *text, ptools_pack *pack, char why[JSON_WHY_BYTES])
{
    struct json_object *o;
    int r = json_parse(text, &o, why);

    if (r != 0)
        return r;
    r = json_append(o, pack, why);
    json_object_put(o);
    return r;
}
