/* SPDX-License-Identifier: MIT */
/*
 * verbs -- what `ptools VERB` can be: one row a verb, one file each (verb_NAME.c).
 *
 * The rows are all there is to know about the command line: the parser (command_line.c), --help (help.c),
 * the tests and the near misses read them. A new verb is a file, and its row in verbs.c.
 */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include <stdbool.h>
#include <stdio.h>

struct command_line;

struct option_row {
    int id;            /* not 0; unique among the rows that a verb sees */
    char letter;       /* of -x; '\0': none */
    const char *name;  /* of --name; NULL ends the table */
    const char *value; /* what --help calls it; NULL: the option takes none. "[=N]": it may have one, by =N */
    const char *help;  /* one line */
};

struct verb {
    const char *name;
    const char *alias;                /* what others call it, and is taken too; NULL: nothing */
    const char *summary;              /* one line for `ptools --help` */
    const char *const *usage;         /* what may follow "ptools NAME", a line each; ends with NULL */
    const char *about;                /* a few lines for --help, each ended by '\n' */
    const struct option_row *options; /* NULL: none of its own */
    bool words_end_options;           /* all behind the first word are words: it is a command */
    int (*run)(const struct command_line *line); /* returns the exit status; has reported what went wrong */
};

extern const struct verb verb_call, verb_workers, verb_sets, verb_modules, verb_shm, verb_stasks, verb_status;
extern const struct verb verb_pmap, verb_fork, verb_help, verb_complete, verb_doctor;
/* of queued tasks: */
extern const struct verb verb_submit, verb_ls, verb_info, verb_wait, verb_result, verb_why, verb_priority, verb_cancel;
extern const struct verb verb_dequeue, verb_hold, verb_release, verb_kick, verb_rerun, verb_forget, verb_events;
extern const struct verb verb_export, verb_run, verb_log, verb_replay, verb_kill, verb_purge, verb_pause, verb_resume;
extern const struct verb verb_top, verb_notify, verb_users;
extern const struct verb *const verbs[]; /* ends with NULL */

enum { OPTION_DIR = 1, OPTION_ADDRESS, OPTION_USER, OPTION_JSON, OPTION_HELP, OPTION_VERSION, OPTION_OF_VERB };
extern const struct option_row global_options[]; /* taken by every verb, and before it; ends with a row without name */

const struct verb *verb_find(const char *name); /* NULL: there is none */
const char *verb_nearest(const char *name);     /* NULL: none is near */

/* What `ptools --help` (verb NULL) and `ptools VERB --help` say. */
void help_print(const struct verb *verb, FILE *out);
/* The one or few lines that follow a mistake. */
void help_usage(const struct verb *verb, FILE *out);

#endif
