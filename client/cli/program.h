/* SPDX-License-Identifier: MIT */
/*
 * program -- a program and all that it is to find when it runs, as the argument of command.run: what `ptools run`
 * and `ptools submit -- COMMAND` say. See program.c; PROTOCOL.md, section 17, has the keys.
 */
#ifndef CLI_PROGRAM_H
#define CLI_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ptools/ptools.h>

#include "client/cli/command_line.h"

#define PROGRAM_FUNCTION "command.run"
enum { PROGRAM_LIST_MAX = 64 };

enum {
    PROGRAM_ENV = OPTION_OF_VERB + 400,
    PROGRAM_CWD,
    PROGRAM_STDIN,
    PROGRAM_MERGE,
    PROGRAM_MEM,
    PROGRAM_CPUS,
    PROGRAM_PIDS,
    PROGRAM_NICE,
    PROGRAM_ARRAY,
    PROGRAM_OUT_DIR,
    PROGRAM_OUTPUT_MAX,
    PROGRAM_OK,
    PROGRAM_OPTIONS_END
};

/* The options, in the table of a verb; `of` goes before their help. --stdin is the verb's own, for some mean more. */
#define PROGRAM_ROWS(of)                                                                                               \
    { PROGRAM_ENV, '\0', "env", "NAME=VALUE", of "in the environment, besides ours; may be given several times" },     \
    { PROGRAM_CWD, '\0', "cwd", "DIR", of "where it runs (default: here)" },                                           \
    { PROGRAM_MERGE, '\0', "merge", NULL, of "its standard error goes where its standard output goes" },               \
    { PROGRAM_MEM, '\0', "mem", "SIZE", of "it may have so much memory" },                                             \
    { PROGRAM_CPUS, '\0', "cpus", "N", of "it may use so many processors" },                                           \
    { PROGRAM_PIDS, '\0', "pids", "N", of "it may have so many processes and threads at a time" },                     \
    { PROGRAM_NICE, '\0', "nice", "N", of "add N to its niceness" },                                                   \
    { PROGRAM_ARRAY, '\0', "array", "NAME", of "a shared array for it: PTOOLS_ARRAY_NAME_FD, _OFFSET, _COUNT ..." },   \
    { PROGRAM_OUT_DIR, '\0', "out-dir", "DIR", of "what it puts into $PTOOLS_OUT_DIR goes there if all goes well" }
/* And of those that queue tasks. */
#define PROGRAM_TASK_ROWS                                                                                              \
    { PROGRAM_OUTPUT_MAX, '\0', "output-max", "SIZE", "keep about so much of what it writes, the end" },               \
    { PROGRAM_OK, '\0', "ok", "STATUS,...", "these exit statuses are success (default 0)" }

struct program {
    const char *env[PROGRAM_LIST_MAX], *arrays[PROGRAM_LIST_MAX];
    size_t n_env, n_arrays;
    const char *cwd;   /* NULL: here */
    const char *input; /* a file, or "-"; NULL: nothing */
    const char *out_dir;
    const char *ok; /* NULL: 0 alone */
    bool merge;
    bool record; /* what becomes of it is its value, whatever that is */
    bool given;  /* any of the options */
    uint64_t mem, output_max, inline_max; /* 0: not said */
    uint32_t cpus, pids, nice;
};

/* One option, if it is one of those above. The exit status; what is wrong was told. */
int program_take(const struct command_line *line, const struct item *item, struct program *program);

/* Appends the argument: the program argv (n words; 0: they come with each item), our environment, directory and umask, and what the
 * options say. Reads standard input, if --stdin is -. The exit status. */
int program_pack(const struct command_line *line, ptools *pt, const struct program *program, const char *const *argv,
                 size_t n, ptools_pack *args);

#endif
