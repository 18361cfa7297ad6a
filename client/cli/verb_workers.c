/* SPDX-License-Identifier: MIT */
/*
 * verb_workers -- `ptools workers`: list, add, remove.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/command_line.h"
#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"
#include "client/cli/words.h"

static const char *const usage[] = { "", "add [N]", "rm ID...", NULL };

static const struct column columns[] = {
    { "ID", "id", CELL_PLAIN, .right = true },
    { "PID", "pid", CELL_PLAIN, .right = true, .unknown_zero = true },
    { "STATE", "state" },
    { "FOR", "stands_for", CELL_PLAIN, .right = true, .unknown_zero = true },
    { "DONE", "tasks_done", CELL_PLAIN, .right = true },
    { "WAITING", "waiting", CELL_PLAIN, .right = true },
    { "DEATHS", "deaths", CELL_PLAIN, .right = true },
    { "RECYCLED", "recycled", CELL_PLAIN, .right = true },
    { "MEMORY", "rss_bytes", CELL_SIZE, .right = true, .unknown_zero = true },
    { "FUNCTION", "function", CELL_PLAIN, .wrap = true },
    { "PROGRESS", "progress", CELL_PROGRESS },
    { "PHASE", "phase", CELL_PLAIN, .wrap = true },
    { 0 },
};

static int list(const struct command_line *line)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_future) f = NULL;
    struct json_writer w;
    struct table *table;
    ptools_value workers, worker;
    int r = session_inspect(line, "workers", &pt, &f, &workers);

    if (r != EXIT_VALUE)
        return r;
    if (line->json) {
        session_document(&w);
        json_key(&w, "workers");
        json_put_value(&w, workers);
        return session_document_end(line, &w);
    }
    table = table_new(columns);
    for (uint32_t i = 0; table && ptools_get_item(workers, i, &worker) == PTOOLS_OK; i++)
        table_add(table, "", worker);
    r = table ? table_print(table) : -1;
    table_free(table);
    return r < 0 ? failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL) : EXIT_VALUE;
}

/* Prints the new ids, one a line. */
static int add(const struct command_line *line)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    const char *word = command_line_word(line, 1);
    uint32_t n = 1, first;
    struct json_writer w;
    ptools_err r;
    int status;

    if (word && !words_number(word, &n))
        return command_line_wrong(line, "add %s: allowed is a number of workers, 1 or more", word);
    if (command_line_words(line) > 2)
        return command_line_wrong(line, "add takes one number");
    status = session_open(line, false, 0, &pt);
    if (status != EXIT_VALUE)
        return status;
    r = ptools_workers_add(pt, n, &first);
    if (r != PTOOLS_OK)
        return failure_report_last(line, pt, r);
    if (!line->json) {
        for (uint32_t i = 0; i < n; i++)
            printf("%" PRIu32 "\n", first + i);
        return EXIT_VALUE;
    }
    session_document(&w);
    json_key(&w, "added");
    json_open(&w, '[');
    for (uint32_t i = 0; i < n; i++)
        json_put_u64(&w, first + i);
    json_close(&w, ']');
    return session_document_end(line, &w);
}

/* Each that can be removed is; the status is that of the first that cannot. */
static int remove_workers(const struct command_line *line)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    const char *word;
    uint32_t id;
    int status, worst = EXIT_VALUE;

    if (!command_line_word(line, 1))
        return command_line_wrong(line, "rm: which ones? Their ids are missing");
    for (size_t i = 1; (word = command_line_word(line, i)); i++)
        if (!words_number(word, &id))
            return command_line_wrong(line, "rm %s: an id is a number, 1 or more", word);
    status = session_open(line, false, 0, &pt);
    if (status != EXIT_VALUE)
        return status;
    for (size_t i = 1; (word = command_line_word(line, i)); i++) {
        ptools_err r = words_number(word, &id) ? ptools_workers_remove(pt, id) : PTOOLS_ERR_INVALID;

        status = r == PTOOLS_OK ? EXIT_VALUE : failure_report_last(line, pt, r);
        if (worst == EXIT_VALUE)
            worst = status;
    }
    return worst;
}

static int run(const struct command_line *line)
{
    const char *word = command_line_word(line, 0);

    if (!word)
        return list(line);
    if (strcmp(word, "add") == 0)
        return add(line);
    if (strcmp(word, "rm") == 0)
        return remove_workers(line);
    return command_line_wrong(line, "\"%s\": allowed are add and rm, or nothing, which lists", word);
}

const struct verb verb_workers = {
    .name = "workers",
    .summary = "list, add and remove workers",
    .usage = usage,
    .about = "Lists the workers; adds N (default 1) and prints their ids; or removes some: a worker that is removed\n"
             "finishes what it runs.\n",
    .run = run,
};
