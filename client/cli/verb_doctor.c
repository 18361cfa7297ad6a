/* SPDX-License-Identifier: MIT */
/*
 * verb_doctor -- `ptools doctor`: whether what is installed here works, tried with a daemon of its own.
 *
 * The daemon is a private one, in a directory that is made for it; the user's own is left alone, and only asked how its
 * journal is. A worker gets a call that would take for ever, and is killed: its end must be told, and another must take
 * its place. What the kernel has, and what is done without it, stands below.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ptools/array.h>
#include <ptools/ptools.h>

#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"
#include "client/cli/waiting.h"

enum { PATIENCE_MS = 20000, LOOK_MS = 10, FILES_NEEDED = 1024 };
enum verdict { GOOD, WITHOUT, BAD };
static const char *const verdicts[] = { [GOOD] = "ok", [WITHOUT] = "without", [BAD] = "fails" };
static const char *const usage[] = { "", NULL };

struct finding {
    const char *what;
    enum verdict verdict;
    char text[200];
};
struct visit {
    struct finding findings[16];
    size_t n;
    bool groups_seen;
};

__attribute__((format(printf, 4, 5))) static bool found(struct visit *v, const char *what, enum verdict verdict,
                                                        const char *format, ...)
{
    struct finding *f = &v->findings[v->n++];
    va_list args;

    f->what = what;
    f->verdict = verdict;
    va_start(args, format);
    vsnprintf(f->text, sizeof f->text, format, args);
    va_end(args);
    return verdict == GOOD;
}

/* -- the kernel, and limits -------------------------------------------------------------------------------------- */

static void look_at_system(struct visit *v)
{
    struct rlimit files = { 0 };
    int fd = memfd_create("ptools-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    long pages = 0;
    FILE *huge;

    found(v, "memfd", fd >= 0 ? GOOD : BAD, "%s", fd >= 0 ? "shared arrays have memory" : strerror(errno));
    if (fd >= 0)
        close(fd);
    fd = pidfd_open(getpid(), 0);
    found(v, "pidfd", fd >= 0 ? GOOD : BAD, "%s", fd >= 0 ? "the ends of processes are seen" : strerror(errno));
    if (fd >= 0)
        close(fd);
    huge = fopen("/proc/sys/vm/nr_hugepages", "re");
    if (huge && fscanf(huge, "%ld", &pages) != 1)
        pages = 0;
    if (huge)
        fclose(huge);
    if (pages > 0)
        found(v, "huge pages", GOOD, "%ld", pages);
    else
        found(v, "huge pages", WITHOUT, "none are set aside: arrays lie in ordinary ones");
    getrlimit(RLIMIT_NOFILE, &files);
    found(v, "open files", files.rlim_max >= FILES_NEEDED ? GOOD : BAD, "%" PRIu64 " (at most %" PRIu64 ")",
          (uint64_t)files.rlim_cur, (uint64_t)files.rlim_max);
}

/* Others must not be able to put a module there: workers refuse it. */
static void look_at_modules(struct visit *v)
{
    const char *path = getenv("PTOOLS_MODULE_PATH");
    char *copy = path ? strdup(path) : NULL, *rest = copy;
    struct stat st;

    for (char *dir; (dir = strsep(&rest, ":")) && v->n + 8 < sizeof v->findings / sizeof *v->findings;) {
        if (!*dir)
            continue;
        if (stat(dir, &st) < 0)
            found(v, "module path", WITHOUT, "%.120s: %s", dir, strerror(errno));
        else if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022))
            found(v, "module path", BAD, "%.120s: others can write to it", dir);
        else
            found(v, "module path", GOOD, "%.180s", dir);
    }
    free(copy);
}

/* How far limits reach, of the daemon that told this status. */
static void look_at_groups(struct visit *v, ptools_value status)
{
    ptools_value groups, value;
    char *limits, *why;
    bool used = false;

    if (v->groups_seen || ptools_get_field(status, "cgroups", &groups) != PTOOLS_OK)
        return;
    v->groups_seen = true;
    if (ptools_get_field(groups, "used", &value) == PTOOLS_OK)
        (void)ptools_get_bool(value, &used);
    limits = table_string(groups, "limits");
    why = table_string(groups, "why");
    if (used && limits && *limits)
        found(v, "control groups", GOOD, "each worker has one, with limits of %.40s", limits);
    else if (used)
        found(v, "control groups", WITHOUT, "each worker has one, and ends with all in it; limits are those of processes");
    else
        found(v, "control groups", WITHOUT, "%.120s: limits are those of processes", why && *why ? why : "none");
    free(limits);
    free(why);
}

static void look_at_daemon(struct visit *v, const struct command_line *line)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value status, journal;
    char *dir, *failed;

    if (session_try(line, PATIENCE_MS, &pt) != PTOOLS_OK) {
        found(v, "your daemon", WITHOUT, "none runs");
        return;
    }
    if (ptools_inspect(pt, "status", &f, &status) != PTOOLS_OK ||
        ptools_get_field(status, "journal", &journal) != PTOOLS_OK) {
        found(v, "your daemon", BAD, "%s", ptools_error_message(pt));
        return;
    }
    dir = table_string(journal, "dir");
    failed = table_string(journal, "failed");
    if (failed && *failed)
        found(v, "journal", BAD, "%s", failed);
    else if (dir && *dir)
        found(v, "journal", GOOD, "%s", dir);
    else
        found(v, "journal", WITHOUT, "your daemon has none: tasks are lost with it");
    free(dir);
    free(failed);
    look_at_groups(v, status);
}

/* -- a daemon of its own ---------------------------------------------------------------------------------------------
 */

/* The process of the one worker, if it is busy, or not, as is wanted; else 0. */
static int64_t worker_pid(ptools *pt, bool busy)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value all, one, pid;
    int64_t n = 0;
    char *state;

    if (ptools_inspect(pt, "workers", &f, &all) != PTOOLS_OK || ptools_get_item(all, 0, &one) != PTOOLS_OK ||
        ptools_get_field(one, "pid", &pid) != PTOOLS_OK || ptools_get_i64(pid, &n) != PTOOLS_OK)
        return 0;
    state = table_string(one, "state");
    if (!state || strcmp(state, busy ? "busy" : "idle") != 0)
        n = 0;
    free(state);
    return n;
}

/* Until that is so; 0: it never was. */
static int64_t await_worker(ptools *pt, bool busy)
{
    const uint64_t until_us = waiting_now_us() + (uint64_t)PATIENCE_MS * 1000;
    int64_t pid;

    while ((pid = worker_pid(pt, busy)) == 0 && waiting_now_us() < until_us)
        poll(NULL, 0, LOOK_MS);
    return pid;
}

static bool call_works(ptools *pt)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value value;
    int64_t square = 0;

    if (!args)
        return false;
    ptools_pack_i64(args, 12);
    return ptools_remotecall_fetch(pt, NULL, "math.square", args, NULL, PATIENCE_MS, &f, &value) == PTOOLS_OK &&
           ptools_get_i64(value, &square) == PTOOLS_OK && square == 144;
}

static void kill_canary(struct visit *v, ptools *pt)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_err r = PTOOLS_ERR_NO_MEMORY;
    int64_t pid, next;

    if (args) {
        ptools_pack_i64(args, 0);
        ptools_pack_i64(args, INT64_C(1) << 40);
        r = ptools_remotecall(pt, NULL, "math.primes", args, NULL, &f);
    }
    pid = r == PTOOLS_OK ? await_worker(pt, true) : 0;
    if (pid <= 0 || kill((pid_t)pid, SIGKILL) < 0) {
        found(v, "canary", BAD, "no worker began a call");
        return;
    }
    r = ptools_future_fetch(f, PATIENCE_MS, NULL);
    if (r != PTOOLS_ERR_WORKER_DIED) {
        found(v, "canary", BAD, "a worker was killed, and its call ended with %s", ptools_errname(r));
        return;
    }
    next = await_worker(pt, false);
    found(v, "canary", next > 0 && next != pid && call_works(pt) ? GOOD : BAD, "%s",
          next > 0 && next != pid ? "a worker was killed: that was told, and another took its place"
                                  : "a worker was killed, and none took its place");
}

static void try_array(struct visit *v, ptools *pt)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("doctor", PTOOLS_INT64, 1024);
    ptools_array *a = NULL;
    ptools_err r = ptools_shm_create(pt, &cfg, NULL, &a);

    if (r == PTOOLS_OK)
        memset(ptools_array_data(a), 0x5a, ptools_array_bytes(a));
    found(v, "shared arrays", r == PTOOLS_OK ? GOOD : BAD, "%s",
          r == PTOOLS_OK ? "made, and written" : ptools_error_message(pt));
    ptools_array_free(a);
}

static void try_daemon(struct visit *v)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    char dir[] = "/tmp/ptools-doctor-XXXXXX";
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_future) f = NULL;
    const char *message = "";
    ptools_value status;
    ptools_err r;

    if (!mkdtemp(dir)) {
        found(v, "daemon", BAD, "cannot make %s: %s", dir, strerror(errno));
        return;
    }
    options.flags = PTOOLS_PRIVATE;
    options.address = dir; /* which the daemon removes at its end, and so also if we are interrupted */
    options.private_workers = 1;
    options.connect_timeout_ms = PATIENCE_MS;
    r = ptools_open(&options, &pt, &message);
    if (found(v, "daemon", r == PTOOLS_OK ? GOOD : BAD, "%s",
              r == PTOOLS_OK ? "one was started, and answers" : message)) {
        if (found(v, "call", call_works(pt) ? GOOD : BAD, "%s", "math.square(12)"))
            kill_canary(v, pt);
        try_array(v, pt);
        if (ptools_inspect(pt, "status", &f, &status) == PTOOLS_OK)
            look_at_groups(v, status);
    }
    ptools_close(pt);
    pt = NULL;
    for (int ms = 0; rmdir(dir) < 0 && errno == ENOTEMPTY && ms < PATIENCE_MS; ms += LOOK_MS)
        poll(NULL, 0, LOOK_MS);
}

/* -- what is told
 * ------------------------------------------------------------------------------------------------------ */

static int tell(const struct command_line *line, const struct visit *v)
{
    static const struct column columns[] = { { "CHECK", "" }, { "IS", "" }, { "WHAT", "", .wrap = true }, { 0 } };
    struct table *table = line->json ? NULL : table_new(columns);
    struct json_writer w;
    int r = 0;

    if (line->json) {
        session_document(&w);
        json_key(&w, "checks");
        json_open(&w, '[');
    }
    for (size_t i = 0; i < v->n; i++) {
        const struct finding *f = &v->findings[i];
        char *const texts[] = { (char *)(uintptr_t)f->what, (char *)(uintptr_t)verdicts[f->verdict],
                                (char *)(uintptr_t)f->text };

        if (table)
            table_add_texts(table, texts);
        if (!line->json)
            continue;
        json_open(&w, '{');
        json_key(&w, "check");
        json_put_string(&w, f->what);
        json_key(&w, "is");
        json_put_string(&w, verdicts[f->verdict]);
        failure_key_text(&w, "what", f->text);
        json_close(&w, '}');
    }
    if (line->json) {
        json_close(&w, ']');
        return session_document_end(line, &w);
    }
    r = table ? table_print(table) : -ENOMEM;
    table_free(table);
    return r < 0 ? failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL) : EXIT_VALUE;
}

static int run(const struct command_line *line)
{
    struct visit v = { 0 };
    int status;

    if (line->n > 0)
        return command_line_wrong(line, "\"%.80s\": doctor takes no words", line->items[0].text);
    look_at_system(&v);
    look_at_modules(&v);
    look_at_daemon(&v, line);
    try_daemon(&v);
    status = tell(line, &v);
    for (size_t i = 0; i < v.n && status == EXIT_VALUE; i++)
        status = v.findings[i].verdict == BAD ? EXIT_FAILED : EXIT_VALUE;
    return status;
}

const struct verb verb_doctor = {
    .name = "doctor",
    .summary = "check whether what is installed here works",
    .usage = usage,
    .about =
        "Starts a daemon of its own in a directory that is made for it, calls a function there, kills a worker and\n"
        "sees that told and another take its place, makes a shared array; and looks at what the kernel has, at\n"
        "limits, at PTOOLS_MODULE_PATH, and at the journal and the control groups of your daemon. Of each check\n"
        "it is told whether it is ok, is done without (and how), or fails. The exit status is 1 if one fails.\n",
    .run = run,
};
