/* SPDX-License-Identifier: MIT */
/*
 * log -- the few lines that template and workers say: to stderr, which is the daemon's log. See log.c.
 *
 *     level=warning event=module-directory-refused pid=4711 worker=3 what="/opt/m is writable by others"
 *
 * Event names are literals of a-z and '-'. What happens to a task is told in its answer, never here.
 */
#ifndef WORKER_LOG_H
#define WORKER_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* "error", "warning", "info", "debug"; false for any other text. */
bool log_level_parse(const char *text, enum log_level *ret);
void log_set_level(enum log_level max);
/* From now on lines carry worker=ID. 0: the template. */
void log_set_worker(uint32_t worker);

void log_say(enum log_level level, const char *event, const char *format, ...)
    __attribute__((__format__(__printf__, 3, 4)));

#endif
