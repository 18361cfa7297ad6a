/* SPDX-License-Identifier: MIT */
/*
 * verb_status -- `ptools status`: the daemon in a few lines.
 */
#include "client/cli/command_line.h"
#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"

static const char *const usage[] = { "", NULL };

static const struct column columns[] = {
    { "version", "version" },
    { "directory", "dir" },
    { "pid", "pid" },
    { "up", "uptime_s", CELL_SECONDS },
    { "private", "private" },
    { "draining", "draining" },
    { "clients", "clients" },
    { "workers", "workers" },
    { "sets", "sets" },
    { "tasks waiting", "tasks.waiting" },
    { "tasks with workers", "tasks.given" },
    { "tasks taken so far", "tasks.submitted" },
    { "... done", "tasks.done" },
    { "... failed", "tasks.failed" },
    { "... cancelled", "tasks.cancelled" },
    { "queued tasks", "queue.waiting" },
    { "... known", "queue.known" },
    { "... taken so far", "queue.taken" },
    { "... paused", "queue.paused" },
    { "journal", "journal.dir" },
    { "... failed", "journal.failed" },
    { "arguments held", "payload_bytes", CELL_SIZE },
    { "memory", "rss_bytes", CELL_SIZE },
    { 0 },
};

static int run(const struct command_line *line)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_future) f = NULL;
    struct json_writer w;
    ptools_value status;
    int r;

    if (line->n > 0)
        return command_line_wrong(line, "\"%s\": status takes no words", line->items[0].text);
    r = session_inspect(line, "status", &pt, &f, &status);
    if (r != EXIT_VALUE)
        return r;
    if (!line->json)
        return table_print_fields(columns, status) < 0 ? failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL)
                                                       : EXIT_VALUE;
    session_document(&w);
    json_key(&w, "status");
    json_put_value(&w, status);
    return session_document_end(line, &w);
}

const struct verb verb_status = {
    .name = "status",
    .summary = "show the daemon: its directory, workers and tasks",
    .usage = usage,
    .about = "Shows what the daemon is and does. The status is 0 if one answered, 125 if none did.\n",
    .run = run,
};
