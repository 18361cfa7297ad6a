/* SPDX-License-Identifier: MIT */
/*
 * daemon -- the loop, and the way from the core's actions to the sockets.
 *
 * One turn: a source is dispatched (somebody's bytes, a death, a timer); it tells the core and carries
 * out what that wants. Then the turn ends: the core assigns, everything that gathered leaves with one
 * system call a socket, to processes before clients (who may speak to server tasks themselves, and shall find done
 * what they were told is done), and the core's timer is set. Nothing here waits for anything but the loop.
 */
#include "daemon/ptoolsd/daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "daemon/ptoolsd/clock.h"
#include "daemon/ptoolsd/door.h"
#include "daemon/ptoolsd/fds.h"
#include "daemon/ptoolsd/front_link.h"
#include "daemon/ptoolsd/host.h"
#include "daemon/ptoolsd/log.h"
#include "daemon/ptoolsd/memory.h"
#include "daemon/ptoolsd/outputs.h"
#include "daemon/ptoolsd/process.h"
#include "daemon/ptoolsd/progress.h"
#include "daemon/ptoolsd/recorder.h"
#include "daemon/ptoolsd/supervisor.h"

enum {
    FAILED_DRAIN_MS = 5000,      /* the same as drain_ms, when the journal has failed */
    PRIVATE_UNUSED_US = 10000000 /* a private daemon to which nobody comes ends */
};

uint64_t daemon_now(struct daemon *d)
{
    uint64_t now = 0;

    sd_event_now(d->event, CLOCK_MONOTONIC, &now);
    return now;
}

void daemon_fail(struct daemon *d, const char *what, int error)
{
    log_error("daemon-fails", LOG_STR("msg", what), LOG_STR("why", error ? strerror(-error) : ""));
    d->exit_code = 1;
    sd_event_exit(d->event, 1);
}

/* -- carrying out ----------------------------------------------------------------------------------------- */

static void log_note(const struct action *a)
{
    static const struct {
        const char *event;
        enum log_level level;
    } notes[] = {
        [NOTE_WORKER_DIED] = { "worker-died", LOG_LEVEL_WARNING },
        [NOTE_WORKER_RECYCLED] = { "worker-recycled", LOG_LEVEL_INFO },
        [NOTE_WORKER_REMOVED] = { "worker-removed", LOG_LEVEL_INFO },
        [NOTE_WORKER_STUCK] = { "worker-stuck", LOG_LEVEL_ERROR },
        [NOTE_BACKOFF] = { "worker-backoff", LOG_LEVEL_WARNING },
        [NOTE_TASK_FAILED] = { "task-failed", LOG_LEVEL_INFO },
        [NOTE_MODULE_LOADED] = { "module-loaded", LOG_LEVEL_INFO },
        [NOTE_MODULE_BROKEN] = { "module-broken", LOG_LEVEL_WARNING },
        [NOTE_ARRAY_MADE] = { "array-made", LOG_LEVEL_DEBUG },
        [NOTE_ARRAY_ENDED] = { "array-ended", LOG_LEVEL_DEBUG },
        [NOTE_ARRAY_NOT_MAPPED] = { "array-not-mapped", LOG_LEVEL_WARNING },
        [NOTE_STASKS_STARTED] = { "stasks-started", LOG_LEVEL_INFO },
        [NOTE_STASKS_ENDED] = { "stasks-ended", LOG_LEVEL_INFO },
        [NOTE_STASK_DIED] = { "stask-died", LOG_LEVEL_WARNING },
        [NOTE_BREAKER_OPENED] = { "breaker-opened", LOG_LEVEL_WARNING },
        [NOTE_BREAKER_CLOSED] = { "breaker-closed", LOG_LEVEL_INFO },
    };

    log_at(notes[a->note].level, notes[a->note].event, LOG_U64("task", a->task), LOG_U64("worker", a->worker),
           LOG_STR("msg", a->text));
}

static void log_answer(const struct action *a)
{
    const struct msg_failure *f = &a->answer.failure;

    if (!a->answer.failed) {
        log_debug("answered", LOG_U64("client", a->client), LOG_U64("request", a->answer.id),
                  LOG_U64("task", a->answer.reply.task), LOG_U64("worker", a->answer.reply.worker));
        return;
    }
    log_debug("answered", LOG_U64("client", a->client), LOG_U64("request", a->answer.id), LOG_U64("task", f->task),
              LOG_U64("worker", f->worker), LOG_STR("code", ptools_errname(f->code)));
}

static void carry_out(struct daemon *d, size_t i)
{
    /* Feedback may append to d->actions and move it: a copy, and nothing of the array after this line. */
    const struct action a = d->actions.v[i];

    switch (a.type) {
    case ACT_RUN:
        log_debug("task-given", LOG_U64("task", a.task), LOG_U64("worker", a.worker), LOG_U64("attempt", a.attempt),
                  LOG_STR("function", a.function));
        supervisor_run(d->supervisor, &a);
        break;
    case ACT_FORGOTTEN:
        outputs_forget(d, a.queued_ms, a.task, a.attempt);
        break;
    case ACT_REVOKE: {
        bool taken = supervisor_revoke(d->supervisor, &a);

        log_debug("task-taken-back", LOG_U64("task", a.task), LOG_U64("worker", a.worker), LOG_U64("taken", taken));
        core_revoked(d->core, daemon_now(d), a.worker, a.task, taken, &d->actions);
        break;
    }
    case ACT_LOOK: {
        uint32_t items;
        bool running = supervisor_at(d->supervisor, a.worker, a.task, &items);

        core_looked(d->core, daemon_now(d), a.worker, a.task, running, items, &d->actions);
        break;
    }
    case ACT_CANCEL:
        log_info("task-stopping", LOG_U64("task", a.task), LOG_U64("worker", a.worker));
        if (supervisor_cancel(d->supervisor, a.worker, a.task) && is_stask_process(a.worker))
            core_stask_stopping(d->core, daemon_now(d), a.worker, a.task);
        break;
    case ACT_KILL:
        log_info("worker-killed", LOG_U64("worker", a.worker), LOG_U64("task", a.task));
        supervisor_kill(d->supervisor, a.worker);
        break;
    case ACT_ABANDON:
        supervisor_abandon(d->supervisor, a.worker);
        break;
    case ACT_STOP:
        supervisor_stop(d->supervisor, a.worker, a.kill_politely);
        break;
    case ACT_KILL_CALL:
        supervisor_kill_call(d->supervisor, a.worker, a.task);
        break;
    case ACT_ARRAY_MAKE:
        memory_make(d->memory, &a);
        break;
    case ACT_ARRAY_DROP:
        memory_drop(d->memory, a.array);
        break;
    case ACT_ARRAY_MAP:
        supervisor_array(d->supervisor, a.worker, a.array, true);
        break;
    case ACT_ARRAY_FORGET:
        supervisor_array(d->supervisor, a.worker, a.array, false);
        break;
    case ACT_ARRAY_GIVE:
        fds_give(d->fds, &a);
        break;
    case ACT_SPAWN:
        supervisor_spawn(d->supervisor, a.worker);
        break;
    case ACT_LOAD:
        supervisor_load(d->supervisor, a.function);
        break;
    case ACT_ANSWER: {
        struct action *own = &d->actions.v[i]; /* its texts may point into itself */

        if (log_level_max >= LOG_LEVEL_DEBUG)
            log_answer(own);
        door_answer(d->door, own->client, &own->answer, own->payload);
        break;
    }
    case ACT_EVENT:
        if (!door_event(d->door, a.client, &a.answer))
            core_event_missed(d->core, a.client, a.answer.id, &a.answer.event);
        break;
    case ACT_RECORD:
        d->actions.v[i].row = NULL;
        recorder_put(d->recorder, a.row);
        break;
    case ACT_NOTE:
        log_note(&a);
        break;
    case ACT_BUG:
        log_error("bug", LOG_STR("msg", a.text), LOG_U64("task", a.task), LOG_U64("worker", a.worker));
        break;
    }
}

void daemon_deliver(struct daemon *d)
{
    if (d->delivering)
        return; /* the loop below sees what was appended */
    d->delivering = true;
    /* Of a decision that was not made to its end nothing is carried out, least of all rows of the journal: to whoever
     * opens that next it looks as if the daemon had been killed a moment earlier. */
    for (size_t i = 0; i < d->actions.n && !d->actions.no_memory; i++)
        carry_out(d, i);
    d->delivering = false;
    if (d->actions.no_memory)
        daemon_fail(d, "carrying out a decision", -ENOMEM);
    actions_clear(&d->actions);
}

/* -- the turn ----------------------------------------------------------------------------------------------- */

static int on_core_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
    struct daemon *d = userdata;

    (void)s;
    (void)usec;
    d->core_timer_us = CORE_NEVER;
    core_tick(d->core, daemon_now(d), &d->actions);
    daemon_deliver(d);
    return 0;
}

/* Set to what the core wants, but left alone when it rings earlier: a ring too many costs less than setting it
 * anew in every turn. What is due by now is the rest of what there was no room for in this turn: it takes turns with
 * the clients, who would not be heard before its end otherwise. */
static int set_core_timer(struct daemon *d)
{
    uint64_t next = core_next_us(d->core);
    int r;

    if (next >= d->core_timer_us)
        return 0;
    r = sd_event_source_set_priority(d->core_timer, next <= daemon_now(d) ? PHASE_CLIENT : PHASE_TIMER);
    if (r >= 0)
        r = sd_event_source_set_time(d->core_timer, next);
    if (r >= 0)
        r = sd_event_source_set_enabled(d->core_timer, SD_EVENT_ONESHOT);
    if (r >= 0)
        d->core_timer_us = next;
    return r;
}

/* A private daemon ends with its last client and with what was left to it to do; a draining one with its last task,
 * when its answer has left. */
static void end_if_done(struct daemon *d)
{
    if (d->config->private_mode && !d->draining && door_was_used(d->door) && door_clients(d->door) == 0 &&
        core_tasks(d->core) == 0 && !core_queue_goes_on(d->core)) {
        door_stop_listening(d->door);
        d->draining = true;
    }
    if (d->draining && core_tasks(d->core) == 0 && (d->hurry || core_unrecorded(d->core) == 0) &&
        (d->config->private_mode || core_stask_processes(d->core) == 0) &&
        (d->hurry || (!door_pending(d->door) && core_values_untaken(d->core) == 0)))
        sd_event_exit(d->event, d->exit_code);
}

static void turn_end(struct daemon *d)
{
    bool more;

    do { /* a task that was taken back, a client that ended: the core has something to assign again */
        core_assign(d->core, daemon_now(d), &d->actions);
        more = d->actions.n > 0;
        daemon_deliver(d);
        supervisor_flush(d->supervisor);
        more |= door_flush(d->door);
        more |= d->actions.n > 0;
    } while (more);
    recorder_turn(d->recorder);
    progress_turn(d);
    memory_turn(d->memory);
    front_link_turn(d->front, d->front && door_clients(d->door) == 0 && core_may_rest(d->core));
    if (set_core_timer(d) < 0)
        daemon_fail(d, "setting a timer", -ENOMEM);
    end_if_done(d);
}

/* -- the end ---------------------------------------------------------------------------------------------------- */

static int on_drain_over(sd_event_source *s, uint64_t usec, void *userdata)
{
    struct daemon *d = userdata;

    (void)s;
    (void)usec;
    log_warning("drain-over", LOG_U64("tasks", core_tasks(d->core)));
    d->hurry = true;
    core_drain(d->core, daemon_now(d), true, &d->actions);
    daemon_deliver(d);
    return 0;
}

void daemon_drain(struct daemon *d)
{
    const uint64_t now = daemon_now(d);
    const uint64_t most_ms = recorder_failed(d->recorder) ? FAILED_DRAIN_MS : UINT64_MAX;
    const uint64_t drain_ms = MIN(d->config->drain_ms, most_ms);

    if (d->draining)
        d->hurry = true;
    log_info("draining", LOG_U64("tasks", core_tasks(d->core)), LOG_U64("hurry", d->hurry));
    d->draining = true;
    sd_notify(0, "STOPPING=1\nSTATUS=Waiting for running tasks.");
    door_stop_listening(d->door);
    front_link_leaves(d->front);
    core_drain(d->core, now, d->hurry, &d->actions);
    daemon_deliver(d);
    if (!d->drain_timer && sd_event_add_time(d->event, &d->drain_timer, CLOCK_MONOTONIC,
                                             now + drain_ms * UINT64_C(1000), 1000, on_drain_over, d) < 0)
        daemon_fail(d, "setting a timer", -ENOMEM);
}

static int on_stop_signal(sd_event_source *s, const struct signalfd_siginfo *info, void *userdata)
{
    struct daemon *d = userdata;

    (void)s;
    log_info("signal", LOG_U64("signal", info->ssi_signo), LOG_U64("from", info->ssi_pid));
    daemon_drain(d);
    return 0;
}

static void limits_from(const struct config *c, struct core_limits *l)
{
    core_limits_default(l);
    l->workers_max = (uint32_t)c->workers_max;
    l->stand_ins_max = (uint32_t)c->stand_ins_max;
    l->user_tasks_max = (uint32_t)c->user_tasks_max;
    l->user_bytes_max = c->user_bytes_max;
    l->user_sets_max = (uint32_t)c->user_sets_max;
    l->modules_max = (uint32_t)c->modules_max;
    l->user_arrays_max = (uint32_t)c->user_arrays_max;
    l->user_shm_max = c->user_shm_max ? c->user_shm_max : UINT64_MAX / 2;
    l->shm_max = c->shm_max ? c->shm_max : UINT64_MAX / 2;
    l->user_stasks_max = (uint32_t)c->user_stasks_max;
    l->kill_grace_us = c->kill_grace_ms * 1000;
    l->ahead_max = (uint32_t)c->ahead;
    l->user_queued_max = (uint32_t)c->user_queued_max;
    l->user_queue_bytes_max = c->user_queue_bytes_max;
    l->user_kept_max = (uint32_t)c->user_kept_max;
    l->user_kept_bytes_max = c->user_kept_bytes_max;
    l->result_max = c->result_max;
    l->keep_us = c->keep_s * 1000000;
    l->keep_volatile_us = c->keep_volatile_s * 1000000;
    l->breaker_kills = (uint32_t)c->breaker_kills;
    l->breaker_window_us = c->breaker_window_s * 1000000;
    l->breaker_wait_us = c->breaker_wait_s * 1000000;
    l->breaker_wait_max_us = c->breaker_wait_max_s * 1000000;
    l->ageing = (double)c->ageing / 3600;
    l->journal = c->journal;
    l->recycle_tasks = (uint32_t)c->recycle_tasks;
    l->recycle_kb = (uint32_t)MIN(c->recycle_memory / 1024, UINT32_MAX);
    l->recycle_fds = (uint32_t)c->recycle_descriptors;
}

void daemon_reload(struct daemon *d)
{
    const uint64_t workers = d->config->workers;
    struct core_limits limits;

    if (d->draining)
        return;
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, daemon_now(d));
    if (reload_config(&d->start.source)) {
        limits_from(d->config, &limits);
        core_limits_set(d->core, &limits);
        supervisor_renew(d->supervisor); /* so that workers that are made now are told the new settings, too */
        core_workers_change(d->core, daemon_now(d), (int32_t)d->config->workers - (int32_t)workers, &d->actions);
        daemon_deliver(d);
        core_workers_renew(d->core, daemon_now(d), &d->actions);
        daemon_deliver(d);
    }
    sd_notify(0, "READY=1");
}

static int on_reload_signal(sd_event_source *s, const struct signalfd_siginfo *info, void *userdata)
{
    (void)s;
    (void)info;
    daemon_reload(userdata);
    return 0;
}

static int on_unused(sd_event_source *s, uint64_t usec, void *userdata)
{
    struct daemon *d = userdata;

    (void)usec;
    sd_event_source_disable_unref(s);
    if (!door_was_used(d->door))
        daemon_drain(d);
    return 0;
}

/* -- the beginning ------------------------------------------------------------------------------------------------ */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Whoever started it waits for this, or for the end of this process: one of the two must come. */
static void tell_starter(struct daemon *d)
{
    ssize_t n;

    do
        n = write(d->start.ready_fd, "READY\n", 6);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EPIPE)
        log_warning("ready-fd", LOG_STR("why", "nobody reads it any more"));
    else if (n != 6)
        daemon_fail(d, "telling that it is ready", n < 0 ? -errno : -EIO);
}

void daemon_tell_ready(struct daemon *d)
{
    struct core_worker_view w;

    if (d->ready)
        return;
    for (size_t i = 0; core_view_worker(d->core, i, &w); i++)
        if (strcmp(w.state, "starting") == 0 || strcmp(w.state, "dead") == 0)
            return;
    d->ready = true;
    log_info("ready", LOG_STR("dir", d->config->dir), LOG_U64("workers", d->config->workers));
    sd_notify(0, "READY=1\nSTATUS=Serving.");
    if (d->start.ready_fd >= 0)
        tell_starter(d);
    if (d->start.stderr_fd >= 0)
        log_init(d->config->log_level, STDERR_FILENO, LOG_JOURNAL_SOCKET);
    close_fd(&d->start.ready_fd);
    close_fd(&d->start.stderr_fd);
}

/* Of a journal that cannot be used: a negative number, and d->exit_code is set; else 0. */
static int said(struct daemon *d, int r, const char *why)
{
    if (r == 0)
        return 0;
    log_error("journal-refused", LOG_STR("dir", d->config->state_dir), LOG_STR("why", why[0] ? why : strerror(-r)));
    d->exit_code = r == JOURNAL_BAD_DATA ? JOURNAL_EXIT_BAD_DATA : 1;
    return -ECANCELED;
}

static int daemon_start(struct daemon *d)
{
    struct core_limits limits;
    char why[JOURNAL_WHY_BYTES] = "";
    uint8_t seed[CORE_SEED_BYTES];
    sd_event_source *unused;
    int r;

    r = door_new(d, d->start.listen_fd, &d->door);
    d->start.listen_fd = -1;
    if (r < 0)
        return r;
    r = fds_new(d, d->start.fds_fd, &d->fds);
    d->start.fds_fd = -1;
    if (r >= 0)
        r = memory_new(d, &d->memory);
    if (r >= 0 && d->start.front_fd >= 0) {
        r = front_link_new(d, d->start.front_fd, &d->front);
        d->start.front_fd = -1;
    }
    if (r < 0)
        return r;
    if (getrandom(d->epoch, sizeof d->epoch, 0) != (ssize_t)sizeof d->epoch ||
        getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        return -errno;
    core_seed(seed);
    limits_from(d->config, &limits);
    d->started_us = daemon_now(d);
    d->core = core_new(&limits, clock_first_task(), (uint32_t)d->config->workers, d->started_us, &d->actions);
    if (!d->core)
        return -ENOMEM;
    r = host_tell(d->core);
    if (r >= 0)
        r = said(d, recorder_open(d, clock_wall_ms() - d->started_us / 1000, &d->recorder, why), why);
    if (r >= 0) {
        r = cgroups_new(d, d->start.cgroup_fd, &d->cgroups);
        d->start.cgroup_fd = -1;
    }
    if (r >= 0)
        r = supervisor_new(d, &d->supervisor);
    clock_tell(d->core);
    if (r >= 0) /* the first template is no child of a process with threads */
        r = said(d, recorder_start(d->recorder, why), why);
    if (r >= 0)
        outputs_sweep(d);
    if (r >= 0)
        r = sd_event_add_time(d->event, &d->core_timer, CLOCK_MONOTONIC, 0, 1, on_core_timer, d);
    if (r >= 0)
        r = sd_event_source_set_priority(d->core_timer, PHASE_TIMER);
    if (r >= 0)
        r = sd_event_source_set_enabled(d->core_timer, SD_EVENT_OFF);
    if (r >= 0)
        r = clock_watch(d->event);
    if (r >= 0 && d->config->private_mode)
        r = sd_event_add_time_relative(d->event, &unused, CLOCK_MONOTONIC, PRIVATE_UNUSED_US, 1000, on_unused, d);
    for (size_t i = 0; r >= 0 && i < 3; i++) {
        const int signal = (const int[]){ SIGTERM, SIGINT, SIGHUP }[i];
        sd_event_source *source = NULL;

        r = sd_event_add_signal(d->event, &source, signal, signal == SIGHUP ? on_reload_signal : on_stop_signal, d);
        if (r >= 0)
            r = sd_event_source_set_priority(source, PHASE_STOP);
        if (r >= 0)
            r = sd_event_source_set_floating(source, true);
        sd_event_source_unref(source);
    }
    if (r >= 0)
        r = sd_event_set_watchdog(d->event, true);
    if (r >= 0)
        front_link_up(d->front);
    return r;
}

static void daemon_end(struct daemon *d)
{
    int status;

    if (d->door)
        door_close(d->door);
    recorder_turn(d->recorder);
    d->supervisor = supervisor_free(d->supervisor);
    d->cgroups = cgroups_free(d->cgroups);
    outputs_end(d);
    status = recorder_end(d->recorder);
    if (status && d->exit_code == 0)
        d->exit_code = status;
    d->front = front_link_free(d->front);
    d->fds = fds_free(d->fds);
    d->door = door_free(d->door);
    d->memory = memory_free(d->memory);
    sd_event_source_disable_unref(d->core_timer);
    sd_event_source_disable_unref(d->drain_timer);
    sd_event_source_disable_unref(d->progress_timer);
    actions_deinit(&d->actions);
    d->core = core_free(d->core);
    sd_event_unref(d->event);
    close_fd(&d->fence_fd);
    close_fd(&d->start.listen_fd);
    close_fd(&d->start.fds_fd);
    close_fd(&d->start.front_fd);
    close_fd(&d->start.cgroup_fd);
    close_fd(&d->start.ready_fd);
    close_fd(&d->start.stderr_fd);
}

static int turn(struct daemon *d)
{
    int r = sd_event_prepare(d->event);

    if (r == 0)
        r = sd_event_wait(d->event, UINT64_MAX);
    if (r <= 0)
        return r;
    clock_tell(d->core); /* it may have been set while the daemon slept: who asks now means the time that it is now */
    r = sd_event_dispatch(d->event);
    if (r >= 0)
        turn_end(d);
    return r;
}

int daemon_run(const struct config *config, struct start *take_start)
{
    struct daemon d = { .config = config, .start = *take_start, .core_timer_us = CORE_NEVER, .fence_fd = -1 };
    int r;

    actions_init(&d.actions);
    r = sd_event_new(&d.event);
    if (r >= 0)
        r = daemon_start(&d);
    if (r < 0 && d.exit_code == 0) {
        log_error("cannot-start", LOG_STR("why", strerror(-r)));
        d.exit_code = 1;
    } else if (r >= 0) {
        turn_end(&d);
        while (r >= 0 && sd_event_get_state(d.event) != SD_EVENT_FINISHED)
            r = turn(&d);
        if (r < 0)
            daemon_fail(&d, "the event loop", r);
    }
    daemon_end(&d);
    log_info("ended", LOG_U64("status", (uint64_t)d.exit_code));
    return d.exit_code;
}
