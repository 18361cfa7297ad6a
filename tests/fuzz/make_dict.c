/* SPDX-License-Identifier: MIT */
/*
 * make_dict -- the dictionary of the wire for libFuzzer, on standard output: the kinds of messages, the keys of their
 * fields and the words that these may have, from the tables that decode them; and the markers of msgpack.
 */
#include <stdio.h>
#include <string.h>

#include "proto/envelope.h"

/* As it stands in a message: a str of msgpack. No word here is longer than 31 bytes, or has a quote. */
static void put(const char *word)
{
    printf("\"\\x%02x%s\"\n", 0xa0 + (unsigned)strlen(word), word);
}

static void put_fields(const struct field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        put(fields[i].key);
        for (const char *const *word = fields[i].words; word && *word; word++)
            put(*word);
    }
}

int main(void)
{
    static const char *const others[] = { "rr",   "ff",      "row",    "column", "status", "workers",
                                          "sets", "modules", "arrays", "stasks", "$array", "id",
                                          "name", "prefix",  "offset", "dims",   "strides" };
    size_t n;

    for (int kind = 0; kind <= MSG_EVENT; kind++) {
        const struct field *fields = kind < MSG_REQUESTS ? msg_request_fields((enum msg_kind)kind, &n)
                                                         : msg_answer_fields((enum msg_kind)kind, &n);

        put(msg_kind_name((enum msg_kind)kind));
        put_fields(fields, n);
    }
    for (int type = PTOOLS_INT8; type <= PTOOLS_BOOLEAN; type++)
        put(ptools_type_name((ptools_type)type));
    for (size_t i = 0; i < ELEMENTS(others); i++)
        put(others[i]);
    for (unsigned marker = 0xc0; marker <= 0xdf; marker++) /* nil to map32: all that is not a small one */
        printf("\"\\x%02x\"\n", marker);
    puts("\"\\x94\\x01\"\n\"\\xcf\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\"\n\"\\xcb\\x7f\\xf8\\x00\\x00\\x00\\x00\\x00"
         "\\x00\"");
    return 0;
}
