/* SPDX-License-Identifier: MIT */
/*
 * verb_replay -- `ptools replay`: the command of a queued task once more, here: in this process, with the words,
 * environment, directory, umask, input and seed of the task, so that it can be looked at, or run in a debugger. Of a
 * function the call: in a worker, with the same arguments, waited for as `ptools call` does.
 *
 * The daemon is asked for the arguments and no more: nothing of the task changes. Limits (--mem, --cpus, --nice) and
 * shared arrays are not set up; what the command would put into --out-dir comes into a directory of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/program.h"
#include "client/cli/session.h"
#include "client/cli/tasks.h"
#include "client/cli/verbs.h"
#include "client/cli/waiting.h"

enum { OPTION_GDB = OPTION_OF_VERB };
enum { GDB_WORDS = 2, VARIABLES = 4 };

static const struct option_row options[] = {
    { OPTION_GDB, '\0', "gdb", NULL, "in the debugger gdb, which waits for `run`" },
    { 0 },
};
static const char *const usage[] = { "[--gdb] ID", NULL };

extern char **environ;

/* What the task was given; borrowed from its arguments, or made here and kept until exec. */
struct replay {
    const struct command_line *line;
    const ptools_queued_info *info;
    ptools_value map;
    char **argv, **env;
    size_t n_argv, n_env;
};

/* -- reading ------------------------------------------------------------------------------------------------ */

/* A text of it as a string of C; NULL: no memory, or it is none. */
static char *string_of(ptools_value v)
{
    const void *data;
    const char *text;
    size_t n;

    if (ptools_get_str(v, &text, &n) == PTOOLS_OK)
        data = text;
    else if (ptools_get_bytes(v, &data, &n) != PTOOLS_OK)
        return NULL;
    return strndup(data, n);
}

static char *string_at(const struct replay *r, const char *key)
{
    ptools_value v;

    return ptools_get_field(r->map, key, &v) == PTOOLS_OK ? string_of(v) : NULL;
}

/* Strings of the list under key, behind those that are there. False: no memory. */
static bool read_list(const struct replay *r, const char *key, size_t more, char ***list, size_t *n)
{
    uint32_t count = 0;
    ptools_value v, item;
    char **larger;

    if (ptools_get_field(r->map, key, &v) == PTOOLS_OK)
        (void)ptools_get_count(v, &count);
    larger = realloc(*list, (*n + count + more + 1) * sizeof *larger);
    if (!larger)
        return false;
    *list = larger;
    for (uint32_t i = 0; i < count; i++) {
        larger[*n] = ptools_get_item(v, i, &item) == PTOOLS_OK ? string_of(item) : NULL;
        if (!larger[*n])
            return false;
        ++*n;
    }
    larger[*n] = NULL;
    return true;
}

/* As the worker makes it: PROTOCOL.md, section 17. */
static uint64_t seed_of(uint64_t task)
{
    uint64_t z = task * UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* In the place of one of the same name, unless (weak) that counts, or at the end, for which there is room. */
static bool put(struct replay *r, bool weak, const char *name, const char *value)
{
    const size_t n = strlen(name);
    char *text = NULL;

    if (asprintf(&text, "%s=%s", name, value) < 0)
        return false;
    for (size_t i = 0; i < r->n_env; i++) {
        if (strncmp(r->env[i], name, n) == 0 && r->env[i][n] == '=') {
            r->env[i] = weak ? r->env[i] : text;
            return true;
        }
    }
    r->env[r->n_env++] = text;
    r->env[r->n_env] = NULL;
    return true;
}

static bool put_number(struct replay *r, bool weak, const char *name, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, value);
    return put(r, weak, name, text);
}

/* Of two variables of one name the last counts. */
static void drop_doubles(struct replay *r)
{
    for (size_t i = 0; i < r->n_env; i++) {
        const size_t n = strcspn(r->env[i], "=");

        for (size_t k = i + 1; k < r->n_env; k++) {
            if (strncmp(r->env[i], r->env[k], n + 1) != 0)
                continue;
            memmove(&r->env[i], &r->env[i + 1], (r->n_env - i) * sizeof *r->env);
            r->n_env--;
            i--;
            break;
        }
    }
}

static bool read_all(struct replay *r, bool gdb)
{
    static const char *const debugger[GDB_WORDS] = { "gdb", "--args" };

    r->argv = calloc(GDB_WORDS + 1, sizeof *r->argv);
    if (!r->argv)
        return false;
    for (; gdb && r->n_argv < GDB_WORDS; r->n_argv++)
        r->argv[r->n_argv] = (char *)(uintptr_t)debugger[r->n_argv];
    if (!read_list(r, "argv", 0, &r->argv, &r->n_argv) || !read_list(r, "env", VARIABLES, &r->env, &r->n_env) ||
        !read_list(r, "set_env", VARIABLES, &r->env, &r->n_env))
        return false;
    drop_doubles(r);
    return put_number(r, false, "PTOOLS_TASK_ID", r->info->id) &&
           put_number(r, false, "PTOOLS_TASK_ATTEMPT", r->info->attempt) &&
           put_number(r, true, "PTOOLS_SEED", seed_of(r->info->id));
}

/* -- running ------------------------------------------------------------------------------------------------ */

/* What it reads becomes our standard input. 0 or -errno. */
static int set_input(const struct replay *r, const char **ret_what)
{
    char *file = string_at(r, "stdin_file");
    const void *data = NULL;
    ptools_value v;
    size_t n = 0;
    int fd;

    *ret_what = file ? file : "what it reads";
    if (ptools_get_field(r->map, "stdin", &v) == PTOOLS_OK && ptools_get_bytes(v, &data, &n) == PTOOLS_OK) {
        fd = memfd_create("stdin", MFD_CLOEXEC);
        if (fd >= 0 && (write(fd, data, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET) < 0))
            return errno ? -errno : -EIO;
    } else {
        fd = open(file ? file : "/dev/null", O_RDONLY | O_CLOEXEC);
    }
    return fd < 0 || dup2(fd, STDIN_FILENO) < 0 ? -errno : 0;
}

static int cannot(const struct replay *r, int status, const char *what, int error)
{
    const ptools_failure f = { .code = PTOOLS_ERR_SYSTEM, .exit_status = -1, .phase = "", .log = "", .backtrace = "" };
    ptools_failure failure = f;
    char message[400];

    snprintf(message, sizeof message, "%.300s: %s", what, strerror(error));
    failure.message = message;
    return failure_report(r->line, &failure, status);
}

/* A directory for what the task would put into its part of --out-dir, which is no more. 0 or -errno. */
static int set_stage(struct replay *r)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = NULL;
    ptools_value v;

    if (ptools_get_field(r->map, "stage", &v) != PTOOLS_OK)
        return 0;
    if (asprintf(&dir, "%s/ptools-replay-XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp") < 0)
        return -ENOMEM;
    if (!mkdtemp(dir))
        return -errno;
    fprintf(stderr, "ptools replay: PTOOLS_OUT_DIR is %s, and stays\n", dir);
    return put(r, false, "PTOOLS_OUT_DIR", dir) ? 0 : -ENOMEM;
}

static int become(struct replay *r, bool gdb)
{
    char *cwd = string_at(r, "cwd");
    const char *what;
    ptools_value v;
    uint64_t mask;
    int error = 0;

    if (chdir(cwd ? cwd : "/") < 0)
        return cannot(r, EXIT_PTOOLS, cwd ? cwd : "/", errno);
    if (ptools_get_field(r->map, "umask", &v) == PTOOLS_OK && ptools_get_u64(v, &mask) == PTOOLS_OK)
        umask((mode_t)mask);
    if (!gdb)
        error = set_input(r, &what);
    if (error < 0)
        return cannot(r, EXIT_PTOOLS, what, -error);
    error = set_stage(r);
    if (error < 0)
        return cannot(r, EXIT_PTOOLS, "a directory for PTOOLS_OUT_DIR", -error);
    environ = r->env;
    execvp(r->argv[0], r->argv);
    return cannot(r, errno == ENOENT ? EXIT_NO_COMMAND : EXIT_BAD_COMMAND, r->argv[0], errno);
}

/* -- functions ---------------------------------------------------------------------------------------------- */

/* Appends what v is. False: it is a kind that cannot be given by value. */
static bool pack_again(ptools_pack *pack, ptools_value v)
{
    ptools_value item, key;
    const void *data;
    const char *text;
    uint32_t count = 0;
    int64_t i;
    uint64_t u;
    double f;
    size_t n;
    bool yes;

    if (ptools_value_kind(v) == PTOOLS_NIL)
        ptools_pack_nil(pack);
    else if (ptools_get_bool(v, &yes) == PTOOLS_OK)
        ptools_pack_bool(pack, yes);
    else if (ptools_get_i64(v, &i) == PTOOLS_OK)
        ptools_pack_i64(pack, i);
    else if (ptools_get_u64(v, &u) == PTOOLS_OK)
        ptools_pack_u64(pack, u);
    else if (ptools_get_f64(v, &f) == PTOOLS_OK)
        ptools_pack_f64(pack, f);
    else if (ptools_get_str(v, &text, &n) == PTOOLS_OK)
        ptools_pack_strn(pack, text, n);
    else if (ptools_get_bytes(v, &data, &n) == PTOOLS_OK)
        ptools_pack_bytes(pack, data, n);
    else if (ptools_value_kind(v) == PTOOLS_LIST && ptools_get_count(v, &count) == PTOOLS_OK) {
        ptools_pack_list(pack, count);
        for (uint32_t k = 0; k < count; k++)
            if (ptools_get_item(v, k, &item) != PTOOLS_OK || !pack_again(pack, item))
                return false;
    } else if (ptools_value_kind(v) == PTOOLS_MAP && ptools_get_count(v, &count) == PTOOLS_OK) {
        ptools_pack_map(pack, count);
        for (uint32_t k = 0; k < count; k++)
            if (ptools_get_pair(v, k, &key, &item) != PTOOLS_OK || !pack_again(pack, key) || !pack_again(pack, item))
                return false;
    } else {
        return false;
    }
    return true;
}

static int call_again(const struct command_line *line, ptools *pt, const ptools_queued_info *info)
{
    const struct waiting waiting = { .give_up = waiting_stop };
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value item;
    uint32_t count = 0;
    ptools_err r;

    (void)ptools_get_count(info->args, &count);
    for (uint32_t i = 0; i < count; i++)
        if (ptools_get_item(info->args, i, &item) != PTOOLS_OK || !pack_again(args, item))
            return failure_report_code(line, PTOOLS_ERR_INVALID, "an argument of it is no value, but a part of a shared array");
    r = ptools_remotecall(pt, NULL, info->function, args, NULL, &f);
    return r == PTOOLS_OK ? waiting_print(line, &waiting, pt, f) : failure_report_last(line, pt, r);
}

static int replay(const struct command_line *line, ptools *pt, const ptools_queued_info *info, bool gdb)
{
    struct replay r = { .line = line, .info = info };
    char message[160];

    if (strcmp(info->function, PROGRAM_FUNCTION) != 0 && gdb) {
        snprintf(message, sizeof message,
                 "task %" PRIu64 " is the function %s, which runs in a worker: --gdb is for commands; attach gdb to the pid "
                 "that `ptools workers` shows",
                 info->id, info->function);
        return failure_report_code(line, PTOOLS_ERR_INVALID, message);
    }
    if (strcmp(info->function, PROGRAM_FUNCTION) != 0)
        return call_again(line, pt, info);
    if (ptools_get_item(info->args, 0, &r.map) != PTOOLS_OK || !read_all(&r, gdb) || r.n_argv == (gdb ? GDB_WORDS : 0))
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, "its arguments cannot be read");
    return become(&r, gdb); /* it is another program then, and all memory is gone */
}

static int run(const struct command_line *line)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    struct tasks_wish wish = { 0 };
    struct tasks tasks = { 0 };
    bool gdb = false;
    int status = tasks_take(line, 0, command_line_words(line), &wish);

    for (size_t i = 0; i < line->n; i++)
        gdb |= line->items[i].id == OPTION_GDB;
    if (status == EXIT_VALUE && (wish.ids.n != 1 || !id_is_one(&wish.ids.items[0])))
        status = command_line_wrong(line, "which task? One ID is wanted");
    if (status == EXIT_VALUE)
        status = session_open(line, false, 0, &pt);
    if (status == EXIT_VALUE)
        status = tasks_find(line, pt, &wish, TASKS_LOOK | TASKS_ARGS, &tasks);
    if (status == EXIT_VALUE)
        status = tasks.n == 1 && tasks.items[0].info ? replay(line, pt, tasks.items[0].info, gdb) : tasks.status;
    tasks_deinit(&tasks);
    tasks_wish_deinit(&wish);
    return status;
}

const struct verb verb_replay = {
    .name = "replay",
    .summary = "run the command or function of a queued task once more, and wait for it",
    .usage = usage,
    .about =
        "Runs the command of the task in the foreground, with the words, environment, directory, umask, input and\n"
        "PTOOLS_SEED that it had. Nothing of the task changes. Limits and shared arrays are not set "
        "up;\nfor --out-dir PTOOLS_OUT_DIR is a new directory in TMPDIR or /tmp, which stays.\nOf a function: calls it in a worker with the arguments that it had, and prints its value.\n" TASKS_IDS_HELP,
    .options = options,
    .run = run,
};
