/* SPDX-License-Identifier: MIT */
/*
 * tasks -- which queued tasks a command is about: those that its words name, of them those for which --state, --tag
 * and --where hold; without words, all of this user for which they do. See tasks.c.
 */
#ifndef CLI_TASKS_H
#define CLI_TASKS_H

#include <ptools/ptools.h>
#include <ptools/queue.h>

#include "client/cli/command_line.h"
#include "client/cli/ids.h"
#include "client/cli/where.h"

enum { OPTION_STATE = OPTION_OF_VERB + 300, OPTION_TAG, OPTION_WHERE }; /* --state, --tag, --where */
#define TASKS_STATE_HELP "those in one of these states: queued,running"
#define TASKS_TAG_HELP   "those that have this tag"
#define TASKS_WHERE_HELP "those for which it holds: 'priority > 3 && age > 10m'"

/* For the help of verbs. */
#define TASKS_IDS_HELP                                                                                                 \
    "ID: the number of a task, a range (3-9), last (the newest), key:TEXT, tag:TAG; several with commas between.\n"
#define TASKS_EXPR_HELP                                                                                                \
    "EXPR: a condition on the fields that `ptools ls --json` shows, and on age: priority > 3 && age > 10m,\n"          \
    "tag ~ \"night*\" (* and ? as in names of files), with && || ! ( ) + - * /. ptools(1) tells all.\n"

struct tasks_wish {
    struct ids ids;
    uint32_t states; /* bits 1 << ptools_queued_state; 0: all */
    const char *tag;
    struct where *where;
};

/* The options above, wherever they stand, and the words from `first` to before `end`. The exit status. */
int tasks_take(const struct command_line *line, size_t first, size_t end, struct tasks_wish *wish);
/* A word more. The exit status. */
int tasks_take_word(const struct command_line *line, const char *word, struct tasks_wish *wish);
void tasks_wish_deinit(struct tasks_wish *wish);
/* Whether it says which ones, and does not just mean all. */
bool tasks_narrowed(const struct tasks_wish *wish);
/* Whether the options hold for it; of the words nothing is asked. */
bool tasks_match(const struct tasks_wish *wish, const ptools_queued_info *info, int64_t now_ms);

struct task {
    uint64_t id;
    const ptools_queued_info *info; /* NULL: nobody has asked for it */
    bool named;                     /* by itself: not as one of a range, or of those that a filter picks */
};
struct tasks {
    struct task *items; /* each once, in the order in which they were named; else by their ids */
    size_t n;
    int status; /* of the first that is missing, which has been reported; EXIT_VALUE */
    ptools_queued **lists;
    size_t n_lists;
};
enum {
    TASKS_LOOK = 1, /* ask for what is known about each; else only where it must be, to find it */
    TASKS_ARGS = 2  /* ... and for its arguments */
};
/* Finds them. The exit status: EXIT_VALUE, also when some of several are missing; else it has been reported. */
int tasks_find(const struct command_line *line, ptools *pt, const struct tasks_wish *wish, unsigned flags,
               struct tasks *ret);
void tasks_deinit(struct tasks *tasks);

#endif
