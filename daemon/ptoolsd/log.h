/* SPDX-License-Identifier: MIT */
/*
 * log -- one line a decision, key=value, to stderr or the journal. See log.c.
 *
 *     log_info("worker-died", LOG_U64("worker", id), LOG_U64("task", task), LOG_STR("signal", "SEGV"));
 *     level=info event=worker-died worker=3 task=12 signal=SEGV
 *
 * A level that is off costs one comparison: fields are not evaluated. Event and keys are string
 * literals of a-z 0-9 - _ ; values may be anything, also foreign bytes. The state is the process's,
 * like its stderr; before log_init() lines of info and above go to stderr. One thread only.
 */
#ifndef PTOOLSD_LOG_H
#define PTOOLSD_LOG_H

#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVELS };

enum { LOG_LINE_BYTES = 1024 }; /* a line with its newline; a longer one is cut, and says cut=yes */
#define LOG_JOURNAL_SOCKET "/run/systemd/journal/socket"

struct log_field {
    const char *key;
    enum { LOG_FIELD_STR, LOG_FIELD_U64, LOG_FIELD_I64 } type;
    const char *str; /* NULL is written as "" */
    uint64_t u64;
    int64_t i64;
};
#define LOG_STR(k, v) ((struct log_field){ .key = (k), .type = LOG_FIELD_STR, .str = (v) })
#define LOG_U64(k, v) ((struct log_field){ .key = (k), .type = LOG_FIELD_U64, .u64 = (v) })
#define LOG_I64(k, v) ((struct log_field){ .key = (k), .type = LOG_FIELD_I64, .i64 = (v) })

/* Lines up to level go to fd (borrowed), or, where $JOURNAL_STREAM says that fd leads to the journal,
 * as datagrams to the journal's socket. The program must ignore SIGPIPE. */
void log_init(enum log_level level, int fd, const char *journal_socket);
/* The id of this event in the catalogue of the system's journal; NULL: it has none. */
const char *log_message_id(const char *event);
/* Writes what is still to be said of suppressed lines; for the end of the program. */
void log_flush(void);

/* "warning" for LOG_LEVEL_WARNING; never NULL. */
const char *log_level_name(enum log_level level);

/* One line; fields ends with LOG_END. Called through log_at(), by tests with a time of their own. */
void log_line(uint64_t now_us, enum log_level level, const char *event, const struct log_field *fields);
uint64_t log_clock_us(void);

extern enum log_level log_level_max; /* set by log_init() */

#define LOG_END ((struct log_field){ .key = NULL })
#define LOG_EVENT_(event, ...) event
#define LOG_FIELDS_(event, ...) ((const struct log_field[]){ __VA_ARGS__ })
#define log_at(level, ...)                                                                                          \
    do {                                                                                                            \
        if ((level) <= log_level_max)                                                                               \
            log_line(log_clock_us(), (level), LOG_EVENT_(__VA_ARGS__, LOG_END), LOG_FIELDS_(__VA_ARGS__, LOG_END)); \
    } while (0)
#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
