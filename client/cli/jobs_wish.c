/* SPDX-License-Identifier: MIT */
/*
 * jobs_wish -- see jobs_wish.h. The words are the command, argument by argument, and no shell reads them. Who writes
 * a whole command line as one word, as GNU parallel takes it, is told what to write.
 */
#include "client/cli/jobs_wish.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/blocks.h"
#include "client/cli/failure.h"
#include "client/cli/words.h"

enum { MAX_ARGS_MAX = 100000, AT_ONCE_MAX = 100000 };

void jobs_wish_deinit(struct jobs_wish *wish)
{
    free(wish->argv);
    free(wish->sources.files);
}

/* -- numbers ----------------------------------------------------------------------------------------------- */

static uint32_t processors(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
}

static bool read_jobs(const char *text, struct jobs_wish *wish)
{
    const char sign = *text == '+' || *text == '-' ? *text : '\0';
    const char *digits = text + (sign != 0);
    const size_t n = strspn(digits, "0123456789");
    const bool percent = !sign && strcmp(digits + n, "%") == 0;
    uint32_t number = 0;

    for (size_t i = 0; i < n && i < 9; i++)
        number = 10 * number + (uint32_t)(digits[i] - '0');
    wish->at_once = number;
    wish->at_once_of = sign ? sign : percent ? '%' : '\0';
    return n > 0 && n <= 8 && number <= AT_ONCE_MAX && (!digits[n] || (percent && number > 0));
}

static int take_jobs(const struct command_line *line, const char *text, struct jobs_wish *wish)
{
    if (read_jobs(text, wish))
        return EXIT_VALUE;
    return command_line_wrong(line,
                              "--jobs %.60s: allowed is a number up to %d, N%% of the processors, or +N or -N, more "
                              "or fewer than them",
                              text, AT_ONCE_MAX);
}

uint32_t jobs_wish_at_once(const struct jobs_wish *wish, uint32_t of)
{
    const uint32_t n = wish->at_once, base = of > 0 ? of : processors();

    switch (wish->at_once_of) {
    case '%':
        return (uint64_t)n * base >= 100 ? (uint32_t)((uint64_t)n * base / 100) : 1;
    case '+':
        return base + n;
    case '-':
        return n < base ? base - n : 1;
    default:
        return n;
    }
}

bool jobs_wish_take_percent(const char *text, struct jobs_wish *wish)
{
    const size_t n = strspn(text, "0123456789");
    uint32_t percent = 0;

    for (size_t i = 0; i < n && i < 9; i++)
        percent = 10 * percent + (uint32_t)(text[i] - '0');
    wish->timeout_percent = percent;
    return n > 0 && n <= 7 && percent > 0 && strcmp(text + n, "%") == 0;
}

static int take_count(const struct command_line *line, const char *name, const char *text, uint64_t min, uint64_t max,
                      uint64_t *ret)
{
    if (words_count(text, max, ret) && *ret >= min)
        return EXIT_VALUE;
    return command_line_wrong(line, "--%s %.60s: allowed is a number from %llu to %llu", name, text,
                              (unsigned long long)min, (unsigned long long)max);
}

static int take_bytes(const struct command_line *line, const char *name, const char *text, uint64_t max, uint64_t *ret)
{
    if (words_bytes(text, ret) && *ret > 0 && *ret <= max)
        return EXIT_VALUE;
    return command_line_wrong(line, "--%s %.60s: " WORDS_SIZES, name, text);
}

/* -- lists ------------------------------------------------------------------------------------------------- */

static int add(const struct command_line *line, const char ***list, size_t *n, const char *text)
{
    const char **larger = realloc(*list, (*n + 1) * sizeof *larger);

    if (!larger)
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    larger[(*n)++] = text;
    *list = larger;
    return EXIT_VALUE;
}

/* -- options ----------------------------------------------------------------------------------------------- */

static int take_number(const struct command_line *line, const struct item *item, struct jobs_wish *wish)
{
    uint64_t n = 0;
    int status = EXIT_VALUE;

    switch (item->id) {
    case JOBS_MAX_ARGS:
        status = take_count(line, "max-args", item->text, 0, MAX_ARGS_MAX, &n);
        wish->sources.max_args = (uint32_t)n;
        break;
    case JOBS_BLOCK:
        return take_bytes(line, "block", item->text, BLOCKS_BYTES_MAX, &wish->block_bytes);
    }
    return status;
}

static int take_halt(const struct command_line *line, const char *text, struct jobs_wish *wish)
{
    return halt_read(text, &wish->halt) ? EXIT_VALUE : command_line_wrong(line, "--halt %.60s: " HALT_FORMS, text);
}

static int take_header(const struct command_line *line, const char *text, struct jobs_wish *wish)
{
    wish->sources.header = true;
    return strcmp(text, ":") == 0
               ? EXIT_VALUE
               : command_line_wrong(line, "--header %.60s: allowed is :, for the first record", text);
}

bool jobs_wish_has(int id)
{
    return (id >= JOBS_ARG_FILE && id < JOBS_OPTIONS_END) || (id >= PROGRAM_ENV && id < PROGRAM_OPTIONS_END);
}

int jobs_wish_take(const struct command_line *line, const struct item *item, struct jobs_wish *wish)
{
    switch (item->id) {
    case JOBS_ARG_FILE:
        return add(line, &wish->sources.files, &wish->sources.n_files, item->text);
    case JOBS_COLSEP:
        wish->sources.column_separator = item->text;
        break;
    case JOBS_CSV:
        wish->sources.csv = true;
        break;
    case JOBS_HEADER:
        return take_header(line, item->text, wish);
    case JOBS_SHUF:
        wish->shuf = true;
        break;
    case JOBS_PIPE:
        wish->pipe = true;
        break;
    case JOBS_JOBS:
        return take_jobs(line, item->text, wish);
    case JOBS_HALT:
        return take_halt(line, item->text, wish);
    case JOBS_TAG:
        wish->tag = true;
        break;
    case JOBS_TAG_STRING:
        wish->tag = true;
        wish->tag_string = item->text;
        break;
    case JOBS_DRY_RUN:
        wish->dry_run = true;
        break;
    case JOBS_JOBLOG:
        wish->joblog = item->text;
        break;
    case JOBS_RESUME:
        wish->how = wish->how == JOBLOG_NEW ? JOBLOG_RESUME : wish->how;
        break;
    case JOBS_RESUME_FAILED:
        wish->how = JOBLOG_RESUME_FAILED;
        break;
    case JOBS_RESULTS:
        wish->results = item->text;
        break;
    default:
        return item->id < JOBS_OPTIONS_END ? take_number(line, item, wish) : program_take(line, item, &wish->program);
    }
    return EXIT_VALUE;
}

/* -- words ------------------------------------------------------------------------------------------------- */

/* One word that a shell was meant to read. */
static bool is_script(const struct jobs_wish *wish)
{
    return wish->n_argv == 1 && strpbrk(wish->argv[0], " \t\n|&;<>") && access(wish->argv[0], X_OK) < 0;
}

static int check(const struct command_line *line, const struct jobs_wish *wish)
{
    const struct sources_wish *s = &wish->sources;

    if (wish->n_argv == 0)
        return command_line_wrong(line, "no command stands behind --; where items are commands, it is: -- sh -c {}");
    if (!*wish->argv[0])
        return command_line_wrong(line, "the name of the command is empty");
    if (is_script(wish))
        return command_line_wrong(
            line,
            "\"%.200s\" is one word, the name of a program, for no shell reads it; write its words "
            "apart, or -- sh -c 'SCRIPT WITH \"$1\"' sh {}",
            wish->argv[0]);
    if (wish->how != JOBLOG_NEW && !wish->joblog)
        return command_line_wrong(line, "--resume and --resume-failed need --joblog, where it stands what has ended");
    if (wish->pipe && (s->n_words > 0 || s->n_files > 0 || s->csv || s->column_separator || s->header || wish->shuf))
        return command_line_wrong(line,
                                  "--pipe gives standard input to the commands in blocks; there are no other items");
    if (wish->program.input && (wish->pipe || strcmp(wish->program.input, "-") == 0))
        return command_line_wrong(line, "--stdin is a file, which each of them reads; --pipe deals standard input out");
    if (!wish->pipe && wish->block_bytes)
        return command_line_wrong(line, "--block belongs to --pipe");
    return EXIT_VALUE;
}

int jobs_wish_take_words(const struct command_line *line, struct jobs_wish *wish)
{
    const size_t n = command_line_words(line);
    size_t begin, at = 0;

    wish->argv = calloc(n + 1, sizeof wish->argv[0]);
    if (!wish->argv)
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    for (size_t i = 0; i < line->n; i++)
        if (line->items[i].id == ITEM_WORD)
            wish->argv[at++] = line->items[i].text;
    begin = sources_begin(wish->argv, n);
    wish->n_argv = begin;
    wish->sources.words = wish->argv + begin;
    wish->sources.n_words = n - begin;
    return check(line, wish);
}
