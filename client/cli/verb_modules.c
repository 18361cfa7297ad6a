/* SPDX-License-Identifier: MIT */
/*
 * verb_modules -- `ptools modules`: the modules that the daemon knows, and their functions with their help.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/command_line.h"
#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"

static const char *const usage[] = { "[NAME]", NULL };

/* One table: a row for the module, then one for each of its functions. */
static const struct column columns[] = {
    { "NAME", "name" },
    { "STATE", "state" },
    { "CALLS", "calls", CELL_PLAIN, .right = true },
    { "USUAL", "usual_us", CELL_TIME, .right = true, .unknown_zero = true },
    { "HELP", "help", CELL_PLAIN, .wrap = true, .rather = "problem" },
    { 0 },
};
static const struct column fields[] = {
    { "module", "name" },
    { "state", "state" },
    { "problem", "problem" },
    { "path", "path" },
    { "help", "help" },
    { "loaded by each worker", "in_worker" },
    { 0 },
};
static const struct column function_columns[] = {
    { "FUNCTION", "name" },
    { "CALLS", "calls", CELL_PLAIN, .right = true },
    { "USUAL", "usual_us", CELL_TIME, .right = true, .unknown_zero = true },
    { "REPEATABLE", "idempotent" },
    { "HELP", "help", CELL_PLAIN, .wrap = true },
    { 0 },
};

static bool is_named(ptools_value module, const char *name)
{
    ptools_value v;
    const char *s;
    size_t n;

    return ptools_get_field(module, "name", &v) == PTOOLS_OK && ptools_get_str(v, &s, &n) == PTOOLS_OK &&
           n > 0 && n == strlen(name) && memcmp(s, name, n) == 0;
}

/* A row for each function of the module, its name after prefix. */
static void add_functions(struct table *table, const char *prefix, ptools_value module)
{
    ptools_value functions, function;

    if (ptools_get_field(module, "functions", &functions) != PTOOLS_OK)
        return;
    for (uint32_t i = 0; ptools_get_item(functions, i, &function) == PTOOLS_OK; i++)
        table_add(table, prefix, function);
}

static void add_module(struct table *table, ptools_value module)
{
    char *name = table_string(module, "name"), *prefix = NULL;

    table_add(table, "", module);
    if (name && asprintf(&prefix, "%s.", name) >= 0)
        add_functions(table, prefix, module);
    free(prefix);
    free(name);
}

static int print_all(const struct command_line *line, ptools_value modules)
{
    struct table *table;
    ptools_value module;
    int r;

    if (ptools_get_item(modules, 0, &module) != PTOOLS_OK) {
        fputs("ptools modules: none is loaded yet: a module is loaded by the first call of one of its functions\n",
              stderr);
        return EXIT_VALUE;
    }
    table = table_new(columns);
    for (uint32_t i = 0; table && ptools_get_item(modules, i, &module) == PTOOLS_OK; i++)
        add_module(table, module);
    r = table ? table_print(table) : -1;
    table_free(table);
    return r < 0 ? failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL) : EXIT_VALUE;
}

static int print_one(const struct command_line *line, ptools_value module)
{
    struct table *table;
    int r = table_print_fields(fields, module);
    ptools_value functions, first;

    if (r == 0 && ptools_get_field(module, "functions", &functions) == PTOOLS_OK &&
        ptools_get_item(functions, 0, &first) == PTOOLS_OK) {
        putchar('\n');
        table = table_new(function_columns);
        if (table)
            add_functions(table, "", module);
        r = table ? table_print(table) : -1;
        table_free(table);
    }
    return r < 0 ? failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL) : EXIT_VALUE;
}

static int print_json(const struct command_line *line, const char *key, ptools_value v)
{
    struct json_writer w;

    session_document(&w);
    json_key(&w, key);
    json_put_value(&w, v);
    return session_document_end(line, &w);
}

static int run(const struct command_line *line)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_future) f = NULL;
    const char *name = command_line_word(line, 0);
    ptools_value modules, module;
    char message[200];
    int r;

    if (command_line_words(line) > 1)
        return command_line_wrong(line, "one module at a time");
    r = session_inspect(line, "modules", &pt, &f, &modules);
    if (r != EXIT_VALUE)
        return r;
    if (!name)
        return line->json ? print_json(line, "modules", modules) : print_all(line, modules);
    for (uint32_t i = 0; ptools_get_item(modules, i, &module) == PTOOLS_OK; i++)
        if (is_named(module, name))
            return line->json ? print_json(line, "module", module) : print_one(line, module);
    snprintf(message, sizeof message,
             "the daemon has not been asked for a module \"%.64s\" yet: it is loaded by the first call of one of its "
             "functions",
             name);
    return failure_report_code(line, PTOOLS_ERR_NO_MODULE, message);
}

const struct verb verb_modules = {
    .name = "modules",
    .summary = "list the modules and their functions, with their help",
    .usage = usage,
    .about = "Lists the modules that were preloaded or called, and the functions of each; or one module, with the\n"
             "path it was loaded from, or the reason why it was not. USUAL is how long a function usually takes.\n",
    .run = run,
};
