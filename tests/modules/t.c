/* SPDX-License-Identifier: MIT */
/*
 * t -- the test module: functions that behave, and functions that misbehave in every way we know.
 *
 * What a function does is its help line. Those that never come back, or take the worker with them, are
 * here so that tests can show what is left standing.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ptools/module.h>

/* -- those that behave ----------------------------------------------------------------------- */

static ptools_err nop(ptools_task *task)
{
    (void)task;
    return PTOOLS_OK;
}

static void echo_value(ptools_pack *pack, ptools_value v)
{
    ptools_value key, item;
    const char *s;
    const void *data;
    uint64_t u;
    int64_t i;
    uint32_t n;
    double f;
    size_t bytes;
    bool yes;

    switch (ptools_value_kind(v)) {
    case PTOOLS_BOOL:
        ptools_get_bool(v, &yes);
        ptools_pack_bool(pack, yes);
        break;
    case PTOOLS_INT:
        if (ptools_get_i64(v, &i) == PTOOLS_OK)
            ptools_pack_i64(pack, i);
        else if (ptools_get_u64(v, &u) == PTOOLS_OK)
            ptools_pack_u64(pack, u);
        break;
    case PTOOLS_FLOAT:
        ptools_get_f64(v, &f);
        ptools_pack_f64(pack, f);
        break;
    case PTOOLS_STR:
        ptools_get_str(v, &s, &bytes);
        ptools_pack_strn(pack, s, bytes);
        break;
    case PTOOLS_BYTES:
        ptools_get_bytes(v, &data, &bytes);
        ptools_pack_bytes(pack, data, bytes);
        break;
    case PTOOLS_LIST:
        ptools_get_count(v, &n);
        ptools_pack_list(pack, n);
        for (uint32_t k = 0; k < n; k++) {
            ptools_get_item(v, k, &item);
            echo_value(pack, item);
        }
        break;
    case PTOOLS_MAP:
        ptools_get_count(v, &n);
        ptools_pack_map(pack, n);
        for (uint32_t k = 0; k < n; k++) {
            ptools_get_pair(v, k, &key, &item);
            echo_value(pack, key);
            echo_value(pack, item);
        }
        break;
    default:
        ptools_pack_nil(pack);
    }
}

static ptools_err echo(ptools_task *task)
{
    ptools_pack *result = ptools_task_result(task);
    uint32_t n = ptools_task_argc(task);

    ptools_pack_list(result, n);
    for (uint32_t i = 0; i < n; i++) {
        ptools_value v;
        ptools_err err = ptools_task_arg(task, i, &v);

        if (err != PTOOLS_OK)
            return err;
        echo_value(result, v);
    }
    return PTOOLS_OK;
}

static ptools_err id(ptools_task *task)
{
    ptools_pack_u64(ptools_task_result(task), ptools_task_worker_id(task));
    return PTOOLS_OK;
}

static ptools_err about(ptools_task *task)
{
    ptools_pack *result = ptools_task_result(task);

    ptools_pack_u64(result, ptools_task_worker_id(task));
    ptools_pack_u64(result, ptools_task_id(task));
    ptools_pack_u64(result, ptools_task_attempt(task));
    ptools_pack_u64(result, ptools_task_uid(task));
    return PTOOLS_OK;
}

static ptools_err pid(ptools_task *task)
{
    ptools_pack_i64(ptools_task_result(task), getpid());
    return PTOOLS_OK;
}

static ptools_err sleep_ms(ptools_task *task)
{
    struct timespec rest;
    uint64_t ms;
    ptools_err err = ptools_task_arg_u64(task, 0, &ms);

    if (err != PTOOLS_OK)
        return err;
    rest = (struct timespec){ (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };
    while (nanosleep(&rest, &rest) < 0 && errno == EINTR)
        if (ptools_task_cancelled(task))
            return ptools_task_fail(task, "woken up");
    return PTOOLS_OK;
}

static ptools_err big(ptools_task *task)
{
    uint64_t n;
    ptools_err err = ptools_task_arg_u64(task, 0, &n);
    void *bytes;

    if (err != PTOOLS_OK)
        return err;
    bytes = calloc(n ? n : 1, 1);
    if (!bytes)
        return ptools_task_fail(task, "no memory for %llu bytes", (unsigned long long)n);
    ptools_pack_bytes(ptools_task_result(task), bytes, n);
    free(bytes);
    return PTOOLS_OK;
}

static ptools_err mark(ptools_task *task)
{
    const char *file, *key;
    char line[256];
    ptools_err err = ptools_task_arg_str(task, 0, &file);
    int fd, n;

    if (err == PTOOLS_OK)
        err = ptools_task_arg_str(task, 1, &key);
    if (err != PTOOLS_OK)
        return err;
    n = snprintf(line, sizeof line, "%s %u %d\n", key, ptools_task_attempt(task), (int)getpid());
    fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || n >= (int)sizeof line || write(fd, line, (size_t)n) != n)
        err = ptools_task_fail(task, "cannot write to %s: %s", file, strerror(errno));
    if (fd >= 0)
        close(fd);
    return err;
}

static ptools_err env(ptools_task *task)
{
    const char *name, *value;
    ptools_err err = ptools_task_arg_str(task, 0, &name);

    if (err != PTOOLS_OK)
        return err;
    value = getenv(name);
    if (value)
        ptools_pack_str(ptools_task_result(task), value);
    return PTOOLS_OK;
}

static ptools_err cwd(ptools_task *task)
{
    char path[4096];

    if (!getcwd(path, sizeof path))
        return ptools_task_fail(task, "getcwd: %s", strerror(errno));
    ptools_pack_str(ptools_task_result(task), path);
    return PTOOLS_OK;
}

/* [umask, whether SIGUSR1 is blocked, a random number] */
static ptools_err state(ptools_task *task)
{
    ptools_pack *result = ptools_task_result(task);
    mode_t mask = umask(0);
    sigset_t blocked;

    umask(mask);
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    ptools_pack_u64(result, mask);
    ptools_pack_bool(result, sigismember(&blocked, SIGUSR1) == 1);
    ptools_pack_i64(result, random());
    return PTOOLS_OK;
}

/* -- those that fail ------------------------------------------------------------------------- */

static ptools_err fail(ptools_task *task)
{
    const char *message;
    ptools_err err = ptools_task_arg_str(task, 0, &message);

    return err ? err : ptools_task_fail(task, "%s", message);
}

static ptools_err fail_code(ptools_task *task)
{
    uint64_t code;
    ptools_err err = ptools_task_arg_u64(task, 0, &code);

    return err ? err : (ptools_err)code;
}

static ptools_err tell(ptools_task *task)
{
    ptools_task_log(task, "opened %d files", 3);
    ptools_task_log(task, "the third is odd\n");
    ptools_task_phase(task, "sorting");
    ptools_task_progress(task, 7, 9);
    return ptools_task_fail(task, "told all");
}

static ptools_err tell_and_raise(ptools_task *task)
{
    int64_t signal;
    ptools_err err = ptools_task_arg_i64(task, 0, &signal);

    if (err)
        return err;
    tell(task);
    raise((int)signal);
    return PTOOLS_OK;
}

/* Writes over the control page, wherever it is mapped, and dies. */
static ptools_err scribble(ptools_task *task)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    unsigned long from, to;

    if (!maps)
        return ptools_task_fail(task, "no /proc/self/maps");
    while (fgets(line, sizeof line, maps))
        if (strstr(line, "ptools-page") && sscanf(line, "%lx-%lx", &from, &to) == 2)
            memset((void *)from, 0x5a, to - from);
    fclose(maps);
    abort();
}

static ptools_err half_list(ptools_task *task)
{
    ptools_pack_list(ptools_task_result(task), 2);
    ptools_pack_nil(ptools_task_result(task));
    return PTOOLS_OK;
}

/* -- those that do not come back in time ------------------------------------------------------- */

static volatile uint64_t turns;
static volatile bool enough; /* never */

static ptools_err spin(ptools_task *task)
{
    ptools_task_phase(task, "spinning");
    while (!enough)
        turns++;
    return PTOOLS_OK;
}

/* Comes back at once N times, then spins: a function that surprises. */
static ptools_err spin_later(ptools_task *task)
{
    static uint64_t calls;
    uint64_t n;
    ptools_err err = ptools_task_arg_u64(task, 0, &n);

    if (err != PTOOLS_OK)
        return err;
    return calls++ < n ? PTOOLS_OK : spin(task);
}

/* Until somebody opens the FIFO for writing: a task that ends when the test says so. */
static ptools_err fifo(ptools_task *task)
{
    const char *path;
    ptools_err err = ptools_task_arg_str(task, 0, &path);
    int fd;

    if (err != PTOOLS_OK)
        return err;
    ptools_task_phase(task, "at the pipe");
    do
        fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return ptools_task_fail(task, "%s: %s", path, strerror(errno));
    close(fd);
    return PTOOLS_OK;
}

static ptools_err spin_polite(ptools_task *task)
{
    ptools_task_phase(task, "spinning politely");
    while (!ptools_task_cancelled(task))
        turns++;
    return ptools_task_fail(task, "asked to stop");
}

static ptools_err block_signals(ptools_task *task)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    return spin(task);
}

static ptools_err stop(ptools_task *task)
{
    (void)task;
    raise(SIGSTOP);
    return PTOOLS_OK;
}

/* -- those that crash ------------------------------------------------------------------------ */

static int *volatile nowhere = (int *)16;

__attribute__((__noinline__)) static void crash_here(void)
{
    *nowhere = 1;
}

static ptools_err segv(ptools_task *task)
{
    ptools_task_phase(task, "about to crash");
    crash_here();
    return PTOOLS_OK;
}

static ptools_err segv_later(ptools_task *task)
{
    static uint64_t calls;
    uint64_t n;
    ptools_err err = ptools_task_arg_u64(task, 0, &n);

    if (err != PTOOLS_OK)
        return err;
    return calls++ < n ? PTOOLS_OK : segv(task);
}

static ptools_err abort_(ptools_task *task)
{
    (void)task;
    abort();
}

static ptools_err exit_(ptools_task *task)
{
    int64_t status;
    ptools_err err = ptools_task_arg_i64(task, 0, &status);

    if (err != PTOOLS_OK)
        return err;
    exit((int)status);
}

static ptools_err raise_(ptools_task *task)
{
    int64_t signal;
    ptools_err err = ptools_task_arg_i64(task, 0, &signal);

    if (err == PTOOLS_OK)
        raise((int)signal);
    return err;
}

__attribute__((__noinline__)) static uint64_t recurse(uint64_t depth)
{
    volatile char room[1024];

    room[depth % sizeof room] = (char)depth;
    return enough ? depth : recurse(depth + 1) + (uint64_t)room[0];
}

static ptools_err overflow(ptools_task *task)
{
    ptools_pack_u64(ptools_task_result(task), recurse(0));
    return PTOOLS_OK;
}

static ptools_err corrupt_heap(ptools_task *task)
{
    volatile char *block = malloc(2000), *next = malloc(2000);

    (void)task;
    for (size_t i = 0; block && next && i < 2100; i++)
        block[i] = 0x41;  /* also over the length of the next block */
    free((void *)block);  /* malloc notices, and aborts */
    free((void *)next);
    return PTOOLS_OK;
}

/* -- those that take and keep ---------------------------------------------------------------- */

static ptools_err leak(ptools_task *task)
{
    static void *volatile kept; /* the last one; the others are lost */
    uint64_t n;
    ptools_err err = ptools_task_arg_u64(task, 0, &n);

    if (err != PTOOLS_OK)
        return err;
    kept = malloc(n);
    if (!kept)
        return ptools_task_fail(task, "no memory for %llu bytes", (unsigned long long)n);
    memset(kept, 1, n);
    return PTOOLS_OK;
}

static ptools_err eat(ptools_task *task)
{
    static void *volatile eaten_last; /* or the compiler would see that nobody needs it */
    uint64_t eaten = 0;

    ptools_task_phase(task, "eating");
    for (;;) {
        eaten_last = malloc(1 << 20);
        if (!eaten_last)
            abort();
        memset(eaten_last, 1, 1 << 20);
        eaten += 1 << 20;
        ptools_task_progress(task, eaten, 0);
    }
}

static ptools_err fds(ptools_task *task)
{
    uint64_t n;
    ptools_err err = ptools_task_arg_u64(task, 0, &n);

    for (uint64_t i = 0; err == PTOOLS_OK && i < n; i++)
        if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
            err = ptools_task_fail(task, "after %llu descriptors: %s", (unsigned long long)i, strerror(errno));
    return err;
}

static ptools_err close_all(ptools_task *task)
{
    (void)task;
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    return PTOOLS_OK;
}

static ptools_err chdir_(ptools_task *task)
{
    const char *path;
    ptools_err err = ptools_task_arg_str(task, 0, &path);

    if (err == PTOOLS_OK && chdir(path) < 0)
        err = ptools_task_fail(task, "chdir: %s", strerror(errno));
    return err;
}

static ptools_err umask_(ptools_task *task)
{
    uint64_t mask;
    ptools_err err = ptools_task_arg_u64(task, 0, &mask);

    if (err == PTOOLS_OK)
        umask((mode_t)mask);
    return err;
}

static ptools_err block_usr1(ptools_task *task)
{
    sigset_t set;

    (void)task;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return PTOOLS_OK;
}

static const int timers[] = { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF };

static ptools_err mess(ptools_task *task)
{
    static const struct itimerval hour = { .it_value = { .tv_sec = 3600 } };
    struct rlimit limit;

    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++)
        setitimer(timers[i], &hour, NULL);
    signal(SIGCHLD, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    setenv("PTOOLS_TEST_MESS", "left", 1);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 100;
    setrlimit(RLIMIT_NOFILE, &limit);
    return sleep_ms(task);
}

/* [timers that run, is USR1 ignored, the variable of mess, may it open over 100 files, status of `exit 7`] */
static ptools_err found(ptools_task *task)
{
    ptools_pack *result = ptools_task_result(task);
    const char *variable = getenv("PTOOLS_TEST_MESS");
    struct itimerval left;
    struct sigaction usr1;
    struct rlimit limit;
    unsigned running = 0;
    int status = system("exit 7");

    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++)
        if (getitimer(timers[i], &left) == 0 && left.it_value.tv_sec > 0)
            running++;
    sigaction(SIGUSR1, NULL, &usr1);
    getrlimit(RLIMIT_NOFILE, &limit);
    ptools_pack_u64(result, running);
    ptools_pack_bool(result, usr1.sa_handler == SIG_IGN);
    ptools_pack_str(result, variable ? variable : "");
    ptools_pack_bool(result, limit.rlim_cur > 100);
    ptools_pack_i64(result, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    return PTOOLS_OK;
}

/* In a child that a test looks for. Should the test fail to have it ended, it does not stay for ever. */
static _Noreturn void await_end(void)
{
    alarm(60);
    for (;;)
        pause();
}

static ptools_err fork_child(ptools_task *task)
{
    pid_t child = fork();

    if (child == 0)
        await_end();
    if (child < 0)
        return ptools_task_fail(task, "fork: %s", strerror(errno));
    ptools_pack_i64(ptools_task_result(task), child);
    return PTOOLS_OK;
}

/* Both processes return from the function: the child must not become a second worker. */
static ptools_err fork_return(ptools_task *task)
{
    pid_t child = fork();

    if (child < 0)
        return ptools_task_fail(task, "fork: %s", strerror(errno));
    ptools_pack_i64(ptools_task_result(task), child);
    return PTOOLS_OK;
}

/* A process that has left session, process group and parent behind, as daemons do. */
static ptools_err stray(ptools_task *task)
{
    pid_t child, grandchild = 0;
    int ends[2];

    if (pipe(ends) < 0)
        return ptools_task_fail(task, "pipe: %s", strerror(errno));
    child = fork();
    if (child == 0) {
        setsid();
        grandchild = fork();
        if (grandchild == 0)
            await_end();
        _exit(write(ends[1], &grandchild, sizeof grandchild) != sizeof grandchild);
    }
    close(ends[1]);
    if (child < 0 || read(ends[0], &grandchild, sizeof grandchild) != sizeof grandchild || grandchild < 0)
        ptools_task_fail(task, "no process");
    else
        ptools_pack_i64(ptools_task_result(task), grandchild);
    close(ends[0]);
    return grandchild > 0 ? PTOOLS_OK : PTOOLS_ERR_FAILED;
}

static ptools_err fork_spin(ptools_task *task)
{
    pid_t child = fork();

    if (child == 0)
        await_end();
    ptools_task_progress(task, child > 0 ? (uint64_t)child : 0, 0);
    return spin(task);
}

/* -- the module ------------------------------------------------------------------------------ */

/* PTOOLS_TEST_START=fail: it fails; =keep: it sets up what shall stay. */
static ptools_err start(void)
{
    const char *how = getenv("PTOOLS_TEST_START");

    if (how && strcmp(how, "keep") == 0) {
        setenv("PTOOLS_TEST_MESS", "set up", 1);
        signal(SIGUSR1, SIG_IGN);
        signal(SIGSEGV, SIG_IGN);
    }
    return how && strcmp(how, "fail") == 0 ? PTOOLS_ERR_FAILED : PTOOLS_OK;
}

static const ptools_function functions[] = {
    { "nop", nop, "nop -> nil", PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY },
    { "echo", echo, "echo X... -> [X, ...]", PTOOLS_FN_IDEMPOTENT },
    { "id", id, "id -> the worker's id", PTOOLS_FN_IDEMPOTENT },
    { "about", about, "about -> [worker, task, attempt, uid]", PTOOLS_FN_IDEMPOTENT },
    { "pid", pid, "pid -> the worker's pid", PTOOLS_FN_IDEMPOTENT },
    { "sleep_ms", sleep_ms, "sleep_ms N -> nil, after N ms", PTOOLS_FN_IDEMPOTENT },
    { "big", big, "big N -> N bytes", PTOOLS_FN_IDEMPOTENT },
    { "mark", mark, "mark FILE KEY -> nil, and a line KEY ATTEMPT PID in FILE", 0 },
    { "env", env, "env NAME -> its value, or nil", PTOOLS_FN_IDEMPOTENT },
    { "cwd", cwd, "cwd -> the current directory", PTOOLS_FN_IDEMPOTENT },
    { "state", state, "state -> [umask, is USR1 blocked, a random number]", 0 },
    { "fail", fail, "fail MESSAGE fails with it", 0 },
    { "fail_code", fail_code, "fail_code N returns error N without a message", 0 },
    { "tell", tell, "tell logs, names a phase, reports progress, and fails", 0 },
    { "tell_and_raise", tell_and_raise, "tell_and_raise N tells as tell does, then raises signal N", 0 },
    { "scribble", scribble, "scribble writes over the control page and aborts", 0 },
    { "half_list", half_list, "half_list begins a list and does not finish it", 0 },
    { "fifo", fifo, "fifo PATH -> nil, once somebody opens it for writing", 0 },
    { "spin", spin, "spin never ends", 0 },
    { "spin_later", spin_later, "spin_later N -> nil, N times; then never ends", 0 },
    { "spin_polite", spin_polite, "spin_polite ends when it is asked to", 0 },
    { "block_signals", block_signals, "block_signals blocks all signals and never ends", 0 },
    { "stop", stop, "stop stops the process (SIGSTOP)", 0 },
    { "segv", segv, "segv writes to address 16", 0 },
    { "segv_later", segv_later, "segv_later N -> nil, N times; then crashes", 0 },
    { "abort", abort_, "abort calls abort()", 0 },
    { "exit", exit_, "exit N calls exit(N)", 0 },
    { "raise", raise_, "raise N raises signal N", 0 },
    { "overflow", overflow, "overflow overflows the stack", 0 },
    { "corrupt_heap", corrupt_heap, "corrupt_heap destroys the heap and dies of it", 0 },
    { "leak", leak, "leak N -> nil, N bytes are lost", 0 },
    { "eat", eat, "eat takes memory until there is none, then aborts", 0 },
    { "fds", fds, "fds N -> nil, N descriptors stay open", 0 },
    { "close_all", close_all, "close_all -> nil, descriptors 3 to 1023 are closed", 0 },
    { "chdir", chdir_, "chdir PATH -> nil", 0 },
    { "umask", umask_, "umask N -> nil", 0 },
    { "block_usr1", block_usr1, "block_usr1 -> nil, SIGUSR1 stays blocked", 0 },
    { "mess", mess, "mess MS -> nil after MS ms; timers, signals, a variable, a limit are changed", 0 },
    { "found", found, "found -> what it finds of all that mess changes", 0 },
    { "fork_child", fork_child, "fork_child -> pid of a child that waits to be ended", 0 },
    { "fork_return", fork_return, "fork_return -> pid of a child that returns as well", 0 },
    { "fork_spin", fork_spin, "fork_spin forks a child (its pid is the progress), and never ends", 0 },
    { "stray", stray, "stray -> pid of a daemon that waits to be ended", 0 },
    { NULL, NULL, NULL, 0 },
};

PTOOLS_MODULE_EXPORT const ptools_module_info ptools_module = {
    .abi = PTOOLS_MODULE_ABI,
    .struct_size = sizeof(ptools_module_info),
    .help = "functions for the tests: none of them is of use to anybody else",
    .functions = functions,
    .start = start,
};
