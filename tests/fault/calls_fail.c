/* SPDX-License-Identifier: MIT */
/*
 * Each system call in turn fails, once, with each error that it can have: in the daemon while it is born, starts, works
 * and ends, in its template and workers, and in a client. Nothing crashes and nothing hangs. What was asked for is done
 * all the same, or refused with a reason; or the daemon ends by itself, with a status that says so and a word in its
 * log, and the next one knows all that was accepted. Who goes on is well: then everything works, and nothing is left
 * open. A worker that cannot go on is replaced.
 *
 * The calls are counted in the process (calls_fail_in.c), in the order in which it happens to make them. The test
 * program has that library, too, for its clients, which are forks of another name.
 *
 * FAULT_POINTS in the environment asks for the first so many of each call (50), instead of a few of all.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/util.h"
#include "tests/bench/program.h"
#include "tests/fault/calls_fail_deeds.h"
#include "tests/fault/calls_fail_in.h"
#include "tests/fault/client.h"
#include "tests/fault/family.h"
#include "tests/integration/server.h"
#include "tests/support/suite.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 }; /* a sanitizer must be loaded first */
#else
enum { SANITIZED = 0 };
#endif

enum {
    POINTS = 8, /* the short form: of each phase so many, evenly */
    FIRST = 50, /* ... among the first so many calls of each kind */
    POINTS_MAX = 10000,
    TOGETHER = 16,  /* so many one after the other in one daemon that makes nothing of it */
    HANG_S = 30,    /* of a client: its waits are of 10 s */
    END_MS = 10000, /* of a daemon */
    ERRORS_MAX = 6,
    NOW_AT_BYTES = 256,
    FAILED = 1, /* exit status of a daemon that gave up, or could not start */
    BAD_DATA = 65,
    JOURNAL_FAILED = 74
};

static const char *const call_names[CALLS] = CALL_NAMES;
static const int errors[CALLS][ERRORS_MAX] = {
    [CALL_OPEN] = { EMFILE, ENFILE, ENOMEM, EIO },
    [CALL_READ] = { EINTR, EIO, ENOMEM },
    [CALL_WRITE] = { EINTR, ENOSPC, EIO },
    [CALL_SYNC] = { EINTR, ENOSPC, EIO },
    [CALL_SIZE] = { EINTR, ENOSPC, EIO },
    [CALL_NAME] = { ENOMEM, ENOSPC, EIO },
    [CALL_STAT] = { ENOMEM, EIO },
    [CALL_MAP] = { ENOMEM, EAGAIN, ENFILE },
    [CALL_MEMFD] = { EMFILE, ENFILE, ENOMEM },
    [CALL_DUP] = { EMFILE },
    [CALL_PIPE] = { EMFILE, ENFILE, ENOMEM },
    [CALL_SOCKET] = { EMFILE, ENFILE, ENOMEM },
    [CALL_CONNECT] = { EINTR, ENOMEM },
    [CALL_ACCEPT] = { EINTR, EAGAIN, EMFILE, ENFILE, ENOMEM },
    [CALL_SEND] = { EINTR, EAGAIN, ENOMEM },
    [CALL_RECEIVE] = { EINTR, EAGAIN, ENOMEM },
    [CALL_FORK] = { EAGAIN, ENOMEM },
    [CALL_PIDFD] = { EMFILE, ENFILE, ENOMEM },
    [CALL_WAIT] = { EINTR },
    [CALL_EPOLL] = { EMFILE, ENOMEM, ENOSPC },
    [CALL_SLEEP] = { EINTR },
    [CALL_TIMER] = { EMFILE, ENFILE, ENOMEM },
};

struct point {
    enum call call;
    int error;
    uint64_t nth; /* 0: none fails */
};

/* What came of it: nothing that a client would see; requests that were refused; the end of the daemon. */
enum fate { SURVIVED, REFUSED, ENDED, FATES, FATE_FIRST = 10 /* as an exit status */ };

static struct server server;
static char dir[64], state[64];
static bool has_ended(void);
static struct client client = { .dir = dir, .has_ended = has_ended };
static const char *const args[] = { "--state-dir", state, "-o", "daemon.journal=yes", NULL };
static struct calls_fail_in *control;
static unsigned open_usually; /* descriptors, of a daemon that nothing has failed */
static bool running;
static char *now_at; /* the point, for people; in shared memory */

/* -- one call fails ------------------------------------------------------------------------------------------------ */

static void arm(const struct point *p)
{
    for (int i = 0; i < CALLS; i++)
        control->count[i] = 0;
    control->where[0] = '\0';
    control->call = (int)p->call;
    control->error = p->error;
    control->fails = p->nth;
    control->armed = true;
}

static void disarm(void)
{
    control->armed = false;
}

#define HOLDS(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            broken(__VA_ARGS__);                                                                                       \
    } while (0)

__attribute__((format(printf, 1, 2))) static void broken(const char *format, ...)
{
    char what[8000];
    va_list list;

    va_start(list, format);
    vsnprintf(what, sizeof what, format, list);
    va_end(list);
    printf("# %s\n", what); /* of the last one alone Check says what it was */
    fflush(stdout);
    ck_abort_msg("%s (%s): %s", now_at, control->where, what);
}

static void on_alarm(int signal)
{
    (void)signal;
    dprintf(STDERR_FILENO, "%s: it hangs\n", now_at);
    _exit(EXIT_FAILURE);
}

static bool ends_in(int ms)
{
    return poll(&(struct pollfd){ .fd = server.pidfd, .events = POLLIN }, 1, ms) == 1;
}

static bool has_ended(void)
{
    return ends_in(0);
}

/* What is queued waits for the next daemon: its time may be over when there is none. */
static void assert_told(const char *deed, ptools_err err, const char *story)
{
    HOLDS(story && story[0] && (err != PTOOLS_ERR_TIMEOUT || has_ended()), "%s: %s: %s", deed, ptools_errname(err),
          story ? story : "");
}

/* Until the first that finds no daemon; the number of those that failed. */
static unsigned act_all(void)
{
    unsigned failed = 0;

    for (unsigned i = 0; deeds_name(i); i++) {
        ptools_err err = PTOOLS_OK;

        if (!client.pt && !deeds_open(&client, &err)) {
            assert_told("open", err, client.story);
            failed++;
            if (err == PTOOLS_ERR_NO_DAEMON)
                break;
            continue;
        }
        err = deeds_act(&client, i);
        if (err != PTOOLS_OK) {
            assert_told(deeds_name(i), err, client.story);
            failed++;
        }
        if (err == PTOOLS_ERR_NO_DAEMON)
            break;
    }
    return failed;
}

/* Nothing fails any more: all is well. */
static void assert_well(void)
{
    const uint64_t until = now_ms() + DEEDS_WAIT_MS;
    ptools_err err;

    if (!client.pt)
        HOLDS(deeds_open(&client, &err), "afterwards: open: %s: %s", ptools_errname(err), client.story);
    for (unsigned i = 0; deeds_name(i); i++) {
        do
            err = deeds_act(&client, i);
        while (err == PTOOLS_ERR_MODULE_BROKEN && now_ms() < until); /* the daemon says when it tries it again */
        HOLDS(err == PTOOLS_OK, "afterwards: %s: %s: %s", deeds_name(i), ptools_errname(err), client.story);
    }
}

static void leave(void)
{
    client.pt = ptools_close(client.pt);
}

/* -- the daemon ---------------------------------------------------------------------------------------------------- */

static void make_dirs(void)
{
    temp_dir(state, sizeof state);
    temp_dir(dir, sizeof dir);
    client.kept->n = 0;
}

static void start(void)
{
    if (!running)
        server_start_in(&server, dir, DEEDS_WORKERS, args);
    running = true;
}

/* It is well, and nothing is open that is not in a daemon that nothing has failed. Then it ends as it is asked to, and
 * leaves its directory as it found it. */
static void assert_clean(void)
{
    assert_well();
    server_whole(client.pt, DEEDS_WORKERS);
    if (open_usually == 0)
        open_usually = server_fds(&server);
    server.fds = open_usually;
    server_clean(&server, 0);
    leave();
    server_stop(&server);
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    running = false;
}

/* Else it ends. */
static bool serves(void)
{
    ptools_err err;
    const bool opened = deeds_open(&client, &err);

    leave();
    HOLDS(opened || ends_in(END_MS), "it neither serves nor ends: %s: %s", ptools_errname(err), client.story);
    return opened;
}

/* By itself, and it said why. What cannot be read is as good as damaged: SQLite says so, too. */
static enum fate ended(const struct point *p, int end)
{
    char *log = slurp(server.log);

    HOLDS(end == FAILED || end == JOURNAL_FAILED || (end == BAD_DATA && p->call == CALL_READ && p->error == EIO),
          "the daemon ended with %d:\n%s", end, log);
    HOLDS(strstr(log, "level=error") || strstr(log, "ptoolsd: "), "the daemon ended with %d, and says nothing:\n%s",
          end, log);
    free(log);
    unlink(server.log);
    running = false;
    return ENDED;
}

/* The next one, which nothing fails, knows all that was accepted. */
static void assert_kept(bool may_fail)
{
    ptools_err err;
    int end = 0;

    if (!server_try_in(&server, dir, DEEDS_WORKERS, args, &end)) {
        char *log = slurp(server.log);

        HOLDS(false, "the next daemon ended with %d:\n%s", end, log);
    }
    HOLDS(deeds_open(&client, &err), "afterwards: open: %s: %s", ptools_errname(err), client.story);
    deeds_assert_kept(&client, may_fail);
    client.kept->n = 0;
    HOLDS(deeds_durable(&client) == PTOOLS_OK, "afterwards: %s", client.story);
    leave();
    kill(server.pid, SIGKILL);
    server_end(&server);
    unlink(server.log);
}

/* -- the phases ---------------------------------------------------------------------------------------------------- */

static enum fate in_start(const struct point *p)
{
    int end = 0;

    arm(p);
    running = server_try_in(&server, dir, DEEDS_WORKERS, args, &end);
    disarm();
    return !running ? ended(p, end) : serves() ? SURVIVED : ended(p, server_end(&server));
}

static enum fate in_birth(const struct point *p)
{
    temp_remove(state);
    ck_assert_int_eq(mkdir(state, 0700), 0);
    client.kept->n = 0;
    return in_start(p);
}

static enum fate in_work(const struct point *p)
{
    unsigned failed;

    start();
    arm(p);
    failed = act_all();
    disarm();
    leave();
    return !serves() ? ended(p, server_end(&server)) : failed ? REFUSED : SURVIVED;
}

static enum fate in_end(const struct point *p)
{
    ptools_err err;
    int end;

    start();
    HOLDS(deeds_open(&client, &err), "%s", client.story);
    HOLDS(deeds_durable(&client) == PTOOLS_OK, "%s", client.story);
    arm(p);
    kill(server.pid, SIGTERM);
    HOLDS(ends_in(END_MS), "it was asked to end, and does not");
    disarm();
    leave();
    end = server_end(&server);
    running = false;
    return end ? ended(p, end) : SURVIVED;
}

/* In another process, which is called so that its calls fail, and the test's do not. */
static enum fate in_client(const struct point *p)
{
    unsigned failed;
    int status;
    pid_t pid;

    start();
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        program_invocation_short_name = control->program;
        alarm(HANG_S);
        arm(p);
        failed = act_all();
        disarm();
        if (failed)
            assert_well();
        leave();
        _exit(FATE_FIRST + (failed ? REFUSED : SURVIVED));
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    HOLDS(WIFEXITED(status) && WEXITSTATUS(status) >= FATE_FIRST, "the client ended with 0x%x", (unsigned)status);
    return (enum fate)(WEXITSTATUS(status) - FATE_FIRST);
}

enum { BIRTH, START, WORK, END, WORKERS_START, WORKERS_WORK, CLIENT, PHASES };

static const struct phase {
    const char *name, *program;
    enum fate (*run)(const struct point *p);
    bool may_end; /* the daemon */
    bool goes_on; /* ... and if it does not, and refused nothing, is the next point's, too */
} phases[PHASES] = {
    [BIRTH] = { "the birth of the daemon", "ptoolsd", in_birth, true, false },
    [START] = { "a start of the daemon", "ptoolsd", in_start, true, false },
    [WORK] = { "the work of the daemon", "ptoolsd", in_work, true, true },
    [END] = { "the end of the daemon", "ptoolsd", in_end, true, false },
    [WORKERS_START] = { "the start of workers", "ptools-worker", in_start, true, false }, /* it needs a template */
    [WORKERS_WORK] = { "the work of workers", "ptools-worker", in_work, false, false },
    [CLIENT] = { "a client", "client", in_client, false, true },
};

static enum fate fail_one(const struct phase *phase, const struct point *p)
{
    static unsigned gone_on;
    enum fate fate;

    snprintf(now_at, NOW_AT_BYTES, "%s: %s %" PRIu64 " fails with %s", phase->name, call_names[p->call], p->nth,
             p->error ? strerrorname_np(p->error) : "nothing");
    alarm(4 * HANG_S);
    fate = phase->run(p);
    HOLDS(fate != ENDED || phase->may_end, "the daemon ended");
    if (fate == SURVIVED && phase->goes_on && p->nth > 0 && ++gone_on % TOGETHER != 0)
        return fate;
    if (running)
        assert_clean();
    assert_kept(strcmp(phase->program, "ptools-worker") == 0);
    while (waitpid(-1, NULL, WNOHANG) > 0) /* workers of daemons that were killed */
        ;
    alarm(0);
    return fate;
}

/* -- the points ---------------------------------------------------------------------------------------------------- */

/* Shared with the process that tries them. */
struct tried {
    size_t next;
    unsigned fates[FATES];
};

/* In a process of its own: where something does not hold, it is told, nothing is left, and the next one goes on. */
static bool try_some(const struct phase *phase, const struct point *points, size_t n, struct tried *tried)
{
    struct family left;
    int status;
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        for (size_t i = tried->next; i < n; i = tried->next) {
            tried->next++;
            tried->fates[fail_one(phase, &points[i])]++;
        }
        if (running) {
            assert_clean();
            assert_kept(false);
        }
        _exit(EXIT_SUCCESS);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    control->armed = false;
    family_below(getpid(), &left);
    for (unsigned i = 0; i < left.n; i++)
        kill(left.pids[i], SIGKILL);
    family_close(&left);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    if (status == 0)
        return true;
    printf("# %s (%s) does not hold\n", now_at, control->where);
    fflush(stdout);
    make_dirs();
    return false;
}

/* These once did not hold; where they are by now. */
static const struct {
    int phase;
    struct point point;
} found[] = {
    { BIRTH, { CALL_OPEN, EMFILE, 1 } },         /* it ended without a word ... */
    { BIRTH, { CALL_OPEN, EMFILE, 2 } },         /* ... as if its settings were wrong */
    { BIRTH, { CALL_PIPE, EMFILE, 5 } },         /* ... by a crash */
    { START, { CALL_STAT, ENOMEM, 12 } },        /* ... as if its journal were lost */
    { START, { CALL_WRITE, EINTR, 12 } },        /* it was ready, and did not say so */
    { START, { CALL_SEND, ENOMEM, 1 } },         /* its template was never asked, */
    { WORK, { CALL_RECEIVE, EAGAIN, 26 } },      /* one request was answered twice */
    { WORKERS_START, { CALL_SEND, ENOMEM, 1 } }, /* ... or never answered */
    { CLIENT, { CALL_SEND, ENOMEM, 31 } },       /* a server task was never asked */
};

/* The points of a phase, after a run in which nothing fails: of each call the first so many. */
static size_t list_points(uint64_t first, struct point **ret)
{
    struct point *points;
    size_t n = 0;

    for (int i = 0; i < CALLS; i++)
        n += MIN(control->count[i], first) * ERRORS_MAX;
    points = calloc(n + ELEMENTS(found), sizeof *points);
    n = 0;
    for (int i = 0; i < CALLS; i++)
        for (uint64_t nth = 1; nth <= MIN(control->count[i], first); nth++)
            for (int k = 0; k < ERRORS_MAX && errors[i][k]; k++)
                points[n++] = (struct point){ (enum call)i, errors[i][k], nth };
    *ret = points;
    return n;
}

/* The short form: a few, evenly, and those that were found. */
static size_t choose_points(const struct phase *phase, struct point *points, size_t n)
{
    const size_t step = n < POINTS ? 1 : n / POINTS;
    size_t chosen = 0;

    for (size_t i = step / 2; i < n; i += step)
        points[chosen++] = points[i];
    for (size_t i = 0; i < ELEMENTS(found); i++)
        if (&phases[found[i].phase] == phase)
            points[chosen++] = found[i].point;
    return chosen;
}

/* How many do not hold. */
static unsigned fail_each(const struct phase *phase, unsigned fates[FATES])
{
    struct tried *tried = shared_memory(sizeof *tried);
    struct point *points;
    unsigned failed = 0;
    size_t n;

    ck_assert_int_eq(fail_one(phase, &(struct point){ 0 }), SURVIVED);
    n = list_points(program_setting("FAULT_POINTS", FIRST, POINTS_MAX), &points);
    if (!getenv("FAULT_POINTS"))
        n = choose_points(phase, points, n);
    while (!try_some(phase, points, n, tried))
        failed++;
    memcpy(fates, tried->fates, sizeof tried->fates);
    free(points);
    return failed;
}

START_TEST(each_call)
{
    const struct phase *phase = &phases[_i];
    unsigned fates[FATES] = { 0 }, failed;

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGALRM, on_alarm);
    strcpy(control->program, phase->program);
    client.kept = shared_memory(sizeof *client.kept);
    now_at = shared_memory(NOW_AT_BYTES);
    make_dirs();
    failed = fail_each(phase, fates);
    printf("# %s: %u calls failed: %u made no difference, %u had something refused, %u ended the daemon\n", phase->name,
           fates[SURVIVED] + fates[REFUSED] + fates[ENDED], fates[SURVIVED], fates[REFUSED], fates[ENDED]);
    fflush(stdout);
    ck_assert_msg(failed == 0, "%u do not hold", failed);
    temp_remove(dir);
    temp_remove(state);
}
END_TEST

/* -- the program --------------------------------------------------------------------------------------------------- */

/* A file of that name and content; its path is told by that variable. */
static bool make_file(const char *name, const char *variable, mode_t mode, const char *content)
{
    char path[64];
    int fd;
    bool made;

    snprintf(path, sizeof path, "/tmp/ptools-%s-XXXXXX", name);
    fd = mkostemp(path, O_CLOEXEC);
    made = fd >= 0 && fchmod(fd, mode) == 0 && dprintf(fd, "%s", content) >= 0 &&
           (content[0] || ftruncate(fd, sizeof *control) == 0) && setenv(variable, path, 1) == 0;
    if (fd >= 0)
        close(fd);
    return made;
}

/* Once more, with the library; and with a worker's program that has it, too: the daemon does not hand LD_PRELOAD on. */
static int with_library(char *argv[])
{
    const char *library = getenv("PTOOLS_TEST_CALLS_FAIL_IN"), *real = getenv("PTOOLS_TEST_WORKER");
    char script[1024];

    if (!library || !real) {
        fprintf(stderr, "run it through meson test\n");
        return EXIT_FAILURE;
    }
    snprintf(script, sizeof script, "#!/bin/sh\nLD_PRELOAD='%s' exec '%s' \"$@\"\n", library, real);
    if (make_file("calls-fail", "PTOOLS_TEST_CALLS_FAIL", 0600, "") &&
        make_file("calls-fail-worker", "PTOOLS_TEST_WORKER", 0700, script) && setenv("LD_PRELOAD", library, 1) == 0)
        execv("/proc/self/exe", argv);
    perror("calls_fail");
    return EXIT_FAILURE;
}

int main(int argc, char *argv[])
{
    const char *file = getenv("PTOOLS_TEST_CALLS_FAIL");
    Suite *suite;
    TCase *tc;
    int fd, r;

    (void)argc;
    if (SANITIZED) {
        puts("1..0 # SKIP a sanitizer must be loaded first");
        return 0;
    }
    if (!file)
        return with_library(argv);
    fd = open(file, O_RDWR | O_CLOEXEC);
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    suite = suite_create("calls-fail");
    for (int i = 0; i < PHASES; i++) {
        tc = suite_case(suite, phases[i].name);
        tcase_set_timeout(tc, 0);
        tcase_add_loop_test(tc, each_call, i, i + 1);
    }
    r = control == MAP_FAILED ? EXIT_FAILURE : suite_run(suite);
    unlink(file);
    unlink(getenv("PTOOLS_TEST_WORKER"));
    return r;
}
