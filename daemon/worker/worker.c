/* SPDX-License-Identifier: MIT */
/*
 * worker -- see worker.h. One thread; asleep in poll() unless there is work (a blocking recv on a stream
 * socket is also woken when the peer reads).
 *
 * Frames are run in the order in which they came. What was read is run to its end, then the answers are
 * sent in one go; before that only when a function is about to run that may take longer than the answers
 * may wait (answers.h has the safety net for functions that surprise).
 *
 * A slot of the page that is STARTED stays so until the daemon gives it anew: it may be freed only once
 * the answer has arrived, which only the daemon knows. A worker that dies with answers unsent has thus
 * begun those tasks for all to see, and none is run twice.
 *
 * A child that a function forks is no worker: in it link, page and handlers are let go (after_fork()),
 * and it ends if it returns from the function.
 */
#include "daemon/worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/worker/answers.h"
#include "daemon/worker/log.h"
#include "daemon/worker/task.h"
#include "daemon/worker/tidy.h"
#include "daemon/worker/words.h"
#include "proto/intake.h"
#include "proto/message.h"

enum {
    LINK_FD_FROM = 900,  /* above what functions get, and what they close by guess */
    SHORT_US = 200,      /* a function that took no longer is run while answers wait ... */
    WAIT_US = 200,       /* ... if the oldest has not waited longer */
    LAST_FLUSH_MS = 1000 /* for sending finished answers while dying */
};

struct worker {
    uint32_t id;
    int link_fd;
    pid_t daemon;              /* 0: LINK_START has not come */
    struct page *page;
    struct modules *modules;
    size_t value_max;
    struct intake in;
    struct link_frame head;    /* of the frame whose body is still coming */
    bool have_head;
    struct ptools_task task;
    struct tidy tidy;
    char function[FUNCTION_BYTES_MAX + 1];
};

static struct worker self; /* one a process: handlers and fork hooks reach it */

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* -- ways to end ----------------------------------------------------------------------------- */

static _Noreturn void end(int status)
{
    tidy_end_strays();
    _exit(status);
}

static _Noreturn void end_lost(int cause)
{
    if (cause == EPIPE || cause == ECONNRESET)
        end(0); /* the daemon is gone, and so are we */
    ptools_task_log(&self.task, "the link to ptoolsd is gone: %s", strerror(cause));
    end(WORKER_EXIT_LINK_LOST);
}

static void lost(int cause)
{
    end_lost(cause);
}

static _Noreturn void end_protocol(const char *what)
{
    log_say(LOG_LEVEL_ERROR, "protocol", "%s", what);
    end(WORKER_EXIT_PROTOCOL);
}

static void before_death(void)
{
    answers_flush_now(LAST_FLUSH_MS);
}

static void after_fork(void)
{
    close(self.link_fd);
    self.link_fd = -1;
    answers_disown();
    words_disarm();
}

/* -- a task ---------------------------------------------------------------------------------- */

/* Sets the page up for a task: counters, not contents, so it costs little. */
static void page_begin(struct page *page, const struct link_frame *run, const char *function, uint64_t now)
{
    page->phase[0] = '\0';
    page->backtrace[0] = '\0';
    memcpy(page->function, function, (size_t)run->name_bytes + 1);
    atomic_store_explicit(&page->log_next, 0, memory_order_relaxed);
    atomic_store_explicit(&page->progress, 0, memory_order_relaxed);
    atomic_store_explicit(&page->progress_of, 0, memory_order_relaxed);
    atomic_store_explicit(&page->fault_signal, 0, memory_order_relaxed);
    atomic_store_explicit(&page->began_us, now, memory_order_relaxed);
    atomic_store_explicit(&page->task, run->task, memory_order_release);
}

static void set_phase(enum page_phase phase)
{
    atomic_store_explicit(&self.page->process_phase, (uint32_t)phase, memory_order_release);
}

/* Loads the module of a function that is not known here yet. */
static ptools_err load_for(const char *name, struct function **ret)
{
    char module_name[NAME_BYTES_MAX + 1], path[PATH_MAX], why[WHY_BYTES];
    struct text module_text, function_text;
    struct module *module;
    ptools_err err;

    if (!name_split(name, strlen(name), &module_text, &function_text))
        return task_fail(&self.task, PTOOLS_ERR_NO_FUNCTION, "functions are called MODULE.FUNCTION, not %s", name);
    snprintf(module_name, sizeof module_name, "%.*s", (int)module_text.n, module_text.data);
    strcpy(self.page->module, module_name);
    set_phase(PAGE_LOADING);
    err = modules_load(self.modules, module_name, &module, path, why);
    if (err == PTOOLS_ERR_NO_MODULE)
        return task_fail(&self.task, err, "%s", why);
    if (err != PTOOLS_OK)
        return task_fail(&self.task, err, "module %s is broken: %s", module_name, why);
    *ret = modules_function(self.modules, name, strlen(name));
    if (!*ret)
        return task_fail(&self.task, PTOOLS_ERR_NO_FUNCTION, "module %s has no function %.*s", module_name,
                         (int)function_text.n, function_text.data);
    return PTOOLS_OK;
}

/* Before the first task of a module in this process. One that fails is tried again before the next task. */
static ptools_err start_module(struct module *module)
{
    ptools_err err;

    strcpy(self.page->module, module->name);
    set_phase(PAGE_LOADING);
    err = module->info->start();
    if (self.link_fd < 0)
        _exit(0); /* a child that it forked */
    if (err != PTOOLS_OK)
        return task_fail(&self.task, PTOOLS_ERR_MODULE_BROKEN, "start() of module %s failed: %s", module->name,
                         ptools_strerror(err));
    module->started = true;
    return PTOOLS_OK;
}

/* Loads or starts the module of a function, whatever is missing. What that does to environment, signals
 * (but for the worker's own) and limits stays; what a task did before it does not. */
static ptools_err prepare(const char *name, struct function **f)
{
    ptools_err err = PTOOLS_OK;

    tidy_restore_all(&self.tidy);
    if (!*f)
        err = load_for(name, f);
    if (err == PTOOLS_OK && !(*f)->module->started)
        err = start_module((*f)->module);
    if (err == PTOOLS_OK) {
        words_arm();
        answers_arm();
        if (tidy_accept(&self.tidy) < 0)
            end(WORKER_EXIT_MEMORY);
    }
    tidy_restore_all(&self.tidy);
    return err;
}

/* Calls the function; its frame is where backtraces end. */
__attribute__((__noinline__)) static ptools_err run_function(struct function *f)
{
    ptools_err err;

    words_set_base(__builtin_frame_address(0));
    answers_function_begins();
    set_phase(PAGE_RUNNING);
    err = f->row->fn(&self.task);
    answers_function_ended();
    if (self.link_fd < 0)
        _exit(0); /* the child of a function came back from it */
    words_set_base(NULL);
    return err;
}

static ptools_err run(struct function *f, const struct link_frame *frame, const uint8_t *arguments, size_t n,
                      const uint8_t **ret_value, size_t *ret_n)
{
    ptools_err err = task_begin(&self.task, frame, self.function, arguments, n);

    if (self.tidy.dirty)
        tidy_restore(&self.tidy);
    if (err == PTOOLS_OK && (!f || !f->module->started))
        err = prepare(self.function, &f);
    if (err != PTOOLS_OK)
        return err;
    self.tidy.dirty = !(f->row->flags & PTOOLS_FN_TIDY);
    return task_outcome(&self.task, run_function(f), self.value_max, ret_value, ret_n);
}

/* The four texts of a failure: message, phase, log, and "n of" of the progress. */
static void add_failure(struct link_frame *done, uint64_t now)
{
    char body[TASK_MESSAGE_BYTES + sizeof(struct page_words) + 48], progress[48];
    const char *texts[4] = { task_message(&self.task) };
    struct page_words words;
    size_t n = 0;

    page_read_words(self.page, &words);
    texts[1] = words.phase;
    texts[2] = words.log;
    snprintf(progress, sizeof progress, "%llu %llu", (unsigned long long)words.progress,
             (unsigned long long)words.progress_of);
    texts[3] = progress;
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        memcpy(body + n, texts[i], strlen(texts[i]) + 1);
        n += strlen(texts[i]) + 1;
    }
    done->body_bytes = (uint32_t)n;
    answers_add(done, body, now);
}

static void handle_run(const struct link_frame *frame, const struct span *body)
{
    struct link_frame answer = {
        .type = LINK_SKIPPED, .task = frame->task, .worker = self.id, .attempt = frame->attempt, .slot = frame->slot
    };
    uint64_t began = now_us(), ended;
    const uint8_t *value = NULL;
    struct function *f;
    ptools_err err;
    size_t n = 0;

    if (frame->name_bytes > body->n || frame->name_bytes > FUNCTION_BYTES_MAX || frame->slot >= PAGE_SLOTS ||
        frame->task == 0)
        end_protocol("a task with impossible fields");
    if (!page_start(self.page, frame->slot, frame->task)) {
        answers_add(&answer, NULL, began);
        return;
    }
    memcpy(self.function, body->data, frame->name_bytes);
    self.function[frame->name_bytes] = '\0';
    f = modules_function(self.modules, self.function, frame->name_bytes);
    if (answers_waiting() &&
        (!f || !f->module->started || f->last_us > SHORT_US || began - answers_oldest_us() > WAIT_US))
        answers_flush();

    page_begin(self.page, frame, self.function, began);
    err = run(f, frame, body->data + frame->name_bytes, body->n - frame->name_bytes, &value, &n);
    set_phase(PAGE_SENDING);
    ended = now_us();
    f = modules_function(self.modules, self.function, frame->name_bytes);
    if (f)
        f->last_us = ended - began;

    answer.type = LINK_DONE;
    answer.code = (uint16_t)err;
    answer.a = (uint32_t)MIN(ended - began, (uint64_t)UINT32_MAX);
    if (tidy_look_due(&self.tidy, ended, ended - began))
        tidy_look(&self.tidy, self.page, &answer.b, &answer.fds);
    if (err == PTOOLS_OK) {
        answer.body_bytes = (uint32_t)n;
        answers_add(&answer, value, ended);
    } else {
        add_failure(&answer, ended);
    }
    atomic_store_explicit(&self.page->task, 0, memory_order_release);
    task_end(&self.task);
}

/* -- the link -------------------------------------------------------------------------------- */

static void handle_start(const struct link_frame *frame)
{
    struct link_frame ready = { .type = LINK_READY, .worker = self.id };

    if (self.daemon != 0 || frame->worker != self.id || frame->a == 0)
        end_protocol("a START that is not for this worker");
    self.daemon = (pid_t)frame->a;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != self.daemon)
        _exit(0); /* it died before it could be watched */
    answers_add(&ready, NULL, now_us());
}

static void handle_frame(const struct link_frame *frame, const struct span *body)
{
    if (frame->type == LINK_START) {
        handle_start(frame);
    } else if (self.daemon == 0) {
        end_protocol("the first frame is not START");
    } else if (frame->type == LINK_RUN) {
        handle_run(frame, body);
    } else if (frame->type == LINK_STOP) {
        answers_flush();
        fflush(NULL); /* what functions printed; no atexit handlers of theirs */
        end(0);
    } else {
        end_protocol("a frame of a type that is not for workers");
    }
}

static void handle_input(void)
{
    for (;;) {
        struct span body;
        int r;

        if (!self.have_head) {
            const uint8_t *head = intake_peek(&self.in, sizeof self.head);

            if (!head)
                return;
            memcpy(&self.head, head, sizeof self.head);
            intake_drop(&self.in, sizeof self.head);
            self.have_head = true;
        }
        r = intake_body(&self.in, self.head.body_bytes, &body);
        if (r < 0)
            _exit(WORKER_EXIT_MEMORY);
        if (r == 0)
            return;
        self.have_head = false;
        handle_frame(&self.head, &body);
        blob_free(body.blob);
    }
}

/* Reads and runs what is there. */
static void receive(void)
{
    size_t room;
    ssize_t got;

    do {
        void *space = intake_space(&self.in, &room);

        if (!space)
            _exit(WORKER_EXIT_MEMORY);
        got = recv(self.link_fd, space, room, MSG_DONTWAIT);
        if (got == 0)
            end(0);
        if (got < 0) {
            if (errno != EAGAIN && errno != EINTR)
                end_lost(errno);
            return;
        }
        intake_commit(&self.in, (size_t)got);
        handle_input();
    } while ((size_t)got == room); /* else that was all */
}

static _Noreturn void serve(void)
{
    for (;;) {
        struct pollfd p = { .fd = self.link_fd, .events = POLLIN };

        answers_flush();
        if (self.tidy.dirty)
            tidy_restore(&self.tidy); /* also so that no mask or directory outlives its task */
        set_phase(PAGE_IDLE);
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            end_lost(errno);
        if (p.revents & POLLNVAL)
            end_lost(EBADF);
        if (p.revents)
            receive();
    }
}

/* -- birth ----------------------------------------------------------------------------------- */

/* Nothing but stdio and the link, and that where functions do not meet it. 0 or -errno. */
static int settle_descriptors(int link_fd)
{
    self.link_fd = fcntl(link_fd, F_DUPFD_CLOEXEC, LINK_FD_FROM);
    if (self.link_fd < 0) /* a low limit: any will do */
        self.link_fd = fcntl(link_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (self.link_fd < 0)
        return -errno;
    if (self.link_fd > STDERR_FILENO + 1 && close_range(STDERR_FILENO + 1, (unsigned)self.link_fd - 1, 0) < 0)
        return -errno;
    return close_range((unsigned)self.link_fd + 1, ~0u, 0) < 0 ? -errno : 0;
}

/* The kernel shall take a worker before it takes the daemon. */
static void volunteer_for_oom(void)
{
    char text[16];
    int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC), n, score = 0;
    ssize_t got;

    if (fd < 0)
        return;
    got = read(fd, text, sizeof text - 1);
    text[got > 0 ? got : 0] = '\0';
    score = MIN(atoi(text) + 500, 1000);
    n = snprintf(text, sizeof text, "%d", score);
    if (lseek(fd, 0, SEEK_SET) < 0 || write(fd, text, (size_t)n) != n)
        log_say(LOG_LEVEL_DEBUG, "oom-score", "cannot be set: %s", strerror(errno));
    close(fd);
}

static void seed_random(void)
{
    unsigned seed[2];

    if (getrandom(seed, sizeof seed, 0) != sizeof seed)
        return; /* 8 bytes always come at once */
    srandom(seed[0]); /* also rand() */
    srand48((long)seed[1]);
}

static int set_up(int link_fd, const struct worker_options *options)
{
    struct rlimit data = { options->memory_max_bytes, options->memory_max_bytes };
    char name[16];
    int r;

    setpgid(0, 0);
    r = settle_descriptors(link_fd);
    if (r < 0)
        return r;
    snprintf(name, sizeof name, "ptools-w%u", self.id);
    prctl(PR_SET_NAME, name);
    volunteer_for_oom();
    seed_random();
    if (options->memory_max_bytes > 0 && setrlimit(RLIMIT_DATA, &data) < 0)
        return -errno;
    r = words_init(self.page, before_death);
    if (r == 0)
        r = answers_init(self.link_fd, lost);
    if (r == 0)
        r = task_init(&self.task, self.page, self.id);
    if (r == 0)
        r = -pthread_atfork(NULL, NULL, after_fork);
    if (r == 0 && atexit(before_death) != 0)
        r = -ENOMEM;
    if (r == 0)
        r = tidy_init(&self.tidy);
    return r;
}

_Noreturn void worker_main(int link_fd, struct page *page, uint32_t id, struct modules *modules,
                           const struct worker_options *options)
{
    int r;

    self = (struct worker){ .id = id, .page = page, .modules = modules };
    self.value_max = options->message_max_bytes - MIN(options->message_max_bytes, (uint64_t)ENVELOPE_BYTES_MAX);
    intake_init(&self.in);
    log_set_worker(id);
    r = set_up(link_fd, options);
    if (r < 0) {
        log_say(LOG_LEVEL_ERROR, "worker-not-set-up", "%s", strerror(-r));
        _exit(WORKER_EXIT_MEMORY);
    }
    serve();
}
