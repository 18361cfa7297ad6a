/* SPDX-License-Identifier: MIT */
/*
 * verb_sets -- `ptools sets`: list, create, change and remove named worker sets.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/command_line.h"
#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"
#include "client/cli/words.h"

enum { OPTION_MODE = OPTION_OF_VERB };

static const struct option_row options[] = {
    { OPTION_MODE, '\0', "mode", "rr|ff", "round robin (the default of create), or first free" },
    { 0 },
};

static const char *const usage[] = {
    "", "create NAME [--mode rr|ff] ID...", "change NAME --mode rr|ff ID...", "rm NAME", NULL,
};

static const struct column columns[] = {
    { "NAME", "name" },
    { "MODE", "mode" },
    { "WAITING", "waiting", CELL_PLAIN, .right = true },
    { "WORKERS", "workers", CELL_PLAIN, .wrap = true },
    { 0 },
};

struct wish {
    const char *name;
    ptools_ws_mode mode;
    bool mode_given;
    uint32_t *ids;
    size_t n;
};

static int list(const struct command_line *line)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_future) f = NULL;
    struct json_writer w;
    struct table *table;
    ptools_value sets, set;
    int r = session_inspect(line, "sets", &pt, &f, &sets);

    if (r != EXIT_VALUE)
        return r;
    if (line->json) {
        session_document(&w);
        json_key(&w, "sets");
        json_put_value(&w, sets);
        return session_document_end(line, &w);
    }
    table = table_new(columns);
    for (uint32_t i = 0; table && ptools_get_item(sets, i, &set) == PTOOLS_OK; i++)
        table_add(table, "", set);
    r = table ? table_print(table) : -1;
    table_free(table);
    return r < 0 ? failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL) : EXIT_VALUE;
}

/* NAME, the mode and the ids, from the words behind the first. ids has room for all words. */
static int take_wish(const struct command_line *line, struct wish *wish)
{
    const char *word;

    for (size_t i = 0; i < line->n; i++) {
        if (line->items[i].id != OPTION_MODE)
            continue;
        wish->mode_given = true;
        if (strcmp(line->items[i].text, "rr") == 0)
            wish->mode = PTOOLS_WS_RR;
        else if (strcmp(line->items[i].text, "ff") == 0)
            wish->mode = PTOOLS_WS_FF;
        else
            return command_line_wrong(line, "--mode %s: allowed are rr (round robin) and ff (first free)",
                                      line->items[i].text);
    }
    wish->name = command_line_word(line, 1);
    if (!wish->name)
        return command_line_wrong(line, "the name of the set is missing");
    for (size_t i = 2; (word = command_line_word(line, i)); i++)
        if (!words_number(word, &wish->ids[wish->n++]))
            return command_line_wrong(line, "\"%s\": the id of a worker is a number, 1 or more", word);
    return EXIT_VALUE;
}

static int create(const struct command_line *line, ptools *pt, const struct wish *wish)
{
    PTOOLS_AUTO(ptools_workerset) set = NULL;
    ptools_err r = ptools_workerset_create(pt, wish->name, wish->ids, wish->n, wish->mode, &set);

    return r == PTOOLS_OK ? EXIT_VALUE : failure_report_last(line, pt, r);
}

static int change(const struct command_line *line, ptools *pt, const struct wish *wish)
{
    PTOOLS_AUTO(ptools_workerset) set = NULL;
    ptools_err r = ptools_workerset_open(pt, wish->name, &set);

    if (r == PTOOLS_OK)
        r = ptools_workerset_change(set, wish->ids, wish->n, wish->mode);
    return r == PTOOLS_OK ? EXIT_VALUE : failure_report_last(line, pt, r);
}

static int destroy(const struct command_line *line, ptools *pt, const struct wish *wish)
{
    PTOOLS_AUTO(ptools_workerset) set = NULL;
    ptools_err r = ptools_workerset_open(pt, wish->name, &set);

    if (r == PTOOLS_OK)
        r = ptools_workerset_destroy(set);
    return r == PTOOLS_OK ? EXIT_VALUE : failure_report_last(line, pt, r);
}

static int act(const struct command_line *line, struct wish *wish,
               int (*deed)(const struct command_line *line, ptools *pt, const struct wish *wish))
{
    PTOOLS_AUTO(ptools) pt = NULL;
    int status = take_wish(line, wish);

    if (status != EXIT_VALUE)
        return status;
    if (deed == destroy && (wish->n > 0 || wish->mode_given))
        return command_line_wrong(line, "rm takes the name of one set, and nothing else");
    if (deed != destroy && wish->n == 0)
        return command_line_wrong(line, "the ids of the workers are missing");
    if (deed == change && !wish->mode_given)
        return command_line_wrong(line, "change needs --mode: mode and workers of a set change together");
    status = session_open(line, false, 0, &pt);
    return status == EXIT_VALUE ? deed(line, pt, wish) : status;
}

static int run(const struct command_line *line)
{
    static const struct {
        const char *name;
        int (*deed)(const struct command_line *line, ptools *pt, const struct wish *wish);
    } deeds[] = { { "create", create }, { "change", change }, { "rm", destroy } };
    const char *word = command_line_word(line, 0);
    struct wish wish = { .mode = PTOOLS_WS_RR };
    int status;

    if (!word && line->n > 0)
        return command_line_wrong(line, "--mode belongs to create and change");
    if (!word)
        return list(line);
    for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++) {
        if (strcmp(word, deeds[i].name) != 0)
            continue;
        wish.ids = calloc(line->n, sizeof *wish.ids);
        status = wish.ids ? act(line, &wish, deeds[i].deed) : failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
        free(wish.ids);
        return status;
    }
    return command_line_wrong(line, "\"%s\": allowed are create, change and rm, or nothing, which lists", word);
}

const struct verb verb_sets = {
    .name = "sets",
    .summary = "list, create, change and remove worker sets",
    .usage = usage,
    .about = "Lists the worker sets; creates one of the workers ID...; gives one other workers and another mode;\n"
             "removes one. A set stays until it is removed or the daemon ends. Round robin deals the calls out in\n"
             "the order of the ids, busy or not; first free gives a call to a worker that is free, or is the next\n"
             "to become so.\n",
    .options = options,
    .run = run,
};
