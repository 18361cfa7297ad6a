/* SPDX-License-Identifier: MIT */
/*
 * command_line -- see command_line.h. Options may stand anywhere, before the verb only global ones.
 *
 * --name VALUE, --name=VALUE, -x, -xVALUE, and -- after which all are words. A word that begins with '-' and a
 * digit, and "-" alone, are words too: `ptools call math.square -3` needs no --. Options keep their place
 * among the words, for what they mean may depend on it. No getopt: it knows neither the place nor such words.
 * Where the words are a command to be run, they end the options: what follows belongs to that command.
 */
#include "client/cli/command_line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/failure.h"
#include "client/cli/words.h"

static bool needs_value(const struct option_row *row)
{
    return row->value && row->value[0] != '[';
}

/* By "--name", of which n bytes count, or by "-x" or "-xVALUE". */
static const struct option_row *find_in(const struct option_row *rows, const char *arg, size_t n)
{
    for (; rows && rows->name; rows++) {
        if (arg[1] == '-' ? strlen(rows->name) == n - 2 && strncmp(rows->name, arg + 2, n - 2) == 0
                          : rows->letter == arg[1] && (n == 2 || needs_value(rows)))
            return rows;
    }
    return NULL;
}

static const struct option_row *find(const struct verb *verb, const char *arg, size_t n)
{
    const struct option_row *row = verb ? find_in(verb->options, arg, n) : NULL;

    return row ? row : find_in(global_options, arg, n);
}

/* -0 may be an option of the verb, -3 is not. */
static bool is_word(const struct command_line *line, const char *arg)
{
    if (arg[0] != '-' || arg[1] == '\0')
        return true;
    return arg[1] >= '0' && arg[1] <= '9' && !find(line->verb, arg, strlen(arg));
}

static int unknown_option(struct command_line *line, const char *arg, size_t n)
{
    struct nearest near;
    char word[80];

    snprintf(word, sizeof word, "%.*s", (int)(n < sizeof word ? n : sizeof word - 1), arg);
    nearest_init(&near, word + strspn(word, "-"));
    for (const struct option_row *row = line->verb ? line->verb->options : NULL; row && row->name; row++)
        nearest_offer(&near, row->name);
    for (const struct option_row *row = global_options; row->name; row++)
        nearest_offer(&near, row->name);
    snprintf(line->problem, sizeof line->problem, "there is no option %s%s%s%s", word,
             near.best ? "; the nearest is --" : "", near.best ? near.best : "",
             line->verb && !near.best ? "; words that begin with '-' go after --" : "");
    return 1;
}

static int take_global(struct command_line *line, int id, const char *value)
{
    switch (id) {
    case OPTION_DIR:
        line->dir = value;
        break;
    case OPTION_ADDRESS:
        line->address = value;
        break;
    case OPTION_USER:
        line->user = value;
        break;
    case OPTION_JSON:
        line->json = true;
        break;
    case OPTION_HELP:
        line->help = true;
        break;
    case OPTION_VERSION:
        line->version = true;
        break;
    }
    if (value && !*value) {
        snprintf(line->problem, sizeof line->problem, "--%s is empty",
                 id == OPTION_DIR    ? "dir"
                 : id == OPTION_USER ? "user"
                                     : "address");
        return 1;
    }
    if (line->address && (line->dir || line->user)) {
        snprintf(line->problem, sizeof line->problem, "--%s and --address exclude each other",
                 line->dir ? "dir" : "user");
        return 1;
    }
    return 0;
}

/* One option at argv[*i], and its value behind it. */
static int take_option(struct command_line *line, int argc, char *const argv[], int *i)
{
    const char *arg = argv[*i];
    const char *equals = arg[1] == '-' ? strchr(arg, '=') : NULL;
    size_t n = equals ? (size_t)(equals - arg) : strlen(arg);
    const struct option_row *row = find(line->verb, arg, n);
    const char *value = equals ? equals + 1 : arg[1] != '-' && n > 2 ? arg + 2 : NULL;

    if (!row)
        return unknown_option(line, arg, n);
    if (!row->value && equals) {
        snprintf(line->problem, sizeof line->problem, "--%s takes no value", row->name);
        return 1;
    }
    if (needs_value(row) && !value && *i + 1 >= argc) {
        snprintf(line->problem, sizeof line->problem, "--%s needs a value: --%s %s", row->name, row->name, row->value);
        return 1;
    }
    if (needs_value(row) && !value)
        value = argv[++*i];
    if (row->id < OPTION_OF_VERB)
        return take_global(line, row->id, value);
    line->items[line->n++] = (struct item){ row->id, value };
    return 0;
}

static int take_verb(struct command_line *line, const char *name)
{
    const char *best;

    line->verb = verb_find(name);
    if (line->verb)
        return 0;
    best = verb_nearest(name);
    snprintf(line->problem, sizeof line->problem, "there is no verb \"%.80s\"%s%s%s", name,
             best ? "; the nearest is \"" : "", best ? best : "", best ? "\"" : "");
    return 1;
}

static void take_word(struct command_line *line, const char *word, bool *only_words)
{
    line->items[line->n++] = (struct item){ ITEM_WORD, word };
    if (line->verb->words_end_options)
        *only_words = true;
}

int command_line_parse(struct command_line *line, int argc, char *const argv[])
{
    bool only_words = false;
    int r = 0;

    *line = (struct command_line){ 0 };
    line->items = calloc((size_t)argc + 1, sizeof *line->items);
    if (!line->items)
        return -ENOMEM;
    for (int i = 1; i < argc && r == 0; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
            line->command = line->verb && command_line_words(line) == 0;
        } else if (!only_words && !is_word(line, argv[i])) {
            r = take_option(line, argc, argv, &i);
        } else if (!line->verb) {
            r = take_verb(line, argv[i]);
        } else {
            take_word(line, argv[i], &only_words);
        }
    }
    return r;
}

void command_line_deinit(struct command_line *line)
{
    free(line->items);
    line->items = NULL;
    line->n = 0;
}

const char *command_line_word(const struct command_line *line, size_t index)
{
    for (size_t i = 0; i < line->n; i++)
        if (line->items[i].id == ITEM_WORD && index-- == 0)
            return line->items[i].text;
    return NULL;
}

size_t command_line_words(const struct command_line *line)
{
    size_t n = 0;

    for (size_t i = 0; i < line->n; i++)
        n += line->items[i].id == ITEM_WORD;
    return n;
}

int command_line_wrong(const struct command_line *line, const char *format, ...)
{
    char *text = NULL;
    va_list args;

    fputs("ptools", stderr);
    if (line->verb)
        fprintf(stderr, " %s", line->verb->name);
    fputs(": ", stderr);
    if (line->input_line)
        fprintf(stderr, "line %" PRIu64 ": ", line->input_line);
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    if (text) /* with words of the command line in it, whatever they are */
        words_print(stderr, text, strlen(text));
    free(text);
    putc('\n', stderr);
    if (!line->input_line)
        help_usage(line->verb, stderr);
    return EXIT_USAGE;
}
