/* SPDX-License-Identifier: MIT */
/*
 * help -- what --help says, written from the tables of verbs.h, so that it cannot forget an option.
 */
#include <stdio.h>
#include <string.h>

#include "client/cli/failure.h"
#include "client/cli/verbs.h"

enum { OPTION_COLUMN = 26 };

static void print_usage_lines(const struct verb *verb, FILE *out)
{
    for (size_t i = 0; verb->usage[i]; i++)
        fprintf(out, "%s ptools %s%s%s\n", i ? "      " : "Usage:", verb->name, *verb->usage[i] ? " " : "",
                verb->usage[i]);
}

static void print_options(const char *title, const struct option_row *rows, FILE *out)
{
    fprintf(out, "\n%s\n", title);
    for (; rows->name; rows++) {
        int n = rows->letter ? fprintf(out, "  -%c, --%s", rows->letter, rows->name)
                             : fprintf(out, "      --%s", rows->name);

        if (rows->value)
            n += fprintf(out, "%s%s", rows->value[0] == '[' ? "" : " ", rows->value);
        fprintf(out, "%*s%s\n", n < OPTION_COLUMN ? OPTION_COLUMN - n : 1, "", rows->help);
    }
}

static void print_exit_statuses(FILE *out)
{
    fputs("\nExit status:\n", out);
    for (size_t i = 0; exit_statuses[i].meaning; i++)
        fprintf(out, "  %-4d%s\n", exit_statuses[i].status, exit_statuses[i].meaning);
}

void help_print(const struct verb *verb, FILE *out)
{
    if (verb) {
        print_usage_lines(verb, out);
        if (verb->alias)
            fprintf(out, "Also:  ptools %s\n", verb->alias);
        fprintf(out, "\n%s", verb->about);
        if (verb->options)
            print_options("Options:", verb->options, out);
        print_options("Options of all verbs:", global_options, out);
        return;
    }
    fputs("Usage: ptools [OPTION...] VERB [ARGUMENT...]\n\n"
          "Calls functions in the worker processes of a ptoolsd daemon.\n\nVerbs:\n", out);
    for (size_t i = 0; verbs[i]; i++)
        fprintf(out, "  %-10s%s\n", verbs[i]->name, verbs[i]->summary);
    print_options("Options of all verbs:", global_options, out);
    print_exit_statuses(out);
    fputs("\nMore: `ptools VERB --help`, man ptools\n", out);
}

void help_usage(const struct verb *verb, FILE *out)
{
    if (verb) {
        print_usage_lines(verb, out);
        fprintf(out, "More:  ptools %s --help\n", verb->name);
        return;
    }
    fputs("Usage: ptools [OPTION...] VERB [ARGUMENT...]\nVerbs:", out);
    for (size_t i = 0; verbs[i]; i++)
        fprintf(out, " %s", verbs[i]->name);
    fputs("\nMore:  ptools --help\n", out);
}
