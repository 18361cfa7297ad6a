/* SPDX-License-Identifier: MIT */
/*
 * top -- the model of `ptools top`: what was found in one look at the daemon, and what two looks tell. Pure: time is an
 * argument, and nobody is asked for anything here (top_look.c does that). See top.c.
 */
#ifndef CLI_TOP_H
#define CLI_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ptools/ptools.h>
#include <ptools/queue.h>

enum { TOP_HISTORY = 30, TOP_STATES = PTOOLS_QUEUED_LOST + 1, TOP_TEXT_BYTES = 200 };
#define TOP_UNKNOWN UINT64_MAX

struct top_daemon {
    char version[TOP_TEXT_BYTES];
    char journal[TOP_TEXT_BYTES], journal_failed[TOP_TEXT_BYTES]; /* "": there is none; it has not */
    uint64_t uptime_s, clients;
    uint64_t calls_waiting, calls_given;
    uint64_t done, failed, cancelled; /* so far */
    uint64_t queue_waiting, queue_known;
    uint64_t arrays, shm_bytes, rss_bytes;
    uint64_t available_bytes; /* of the machine; TOP_UNKNOWN: it is another one */
    bool paused;              /* the whole queue */
    uint32_t tags_paused;
};

struct top_worker {
    const ptools_worker_info *info;
    uint64_t rss_bytes;
    uint64_t cpu_us;    /* so far; TOP_UNKNOWN */
    double cpu_percent; /* since the look before; below 0: not known */
};

struct top_look {
    uint64_t now_us; /* of a clock that nobody sets */
    int64_t now_ms;  /* since 1970 */
    struct top_daemon daemon;
    struct top_worker *workers;
    size_t n_workers;
    const ptools_queued_info **tasks; /* that have not ended */
    size_t n_tasks;
    bool short_list; /* there are too many: tasks are those that run, and only those are counted */
    uint64_t states[TOP_STATES];
};

/* -- order ------------------------------------------------------------------------------------------------ */

enum top_order {
    TOP_ORDER_NEXT, /* those that run, then those that are next, then those that wait for something */
    TOP_ORDER_AGE,  /* the oldest first */
    TOP_ORDER_ID,   /* the newest first */
    TOP_ORDERS
};
extern const char *const top_order_names[TOP_ORDERS];
void top_sort(const ptools_queued_info **tasks, size_t n, enum top_order order);

/* -- from one look to the next ---------------------------------------------------------------------------- */

struct top_rates {
    bool known;                     /* there were two looks */
    double done, failed, cancelled; /* a second */
    double history[TOP_HISTORY];    /* all three together; the last one is the newest */
    size_t n;
    bool begun;
    uint64_t at_us, counts[3];
};
/* Numbers that have become smaller are those of another daemon: all begins anew. */
void top_rates_add(struct top_rates *rates, uint64_t now_us, const struct top_daemon *daemon);

/* cpu_percent of all workers, by what their processes had used before_us ago. */
void top_use_cpu(struct top_worker *workers, size_t n, const struct top_worker *before, size_t n_before,
                 uint64_t elapsed_us);

/* /proc/PID/stat: how many ticks it was on a processor, and how many pages it has. false: that is none. */
bool top_read_stat(const char *text, uint64_t *ret_ticks, uint64_t *ret_pages);
/* /proc/meminfo: MemAvailable in bytes; TOP_UNKNOWN. */
uint64_t top_read_available(const char *text);

/* -- as lines of text -------------------------------------------------------------------------------------- */

enum top_kind { TOP_PLAIN, TOP_HEAD, TOP_WARNING, TOP_TITLE, TOP_BUSY };
struct top_line {
    enum top_kind kind;
    uint64_t task; /* that it is about; 0: none */
    char *text;
};
struct top_picture {
    struct top_line *lines;
    size_t n, fixed; /* the first so many are not scrolled */
    bool no_memory;
};
/* gone: NULL, or why this look is an old one. look may be NULL then. The picture is to be deinited in any case. */
void top_picture_make(struct top_picture *picture, const struct top_look *look, const struct top_rates *rates,
                      enum top_order order, const char *gone);
void top_picture_deinit(struct top_picture *picture);

/* The line that is about the task, or, without one, the nearest to where the cursor was. Both from 0, without the fixed
 * lines. */
size_t top_follow(const struct top_picture *picture, uint64_t task, size_t cursor);
/* The first line that is to be seen, so that the cursor is. */
size_t top_scroll(size_t first, size_t cursor, size_t rows, size_t n);

#endif
