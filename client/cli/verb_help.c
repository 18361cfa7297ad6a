/* SPDX-License-Identifier: MIT */
/*
 * verb_help -- `ptools help [VERB]`: the same as `ptools [VERB] --help`.
 */
#include <stdio.h>

#include "client/cli/command_line.h"
#include "client/cli/failure.h"
#include "client/cli/verbs.h"

static const char *const usage[] = { "[VERB]", NULL };

static int run(const struct command_line *line)
{
    const char *name = command_line_word(line, 0), *best;
    const struct verb *verb = name ? verb_find(name) : NULL;

    if (command_line_words(line) > 1)
        return command_line_wrong(line, "one verb at a time");
    if (name && !verb) {
        best = verb_nearest(name);
        return command_line_wrong(line, "there is no verb \"%s\"%s%s%s", name, best ? "; the nearest is \"" : "",
                                  best ? best : "", best ? "\"" : "");
    }
    help_print(verb, stdout);
    return EXIT_VALUE;
}

const struct verb verb_help = {
    .name = "help",
    .summary = "explain ptools, or a verb",
    .usage = usage,
    .about = "Prints what `ptools --help`, or `ptools VERB --help`, prints.\n",
    .run = run,
};
