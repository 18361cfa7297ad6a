/* SPDX-License-Identifier: MIT */
/*
 * program -- see program.h. Words, environment and paths travel as bytes: they need not be UTF-8.
 *
 * Paths are made absolute here, where the user means them; whether they are there is found where the program runs,
 * when it does.
 */
#include "client/cli/program.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/input.h"
#include "client/cli/words.h"

enum { NICE_MAX = 39, PIDS_MAX = 4194304, STATUS_MAX = 255 };
#define STDIN_BYTES_MAX ((size_t)1 << 30)

extern char **environ;

/* -- options ----------------------------------------------------------------------------------------------- */

static int take_env(const struct command_line *line, const char *text, struct program *program)
{
    const size_t n = strcspn(text, "=");

    if (n == 0)
        return command_line_wrong(line, "--env %.60s: it is NAME=VALUE, or NAME", text);
    if (!text[n]) /* its value is ours, and is there already */
        return EXIT_VALUE;
    if (program->n_env == PROGRAM_LIST_MAX)
        return command_line_wrong(line, "--env %.60s: that is one too many; %d are allowed", text, PROGRAM_LIST_MAX);
    program->env[program->n_env++] = text;
    return EXIT_VALUE;
}

static int take_array(const struct command_line *line, const char *text, struct program *program)
{
    if (!words_name(text))
        return command_line_wrong(line, "--array %.80s: an array is " WORDS_NAMES, text);
    if (program->n_arrays == PROGRAM_LIST_MAX)
        return command_line_wrong(line, "--array %.60s: that is one too many; %d are allowed", text, PROGRAM_LIST_MAX);
    program->arrays[program->n_arrays++] = text;
    return EXIT_VALUE;
}

static int take_count(const struct command_line *line, const char *name, const char *text, uint64_t min, uint64_t max,
                      uint32_t *ret)
{
    uint64_t n;

    if (!words_count(text, max, &n) || n < min)
        return command_line_wrong(line, "--%s %.60s: allowed is a number from %llu to %llu", name, text,
                                  (unsigned long long)min, (unsigned long long)max);
    *ret = (uint32_t)n;
    return EXIT_VALUE;
}

static int take_bytes(const struct command_line *line, const char *name, const char *text, uint64_t *ret)
{
    return words_bytes(text, ret) && *ret > 0
               ? EXIT_VALUE
               : command_line_wrong(line, "--%s %.60s: " WORDS_SIZES ", 1 or more", name, text);
}

static int take_path(const struct command_line *line, const char *name, const char *text, const char **ret)
{
    *ret = text;
    return *text ? EXIT_VALUE : command_line_wrong(line, "--%s is empty", name);
}

/* The next of a list of exit statuses; *at is behind it then. */
static bool next_status(const char **at, uint64_t *ret)
{
    char digits[4];
    const size_t n = strcspn(*at, ",");

    if (n == 0 || n >= sizeof digits)
        return false;
    memcpy(digits, *at, n);
    digits[n] = '\0';
    *at += n;
    if (!words_count(digits, STATUS_MAX, ret))
        return false;
    return !**at || *++*at;
}

static int take_ok(const struct command_line *line, const char *text, struct program *program)
{
    const char *at = text;
    uint64_t status;

    do
        if (!next_status(&at, &status))
            return command_line_wrong(line, "--ok %.60s: allowed are exit statuses, 0 to 255, with commas between",
                                      text);
    while (*at);
    program->ok = text;
    return EXIT_VALUE;
}

int program_take(const struct command_line *line, const struct item *item, struct program *program)
{
    if (item->id < PROGRAM_ENV || item->id >= PROGRAM_OPTIONS_END)
        return EXIT_VALUE;
    program->given = true;
    switch (item->id) {
    case PROGRAM_ENV:
        return take_env(line, item->text, program);
    case PROGRAM_CWD:
        return take_path(line, "cwd", item->text, &program->cwd);
    case PROGRAM_STDIN:
        return take_path(line, "stdin", strcmp(item->text, "/dev/stdin") == 0 ? "-" : item->text, &program->input);
    case PROGRAM_MEM:
        return take_bytes(line, "mem", item->text, &program->mem);
    case PROGRAM_CPUS:
        return take_count(line, "cpus", item->text, 1, CPU_SETSIZE, &program->cpus);
    case PROGRAM_PIDS:
        return take_count(line, "pids", item->text, 1, PIDS_MAX, &program->pids);
    case PROGRAM_NICE:
        return take_count(line, "nice", item->text, 0, NICE_MAX, &program->nice);
    case PROGRAM_ARRAY:
        return take_array(line, item->text, program);
    case PROGRAM_OUT_DIR:
        return take_path(line, "out-dir", item->text, &program->out_dir);
    case PROGRAM_OUTPUT_MAX:
        return take_bytes(line, "output-max", item->text, &program->output_max);
    case PROGRAM_OK:
        return take_ok(line, item->text, program);
    default:
        program->merge = true;
    }
    return EXIT_VALUE;
}

/* -- the map ----------------------------------------------------------------------------------------------- */

static void put_bytes(ptools_pack *args, const char *text)
{
    ptools_pack_bytes(args, text, strlen(text));
}

static void put_number(ptools_pack *args, const char *key, uint64_t n)
{
    if (n == 0)
        return;
    ptools_pack_str(args, key);
    ptools_pack_u64(args, n);
}

/* path as seen from dir, which is absolute. PTOOLS_ERR_NO_MEMORY: no memory. */
static ptools_err put_path(ptools_pack *args, const char *key, const char *dir, const char *path)
{
    char *full = NULL;

    if (asprintf(&full, "%s%s%s", *path == '/' ? "" : dir, *path == '/' ? "" : "/", path) < 0)
        return PTOOLS_ERR_NO_MEMORY;
    ptools_pack_str(args, key);
    put_bytes(args, full);
    free(full);
    return PTOOLS_OK;
}

static void put_list(ptools_pack *args, const char *key, const char *const *texts, size_t n)
{
    ptools_pack_str(args, key);
    ptools_pack_list(args, (uint32_t)n);
    for (size_t i = 0; i < n; i++)
        put_bytes(args, texts[i]);
}

/* Whoever calls execve() may put anything there. What is no NAME=value no program can ask for, as of no name. Of a
 * command that is a task itself the seed is not passed on: each task is to have its own. */
static bool is_passed_on(const char *entry)
{
    return entry[strcspn(entry, "=")] && *entry != '=' &&
           !(strncmp(entry, "PTOOLS_SEED=", 12) == 0 && getenv("PTOOLS_TASK_ID"));
}

static void put_environment(ptools_pack *args)
{
    uint32_t n = 0;

    for (char **e = environ; e && *e; e++)
        n += is_passed_on(*e);
    ptools_pack_str(args, "env");
    ptools_pack_list(args, n);
    for (char **e = environ; e && *e; e++)
        if (is_passed_on(*e))
            put_bytes(args, *e);
}

static void put_umask(ptools_pack *args)
{
    const mode_t mask = umask(0);

    umask(mask);
    ptools_pack_str(args, "umask");
    ptools_pack_u64(args, mask);
}

static void put_ok(ptools_pack *args, const char *text)
{
    const char *at = text;
    uint64_t status;
    uint32_t n = 1;

    for (const char *c = text; *c; c++)
        n += *c == ',';
    ptools_pack_str(args, "ok");
    ptools_pack_list(args, n);
    for (at = text; n > 0 && next_status(&at, &status); n--)
        ptools_pack_u64(args, status);
}

/* Descriptors are those of who opens them: a shell that is told <(COMMAND) means ours, not those of a worker. */
static bool is_read_here(const char *input)
{
    return strcmp(input, "-") == 0 || strncmp(input, "/dev/fd/", 8) == 0 || strncmp(input, "/proc/self/", 11) == 0;
}

static int put_input(const struct command_line *line, const char *path, ptools_pack *args)
{
    struct input in;
    char *data = NULL, why[200];
    size_t n = 0;
    int r = input_open(&in, strcmp(path, "-") == 0 ? NULL : path);

    if (r == 0)
        r = input_read_all(&in, STDIN_BYTES_MAX, &data, &n);
    input_close(&in);
    snprintf(why, sizeof why, "%.100s: %s", in.name,
             r == -EFBIG ? "it has more than 1 GiB: give the program a file, --stdin FILE" : strerror(-r));
    if (r < 0)
        return failure_report_code(line,
                                   r == -ENOMEM  ? PTOOLS_ERR_NO_MEMORY
                                   : r == -EFBIG ? PTOOLS_ERR_TOO_LARGE
                                                 : PTOOLS_ERR_SYSTEM,
                                   why);
    ptools_pack_str(args, "stdin");
    ptools_pack_bytes(args, data ? data : "", n);
    free(data);
    return EXIT_VALUE;
}

static int put_arrays(const struct command_line *line, ptools *pt, const struct program *program, ptools_pack *args)
{
    ptools_pack_str(args, "arrays");
    ptools_pack_list(args, (uint32_t)program->n_arrays);
    for (size_t i = 0; i < program->n_arrays; i++) {
        PTOOLS_AUTO(ptools_array) array = NULL;
        ptools_err r = ptools_shm_map(pt, NULL, program->arrays[i], PTOOLS_SHM_OWN, 0, &array);

        if (r != PTOOLS_OK)
            return failure_report_last(line, pt, r);
        ptools_pack_list(args, 2);
        ptools_pack_str(args, program->arrays[i]);
        ptools_pack_array(args, array);
    }
    return EXIT_VALUE;
}

static uint32_t count_pairs(const struct program *p, size_t n)
{
    return 3u + (n > 0) + p->record + (p->inline_max > 0) + (p->n_env > 0) + (p->input != NULL) + p->merge +
           (p->mem > 0) + (p->cpus > 0) + (p->pids > 0) + (p->nice > 0) + (p->n_arrays > 0) + (p->out_dir != NULL) +
           (p->output_max > 0) + (p->ok != NULL);
}

static bool is_relative(const char *path)
{
    return path && *path != '/';
}

/* Whether a path is meant that begins where we are. */
static bool needs_here(const struct program *p)
{
    return !p->cwd || is_relative(p->cwd) || is_relative(p->out_dir) ||
           (is_relative(p->input) && !is_read_here(p->input));
}

int program_pack(const struct command_line *line, ptools *pt, const struct program *program, const char *const *argv,
                 size_t n, ptools_pack *args)
{
    char room[PATH_MAX];
    const char *here = getcwd(room, sizeof room);
    ptools_err r = PTOOLS_OK;
    int status = EXIT_VALUE;

    if (!here && needs_here(program))
        return failure_report_code(line, PTOOLS_ERR_SYSTEM, "the directory that we are in is gone");
    ptools_pack_map(args, count_pairs(program, n));
    if (n > 0)
        put_list(args, "argv", argv, n);
    put_environment(args);
    put_umask(args);
    r = put_path(args, "cwd", here, program->cwd ? program->cwd : here);
    if (program->n_env > 0)
        put_list(args, "set_env", program->env, program->n_env);
    if (program->input && is_read_here(program->input))
        status = put_input(line, program->input, args);
    else if (r == PTOOLS_OK && program->input)
        r = put_path(args, "stdin_file", here, program->input);
    if (program->merge) {
        ptools_pack_str(args, "merge");
        ptools_pack_bool(args, true);
    }
    put_number(args, "mem", program->mem);
    put_number(args, "cpus", program->cpus);
    put_number(args, "pids", program->pids);
    put_number(args, "nice", program->nice);
    put_number(args, "out_max", program->output_max);
    put_number(args, "inline_max", program->inline_max);
    if (program->record) {
        ptools_pack_str(args, "fail");
        ptools_pack_bool(args, false);
    }
    if (status == EXIT_VALUE && program->n_arrays > 0)
        status = put_arrays(line, pt, program, args);
    if (r == PTOOLS_OK && program->out_dir)
        r = put_path(args, "stage", here, program->out_dir);
    if (program->ok)
        put_ok(args, program->ok);
    if (status != EXIT_VALUE)
        return status;
    r = r == PTOOLS_OK ? ptools_pack_error(args) : r;
    return r == PTOOLS_OK ? EXIT_VALUE : failure_report_code(line, r, NULL);
}
