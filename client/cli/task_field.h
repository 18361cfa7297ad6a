/* SPDX-License-Identifier: MIT */
/*
 * task_field -- what there is to know about a queued task: one row a field. JSON, the columns of `ptools ls`, the
 * lines of `ptools info` and the expressions of --where all read these rows. See task_field.c.
 */
#ifndef CLI_TASK_FIELD_H
#define CLI_TASK_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <ptools/ptools.h>
#include <ptools/queue.h>

#include "client/cli/json.h"

/* How it lies in ptools_queued_info. */
enum field_kind {
    FIELD_U32,
    FIELD_U64,
    FIELD_I64,
    FIELD_F64,
    FIELD_BOOL,
    FIELD_TEXT,
    FIELD_NAMED, /* an enum whose values have names */
    FIELD_KEY,
    FIELD_TAGS,
    FIELD_AFTER,
    FIELD_AGE /* does not lie there: how long ago it was queued */
};
enum field_unit {
    UNIT_NONE,
    UNIT_MS,  /* a number of milliseconds, or, of points in time, of them since 1970 */
    UNIT_US,  /* a number of microseconds */
    UNIT_TIME /* a duration: in no unit of its own; in expressions 10m is one */
};
struct task_field {
    const char *name;  /* in JSON, and of --columns; NULL ends the rows */
    const char *title; /* for people */
    enum field_kind kind;
    size_t at; /* offsetof() in ptools_queued_info */
    enum field_unit unit;
    bool bytes, right; /* a size; a number, for a column */
    bool lines;        /* a text of lines, each ended by a line feed */
    bool zero_blank;   /* 0 says that there is nothing to say */
    const char *one;   /* of a list: what expressions call it, where it is each of its items in turn */
    const char *(*value_name)(int value); /* of FIELD_NAMED ... */
    int first, last;                      /* ... all that it can be; 0, 0: too many to name */
};
extern const struct task_field task_fields[];

/* By its name; NULL: there is none. */
const struct task_field *task_field_find(const char *name, size_t n);
/* By its name in expressions. */
const struct task_field *task_field_find_one(const char *name, size_t n);

double task_field_number(const struct task_field *field, const ptools_queued_info *task, int64_t now_ms);
bool task_field_bool(const struct task_field *field, const ptools_queued_info *task);
const char *task_field_text(const struct task_field *field, const ptools_queued_info *task, size_t *ret_n);

/* For people; the caller sees to control characters. */
void task_field_show(FILE *out, const struct task_field *field, const ptools_queued_info *task, int64_t now_ms);

/* A task as an object: all its fields, but for arguments. It is left open, for who has more to say. */
void task_json_open(struct json_writer *w, const ptools_queued_info *task);

#endif
