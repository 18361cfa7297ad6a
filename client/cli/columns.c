/* SPDX-License-Identifier: MIT */
/*
 * columns -- see columns.h. CSV is that of RFC 4180: a value in quotes may have separators, lines and doubled quotes
 * in it. A line may end with "\r\n". A quote within a value that does not begin with one stands for itself.
 *
 * A separator of one character is that character; any other is an extended regular expression, in which \t is a tab.
 */
#include "client/cli/columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* With \t in it as the tab that it means to those who are used to Perl. The caller frees. */
static char *with_tabs(const char *text)
{
    char *copy = strdup(text), *to = copy;

    for (const char *s = text; copy && *s; s++) {
        const bool tab = s[0] == '\\' && s[1] == 't';

        if (s[0] == '\\' && s[1] && !tab)
            *to++ = *s++; /* and what it is before, which begins nothing */
        *to++ = tab ? '\t' : *s;
        s += tab;
    }
    if (copy)
        *to = '\0';
    return copy;
}

static bool init_regex(struct columns *c, const char *text, char why[COLUMNS_WHY_BYTES])
{
    regmatch_t match;
    char reason[100];
    int r = regcomp(&c->regex, text, REG_EXTENDED);

    if (r != 0) {
        regerror(r, &c->regex, reason, sizeof reason);
        snprintf(why, COLUMNS_WHY_BYTES, "it is no regular expression: %s", reason);
        return false;
    }
    c->how = COLUMNS_REGEX;
    if (regexec(&c->regex, "", 1, &match, 0) == 0) {
        snprintf(why, COLUMNS_WHY_BYTES, "it matches where nothing is");
        return false;
    }
    return true;
}

bool columns_init(struct columns *c, const char *separator, bool csv, char why[COLUMNS_WHY_BYTES])
{
    char *text = separator ? with_tabs(separator) : NULL;
    bool good = true;

    *c = (struct columns){ .separator = ',' };
    if (separator && !text) {
        snprintf(why, COLUMNS_WHY_BYTES, "out of memory");
        return false;
    }
    if (text && strlen(text) == 1)
        c->separator = *text;
    if (csv) {
        c->how = COLUMNS_CSV;
        good = !text || (strlen(text) == 1 && *text != '"');
        if (!good)
            snprintf(why, COLUMNS_WHY_BYTES, "between the values of --csv is one character, and no quote");
    } else if (text && strlen(text) == 1) {
        c->how = COLUMNS_CHARACTER;
    } else if (text) {
        good = init_regex(c, text, why);
    }
    free(text);
    return good;
}

void columns_deinit(struct columns *c)
{
    if (c->how == COLUMNS_REGEX)
        regfree(&c->regex);
    c->how = COLUMNS_NONE;
}

/* -- CSV --------------------------------------------------------------------------------------------------- */

/* The value whose text in quotes goes on at s; where its end is: at a separator, or at the end. ret NULL: only looks.
 * True: its quotation is open. */
static bool take_quoted(const struct columns *c, const char *s, const char *end, const char **ret_end,
                        struct texts *ret)
{
    for (; s < end && (*s != '"' || (s + 1 < end && s[1] == '"')); s++) {
        if (*s == '"')
            s++;
        if (ret)
            texts_put(ret, s, 1);
    }
    *ret_end = end;
    if (s == end)
        return true;
    for (s++; s < end && *s != c->separator; s++) /* what does not belong there */
        if (ret)
            texts_put(ret, s, 1);
    *ret_end = s;
    return false;
}

/* open: a quotation is, where it begins. */
static bool take_csv(const struct columns *c, const char *s, const char *end, bool open, struct texts *ret)
{
    const char *stop = end;

    for (;;) {
        if (open || (s < end && *s == '"')) {
            open = take_quoted(c, open ? s : s + 1, end, &stop, ret);
        } else {
            stop = memchr(s, c->separator, (size_t)(end - s));
            stop = stop ? stop : end;
            if (ret)
                texts_put(ret, s, (size_t)(stop - s));
        }
        if (ret)
            texts_end(ret);
        if (stop == end)
            return open;
        s = stop + 1;
    }
}

/* -- all of them ------------------------------------------------------------------------------------------- */

bool columns_open(const struct columns *c, bool before, const char *line, size_t n)
{
    return c->how == COLUMNS_CSV && take_csv(c, line, line + n, before, NULL);
}

static void split_at_character(const struct columns *c, const char *s, const char *end, struct texts *ret)
{
    for (const char *stop; (stop = memchr(s, c->separator, (size_t)(end - s))); s = stop + 1)
        texts_add(ret, s, (size_t)(stop - s));
    texts_add(ret, s, (size_t)(end - s));
}

/* Of a line with a NUL in it the expression sees what is before. */
static void split_at_regex(const struct columns *c, const char *s, const char *end, struct texts *ret)
{
    const char *from = s;
    regmatch_t m;

    while (regexec(&c->regex, s, 1, &m, s == from ? 0 : REG_NOTBOL) == 0 && m.rm_eo > m.rm_so) {
        texts_add(ret, s, (size_t)m.rm_so);
        s += m.rm_eo;
    }
    texts_add(ret, s, (size_t)(end - s));
}

void columns_split(const struct columns *c, const char *line, size_t n, struct texts *ret)
{
    if (c->how != COLUMNS_NONE && n > 0 && line[n - 1] == '\r')
        n--;
    switch (c->how) {
    case COLUMNS_NONE:
        texts_add(ret, line, n);
        break;
    case COLUMNS_CHARACTER:
        split_at_character(c, line, line + n, ret);
        break;
    case COLUMNS_REGEX:
        split_at_regex(c, line, line + n, ret);
        break;
    case COLUMNS_CSV:
        take_csv(c, line, line + n, false, ret);
        break;
    }
}
