/* SPDX-License-Identifier: MIT */
/*
 * isolate -- see isolate.h.
 *
 * The child leaves its outcome in memory that it shares with the worker: pages of it exist where they were written to,
 * so there is room for the largest value, and a large one is given back before the next item. It counts only if the
 * child has said so at its end; before it is read nobody is left who could change it.
 *
 * The worker sleeps until the child has ended or SIGTERM comes, which is blocked at all other times, so that none is
 * missed. If the batch is to stop, SIGTERM is passed on: the child's handler notes where it is, and ends it; who does
 * not take that signal is killed.
 *
 * Peak memory is ru_maxrss. A child begins with the resident pages that fork() copies, which are those of private
 * memory; what it began with is asked in it before the function runs. So these count: memory that it touches for the
 * first time, pages of programs and libraries, of shared memory; and these do not: pages that it had from the worker
 * and wrote to.
 */
#include "daemon/worker/isolate.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/worker/arrays.h"
#include "daemon/worker/batch.h"
#include "daemon/worker/errand.h"
#include "daemon/worker/execute.h"
#include "daemon/worker/log.h"
#include "daemon/worker/tidy.h"
#include "daemon/worker/words.h"
#include "proto/array.h"
#include "proto/headroom.h"
#include "proto/message.h"
#include "proto/scan.h"
#include "proto/text.h"

enum { LAST_WORDS_MS = 200, OOM_LOOK_US = 1000000, KEEP_BYTES = 1 << 20 };
enum { NOTHING = 0, COME_BACK };

struct shared {
    _Atomic uint32_t state;  /* COME_BACK: the rest is true */
    _Atomic uint32_t errand; /* errand_share() */
    uint64_t begun_kb;       /* ru_maxrss when it began; 0: it has not */
    uint32_t code;
    int32_t exit_status, exit_signal; /* code EXITED */
    uint64_t n;
    char message[TASK_MESSAGE_BYTES];
    uint8_t value[];
};

static struct {
    struct ptools_task *task;
    struct shared *shared; /* NULL: there was no batch yet */
    size_t value_max;      /* of shared */
    struct sigaction sigchld;
    sigset_t mask;
    uint64_t oom_kills, oom_looked_us;
} self;

static _Thread_local bool forking;

bool isolate_is_item(void)
{
    return forking;
}

/* -- a batch ------------------------------------------------------------------------------------------------- */

static int make_shared(size_t value_max)
{
    void *at;

    if (self.shared)
        return 0;
    at = mmap(NULL, sizeof *self.shared + value_max, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
              -1, 0);
    if (at == MAP_FAILED)
        return -errno;
    self.shared = at;
    self.value_max = value_max;
    return 0;
}

/* The memory of a large value goes back. */
static void drop_value(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), from = (sizeof *self.shared + KEEP_BYTES) / page * page;

    if (self.shared->n > KEEP_BYTES)
        madvise((uint8_t *)self.shared + from, sizeof *self.shared + self.value_max - from, MADV_REMOVE);
    self.shared->n = 0;
}

int isolate_begin(struct ptools_task *t, size_t value_max)
{
    static const struct sigaction dfl = { .sa_handler = SIG_DFL };
    const uint64_t now_us = execute_now_us();
    sigset_t stop;
    int r = make_shared(value_max);

    if (r < 0)
        return r;
    self.task = t;
    if (self.oom_looked_us == 0 || now_us - self.oom_looked_us > OOM_LOOK_US) {
        self.oom_kills = headroom_oom_kills();
        self.oom_looked_us = now_us;
    }
    sigaction(SIGCHLD, &dfl, &self.sigchld); /* ignored, it would take the child's status */
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, &self.mask);
    words_set_role(WORDS_WATCHING);
    return 0;
}

void isolate_end(void)
{
    drop_value();
    sigprocmask(SIG_SETMASK, &self.mask, NULL);
    words_set_role(WORDS_OWN);
    sigaction(SIGCHLD, &self.sigchld, NULL);
}

/* -- the child ------------------------------------------------------------------------------------------------ */

static uint64_t peak_kb(const struct rusage *usage)
{
    return (uint64_t)usage->ru_maxrss;
}

static _Noreturn void run_child(pid_t worker, isolate_fn fn, void *arg)
{
    struct shared *s = self.shared;
    const uint8_t *value = NULL;
    struct rusage usage;
    size_t n = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != worker)
        _exit(0); /* it died before it could be watched */
    words_set_role(WORDS_ITEM);
    errand_share(&s->errand);
    sigaction(SIGCHLD, &self.sigchld, NULL);
    sigprocmask(SIG_SETMASK, &self.mask, NULL);
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        s->begun_kb = peak_kb(&usage);
    s->code = (uint32_t)fn(arg, &value, &n);
    if (s->code == PTOOLS_OK && n > self.value_max)
        s->code =
            (uint32_t)task_fail(self.task, PTOOLS_ERR_TOO_LARGE, "the result of %s has %zu bytes, the limit is %zu",
                                self.task->function, n, self.value_max);
    if (s->code == PTOOLS_OK) {
        s->n = n; /* first: whatever ends it here, drop_value() knows of it */
        memcpy(s->value, value, n);
    } else {
        strcpy(s->message, task_message(self.task));
        s->exit_status = self.task->exit_status;
        s->exit_signal = self.task->exit_signal;
    }
    atomic_store_explicit(&s->state, COME_BACK, memory_order_release);
    storage_clear(&self.task->storage); /* destructors may take their time, or crash: what came of it is told */
    fflush(NULL);
    _exit(0);
}

/* -- the worker ------------------------------------------------------------------------------------------------ */

static void stop_child(pid_t child, struct pollfd *its_end)
{
    kill(child, SIGTERM);
    poll(its_end, 1, LAST_WORDS_MS);
    kill(child, SIGKILL); /* it is not reaped yet */
}

/* Until the child ends. false: it was stopped. */
static bool watch(pid_t child, int pidfd)
{
    struct pollfd its_end = { .fd = pidfd, .events = POLLIN };
    bool stopped = false;

    while (!stopped && ppoll(&its_end, 1, NULL, &self.mask) <= 0)
        stopped = ptools_task_cancelled(self.task);
    if (stopped)
        stop_child(child, &its_end);
    return !stopped;
}

static void fail(struct isolated *ret, ptools_err code, const char *text)
{
    ret->code = code;
    snprintf(ret->message, sizeof ret->message, "%s", text);
    text_clean(ret->message, strlen(ret->message), true);
}

/* Only with evidence, as the daemon has it of workers (autopsy.c). */
static bool was_out_of_memory(int signal, uint64_t peak)
{
    const uint64_t before = self.oom_kills;
    struct rlimit limit;

    if (signal == SIGKILL) {
        self.oom_kills = headroom_oom_kills();
        self.oom_looked_us = execute_now_us();
        return self.oom_kills > before;
    }
    return signal != 0 && getrlimit(RLIMIT_DATA, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           peak >= limit.rlim_cur / 1024 / 10 * 9;
}

static void tell_death(struct isolated *ret, pid_t child, int status, uint64_t peak)
{
    char text[TASK_MESSAGE_BYTES], how[128];

    ret->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    ret->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    ret->code = was_out_of_memory(ret->signal, peak) ? PTOOLS_ERR_OUT_OF_MEMORY : PTOOLS_ERR_WORKER_DIED;
    if (ret->code == PTOOLS_ERR_OUT_OF_MEMORY)
        snprintf(how, sizeof how, "was killed for lack of memory");
    else if (ret->signal)
        snprintf(how, sizeof how, "was killed by signal %d (%s)", ret->signal,
                 sigdescr_np(ret->signal) ? sigdescr_np(ret->signal) : "unknown");
    else
        snprintf(how, sizeof how, "exited with status %d", ret->exit_status);
    snprintf(text, sizeof text, "the process of the item (pid %d, of worker %u) %s while running %s", (int)child,
             self.task->worker, how, self.task->function);
    fail(ret, ret->code, text);
}

/* What the child has written is foreign code's word. */
static void read_outcome(struct isolated *ret)
{
    static const struct scan_limits limits = { PAYLOAD_DEPTH_MAX, UINT64_MAX };
    const struct shared *s = self.shared;
    const ptools_err code = (ptools_err)s->code;
    size_t bytes = 0;

    ret->n = s->n;
    ret->value = s->value;
    if (code == PTOOLS_OK && ret->n <= self.value_max &&
        scan_prefix(ret->value, ret->n, &limits, &bytes, NULL) == SCAN_OK && bytes == ret->n) {
        ret->code = code;
    } else if (code != PTOOLS_OK && error_known(code)) {
        ret->code = code;
        memcpy(ret->message, s->message, sizeof ret->message - 1);
        ret->exit_status = code == PTOOLS_ERR_EXITED ? s->exit_status : -1;
        ret->signal = code == PTOOLS_ERR_EXITED ? MAX(s->exit_signal, 0) : 0;
        text_clean(ret->message, strlen(ret->message), true);
    } else {
        fail(ret, PTOOLS_ERR_FAILED, "its process has damaged what came of it");
    }
}

static void await(pid_t child, int *ret_status, struct rusage *ret_usage)
{
    while (wait4(child, ret_status, 0, ret_usage) < 0 && errno == EINTR)
        ;
    tidy_end_strays();
    if (!errand_settle(&self.shared->errand)) {
        log_say(LOG_LEVEL_ERROR, "errand-unknown", "the process of an item was killed while it asked for a descriptor");
        _exit(WORKER_EXIT_LINK_LOST); /* the next answer might be another's */
    }
}

/* The shared arrays among its arguments are mapped here, so that children need not do so each. */
static void map_arguments(const struct ptools_task *t)
{
    char why[ARRAYS_WHY_BYTES];
    struct ptools_array *a;
    struct view_ref ref;

    for (uint32_t i = 0; i < t->argc; i++)
        if (view_ref_read(&t->argv[i], &ref, why) == 0 && ref.id)
            (void)arrays_by_id(ref.id, t->id, t->uid, &a, why); /* if it cannot be had, the function asks, too */
}

static void begin(struct page *page)
{
    struct shared *s = self.shared;

    drop_value();
    atomic_store(&s->state, NOTHING);
    s->begun_kb = 0;
    page->backtrace[0] = '\0';
    atomic_store_explicit(&page->fault_signal, 0, memory_order_relaxed);
    ptools_task_progress(self.task, 0, 0);
    fflush(NULL); /* it would be printed twice */
}

static pid_t fork_child(isolate_fn fn, void *arg)
{
    const pid_t worker = getpid();
    pid_t child;

    forking = true;
    child = fork();
    forking = false;
    if (child == 0)
        run_child(worker, fn, arg);
    return child;
}

/* false: it was stopped. */
static bool run(isolate_fn fn, void *arg, struct isolated *ret)
{
    const uint64_t began_us = execute_now_us();
    const pid_t child = fork_child(fn, arg);
    const int pidfd = child < 0 ? -1 : pidfd_open(child, 0);
    struct shared *s = self.shared;
    struct rusage usage = { 0 };
    bool ended = true;
    int status = 0;

    *ret = (struct isolated){ .exit_status = -1 };
    if (pidfd < 0) {
        snprintf(ret->message, sizeof ret->message, "there can be no process for the item: %s", strerror(errno));
        ret->code = PTOOLS_ERR_SYSTEM;
        if (child > 0)
            kill(child, SIGKILL);
    } else {
        ended = watch(child, pidfd);
        close(pidfd);
    }
    if (child > 0)
        await(child, &status, &usage);
    if (!ended || ret->code != PTOOLS_OK)
        return ended;
    ret->run_us = MAX(execute_now_us() - began_us, (uint64_t)1);
    if (s->begun_kb > 0)
        ret->peak_kb = MAX(peak_kb(&usage) - MIN(peak_kb(&usage), s->begun_kb), (uint64_t)1);
    if (atomic_load_explicit(&s->state, memory_order_acquire) == COME_BACK)
        read_outcome(ret);
    else
        tell_death(ret, child, status, peak_kb(&usage));
    return true;
}

bool isolate_run(isolate_fn fn, void *arg)
{
    struct page *page = self.task->page;
    struct page_words words;
    struct isolated done;

    map_arguments(self.task);
    begin(page);
    if (!run(fn, arg, &done))
        return false;
    if (done.code == PTOOLS_OK) {
        batch_value_isolated(&done);
    } else {
        page_read_words(page, &words);
        batch_failure_isolated(&done, &words);
    }
    return true;
}
