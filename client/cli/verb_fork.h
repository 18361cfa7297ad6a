/* SPDX-License-Identifier: MIT */
/*
 * verb_fork -- what the files of `ptools fork` share.
 *
 *     verb_fork.c          the command line, read into a wish
 *     verb_fork_run.c      the call: children become the command, ends are judged, the exit status
 *     verb_fork_print.c    what they wrote and what came of them, in the order of their index; as a document
 */
#ifndef CLI_VERB_FORK_H
#define CLI_VERB_FORK_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include <ptools/pfork.h>

#include "client/cli/command_line.h"
#include "client/cli/rlimits.h"

struct fork_wish {
    ptools_pfork_options how; /* as they go to the library */
    ptools_pfork_limit limits[RLIMITS_MAX];
    uint32_t cpus[RLIMITS_CPUS_MAX];
    uint32_t n;               /* children; 0: not given */
    char **argv;              /* the command, ended by NULL */
    const char *output_limit; /* as it was written */
    bool fail_fast, tag, progress;
};

/* What came of a child. The library calls it a death when one becomes a command, and cannot know how it went. */
enum fork_fate {
    FORK_WELL,       /* exit status 0 */
    FORK_FAILED,     /* another one */
    FORK_KILLED,     /* by a signal of others */
    FORK_TIMED_OUT,
    FORK_STOPPED,    /* with all the others */
    FORK_NOT_BEGUN,
    FORK_NO_COMMAND, /* it could not become the command */
    FORK_TROUBLE     /* it could not be forked or set up, or nobody knows how it ended */
};

enum { FORK_PIECE_BYTES = 65536, FORK_TEXT_BYTES = 600 };

/* How far the writing of what the children wrote has come. */
struct fork_printer {
    int next;                /* index of the child, from 0 */
    int part;                /* of it: stdout, stderr, what came of it */
    size_t at;               /* so much of that part is in a piece, or has been */
    bool line_begun;         /* with tags: the last line has no end yet */
    char piece[FORK_PIECE_BYTES];
    size_t piece_n, piece_at; /* what is in the piece, and how much of it is written */
    bool stalled;            /* nobody has read it for a while */
    int error;               /* errno of a write that failed: what is left is lost */
    const char *error_where;
    bool progress_shown;     /* on a terminal, the last line is one of progress */
};

struct fork_call {
    const struct command_line *line;
    const struct fork_wish *wish;
    const ptools_child_outcome **ended; /* by index, from 0; NULL: it has not */
    struct fork_printer *printer;
    char **environment;      /* of the children, with three places at its end for: */
    char *index_text, *count_text, *seed_text;
    struct sigaction children_before; /* what SIGCHLD did when we were started */
    sigset_t mask_before;
    int null_fd, signals_fd; /* signals_fd -1: signals have their usual effect (again) */
    char why[80];            /* why all were stopped, if not by a time limit; "": they were not */
    int signal;              /* that stopped them; 0: none */
    bool no_command;         /* that did: it is told alone, for nobody can become the command */
    int done, failed;
};

int fork_run(const struct command_line *line, const struct fork_wish *wish); /* verb_fork_run.c */
enum fork_fate fork_judge(const ptools_child_outcome *outcome);
/* What came of it, as a sentence without its subject: "exited with status 2". "" if it went well. */
const char *fork_text(const struct fork_call *call, const ptools_child_outcome *outcome, char text[FORK_TEXT_BYTES]);
/* errno of a child that could not become the command. */
int fork_exec_error(const ptools_child_outcome *outcome);

/* verb_fork_print.c: writes of those that have ended what is next, until one has not, or a write fails, or a signal
 * comes, or nobody reads for so long (-1: for ever). false: a write has failed, and no more will be written. */
bool fork_print(struct fork_call *call, int patience_ms);
void fork_print_progress(struct fork_call *call);
/* A line on standard error. */
void fork_say(struct fork_call *call, const char *format, ...) __attribute__((__format__(__printf__, 2, 3)));
/* The document, of all. */
int fork_print_document(const struct fork_call *call);

#endif
