/* SPDX-License-Identifier: MIT */
/*
 * envelope -- envelopes in: how a frame is taken apart, whatever its kind. The way out is envelope_encode.c.
 *
 * Decoding goes by steps, each of which bounds the next: the list's header and its first three
 * elements (version, kind, id) are read one by one, so that a message whose rest is from another
 * time, too large or broken can still be answered by its id; then the body is scanned (scan.h), then
 * msgpack-c unpacks it into a zone that is kept, then a table of fields fills the struct. A key that
 * the table does not know is skipped, one that comes twice is refused. Nothing of *ret is touched
 * before all is well. Nothing is allocated: the zone's chunk is enough for any envelope, so that what was decoded once
 * can be decoded again. (Memory of which nothing is used costs none.)
 *
 * What came from the peer is quoted in a problem's text escaped and cut.
 */
#include "proto/envelope.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/scan.h"
#include "proto/text.h"
#include "proto/value.h"

enum {
    QUOTE_BYTES_MAX = 24,
    /* Of the zone's only chunk: for all values of the largest envelope, and of the three that come before its body. */
    ZONE_BYTES = (ENVELOPE_ITEMS_MAX + 16) * sizeof(msgpack_object)
};

struct msg_decoder {
    msgpack_zone zone;
    uint32_t members[SET_MEMBERS_MAX];
    uint64_t ids[TASK_IDS_MAX];
    struct text hosts[HOSTS_MAX], tags[TAGS_MAX];
};

struct msg_decoder *msg_decoder_new(void)
{
    struct msg_decoder *d = malloc(sizeof *d);

    if (!d)
        return NULL;
    if (!msgpack_zone_init(&d->zone, ZONE_BYTES)) {
        free(d);
        return NULL;
    }
    return d;
}

struct msg_decoder *msg_decoder_free(struct msg_decoder *d)
{
    if (d)
        msgpack_zone_destroy(&d->zone);
    free(d);
    return NULL;
}

/* -- problems ------------------------------------------------------------------------------------- */

int envelope_problem(struct msg_problem *ret_problem, ptools_err code, uint64_t id, const char *format, ...)
{
    va_list ap;

    ret_problem->code = code;
    ret_problem->id = id;
    va_start(ap, format);
    vsnprintf(ret_problem->text, sizeof ret_problem->text, format, ap);
    va_end(ap);
    return 1;
}

/* A value of the peer's, in few printable bytes. */
struct described {
    char s[4 * QUOTE_BYTES_MAX + 8];
};

static struct described quote(const char *s, size_t n)
{
    struct described d = { "\"" };
    size_t end = 1;

    for (size_t i = 0; i < n && i < QUOTE_BYTES_MAX; i++) {
        uint8_t c = (uint8_t)s[i];
        bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';

        end += (size_t)snprintf(d.s + end, sizeof d.s - end, plain ? "%c" : "\\x%02x", c);
    }
    snprintf(d.s + end, sizeof d.s - end, "\"%s", n > QUOTE_BYTES_MAX ? "..." : "");
    return d;
}

static struct described describe(const msgpack_object *o)
{
    struct described d;

    if (o->type == MSGPACK_OBJECT_STR)
        return quote(o->via.str.ptr, o->via.str.size);
    if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
        snprintf(d.s, sizeof d.s, "%" PRIu64, o->via.u64);
    else if (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        snprintf(d.s, sizeof d.s, "%" PRId64, o->via.i64);
    else if (o->type == MSGPACK_OBJECT_BOOLEAN)
        snprintf(d.s, sizeof d.s, "%s", o->via.boolean ? "true" : "false");
    else
        snprintf(d.s, sizeof d.s, "a value of type %s", ptools_kind_name(ptools_value_kind((ptools_value){ o })));
    return d;
}

/* -- taking an envelope apart ----------------------------------------------------------------------- */

/* The header of a list at the front: its count, and the bytes of the header; false: there is none. */
static bool list_header(const uint8_t *data, size_t n, uint32_t *ret_count, size_t *ret_bytes)
{
    size_t more; /* bytes of the count */

    if (n > 0 && (data[0] & 0xf0) == 0x90) {
        *ret_count = data[0] & 0x0f;
        *ret_bytes = 1;
        return true;
    }
    if (n == 0 || (data[0] != 0xdc && data[0] != 0xdd))
        return false;
    more = data[0] == 0xdc ? 2 : 4;
    if (n < 1 + more)
        return false;
    *ret_count = 0;
    for (size_t i = 1; i <= more; i++)
        *ret_count = *ret_count << 8 | data[i];
    *ret_bytes = 1 + more;
    return true;
}

/* Takes a value that is neither list nor map from the front; false: there is none. */
static bool take_scalar(struct msg_decoder *d, const uint8_t **data, size_t *n, msgpack_object *ret)
{
    static const struct scan_limits scalar = { .depth = 0, .items = 1 };
    size_t bytes, off = 0;

    if (scan_prefix(*data, *n, &scalar, &bytes, NULL) != SCAN_OK)
        return false;
    if (msgpack_unpack((const char *)*data, bytes, &off, &d->zone, ret) != MSGPACK_UNPACK_SUCCESS)
        return false;
    *data += bytes;
    *n -= bytes;
    return true;
}

static bool text_equals(const msgpack_object_str *s, const char *word)
{
    /* the first byte tells most of them apart; a text of the wire may hold NUL bytes */
    return s->size > 0 && word[0] == s->ptr[0] && strlen(word) == s->size && memcmp(word, s->ptr, s->size) == 0;
}

static int unknown_kind(const msgpack_object *o, enum msg_kind first, enum msg_kind last, uint64_t id,
                        struct msg_problem *ret_problem)
{
    char known[448] = "";
    size_t n = 0;

    for (enum msg_kind k = first; k <= last; k++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", k == first ? "" : ", ", msg_kind_name(k));
    return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, id, "kind must be one of %s; it is %s", known,
                            describe(o).s);
}

int envelope_decode(struct msg_decoder *d, const uint8_t *data, size_t n, enum msg_kind first, enum msg_kind last,
                    struct envelope *ret, struct msg_problem *ret_problem)
{
    static const struct scan_limits limits = { ENVELOPE_DEPTH_MAX - 1, ENVELOPE_ITEMS_MAX };
    msgpack_object version, kind, id, body;
    enum scan_result scanned;
    uint64_t known_id;
    uint32_t count;
    size_t bytes, off = 0;
    size_t whole = n;
    enum msg_kind k;

    msgpack_zone_clear(&d->zone);
    if (!list_header(data, n, &count, &bytes))
        return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, 0,
                                "the envelope must be the msgpack list [version, kind, id, body]");
    data += bytes;
    n -= bytes;
    if (count < 3 || !take_scalar(d, &data, &n, &version) || !take_scalar(d, &data, &n, &kind) ||
        !take_scalar(d, &data, &n, &id))
        return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, 0,
                                "the envelope must begin with version (an integer), kind (a string), id (an integer)");
    known_id = id.type == MSGPACK_OBJECT_POSITIVE_INTEGER ? id.via.u64 : 0;

    if (version.type != MSGPACK_OBJECT_POSITIVE_INTEGER || version.via.u64 < PROTOCOL_VERSION_MIN ||
        version.via.u64 > PROTOCOL_VERSION_MAX)
        return envelope_problem(ret_problem, PTOOLS_ERR_VERSION, known_id,
                                "protocol versions %u to %u are spoken here; the message's version is %s",
                                PROTOCOL_VERSION_MIN, PROTOCOL_VERSION_MAX, describe(&version).s);
    if (id.type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, 0,
                                "id must be an integer from 1 to %" PRIu64 "; it is %s", UINT64_MAX, describe(&id).s);
    for (k = first; k <= last; k++)
        if (kind.type == MSGPACK_OBJECT_STR && text_equals(&kind.via.str, msg_kind_name(k)))
            break;
    if (k > last)
        return unknown_kind(&kind, first, last, known_id, ret_problem);
    if (whole > ENVELOPE_BYTES_MAX)
        return envelope_problem(ret_problem, PTOOLS_ERR_LIMIT, known_id,
                                "%s: the envelope has %zu bytes; at most %u are allowed", msg_kind_name(k), whole,
                                ENVELOPE_BYTES_MAX);
    if (count != 4)
        return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, known_id,
                                "%s: the envelope must have 4 elements; it has %" PRIu32, msg_kind_name(k), count);
    scanned = scan_value(data, n, &limits);
    if (scanned == SCAN_TOO_DEEP || scanned == SCAN_TOO_MANY)
        return envelope_problem(ret_problem, PTOOLS_ERR_LIMIT, known_id,
                                "%s: the body is not accepted: %s; an envelope has at most %u values, nested %u deep",
                                msg_kind_name(k), scan_text(scanned), ENVELOPE_ITEMS_MAX, ENVELOPE_DEPTH_MAX);
    if (scanned != SCAN_OK)
        return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, known_id, "%s: the body is not accepted: %s",
                                msg_kind_name(k), scan_text(scanned));
    /* What the scan let pass is well-formed: memory is all that can be missing. */
    if (msgpack_unpack((const char *)data, n, &off, &d->zone, &body) != MSGPACK_UNPACK_SUCCESS)
        return -ENOMEM;
    if (body.type != MSGPACK_OBJECT_MAP)
        return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, known_id, "%s: the body must be a map; it is %s",
                                msg_kind_name(k), describe(&body).s);
    *ret = (struct envelope){ .kind = k, .id = known_id, .body = body.via.map };
    return 0;
}

/* -- fields in -------------------------------------------------------------------------------------- */

static void *member(void *base, size_t offset)
{
    return (char *)base + offset;
}

static bool get_integer(const msgpack_object *o, uint64_t min, uint64_t max, uint64_t *ret)
{
    if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || o->via.u64 < min || o->via.u64 > max)
        return false;
    *ret = o->via.u64;
    return true;
}

static bool get_u32(const msgpack_object *o, uint64_t min, uint64_t max, uint32_t *ret)
{
    uint64_t v;

    if (!get_integer(o, min, max, &v))
        return false;
    *ret = (uint32_t)v;
    return true;
}

static bool get_text(const msgpack_object *o, uint64_t max, struct text *ret)
{
    if (o->type != MSGPACK_OBJECT_STR || o->via.str.size > max)
        return false;
    *ret = (struct text){ o->via.str.ptr, o->via.str.size };
    return true;
}

static bool get_set_name(const msgpack_object *o, struct text *ret)
{
    return o->type == MSGPACK_OBJECT_STR && name_ok_set(o->via.str.ptr, o->via.str.size) &&
           get_text(o, NAME_BYTES_MAX, ret);
}

/* A list of at least one number; *ret_n is how many. */
static bool is_list(const msgpack_object *o, uint32_t max, uint32_t *ret_n)
{
    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size < 1 || o->via.array.size > max)
        return false;
    *ret_n = o->via.array.size;
    return true;
}

static bool get_u32s(struct msg_decoder *d, const msgpack_object *o, uint32_t max_n, uint64_t min, uint64_t max,
                     uint32_t **ret, uint32_t *ret_n)
{
    if (!is_list(o, max_n, ret_n))
        return false;
    for (uint32_t i = 0; i < *ret_n; i++)
        if (!get_u32(&o->via.array.ptr[i], min, max, &d->members[i]))
            return false;
    *ret = d->members;
    return true;
}

static bool get_u64s(const msgpack_object *o, uint32_t max_n, uint64_t min, uint64_t *ret, uint32_t *ret_n)
{
    if (!is_list(o, max_n, ret_n))
        return false;
    for (uint32_t i = 0; i < *ret_n; i++)
        if (!get_integer(&o->via.array.ptr[i], min, UINT64_MAX, &ret[i]))
            return false;
    return true;
}

static bool get_type(const msgpack_object *o, uint32_t *ret)
{
    if (o->type != MSGPACK_OBJECT_STR)
        return false;
    for (uint32_t type = 1; ptools_type_bytes((ptools_type)type) != 0; type++) {
        if (!text_equals(&o->via.str, ptools_type_name((ptools_type)type)))
            continue;
        *ret = type;
        return true;
    }
    return false;
}

/* Which of the words it is, from 1; 0: none. */
static uint32_t word_number(const msgpack_object *o, const char *const *words)
{
    if (o->type != MSGPACK_OBJECT_STR)
        return 0;
    for (uint32_t i = 0; words[i]; i++)
        if (text_equals(&o->via.str, words[i]))
            return i + 1;
    return 0;
}

static bool get_choices(const struct field *f, const msgpack_object *o, uint32_t *ret)
{
    uint32_t n, bits = 0;

    if (!is_list(o, 32, &n))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t number = word_number(&o->via.array.ptr[i], f->words);

        if (number == 0)
            return false;
        bits |= UINT32_C(1) << (f->min + number - 1);
    }
    *ret = bits;
    return true;
}

static bool get_texts(const msgpack_object *o, uint32_t max_n, bool (*ok)(const char *s, size_t n), struct text *texts,
                      struct text **ret, uint32_t *ret_n)
{
    if (!is_list(o, max_n, ret_n))
        return false;
    for (uint32_t i = 0; i < *ret_n; i++) {
        const msgpack_object *t = &o->via.array.ptr[i];

        if (t->type != MSGPACK_OBJECT_STR || !ok(t->via.str.ptr, t->via.str.size))
            return false;
        texts[i] = (struct text){ t->via.str.ptr, t->via.str.size };
    }
    *ret = texts;
    return true;
}

static bool get_f64(const msgpack_object *o, double *ret)
{
    if (o->type == MSGPACK_OBJECT_FLOAT32 || o->type == MSGPACK_OBJECT_FLOAT64)
        *ret = o->via.f64;
    else if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
        *ret = (double)o->via.u64;
    else if (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        *ret = (double)o->via.i64;
    else
        return false;
    return !isnan(*ret);
}

/* False: the value is not what the field may hold. */
static bool field_get(struct msg_decoder *d, const struct field *f, const msgpack_object *o, void *base)
{
    void *at = member(base, f->at), *beside = member(base, f->beside);
    struct text module, function;

    switch (f->type) {
    case FIELD_U32:
        return get_u32(o, f->min, f->max, at);
    case FIELD_U64:
        return get_integer(o, f->min, f->max, at);
    case FIELD_BOOL:
        if (o->type != MSGPACK_OBJECT_BOOLEAN)
            return false;
        *(bool *)at = o->via.boolean;
        return true;
    case FIELD_TEXT:
    case FIELD_STORY:
        return get_text(o, f->max, at);
    case FIELD_BYTES:
        if (o->type != MSGPACK_OBJECT_BIN || o->via.bin.size < f->min || o->via.bin.size > f->max)
            return false;
        *(struct text *)at = (struct text){ o->via.bin.ptr, o->via.bin.size };
        return true;
    case FIELD_FUNCTION:
        return get_text(o, FUNCTION_BYTES_MAX, at) && name_split(o->via.str.ptr, o->via.str.size, &module, &function);
    case FIELD_SET_NAME:
        return get_set_name(o, at);
    case FIELD_SET:
        return o->type == MSGPACK_OBJECT_STR ? get_set_name(o, at) : get_u32(o, f->min, f->max, beside);
    case FIELD_MODE:
        if (o->type != MSGPACK_OBJECT_STR)
            return false;
        *(uint32_t *)at = text_equals(&o->via.str, "rr") ? 1 : text_equals(&o->via.str, "ff") ? 2 : 0;
        return *(uint32_t *)at != 0;
    case FIELD_WORKERS:
        return get_u32s(d, o, SET_MEMBERS_MAX, 1, WORKER_MAX, at, beside);
    case FIELD_UIDS:
        return get_u32s(d, o, SHARE_MAX, 0, UINT32_MAX - 1, at, beside);
    case FIELD_IDS:
        *(uint64_t **)at = d->ids;
        return get_u64s(o, (uint32_t)f->max, 1, d->ids, beside);
    case FIELD_DIMS: /* 0 is for layout_make() to refuse, which tells which it is */
        return get_u64s(o, PTOOLS_DIMS_MAX, 0, at, beside);
    case FIELD_TYPE:
        return get_type(o, at);
    case FIELD_ORDER:
        if (o->type != MSGPACK_OBJECT_STR)
            return false;
        *(uint32_t *)at = text_equals(&o->via.str, "column") ? PTOOLS_COLUMN_MAJOR : PTOOLS_ROW_MAJOR;
        return *(uint32_t *)at == PTOOLS_COLUMN_MAJOR || text_equals(&o->via.str, "row");
    case FIELD_PREFIX:
        return o->type == MSGPACK_OBJECT_STR && name_ok_prefix(o->via.str.ptr, o->via.str.size) &&
               get_text(o, NAME_BYTES_MAX, at);
    case FIELD_VERSIONS:
        return o->type == MSGPACK_OBJECT_ARRAY && o->via.array.size == 2 &&
               get_u32(&o->via.array.ptr[0], 1, UINT32_MAX, at) &&
               get_u32(&o->via.array.ptr[1], *(uint32_t *)at, UINT32_MAX, beside);
    case FIELD_PAIR:
        return o->type == MSGPACK_OBJECT_ARRAY && o->via.array.size == 2 &&
               get_integer(&o->via.array.ptr[0], f->min, UINT64_MAX, at) &&
               get_integer(&o->via.array.ptr[1], 0, UINT64_MAX, beside);
    case FIELD_F64:
        *(bool *)beside = true;
        return get_f64(o, at);
    case FIELD_CHOICE:
        *(uint32_t *)at = word_number(o, f->words);
        return *(uint32_t *)at != 0;
    case FIELD_CHOICES:
        return get_choices(f, o, at);
    case FIELD_TAG:
        return get_text(o, NAME_BYTES_MAX, at) && name_ok_tag(o->via.str.ptr, o->via.str.size);
    case FIELD_TAGS:
        return get_texts(o, TAGS_MAX, name_ok_tag, d->tags, at, beside);
    case FIELD_HOSTS:
        return get_texts(o, HOSTS_MAX, name_ok_host, d->hosts, at, beside);
    case FIELD_EXIT:
        *(bool *)beside = true;
        return get_u32(o, f->min, f->max, at);
    case FIELD_CODE:
        return get_u32(o, f->min, f->max, at);
    case FIELD_CODE_NAME:
        return o->type == MSGPACK_OBJECT_STR;
    }
    return false;
}

#define A_SET_NAME "1 to 64 of A-Z a-z 0-9 _ . - not beginning with a digit"
_Static_assert(NAME_BYTES_MAX == 64 && SET_MEMBERS_MAX == 1024 && SHARE_MAX == 16 && TAGS_MAX == 16 && HOSTS_MAX == 64,
               "the sentences below tell these");

static void choices_text(const struct field *f, char *text, size_t size)
{
    size_t n = (size_t)snprintf(text, size, "%s", f->type == FIELD_CHOICES ? "a list of some of" : "one of");

    for (size_t i = 0; f->words[i] && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s %s", i ? "," : "", f->words[i]);
}

static int wrong_value(const struct envelope *e, const struct field *f, const msgpack_object *o,
                       struct msg_problem *ret_problem)
{
    static const char *const sentences[] = {
        [FIELD_BOOL] = "true or false",
        [FIELD_FUNCTION] = "a string MODULE.FUNCTION, each 1 to 64 of A-Z a-z 0-9 _ -",
        [FIELD_SET_NAME] = ("a string, " A_SET_NAME),
        [FIELD_MODE] = "\"rr\" or \"ff\"",
        [FIELD_WORKERS] = "a list of 1 to 1024 worker ids, each from 1 to 2147483647",
        [FIELD_VERSIONS] = "a list [lowest, highest] of integers from 1 to 4294967295",
        [FIELD_PAIR] = "a list of two integers",
        [FIELD_PREFIX] = "a string, up to 64 of A-Z a-z 0-9 _ . -",
        [FIELD_TYPE] = "one of int8 to int64, uint8 to uint64, float32, float64, complex64, complex128, bool",
        [FIELD_ORDER] = "\"row\" or \"column\"",
        [FIELD_DIMS] = "a list of 1 to 8 integers, each from 1",
        [FIELD_UIDS] = "a list of 1 to 16 uids",
        [FIELD_F64] = "a number, and not NaN",
        [FIELD_TAG] = "a string, 1 to 64 of A-Z a-z 0-9 _ - . : / = @ +",
        [FIELD_TAGS] = "a list of 1 to 16 strings, each 1 to 64 of A-Z a-z 0-9 _ - . : / = @ +",
        [FIELD_HOSTS] = "a list of 1 to 64 names or addresses of hosts",
        [FIELD_CODE_NAME] = "a string",
    };
    char range[192];
    const char *allowed = range;

    if (f->type == FIELD_TEXT || f->type == FIELD_STORY)
        snprintf(range, sizeof range, "a string of at most %" PRIu64 " bytes", f->max);
    else if (f->type == FIELD_BYTES)
        snprintf(range, sizeof range, "binary, %" PRIu64 " to %" PRIu64 " bytes", f->min, f->max);
    else if (f->type == FIELD_IDS)
        snprintf(range, sizeof range, "a list of 1 to %" PRIu64 " numbers, each from 1", f->max);
    else if (f->type == FIELD_SET)
        snprintf(range, sizeof range, "a number from %" PRIu64 " to %" PRIu64 " or a name, " A_SET_NAME, f->min,
                 f->max);
    else if (f->type == FIELD_CHOICE || f->type == FIELD_CHOICES)
        choices_text(f, range, sizeof range);
    else if (f->type < ELEMENTS(sentences) && sentences[f->type])
        allowed = sentences[f->type];
    else
        snprintf(range, sizeof range, "an integer from %" PRIu64 " to %" PRIu64, f->min, f->max);
    return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, e->id, "%s: %s must be %s; it is %s",
                            msg_kind_name(e->kind), f->key, allowed, describe(o).s);
}

/* From `first` on, and then from the start: keys mostly come in the order of the table. n: there is none. */
static size_t find_field(const msgpack_object_str *key, const struct field *fields, size_t n, size_t first)
{
    for (size_t i = first; i < n; i++)
        if (text_equals(key, fields[i].key))
            return i;
    for (size_t i = 0; i < first && i < n; i++)
        if (text_equals(key, fields[i].key))
            return i;
    return n;
}

int envelope_fields_decode(struct msg_decoder *d, const struct envelope *e, const struct field *fields, size_t n,
                           void *base, struct msg_problem *ret_problem)
{
    uint64_t seen = 0; /* bit i: fields[i] */
    size_t next = 0;

    for (uint32_t i = 0; i < e->body.size; i++) {
        const msgpack_object *key = &e->body.ptr[i].key, *value = &e->body.ptr[i].val;
        size_t f;

        if (key->type != MSGPACK_OBJECT_STR)
            return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, e->id,
                                    "%s: the keys of the body must be strings; one is %s", msg_kind_name(e->kind),
                                    describe(key).s);
        f = find_field(&key->via.str, fields, n, next);
        if (f == n)
            continue;
        next = f + 1;
        if (seen & UINT64_C(1) << f)
            return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, e->id, "%s: %s is there twice",
                                    msg_kind_name(e->kind), fields[f].key);
        seen |= UINT64_C(1) << f;
        if (!field_get(d, &fields[f], value, base))
            return wrong_value(e, &fields[f], value, ret_problem);
    }
    for (size_t f = 0; f < n; f++)
        if (fields[f].required && !(seen & UINT64_C(1) << f))
            return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, e->id, "%s: %s is missing",
                                    msg_kind_name(e->kind), fields[f].key);
    return 0;
}
