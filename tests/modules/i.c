/* SPDX-License-Identifier: MIT */
/*
 * i -- functions for tests of isolated items: what one finds in its process, and what it can do to that.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ptools/module.h>

enum { FDS_MAX = 1024 };

static int64_t calls, inits, made;
static char *heap; /* of init */

static int open_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < FDS_MAX; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Makes what items find, and what they only copy when they write to it. */
static ptools_err init(ptools_task *task)
{
    ptools_err err = ptools_task_arg_i64(task, 0, &made);

    inits++;
    heap = strdup("made by init");
    return err == PTOOLS_OK && !heap ? PTOOLS_ERR_NO_MEMORY : err;
}

/* [calls so far, inits, made, the heap's text, environment, directory, umask, descriptors, limit of core files, the
 * process, its parent] */
static void tell_found(ptools_pack *out)
{
    char cwd[256] = "";
    struct rlimit core = { 0 };
    const char *found = getenv("PTOOLS_LITTER");
    mode_t mask = umask(0);

    umask(mask);
    getrlimit(RLIMIT_CORE, &core);
    ptools_pack_list(out, 11);
    ptools_pack_i64(out, calls++);
    ptools_pack_i64(out, inits);
    ptools_pack_i64(out, made);
    ptools_pack_str(out, heap ? heap : "");
    ptools_pack_str(out, found ? found : "clean");
    ptools_pack_str(out, getcwd(cwd, sizeof cwd) ? cwd : "");
    ptools_pack_i64(out, mask);
    ptools_pack_i64(out, open_fds());
    ptools_pack_u64(out, core.rlim_max);
    ptools_pack_i64(out, getpid());
    ptools_pack_i64(out, getppid());
}

static ptools_err look(ptools_task *task)
{
    tell_found(ptools_task_result(task));
    return PTOOLS_OK;
}

static void spoil_process(void)
{
    static const struct rlimit none;

    calls += 1000;
    made = -1;
    if (heap)
        memset(heap, 'x', strlen(heap));
    for (int i = 0; i < 1000; i++)
        (void)!malloc(1000);
    setenv("PTOOLS_LITTER", "dirty", 1);
    (void)!chdir("/tmp");
    umask(0777);
    setrlimit(RLIMIT_CORE, &none); /* for good */
    for (int s = 1; s < 32; s++)
        signal(s, SIG_IGN);
}

/* What it finds; and leaves nothing as it was. */
static ptools_err spoil(ptools_task *task)
{
    tell_found(ptools_task_result(task));
    spoil_process();
    for (int fd = STDERR_FILENO + 1; fd < FDS_MAX; fd++)
        close(fd);
    return PTOOLS_OK;
}

/* Touches so many MiB of new memory. */
static ptools_err touch(ptools_task *task)
{
    int64_t mib;
    ptools_err err = ptools_task_arg_i64(task, 0, &mib);
    char *p;

    if (err != PTOOLS_OK)
        return err;
    p = malloc((size_t)mib << 20 | 1);
    if (!p)
        return ptools_task_fail(task, "no memory");
    memset(p, 1, (size_t)mib << 20 | 1);
    ptools_pack_i64(ptools_task_result(task), mib + p[0] - 1);
    free(p);
    return PTOOLS_OK;
}

static ptools_err kill_worker(ptools_task *task)
{
    kill(getppid(), SIGKILL);
    pause(); /* it dies with it */
    return ptools_task_fail(task, "it lives on");
}

static volatile bool enough; /* never */

/* Never ends, in a way that makes it hard to end; its progress is the pid of what it has forked, if it has. */
static ptools_err stall(ptools_task *task)
{
    const char *how;
    ptools_err err = ptools_task_arg_str(task, 0, &how);
    sigset_t all;
    pid_t child;

    if (err != PTOOLS_OK)
        return err;
    sigfillset(&all);
    if (strcmp(how, "block") == 0)
        sigprocmask(SIG_SETMASK, &all, NULL);
    if (strcmp(how, "family") == 0) {
        child = fork();
        if (child == 0) {
            setsid();
            alarm(60);
            for (;;)
                pause();
        }
        ptools_task_progress(task, child > 0 ? (uint64_t)child : 0, 0);
    }
    ptools_task_phase(task, "stalling");
    if (strcmp(how, "stop") == 0)
        raise(SIGSTOP);
    while (!enough)
        continue;
    return PTOOLS_OK;
}

/* Prints without a line feed: it stays in a buffer. */
static ptools_err murmur(ptools_task *task)
{
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    printf("murmur ");
    ptools_pack_nil(ptools_task_result(task));
    return PTOOLS_OK;
}

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* What a fork of this process alone takes, with the end of the child: so many of them, in microseconds. */
static ptools_err forks(ptools_task *task)
{
    const uint64_t began = now_us();
    int64_t n;
    ptools_err err = ptools_task_arg_i64(task, 0, &n);

    for (; err == PTOOLS_OK && n > 0; n--) {
        pid_t child = fork();

        if (child == 0)
            _exit(0);
        if (child < 0 || waitpid(child, NULL, 0) != child)
            return ptools_task_fail(task, "fork: %s", strerror(errno));
    }
    ptools_pack_u64(ptools_task_result(task), now_us() - began);
    return err;
}

static void wipe(void *path)
{
    unlink(path);
    free(path);
}

/* Makes a file, which is gone when the item is. */
static ptools_err borrow(ptools_task *task)
{
    const char *path;
    ptools_err err = ptools_task_arg_str(task, 0, &path);
    int fd;

    if (err != PTOOLS_OK)
        return err;
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return ptools_task_fail(task, "%s: %s", path, strerror(errno));
    close(fd);
    ptools_pack_nil(ptools_task_result(task));
    return ptools_task_set_pointer(task, "file", strdup(path), wipe);
}

static const ptools_function functions[] = {
    { "init", init, "init N: N is what items find", 0 },
    { "look", look, "look -> what it finds in its process", 0 },
    { "spoil", spoil, "spoil -> what it finds in its process, which it spoils", 0 },
    { "touch", touch, "touch N -> N, after N MiB of memory were written to", 0 },
    { "kill_worker", kill_worker, "kill_worker kills the parent of its process", 0 },
    { "stall", stall, "stall spin|block|stop|family: never ends", 0 },
    { "murmur", murmur, "murmur prints no whole line", 0 },
    { "forks", forks, "forks N -> microseconds that so many children take which do nothing", PTOOLS_FN_TIDY },
    { "borrow", borrow, "borrow PATH makes it, and removes it at the end of the task", 0 },
    { NULL, NULL, NULL, 0 }
};
PTOOLS_MODULE_EXPORT const ptools_module_info ptools_module = {
    PTOOLS_MODULE_ABI, sizeof(ptools_module_info), "what items do to their process, for tests of isolation", functions,
    NULL
};
