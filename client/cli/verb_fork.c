/* SPDX-License-Identifier: MIT */
/*
 * verb_fork -- `ptools fork`: a command, several times side by side, without a daemon. Here the command line is read;
 * the rest is in verb_fork_run.c and verb_fork_print.c.
 */
#include "client/cli/verb_fork.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/failure.h"
#include "client/cli/verbs.h"
#include "client/cli/words.h"

#define OUTPUT_LIMIT       "256M"
#define OUTPUT_LIMIT_BYTES (UINT64_C(256) << 20)
enum { NICE_MAX = 40 };

enum {
    OPTION_COUNT = OPTION_OF_VERB,
    OPTION_AT_ONCE,
    OPTION_PROCESSORS,
    OPTION_TIMEOUT,
    OPTION_TIMEOUT_ALL,
    OPTION_FAIL_FAST,
    OPTION_SEED,
    OPTION_NICE,
    OPTION_CPUS,
    OPTION_SPREAD,
    OPTION_LIMIT,
    OPTION_DISCARD,
    OPTION_INHERIT,
    OPTION_TAG,
    OPTION_OUTPUT_LIMIT,
    OPTION_PROGRESS,
    OPTIONS_END
};

static const struct option_row options[] = {
    { OPTION_COUNT, 'n', "count", "N", "how many children run COMMAND; must be given" },
    { OPTION_AT_ONCE, 'j', "at-once", "N", "so many of them at once (default: all)" },
    { OPTION_PROCESSORS, '\0', "processors", NULL, "as many at once as there are processors for this process" },
    { OPTION_TIMEOUT, '\0', "timeout", "TIME", "kill each that has run so long (exit status 124)" },
    { OPTION_TIMEOUT_ALL, '\0', "timeout-all", "TIME", "kill all after so long (exit status 124)" },
    { OPTION_FAIL_FAST, '\0', "fail-fast", NULL, "the first that does not succeed stops the others" },
    { OPTION_SEED, '\0', "seed", "N", "what each PTOOLS_SEED is made of (default: a random number)" },
    { OPTION_NICE, '\0', "nice", "N", "add N to the niceness of each" },
    { OPTION_CPUS, '\0', "cpus", "LIST", "they run on these processors: 0,2-3" },
    { OPTION_SPREAD, '\0', "spread", NULL, "each runs on one processor alone, which they get in turn" },
    { OPTION_LIMIT, '\0', "limit", "NAME=VALUE", "a resource limit of each: nofile=100; may be given several times" },
    { OPTION_DISCARD, '\0', "discard", NULL, "what they write is dropped" },
    { OPTION_INHERIT, '\0', "inherit", NULL, "what they write goes where ours goes at once, in no order" },
    { OPTION_TAG, '\0', "tag", NULL, "write the index of the child before each line: \"3: \"" },
    { OPTION_OUTPUT_LIMIT, '\0', "output-limit", "SIZE",
      "keep so much of each stream of each child (default " OUTPUT_LIMIT ")" },
    { OPTION_PROGRESS, '\0', "progress", NULL, "tell on standard error how many are done" },
    { 0 },
};

static const char *const usage[] = { "-n N [OPTION...] [--] COMMAND [ARG...]", NULL };

static int take_count(const struct command_line *line, const char *option, const char *text, uint32_t *ret)
{
    return words_number(text, ret) ? EXIT_VALUE
                                   : command_line_wrong(line, "%s %.40s: allowed is 1 to 2147483647", option, text);
}

static int take_duration(const struct command_line *line, const char *option, const char *text, int64_t *ret_ms)
{
    return words_duration(text, ret_ms) ? EXIT_VALUE
                                        : command_line_wrong(line, "%s %.40s: " WORDS_DURATIONS, option, text);
}

static int take_nice(const struct command_line *line, const char *text, int32_t *ret)
{
    const bool negative = *text == '-';
    uint64_t v;

    if (!words_count(text + negative, NICE_MAX, &v))
        return command_line_wrong(line, "--nice %.40s: allowed is a number from -%d to %d", text, NICE_MAX, NICE_MAX);
    *ret = negative ? -(int32_t)v : (int32_t)v;
    return EXIT_VALUE;
}

static int take_output_limit(const struct command_line *line, const char *text, struct fork_wish *wish)
{
    wish->output_limit = text;
    if (!words_bytes(text, &wish->how.capture_bytes))
        return command_line_wrong(line, "--output-limit %.40s: " WORDS_SIZES, text);
    if (wish->how.capture_bytes == 0)
        return command_line_wrong(line, "--output-limit 0 keeps nothing: --discard does that");
    return EXIT_VALUE;
}

static int take_lists(const struct command_line *line, const struct item *item, struct fork_wish *wish)
{
    char why[RLIMITS_WHY_BYTES];

    if (item->id == OPTION_CPUS && !rlimits_read_cpus(item->text, wish->cpus, &wish->how.n_cpus, why))
        return command_line_wrong(line, "--cpus: %s", why);
    if (item->id == OPTION_LIMIT && !rlimits_read(item->text, wish->limits, &wish->how.n_limits, why))
        return command_line_wrong(line, "--limit: %s", why);
    return EXIT_VALUE;
}

static int take_option(const struct command_line *line, const struct item *item, struct fork_wish *wish)
{
    switch (item->id) {
    case OPTION_COUNT:
        return take_count(line, "-n", item->text, &wish->n);
    case OPTION_AT_ONCE:
        return take_count(line, "--at-once", item->text, &wish->how.at_once);
    case OPTION_PROCESSORS:
        wish->how.flags |= PTOOLS_PFORK_PROCESSORS;
        return EXIT_VALUE;
    case OPTION_TIMEOUT:
        return take_duration(line, "--timeout", item->text, &wish->how.timeout_ms);
    case OPTION_TIMEOUT_ALL:
        return take_duration(line, "--timeout-all", item->text, &wish->how.timeout_all_ms);
    case OPTION_FAIL_FAST:
        wish->fail_fast = true;
        return EXIT_VALUE;
    case OPTION_SEED:
        wish->how.flags |= PTOOLS_PFORK_SEED;
        if (!words_count(item->text, UINT64_MAX, &wish->how.seed))
            return command_line_wrong(line, "--seed %.40s: allowed is a number from 0 to %" PRIu64, item->text,
                                      UINT64_MAX);
        return EXIT_VALUE;
    case OPTION_NICE:
        return take_nice(line, item->text, &wish->how.nice);
    case OPTION_SPREAD:
        wish->how.flags |= PTOOLS_PFORK_SPREAD;
        return EXIT_VALUE;
    case OPTION_CPUS:
    case OPTION_LIMIT:
        return take_lists(line, item, wish);
    case OPTION_DISCARD:
        wish->how.output = wish->how.errors = PTOOLS_PFORK_DISCARD;
        return EXIT_VALUE;
    case OPTION_INHERIT:
        wish->how.output = wish->how.errors = PTOOLS_PFORK_INHERIT;
        return EXIT_VALUE;
    case OPTION_TAG:
        wish->tag = true;
        return EXIT_VALUE;
    case OPTION_OUTPUT_LIMIT:
        return take_output_limit(line, item->text, wish);
    case OPTION_PROGRESS:
        wish->progress = true;
        return EXIT_VALUE;
    }
    return EXIT_VALUE;
}

/* Of what they write: one way at a time, and what belongs to none. */
static int check_outputs(const struct command_line *line, const struct fork_wish *wish, const bool given[OPTIONS_END])
{
    const char *way = given[OPTION_INHERIT] ? "--inherit" : "--discard";

    if (given[OPTION_INHERIT] && given[OPTION_DISCARD])
        return command_line_wrong(line, "--inherit and --discard exclude each other");
    if (wish->how.output == PTOOLS_PFORK_CAPTURE)
        return wish->tag && line->json
                   ? command_line_wrong(line, "--tag has no meaning with --json: the document tells who wrote what")
                   : EXIT_VALUE;
    if (wish->tag || wish->output_limit)
        return command_line_wrong(line, "%s has no meaning with %s, which keeps nothing of what they write",
                                  wish->tag ? "--tag" : "--output-limit", way);
    if (given[OPTION_INHERIT] && line->json)
        return command_line_wrong(line, "--inherit has no meaning with --json: it would write into the document");
    return EXIT_VALUE;
}

static int check(const struct command_line *line, const struct fork_wish *wish, const bool given[OPTIONS_END])
{
    if (line->dir || line->address || line->user)
        return command_line_wrong(line, "--%s has no meaning here: fork asks no daemon",
                                  line->dir    ? "dir"
                                  : line->user ? "user"
                                               : "address");
    if (wish->n == 0)
        return command_line_wrong(line, "how many children? -n N is missing");
    if (command_line_words(line) == 0)
        return command_line_wrong(line, "no command is named");
    if (wish->how.at_once && wish->how.flags & PTOOLS_PFORK_PROCESSORS)
        return command_line_wrong(line, "--at-once and --processors exclude each other");
    return check_outputs(line, wish, given);
}

static int take_options(const struct command_line *line, struct fork_wish *wish)
{
    bool given[OPTIONS_END] = { false };
    int status = EXIT_VALUE;

    for (size_t i = 0; i < line->n && status == EXIT_VALUE; i++) {
        given[line->items[i].id] = true;
        status = take_option(line, &line->items[i], wish);
    }
    return status == EXIT_VALUE ? check(line, wish, given) : status;
}

static char **words_of(const struct command_line *line)
{
    char **argv = calloc(command_line_words(line) + 1, sizeof *argv);
    size_t n = 0;

    for (size_t i = 0; argv && i < line->n; i++)
        if (line->items[i].id == ITEM_WORD)
            argv[n++] = (char *)(uintptr_t)line->items[i].text; /* exec does not write to them */
    return argv;
}

static int run(const struct command_line *line)
{
    struct fork_wish wish = { .how = PTOOLS_PFORK_OPTIONS_INIT };
    char why[RLIMITS_WHY_BYTES];
    int status;

    wish.how.output = wish.how.errors = PTOOLS_PFORK_CAPTURE;
    status = take_options(line, &wish);
    if (status != EXIT_VALUE)
        return status;
    if (!wish.output_limit) {
        wish.output_limit = OUTPUT_LIMIT;
        wish.how.capture_bytes = OUTPUT_LIMIT_BYTES;
    }
    if (wish.how.flags & PTOOLS_PFORK_SPREAD && wish.how.n_cpus == 0)
        wish.how.n_cpus = rlimits_own_cpus(wish.cpus);
    wish.how.cpus = wish.cpus;
    wish.how.limits = wish.limits;
    if (!rlimits_check(wish.limits, wish.how.n_limits, why))
        return failure_report_code(line, PTOOLS_ERR_DENIED, why);
    wish.argv = words_of(line);
    status = wish.argv ? fork_run(line, &wish) : failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    free(wish.argv);
    return status;
}

const struct verb verb_fork = {
    .name = "fork",
    .summary = "run a command several times side by side, without a daemon",
    .usage = usage,
    .about = "Runs COMMAND N times side by side. Each finds in its environment which one it is (PTOOLS_INDEX, from 1\n"
             "to N), N (PTOOLS_COUNT) and a number of its own for a generator of random ones (PTOOLS_SEED); its\n"
             "standard input is empty. What they write comes in the order of their index, each child's as soon as\n"
             "it and all before it have ended. Options end at COMMAND: what follows is its own. A signal kills the\n"
             "children with all that they have started. Limits are as, core, cpu, data, fsize, memlock, nofile,\n"
             "nproc and stack. TIME: 2, 0.5, 500ms, 2s, 3m, 1h. SIZE: 4096, 64K, 256M, 2G.\n",
    .options = options,
    .words_end_options = true,
    .run = run,
};
