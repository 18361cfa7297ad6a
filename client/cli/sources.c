/* SPDX-License-Identifier: MIT */
/*
 * sources -- see sources.h. Each source is a list of records; a record is cut into values when its item is wanted. The
 * records of several sources make products, the last one changing fastest; those of a linked one go along with the
 * source before it, and the shorter of the two ends both.
 *
 * A single source that is a file is read as items are wanted and no faster, unless somebody needs to know all.
 */
#include "client/cli/sources.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/input.h"

/* -- which there are --------------------------------------------------------------------------------------- */

static const char *const marks[] = { ":::", ":::+", "::::", "::::+" };
enum { MARK_WORDS, MARK_WORDS_LINKED, MARK_FILES, MARK_FILES_LINKED, NO_MARK };

static int mark_of(const char *word)
{
    int i = 0;

    while (i < NO_MARK && strcmp(word, marks[i]) != 0)
        i++;
    return i;
}

size_t sources_begin(const char *const *words, size_t n)
{
    size_t i = 0;

    while (i < n && mark_of(words[i]) == NO_MARK)
        i++;
    return i;
}

static struct source *add(struct sources *s, const char *file, bool linked)
{
    struct source *larger = realloc(s->list, (s->n + 1) * sizeof *larger);

    if (!larger)
        return NULL;
    s->list = larger;
    s->list[s->n] = (struct source){ .file = file, .linked = linked };
    return &s->list[s->n++];
}

static int no_memory(const struct sources *s)
{
    return failure_report_code(s->line, PTOOLS_ERR_NO_MEMORY, NULL);
}

/* ::: VALUE..., or :::: FILE..., each file a source. */
static int take_words(struct sources *s)
{
    struct source *source = NULL;
    int mark = NO_MARK;

    for (size_t i = 0; i < s->wish.n_words; i++) {
        const char *word = s->wish.words[i];
        const int next = mark_of(word);
        const bool files = mark == MARK_FILES || mark == MARK_FILES_LINKED;

        if (next != NO_MARK) {
            mark = next;
            if ((mark == MARK_WORDS_LINKED || mark == MARK_FILES_LINKED) && s->n == 0)
                return command_line_wrong(s->line, "%s goes along with the source before it, and there is none", word);
            if (mark == MARK_FILES || mark == MARK_FILES_LINKED)
                continue;
            source = add(s, NULL, mark == MARK_WORDS_LINKED);
            if (!source)
                return no_memory(s);
        } else if (files) {
            if (!add(s, word, mark == MARK_FILES_LINKED))
                return no_memory(s);
        } else {
            texts_add(&source->records, word, strlen(word));
        }
    }
    return EXIT_VALUE;
}

static int take_sources(struct sources *s)
{
    int status;
    size_t standard = 0;

    for (size_t i = 0; i < s->wish.n_files; i++)
        if (!add(s, s->wish.files[i], false))
            return no_memory(s);
    status = take_words(s);
    if (status == EXIT_VALUE && s->n == 0 && !add(s, "-", false))
        return no_memory(s);
    for (size_t i = 0; i < s->n && status == EXIT_VALUE; i++)
        standard += s->list[i].file && strcmp(s->list[i].file, "-") == 0;
    if (standard > 1)
        return command_line_wrong(s->line, "standard input can be one source, not %zu", standard);
    return status;
}

/* -- records ----------------------------------------------------------------------------------------------- */

static int wrong(struct sources *s, const char *what, const char *why)
{
    s->wrong = true;
    snprintf(s->why, sizeof s->why, "%.150s: %s", what, why);
    return SOURCES_WRONG;
}

static const char *name_of(const struct source *source)
{
    return strcmp(source->file, "-") == 0 ? "standard input" : source->file;
}

/* The next record of what is read; it is good until the next call. */
static int next_record(struct sources *s, const struct source *source, bool wait, const char **ret, size_t *ret_n)
{
    const char separator = s->wish.separator;
    char why[LINES_WHY_BYTES], *line;
    size_t n;
    int r;

    while ((r = lines_next(&s->lines, wait, &line, &n)) == 1) {
        const bool open = s->partial.n_bytes > 0, goes_on = columns_open(&s->columns, open, line, n);

        if (!open && !goes_on) {
            *ret = line;
            *ret_n = n;
            return SOURCES_ITEM;
        }
        texts_put(&s->partial, line, n);
        if (s->partial.no_memory)
            return wrong(s, name_of(source), "out of memory");
        if (!goes_on) {
            texts_end(&s->partial);
            *ret = texts_get(&s->partial, 0, ret_n);
            s->partial.n_bytes = s->partial.n = 0; /* it still lies there */
            return SOURCES_ITEM;
        }
        texts_put(&s->partial, &separator, 1);
    }
    if (r == LINES_NONE_YET)
        return SOURCES_LATER;
    if (r == 0 && s->partial.n_bytes > 0)
        return wrong(s, name_of(source), "at its end a quotation is open");
    if (r == 0)
        return SOURCES_NO_MORE;
    if (r == -ENOMEM || r == -EMSGSIZE)
        return wrong(s, name_of(source), r == -ENOMEM ? "out of memory" : "a line has more than 64 MiB");
    snprintf(why, sizeof why, "cannot read it: %s", strerror(-r));
    return wrong(s, name_of(source), why);
}

static int open_lines(struct sources *s, const struct source *source)
{
    struct input in = { .fd = STDIN_FILENO };
    int r = strcmp(source->file, "-") == 0 ? 0 : input_open(&in, source->file);

    s->fd = in.fd;
    s->left = SOURCES_NOT_KNOWN;
    if (r == 0) {
        (void)input_left(&in, &s->left);
        if (in.fd == STDIN_FILENO && isatty(STDIN_FILENO) && !s->line->json)
            fputs("ptools pmap: items are read from the terminal, a line each; ^D ends them\n", stderr);
        r = lines_init(&s->lines, in.fd, s->wish.separator);
    }
    if (r == -ENOMEM)
        return no_memory(s);
    if (r == 0)
        return EXIT_VALUE;
    snprintf(s->why, sizeof s->why, "cannot read %.150s: %s", source->file, strerror(-r));
    return failure_report_code(s->line, PTOOLS_ERR_SYSTEM, s->why);
}

static void close_lines(struct sources *s)
{
    lines_deinit(&s->lines);
    if (s->fd > STDIN_FILENO)
        close(s->fd);
    s->fd = -1;
}

/* A wrong record is told here, of what is read before anything is run. */
static int read_all(struct sources *s, struct source *source)
{
    const char *record;
    size_t n;
    int status = open_lines(s, source), r = SOURCES_ITEM;

    while (status == EXIT_VALUE && r == SOURCES_ITEM) {
        r = next_record(s, source, true, &record, &n);
        if (r == SOURCES_ITEM)
            texts_add(&source->records, record, n);
        if (source->records.no_memory)
            status = no_memory(s);
    }
    close_lines(s);
    if (status == EXIT_VALUE && r == SOURCES_WRONG)
        status = failure_report_code(s->line, PTOOLS_ERR_SYSTEM, s->why);
    return status;
}

/* The names are the first record of each source. */
static int take_header(struct sources *s)
{
    const char *record;
    size_t n;

    for (size_t i = 0; i < s->n; i++) {
        const bool read = s->n_records == SOURCES_NOT_KNOWN;

        if (read && next_record(s, &s->list[i], true, &record, &n) != SOURCES_ITEM)
            return s->wrong ? failure_report_code(s->line, PTOOLS_ERR_SYSTEM, s->why) : EXIT_VALUE;
        if (!read && s->list[i].records.n == 0)
            continue;
        if (!read)
            record = texts_get(&s->list[i].records, 0, &n);
        columns_split(&s->columns, record, n, &s->names);
    }
    return s->names.no_memory ? no_memory(s) : EXIT_VALUE;
}

/* -- which of them make an item ---------------------------------------------------------------------------- */

static size_t records_of(const struct sources *s, size_t i)
{
    const size_t n = s->list[i].records.n;

    return s->wish.header && n > 0 ? n - 1 : n;
}

/* Of the source i and those that go along with it; *ret_next: the one behind them. */
static size_t group(const struct sources *s, size_t i, size_t *ret_next)
{
    size_t n = records_of(s, i), next = i + 1;

    for (; next < s->n && s->list[next].linked; next++)
        n = records_of(s, next) < n ? records_of(s, next) : n;
    *ret_next = next;
    return n;
}

static bool count_records(struct sources *s)
{
    uint64_t n = 1;

    for (size_t i = 0, next; i < s->n; i = next)
        if (__builtin_mul_overflow(n, group(s, i, &next), &n) || n > INT64_MAX)
            return false;
    s->n_records = n;
    return true;
}

/* Appends the values of the record of that number: digits of a number whose places are the groups. */
static void put_record(const struct sources *s, uint64_t number, struct texts *ret)
{
    uint64_t below = s->n_records;

    for (size_t i = 0, next; i < s->n; i = next) {
        size_t n;
        const size_t of = group(s, i, &next);
        uint64_t at;

        if (of == 0)
            return; /* there is no record at all */
        below /= of;
        at = number / below % of + s->wish.header;
        for (; i < next; i++) {
            const char *record = texts_get(&s->list[i].records, (size_t)at, &n);

            columns_split(&s->columns, record, n, ret);
        }
    }
}

static uint32_t records_each(const struct sources *s)
{
    return s->wish.max_args ? s->wish.max_args : 1;
}

void sources_item(const struct sources *s, uint64_t index, struct texts *ret)
{
    const uint32_t each = records_each(s);

    texts_reset(ret);
    for (uint64_t i = index * each; i < (index + 1) * each && i < s->n_records && s->wish.max_args > 0; i++)
        put_record(s, i, ret);
}

/* Of the one source that is read as items are wanted. */
static int next_read(struct sources *s, struct texts *ret)
{
    const char *record;
    size_t n;
    int r;

    while ((r = next_record(s, &s->list[0], false, &record, &n)) == SOURCES_ITEM) {
        if (s->wish.max_args > 0)
            columns_split(&s->columns, record, n, &s->gathered);
        if (++s->n_gathered == records_each(s))
            break;
    }
    if (r == SOURCES_LATER || r == SOURCES_WRONG || s->n_gathered == 0)
        return r;
    *ret = s->gathered; /* what ret had was released */
    s->gathered = (struct texts){ 0 };
    s->n_gathered = 0;
    return SOURCES_ITEM;
}

int sources_next(struct sources *s, struct texts *ret)
{
    bool about;
    int r = SOURCES_NO_MORE;

    if (s->n_records == SOURCES_NOT_KNOWN) {
        texts_deinit(ret);
        r = next_read(s, ret);
    } else if (s->at < sources_of(s, &about)) {
        sources_item(s, s->at, ret);
        r = SOURCES_ITEM;
    }
    if (r == SOURCES_ITEM && ret->no_memory)
        r = wrong(s, "items", "out of memory");
    s->at += r == SOURCES_ITEM;
    s->later = r == SOURCES_LATER;
    s->ended = r == SOURCES_NO_MORE;
    return r;
}

uint64_t sources_of(const struct sources *s, bool *ret_about)
{
    const uint32_t each = records_each(s);

    *ret_about = false;
    if (s->n_records != SOURCES_NOT_KNOWN)
        return (s->n_records + each - 1) / each;
    if (s->ended || (s->lines.all_read && s->lines.at == s->lines.end && s->n_gathered == 0))
        return s->at;
    if (s->left == SOURCES_NOT_KNOWN || s->lines.taken == 0)
        return SOURCES_NOT_KNOWN;
    *ret_about = true;
    return (uint64_t)((double)s->at * (double)s->left / (double)s->lines.taken);
}

/* -- all of it --------------------------------------------------------------------------------------------- */

int sources_open(struct sources *s, const struct command_line *line, const struct sources_wish *wish)
{
    char why[COLUMNS_WHY_BYTES];
    int status;

    *s = (struct sources){ .line = line, .wish = *wish, .fd = -1, .n_records = SOURCES_NOT_KNOWN };
    if (!columns_init(&s->columns, wish->column_separator, wish->csv, why))
        return command_line_wrong(line, "--colsep %.60s: %s", wish->column_separator, why);
    status = take_sources(s);
    if (status == EXIT_VALUE && s->n == 1 && s->list[0].file && !wish->all) {
        status = open_lines(s, &s->list[0]);
    } else {
        for (size_t i = 0; i < s->n && status == EXIT_VALUE; i++)
            if (s->list[i].file)
                status = read_all(s, &s->list[i]);
        if (status == EXIT_VALUE && !count_records(s))
            status = command_line_wrong(line, "these are more items than can be counted");
    }
    for (size_t i = 0; i < s->n; i++)
        if (status == EXIT_VALUE && s->list[i].records.no_memory)
            status = no_memory(s);
    if (status == EXIT_VALUE && wish->header)
        status = take_header(s);
    return status;
}

void sources_close(struct sources *s)
{
    for (size_t i = 0; i < s->n; i++)
        texts_deinit(&s->list[i].records);
    free(s->list);
    close_lines(s);
    texts_deinit(&s->names);
    texts_deinit(&s->partial);
    texts_deinit(&s->gathered);
    columns_deinit(&s->columns);
}
