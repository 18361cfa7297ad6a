/* SPDX-License-Identifier: MIT */
/*
 * verb_shm_list -- `ptools shm ls` and `ptools shm info`: from the daemon's document of arrays.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/table.h"
#include "client/cli/verb_shm.h"

static const struct column columns[] = {
    { "NAME", "name" },
    { "PREFIX", "prefix" },
    { "TYPE", "type" },
    { "DIMS", "dims" },
    { "ORDER", "order" },
    { "SIZE", "bytes", CELL_SIZE, .right = true },
    { "MEMORY", "resident_bytes", CELL_SIZE, .right = true },
    { "STATE", "state" },
    { "UID", "uid", CELL_PLAIN, .right = true },
    { "KEPT", "keep" },
    { "ENDS IN", "ends_in_ms", CELL_MS, .right = true, .unknown_zero = true },
    { "MAPPED BY", "mapped_by", CELL_COUNT, .right = true },
    { 0 },
};
static const struct column fields[] = {
    { "array", "name" },
    { "prefix", "prefix" },
    { "id", "id" },
    { "type", "type" },
    { "dimensions", "dims" },
    { "order", "order" },
    { "size", "bytes", CELL_SIZE },
    { "bytes", "bytes" },
    { "in memory", "resident_bytes", CELL_SIZE },
    { "huge pages", "huge" },
    { "state", "state" },
    { "user", "uid" },
    { "shared with users", "share" },
    { "kept", "keep" },
    { "ends in", "ends_in_ms", CELL_MS, .unknown_zero = true },
    { "of client", "client", CELL_PLAIN, .unknown_zero = true },
    { "... its process", "client_pid", CELL_PLAIN, .unknown_zero = true },
    { "of server tasks", "stasks", CELL_PLAIN, .unknown_zero = true },
    { "in a file", "file" },
    { "... from byte", "offset" },
    { "read only", "read_only" },
    { 0 },
};
static const struct column mapper_columns[] = {
    { "MAPPED BY", "kind" },
    { "ID", "id", CELL_PLAIN, .right = true },
    { "PID", "pid", CELL_PLAIN, .right = true, .unknown_zero = true },
    { 0 },
};

static bool is_text(ptools_value document, const char *key, const char *text)
{
    ptools_value v;
    const char *s;
    size_t n;

    return ptools_get_field(document, key, &v) == PTOOLS_OK && ptools_get_str(v, &s, &n) == PTOOLS_OK &&
           n == strlen(text) && memcmp(s, text, n) == 0;
}

/* Memory that carries large values has no name. */
static const char *instead_of_name(ptools_value array)
{
    return is_text(array, "name", "") ? "(unnamed)" : "";
}

static int print_json(const struct command_line *line, const struct shm_wish *wish, ptools_value arrays)
{
    struct json_writer w;
    ptools_value array;

    session_document(&w);
    json_key(&w, "arrays");
    json_open(&w, '[');
    for (uint32_t i = 0; ptools_get_item(arrays, i, &array) == PTOOLS_OK; i++)
        if (!wish->options.prefix || is_text(array, "prefix", wish->options.prefix))
            json_put_value(&w, array);
    json_close(&w, ']');
    return session_document_end(line, &w);
}

int shm_list(const struct command_line *line, const struct shm_wish *wish)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_future) f = NULL;
    struct table *table;
    ptools_value arrays, array;
    int r = session_inspect(line, "arrays", &pt, &f, &arrays);

    if (r != EXIT_VALUE)
        return r;
    if (line->json)
        return print_json(line, wish, arrays);
    table = table_new(columns);
    for (uint32_t i = 0; table && ptools_get_item(arrays, i, &array) == PTOOLS_OK; i++)
        if (!wish->options.prefix || is_text(array, "prefix", wish->options.prefix))
            table_add(table, instead_of_name(array), array);
    r = table ? table_print(table) : -1;
    table_free(table);
    return r < 0 ? failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL) : EXIT_VALUE;
}

static bool is_wished(ptools_value array, const struct shm_wish *wish)
{
    uint64_t uid, owner = wish->owner == PTOOLS_SHM_OWN ? geteuid() : wish->owner;
    ptools_value v;

    return is_text(array, "name", wish->name) &&
           is_text(array, "prefix", wish->options.prefix ? wish->options.prefix : "") &&
           ptools_get_field(array, "uid", &v) == PTOOLS_OK && ptools_get_u64(v, &uid) == PTOOLS_OK && uid == owner;
}

static int print_one(const struct command_line *line, ptools_value array)
{
    struct table *table;
    int r = table_print_fields(fields, array);
    ptools_value mappers, mapper;

    if (r == 0 && ptools_get_field(array, "mapped_by", &mappers) == PTOOLS_OK &&
        ptools_get_item(mappers, 0, &mapper) == PTOOLS_OK) {
        putchar('\n');
        table = table_new(mapper_columns);
        for (uint32_t i = 0; table && ptools_get_item(mappers, i, &mapper) == PTOOLS_OK; i++)
            table_add(table, "", mapper);
        r = table ? table_print(table) : -1;
        table_free(table);
    }
    return r < 0 ? failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL) : EXIT_VALUE;
}

int shm_info(const struct command_line *line, const struct shm_wish *wish)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_future) f = NULL;
    char name[SHM_NAME_TEXT_BYTES], message[SHM_NAME_TEXT_BYTES + 100];
    struct json_writer w;
    ptools_value arrays, array;
    int r = session_inspect(line, "arrays", &pt, &f, &arrays);

    if (r != EXIT_VALUE)
        return r;
    for (uint32_t i = 0; ptools_get_item(arrays, i, &array) == PTOOLS_OK; i++) {
        if (!is_wished(array, wish))
            continue;
        if (!line->json)
            return print_one(line, array);
        session_document(&w);
        json_key(&w, "array");
        json_put_value(&w, array);
        return session_document_end(line, &w);
    }
    snprintf(message, sizeof message, "there is no array %s; `ptools shm` lists those that there are",
             shm_name_text(wish, name));
    return failure_report_code(line, PTOOLS_ERR_NO_ARRAY, message);
}
