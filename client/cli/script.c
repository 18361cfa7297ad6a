/* SPDX-License-Identifier: MIT */
/*
 * script -- see script.h. A script begins with "#!"; options stand before its first line that is neither empty nor a
 * comment. Words are separated by blanks; 'single' and "double" quotes keep blanks in them, and nothing is expanded.
 */
#include "client/cli/script.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/failure.h"

enum { HEAD_BYTES_MAX = 65536, WORDS_MAX = 512 };
#define MARK         "#PTOOLS"
#define PATH_DEFAULT "/usr/local/bin:/usr/bin:/bin" /* as in the worker */

void script_deinit(struct script *script)
{
    command_line_deinit(&script->line);
    free(script->argv);
    free(script->text);
    *script = (struct script){ 0 };
}

/* -- where it is ------------------------------------------------------------------------------------------- */

/* A path that was made; NULL: no memory. */
static char *path_in(const char *dir, const char *way, size_t n_way, const char *name)
{
    char *path = NULL;

    if ((n_way > 0 ? *way : *name) == '/')
        dir = NULL;
    return asprintf(&path, "%s%s%.*s%s%s", dir ? dir : "", dir ? "/" : "", (int)n_way, way, n_way > 0 ? "/" : "",
                    name) < 0
               ? NULL
               : path;
}

static bool can_be_run(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* NULL: it is not there, or there is no memory. */
static char *find(const char *name, const char *dir)
{
    const char *at = getenv("PATH"), *end;
    char *path;

    if (strchr(name, '/'))
        return path_in(dir, "", 0, name);
    for (at = at ? at : PATH_DEFAULT; at; at = *end ? end + 1 : NULL) {
        end = strchrnul(at, ':');
        path = path_in(dir, at, (size_t)(end - at), name);
        if (path && can_be_run(path))
            return path;
        free(path);
    }
    return NULL;
}

/* -- what it says ------------------------------------------------------------------------------------------ */

/* The beginning of a regular file, ended by NUL; NULL: there is none to be read. */
static char *read_head(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    char *text = fd >= 0 ? malloc(HEAD_BYTES_MAX + 1) : NULL;
    struct stat st;
    ssize_t n = -1;

    if (text && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        n = pread(fd, text, HEAD_BYTES_MAX, 0);
    if (fd >= 0)
        close(fd);
    if (n < 2 || memcmp(text, "#!", 2) != 0) {
        free(text);
        return NULL;
    }
    text[n] = '\0';
    return text;
}

/* The next word of a line at *at, without its quotes, cut off there. NULL: there is none, or (*wrong) a quote is open.
 */
static char *next_word(char **at, bool *wrong)
{
    char *word = *at + strspn(*at, " \t\r"), *to = word, *from = word, quote = '\0';

    for (; *from && (quote || !strchr(" \t\r", *from)); from++) {
        if (quote ? *from == quote : *from == '"' || *from == '\'')
            quote = quote ? '\0' : *from;
        else
            *to++ = *from;
    }
    *wrong = quote != '\0';
    *at = *from ? from + 1 : from;
    if (from == word)
        return NULL;
    *to = '\0';
    return *wrong ? NULL : word;
}

static int add_words(const struct command_line *line, const char *path, unsigned number, char *at, struct script *s,
                     int *argc)
{
    bool wrong = false;
    char *word;

    while ((word = next_word(&at, &wrong))) {
        if (*argc == WORDS_MAX)
            return command_line_wrong(line, "%.200s: it has more than %d words of options", path, WORDS_MAX);
        s->argv[(*argc)++] = word;
    }
    return wrong ? command_line_wrong(line, "%.200s, line %u: a quote is not closed", path, number) : EXIT_VALUE;
}

static int parse(const struct command_line *line, const char *path, int argc, struct script *s)
{
    const int r = command_line_parse(&s->line, argc, s->argv);

    if (r == -ENOMEM)
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    if (r != 0)
        return command_line_wrong(line, "%.200s: " MARK " lines: %s", path, s->line.problem);
    if (s->line.dir || s->line.address || s->line.json || s->line.help || s->line.version)
        return command_line_wrong(line, "%.200s: " MARK " lines tell how it is to be run, and no more", path);
    if (command_line_words(&s->line) > 0)
        return command_line_wrong(line, "%.200s: " MARK " lines: \"%.60s\" is no option", path,
                                  command_line_word(&s->line, 0));
    return EXIT_VALUE;
}

int script_read(const struct command_line *line, const char *name, const char *dir, struct script *ret)
{
    char *path = find(name, dir);
    int argc = 0, status = EXIT_VALUE;
    unsigned number = 0;

    *ret = (struct script){ .text = path ? read_head(path) : NULL };
    free(path);
    if (!ret->text)
        return EXIT_VALUE;
    ret->argv = calloc(WORDS_MAX + 1, sizeof *ret->argv);
    if (!ret->argv)
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    ret->argv[argc++] = (char *)(uintptr_t) "ptools";
    ret->argv[argc++] = (char *)(uintptr_t)line->verb->name;
    for (char *at = ret->text, *end; at && status == EXIT_VALUE; at = end) {
        const size_t blank = strspn(at, " \t\r");

        end = strchr(at, '\n');
        if (end)
            *end++ = '\0';
        number++;
        if (strncmp(at, MARK, strlen(MARK)) == 0 && strchr(" \t", at[strlen(MARK)]) && at[strlen(MARK)])
            status = add_words(line, name, number, at + strlen(MARK), ret, &argc);
        else if (at[blank] && at[blank] != '#')
            break;
    }
    return status == EXIT_VALUE && argc > 2 ? parse(line, name, argc, ret) : status;
}
