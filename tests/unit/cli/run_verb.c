/* SPDX-License-Identifier: MIT */
/*
 * run_verb -- see run_verb.h.
 */
#include "tests/unit/cli/run_verb.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/cli/command_line.h"
#include "tests/support/suite.h"
#include "tests/unit/cli/values.h"

enum { WORDS_MAX = 90 };

static int split(char *text, char **argv)
{
    int argc = 1;

    argv[0] = text + strlen(text); /* nobody looks at it */
    while (*text) {
        const char end = *text == '{' ? '}' : ' ';
        char *word = text + (end == '}'), *behind = strchr(word, end);

        ck_assert_int_lt(argc, WORDS_MAX);
        argv[argc++] = word;
        if (!behind)
            break;
        *behind = '\0';
        text = behind + 1 + (end == '}' && behind[1] == ' ');
    }
    return argc;
}

/* Standard input is the text; what it was before comes back. */
static int feed(const char *input)
{
    int saved = dup(STDIN_FILENO), fd = memfd_create("input", MFD_CLOEXEC);
    size_t n = input ? strlen(input) : 0;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, input ? input : "", n), (ssize_t)n);
    lseek(fd, 0, SEEK_SET);
    dup2(fd, STDIN_FILENO);
    close(fd);
    return saved;
}

struct outcome run_verb(const char *text, const char *input)
{
    char *copy = strdup(text), *argv[WORDS_MAX];
    struct outcome o = { 0 };
    struct command_line line;
    struct capture out, err;
    int argc = split(copy, argv), r, saved = feed(input);

    capture(&out, STDOUT_FILENO);
    capture(&err, STDERR_FILENO);
    r = command_line_parse(&line, argc, argv);
    o.status = r == 0 ? line.verb->run(&line) : command_line_wrong(&line, "%s", line.problem);
    o.err = captured(&err);
    o.out = captured(&out);
    command_line_deinit(&line);
    free(copy);
    if (saved >= 0) {
        dup2(saved, STDIN_FILENO);
        close(saved);
    } else {
        close(STDIN_FILENO);
    }
    return o;
}

void outcome_free(struct outcome *o)
{
    free(o->out);
    free(o->err);
    *o = (struct outcome){ 0 };
}
