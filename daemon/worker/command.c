/* SPDX-License-Identifier: MIT */
/*
 * command -- see command.h. From what the task says to what came of the program: command_args reads, command_spawn
 * starts, command_output keeps what it writes; here it is watched until its end, and its end is told.
 *
 * The worker sleeps until the program has ended, has written something, or SIGTERM comes, which is blocked at all other
 * times so that none is missed. If the task is to stop, SIGTERM goes to the program and all that it has started, and
 * then their end is waited for, however long they take: the daemon kills this worker, and them, when the grace is over.
 * A program that has ended by itself leaves nobody behind: what it has started is killed, as after a function.
 */
#include "daemon/worker/command.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/worker/command_args.h"
#include "daemon/worker/command_arrays.h"
#include "daemon/worker/command_limits.h"
#include "daemon/worker/command_output.h"
#include "daemon/worker/command_spawn.h"
#include "daemon/worker/command_stage.h"
#include "daemon/worker/command_tree.h"
#include "daemon/worker/execute.h"
#include "daemon/worker/task.h"
#include "daemon/worker/tidy.h"
#include "daemon/worker/words.h"
#include "proto/output.h"
#include "proto/util.h"

/* As the shell, env and others say them. */
enum { STATUS_NOT_BEGUN = 125, STATUS_NOT_RUN = 126, STATUS_NOT_FOUND = 127 };
enum { VARIABLES = 16, FIRST_ARRAY = 3 };

struct run {
    struct ptools_task *task;
    struct command_args args;
    const char *name; /* of the program, as it was called */
    pid_t parent;     /* of this process */
    pid_t pid;
    int pidfd;
    bool begun;         /* the rest is true; else error tells why not, and status */
    int status, signal; /* -1; 0 */
    char error[256];
    int64_t start_ms;
    uint64_t began_us, wall_us;
    struct rusage usage;
    uint64_t own_peak_kb; /* of this process */
    struct command_limits limits;
    bool out_of_memory; /* somebody of it was killed for that */
    struct stage stage;
};

static struct output streams[OUTPUT_STREAMS];
static struct output_place place;
static const char *output_dir = "";
static uint64_t output_max;

void command_configure(const char *dir, uint64_t max)
{
    output_dir = dir;
    output_max = max;
}

/* -- beginning ----------------------------------------------------------------------------------------------- */

/* The same in each attempt, and for no other item. */
static uint64_t seed_of(const struct ptools_task *t)
{
    uint64_t z = t->id * UINT64_C(0x9e3779b97f4a7c15) + t->item;

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static ptools_err put_variables(struct command_environment *e, const struct run *run)
{
    static const char *const threads[] = { "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                                           "NUMEXPR_NUM_THREADS" };
    const struct ptools_task *t = run->task;
    const char *dir = getenv("PTOOLS_DIR");
    ptools_err err = command_environment_put(e, false, "PTOOLS_TASK_ID=%" PRIu64, t->id);

    if (err == PTOOLS_OK)
        err = command_environment_put(e, false, "PTOOLS_TASK_ATTEMPT=%" PRIu32, run->args.attempt);
    if (err == PTOOLS_OK)
        err = command_environment_put(e, false, "PTOOLS_WORKER=%" PRIu32, t->worker);
    if (err == PTOOLS_OK)
        err = command_environment_put(e, true, "PTOOLS_SEED=%" PRIu64, seed_of(t));
    if (err == PTOOLS_OK && dir)
        err = command_environment_put(e, true, "PTOOLS_DIR=%s", dir);
    if (err == PTOOLS_OK && run->stage.dir)
        err = command_environment_put(e, false, "PTOOLS_OUT_DIR=%s", run->stage.part);
    for (size_t i = 0; err == PTOOLS_OK && run->args.cpus > 0 && i < ELEMENTS(threads); i++)
        err = command_environment_put(e, true, "%s=%" PRIu32, threads[i], run->args.cpus);
    return err;
}

/* So many processors of those that the worker may use, beginning with another one for each worker. */
static const cpu_set_t *choose_cpus(uint32_t n, uint32_t worker, cpu_set_t *ret)
{
    cpu_set_t all;
    uint32_t count, skip;
    int cpu = -1;

    if (n == 0 || sched_getaffinity(0, sizeof all, &all) < 0)
        return NULL;
    count = (uint32_t)CPU_COUNT(&all);
    if (n >= count)
        return NULL;
    CPU_ZERO(ret);
    for (skip = (worker ? worker - 1 : 0) % (count / n) * n; n > 0;) {
        cpu = (cpu + 1) % CPU_SETSIZE;
        if (!CPU_ISSET(cpu, &all) || (skip > 0 && skip--))
            continue;
        CPU_SET(cpu, ret);
        n--;
    }
    return ret;
}

static int null_fd(void)
{
    static int fd = -1; /* kept */

    if (fd < 0)
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd;
}

/* What it reads, from the first byte on, in memory: so it may be as slow as it likes, and need not read at all. */
static int input_of(const void *data, size_t n)
{
    int fd = memfd_create("ptools-stdin", MFD_CLOEXEC);
    size_t at = 0;

    while (fd >= 0 && at < n) {
        const ssize_t done = pwrite(fd, (const uint8_t *)data + at, n - at, (off_t)at);

        if (done < 0 && errno != EINTR) {
            const int error = errno;

            close(fd);
            errno = error;
            return -1;
        }
        at += done > 0 ? (size_t)done : 0;
    }
    return fd;
}

/* -1 and errno. *ret_close: the caller closes it. */
static int open_input(const struct command_args *a, bool *ret_close)
{
    *ret_close = a->input || a->stdin_file;
    if (a->input)
        return input_of(a->input, a->input_bytes);
    return a->stdin_file ? open(a->stdin_file, O_RDONLY | O_CLOEXEC | O_NOCTTY) : null_fd();
}

__attribute__((__format__(__printf__, 3, 4))) static void not_begun(struct run *run, int status, const char *format,
                                                                    ...)
{
    va_list ap;

    run->status = status;
    va_start(ap, format);
    vsnprintf(run->error, sizeof run->error, format, ap);
    va_end(ap);
}

static void tell_spawn_failure(struct run *run, enum spawn_step step, int error)
{
    if (step == SPAWN_EXEC && error == ENOENT)
        not_begun(run, STATUS_NOT_FOUND, "no such command: %s", run->name);
    else if (step == SPAWN_EXEC)
        not_begun(run, STATUS_NOT_RUN, "%s cannot be run: %s", run->name, strerror(error));
    else if (step == SPAWN_CWD)
        not_begun(run, STATUS_NOT_BEGUN, "%s was not begun: its directory %s: %s", run->name, run->args.cwd,
                  strerror(error));
    else
        not_begun(run, STATUS_NOT_BEGUN, "%s was not begun: %s: %s", run->name,
                  step == SPAWN_LIMITS  ? "its limits"
                  : step == SPAWN_STDIO ? "its descriptors"
                                        : "there is no process",
                  strerror(error));
}

/* What it begins with counts as its own, for the kernel, until its program is there. */
static uint64_t own_peak_kb(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss : 0;
}

static int64_t wall_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void choose_place(const struct run *run)
{
    const struct ptools_task *t = run->task;

    place.queued = t->queued_ms != 0;
    place.inline_max = run->args.inline_max;
    place.max = run->args.out_max ? run->args.out_max : output_max;
    if (!*output_dir || output_path(place.path, sizeof place.path - sizeof ".out.old", output_dir,
                                    place.queued ? t->queued_ms : (uint64_t)run->start_ms, t->id, t->attempt,
                                    place.queued ? -1 : (int64_t)t->item) == 0)
        place.path[0] = '\0';
}

/* Everything is ready but the process. It was begun, or run->error tells why not. */
static void start(struct run *run, struct spawn *s)
{
    const struct command_args *a = &run->args;
    struct spawned spawned;
    bool ours = false;
    int r;

    s->fds[0] = open_input(a, &ours);
    if (s->fds[0] < 0) {
        not_begun(run, STATUS_NOT_BEGUN, "%s was not begun: its input%s%s: %s", run->name, a->stdin_file ? " " : "",
                  a->stdin_file ? a->stdin_file : "", strerror(errno));
        return;
    }
    s->fds[1] = output_write_fd(0);
    s->fds[2] = output_write_fd(a->merge ? 0 : 1);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* which ends the sleep: see end_orphaned(). Not sooner: its input may be a fifo */
    run->began_us = execute_now_us();
    r = command_spawn(s, &spawned);
    if (ours)
        close(s->fds[0]);
    if (r < 0) {
        tell_spawn_failure(run, spawned.step, -r);
        return;
    }
    run->begun = true;
    run->own_peak_kb = own_peak_kb();
    run->pid = spawned.pid;
    run->pidfd = spawned.pidfd;
}

/* Whatever it needs, in the order in which it can fail. PTOOLS_OK: it was begun, or run->error tells why not. */
static ptools_err begin(struct run *run)
{
    const struct command_args *a = &run->args;
    const uint32_t n_arrays = command_arrays_count(a->arrays);
    struct command_arrays arrays = { .n = 0 };
    struct command_environment env;
    cpu_set_t cpus;
    struct spawn s;
    ptools_err err = command_environment_make(run->task, a, VARIABLES + ARRAY_VARIABLES * n_arrays, &env);
    int r;

    run->start_ms = wall_ms();
    choose_place(run);
    r = output_begin(streams, &place);
    if (r < 0)
        not_begun(run, STATUS_NOT_BEGUN, "%s was not begun: its output: %s", run->name, strerror(-r));
    if (r == 0 && a->stage) {
        r = stage_begin(&run->stage, a->stage, run->task);
        if (r < 0)
            not_begun(run, STATUS_NOT_BEGUN, "%s was not begun: the stage of %s: %s", run->name, a->stage,
                      strerror(-r));
    }
    if (err == PTOOLS_OK)
        err = put_variables(&env, run);
    if (err == PTOOLS_OK)
        err = command_arrays_open(run->task, a->arrays, FIRST_ARRAY, &env, &arrays);
    if (err == PTOOLS_OK && r == 0) {
        r = command_limits_set(a, &run->limits);
        if (r < 0)
            not_begun(run, STATUS_NOT_BEGUN, "%s was not begun: its limits: %s", run->name,
                      r == -EOPNOTSUPP ? "processes cannot be counted here, for workers have no control groups that do "
                                         "(ptools doctor tells why)"
                                       : strerror(-r));
    }
    if (err == PTOOLS_OK && r == 0) {
        s = (struct spawn){ .argv = a->argv,
                            .envp = env.entries,
                            .path = command_environment_get(&env, "PATH"),
                            .run = run->task->run,
                            .cwd = a->cwd,
                            .n_fds = FIRST_ARRAY + arrays.n,
                            .umask = a->umask,
                            .nice = a->nice,
                            .mem = run->limits.memory ? 0 : a->mem,
                            .cpus = choose_cpus(a->cpus, run->task->worker, &cpus) };
        memcpy(s.fds + FIRST_ARRAY, arrays.fds, arrays.n * sizeof arrays.fds[0]);
        start(run, &s);
    }
    command_arrays_close(&arrays);
    return err;
}

/* -- until the end ------------------------------------------------------------------------------------------- */

/* The daemon has died, and we must not leave anybody behind who goes on while the next one runs the task again. */
static _Noreturn void end_orphaned(const struct run *run)
{
    kill(-run->pid, SIGKILL);
    tidy_end_strays();
    _exit(0);
}

/* Until that process ends; what is written meanwhile is taken. *stopping: all have been told to end. */
static void watch(struct run *run, int pidfd, bool *stopping)
{
    static sigset_t none; /* it is empty */
    struct pollfd p[1 + OUTPUT_STREAMS] = { { .fd = pidfd, .events = POLLIN } };
    const nfds_t n = run->args.merge ? 2 : 3;

    for (unsigned i = 0; i < OUTPUT_STREAMS; i++)
        p[1 + i] = (struct pollfd){ .fd = output_read_fd(i), .events = POLLIN };
    while (!(p[0].revents & POLLIN)) {
        if (!*stopping && ptools_task_cancelled(run->task)) {
            *stopping = true;
            output_log(streams, run->task); /* nobody asks for it any more if they have to be killed */
            tree_terminate(run->pid);
        }
        if (ppoll(p, n, NULL, &none) < 0) {
            if (getppid() != run->parent)
                end_orphaned(run);
            continue;
        }
        for (unsigned i = 0; i < n - 1; i++)
            if (p[1 + i].revents)
                output_take(&streams[i], i, false);
    }
}

/* The rest of what was told to end may take its time, too. */
static void watch_rest(struct run *run)
{
    bool stopping = true;
    pid_t child;

    while ((child = tree_child()) != 0) {
        const int pidfd = pidfd_open(child, 0);

        if (pidfd < 0)
            return;
        watch(run, pidfd, &stopping);
        close(pidfd);
        while (waitpid(-1, NULL, __WALL | WNOHANG) > 0)
            ;
    }
}

static void await(struct run *run)
{
    bool stopping = false, ended;
    int status = 0;

    watch(run, run->pidfd, &stopping);
    while (wait4(run->pid, &status, 0, &run->usage) < 0 && errno == EINTR)
        ;
    close(run->pidfd);
    run->wall_us = MAX(execute_now_us() - run->began_us, UINT64_C(1));
    run->task->away_us += run->wall_us;
    run->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    run->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (stopping)
        watch_rest(run);
    ended = tidy_end_strays();
    for (unsigned i = 0; i < OUTPUT_STREAMS; i++)
        output_take(&streams[i], i, true);
    if (!ended)
        output_drop_pipes();
    run->out_of_memory = (run->signal || run->status) && command_limits_out_of_memory(&run->limits);
}

/* -- what came of it ------------------------------------------------------------------------------------------ */

static uint64_t microseconds(const struct timeval *t)
{
    return (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_usec;
}

/* 0: less than this process had when it began. */
static uint64_t peak_kb(const struct run *run)
{
    const uint64_t peak = (uint64_t)run->usage.ru_maxrss;

    return peak > run->own_peak_kb ? peak : 0;
}

static void pack_u64(ptools_pack *pack, const char *key, uint64_t v)
{
    ptools_pack_str(pack, key);
    ptools_pack_u64(pack, v);
}

static void pack_stream(ptools_pack *pack, const struct output *o, const char *const keys[3])
{
    char path[PATH_MAX];

    pack_u64(pack, keys[1], o->bytes);
    if (o->there) {
        output_file(o, path);
        ptools_pack_str(pack, keys[2]);
        ptools_pack_bytes(pack, path, strlen(path));
    } else {
        ptools_pack_str(pack, keys[0]);
        ptools_pack_bytes(pack, o->kept.n ? o->kept.data : (const uint8_t *)"", o->kept.n);
    }
}

static void pack_value(const struct run *run, ptools_pack *pack)
{
    static const char *const out[] = { "out", "out_bytes", "out_file" }, *const err[] = { "err", "err_bytes",
                                                                                          "err_file" };
    const uint64_t lost = streams[0].lost + streams[1].lost;
    const bool measured = run->begun;
    const unsigned n_streams = run->args.merge ? 1 : OUTPUT_STREAMS;

    ptools_pack_map(pack, 2 + 2 * n_streams + (measured ? 4 : 0) + (run->error[0] != '\0') + (lost > 0) +
                              run->out_of_memory);
    pack_u64(pack, run->signal ? "signal" : "status", (uint64_t)(run->signal ? run->signal : run->status));
    pack_u64(pack, "start_ms", (uint64_t)run->start_ms);
    pack_stream(pack, &streams[0], out);
    if (n_streams > 1)
        pack_stream(pack, &streams[1], err);
    if (lost > 0)
        pack_u64(pack, "lost_bytes", lost);
    if (measured) {
        pack_u64(pack, "wall_us", run->wall_us);
        pack_u64(pack, "user_us", microseconds(&run->usage.ru_utime));
        pack_u64(pack, "sys_us", microseconds(&run->usage.ru_stime));
        pack_u64(pack, "peak_kb", peak_kb(run));
    }
    if (run->out_of_memory) {
        ptools_pack_str(pack, "oom");
        ptools_pack_bool(pack, true);
    }
    if (run->error[0]) {
        ptools_pack_str(pack, "error");
        ptools_pack_str(pack, run->error);
    }
}

static void tell_usage(const struct run *run)
{
    run->task->command_us = microseconds(&run->usage.ru_utime) + microseconds(&run->usage.ru_stime);
    run->task->command_peak_kb = peak_kb(run);
}

static ptools_err tell_failure(const struct run *run)
{
    struct ptools_task *t = run->task;
    const char *what = sigdescr_np(run->signal), *oom = run->out_of_memory ? ", out of memory" : "";
    const uint64_t lost = streams[0].lost + streams[1].lost;
    char note[80] = "";

    if (lost > 0)
        snprintf(note, sizeof note, "; %" PRIu64 " bytes of what it wrote could not be kept", lost);
    t->exit_status = run->status;
    t->exit_signal = run->signal;
    t->exit_us = run->wall_us;
    t->exit_peak_kb = peak_kb(run);
    output_log(streams, t);
    if (run->error[0])
        return task_fail(t, PTOOLS_ERR_EXITED, "%s", run->error);
    if (run->signal)
        return task_fail(t, PTOOLS_ERR_EXITED, "%s: killed by signal %d (%s)%s%s", run->name, run->signal,
                         what ? what : "unknown", oom, note);
    return task_fail(t, PTOOLS_ERR_EXITED, "%s: exited with status %d%s%s", run->name, run->status, oom, note);
}

/* Signals are blocked; SIGCHLD is not ignored, which would take the program's status; and SIGXFSZ is ignored, and not
 * blocked, or it would wait: over RLIMIT_FSIZE the program's output is lost, but not the worker. */
static ptools_err run_blocked(struct run *run)
{
    static const struct sigaction dfl = { .sa_handler = SIG_DFL }, ignore = { .sa_handler = SIG_IGN };
    struct sigaction sigchld, sigxfsz;
    enum words_role role;
    sigset_t all, mask;
    ptools_err err;

    sigfillset(&all);
    sigdelset(&all, SIGXFSZ);
    sigaction(SIGXFSZ, &ignore, &sigxfsz);
    sigprocmask(SIG_BLOCK, &all, &mask);
    sigaction(SIGCHLD, &dfl, &sigchld);
    role = words_set_role(WORDS_WATCHING);
    run->parent = getppid();
    err = begin(run);
    if (run->begun)
        await(run);
    command_limits_end(&run->limits);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    words_set_role(role);
    if (sigchld.sa_handler != SIG_DFL)
        sigaction(SIGCHLD, &sigchld, NULL);
    sigaction(SIGXFSZ, &sigxfsz, NULL);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    return err;
}

static ptools_err command_run(ptools_task *t)
{
    struct run run = { .task = t, .status = -1 };
    bool failed, stopped;
    ptools_err err;
    int r;

    if (t->stask_count > 0)
        return task_fail(t, PTOOLS_ERR_BAD_ARGUMENT, "%s is not for server tasks: a command keeps no state",
                         t->function);
    err = command_args_read(t, &run.args);
    if (err != PTOOLS_OK)
        return err;
    run.name = run.args.argv[0];
    err = run_blocked(&run);
    if (run.begun)
        tell_usage(&run);
    stopped = ptools_task_cancelled(t);
    failed = run.signal || run.error[0] || !command_status_ok(&run.args, MAX(run.status, 0));
    r = stage_end(&run.stage, err == PTOOLS_OK && !failed && !stopped);
    if (err == PTOOLS_OK && r < 0)
        err = task_fail(t, PTOOLS_ERR_FAILED, "what %s left cannot be put into %s: %s", run.name, run.args.stage,
                        strerror(-r));
    failed &= run.args.fail;
    output_end(streams, !place.queued && (err != PTOOLS_OK || failed || stopped)); /* then nobody gets its value */
    if (err == PTOOLS_OK && failed)
        err = tell_failure(&run);
    else if (err == PTOOLS_OK)
        pack_value(&run, ptools_task_result(t));
    output_release(streams);
    return err;
}

static const ptools_function functions[] = {
    { "run", command_run, "run COMMON [OWN] -> runs a program: maps of argv, env, cwd, stdin and more",
      PTOOLS_FN_TIDY },
    { 0 },
};

const ptools_module_info command_module = {
    .abi = PTOOLS_MODULE_ABI,
    .struct_size = sizeof command_module,
    .help = "programs as tasks; a part of ptools",
    .functions = functions,
};
