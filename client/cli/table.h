/* SPDX-License-Identifier: MIT */
/*
 * table -- documents of the daemon as tables for people, by libsmartcols. See table.c.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include <ptools/ptools.h>

enum cell_kind {
    CELL_PLAIN,    /* text; a number; yes or no; a list, its items with commas between */
    CELL_SIZE,     /* bytes */
    CELL_TIME,     /* microseconds */
    CELL_SECONDS,
    CELL_MS,       /* milliseconds */
    CELL_COUNT,    /* of a list, how many items it has */
    CELL_PROGRESS, /* the list [n, m]; nothing if m is 0 */
};
struct column {
    const char *heading; /* NULL ends the row of columns */
    const char *key;     /* of the document: "pid", "tasks.done" */
    enum cell_kind kind;
    bool right;          /* numbers */
    bool wrap;           /* on a terminal that is too narrow, this one gives way */
    bool unknown_zero;   /* 0 means that nobody knows: an empty cell */
    const char *rather;  /* a key whose value is shown instead, if it is a string that is not empty */
};

/* The daemon may be of another version: what its document lacks, or has as another type, is an empty cell. */
struct table;
struct table *table_new(const struct column *columns); /* NULL: no memory */
struct table *table_free(struct table *table);
/* A row; errors stick. Before the text of its first cell comes prefix. */
void table_add(struct table *table, const char *prefix, ptools_value row);
/* A row of such texts, one a column; NULL: there was no memory for it. */
void table_add_texts(struct table *table, char *const *texts);
/* To standard output. 0 or -ENOMEM. */
int table_print(struct table *table);

/* Instead of columns, two of them without headings: a title and a text a line. NULL: no memory. */
struct table *table_new_pairs(void);
void table_add_pair(struct table *table, const char *title, const char *text);
/* One document, a line for each column: its heading and its value. 0 or -ENOMEM. */
int table_print_fields(const struct column *columns, ptools_value document);

/* The string under key, as text of the caller's; NULL: there is none, or no memory. */
char *table_string(ptools_value document, const char *key);
/* The number under key; 0: there is none. */
uint64_t table_number(ptools_value document, const char *key);

#endif
