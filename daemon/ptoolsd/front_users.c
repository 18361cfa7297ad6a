/* SPDX-License-Identifier: MIT */
/*
 * front_users -- a user's daemon, from the wish for it to its end, as the front sees it: a socket to it, a pipe from it.
 *
 *     none --somebody comes--> coming --UP--> there --IDLE, LEAVE--> leaving --end of file--> none
 *                                | who comes    |                       | who comes meanwhile waits for the next one
 *                                | waits        |
 *                                +--------------+--end of file--> resting --pause over--> none
 *
 * Who waits for one that ends before it is UP is told why, for which ptools-spawn has a moment.
 * A daemon that ended otherwise than by leaving makes its user wait, longer each time it did not live for LIVED_US;
 * who comes meanwhile is told when to come again, and why the last one ended if ptools-spawn has said so.
 */
#include "daemon/ptoolsd/front_users.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "daemon/ptoolsd/log.h"
#include "daemon/ptoolsd/refuse.h"
#include "daemon/ptoolsd/table.h"
#include "proto/util.h"

enum { PACKETS_A_TURN = 32, WAITING_MAX = 512, ALL_WAITING_MAX = 8192, PAUSE_MIN_US = 100000, PAUSE_MAX_US = 30000000, LIVED_US = 10000000,
       TELL_US = 1000000, WHY_BYTES = 320 };

struct waiting { /* for the daemon of a user that is coming, or follows one that is leaving */
    enum front_kind door;
    int fd;
    TAILQ_ENTRY(waiting) link;
};

struct front_user {
    struct front_users *f;
    uint32_t uid;
    int fd;       /* -1: it has no daemon */
    int words_fd; /* the pipe from it */
    sd_event_source *source;
    uint64_t sent; /* connections, since BEGIN */
    bool coming;   /* it has not said yet that it serves */
    bool leaving;
    sd_event_source *why_timer; /* until those who wait are told why it did not come */
    uint64_t since_us, pause_us, retry_at_us;
    char why[FRONT_TEXT_BYTES]; /* the last one ended, or did not begin; "" */
    TAILQ_HEAD(, waiting) waiting;
    unsigned n_waiting;
    UT_hash_handle hh;
};

struct front_users {
    sd_event *event;
    const struct config *config;
    struct refuse *refuse;
    struct front_user *users;
    unsigned n; /* that have a daemon */
    unsigned n_waiting; /* of all users */
    bool draining;
    void (*watch)(void *userdata, uint32_t uid, bool up);
    void *watch_userdata;
    int spawn_fd; /* to ptools-spawn; -1 */
    sd_event_source *spawn_source;
};

static uint64_t now_us(const struct front_users *f)
{
    uint64_t now = 0;

    sd_event_now(f->event, CLOCK_MONOTONIC, &now);
    return now;
}

void front_users_watch(struct front_users *f, void (*fn)(void *userdata, uint32_t uid, bool up), void *userdata)
{
    f->watch = fn;
    f->watch_userdata = userdata;
}

static void tell_watch(const struct front_user *u, bool up)
{
    if (u->f->watch)
        u->f->watch(u->f->watch_userdata, u->uid, up);
}

unsigned front_users_n(const struct front_users *f)
{
    return f->n;
}

bool front_users_has(const struct front_users *f, uint32_t uid)
{
    const struct front_user *u;

    HASH_FIND(hh, f->users, &uid, sizeof uid, u);
    return u && u->fd >= 0;
}

void front_users_refuse(struct front_users *f, enum front_kind door, int take_fd, const char *why)
{
    refuse_peer(f->refuse, take_fd, door == FRONT_CLIENT, why);
}

/* -- packets ------------------------------------------------------------------------------------------------ */

/* fd: sent along, and still the caller's; -1: none. 0 or -errno. */
static int send_packet(int socket, const struct front_packet *p, int fd)
{
    struct iovec iov = { (void *)(uintptr_t)p, sizeof *p };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (fd >= 0) {
        msg.msg_control = control.room;
        msg.msg_controllen = sizeof control.room;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    }
    return sendmsg(socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof *p ? 0 : -errno;
}

/* From ptools-spawn or from a pipe; the descriptor does not block. 1: a packet; 0: none now; -1: there will be none any
 * more, or none of ours: whoever sends it does not keep to the protocol. */
static int receive_packet(int fd, struct front_packet *ret)
{
    const ssize_t got = read(fd, ret, sizeof *ret);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    return got == (ssize_t)sizeof *ret && ret->magic == FRONT_MAGIC && !ret->text[FRONT_TEXT_BYTES - 1] ? 1 : -1;
}

/* -- ptools-spawn ------------------------------------------------------------------------------------------- */

static void spawn_close(struct front_users *f)
{
    f->spawn_source = sd_event_source_disable_unref(f->spawn_source);
    if (f->spawn_fd >= 0)
        close(f->spawn_fd);
    f->spawn_fd = -1;
}

static void tell_why(struct front_user *u);

/* Why a daemon ended, for the log, and for its user if they come soon. */
static void note_end(struct front_users *f, const struct front_packet *p)
{
    struct front_user *u;
    char how[64] = "";

    if (p->pid > 0 && WIFSIGNALED(p->status))
        snprintf(how, sizeof how, "it was killed by signal %d (%s)", WTERMSIG(p->status), strsignal(WTERMSIG(p->status)));
    else if (p->pid > 0)
        snprintf(how, sizeof how, "it exited with status %d", WEXITSTATUS(p->status));
    if (p->pid > 0 && p->status == 0) {
        log_info("user-daemon-ended", LOG_U64("uid", p->uid), LOG_I64("pid", p->pid));
        return;
    }
    log_error("user-daemon-ended", LOG_U64("uid", p->uid), LOG_I64("pid", p->pid),
              LOG_STR("why", *how ? how : p->text));
    HASH_FIND(hh, f->users, &p->uid, sizeof p->uid, u);
    if (!u)
        return;
    snprintf(u->why, sizeof u->why, "%s", *how ? how : p->text);
    if (u->why_timer)
        tell_why(u);
}

static int on_spawn(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    struct front_users *f = userdata;
    struct front_packet p;
    int r;

    (void)s;
    (void)revents;
    while ((r = receive_packet(fd, &p)) > 0)
        note_end(f, &p);
    if (r < 0) {
        log_warning("spawn-gone");
        spawn_close(f);
    }
    return 0;
}

static int spawn_connect(struct front_users *f)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int r;

    if (f->spawn_fd >= 0)
        return 0;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", f->config->users_spawn);
    f->spawn_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (f->spawn_fd < 0 || connect(f->spawn_fd, (struct sockaddr *)&address, sizeof address) < 0)
        r = -errno;
    else
        r = sd_event_add_io(f->event, &f->spawn_source, f->spawn_fd, EPOLLIN, on_spawn, f);
    if (r < 0)
        spawn_close(f);
    return r < 0 ? r : 0;
}

/* -- one user ----------------------------------------------------------------------------------------------- */

/* The service manager keeps the socket from now on, or no more. */
static void keep(uint32_t uid, int fd, bool yes)
{
    char text[64];

    snprintf(text, sizeof text, "%s=1\nFDNAME=user-%" PRIu32, yes ? "FDSTORE" : "FDSTOREREMOVE", uid);
    (void)sd_pid_notify_with_fds(0, false, text, yes ? &fd : NULL, yes ? 1 : 0);
}

static void user_close(struct front_user *u)
{
    if (u->fd < 0)
        return;
    keep(u->uid, u->fd, false);
    tell_watch(u, false);
    u->source = sd_event_source_disable_unref(u->source);
    close(u->fd);
    close(u->words_fd);
    u->fd = u->words_fd = -1;
    u->leaving = u->coming = false;
    u->f->n--;
}

static void user_free(struct front_user *u)
{
    struct waiting *w;

    user_close(u);
    sd_event_source_disable_unref(u->why_timer);
    while ((w = TAILQ_FIRST(&u->waiting))) {
        TAILQ_REMOVE(&u->waiting, w, link);
        u->f->n_waiting--;
        refuse_close(u->f->refuse, w->fd);
        free(w);
    }
    HASH_DEL(u->f->users, u);
    free(u);
}

static struct front_user *user_get(struct front_users *f, uint32_t uid)
{
    struct front_user *u, *other, *next;

    HASH_FIND(hh, f->users, &uid, sizeof uid, u);
    if (u)
        return u;
    if (HASH_COUNT(f->users) >= f->config->users_max) /* what only remembers a pause makes room */
        HASH_ITER(hh, f->users, other, next)
            if (other->fd < 0 && other->n_waiting == 0)
                user_free(other);
    if (HASH_COUNT(f->users) >= f->config->users_max || !(u = calloc(1, sizeof *u)))
        return NULL;
    *u = (struct front_user){ .f = f, .uid = uid, .fd = -1, .words_fd = -1 };
    TAILQ_INIT(&u->waiting);
    HASH_ADD(hh, f->users, uid, sizeof u->uid, u);
    return u;
}

static void on_end(struct front_user *u);
static void pass_all_on(struct front_user *u);

static int on_user(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    struct front_user *u = userdata;
    struct front_packet p;
    int r = 1;

    (void)s;
    (void)revents;
    for (unsigned i = 0; i < PACKETS_A_TURN && (r = receive_packet(fd, &p)) > 0; i++) {
        u->leaving |= p.kind == FRONT_LEAVING;
        if (p.kind == FRONT_UP && u->coming) {
            u->coming = false;
            tell_watch(u, true);
            pass_all_on(u);
        }
        if (p.kind != FRONT_IDLE || p.taken != u->sent || u->leaving)
            continue; /* somebody is on the way to it */
        p.kind = FRONT_LEAVE;
        u->leaving = send_packet(u->fd, &p, -1) == 0;
    }
    if (r < 0)
        on_end(u);
    return 0;
}

static int user_open(struct front_user *u, int take_fd)
{
    const struct front_packet p = { .magic = FRONT_MAGIC, .kind = FRONT_BEGIN, .uid = u->uid, .text = PTOOLS_VERSION };
    int words[2], r;

    if (pipe2(words, O_CLOEXEC | O_NONBLOCK) < 0) {
        r = -errno;
        close(take_fd);
        return r;
    }
    u->fd = take_fd;
    u->words_fd = words[0];
    u->sent = 0;
    u->since_us = now_us(u->f);
    u->why[0] = '\0';
    u->f->n++;
    r = send_packet(u->fd, &p, words[1]);
    close(words[1]);
    if (r >= 0)
        r = sd_event_add_io(u->f->event, &u->source, u->words_fd, EPOLLIN, on_user, u);
    if (r < 0)
        user_close(u);
    else
        keep(u->uid, u->fd, true);
    return r < 0 ? r : 0;
}

/* 0, or it has none, and why tells. */
static int user_start(struct front_user *u, char why[WHY_BYTES])
{
    struct front_users *f = u->f;
    const struct front_packet p = { .magic = FRONT_MAGIC, .kind = FRONT_SPAWN, .uid = u->uid };
    const uint64_t now = now_us(f);
    int pair[2], r;

    if (now < u->retry_at_us) {
        snprintf(why, WHY_BYTES, "your daemon did not stay: %s; the next is started in %" PRIu64 " ms",
                 *u->why ? u->why : "it ended", (u->retry_at_us - now + 999) / 1000);
        return -EAGAIN;
    }
    r = spawn_connect(f);
    if (r < 0) {
        snprintf(why, WHY_BYTES, "your daemon cannot be started: ptools-spawn does not answer at %s: %s",
                 f->config->users_spawn, strerror(-r));
        return r;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
        snprintf(why, WHY_BYTES, "your daemon cannot be started: %s", strerror(errno));
        return -errno;
    }
    if (shutdown(pair[0], SHUT_RD) < 0) /* nothing of the user's shall lie in it: proto/front.h */
        r = -errno;
    else
        r = send_packet(f->spawn_fd, &p, pair[1]);
    if (r == -EPIPE || r == -ECONNRESET) { /* it ended, and another may listen by now */
        spawn_close(f);
        r = spawn_connect(f);
        if (r == 0)
            r = send_packet(f->spawn_fd, &p, pair[1]);
    }
    if (r == 0)
        r = user_open(u, pair[0]);
    else
        close(pair[0]);
    u->coming = r == 0;
    close(pair[1]); /* not before: BEGIN would find nobody, if ptools-spawn is done with it already */
    if (r < 0)
        snprintf(why, WHY_BYTES, "your daemon cannot be started: %s", strerror(-r));
    else
        log_info("user-daemon-wanted", LOG_U64("uid", u->uid));
    return r;
}

static bool wait_for_it(struct front_user *u, enum front_kind door, int take_fd)
{
    const bool room = u->n_waiting < WAITING_MAX && u->f->n_waiting < ALL_WAITING_MAX;
    struct waiting *w = room ? calloc(1, sizeof *w) : NULL;

    if (!w) {
        front_users_refuse(u->f, door, take_fd, "your daemon is not there yet, and too many wait for it");
        return false;
    }
    *w = (struct waiting){ .door = door, .fd = take_fd };
    TAILQ_INSERT_TAIL(&u->waiting, w, link);
    u->n_waiting++;
    u->f->n_waiting++;
    return true;
}

/* To its daemon, started if need be. */
static bool pass_on(struct front_user *u, enum front_kind door, int take_fd)
{
    const struct front_packet p = { .magic = FRONT_MAGIC, .kind = door, .uid = u->uid };
    char why[WHY_BYTES] = "the service is about to end";
    int r = u->fd >= 0 ? 0 : u->f->draining ? -ESHUTDOWN : user_start(u, why);

    if (r == 0 && u->coming)
        return wait_for_it(u, door, take_fd);
    if (r == 0) {
        r = send_packet(u->fd, &p, take_fd);
        if (r < 0)
            snprintf(why, sizeof why, "your daemon takes no more connections now: %s", strerror(-r));
    }
    if (r < 0) {
        log_warning("client-refused", LOG_U64("uid", u->uid), LOG_STR("why", why));
        front_users_refuse(u->f, door, take_fd, why);
        return false;
    }
    u->sent++;
    refuse_close_later(u->f->refuse, take_fd); /* that daemon may have closed it by now */
    return true;
}

/* Those who wait when this begins: who has to wait again is behind them. */
static void pass_all_on(struct front_user *u)
{
    struct waiting *w;

    for (unsigned n = u->n_waiting; n > 0 && (w = TAILQ_FIRST(&u->waiting)); n--) {
        TAILQ_REMOVE(&u->waiting, w, link);
        u->n_waiting--;
        u->f->n_waiting--;
        (void)pass_on(u, w->door, w->fd);
        free(w);
    }
}

/* Those who waited for it come too early for the next one, and hear why. */
static void tell_why(struct front_user *u)
{
    u->why_timer = sd_event_source_disable_unref(u->why_timer);
    pass_all_on(u);
}

static int on_why(sd_event_source *s, uint64_t usec, void *userdata)
{
    (void)s;
    (void)usec;
    tell_why(userdata);
    return 0;
}

/* Its daemon has ended. */
static void on_end(struct front_user *u)
{
    struct front_users *f = u->f;
    const uint64_t now = now_us(f);
    const bool left = u->leaving || f->draining, came = !u->coming;

    user_close(u);
    if (left) {
        u->pause_us = u->retry_at_us = 0;
    } else {
        u->pause_us = now - u->since_us >= LIVED_US || u->pause_us == 0 ? PAUSE_MIN_US
                                                                        : MIN(u->pause_us * 2, (uint64_t)PAUSE_MAX_US);
        u->retry_at_us = now + u->pause_us;
        log_warning("user-daemon-gone", LOG_U64("uid", u->uid), LOG_U64("pause_ms", u->pause_us / 1000));
    }
    if (!left && !came && !*u->why && u->n_waiting > 0 &&
        sd_event_add_time_relative(f->event, &u->why_timer, CLOCK_MONOTONIC, TELL_US, TELL_US / 10, on_why, u) >= 0) {
        u->retry_at_us = MAX(u->retry_at_us, now + 2 * (uint64_t)TELL_US);
        return;
    }
    pass_all_on(u);
    if (u->fd < 0 && u->retry_at_us == 0)
        user_free(u);
}

bool front_users_give(struct front_users *f, uint32_t uid, enum front_kind door, int take_fd)
{
    struct front_user *u = f->draining ? NULL : user_get(f, uid);

    if (!u) {
        front_users_refuse(f, door, take_fd,
                           f->draining ? "the service is about to end" : "over the limit users.max: too many users at once");
        return false;
    }
    return u->leaving ? wait_for_it(u, door, take_fd) : pass_on(u, door, take_fd);
}

void front_users_start(struct front_users *f, uint32_t uid)
{
    struct front_user *u = user_get(f, uid);
    char why[WHY_BYTES] = "over the limit users.max";

    if (u && (u->fd >= 0 || user_start(u, why) == 0))
        return;
    log_warning("user-daemon-not-started", LOG_U64("uid", uid), LOG_STR("why", why));
    if (u)
        user_free(u);
}

void front_users_adopt(struct front_users *f, uint32_t uid, int take_fd)
{
    struct front_user *u = user_get(f, uid);

    if (!u || u->fd >= 0) {
        if (!u) /* over users.max: it ends, and so its user can come again */
            keep(uid, take_fd, false);
        refuse_close(f->refuse, take_fd);
        return;
    }
    if (user_open(u, take_fd) < 0) {
        user_free(u); /* it has ended meanwhile */
    } else {
        log_info("user-daemon-adopted", LOG_U64("uid", uid));
        tell_watch(u, true);
    }
}

void front_users_tell(struct front_users *f, enum front_kind kind)
{
    struct front_packet p = { .magic = FRONT_MAGIC, .kind = kind };
    struct front_user *u, *next;

    f->draining |= kind == FRONT_DRAIN;
    HASH_ITER(hh, f->users, u, next) {
        p.uid = u->uid;
        if (u->fd < 0)
            user_free(u);
        else if (send_packet(u->fd, &p, -1) < 0)
            log_warning("user-daemon-not-told", LOG_U64("uid", u->uid), LOG_U64("kind", kind));
    }
}

int front_users_new(sd_event *event, const struct config *config, struct front_users **ret)
{
    struct front_users *f = calloc(1, sizeof *f);
    int r;

    if (!f)
        return -ENOMEM;
    *f = (struct front_users){ .event = event, .config = config, .spawn_fd = -1 };
    r = refuse_new(event, &f->refuse);
    if (r < 0)
        free(f);
    else
        *ret = f;
    return r;
}

struct front_users *front_users_free(struct front_users *f)
{
    struct front_user *u, *next;

    if (!f)
        return NULL;
    HASH_ITER(hh, f->users, u, next) {
        if (f->config->users_stay && !f->draining)
            u->fd = -1; /* the service manager's copy stays */
        user_free(u);
    }
    spawn_close(f);
    refuse_free(f->refuse);
    free(f);
    return NULL;
}
