/* SPDX-License-Identifier: MIT */
/*
 * envelope_encode -- envelopes out: how a frame is put together, whatever its kind. Members that are not set are not
 * sent; nothing is checked, since what is sent is ours.
 */
#include "proto/envelope.h"

#include <string.h>

#include "proto/text.h"
#include "proto/value.h"

static bool field_is_set(const struct field *f, const char *base)
{
    const void *at = base + f->at, *beside = base + f->beside;

    switch (f->type) {
    case FIELD_U32:
    case FIELD_MODE:
        return *(const uint32_t *)at != 0;
    case FIELD_U64:
        return *(const uint64_t *)at != 0;
    case FIELD_BOOL:
        return *(const bool *)at;
    case FIELD_TEXT:
    case FIELD_STORY:
    case FIELD_BYTES:
    case FIELD_FUNCTION:
    case FIELD_SET_NAME:
    case FIELD_PREFIX:
    case FIELD_TAG:
        return ((const struct text *)at)->data != NULL;
    case FIELD_SET:
        return ((const struct text *)at)->data != NULL || *(const uint32_t *)beside != 0;
    case FIELD_WORKERS:
    case FIELD_UIDS:
    case FIELD_IDS:
    case FIELD_DIMS:
        return *(const uint32_t *)beside != 0;
    case FIELD_TYPE:
    case FIELD_ORDER:
        return *(const uint32_t *)at != 0;
    case FIELD_F64:
        return *(const bool *)beside;
    case FIELD_CHOICE:
    case FIELD_CHOICES:
        return *(const uint32_t *)at != 0;
    case FIELD_TAGS:
    case FIELD_HOSTS:
        return *(const uint32_t *)beside != 0;
    case FIELD_PAIR:
        return f->min ? *(const uint64_t *)at != 0 : *(const uint64_t *)at != 0 || *(const uint64_t *)beside != 0;
    case FIELD_EXIT:
        return *(const bool *)beside;
    case FIELD_VERSIONS:
    case FIELD_CODE:
    case FIELD_CODE_NAME:
        return true;
    }
    return false;
}

static void put_text(msgpack_packer *pk, const struct text *t)
{
    msgpack_pack_str_with_body(pk, t->data, t->n);
}

static void put_word(msgpack_packer *pk, const char *word)
{
    msgpack_pack_str_with_body(pk, word, strlen(word));
}

static void put_story(msgpack_packer *pk, struct bytes *out, const struct text *t, size_t max)
{
    size_t n = MIN(t->n, max);

    msgpack_pack_str_with_body(pk, t->data, n);
    if (!out->err)
        text_clean((char *)out->data + out->n - n, n, true);
}

static void put_u64s(msgpack_packer *pk, const uint64_t *v, uint32_t n)
{
    msgpack_pack_array(pk, n);
    for (uint32_t i = 0; i < n; i++)
        msgpack_pack_uint64(pk, v[i]);
}

static void put_choices(msgpack_packer *pk, const struct field *f, uint32_t bits)
{
    msgpack_pack_array(pk, (size_t)__builtin_popcount(bits));
    for (uint32_t i = 0; f->words[i]; i++)
        if (bits >> (f->min + i) & 1)
            put_word(pk, f->words[i]);
}

static void field_put(const struct field *f, const char *base, msgpack_packer *pk, struct bytes *out)
{
    const void *at = base + f->at, *beside = base + f->beside;
    const struct text *text = at;

    put_word(pk, f->key);
    switch (f->type) {
    case FIELD_U32:
    case FIELD_EXIT:
    case FIELD_CODE:
        msgpack_pack_uint32(pk, *(const uint32_t *)at);
        break;
    case FIELD_U64:
        msgpack_pack_uint64(pk, *(const uint64_t *)at);
        break;
    case FIELD_BOOL:
        msgpack_pack_true(pk);
        break;
    case FIELD_TEXT:
    case FIELD_FUNCTION:
    case FIELD_SET_NAME:
    case FIELD_PREFIX:
    case FIELD_TAG:
        put_text(pk, text);
        break;
    case FIELD_TYPE:
        put_word(pk, ptools_type_name((ptools_type)*(const uint32_t *)at));
        break;
    case FIELD_ORDER:
        put_word(pk, *(const uint32_t *)at == PTOOLS_COLUMN_MAJOR ? "column" : "row");
        break;
    case FIELD_DIMS:
        put_u64s(pk, at, *(const uint32_t *)beside);
        break;
    case FIELD_IDS:
        put_u64s(pk, *(uint64_t *const *)at, *(const uint32_t *)beside);
        break;
    case FIELD_STORY:
        put_story(pk, out, text, f->max);
        break;
    case FIELD_BYTES:
        msgpack_pack_bin_with_body(pk, text->data, text->n);
        break;
    case FIELD_SET:
        if (text->data)
            put_text(pk, text);
        else
            msgpack_pack_uint32(pk, *(const uint32_t *)beside);
        break;
    case FIELD_MODE:
        put_word(pk, *(const uint32_t *)at == 2 ? "ff" : "rr");
        break;
    case FIELD_WORKERS:
    case FIELD_UIDS:
        msgpack_pack_array(pk, *(const uint32_t *)beside);
        for (uint32_t i = 0; i < *(const uint32_t *)beside; i++)
            msgpack_pack_uint32(pk, (*(uint32_t *const *)at)[i]);
        break;
    case FIELD_VERSIONS:
        msgpack_pack_array(pk, 2);
        msgpack_pack_uint32(pk, *(const uint32_t *)at);
        msgpack_pack_uint32(pk, *(const uint32_t *)beside);
        break;
    case FIELD_PAIR:
        msgpack_pack_array(pk, 2);
        msgpack_pack_uint64(pk, *(const uint64_t *)at);
        msgpack_pack_uint64(pk, *(const uint64_t *)beside);
        break;
    case FIELD_F64:
        msgpack_pack_double(pk, *(const double *)at);
        break;
    case FIELD_CHOICE:
        put_word(pk, f->words[*(const uint32_t *)at - 1]);
        break;
    case FIELD_CHOICES:
        put_choices(pk, f, *(const uint32_t *)at);
        break;
    case FIELD_TAGS:
    case FIELD_HOSTS:
        msgpack_pack_array(pk, *(const uint32_t *)beside);
        for (uint32_t i = 0; i < *(const uint32_t *)beside; i++)
            put_text(pk, &(*(struct text *const *)at)[i]);
        break;
    case FIELD_CODE_NAME:
        put_word(pk, ptools_errname(*(const ptools_err *)at));
        break;
    }
}

void envelope_encode(enum msg_kind kind, uint64_t id, const struct field *fields, size_t n, const void *base,
                     struct bytes *out)
{
    msgpack_packer pk;
    size_t set = 0;

    msgpack_packer_init(&pk, out, bytes_write);
    for (size_t i = 0; i < n; i++)
        set += field_is_set(&fields[i], base);
    msgpack_pack_array(&pk, 4);
    msgpack_pack_uint32(&pk, PROTOCOL_VERSION_MAX);
    put_word(&pk, msg_kind_name(kind));
    msgpack_pack_uint64(&pk, id);
    msgpack_pack_map(&pk, set);
    for (size_t i = 0; i < n; i++)
        if (field_is_set(&fields[i], base))
            field_put(&fields[i], base, &pk, out);
}
