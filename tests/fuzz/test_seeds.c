/* SPDX-License-Identifier: MIT */
/*
 * That the corpus of fuzz_message has a seed for all that goes over the wire: among the envelopes in it that are
 * understood there is each kind of message, and each field of each kind.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/envelope.h"
#include "proto/value.h"
#include "tests/support/suite.h"

enum { FIELDS_MAX = 64, SEED_MAX = 70000 };

static struct msg_decoder *decoder;
static struct payload payload;
static bool has_kind[MSG_EVENT + 1], has_field[MSG_EVENT + 1][FIELDS_MAX];

static const struct field *fields_of(int kind, size_t *ret_n)
{
    return kind < MSG_REQUESTS ? msg_request_fields((enum msg_kind)kind, ret_n)
                               : msg_answer_fields((enum msg_kind)kind, ret_n);
}

static bool is(const msgpack_object *o, const char *word)
{
    return o->via.str.size == strlen(word) && memcmp(o->via.str.ptr, word, o->via.str.size) == 0;
}

static void mark(const msgpack_object *envelope)
{
    const msgpack_object_map *body = &envelope->via.array.ptr[3].via.map;
    const struct field *fields;
    size_t n;
    int kind = 0;

    while (!is(&envelope->via.array.ptr[1], msg_kind_name((enum msg_kind)kind)))
        kind++;
    has_kind[kind] = true;
    fields = fields_of(kind, &n);
    for (uint32_t i = 0; i < body->size; i++)
        for (size_t j = 0; j < n; j++)
            if (is(&body->ptr[i].key, fields[j].key))
                has_field[kind][j] = true;
}

static void look(const char *path)
{
    static uint8_t data[SEED_MAX];
    struct msg_problem problem;
    struct msg_request request;
    struct msg_answer answer;
    FILE *file = fopen(path, "rb");
    const char *why;
    size_t n;

    ck_assert_ptr_nonnull(file);
    n = fread(data, 1, sizeof data, file);
    fclose(file);
    if ((msg_request_decode(decoder, data, n, &request, &problem) == 0 ||
         msg_answer_decode(decoder, data, n, &answer, &problem) == 0) &&
        payload_parse(&payload, data, n, &why) == PTOOLS_OK)
        mark(&payload.root);
}

START_TEST(each_kind_and_each_field_has_a_seed)
{
    static const char corpus[] = CORPUS;
    DIR *dir = opendir(corpus);
    struct dirent *entry;
    char missing[4096] = "";
    size_t end = 0;

    ck_assert_msg(dir, "no %s", corpus);
    decoder = msg_decoder_new();
    payload_init(&payload);
    while ((entry = readdir(dir))) {
        char path[sizeof corpus + sizeof entry->d_name + 1];

        snprintf(path, sizeof path, "%s/%s", corpus, entry->d_name);
        if (entry->d_name[0] != '.')
            look(path);
    }
    closedir(dir);
    for (int kind = 0; kind <= MSG_EVENT; kind++) {
        const char *name = msg_kind_name((enum msg_kind)kind);
        size_t n;
        const struct field *fields = fields_of(kind, &n);

        ck_assert_uint_le(n, FIELDS_MAX);
        if (!has_kind[kind] && end < sizeof missing)
            end += (size_t)snprintf(missing + end, sizeof missing - end, " %s", name);
        for (size_t i = 0; i < n; i++)
            if (!has_field[kind][i] && end < sizeof missing)
                end += (size_t)snprintf(missing + end, sizeof missing - end, " %s:%s", name, fields[i].key);
    }
    ck_assert_msg(!*missing, "no seed has%s", missing);
    payload_deinit(&payload);
    msg_decoder_free(decoder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("seeds");

    tcase_add_test(suite_case(suite, "fuzz"), each_kind_and_each_field_has_a_seed);
    return suite_run(suite);
}
