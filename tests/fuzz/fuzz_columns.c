/* SPDX-License-Identifier: MIT */
/*
 * fuzz_columns -- any bytes as the input of a pmap over commands: the first line is a command with placeholders, the
 * second a separator, and the rest lines that are cut into values by it, and as CSV, and put into the command.
 *
 * Separators of several characters are regular expressions. These are the user's own, and libc's to read, with
 * repetitions of repetitions that take all memory: so one that is known stands for all of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/columns.h"
#include "client/cli/template.h"
#include "client/cli/texts.h"
#include "tests/fuzz/fuzz.h"

enum { TEXT_MAX = 4096 };

static void check_list(const struct texts *s)
{
    check(!s->no_memory);
    for (size_t i = 0; i < s->n; i++) {
        size_t n;
        const char *text = texts_get(s, i, &n);

        check(text[n] == '\0');
    }
}

static void expand(const char *command, const struct texts *values)
{
    struct texts words = { .n = 0 };
    struct template t;

    check(template_init(&t, &command, 1, NULL, true));
    template_expand(&t, values, 17, 3, &words);
    check_list(&words);
    check(words.n >= 1 && words.n <= 1 + values->n);
    template_deinit(&t);
    texts_deinit(&words);
}

static void split(const struct columns *c, const char *command, char *lines)
{
    for (char *line = lines, *end; line; line = end) {
        struct texts values = { .n = 0 };

        end = strchr(line, '\n');
        if (end)
            *end++ = '\0';
        columns_open(c, false, line, strlen(line));
        columns_split(c, line, strlen(line), &values);
        check_list(&values);
        check(values.n >= 1);
        expand(command, &values);
        texts_deinit(&values);
    }
}

static void with(const char *command, const char *separator, bool csv, const char *lines)
{
    char why[COLUMNS_WHY_BYTES] = "", *own = strdup(lines);
    struct columns c;

    check(own);
    if (columns_init(&c, separator, csv, why))
        split(&c, command, own);
    else
        check(*why);
    columns_deinit(&c);
    free(own);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text, *separator, *lines;

    if (n > TEXT_MAX)
        return 0;
    text = fuzz_text(data, n);
    separator = strchr(text, '\n');
    lines = separator ? strchr(separator + 1, '\n') : NULL;
    if (lines) {
        *separator++ = '\0';
        *lines++ = '\0';
        with(text, NULL, false, lines);
        with(text, NULL, true, lines);
        with(text, separator[0] && separator[1] ? " *[,;] *" : separator, false, lines);
    }
    free(text);
    return 0;
}
