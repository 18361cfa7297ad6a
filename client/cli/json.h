/* SPDX-License-Identifier: MIT */
/*
 * json -- JSON to values (json_read.c) and values to JSON (json_write.c).
 *
 * The same both ways: integers are exact from -2^63 to 2^64 - 1; floats are written with the fewest digits
 * that read back as the same number; bytes are {"$bytes": "BASE64"}. What JSON lacks is written as follows:
 * a float that is not finite as the string "NaN", "Infinity" or "-Infinity"; a map's key that is no string as
 * the text of its JSON; a string that is not UTF-8 as bytes.
 */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stdbool.h>
#include <stdio.h>

#include <ptools/value.h>

enum {
    JSON_NOT = 1,    /* the text is not JSON, or more than one value */
    JSON_CANNOT = 2, /* it is, but no value can hold it: why tells */
    JSON_WHY_BYTES = 160
};
/* Appends the one value that text is to pack. 0; JSON_NOT: nothing is appended; JSON_CANNOT or -ENOMEM: pack is
 * spoilt. The error of pack sticks there. */
int json_read(const char *text, ptools_pack *pack, char why[JSON_WHY_BYTES]);

/* The same in two steps, for who looks at the value first, by <json-c/json.h>. 0 and an object to put back;
 * JSON_NOT, JSON_CANNOT, -ENOMEM. */
struct json_object;
int json_parse(const char *text, struct json_object **ret, char why[JSON_WHY_BYTES]);
int json_append(struct json_object *o, ptools_pack *pack, char why[JSON_WHY_BYTES]);
/* The items of a list, one by one. */
int json_append_items(struct json_object *list, ptools_pack *pack, char why[JSON_WHY_BYTES]);

/* Writes one document. Errors of writing stick in out; no_memory sticks, and the document is incomplete. */
struct json_writer {
    FILE *out;
    bool pretty; /* a line for each item; else one line */
    unsigned depth;
    bool empty;  /* nothing yet in the list or map that is open */
    bool keyed;  /* a key has been written, and its value comes next */
    bool no_memory;
};
void json_open(struct json_writer *w, char bracket);  /* '[' or '{' */
void json_close(struct json_writer *w, char bracket); /* ']' or '}' */
void json_key(struct json_writer *w, const char *key);
void json_put_string(struct json_writer *w, const char *text);
void json_put_text(struct json_writer *w, const char *text, size_t n); /* with its NULs */
void json_put_bool(struct json_writer *w, bool yes);
void json_put_i64(struct json_writer *w, int64_t v);
void json_put_u64(struct json_writer *w, uint64_t v);
void json_put_f64(struct json_writer *w, double v);
void json_put_number(struct json_writer *w, const char *digits); /* as it stands, for one of more than 64 bits */
void json_put_value(struct json_writer *w, ptools_value v);

#endif
