/* SPDX-License-Identifier: MIT */
/*
 * log -- see log.h. A line is one write(2), so lines of several processes do not mix. Values may hold
 * foreign bytes: all but printable ASCII becomes '?', and quotes are escaped. Never allocates.
 */
#include "daemon/worker/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/util.h"

static const char *const names[] = { "error", "warning", "info", "debug" };
static enum log_level level_max = LOG_LEVEL_INFO;
static uint32_t worker_id;

bool log_level_parse(const char *text, enum log_level *ret)
{
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_set_level(enum log_level max)
{
    level_max = max;
}

void log_set_worker(uint32_t worker)
{
    worker_id = worker;
}

void log_say(enum log_level level, const char *event, const char *format, ...)
{
    char what[512], who[32] = "", line[1280];
    size_t n;
    va_list ap;

    if (level > level_max)
        return;
    va_start(ap, format);
    vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    if (worker_id)
        snprintf(who, sizeof who, " worker=%u", worker_id);
    n = (size_t)snprintf(line, 200, "level=%s event=%s pid=%d%s what=\"", names[level], event, (int)getpid(), who);
    n = MIN(n, (size_t)199);
    for (const char *p = what; *p; p++) { /* at most two bytes each: always fits */
        if (*p == '"' || *p == '\\')
            line[n++] = '\\';
        line[n++] = *p >= ' ' && *p <= '~' ? *p : '?';
    }
    line[n++] = '"';
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0)
        return; /* nobody listens: there is no other place to say it */
}
