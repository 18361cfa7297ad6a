/* SPDX-License-Identifier: MIT */
/*
 * verb_complete -- `ptools complete -- WORD...`: what the last word of a command line may become. The shells'
 * completions ask this, and have no tables of their own.
 *
 * All is found in the rows of the verbs: the options there; what an option takes by its name or by what --help calls
 * its value; and which word comes where by the lines of the usage, in which what is written small is meant as it
 * stands, and what is written large has a meaning.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/failure.h"
#include "client/cli/offers.h"
#include "client/cli/session.h"
#include "client/cli/verbs.h"

static const char *const usage[] = { "[--] [WORD...]", NULL };

/* What is written so far. */
struct written {
    struct command_line line;      /* the daemon that is meant, as far as it is said */
    const struct verb *verb;       /* NULL: none yet */
    const struct option_row *open; /* the option whose value comes now; NULL: none */
    const char *words[3];          /* those behind the verb that are no options, the first few */
    size_t n_words;
    bool only_words; /* there are no options any more */
    const char *now; /* the last one */
};

/* -- what is written ---------------------------------------------------------------------------------------------- */

static const struct option_row *row_in(const struct option_row *rows, const char *text, size_t n)
{
    for (; rows && rows->name; rows++) {
        if (text[0] == '-' && text[1] == '-' && strlen(rows->name) == n - 2 &&
            strncmp(rows->name, text + 2, n - 2) == 0)
            return rows;
        if (n == 2 && text[1] != '-' && rows->letter == text[1])
            return rows;
    }
    return NULL;
}

static const struct option_row *find_option(const struct verb *verb, const char *text, size_t n)
{
    const struct option_row *row = n >= 2 ? row_in(global_options, text, n) : NULL;

    return row || n < 2 || !verb ? row : row_in(verb->options, text, n);
}

static bool takes_next(const struct option_row *row)
{
    return row && row->value && row->value[0] != '[';
}

static void take_value(struct written *w, const struct option_row *row, const char *value)
{
    if (row && row->id == OPTION_DIR)
        w->line.dir = value;
    else if (row && row->id == OPTION_ADDRESS)
        w->line.address = value;
    else if (row && row->id == OPTION_USER)
        w->line.user = value;
}

static void take_word(struct written *w, const char *text)
{
    if (!w->verb) {
        w->verb = verb_find(text);
        return;
    }
    if (w->n_words < sizeof w->words / sizeof *w->words)
        w->words[w->n_words] = text;
    w->n_words++;
    w->only_words |= w->verb->words_end_options;
}

static void take(struct written *w, const char *text)
{
    const size_t n = strcspn(text, "=");

    if (w->open) {
        take_value(w, w->open, text);
        w->open = NULL;
    } else if (w->only_words || text[0] != '-' || !text[1]) {
        take_word(w, text);
    } else if (strcmp(text, "--") == 0) {
        w->only_words = true;
    } else if (text[n] == '=') {
        take_value(w, find_option(w->verb, text, n), text + n + 1);
    } else {
        const struct option_row *row = find_option(w->verb, text, n);

        w->open = takes_next(row) ? row : NULL;
    }
}

/* -- values of options -------------------------------------------------------------------------------------------- */

/* From here on the word is completed; of a list, the last of it. */
static void split(struct offers *o, const char *word, const char *from, bool list)
{
    const char *comma = list ? strrchr(from, ',') : NULL;

    o->before = word;
    o->part = comma ? comma + 1 : from;
    o->n_before = (int)(o->part - word);
}

static void offer_value(struct offers *o, const struct option_row *row, const char *word, const char *from)
{
    static const struct {
        const char *name, *words;
        enum offer_source source;
    } known[] = {
        { "dir", NULL, OFFER_DIRS },
        { "set", NULL, OFFER_SETS },
        { "worker", NULL, OFFER_WORKERS },
        { "init", NULL, OFFER_FUNCTIONS },
        { "after", NULL, OFFER_TASKS },
        { "columns", NULL, OFFER_COLUMNS },
        { "type", NULL, OFFER_TYPES },
        { "limit", NULL, OFFER_LIMITS },
        { "file", NULL, OFFER_FILES },
        { "retry-on", "died,failed,timeout", 0 },
        { "on-error", "keep,stop,default=", 0 },
        { "file-mode", "r,r+,w+,a+", 0 },
    };
    const bool list = strstr(row->value, ",...") != NULL;

    split(o, word, from, list);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(row->name, known[i].name) != 0)
            continue;
        if (known[i].words)
            offer_words(o, known[i].words);
        else
            offer_all(o, known[i].source);
        return;
    }
    if (strchr(row->value, '|'))
        offer_words(o, row->value);
    else if (strcmp(row->value, "TAG") == 0)
        offer_all(o, OFFER_TAGS);
    else if (strncmp(row->value, "STATE", 5) == 0)
        offer_all(o, OFFER_STATES);
    else if (strncmp(row->value, "FILE", 4) == 0 || strncmp(row->value, "PATH", 4) == 0)
        offer_all(o, OFFER_FILES);
    else if (strcmp(row->value, "DIR") == 0)
        offer_all(o, OFFER_DIRS);
}

static void offer_options(struct offers *o, const struct option_row *rows)
{
    char text[40];

    for (; rows && rows->name; rows++) {
        snprintf(text, sizeof text, "--%s", rows->name);
        offer(o, text, rows->help);
    }
}

/* -- words ------------------------------------------------------------------------------------------------------------
 */

/* The next token of a usage line that stands for a word; NULL: there is none. What is an option is passed over, with
 * its value and with brackets around both. */
static const char *next_token(const char *s, size_t *ret_n)
{
    for (;;) {
        s += strspn(s, " ]");
        if (strncmp(s, "[-", 2) == 0 || strncmp(s, "[OPTION", 7) == 0) {
            s += strcspn(s, "]");
            s += strspn(s, "].");
        } else if (*s == '-') {
            s += strcspn(s, " ");
            s += strspn(s, " ");
            s += *s == '[' ? 0 : strcspn(s, " ");
        } else {
            s += *s == '[';
            *ret_n = strcspn(s, " ]");
            return *ret_n > 0 && *s != '<' ? s : NULL;
        }
    }
}

static enum offer_source meaning(const struct verb *verb, const char *token, size_t n)
{
    static const struct {
        const char *token, *verb; /* verb NULL: of all others */
        enum offer_source source;
    } known[] = {
        { "ID", "workers", OFFER_WORKERS },   { "ID", "sets", OFFER_WORKERS },
        { "ID", NULL, OFFER_TASKS },          { "NAME", "sets", OFFER_SETS },
        { "NAME", "shm", OFFER_ARRAYS },      { "NAME", "stasks", OFFER_STASKS },
        { "NAME", "modules", OFFER_MODULES }, { "MODULE.FUNCTION", NULL, OFFER_FUNCTIONS },
        { "VERB", NULL, OFFER_VERBS },        { "TYPE", NULL, OFFER_TYPES },
        { "FILE", NULL, OFFER_FILES },        { "ARG", NULL, OFFER_FILES },
        { "COMMAND", NULL, OFFER_COMMANDS },  { "CMD", NULL, OFFER_COMMANDS },
    };

    if (n > 3 && strncmp(token + n - 3, "...", 3) == 0)
        n -= 3;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].token) == n && strncmp(known[i].token, token, n) == 0 &&
            (!known[i].verb || strcmp(known[i].verb, verb->name) == 0))
            return known[i].source;
    return OFFER_NOTHING;
}

/* By one line of the usage: the token of the word that comes now; NULL: what is written is something else. */
static const char *token_now(const struct written *w, const char *line, size_t *ret_n)
{
    const char *token = next_token(line, ret_n);

    for (size_t i = 0; token && i < w->n_words; i++) {
        const bool repeats = *ret_n > 3 && strncmp(token + *ret_n - 3, "...", 3) == 0;

        if (islower((unsigned char)*token) &&
            (i >= sizeof w->words / sizeof *w->words || strlen(w->words[i]) != *ret_n ||
             strncmp(w->words[i], token, *ret_n) != 0))
            return NULL;
        if (!repeats)
            token = next_token(token + *ret_n, ret_n);
    }
    return token;
}

static void offer_word(struct offers *o, const struct written *w)
{
    unsigned offered = 0; /* sources, for several lines may say the same */

    for (size_t i = 0; w->verb->usage[i]; i++) {
        char literal[40];
        size_t n;
        const char *token = token_now(w, w->verb->usage[i], &n);
        enum offer_source source = token ? meaning(w->verb, token, n) : OFFER_NOTHING;

        split(o, w->now, w->now, source == OFFER_TASKS);
        snprintf(literal, sizeof literal, "%.*s", token ? (int)n : 0, token ? token : "");
        if (token && islower((unsigned char)*token))
            offer(o, literal, NULL);
        else if (!(offered & 1u << source))
            offer_all(o, source);
        offered |= 1u << source;
    }
}

static void complete(struct offers *o, const struct written *w)
{
    const size_t n = strcspn(w->now, "=");
    const struct option_row *row = w->now[0] == '-' && w->now[n] ? find_option(w->verb, w->now, n) : NULL;

    split(o, w->now, w->now, false);
    if (w->open) {
        offer_value(o, w->open, w->now, w->now);
    } else if (!w->only_words && row && row->value) {
        offer_value(o, row, w->now, w->now + n + 1);
    } else if (!w->only_words && w->now[0] == '-') {
        offer_options(o, w->verb ? w->verb->options : NULL);
        offer_options(o, global_options);
    } else if (!w->verb) {
        offer_all(o, OFFER_VERBS);
    } else {
        offer_word(o, w);
    }
}

static int run(const struct command_line *line)
{
    static const char *const also[] = { [OFFER_FILES] = "files", [OFFER_DIRS] = "dirs", [OFFER_COMMANDS] = "commands" };
    struct written w = { .line = { .dir = line->dir, .address = line->address, .user = line->user, .json = line->json }, .now = "" };
    struct offers o = { .line = &w.line };
    const size_t n = command_line_words(line);

    for (size_t i = 0; i + 1 < n; i++)
        take(&w, command_line_word(line, i));
    if (n > 0)
        w.now = command_line_word(line, n - 1);
    if (line->json) {
        session_document(&o.json);
        json_key(&o.json, "words");
        json_open(&o.json, '[');
    }
    complete(&o, &w);
    if (o.no_memory)
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    if (!line->json) {
        if (o.also != OFFER_NOTHING)
            printf(":%s\n", also[o.also]);
        return EXIT_VALUE;
    }
    json_close(&o.json, ']');
    json_key(&o.json, "also");
    json_put_string(&o.json, o.also != OFFER_NOTHING ? also[o.also] : "");
    return session_document_end(line, &o.json);
}

const struct verb verb_complete = {
    .name = "complete",
    .summary = "tell what a word of a command line may become",
    .usage = usage,
    .about =
        "For the completions of shells: WORD... is what stands behind ptools on a command line that is being written,\n"
        "and the last one, which may be empty, is to be completed. Prints a line for each word that it may become,\n"
        "with a tab and what it means behind it; and :files, :dirs or :commands if it may be such, too. Names are\n"
        "those that the daemon knows; without one there are none.\n",
    .run = run,
};
