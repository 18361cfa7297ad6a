/* SPDX-License-Identifier: MIT */
/*
 * jobs_wish -- what a command line of `ptools pmap -- COMMAND` asks for beyond what one over a function can. See
 * jobs_wish.c.
 */
#ifndef CLI_JOBS_WISH_H
#define CLI_JOBS_WISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cli/command_line.h"
#include "client/cli/halt.h"
#include "client/cli/joblog.h"
#include "client/cli/program.h"
#include "client/cli/sources.h"

enum { /* of the options that are about commands alone */
       JOBS_ARG_FILE = OPTION_OF_VERB + 300,
       JOBS_COLSEP,
       JOBS_CSV,
       JOBS_HEADER,
       JOBS_MAX_ARGS,
       JOBS_SHUF,
       JOBS_PIPE,
       JOBS_BLOCK,
       JOBS_JOBS,
       JOBS_HALT,
       JOBS_TAG,
       JOBS_TAG_STRING,
       JOBS_DRY_RUN,
       JOBS_JOBLOG,
       JOBS_RESUME,
       JOBS_RESUME_FAILED,
       JOBS_RESULTS,
       JOBS_OPTIONS_END
};

#define JOBS_BLOCK_BYTES (UINT64_C(1) << 20)
struct jobs_wish {
    const char **argv; /* the command */
    size_t n_argv;
    struct sources_wish sources;
    uint32_t at_once; /* as jobs_wish_at_once() reads it ... */
    char at_once_of;  /* ... '%', '+', '-'; '\0': it is the number itself */
    uint32_t timeout_percent; /* of the median time of those that went well; 0: not so */
    struct halt halt;
    bool shuf, pipe, tag, dry_run;
    const char *tag_string; /* NULL: {} */
    uint64_t block_bytes;   /* 0: JOBS_BLOCK_BYTES */
    const char *joblog;     /* NULL: none */
    enum joblog_how how;
    const char *results;    /* NULL: none */
    struct program program;
};
void jobs_wish_deinit(struct jobs_wish *wish);

/* Whether it is an option about commands alone. */
bool jobs_wish_has(int id);
/* One of these. The exit status; what is wrong was told. */
int jobs_wish_take(const struct command_line *line, const struct item *item, struct jobs_wish *wish);
/* N%, of the median time, as --timeout has it. False: it is none. */
bool jobs_wish_take_percent(const char *text, struct jobs_wish *wish);
/* So many may run at once; 0: as many as there are workers. of: what a percentage is of, and what +N is more than; 0: the
 * processors. */
uint32_t jobs_wish_at_once(const struct jobs_wish *wish, uint32_t of);
/* The words: the command, and where its items come from. Then what holds for all of it together. */
int jobs_wish_take_words(const struct command_line *line, struct jobs_wish *wish);

#endif
