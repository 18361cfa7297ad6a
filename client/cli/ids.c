/* SPDX-License-Identifier: MIT */
/*
 * ids -- see ids.h. Here words are read, and nobody is asked: what they stand for is found by tasks.c.
 *
 * A key may have commas in it, so key:TEXT takes all that is left of its word.
 */
#include "client/cli/ids.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/words.h"

/* A number from 1 on, of n bytes. */
static bool read_number(const char *s, size_t n, uint64_t *ret)
{
    char digits[24];

    if (n == 0 || n >= sizeof digits)
        return false;
    memcpy(digits, s, n);
    digits[n] = '\0';
    return words_count(digits, UINT64_MAX, ret) && *ret > 0;
}

static int take_text(struct id *id, enum id_kind kind, const char *s, size_t n)
{
    id->kind = kind;
    id->text = strndup(s, n);
    return id->text ? 0 : -ENOMEM;
}

static int wrong(char why[IDS_WHY_BYTES], const char *s, size_t n, const char *what)
{
    snprintf(why, IDS_WHY_BYTES, "\"%.*s%s\" %s", (int)(n < 80 ? n : 80), s, n < 80 ? "" : "...", what);
    return 1;
}

/* One of them, at s; the length of its text is in *n, and comes back as what of it was taken. */
static int read_one(const char *s, size_t *n, struct id *id, char why[IDS_WHY_BYTES])
{
    const char *dash = memchr(s, '-', *n);

    if (strncmp(s, "key:", 4) == 0) {
        *n = strlen(s);
        if (*n < 5 || *n > 4 + IDS_KEY_BYTES)
            return wrong(why, s, *n, "names no task: a key is 1 to 64 bytes");
        return take_text(id, ID_KEY, s + 4, *n - 4);
    }
    if (strncmp(s, "tag:", 4) == 0) {
        if (take_text(id, ID_TAG, s + 4, *n - 4) < 0)
            return -ENOMEM;
        return words_tag(id->text) ? 0 : wrong(why, s, *n, "names no tasks: a tag is " WORDS_TAGS);
    }
    if (*n == 4 && strncmp(s, "last", 4) == 0) {
        id->kind = ID_LAST;
        return 0;
    }
    if (dash) {
        id->kind = ID_RANGE;
        if (!read_number(s, (size_t)(dash - s), &id->first) ||
            !read_number(dash + 1, *n - (size_t)(dash - s) - 1, &id->last))
            return wrong(why, s, *n, "names no task: " IDS_FORMS);
        return id->first <= id->last ? 0 : wrong(why, s, *n, "is a range that ends before it begins");
    }
    id->kind = ID_NUMBER;
    return read_number(s, *n, &id->first) ? 0 : wrong(why, s, *n, "names no task: " IDS_FORMS);
}

static int append(struct ids *ids, const struct id *id)
{
    struct id *items = reallocarray(ids->items, ids->n + 1, sizeof *items);

    if (!items)
        return -ENOMEM;
    ids->items = items;
    items[ids->n++] = *id;
    return 0;
}

static void shorten(struct ids *ids, size_t n)
{
    while (ids->n > n)
        free(ids->items[--ids->n].text);
}

int ids_add(struct ids *ids, const char *word, char why[IDS_WHY_BYTES])
{
    const size_t before = ids->n;
    int r;

    for (const char *s = word;; s++) {
        size_t n = strcspn(s, ",");
        struct id id = { 0 };

        r = read_one(s, &n, &id, why);
        if (r == 0)
            r = append(ids, &id);
        if (r != 0) {
            free(id.text);
            shorten(ids, before);
            return r;
        }
        s += n;
        if (!*s)
            return 0;
    }
}

bool id_is_one(const struct id *id)
{
    return id->kind != ID_RANGE && id->kind != ID_TAG;
}

void ids_deinit(struct ids *ids)
{
    shorten(ids, 0);
    free(ids->items);
    *ids = (struct ids){ 0 };
}
