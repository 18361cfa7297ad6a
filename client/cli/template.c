/* SPDX-License-Identifier: MIT */
/*
 * template -- see template.h. A placeholder is {POSITION FORM}: {}, {.}, {/}, {//}, {/.}, {2}, {-1.}, {name/}, and {#}
 * and
 * {%}. Whatever else is in braces stands for itself.
 *
 * A value is put in place as it is, as a part of one word: nothing splits it, and nobody but the command reads it. A
 * word that is a placeholder for all values, and nothing else, becomes a word for each; within a word they have blanks
 * between. A position that an item has no value for is empty.
 */
#include "client/cli/template.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- reading ----------------------------------------------------------------------------------------------- */

static struct template_part *add(struct template *t, int kind, const char *text, size_t n)
{
    if (t->n == t->room) {
        const size_t room = t->room ? 2 * t->room : 16;
        struct template_part *larger = realloc(t->parts, room * sizeof *larger);

        if (!larger)
            return NULL;
        t->parts = larger;
        t->room = room;
    }
    t->parts[t->n] = (struct template_part){ .kind = kind, .text = text, .n = n };
    return &t->parts[t->n++];
}

/* A form at the end of what stands in the braces; what is before it is left in *n. */
static void take_form(const char *s, size_t *n, struct template_part *part)
{
    static const struct {
        const char *form;
        bool no_extension, base, directory;
    } forms[] = { { "//", false, false, true },
                  { "/.", true, true, false },
                  { "/", false, true, false },
                  { ".", true, false, false } };

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        const size_t length = strlen(forms[i].form);

        if (*n < length || memcmp(s + *n - length, forms[i].form, length) != 0)
            continue;
        *n -= length;
        part->no_extension = forms[i].no_extension;
        part->base = forms[i].base;
        part->directory = forms[i].directory;
        return;
    }
}

static bool take_number(const char *s, size_t n, long *ret)
{
    const bool minus = n > 0 && s[0] == '-';
    long v = 0;

    for (size_t i = minus; i < n; i++) {
        if (s[i] < '0' || s[i] > '9' || v > 1000000)
            return false;
        v = 10 * v + s[i] - '0';
    }
    *ret = minus ? -v : v;
    return v > 0;
}

static bool take_name(const char *s, size_t n, const struct texts *names, long *ret)
{
    for (size_t i = 0; names && i < names->n; i++) {
        size_t length;
        const char *name = texts_get(names, i, &length);

        if (length == n && memcmp(name, s, n) == 0) {
            *ret = (long)i + 1;
            return true;
        }
    }
    return false;
}

/* What stands between braces. */
static bool read_placeholder(const char *s, size_t n, const struct texts *names, struct template_part *ret)
{
    *ret = (struct template_part){ .kind = TEMPLATE_VALUE };
    if (n == 1 && (*s == '#' || *s == '%')) {
        ret->kind = *s == '#' ? TEMPLATE_SEQ : TEMPLATE_SLOT;
        return true;
    }
    if (take_name(s, n, names, &ret->position)) /* one that looks like a form, too */
        return true;
    take_form(s, &n, ret);
    return n == 0 || take_number(s, n, &ret->position) || take_name(s, n, names, &ret->position);
}

static bool read_word(struct template *t, const char *word, const struct texts *names)
{
    const char *from = word, *end;
    struct template_part part, *added;

    for (const char *at = word; *at; at++) {
        end = *at == '{' ? strchr(at, '}') : NULL;
        if (!end || !read_placeholder(at + 1, (size_t)(end - at - 1), names, &part))
            continue;
        if (at > from && !add(t, TEMPLATE_TEXT, from, (size_t)(at - from)))
            return false;
        added = add(t, part.kind, NULL, 0);
        if (!added)
            return false;
        *added = part;
        t->any = true;
        t->slot |= part.kind == TEMPLATE_SLOT;
        at = end;
        from = end + 1;
    }
    return (!*from || add(t, TEMPLATE_TEXT, from, strlen(from))) && add(t, TEMPLATE_END, NULL, 0);
}

bool template_init(struct template *t, const char *const *words, size_t n, const struct texts *names, bool append)
{
    *t = (struct template){ 0 };
    for (size_t i = 0; i < n; i++) {
        if (!read_word(t, words[i], names))
            return false;
        if (i == 0)
            t->first_fixed = !t->any;
    }
    if (append && !t->any)
        return add(t, TEMPLATE_VALUE, NULL, 0) && add(t, TEMPLATE_END, NULL, 0);
    return true;
}

void template_deinit(struct template *t)
{
    free(t->parts);
    *t = (struct template){ 0 };
}

/* -- for an item ------------------------------------------------------------------------------------------- */

/* As dirname(1). */
static size_t directory_of(const char **s, size_t n)
{
    while (n > 1 && (*s)[n - 1] == '/')
        n--;
    while (n > 0 && (*s)[n - 1] != '/')
        n--;
    while (n > 1 && (*s)[n - 1] == '/')
        n--;
    if (n == 0)
        *s = ".";
    return n > 0 ? n : 1;
}

/* Up to the last dot of its last part. */
static size_t without_extension(const char *s, size_t n)
{
    for (size_t i = n; i > 0 && s[i - 1] != '/'; i--)
        if (s[i - 1] == '.')
            return i - 1;
    return n;
}

static void put_value(const struct template_part *part, const char *s, size_t n, struct texts *ret)
{
    const char *slash;

    if (part->directory)
        n = directory_of(&s, n);
    slash = part->base && n > 0 ? memrchr(s, '/', n) : NULL;
    if (slash) {
        n -= (size_t)(slash + 1 - s);
        s = slash + 1;
    }
    texts_put(ret, s, part->no_extension ? without_extension(s, n) : n);
}

static void put_one(const struct template_part *part, const struct texts *values, size_t i, struct texts *ret)
{
    size_t n;
    const char *s = texts_get(values, i, &n);

    put_value(part, s, n, ret);
}

static void put_position(const struct template_part *part, const struct texts *values, struct texts *ret)
{
    const long n = (long)values->n, i = part->position > 0 ? part->position : n + 1 + part->position;

    if (i >= 1 && i <= n)
        put_one(part, values, (size_t)i - 1, ret);
}

static void put_all(const struct template_part *part, const struct texts *values, struct texts *ret)
{
    for (size_t i = 0; i < values->n; i++) {
        if (i > 0)
            texts_put(ret, " ", 1);
        put_one(part, values, i, ret);
    }
}

static void put_part(const struct template_part *part, const struct texts *values, uint64_t seq, uint32_t slot,
                     struct texts *ret)
{
    char number[24];
    int n;

    switch (part->kind) {
    case TEMPLATE_TEXT:
        texts_put(ret, part->text, part->n);
        break;
    case TEMPLATE_VALUE:
        if (part->position)
            put_position(part, values, ret);
        else
            put_all(part, values, ret);
        break;
    case TEMPLATE_SEQ:
    case TEMPLATE_SLOT:
        n = snprintf(number, sizeof number, "%" PRIu64, part->kind == TEMPLATE_SEQ ? seq : slot);
        texts_put(ret, number, (size_t)n);
        break;
    case TEMPLATE_END:
        texts_end(ret);
        break;
    }
}

void template_expand(const struct template *t, const struct texts *values, uint64_t seq, uint32_t slot,
                     struct texts *ret)
{
    bool begins = true; /* a word */

    for (size_t i = 0; i < t->n; i++) {
        const struct template_part *part = &t->parts[i];

        if (begins && part->kind == TEMPLATE_VALUE && !part->position && part[1].kind == TEMPLATE_END) {
            for (size_t k = 0; k < values->n; k++) {
                put_one(part, values, k, ret);
                texts_end(ret);
            }
            i++;
            continue;
        }
        put_part(part, values, seq, slot, ret);
        begins = part->kind == TEMPLATE_END;
    }
}
