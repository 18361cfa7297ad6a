/* SPDX-License-Identifier: MIT */
/*
 * q -- functions for tests that kill: they leave a mark of what was begun and what was finished.
 *
 * A mark is one line, written by a single write() to a file opened with O_APPEND, so that lines of many workers do not
 * mix and one that is there is whole: "X key attempt pid task" at the beginning, "Y ..." at the end. Between the two
 * the worker holds a lock on the byte of that file that belongs to the key. The kernel gives it back when the process
 * ends, however it ends; so who finds it taken runs at the same time as another of that key, and says so by a line
 * "C ...". tests/fault/check_ledger.h reads them.
 *
 * mark and kill are there twice: mark_again and kill_again may be repeated (PTOOLS_FN_IDEMPOTENT).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ptools/module.h>

/* Where the lock of a key lies: FNV-1a, in the positive half of an off_t. */
static off_t place_of(const char *key)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * UINT64_C(1099511628211);
    return (off_t)(hash >> 1);
}

/* PTOOLS_OK, or the task has failed and says why. */
static ptools_err write_line(ptools_task *task, int fd, char what, const char *key)
{
    char line[256];
    int n = snprintf(line, sizeof line, "%c %s %u %d %llu\n", what, key, ptools_task_attempt(task), (int)getpid(),
                     (unsigned long long)ptools_task_id(task));

    if (n >= (int)sizeof line)
        return ptools_task_fail(task, "the key is too long");
    if (write(fd, line, (size_t)n) != n)
        return ptools_task_fail(task, "cannot write a mark: %s", strerror(errno));
    return PTOOLS_OK;
}

/* PTOOLS_OK: slept so long. */
static ptools_err sleep_for(ptools_task *task, uint64_t ms)
{
    struct timespec rest = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

    while (ms > 0 && nanosleep(&rest, &rest) < 0 && errno == EINTR)
        if (ptools_task_cancelled(task))
            return ptools_task_fail(task, "woken up");
    return PTOOLS_OK;
}

/* *ret_fd is open, also if it fails, or -1. */
static ptools_err begin(ptools_task *task, const char **ret_key, int *ret_fd)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
    const char *path;
    ptools_err err = ptools_task_arg_str(task, 0, &path);

    *ret_fd = -1;
    if (err == PTOOLS_OK)
        err = ptools_task_arg_str(task, 1, ret_key);
    if (err != PTOOLS_OK)
        return err;
    *ret_fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (*ret_fd < 0)
        return ptools_task_fail(task, "cannot open %s: %s", path, strerror(errno));
    lock.l_start = place_of(*ret_key);
    if (fcntl(*ret_fd, F_SETLK, &lock) < 0) {
        if (errno != EAGAIN && errno != EACCES)
            return ptools_task_fail(task, "cannot lock %s: %s", path, strerror(errno));
        err = write_line(task, *ret_fd, 'C', *ret_key);
        if (err != PTOOLS_OK)
            return err;
    }
    return write_line(task, *ret_fd, 'X', *ret_key);
}

static ptools_err mark(ptools_task *task)
{
    const char *key;
    uint64_t ms = 0;
    int fd;
    ptools_err err = begin(task, &key, &fd);

    ptools_task_phase(task, "marked");
    if (err == PTOOLS_OK && ptools_task_argc(task) > 2)
        err = ptools_task_arg_u64(task, 2, &ms);
    if (err == PTOOLS_OK)
        err = sleep_for(task, ms);
    if (err == PTOOLS_OK)
        err = write_line(task, fd, 'Y', key);
    if (err == PTOOLS_OK)
        ptools_pack_str(ptools_task_result(task), key);
    if (fd >= 0)
        close(fd); /* and the lock is given back */
    return err;
}

static ptools_err kill_(ptools_task *task)
{
    const char *key;
    int fd;
    ptools_err err = ptools_task_argc(task) == 0 ? PTOOLS_OK : begin(task, &key, &fd);

    if (err == PTOOLS_OK)
        raise(SIGKILL);
    return err;
}

static ptools_err fail(ptools_task *task)
{
    return ptools_task_fail(task, "attempt %u fails as it was asked to", ptools_task_attempt(task));
}

static ptools_err fail_until(ptools_task *task)
{
    uint64_t attempt;
    ptools_err err = ptools_task_arg_u64(task, 0, &attempt);

    if (err != PTOOLS_OK)
        return err;
    if (ptools_task_attempt(task) < attempt)
        return fail(task);
    ptools_pack_u64(ptools_task_result(task), ptools_task_attempt(task));
    return PTOOLS_OK;
}

static ptools_err echo(ptools_task *task)
{
    const char *text;
    ptools_err err = ptools_task_arg_str(task, 0, &text);

    if (err == PTOOLS_OK)
        ptools_pack_str(ptools_task_result(task), text);
    return err;
}

static ptools_err sleep_(ptools_task *task)
{
    uint64_t ms;
    ptools_err err = ptools_task_arg_u64(task, 0, &ms);

    ptools_task_phase(task, "sleeping");
    return err == PTOOLS_OK ? sleep_for(task, ms) : err;
}

static ptools_err progress(ptools_task *task)
{
    ptools_task_progress(task, 7, 9);
    return sleep_(task);
}

static ptools_err log_(ptools_task *task)
{
    const char *text;
    ptools_err err = ptools_task_arg_str(task, 0, &text);

    if (err != PTOOLS_OK)
        return err;
    ptools_task_log(task, "begun");
    ptools_task_log(task, "%s", text);
    return ptools_task_argc(task) > 1 ? sleep_for(task, 3600000) : PTOOLS_OK;
}

static volatile bool enough; /* never */

static ptools_err spin(ptools_task *task)
{
    ptools_task_phase(task, "spinning");
    while (!enough)
        continue;
    return PTOOLS_OK;
}

static const ptools_function functions[] = {
    { "mark", mark, "mark PATH KEY [MS]: say in PATH that KEY begins, sleep, say that it ends -> KEY", 0 },
    { "mark_again", mark, "mark_again PATH KEY [MS]: as mark, and may be repeated -> KEY", PTOOLS_FN_IDEMPOTENT },
    { "kill", kill_, "kill [PATH KEY]: the worker kills itself, and says before that KEY begins", 0 },
    { "kill_again", kill_, "kill_again [PATH KEY]: as kill, and may be repeated", PTOOLS_FN_IDEMPOTENT },
    { "fail", fail, "fail: does", 0 },
    { "fail_until", fail_until, "fail_until ATTEMPT: fails before that one -> the attempt", PTOOLS_FN_IDEMPOTENT },
    { "echo", echo, "echo TEXT -> TEXT", PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY },
    { "sleep", sleep_, "sleep MS: also a request to stop wakes it", 0 },
    { "progress", progress, "progress MS: seven ninths are done, and it sleeps", 0 },
    { "log", log_, "log TEXT [ANYTHING]: logs two lines, the second is TEXT; with more, sleeps for an hour", 0 },
    { "spin", spin, "spin: never comes back", 0 },
    { NULL, NULL, NULL, 0 }
};
PTOOLS_MODULE_EXPORT const ptools_module_info ptools_module = { PTOOLS_MODULE_ABI, sizeof(ptools_module_info),
                                                                "marks of what was begun, for tests that kill",
                                                                functions, NULL };
