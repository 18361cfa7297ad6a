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
 * and it ends if it returns from the function. One that is forked to run an item lets go of the link alone (isolate.h).
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
#include "daemon/worker/arrays.h"
#include "daemon/worker/command.h"
#include "daemon/worker/command_limits.h"
#include "daemon/worker/errand.h"
#include "daemon/worker/execute.h"
#include "daemon/worker/isolate.h"
#include "daemon/worker/log.h"
#include "daemon/worker/stask.h"
#include "daemon/worker/tidy.h"
#include "daemon/worker/words.h"
#include "proto/intake.h"
#include "proto/message.h"

enum {
    LINK_FD_FROM = 900,  /* above what functions get, and what they close by guess */
    WAIT_US = 200,       /* a short function is run while answers wait, if the oldest has not waited longer */
    LAST_FLUSH_MS = 1000 /* for sending finished answers while dying */
};

struct worker {
    uint32_t id;
    bool stask;                /* a server task: it has lanes, and no tasks from the daemon */
    int link_fd;
    pid_t daemon;              /* 0: LINK_START has not come */
    struct page *page;
    struct intake in;
    struct link_frame head;    /* of the frame whose body is still coming */
    bool have_head;
};

static struct worker self; /* one a process: handlers and fork hooks reach it */

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
    ptools_task_log(execute_task(), "the link to ptoolsd is gone: %s", strerror(cause));
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
    if (isolate_is_item())
        return;
    errand_disown();
    stask_disown();
    execute_disown();
    words_disarm();
}

/* -- a task ---------------------------------------------------------------------------------- */

static void handle_run(const struct link_frame *frame, const struct span *body)
{
    struct link_frame answer = {
        .type = LINK_SKIPPED, .task = frame->task, .worker = self.id, .attempt = frame->attempt, .slot = frame->slot
    };
    struct link_frame log = answer;
    char texts[EXECUTE_FAILURE_BYTES];
    uint64_t began = execute_now_us();
    struct execution done;

    if (!execute_frame_ok(frame, body) || frame->slot >= PAGE_SLOTS)
        end_protocol("a task with impossible fields");
    if (!page_start(self.page, frame->slot, frame->task)) {
        answers_add(&answer, NULL, began);
        return;
    }
    if (answers_waiting() && (execute_may_take_long(frame, body) || began - answers_oldest_us() > WAIT_US))
        answers_flush();
    execute(frame, body, began, &done);
    log.type = LINK_LOG;
    log.body_bytes = (uint32_t)execute_log(&done, texts);
    if (log.body_bytes > 0)
        answers_add(&log, texts, done.ended_us);
    execute_answer(&done, &answer, texts);
    answers_add(&answer, done.value, done.ended_us);
    if (execute_task()->storage || frame->code & RUN_BATCH)
        answers_flush(); /* destructors may take their time, or crash: the answer is told before. So are records */
    atomic_store_explicit(&self.page->task, 0, memory_order_release);
    execute_end();
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
    answers_add(&ready, NULL, execute_now_us());
}

static void handle_map(const struct link_frame *frame)
{
    struct link_frame mapped = { .type = LINK_MAPPED, .worker = self.id, .task = frame->task };
    char why[ARRAYS_WHY_BYTES] = "";
    struct ptools_array *a;
    ptools_err err = arrays_by_id(frame->task, 0, FDS_OWN, &a, why);

    mapped.code = (uint16_t)err;
    mapped.body_bytes = err == PTOOLS_OK ? 0 : (uint32_t)strlen(why);
    answers_add(&mapped, why, execute_now_us());
}

static void handle_frame(const struct link_frame *frame, const struct span *body)
{
    if (frame->type == LINK_START) {
        handle_start(frame);
    } else if (self.daemon == 0) {
        end_protocol("the first frame is not START");
    } else if (frame->type == LINK_RUN && !self.stask) {
        handle_run(frame, body);
    } else if (frame->type == LINK_MAP) {
        handle_map(frame);
    } else if (frame->type == LINK_FORGET) {
        arrays_forget(frame->task);
    } else if (frame->type == LINK_CANCEL && self.stask) {
        stask_cancel(frame->task);
    } else if (frame->type == LINK_STOP) {
        answers_flush();
        if (self.stask) {
            stask_flush(LAST_FLUSH_MS);
            execute_free_state();
        }
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
        if (self.stask) {
            if (stask_serve(self.link_fd))
                receive();
            continue;
        }
        execute_rest(); /* also so that no mask or directory outlives its task */
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            end_lost(errno);
        if (p.revents & POLLNVAL)
            end_lost(EBADF);
        if (p.revents)
            receive();
    }
}

/* -- birth ----------------------------------------------------------------------------------- */

/* A copy of the descriptor, above where functions meet it. -1: there is none left. */
static int settle(int fd, int from)
{
    int settled = fcntl(fd, F_DUPFD_CLOEXEC, from);

    return settled >= 0 ? settled : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1); /* a low limit: any will do */
}

enum { KEPT = 4 };

/* The next of these above that one; INT_MAX: none is. */
static int next_above(const int fds[KEPT], int above)
{
    int next = INT_MAX;

    for (size_t i = 0; i < KEPT; i++)
        if (fds[i] > above && fds[i] < next)
            next = fds[i];
    return next;
}

/* Nothing but stdio, the link, the socket for descriptors, and the fence and the control group, if there are. 0 or
 * -errno. */
static int settle_descriptors(int link_fd, int fds_fd, int fence_fd, int cgroup_fd, int *ret_fds_fd)
{
    int kept[KEPT] = { settle(link_fd, LINK_FD_FROM), settle(fds_fd, LINK_FD_FROM), 0, 0 };

    if (kept[0] < 0 || kept[1] < 0)
        return -errno;
    if (fence_fd > STDERR_FILENO) {
        kept[2] = settle(fence_fd, LINK_FD_FROM);
        if (kept[2] < 0)
            return -errno;
    }
    if (cgroup_fd > STDERR_FILENO) {
        kept[3] = settle(cgroup_fd, LINK_FD_FROM);
        if (kept[3] < 0)
            return -errno;
    }
    command_limits_configure(kept[3] > 0 ? kept[3] : -1);
    self.link_fd = kept[0];
    *ret_fds_fd = kept[1];
    for (int last = STDERR_FILENO, next; last != INT_MAX; last = next) {
        next = next_above(kept, last);
        if (next > last + 1 && close_range((unsigned)last + 1, next == INT_MAX ? ~0u : (unsigned)next - 1, 0) < 0)
            return -errno;
    }
    return 0;
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

/* What only a server task has. */
static void set_up_stask(const struct worker_birth *birth, size_t frame_max)
{
    struct ptools_task *t = execute_task();

    stask_init(self.page, birth->uid, frame_max);
    t->stask_index = birth->stask_index;
    t->stask_count = birth->stask_count;
    snprintf(t->prefix, sizeof t->prefix, "%s", birth->prefix);
}

static int set_up(const struct worker_birth *birth, struct modules *modules, const struct worker_options *options)
{
    struct rlimit data = { options->memory_max_bytes, options->memory_max_bytes };
    size_t value_max = options->message_max_bytes - MIN(options->message_max_bytes, (uint64_t)ENVELOPE_BYTES_MAX);
    char name[16];
    int fds_fd = -1, r;

    setpgid(0, 0);
    r = settle_descriptors(birth->link_fd, birth->fds_fd, options->fence_fd, birth->cgroup_fd, &fds_fd);
    if (r < 0)
        return r;
    errand_init(fds_fd, self.stask ? stask_add_lane : NULL);
    arrays_init(self.stask);
    if (self.stask)
        snprintf(name, sizeof name, "ptools-s%u", birth->stask_index);
    else
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
        r = -pthread_atfork(NULL, NULL, after_fork);
    if (r == 0 && atexit(before_death) != 0)
        r = -ENOMEM;
    if (r == 0)
        r = execute_init(self.page, self.stask ? 0 : self.id, modules, value_max, self.stask);
    command_configure(options->output_dir, options->output_max_bytes);
    if (r == 0 && self.stask)
        set_up_stask(birth, options->message_max_bytes);
    return r;
}

_Noreturn void worker_main(const struct worker_birth *birth, struct page *page, struct modules *modules,
                           const struct worker_options *options)
{
    int r;

    self = (struct worker){ .id = birth->id, .stask = birth->stask_count > 0, .page = page };
    intake_init(&self.in);
    log_set_worker(self.stask ? 0 : birth->id);
    r = set_up(birth, modules, options);
    if (r < 0) {
        log_say(LOG_LEVEL_ERROR, "worker-not-set-up", "%s", strerror(-r));
        _exit(WORKER_EXIT_MEMORY);
    }
    serve();
}
