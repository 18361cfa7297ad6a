/* SPDX-License-Identifier: MIT */
/*
 * callee -- see callee.h. Arguments are the last that is looked at: a mistake elsewhere is told before a file is read
 * or standard input waited for.
 */
#include "client/cli/callee.h"

#include "client/cli/arguments.h"
#include "client/cli/failure.h"
#include "client/cli/words.h"

struct state {
    bool named, only_strings, stdin_taken;
};

int callee_function(const struct command_line *line, const char **ret)
{
    const char *function = command_line_word(line, 0);

    if (!function)
        return command_line_wrong(line, "no function is named");
    if (!words_function(function))
        return command_line_wrong(
            line, "\"%s\" names no function: it is MODULE.FUNCTION, each 1 to 64 of A-Z a-z 0-9 _ -", function);
    *ret = function;
    return EXIT_VALUE;
}

static int take(const struct command_line *line, const struct item *item, struct state *state, ptools_pack *args)
{
    char why[ARGUMENTS_WHY_BYTES] = "";
    ptools_err r = PTOOLS_OK;

    switch (item->id) {
    case OPTION_STRING:
        state->only_strings = true;
        break;
    case OPTION_FILE:
        r = arguments_add_file(args, item->text, why);
        break;
    case OPTION_STDIN:
        if (state->stdin_taken)
            return command_line_wrong(line, "--stdin may be given once: what is there is gone after the first");
        state->stdin_taken = true;
        r = arguments_add_file(args, NULL, why);
        break;
    case ITEM_WORD:
        if (!state->named)
            state->named = true; /* the function's name */
        else if (state->only_strings)
            ptools_pack_str(args, item->text);
        else
            r = arguments_add_word(args, item->text, why);
        break;
    }
    if (r == PTOOLS_OK)
        r = ptools_pack_error(args);
    if (r == PTOOLS_OK)
        return EXIT_VALUE;
    return r == PTOOLS_ERR_INVALID ? command_line_wrong(line, "%s", why) : failure_report_code(line, r, why);
}

int callee_arguments(const struct command_line *line, ptools_pack *args)
{
    struct state state = { 0 };
    int status = EXIT_VALUE;

    for (size_t i = 0; i < line->n && status == EXIT_VALUE; i++)
        status = take(line, &line->items[i], &state, args);
    return status;
}
