/* SPDX-License-Identifier: MIT */
/*
 * template -- the template process and its seqpacket link: "load this", "make a worker".
 *
 * What is asked waits in order until the link takes it; what was asked and not answered is known, so that the
 * template's death leaves nobody waiting: loads are asked of the next one, and fail with the reason if that ends as
 * well (a SIGKILL from outside is hardly a module's doing: it takes eight); processes that were asked for are reported
 * as gone, and the core asks again in its own time. Workers do not die with the template. A new one is started at once,
 * or, if the last did not even come up, after a pause that doubles from 100 ms to 30 s; the very first must come up, or
 * ptoolsd does not start. That one is renewed is nobody's fault, and nobody waits longer for it: it still makes the
 * processes that it was sent for, is sent nothing more, and then is ended.
 *
 * Longer than a file should be: asking, answers and the end are one state, which is nobody else's.
 */
#include "daemon/ptoolsd/template.h"

#include <errno.h>
#include <limits.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/ptoolsd/log.h"
#include "daemon/ptoolsd/process.h"

enum { LINK_FD = 3, FENCE_FD, SPAWN_FDS = 4, PAUSE_MIN_US = 100000, PAUSE_MAX_US = 30000000,
       LOAD_DEATHS_MAX = 8, OWN_DEATH = 4, ANSWER_US = 30000000 /* longer than it gives a module to load */ };

/* A request that is not answered yet. */
struct asking {
    bool sent;
    unsigned deaths;                  /* of templates that had it: OWN_DEATH each, but 1 if killed from outside */
    uint32_t worker;                  /* a process; 0: a module */
    char module[NAME_BYTES_MAX + 1];
    TAILQ_ENTRY(asking) link;
};

struct template {
    struct supervisor *s;
    pid_t pid;                        /* 0: none now */
    int pidfd;
    int link_fd;
    sd_event_source *link_source, *exit_source, *restart_timer;
    sd_event_source *overdue;         /* kills it when an answer takes too long; on while one is awaited */
    uint32_t events;
    bool ready;
    bool ours;                        /* killed by this daemon, for what it did */
    bool outdated;                    /* to be renewed, when it is ready and forks nothing */
    bool renewed;                     /* killed by this daemon, to be followed by another at once */
    bool was_ready;                   /* ever: the first one came up */
    uint64_t pause_us;
    TAILQ_HEAD(, asking) asked;       /* sent ones first */
    uint8_t packet[LINK_PACKET_BYTES];
};

static int template_start(struct template *t);
static void send_asked(struct template *t);
static void renew_if_due(struct template *t);

pid_t template_pid(const struct template *t)
{
    return t ? t->pid : 0;
}

/* -- starting it ---------------------------------------------------------------------------------------- */

/* The environment of functions is made from this list and PTOOLS_...: nothing that steers ld.so or malloc. The daemon
 * that they find is this one, whatever its own environment says. */
static const char *const environment_kept[] = {
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "XDG_RUNTIME_DIR",
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS",
#endif
};
enum { ENVIRONMENT_MAX = 64 };

extern char **environ;

static bool environment_keeps(const char *entry)
{
    for (size_t i = 0; i < ELEMENTS(environment_kept); i++) {
        size_t n = strlen(environment_kept[i]);

        if (strncmp(entry, environment_kept[i], n) == 0 && entry[n] == '=')
            return true;
    }
    return false;
}

static void environment_make(char *dir, char *env[ENVIRONMENT_MAX + 1])
{
    size_t n = 0;

    env[n++] = dir;

    for (char **e = environ; e && *e && n <= ELEMENTS(environment_kept); e++)
        if (environment_keeps(*e))
            env[n++] = *e;
    for (char **e = environ; e && *e && n < ENVIRONMENT_MAX; e++) /* then as many of these as there is room for */
        if (strncmp(*e, "PTOOLS_", 7) == 0 && strncmp(*e, "PTOOLS_DIR=", 11) != 0 &&
            strncmp(*e, "PTOOLS_ADDRESS=", 15) != 0)
            env[n++] = *e;
    env[n] = NULL;
}

/* The program with the link as descriptor 3, the fence as 4 (if there is one), and nothing else but stdio.
 * 0 or -errno. */
static int template_exec(struct template *t, int child_fd)
{
    const struct config *config = t->s->d->config;
    const bool fenced = t->s->d->fence_fd >= 0;
    char parent[16], memory[24], message[24], output[24], nice[8], *env[ENVIRONMENT_MAX + 1], dir[PATH_MAX + 16];
    const char *argv[] = { config->worker_program, "--template", "--parent", parent,
                           "--module-path", config->module_path, "--log-level", log_level_name(config->log_level),
                           "--memory-max", memory, "--message-max", message,
                           "--output-dir", config->output_dir, "--output-max", output, "--nice", nice,
                           fenced ? "--fence" : NULL, NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    int r;

    snprintf(parent, sizeof parent, "%d", (int)getpid());
    snprintf(memory, sizeof memory, "%llu", (unsigned long long)config->memory_max);
    snprintf(message, sizeof message, "%llu", (unsigned long long)config->message_max);
    snprintf(output, sizeof output, "%llu", (unsigned long long)config->output_max);
    snprintf(nice, sizeof nice, "%llu", (unsigned long long)config->nice);
    snprintf(dir, sizeof dir, "PTOOLS_DIR=%s", config->dir);
    environment_make(dir, env);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(&actions, child_fd, LINK_FD);
    if (r == 0 && fenced)
        r = posix_spawn_file_actions_adddup2(&actions, t->s->d->fence_fd, FENCE_FD);
    if (r == 0)
        r = posix_spawn_file_actions_addclosefrom_np(&actions, fenced ? FENCE_FD + 1 : FENCE_FD);
    if (r == 0)
        r = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (r == 0)
        r = posix_spawnattr_setsigmask(&attr, &none);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(&attr, &all);
    if (r == 0)
        r = posix_spawn(&t->pid, argv[0], &actions, &attr, (char *const *)argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    if (r != 0)
        t->pid = 0;
    return -r;
}

/* -- answers --------------------------------------------------------------------------------------------- */

/* The clock runs while something that was sent is not answered, anew from each answer. */
static void set_overdue(struct template *t)
{
    struct asking *first = TAILQ_FIRST(&t->asked);
    bool awaited = first && first->sent;

    if (sd_event_source_set_time(t->overdue, daemon_now(t->s->d) + ANSWER_US) < 0 ||
        sd_event_source_set_enabled(t->overdue, awaited ? SD_EVENT_ONESHOT : SD_EVENT_OFF) < 0)
        daemon_fail(t->s->d, "setting a timer", -ENOMEM);
}

static void kill_for_cause(struct template *t)
{
    t->ours = true;
    kill(t->pid, SIGKILL);
}

static int on_template_overdue(sd_event_source *s, uint64_t usec, void *userdata)
{
    struct template *t = userdata;

    (void)s;
    (void)usec;
    log_error("template-overdue", LOG_U64("pid", (uint64_t)t->pid));
    if (t->pid > 0)
        kill_for_cause(t);
    return 0;
}

static struct asking *asking_free(struct template *t, struct asking *a)
{
    TAILQ_REMOVE(&t->asked, a, link);
    free(a);
    set_overdue(t);
    return NULL;
}

static struct process *process_by_id(struct supervisor *s, uint32_t id)
{
    struct process *p;

    HASH_FIND(hh, s->by_id, &id, sizeof id, p);
    return p;
}

/* The process that was asked for does not come. */
static void spawn_failed(struct template *t, uint32_t worker, const char *why)
{
    log_error("worker-not-made", LOG_U64("worker", worker), LOG_STR("why", why));
    process_free(process_by_id(t->s, worker));
    process_not_made(t->s, worker, why);
}

static void handle_spawned(struct template *t, const struct link_frame *f, const char *why)
{
    struct process *p = process_by_id(t->s, f->worker);
    struct asking *a;
    int r;

    TAILQ_FOREACH(a, &t->asked, link)
        if (a->sent && a->worker == f->worker && f->worker != 0)
            break;
    if (!a || !p)
        return;
    asking_free(t, a);
    r = f->code == PTOOLS_OK ? process_born(p, (pid_t)f->a) : -EAGAIN;
    if (r < 0)
        spawn_failed(t, f->worker, f->code == PTOOLS_OK ? strerror(-r) : why);
    renew_if_due(t);
    orphans_end_due(t->s);
    daemon_deliver(t->s->d);
}

static void handle_loaded(struct template *t, const uint8_t *body, size_t n)
{
    struct daemon *d = t->s->d;
    AUTO(report) report = NULL;
    struct asking *a;
    int r = report_decode(body, n, &report);

    if (r < 0) {
        log_error("template-broke-protocol", LOG_STR("msg", "a malformed module report"));
        kill_for_cause(t);
        return;
    }
    TAILQ_FOREACH(a, &t->asked, link)
        if (a->sent && a->worker == 0 && strcmp(a->module, report->module) == 0)
            break;
    if (!a)
        return;
    asking_free(t, a);
    core_module_loaded(d->core, daemon_now(d), report, &d->actions);
    daemon_deliver(d);
}

bool template_is_forking(const struct template *t)
{
    const struct asking *a;

    TAILQ_FOREACH(a, &t->asked, link)
        if (a->sent && a->worker != 0)
            return true;
    return false;
}

static bool is_asked(const struct template *t, const char *module)
{
    const struct asking *a;

    TAILQ_FOREACH(a, &t->asked, link)
        if (a->worker == 0 && strcmp(a->module, module) == 0)
            return true;
    return false;
}

static void handle_ready(struct template *t)
{
    struct core_module_view m;

    t->ready = true;
    t->pause_us = 0;
    log_info("template-ready", LOG_U64("pid", (uint64_t)t->pid));
    for (size_t i = 0; t->was_ready && core_view_module(t->s->d->core, i, &m); i++)
        if (m.report && m.report->code == PTOOLS_OK && !is_asked(t, m.name))
            template_load(t, m.name); /* a new template has the modules of the old one, as they are now */
    t->was_ready = true;
    renew_if_due(t);
    send_asked(t);
}

/* One packet. 1: there was one; 0: none now, or the end. */
static int template_receive(struct template *t)
{
    struct link_frame f;
    ssize_t got = recv(t->link_fd, t->packet, sizeof t->packet - 1, MSG_DONTWAIT);

    if (got < (ssize_t)sizeof f)
        return 0;
    memcpy(&f, t->packet, sizeof f);
    t->packet[got] = '\0';
    switch (f.type) {
    case LINK_TEMPLATE_READY:
        handle_ready(t);
        break;
    case LINK_SPAWNED:
        handle_spawned(t, &f, (const char *)t->packet + sizeof f);
        break;
    case LINK_LOADED:
        handle_loaded(t, t->packet + sizeof f, (size_t)got - sizeof f);
        break;
    default:
        log_error("template-broke-protocol", LOG_U64("type", f.type));
        kill_for_cause(t);
    }
    return 1;
}

static int on_template_link(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    struct template *t = userdata;

    (void)s;
    (void)fd;
    if (revents & EPOLLIN)
        while (t->link_fd >= 0 && template_receive(t))
            ;
    if (revents & EPOLLOUT)
        send_asked(t);
    if (revents & EPOLLHUP) /* its end is told by the pidfd; this one would never rest */
        t->link_source = sd_event_source_disable_unref(t->link_source);
    return 0;
}

/* -- asking ------------------------------------------------------------------------------------------------ */

/* 1: sent; 0: the link is full, or the machine short of something; -1: the link is broken. */
static int send_packet(struct template *t, struct link_frame *f, const char *body, const int *fds, size_t n_fds)
{
    struct iovec iov[2] = { { f, sizeof *f }, { (void *)(uintptr_t)body, strlen(body) } };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(SPAWN_FDS * sizeof(int))];
    } control = { 0 };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

    f->body_bytes = (uint32_t)iov[1].iov_len;
    if (n_fds > 0) {
        msg.msg_control = control.room;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
    }
    if (sendmsg(t->link_fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        return 1;
    return errno == EAGAIN || errno == EINTR || errno == ETOOMANYREFS || errno == ENOMEM || errno == ENOBUFS ? 0 : -1;
}

static int send_one(struct template *t, const struct asking *a)
{
    struct link_frame f = { .type = a->worker ? LINK_SPAWN : LINK_LOAD, .worker = a->worker };
    struct process *p = a->worker ? process_by_id(t->s, a->worker) : NULL;
    struct core_stask_place place = { .prefix = "" };
    int fds[SPAWN_FDS];

    if (!a->worker)
        return send_packet(t, &f, a->module, NULL, 0);
    if (!p)
        return 1; /* gone meanwhile: handle_spawned() finds nobody */
    if (is_stask_process(a->worker)) {
        if (!core_stask_where(t->s->d->core, a->worker, &place))
            return 1;
        f.slot = place.index;
        f.attempt = place.count;
        f.a = place.uid;
    }
    fds[0] = p->child_link_fd;
    fds[1] = p->page_fd;
    fds[2] = p->child_fds_fd;
    fds[3] = p->cgroup.fd; /* if it has one */
    return send_packet(t, &f, place.prefix, fds, p->cgroup.fd >= 0 ? SPAWN_FDS : SPAWN_FDS - 1);
}

bool template_close(struct template *t, int fd)
{
    struct link_frame f = { .type = LINK_CLOSE };

    if (!t || !t->ready || t->link_fd < 0 || send_packet(t, &f, "", &fd, 1) != 1)
        return false;
    close(fd);
    return true;
}

static void send_asked(struct template *t)
{
    uint32_t events = EPOLLIN;
    struct asking *a;

    if (!t->ready)
        return;
    TAILQ_FOREACH(a, &t->asked, link) {
        int r;

        if (!a->sent && t->outdated)
            break; /* the next one gets it */
        r = a->sent ? 1 : send_one(t, a);
        if (r == 0)
            events |= EPOLLOUT;
        if (r <= 0)
            break;
        a->sent = true;
        set_overdue(t);
    }
    if (t->link_source && events != t->events && sd_event_source_set_io_events(t->link_source, events) >= 0)
        t->events = events;
}

static void ask(struct template *t, uint32_t worker, const char *module)
{
    struct asking *a = calloc(1, sizeof *a);

    if (!a) {
        daemon_fail(t->s->d, "asking the template", -ENOMEM);
        return;
    }
    a->worker = worker;
    snprintf(a->module, sizeof a->module, "%s", module);
    TAILQ_INSERT_TAIL(&t->asked, a, link);
    send_asked(t);
}

void template_spawn(struct template *t, struct process *p)
{
    ask(t, p->id, "");
}

void template_load(struct template *t, const char *module)
{
    ask(t, 0, module);
}

/* -- its end ------------------------------------------------------------------------------------------------ */

static int on_restart(sd_event_source *s, uint64_t usec, void *userdata)
{
    struct template *t = userdata;
    int r;

    (void)s;
    (void)usec;
    r = template_start(t);
    if (r < 0) {
        log_error("template-not-started", LOG_STR("why", strerror(-r)));
        template_ended(t);
    }
    return 0;
}

static void close_link(struct template *t)
{
    t->link_source = sd_event_source_disable_unref(t->link_source);
    t->exit_source = sd_event_source_disable_unref(t->exit_source);
    if (t->link_fd >= 0)
        close(t->link_fd);
    if (t->pidfd >= 0)
        close(t->pidfd);
    t->link_fd = t->pidfd = -1;
    t->ready = false;
}

/* A load that several templates did not survive, or did not live to answer. */
static void load_failed(struct template *t, const char *module, const char *why)
{
    struct daemon *d = t->s->d;
    char name[NAME_BYTES_MAX + 1], problem[128], nothing[] = "";
    const struct report report = {
        .module = name, .help = nothing, .path = nothing, .problem = problem, .code = PTOOLS_ERR_MODULE_BROKEN
    };

    snprintf(name, sizeof name, "%s", module);
    snprintf(problem, sizeof problem, "%s", why);
    core_module_loaded(d->core, daemon_now(d), &report, &d->actions);
}

/* Whoever was promised an answer gets one. */
static void fail_asked(struct template *t, unsigned weight, const char *why)
{
    struct asking *a = TAILQ_FIRST(&t->asked), *next;

    for (; a; a = next) {
        const struct asking was = *a;

        next = TAILQ_NEXT(a, link);
        if (!a->sent)
            continue; /* the next template gets it */
        if (was.worker == 0 && (a->deaths += weight) < LOAD_DEATHS_MAX) {
            a->sent = false; /* it may be somebody else's doing */
            continue;
        }
        asking_free(t, a);
        if (was.worker)
            spawn_failed(t, was.worker, why);
        else
            load_failed(t, was.module, why);
    }
    set_overdue(t);
}

void template_ended(struct template *t)
{
    struct daemon *d = t->s->d;
    siginfo_t end = { 0 };
    bool outside;
    char why[96];

    while (t->link_fd >= 0 && template_receive(t))
        ;
    if (t->pid > 0 && (waitid(P_PID, (id_t)t->pid, &end, WEXITED | WNOHANG) < 0 || end.si_pid == 0))
        return;
    snprintf(why, sizeof why, "the template process ended (%s %d)", end.si_code == CLD_EXITED ? "status" : "signal",
             end.si_status);
    outside = end.si_code == CLD_KILLED && end.si_status == SIGKILL && !t->ours;
    close_link(t);
    t->pid = 0;
    if (!t->was_ready) {
        daemon_fail(d, why, 0);
        return;
    }
    if (t->renewed) {
        t->pause_us = 0;
        fail_asked(t, 0, "the template process was started anew");
    } else {
        log_error("template-died", LOG_STR("why", why), LOG_U64("pause_ms", t->pause_us / 1000));
        fail_asked(t, outside ? 1 : OWN_DEATH, why);
    }
    if (sd_event_source_set_time(t->restart_timer, daemon_now(d) + t->pause_us) < 0 ||
        sd_event_source_set_enabled(t->restart_timer, SD_EVENT_ONESHOT) < 0)
        daemon_fail(d, "starting the template again", -ENOMEM);
    t->pause_us = t->pause_us ? MIN(t->pause_us * 2, (uint64_t)PAUSE_MAX_US) : PAUSE_MIN_US;
    daemon_deliver(d);
}

static int on_template_exit(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    (void)s;
    (void)fd;
    (void)revents;
    template_ended(userdata);
    return 0;
}

static void renew_if_due(struct template *t)
{
    if (!t->outdated || !t->ready || t->renewed || template_is_forking(t))
        return;
    log_info("template-renewed", LOG_U64("pid", (uint64_t)t->pid));
    t->renewed = true;
    kill(t->pid, SIGKILL);
}

void template_renew(struct template *t)
{
    t->outdated = t->pid > 0; /* also one that is being started: it was told the settings before */
    renew_if_due(t);
}

/* -- life ------------------------------------------------------------------------------------------------------ */

/* Ends it at once: it has no state and nothing to tidy up. */
static void template_kill(struct template *t)
{
    siginfo_t si;

    close_link(t);
    if (t->pid > 0) {
        kill(t->pid, SIGKILL);
        waitid(P_PID, (id_t)t->pid, &si, WEXITED);
    }
    t->pid = 0;
}

static int template_start(struct template *t)
{
    sd_event *event = t->s->d->event;
    int pair[2], r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    t->link_fd = pair[0];
    t->ours = t->outdated = t->renewed = false;
    r = template_exec(t, pair[1]);
    close(pair[1]);
    if (r < 0) {
        log_error("template-not-started", LOG_STR("program", t->s->d->config->worker_program),
                  LOG_STR("why", strerror(-r)));
        close_link(t);
        return r;
    }
    t->pidfd = pidfd_of(t->pid);
    r = t->pidfd < 0 && t->pidfd != -ENOSYS ? t->pidfd : 0;
    t->events = EPOLLIN;
    if (r >= 0)
        r = sd_event_add_io(event, &t->link_source, t->link_fd, t->events, on_template_link, t);
    if (r >= 0)
        r = sd_event_source_set_priority(t->link_source, PHASE_WORKER_DATA);
    if (r >= 0 && t->pidfd >= 0)
        r = sd_event_add_io(event, &t->exit_source, t->pidfd, EPOLLIN, on_template_exit, t);
    if (r >= 0 && t->pidfd >= 0)
        r = sd_event_source_set_priority(t->exit_source, PHASE_WORKER_EXIT);
    if (r < 0)
        template_kill(t); /* nobody would hear it */
    return r < 0 ? r : 0;
}

/* The modules that the configuration names: loaded before the first worker is made. */
static void template_preload(struct template *t)
{
    char *list = strdup(t->s->d->config->preload), *rest = list;
    const char *name;

    while (list && (name = strsep(&rest, " \t,")))
        if (name_ok_module(name, strlen(name)))
            template_load(t, name);
    free(list);
}

int template_new(struct supervisor *s, struct template **ret)
{
    AUTO(template) t = calloc(1, sizeof *t);
    int r;

    if (!t)
        return -ENOMEM;
    t->s = s;
    t->link_fd = t->pidfd = -1;
    TAILQ_INIT(&t->asked);
    r = sd_event_add_time(s->d->event, &t->restart_timer, CLOCK_MONOTONIC, 0, 1000, on_restart, t);
    if (r >= 0)
        r = sd_event_source_set_priority(t->restart_timer, PHASE_TIMER);
    if (r >= 0)
        r = sd_event_source_set_enabled(t->restart_timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_time(s->d->event, &t->overdue, CLOCK_MONOTONIC, 0, 1000, on_template_overdue, t);
    if (r >= 0)
        r = sd_event_source_set_priority(t->overdue, PHASE_TIMER);
    if (r >= 0)
        r = sd_event_source_set_enabled(t->overdue, SD_EVENT_OFF);
    if (r >= 0)
        r = template_start(t);
    if (r < 0)
        return r;
    template_preload(t);
    *ret = TAKE(t);
    return 0;
}

struct template *template_free(struct template *t)
{
    struct asking *a, *next;

    if (!t)
        return NULL;
    template_kill(t);
    sd_event_source_disable_unref(t->restart_timer);
    for (a = TAILQ_FIRST(&t->asked); a; a = next) {
        next = TAILQ_NEXT(a, link);
        free(a);
    }
    sd_event_source_disable_unref(t->overdue);
    free(t);
    return NULL;
}
