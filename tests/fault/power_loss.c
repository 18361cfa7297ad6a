/* SPDX-License-Identifier: MIT */
/*
 * The power fails: at any call of a daemon's first start, at random moments of its work, its recovery and its end, and
 * upon a loss once more. What the state directory has then is what was synced, and a random part of the rest
 * (lossy.h); the next daemon is one of another start of the machine. It starts, no durable task is lost, and the ledger
 * holds. What is crashsafe may be gone.
 *
 * FAULT_LOSSES in the environment asks for more power losses than the short form (1000). The others are the test of the
 * test: with any of the journal's syncs left out, it finds a loss, or a daemon that does not start.
 */
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/util.h"
#include "tests/bench/program.h"
#include "tests/fault/client.h"
#include "tests/fault/family.h"
#include "tests/fault/lossy.h"
#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum {
    LOSSES = 24, /* the short form */
    LOSSES_MAX = 1000000,
    LOSSES_UPON = 8,       /* one after the other, before the ledger is held against the daemon */
    LOSSES_LEFT_OUT = 400, /* with a sync left out, until it is found */
    BIRTH_CALLS_MAX = 1000,
    BIRTHS_SKIPPED = 3, /* the short form: two of three */
    WORKERS = 2,
    CLIENTS = 4,
    WINDOW = 12,
    LIFE_MS = 250,
    START_CALLS = 40,
    WORK_CALLS = 3000,
    MOVE_CALLS = 600,
    GAPS_MAX = 100000,
    GAPS_TRIED = 300,
    LIVES = 4,
    GAPS_CALLS = 12000,
    GAPS_LIFE_MS = 20000,
    UNSYNCED = 60,
    IDLE_MS = 1500,
    END_MS = 30,
    CLIENT_MS = 150000
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 }; /* a sanitizer must be loaded first */
#else
enum { SANITIZED = 0 };
#endif

#define DATABASE "state/journal.db"
#define LOG      "state/journal.db-wal"
#define MARK     "state/journal.mark"

static struct server server;
static char base[64], root[80], state[96], ledger[80], boot_file[80], disk_log[80], kept_log[80];
static const char *const args[] = { "--state-dir", state, "-o", "daemon.journal=yes", CLIENT_KEPT, NULL };

/* A disk from its birth on, and who works with it. */
static struct trial {
    struct lossy *disk;
    const struct lossy_omission *without;
    char dir[sizeof server.dir];
    struct plan plan;
    struct client_problem *said; /* by a client */
    pid_t clients[CLIENTS];
    bool working;
    unsigned boots;
    bool silent;        /* its machine does not say which of its starts this is */
    char problem[3000]; /* a loss, or a daemon that does not start */
} trial;

/* When the power fails. */
struct moment {
    const char *from; /* that was done; "": at once */
    unsigned kill_at; /* ... instead of so many-th call from then on; 0: */
    unsigned ms;      /* after so long */
    bool ask;         /* ... or soon after it was asked to end then */
};

static struct count {
    unsigned losses, births, starts, works, ends;
    size_t tasks, begun;
} count;

__attribute__((__format__(__printf__, 1, 2))) static bool found(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    if (!*trial.problem)
        vsnprintf(trial.problem, sizeof trial.problem, format, ap);
    va_end(ap);
    for (char *c = trial.problem; (c = strchr(c, '\n'));) /* it may become part of one line */
        *c = ' ';
    return false;
}

/* What is passing is crashsafe: nothing syncs that it is forgotten, and that is written where there is else nothing to
 * write any more. */
static void plan_task(unsigned client, unsigned i, struct plan_task *ret)
{
    bool repeatable = i / 2 % 2 == 1;

    *ret = (struct plan_task){ .function = repeatable ? "q.mark_again" : "q.mark",
                               .ms = (client + i) % 3,
                               .durability = i % 5 < 2 ? PTOOLS_DURABLE : PTOOLS_CRASHSAFE,
                               .attempts = repeatable ? 3 : 1,
                               .padding = i % 5 ? 0 : i * 977 % 20000,
                               .passing = i % 5 == 4 };
}

/* Nothing of it is synced, until there is nothing else to do and the log is moved into the database. */
static void plan_unsynced(unsigned client, unsigned i, struct plan_task *ret)
{
    plan_task(client, i, ret);
    ret->durability = PTOOLS_CRASHSAFE;
    ret->passing = false;
}

/* -- the machine --------------------------------------------------------------------------------------------------- */

static void write_boot(void)
{
    FILE *f = fopen(boot_file, "we");

    ck_assert_ptr_nonnull(f);
    trial.boots++;
    if (!trial.silent)
        ck_assert_int_gt(fprintf(f, "%08x-0000-4000-8000-000000000000\n", trial.boots), 0);
    ck_assert_int_eq(fclose(f), 0);
}

/* false: it did not become ready. NULL: nothing kills it. */
static bool start(const struct moment *moment, int *ret_end)
{
    char number[16];
    bool ready;

    write_boot();
    snprintf(number, sizeof number, "%u", moment ? moment->kill_at : 0);
    setenv("PTOOLS_TEST_DISK", root, 1);
    setenv("PTOOLS_TEST_DISK_LOG", disk_log, 1);
    setenv("PTOOLS_TEST_DISK_KILL", number, 1);
    setenv("PTOOLS_TEST_DISK_FROM", moment ? moment->from : "", 1);
    setenv("PTOOLS_TEST_BOOT", boot_file, 1);
    setenv("LD_PRELOAD", getenv("PTOOLS_TEST_WATCH_DISK"), 1);
    ready = server_try_in(&server, trial.dir, WORKERS, args, ret_end);
    unsetenv("LD_PRELOAD");
    if (!ready && *ret_end != -SIGKILL) {
        char *log = slurp(server.log);

        found("start %u: ptoolsd ended with %d: %s", trial.boots, *ret_end, log);
        free(log);
    }
    unlink(server.log);
    return ready;
}

static bool is_client(pid_t pid)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        if (trial.clients[i] == pid)
            return true;
    return false;
}

/* All that is below this process, but for the clients: they are on other machines. */
static void kill_all(void)
{
    struct family family;
    unsigned n;

    do {
        n = 0;
        family_below(getpid(), &family);
        for (unsigned i = 0; i < family.n; i++) {
            if (is_client(family.pids[i]))
                continue;
            kill(family.pids[i], SIGKILL); /* a descendant: nobody else waits for it, so the number is still its own */
            poll(&family.ends[i], 1, -1);
            waitpid(family.pids[i], NULL, WNOHANG);
            n++;
        }
        family_close(&family);
    } while (n > 0);
}

/* -- one disk ------------------------------------------------------------------------------------------------------ */

static void trial_begin(const struct lossy_omission *without)
{
    temp_dir(base, sizeof base);
    snprintf(root, sizeof root, "%s/disk", base);
    snprintf(state, sizeof state, "%s/state", root);
    snprintf(ledger, sizeof ledger, "%s/ledger", base);
    snprintf(boot_file, sizeof boot_file, "%s/boot", base);
    snprintf(disk_log, sizeof disk_log, "%s/log", base);
    snprintf(kept_log, sizeof kept_log, "%s/kept-log", base);
    ck_assert_int_eq(mkdir(root, 0700) | mkdir(ledger, 0700), 0);
    trial = (struct trial){ .disk = lossy_new(root, disk_log), .without = without, .silent = pick(4) == 0 };
    temp_dir(trial.dir, sizeof trial.dir);
    trial.said = shared_memory(sizeof *trial.said);
    trial.plan = (struct plan){ .dir = trial.dir,
                                .ledger = ledger,
                                .more = shared_memory(sizeof *trial.plan.more),
                                .window = WINDOW,
                                .task = plan_task,
                                .loses_power = true,
                                .problem = trial.said };
    atomic_store(trial.plan.more, 1);
}

static void clients_end(void)
{
    memset(trial.clients, 0, sizeof trial.clients);
    kill_all();
}

/* true: nothing was found. */
static bool trial_end(void)
{
    clients_end();
    lossy_free(trial.disk);
    temp_remove(trial.dir);
    temp_remove(base);
    return !*trial.problem;
}

static void work_begin(void)
{
    for (unsigned i = 0; !trial.working && i < CLIENTS; i++)
        trial.clients[i] = client_start(&trial.plan, i);
    trial.working = true;
}

/* false: it goes on for longer than a client waits for anything. */
static bool ends(pid_t pid)
{
    struct pollfd end = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
    bool has_ended;

    ck_assert_int_ge(end.fd, 0);
    has_ended = poll(&end, 1, CLIENT_MS) == 1;
    close(end.fd);
    return has_ended;
}

/* true: all of them are at work, or have done what there was. */
static bool clients_are_well(bool wait)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        int status = 0;

        if (trial.clients[i] && wait && !ends(trial.clients[i]))
            return found("a client waits for what does not come");
        if (!trial.clients[i] || waitpid(trial.clients[i], &status, WNOHANG) == 0)
            continue;
        trial.clients[i] = 0;
        if (status)
            return found("a client ended with %d: %s", status, trial.said->text);
    }
    return true;
}

/* A life until that moment. false: something was found. */
static bool live(struct moment moment, bool work)
{
    struct pollfd end = { .events = POLLIN };
    bool by_itself = true;
    int status = 0;

    if (start(&moment, &status)) {
        if (work)
            work_begin();
        end.fd = server.pidfd;
        by_itself = poll(&end, 1, (int)moment.ms) == 1;
        if (!by_itself && moment.ask) {
            kill(server.pid, SIGTERM);
            poll(&end, 1, (int)pick(END_MS));
        }
        kill(server.pid, SIGKILL);
        status = server_end(&server);
        count.works++;
    } else if (*trial.problem) {
        return false;
    } else {
        count.starts++;
    }
    count.ends += status == 0;
    kill_all();
    lossy_replay(trial.disk, UINT_MAX, trial.without);
    lossy_forget(trial.disk);
    if (by_itself)
        lossy_assert_complete(trial.disk);
    lossy_lose(trial.disk);
    count.losses++;
    return clients_are_well(false);
}

static struct moment any_moment(void)
{
    switch (pick(6)) {
    case 0:
        return (struct moment){ .from = "", .kill_at = 1 + pick(START_CALLS), .ms = LIFE_MS };
    case 1:
        return (struct moment){ .from = "", .kill_at = 1 + pick(WORK_CALLS), .ms = 4 * LIFE_MS };
    case 2:
        return (struct moment){ .from = "write " DATABASE, .kill_at = 1 + pick(MOVE_CALLS), .ms = 4 * LIFE_MS };
    case 3:
        return (struct moment){ .from = "sync " DATABASE, .kill_at = 1 + pick(START_CALLS), .ms = 4 * LIFE_MS };
    case 4:
        return (struct moment){ .from = "", .ms = pick(LIFE_MS), .ask = true };
    default:
        return (struct moment){ .from = "", .ms = pick(LIFE_MS) };
    }
}

static const ptools_queued_info *at(void *arg, size_t i)
{
    return ptools_queued_at(arg, i);
}

/* All have done what they had to do, and the ledger holds. */
static bool check(void)
{
    struct ledger_daemon daemon = { .at = at, .has_died = true, .lost_power = true, .all_ended = true };
    struct verdict verdict;
    ptools_queued *list = NULL;
    int end;
    ptools *pt;

    if (!start(NULL, &end))
        return false;
    work_begin();
    atomic_store(trial.plan.more, 0);
    if (!clients_are_well(true))
        return false;
    pt = server_open(&server);
    ck_assert_ptools(ptools_queued_list(pt, 0, NULL, 0, &list));
    daemon.arg = list;
    check_ledger(ledger, &daemon, &verdict);
    ptools_queued_free(list);
    ptools_close(pt);
    kill(server.pid, SIGKILL);
    server_end(&server);
    count.tasks += verdict.keys;
    count.begun += verdict.begun;
    return verdict.all_broken ? found("%zu times, first:\n%s", verdict.all_broken, verdict.text) : true;
}

/* Losses one upon the other, the first of them in the birth or soon after. */
static bool work_through(const struct lossy_omission *without, unsigned losses)
{
    bool well = true;

    trial_begin(without);
    for (unsigned i = 0; well && i < losses; i++)
        well = live(any_moment(), true);
    if (well)
        check();
    return trial_end();
}

/* A birth that ends at its n-th call, another that goes on from there, and what comes then starts. *ret_whole: there
 * are not so many calls. */
static bool be_born(const struct lossy_omission *without, unsigned call, bool *ret_whole)
{
    const unsigned works = count.works;
    bool well;
    int end;

    trial_begin(without);
    well = live((struct moment){ .from = "", .kill_at = call }, false);
    *ret_whole = count.works > works;
    if (well)
        well = live((struct moment){ .from = "", .kill_at = 1 + pick(START_CALLS) }, false);
    if (well && start(NULL, &end)) {
        kill(server.pid, SIGKILL);
        server_end(&server);
    }
    count.births++;
    return trial_end();
}

static bool each_birth(const struct lossy_omission *without)
{
    bool well = true, whole = false;

    for (unsigned call = 1; well && !whole && call <= BIRTH_CALLS_MAX;
         call += getenv("FAULT_LOSSES") ? 1 : BIRTHS_SKIPPED)
        well = be_born(without, call, &whole);
    return well;
}

/* One life that works, of which the power is lost wherever the sync that is left out makes a difference: it is at few
 * calls of thousands. Only refusals are looked for. */
static bool lose_in_a_life(const struct lossy_omission *without)
{
    static unsigned gaps[GAPS_MAX];
    const struct moment later = { .from = "", .kill_at = GAPS_CALLS, .ms = GAPS_LIFE_MS };
    unsigned n = 0;
    int end;

    trial_begin(without);
    if (without->which == LOSSY_AHEAD) {
        trial.plan.task = plan_unsynced;
        trial.plan.tasks = UNSYNCED;
        atomic_store(trial.plan.more, 0);
    }
    if (start(&later, &end)) {
        work_begin();
        if (!atomic_load(trial.plan.more))
            clients_are_well(true);
        poll(&(struct pollfd){ .fd = server.pidfd, .events = POLLIN }, 1,
             atomic_load(trial.plan.more) ? (int)later.ms : IDLE_MS);
        kill(server.pid, SIGKILL);
        server_end(&server);
        kill_all();
        n = lossy_gaps(trial.disk, without, gaps, GAPS_MAX);
    }
    clients_end();
    rename(disk_log, kept_log);
    for (unsigned i = 0; n > 0 && i < GAPS_TRIED && !*trial.problem; i++) {
        lossy_free(trial.disk);
        trial.disk = lossy_new(root, kept_log);
        lossy_replay(trial.disk, gaps[pick(n)], without);
        lossy_lose(trial.disk);
        count.losses++;
        if (start(NULL, &end)) {
            kill(server.pid, SIGKILL);
            server_end(&server);
        }
        kill_all();
        unlink(disk_log);
    }
    return trial_end();
}

static bool lose_at_work(const struct lossy_omission *without)
{
    bool well = true;

    for (unsigned i = 0; well && i < LOSSES_LEFT_OUT; i += LOSSES_UPON)
        well = work_through(without, LOSSES_UPON);
    return well;
}

/* In a few lives of a hundred what is left out makes no difference at all: then there is another. */
static bool lose_in_gaps(const struct lossy_omission *without)
{
    bool well = true;

    for (unsigned i = 0; well && i < LIVES; i++)
        well = lose_in_a_life(without);
    return well;
}

/* -- syncs that are left out ------------------------------------------------------------------------------------ */

/* And what finds that. Those of which README.md says that without them nothing is lost are not among them. */
static const struct left_out {
    const char *what;
    struct lossy_omission sync;
    bool (*find)(const struct lossy_omission *without);
} left_out[] = {
    { "the log, at each commit", { LOG, LOSSY_COMMIT }, lose_at_work },
    { "the log, when it begins anew", { LOG, LOSSY_HEAD }, lose_in_gaps },
    { "the log, before it is moved into the database", { LOG, LOSSY_AHEAD }, lose_in_gaps },
    { "the database, when the log was moved into it", { DATABASE, LOSSY_CUT }, lose_in_gaps },
    { "the database, in its birth", { DATABASE, LOSSY_COMMIT }, each_birth },
    { "the mark, in its birth", { MARK, LOSSY_NTH, 1 }, each_birth },
    { "the directory, for the name of the mark", { "state", LOSSY_NTH, 3 }, each_birth },
    { "the directory", { "state", LOSSY_ALL }, each_birth },
    { "the directory above it", { "", LOSSY_ALL }, lose_at_work },
};

/* -- tests --------------------------------------------------------------------------------------------------------- */

START_TEST(a_birth_ends_at_any_call)
{
    ck_assert_msg(each_birth(NULL), "%s", trial.problem);
    printf("# %u births, %u power losses\n", count.births, count.losses);
    ck_assert_uint_gt(count.births, 10);
}
END_TEST

START_TEST(the_power_fails)
{
    unsigned losses = program_setting("FAULT_LOSSES", LOSSES, LOSSES_MAX);

    while (count.losses < losses)
        ck_assert_msg(work_through(NULL, LOSSES_UPON), "after %u losses: %s", count.losses, trial.problem);
    printf("# %u power losses (%u in the start, %u in the work, %u after a clean end); %zu tasks, begun %zu times\n",
           count.losses, count.starts, count.works, count.ends, count.tasks, count.begun);
}
END_TEST

START_TEST(a_sync_left_out_is_found)
{
    const struct left_out *left = &left_out[_i];
    const bool well = left->find(&left->sync);

    printf("# without the sync of %s: after %u losses: %s\n", left->what, count.losses, trial.problem);
    ck_assert(!well);
}
END_TEST

static void setup(void)
{
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1L), 0);
}

int main(void)
{
    const char *without = getenv("FAULT_WITHOUT");
    const int only = without ? atoi(without) - 1 : -1;
    Suite *suite;
    TCase *tc;

    if (SANITIZED) {
        printf("1..0 # SKIP a sanitizer must be loaded first\n");
        return 0;
    }
    suite = suite_create("power-loss");
    tc = suite_case(suite, "fault");
    tcase_set_timeout(tc, 3600);
    tcase_add_checked_fixture(tc, setup, NULL);
    if (only >= 0 && only < (int)ELEMENTS(left_out)) {
        tcase_add_loop_test(tc, a_sync_left_out_is_found, only, only + 1);
        return suite_run(suite);
    }
    tcase_add_test(tc, a_birth_ends_at_any_call);
    tcase_add_test(tc, the_power_fails);
    tcase_add_loop_test(tc, a_sync_left_out_is_found, 0, (int)ELEMENTS(left_out));
    return suite_run(suite);
}
