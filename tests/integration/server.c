/* SPDX-License-Identifier: MIT */
/*
 * server -- see server.h. The programs are found through PTOOLS_TEST_DAEMON, PTOOLS_TEST_WORKER and
 * PTOOLS_TEST_MODULES, which Meson sets. With PTOOLS_TEST_VALGRIND set, the daemon (not its workers) runs
 * under valgrind: whatever that reports makes its exit status 99, and the test fail.
 */
#include "tests/integration/server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ARGS_MAX = 64, START_MS = 60000, STOP_MS = 60000, WAIT_MS = 20000 };

extern char **environ;

static const char *need(const char *name)
{
    const char *value = getenv(name);

    ck_assert_msg(value && value[0], "%s is not set: run the tests through meson test", name);
    return value;
}

uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void temp_dir(char *ret, size_t bytes)
{
    ck_assert(snprintf(ret, bytes, "/tmp/ptools-test-XXXXXX") < (int)bytes);
    ck_assert_ptr_nonnull(mkdtemp(ret));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void temp_remove(const char *dir)
{
    ck_assert_msg(strncmp(dir, "/tmp/ptools-test-", 17) == 0, "%s is not a directory of the tests", dir);
    ck_assert_int_eq(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

char *slurp(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0, room = 65536;
    char *text = malloc(room);
    ssize_t got;

    ck_assert_msg(fd >= 0, "cannot open %s: %s", path, strerror(errno));
    while ((got = read(fd, text + n, room - n - 1)) > 0) {
        n += (size_t)got;
        if (room - n < 2) {
            room *= 2;
            text = realloc(text, room);
        }
    }
    close(fd);
    text[n] = '\0';
    return text;
}

/* Starts the program; err_fd becomes its stderr, ready_fd (or -1) its descriptor 3. */
static pid_t spawn_daemon(const char *const *argv, int err_fd, int ready_fd)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int r;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, err_fd, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err_fd, STDERR_FILENO);
    if (ready_fd >= 0)
        posix_spawn_file_actions_adddup2(&actions, ready_fd, 3);
    posix_spawn_file_actions_addclosefrom_np(&actions, ready_fd >= 0 ? 4 : 3);
    r = posix_spawn(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    ck_assert_msg(r == 0, "cannot start %s: %s", argv[0], strerror(r));
    return pid;
}

static size_t arguments(const char **argv, const char *dir, char *program, size_t bytes)
{
    size_t n = 0;

    snprintf(program, bytes, "daemon.worker_program=%s", need("PTOOLS_TEST_WORKER"));
    for (size_t i = 0; server_runner && server_runner[i]; i++)
        argv[n++] = server_runner[i];
    if (getenv("PTOOLS_TEST_VALGRIND")) {
        argv[n++] = "/usr/bin/valgrind";
        argv[n++] = "--quiet";
        argv[n++] = "--error-exitcode=99";
        argv[n++] = "--leak-check=full";
        argv[n++] = "--track-fds=no";
    }
    argv[n++] = need("PTOOLS_TEST_DAEMON");
    argv[n++] = "--config";
    argv[n++] = "/dev/null";
    argv[n++] = "-o";
    argv[n++] = program;
    argv[n++] = "--module-path";
    argv[n++] = need("PTOOLS_TEST_MODULES");
    argv[n++] = "-o";
    argv[n++] = "daemon.journal=no"; /* a test that is about it says so: then it has files to remove */
    argv[n++] = "-o";
    argv[n++] = "limits.handshake_ms=30000"; /* a test may come late, if it is not about that */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    argv[n++] = "-o";
    argv[n++] = "workers.memory_max=0"; /* a sanitizer reserves terabytes of address space */
#endif
    if (dir) {
        argv[n++] = "--dir";
        argv[n++] = dir;
    }
    return n;
}

unsigned server_fds(const struct server *s)
{
    char path[32];
    unsigned n = 0;
    DIR *dir;

    snprintf(path, sizeof path, "/proc/%d/fd", (int)s->pid);
    dir = opendir(path);
    ck_assert_msg(dir, "no %s: the daemon is gone", path);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

int server_log_fd = -1;
const char *const *server_runner;

void server_start(struct server *s, unsigned workers, const char *const *args)
{
    char dir[64];

    temp_dir(dir, sizeof dir);
    server_start_in(s, dir, workers, args);
}

void server_start_in(struct server *s, const char *dir, unsigned workers, const char *const *args)
{
    int end = 0;

    if (!server_try_in(s, dir, workers, args, &end)) {
        char *log = slurp(s->log);

        ck_abort_msg("ptoolsd did not become ready, and ended with %d:\n%s", end, log);
    }
}

bool server_try_in(struct server *s, const char *dir, unsigned workers, const char *const *args, int *ret_end)
{
    const char *argv[ARGS_MAX];
    char program[512], count[16], line[8] = "";
    int ready[2], err_fd;
    bool there;
    size_t n;

    memset(s, 0, sizeof *s);
    snprintf(s->dir, sizeof s->dir, "%s", dir);
    snprintf(s->log, sizeof s->log, "%s.log", s->dir);
    n = arguments(argv, s->dir, program, sizeof program);
    snprintf(count, sizeof count, "%u", workers);
    argv[n++] = "--workers";
    argv[n++] = count;
    argv[n++] = "--ready-fd";
    argv[n++] = "3";
    for (size_t i = 0; args && args[i]; i++) {
        ck_assert(n < ARGS_MAX - 1);
        argv[n++] = args[i];
    }
    argv[n] = NULL;
    ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
    err_fd = open(s->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ck_assert_int_ge(err_fd, 0);
    s->pid = spawn_daemon(argv, server_log_fd >= 0 ? server_log_fd : err_fd, ready[1]);
    close(ready[1]);
    close(err_fd);
    s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
    ck_assert_int_ge(s->pidfd, 0);
    ck_assert_int_eq(poll(&(struct pollfd){ .fd = ready[0], .events = POLLIN }, 1, START_MS), 1);
    there = read(ready[0], line, sizeof line) == 6 && memcmp(line, "READY\n", 6) == 0;
    close(ready[0]);
    if (there)
        s->fds = server_fds(s);
    else
        *ret_end = server_end(s);
    return there;
}

int server_end(struct server *s)
{
    siginfo_t end = { 0 };

    ck_assert_int_eq(poll(&(struct pollfd){ .fd = s->pidfd, .events = POLLIN }, 1, STOP_MS), 1);
    ck_assert_int_eq(waitid(P_PID, (id_t)s->pid, &end, WEXITED), 0);
    close(s->pidfd);
    return end.si_code == CLD_EXITED ? end.si_status : -end.si_status;
}

void server_stop(struct server *s)
{
    struct stat st;
    int status;

    ck_assert_int_eq(kill(s->pid, SIGTERM), 0);
    status = server_end(s);
    if (status != 0) {
        char *log = slurp(s->log);

        ck_abort_msg("ptoolsd ended with %d:\n%s", status, log);
    }
    /* Nothing is left in its directory, and it can be removed as it is. */
    ck_assert_msg(rmdir(s->dir) == 0, "%s: %s", s->dir, strerror(errno));
    ck_assert_int_eq(stat(s->dir, &st), -1);
    unlink(s->log);
}

void server_socket(const struct server *s, char *ret, size_t bytes)
{
    ck_assert(snprintf(ret, bytes, "%s/ptoolsd.sock", s->dir) < (int)bytes);
}

ptools *server_open(struct server *s)
{
    const char *transport = getenv("PTOOLS_TEST_TRANSPORT");
    ptools_options options = PTOOLS_OPTIONS_INIT;
    const char *message = "";
    char address[128];
    ptools *pt = NULL;
    ptools_err err;

    if (transport && strcmp(transport, "ipc") == 0)
        snprintf(address, sizeof address, "ipc://%s/ptoolsd.sock", s->dir);
    else
        snprintf(address, sizeof address, "%s", s->dir);
    options.address = address;
    err = ptools_open(&options, &pt, &message);
    ck_assert_msg(err == PTOOLS_OK, "ptools_open(%s): %s: %s", address, ptools_errname(err), message);
    return pt;
}

int server_connect_raw(const struct server *s)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    server_socket(s, address.sun_path, sizeof address.sun_path);
    ck_assert_int_ge(fd, 0);
    ck_assert_msg(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect: %s", strerror(errno));
    return fd;
}

int server_refuses(const char *dir, const char *const *args, char *ret_stderr, size_t stderr_bytes)
{
    const char *argv[ARGS_MAX];
    char program[512];
    siginfo_t end = { 0 };
    size_t n = arguments(argv, dir, program, sizeof program), have = 0;
    int err[2], pidfd;
    ssize_t got;
    pid_t pid;

    for (size_t i = 0; args && args[i]; i++) {
        ck_assert(n < ARGS_MAX - 1);
        argv[n++] = args[i];
    }
    argv[n] = NULL;
    ck_assert_int_eq(pipe2(err, O_CLOEXEC), 0);
    pid = spawn_daemon(argv, err[1], -1);
    close(err[1]);
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, STOP_MS) != 1) {
        kill(pid, SIGKILL);
        ck_abort_msg("it did not end by itself");
    }
    while (have < stderr_bytes - 1 && (got = read(err[0], ret_stderr + have, stderr_bytes - 1 - have)) > 0)
        have += (size_t)got;
    ret_stderr[have] = '\0';
    waitid(P_PID, (id_t)pid, &end, WEXITED);
    close(err[0]);
    close(pidfd);
    return end.si_code == CLD_EXITED ? end.si_status : -end.si_status;
}

/* -- the state of the pool ------------------------------------------------------------------------------- */

static bool is_whole(ptools *pt, unsigned workers)
{
    ptools_worker_info *infos = NULL;
    size_t n = 0, idle = 0;

    ck_assert_ptools(ptools_workers(pt, &infos, &n));
    for (size_t i = 0; i < n; i++)
        idle += strcmp(infos[i].state, "idle") == 0;
    free(infos);
    return n == workers && idle == n;
}

void server_whole(ptools *pt, unsigned workers)
{
    uint64_t until = now_ms() + WAIT_MS;

    while (!is_whole(pt, workers))
        ck_assert_msg(now_ms() < until, "the pool does not become whole");
}

void server_knows_t(ptools *pt, unsigned workers)
{
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, WAIT_MS, NULL, NULL));
    server_whole(pt, workers);
}

void server_at_phase(ptools *pt, uint32_t id, const char *phase)
{
    uint64_t until = now_ms() + WAIT_MS;
    bool there = false;

    while (!there) {
        ptools_worker_info *infos = NULL;
        size_t n = 0;

        ck_assert_ptools(ptools_workers(pt, &infos, &n));
        ck_assert(id >= 1 && id <= n);
        there = strcmp(infos[id - 1].phase, phase) == 0;
        free(infos);
        ck_assert_msg(now_ms() < until, "worker %u does not come to phase %s", id, phase);
    }
}

void server_stask_at_phase(ptools *pt, uint32_t i, const char *phase)
{
    uint64_t until = now_ms() + WAIT_MS;
    bool there = false;

    while (!there) {
        PTOOLS_AUTO(ptools_future) f = NULL;
        ptools_value v;
        const char *s;
        size_t n;

        ck_assert_ptools(ptools_inspect(pt, "stasks", &f, &v));
        ck_assert_ptools(ptools_get_item(v, 0, &v));
        ck_assert_ptools(ptools_get_field(v, "tasks", &v));
        ck_assert_ptools(ptools_get_item(v, i, &v));
        ck_assert_ptools(ptools_get_field(v, "phase", &v));
        ck_assert_ptools(ptools_get_str(v, &s, &n));
        there = n == strlen(phase) && memcmp(s, phase, n) == 0;
        ck_assert_msg(now_ms() < until, "server task %u does not come to phase %s", i, phase);
    }
}

uint64_t server_status(ptools *pt, const char *map, const char *key)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value v;
    uint64_t n = 0;

    ck_assert_ptools(ptools_inspect(pt, "status", &f, &v));
    if (map)
        ck_assert_ptools(ptools_get_field(v, map, &v));
    ck_assert_ptools(ptools_get_field(v, key, &v));
    ck_assert_ptools(ptools_get_u64(v, &n));
    return n;
}

/* Children of pid that are zombies. */
static unsigned count_zombies(pid_t pid)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    unsigned n = 0;

    while ((entry = readdir(proc))) {
        char path[300], line[512], state;
        int parent;
        FILE *f;

        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || !(f = fopen(path, "re")))
            continue;
        if (fgets(line, sizeof line, f) && strrchr(line, ')') &&
            sscanf(strrchr(line, ')') + 1, " %c %d", &state, &parent) == 2)
            n += parent == (int)pid && state == 'Z';
        fclose(f);
    }
    closedir(proc);
    return n;
}

void server_clean(struct server *s, unsigned clients)
{
    uint64_t until = now_ms() + WAIT_MS;
    unsigned fds, zombies;

    do {
        fds = server_fds(s);
        zombies = count_zombies(s->pid);
    } while ((fds > s->fds + clients || zombies > 0) && now_ms() < until);
    ck_assert_msg(fds <= s->fds + clients, "the daemon has %u descriptors, %u when it was ready, and %u clients", fds,
                  s->fds, clients);
    ck_assert_uint_eq(zombies, 0);
}
