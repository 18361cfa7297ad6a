/* SPDX-License-Identifier: MIT */
/*
 * reload -- see reload.h. The same reading as at the start, into a second struct: a mistake in a file changes nothing. Then
 * each setting that may change takes its new value; what of them is in force where (limits of the core, arguments of the
 * template) is the business of who asked.
 */
#include "daemon/ptoolsd/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ptoolsd/log.h"
#include "proto/util.h"

/* Where the daemon is, and what it has laid out by it. */
static bool is_fixed(const struct setting *s)
{
    static const char *const fixed[] = { "dir",         "state_dir", "journal", "output_dir", "worker_program",
                                         "workers_max", "stand_ins_max", "apart",   "stay",       "spawn",
                                         "admins" };

    for (size_t i = 0; i < ELEMENTS(fixed); i++)
        if (strcmp(s->key, fixed[i]) == 0)
            return true;
    return false;
}

static bool is_string(const struct setting *s)
{
    return s->type >= SETTING_PATH;
}

static void *at(const struct config *c, const struct setting *s)
{
    return (void *)((uintptr_t)c + s->offset);
}

static bool differs(const struct config *a, const struct config *b, const struct setting *s)
{
    if (is_string(s))
        return strcmp(*(char **)at(a, s), *(char **)at(b, s)) != 0;
    if (s->type == SETTING_LEVEL)
        return a->log_level != b->log_level;
    return *(uint64_t *)at(a, s) != *(uint64_t *)at(b, s);
}

/* The new value comes, the old one goes with the other struct. */
static void take(struct config *c, struct config *fresh, const struct setting *s)
{
    if (is_string(s)) {
        char *old = *(char **)at(c, s);

        *(char **)at(c, s) = *(char **)at(fresh, s);
        *(char **)at(fresh, s) = old;
    } else if (s->type == SETTING_LEVEL) {
        c->log_level = fresh->log_level;
    } else {
        *(uint64_t *)at(c, s) = *(uint64_t *)at(fresh, s);
    }
}

static void take_all(struct config *c, struct config *fresh)
{
    char name[96];

    for (const struct setting *s = config_settings; s->key; s++) {
        if (!differs(c, fresh, s))
            continue;
        snprintf(name, sizeof name, "%s.%s", s->section, s->key);
        if (is_fixed(s)) {
            log_warning("reload-needs-restart", LOG_STR("setting", name));
            continue;
        }
        take(c, fresh, s);
        log_info("reloaded", LOG_STR("setting", name));
    }
    log_level_max = c->log_level;
}

bool reload_config(const struct source *source)
{
    AUTO_MEM char *complaints = NULL;
    char *line, *rest;
    size_t n = 0;
    FILE *err = open_memstream(&complaints, &n), *out = fopen("/dev/null", "w");
    struct config fresh;
    int status = EXIT_FAILURE;
    int r = config_init(&fresh);

    fresh.again = true;
    if (err && out && r == 0)
        status = config_from_command_line(&fresh, source->argc, source->argv, out, err);
    if (out)
        fclose(out);
    if (err)
        fclose(err);
    if (status == CONFIG_RUN)
        take_all(source->config, &fresh);
    else
        for (rest = complaints; rest && (line = strsep(&rest, "\n"));)
            if (*line)
                log_error("reload-refused", LOG_STR("msg", line));
    config_deinit(&fresh);
    return status == CONFIG_RUN;
}
