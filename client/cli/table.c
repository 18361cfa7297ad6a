/* SPDX-License-Identifier: MIT */
/*
 * table -- see table.h. The same on a terminal and in a pipe; only a terminal's width is kept to, and there states have
 * their colours.
 * libsmartcols writes control characters, which could command a terminal, as \xNN; to know what is one it must
 * know the locale, which is asked for here, when there is a table to print, and not before.
 */
#include "client/cli/table.h"

#include <errno.h>
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/colour.h"
#include "client/cli/words.h"

struct table {
    const struct column *columns;
    struct libscols_table *scols;
    int error; /* -errno; sticks */
};

/* -- cells ------------------------------------------------------------------------------------------ */

/* The value under "key" or "outer.inner"; nil if there is none. */
static ptools_value field(ptools_value document, const char *path)
{
    ptools_value v = document;
    char key[64];

    while (*path) {
        size_t n = strcspn(path, ".");

        snprintf(key, sizeof key, "%.*s", (int)n, path);
        if (ptools_get_field(v, key, &v) != PTOOLS_OK)
            return (ptools_value){ NULL };
        path += n + (path[n] == '.');
    }
    return v;
}

static void write_plain(FILE *out, ptools_value v)
{
    const char *s;
    uint64_t u;
    uint32_t count;
    size_t n;
    bool yes;
    ptools_value item;

    if (ptools_get_str(v, &s, &n) == PTOOLS_OK)
        fprintf(out, "%.*s", (int)n, n ? s : "");
    else if (ptools_get_u64(v, &u) == PTOOLS_OK)
        fprintf(out, "%" PRIu64, u);
    else if (ptools_get_bool(v, &yes) == PTOOLS_OK)
        fputs(yes ? "yes" : "no", out);
    else if (ptools_value_kind(v) == PTOOLS_LIST && ptools_get_count(v, &count) == PTOOLS_OK)
        for (uint32_t i = 0; i < count && ptools_get_item(v, i, &item) == PTOOLS_OK; i++) {
            if (i)
                putc(',', out);
            if (ptools_get_str(item, &s, &n) == PTOOLS_OK)
                fprintf(out, "%.*s", (int)n, n ? s : "");
            else if (ptools_get_u64(item, &u) == PTOOLS_OK)
                fprintf(out, "%" PRIu64, u);
        }
}

static void write_cell(FILE *out, ptools_value v, enum cell_kind kind)
{
    char text[WORDS_BYTES];
    uint64_t n, of;
    uint32_t count;
    ptools_value item;

    switch (kind) {
    case CELL_PLAIN:
        write_plain(out, v);
        break;
    case CELL_SIZE:
        if (ptools_get_u64(v, &n) == PTOOLS_OK)
            fputs(words_size(n, text), out);
        break;
    case CELL_TIME:
        if (ptools_get_u64(v, &n) == PTOOLS_OK)
            fputs(words_time(n, text), out);
        break;
    case CELL_SECONDS:
        if (ptools_get_u64(v, &n) == PTOOLS_OK && n < 60)
            fprintf(out, "%" PRIu64 " s", n);
        else if (ptools_get_u64(v, &n) == PTOOLS_OK && n < UINT64_MAX / 1000000)
            fputs(words_time(n * 1000000, text), out);
        break;
    case CELL_MS:
        if (ptools_get_u64(v, &n) == PTOOLS_OK && n < UINT64_MAX / 1000)
            fputs(words_time(n * 1000, text), out);
        break;
    case CELL_COUNT:
        if (ptools_value_kind(v) == PTOOLS_LIST && ptools_get_count(v, &count) == PTOOLS_OK)
            fprintf(out, "%" PRIu32, count);
        break;
    case CELL_PROGRESS:
        if (ptools_get_item(v, 1, &item) == PTOOLS_OK && ptools_get_u64(item, &of) == PTOOLS_OK && of > 0 &&
            ptools_get_item(v, 0, &item) == PTOOLS_OK && ptools_get_u64(item, &n) == PTOOLS_OK)
            fprintf(out, "%" PRIu64 " of %" PRIu64, n, of);
        break;
    }
}

/* What the column shows of the document: nil if there is nothing. */
static ptools_value pick(ptools_value document, const struct column *column)
{
    ptools_value v;
    const char *s;
    uint64_t u;
    size_t n;

    if (column->rather) {
        v = field(document, column->rather);
        if (ptools_get_str(v, &s, &n) == PTOOLS_OK && n > 0)
            return v;
    }
    v = field(document, column->key);
    if (column->unknown_zero && ptools_get_u64(v, &u) == PTOOLS_OK && u == 0)
        return (ptools_value){ NULL };
    return v;
}

/* The text of a cell, or NULL: no memory. The caller frees. */
static char *cell(const char *prefix, ptools_value document, const struct column *column)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    if (!out)
        return NULL;
    fputs(prefix, out);
    write_cell(out, pick(document, column), column->kind);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

char *table_string(ptools_value document, const char *key)
{
    const char *s;
    size_t n;

    return ptools_get_str(field(document, key), &s, &n) == PTOOLS_OK ? strndup(n ? s : "", n) : NULL;
}

/* -- tables ------------------------------------------------------------------------------------------- */

static void check(struct table *table, int r)
{
    if (r < 0 && table->error == 0)
        table->error = r;
}

static struct table *make(const struct column *columns)
{
    struct table *table = calloc(1, sizeof *table);

    setlocale(LC_CTYPE, "");
    if (!table)
        return NULL;
    table->columns = columns;
    table->scols = scols_new_table();
    if (!table->scols)
        return table_free(table);
    check(table, scols_table_enable_minout(table->scols, 1)); /* no spaces at the ends of lines */
    if (colour_on(STDOUT_FILENO))
        check(table, scols_table_enable_colors(table->scols, 1));
    if (!isatty(STDOUT_FILENO))
        check(table, scols_table_set_termforce(table->scols, SCOLS_TERMFORCE_NEVER));
    return table;
}

static void add_column(struct table *table, const char *heading, int flags)
{
    if (!scols_table_new_column(table->scols, heading, 0, flags))
        check(table, -ENOMEM);
}

static void set_cell(struct table *table, struct libscols_line *row, size_t column, const char *text)
{
    check(table, text ? scols_line_set_data(row, column, text) : -ENOMEM);
}

/* One that says a state. */
static void set_state(struct table *table, struct libscols_line *row, size_t column, const char *text)
{
    const char *colour = text ? colour_of_state(text) : NULL;

    set_cell(table, row, column, text);
    if (colour && table->error == 0)
        check(table, scols_cell_set_color(scols_line_get_cell(row, column), colour));
}

static bool says_state(const char *heading)
{
    return strcasecmp(heading, "state") == 0;
}

struct table *table_new(const struct column *columns)
{
    struct table *table = make(columns);

    for (size_t i = 0; table && columns[i].heading; i++)
        add_column(table, columns[i].heading,
                   (columns[i].right ? SCOLS_FL_RIGHT : 0) | (columns[i].wrap ? SCOLS_FL_WRAP : 0));
    return table;
}

struct table *table_free(struct table *table)
{
    if (table) {
        scols_unref_table(table->scols);
        free(table);
    }
    return NULL;
}

void table_add(struct table *table, const char *prefix, ptools_value row)
{
    struct libscols_line *line = scols_table_new_line(table->scols, NULL);

    if (!line) {
        check(table, -ENOMEM);
        return;
    }
    for (size_t i = 0; table->columns[i].heading; i++) {
        char *text = cell(i == 0 ? prefix : "", row, &table->columns[i]);

        (says_state(table->columns[i].heading) ? set_state : set_cell)(table, line, i, text);
        free(text);
    }
}

int table_print(struct table *table)
{
    if (table->error == 0)
        check(table, scols_print_table(table->scols));
    return table->error;
}

void table_add_texts(struct table *table, char *const *texts)
{
    struct libscols_line *line = scols_table_new_line(table->scols, NULL);

    for (size_t i = 0; table->columns[i].heading && line; i++)
        (says_state(table->columns[i].heading) ? set_state : set_cell)(table, line, i, texts[i]);
    if (!line)
        check(table, -ENOMEM);
}

struct table *table_new_pairs(void)
{
    static const struct column columns[] = { { "" }, { "", .wrap = true }, { 0 } };
    struct table *table = table_new(columns);

    if (table)
        scols_table_enable_noheadings(table->scols, 1);
    return table;
}

void table_add_pair(struct table *table, const char *title, const char *text)
{
    struct libscols_line *line = scols_table_new_line(table->scols, NULL);

    if (line) {
        set_cell(table, line, 0, title);
        (says_state(title) ? set_state : set_cell)(table, line, 1, text);
    } else {
        check(table, -ENOMEM);
    }
}

int table_print_fields(const struct column *columns, ptools_value document)
{
    struct table *table = table_new_pairs();
    int r;

    if (!table)
        return -ENOMEM;
    for (size_t i = 0; columns[i].heading; i++) {
        char *text = cell("", document, &columns[i]);

        table_add_pair(table, columns[i].heading, text);
        free(text);
    }
    r = table_print(table);
    table_free(table);
    return r;
}

uint64_t table_number(ptools_value document, const char *key)
{
    ptools_value v;
    uint64_t n = 0;

    if (ptools_get_field(document, key, &v) == PTOOLS_OK)
        (void)ptools_get_u64(v, &n);
    return n;
}
