/* SPDX-License-Identifier: MIT */
/*
 * fds -- see fds.h. One packet, one request; each is answered at once, but for room for a large value, which takes
 * as long as its memory takes.
 *
 * What a peer may cost is bounded: connections in all and per user, those that have shown no token (the oldest
 * makes room), one packet a turn. A client that does not read its answers is closed. A process waits for its answer
 * and for nothing else, so an answer that cannot be sent to it now waits here: until its socket takes it, or, when it
 * is the system that lets no descriptor through, for RETRY_US at a time, RETRIES_MAX times; then it is a refusal that
 * leaves. Meanwhile the process is not read from, and gets no lane. Descriptors of
 * clients are never received here, as closing them may take for ever: those that come unasked the kernel drops, and a
 * file that is given goes through a process of its own (given.c).
 *
 * Longer than a file should be: coming in, asking and answering are one peer.
 */
#include "daemon/ptoolsd/fds.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/ptoolsd/door.h"
#include "daemon/ptoolsd/given.h"
#include "daemon/ptoolsd/lanes.h"
#include "daemon/ptoolsd/log.h"
#include "daemon/ptoolsd/memory.h"
#include "daemon/ptoolsd/table.h"
#include "proto/fds.h"

enum {
    STRANGERS_MAX = 64,
    LOOKERS_MAX = 32, /* processes that look at files, of one user */
    WAITING_MAX = 64, /* answers to one process: it asks one question at a time, so these are not honest ones */
    RETRY_US = 100000,
    RETRIES_MAX = 20
};

struct looker {
    pid_t pid;
    uint32_t uid;
    LIST_ENTRY(looker) link;
};

struct waiting { /* an answer to a process that could not be sent yet */
    struct fds_answer answer;
    int fd;          /* -1: none */
    unsigned tries;  /* in which the system let no descriptor through */
    TAILQ_ENTRY(waiting) link;
};

struct fds_peer {
    struct fds *fds;
    int fd;
    sd_event_source *source;
    uint32_t uid;
    pid_t pid;                  /* of a client */
    uint32_t process;           /* 0: a client's */
    uint32_t client;            /* of the ZMTP connection whose token it showed; 0: none yet */
    TAILQ_HEAD(, waiting) waiting; /* in order; only of processes */
    unsigned n_waiting;
    struct given *given;        /* a file of it is being looked at: it is not read from */
    sd_event_source *retry;     /* for the first of them; NULL: never was needed */
    TAILQ_ENTRY(fds_peer) link; /* in fds->peers, oldest first */
    UT_hash_handle hh;          /* in fds->by_process */
};

struct fds {
    struct daemon *d;
    int listen_fd;
    sd_event_source *listen_source;
    TAILQ_HEAD(, fds_peer) peers; /* of clients */
    struct fds_peer *by_process;
    uint32_t n, strangers;
    struct lanes *lanes;
    LIST_HEAD(, looker) lookers;
};

static struct waiting *waiting_free(struct fds_peer *p, struct waiting *w)
{
    TAILQ_REMOVE(&p->waiting, w, link);
    p->n_waiting--;
    if (w->fd >= 0)
        close(w->fd);
    free(w);
    return NULL;
}

static struct fds_peer *peer_free(struct fds_peer *p)
{
    struct waiting *w;
    struct fds *f;

    if (!p)
        return NULL;
    f = p->fds;
    if (p->process) {
        HASH_DEL(f->by_process, p);
    } else {
        TAILQ_REMOVE(&f->peers, p, link);
        f->n--;
        f->strangers -= p->client == 0;
    }
    while ((w = TAILQ_FIRST(&p->waiting)))
        waiting_free(p, w);
    p->given = given_free(p->given);
    sd_event_source_disable_unref(p->source);
    sd_event_source_disable_unref(p->retry);
    close(p->fd);
    free(p);
    return NULL;
}

/* -- answers ------------------------------------------------------------------------------------------------- */

/* fd: sent along, and still the caller's; -1: none. 0, or -errno: -EAGAIN, the socket is full; see no_passage(). */
static int answer_try(int socket, const struct fds_answer *answer, int fd)
{
    struct iovec iov = { (void *)(uintptr_t)answer, sizeof *answer };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t sent;

    if (fd >= 0) {
        msg.msg_control = control.room;
        msg.msg_controllen = sizeof control.room;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    }
    do
        sent = sendmsg(socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof *answer ? 0 : sent < 0 ? -errno : -EIO;
}

/* Too many descriptors of this user are on their way and not received, or the system is out of memory: it passes. */
static bool no_passage(int error)
{
    return error == -ETOOMANYREFS || error == -ENOBUFS || error == -ENOMEM;
}

static void refuse_passage(struct fds_answer *answer, int error)
{
    fds_answer_refuse(answer, PTOOLS_ERR_LIMIT, "the system lets the daemon pass on no more descriptors now: %s",
                      strerror(-error));
}

/* To a client. fd is closed in any case; taken: the array that it is of, or 0. false: the peer is to be closed. */
static bool answer_client(struct fds_peer *p, const struct fds_answer *answer, int take_fd, uint64_t taken)
{
    struct fds_answer refusal;
    int r = answer_try(p->fd, answer, take_fd);

    if (taken && (take_fd < 0 || r < 0))
        core_array_untake(p->fds->d->core, p->client, taken);
    if (take_fd >= 0)
        close(take_fd);
    if (!no_passage(r))
        return r == 0;
    refuse_passage(&refusal, r);
    return answer_try(p->fd, &refusal, -1) == 0;
}

static void answers_go_on(struct fds_peer *p);

static int on_retry(sd_event_source *s, uint64_t usec, void *userdata)
{
    (void)s;
    (void)usec;
    answers_go_on(userdata);
    return 0;
}

/* What is waited for: a question, room for an answer, or a time. 0 or -errno. */
static int wait_for(struct fds_peer *p, uint32_t events, bool a_while)
{
    sd_event *event = p->fds->d->event;
    int r = sd_event_source_set_io_events(p->source, events);

    if (r < 0 || !a_while)
        return r;
    if (!p->retry) {
        r = sd_event_add_time(event, &p->retry, CLOCK_MONOTONIC, UINT64_MAX, 1000, on_retry, p);
        if (r >= 0)
            r = sd_event_source_set_priority(p->retry, PHASE_TIMER);
    }
    if (r >= 0)
        r = sd_event_source_set_time(p->retry, daemon_now(p->fds->d) + RETRY_US);
    return r < 0 ? r : sd_event_source_set_enabled(p->retry, SD_EVENT_ONESHOT);
}

/* Sends what waits for a process, as far as it goes. */
static void answers_go_on(struct fds_peer *p)
{
    struct waiting *w;
    int r = 0;

    while ((w = TAILQ_FIRST(&p->waiting))) {
        r = answer_try(p->fd, &w->answer, w->fd);
        if (no_passage(r) && w->fd >= 0 && ++w->tries >= RETRIES_MAX) {
            log_warning("descriptor-not-sent", LOG_U64("worker", p->process), LOG_STR("why", strerror(-r)));
            refuse_passage(&w->answer, r);
            close(w->fd);
            w->fd = -1;
            continue;
        }
        if (r == -EAGAIN || no_passage(r))
            break;
        waiting_free(p, w); /* sent; or nobody is there any more, as its pidfd will tell */
    }
    r = wait_for(p, !w ? EPOLLIN : r == -EAGAIN ? EPOLLOUT : 0, w && r != -EAGAIN);
    if (r < 0)
        daemon_fail(p->fds->d, "answering a process", r);
}

/* To a process: at once if it can be, else as soon as it can. Takes fd. */
static void answer_process(struct fds_peer *p, const struct fds_answer *answer, int take_fd)
{
    struct waiting *w = p->n_waiting < WAITING_MAX ? malloc(sizeof *w) : NULL;

    if (!w) {
        log_error("worker-not-answered", LOG_U64("worker", p->process), LOG_U64("waiting", p->n_waiting));
        if (take_fd >= 0)
            close(take_fd);
        shutdown(p->fd, SHUT_RDWR); /* it learns that no answer comes, and so does on_peer() */
        return;
    }
    *w = (struct waiting){ .answer = *answer, .fd = take_fd };
    TAILQ_INSERT_TAIL(&p->waiting, w, link);
    if (++p->n_waiting == 1)
        answers_go_on(p);
}

/* *answer describes the array: its descriptor goes along, or the answer says why there is none. */
static int array_open(struct fds *f, struct fds_answer *answer, bool read_only)
{
    uint64_t have = 0;
    int fd;

    if (answer->code != PTOOLS_OK)
        return -1;
    if (!memory_is_whole(f->d->memory, answer->id, &have)) {
        fds_answer_refuse(answer, PTOOLS_ERR_BAD_FILE,
                          "the file behind the array has become too short: %llu bytes; %llu from %llu on are needed",
                          (unsigned long long)have, (unsigned long long)answer->bytes,
                          (unsigned long long)answer->offset);
        return -1;
    }
    fd = memory_open(f->d->memory, answer->id, read_only);
    if (fd < 0)
        fds_answer_refuse(answer, PTOOLS_ERR_LIMIT, "the daemon has no descriptor for the array: %s", strerror(-fd));
    else if (read_only)
        answer->flags |= FDS_IS_READ_ONLY;
    return fd;
}

void fds_give(struct fds *f, const struct action *a)
{
    struct fds_answer answer;
    struct fds_request request = { .kind = FDS_ARRAY, .id = a->array, .task = a->task };
    struct fds_peer *p;

    HASH_FIND(hh, f->by_process, &a->worker, sizeof a->worker, p);
    if (!p)
        return;
    if (a->array)
        core_array_take(f->d->core, false, a->worker, &request, &answer);
    else
        fds_answer_refuse(&answer, a->code, "%s", a->text);
    answer_process(p, &answer, array_open(f, &answer, false));
}

/* A socket from the client to the server task's process: the one end goes there, the other is the value. */
static int lane_open(struct fds *f, uint32_t client, struct fds_answer *answer)
{
    struct fds_answer unasked;
    struct fds_peer *p;
    uint32_t number;
    int pair[2], r;

    if (answer->code != PTOOLS_OK)
        return -1;
    HASH_FIND(hh, f->by_process, &answer->process, sizeof answer->process, p);
    if (!p || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        fds_answer_refuse(answer, PTOOLS_ERR_LIMIT, "the daemon cannot make a socket to the server task: %s",
                          p ? strerror(errno) : "it takes none any more");
        return -1;
    }
    number = lanes_add(f->lanes, client, answer->process);
    answer->bytes = number;
    unasked = *answer;
    unasked.code = FDS_CODE_LANE;
    r = number == 0 ? -ENOMEM
        : TAILQ_EMPTY(&p->waiting) ? answer_try(p->fd, &unasked, pair[1])
                                   : -EAGAIN; /* an answer goes before a lane */
    close(pair[1]);
    if (r == 0)
        return pair[0];
    close(pair[0]);
    lanes_remove(f->lanes, number);
    if (r == -EAGAIN)
        fds_answer_refuse(answer, PTOOLS_ERR_LIMIT,
                          "the server task has not taken the sockets that it was sent before");
    else
        fds_answer_refuse(answer, PTOOLS_ERR_LIMIT, "the daemon cannot send a socket to the server task: %s",
                          strerror(-r));
    return -1;
}

/* -- requests ------------------------------------------------------------------------------------------------- */

/* One packet, or with MSG_PEEK a look at it. Descriptors that came with it are dropped: *ret_more tells that there were
 * any. false: the end, or not a packet of ours. */
static bool receive(int socket, int flags, struct fds_request *ret, bool *ret_more)
{
    struct iovec iov = { ret, sizeof *ret };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t got;

    do
        got = recvmsg(socket, &msg, MSG_DONTWAIT | flags);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN) {
        ret->magic = 0; /* nothing came: no harm */
        return true;
    }
    *ret_more = msg.msg_flags & MSG_CTRUNC;
    return got == (ssize_t)sizeof *ret && !(msg.msg_flags & MSG_TRUNC) && ret->magic == FDS_MAGIC &&
           !ret->name[FDS_NAME_BYTES - 1] && !ret->prefix[FDS_NAME_BYTES - 1];
}

/* The token says for whom. false: the peer is closed. */
static bool authenticate(struct fds_peer *p, const struct fds_request *r)
{
    uint32_t client = door_client_by_token(p->fds->d->door, r->token, p->uid);

    if (client == 0 || (p->client != 0 && p->client != client))
        return false;
    p->fds->strangers -= p->client == 0;
    p->client = client;
    return true;
}

/* The file that the client gives has been looked at. */
static void on_given(void *userdata, int take_fd, const char *why)
{
    struct fds_answer answer = { .magic = FDS_MAGIC };
    struct fds_peer *p = userdata;
    char problem[160];

    if (!why) { /* nothing was told, and nobody knows whether the request is still there: the client asks anew */
        peer_free(p);
        return;
    }
    if (take_fd >= 0) {
        answer.id = memory_keep_file(p->fds->d->memory, p->client, take_fd, problem);
        why = problem;
    }
    if (!answer.id)
        fds_answer_refuse(&answer, PTOOLS_ERR_BAD_FILE, "%s", why);
    p->given = given_free(p->given);
    if (!answer_client(p, &answer, -1, 0) || wait_for(p, EPOLLIN, false) < 0)
        peer_free(p);
}

/* Those of this user that have not ended. */
static unsigned lookers_of(struct fds *f, uint32_t uid)
{
    struct looker *l, *next;
    unsigned n = 0;

    for (l = LIST_FIRST(&f->lookers); l; l = next) {
        siginfo_t end = { 0 };

        next = LIST_NEXT(l, link);
        if (waitid(P_PID, (id_t)l->pid, &end, WEXITED | WNOHANG | WNOWAIT) == 0 && end.si_pid == 0) {
            n += l->uid == uid;
            continue;
        }
        LIST_REMOVE(l, link);
        free(l);
    }
    return n;
}

/* The front packet of p gives a file. false: it cannot be looked at, *ret says why. */
static bool give(struct fds_peer *p, struct fds_answer *ret)
{
    unsigned n = lookers_of(p->fds, p->uid);
    struct looker *l;
    int r;

    if (n >= LOOKERS_MAX) {
        fds_answer_refuse(ret, PTOOLS_ERR_LIMIT,
                          "%u files of this user are still being looked at or closed: their file system does not "
                          "answer", n);
        return false;
    }
    l = malloc(sizeof *l);
    r = l ? given_look(p->fds->d, p->fd, p->pid, on_given, p, &p->given) : -ENOMEM;
    if (r < 0) {
        free(l);
        fds_answer_refuse(ret, PTOOLS_ERR_LIMIT, "the daemon cannot look at the file: %s", strerror(-r));
        return false;
    }
    *l = (struct looker){ .pid = given_pid(p->given), .uid = p->uid };
    LIST_INSERT_HEAD(&p->fds->lookers, l, link);
    return true;
}

/* false: the peer is to be closed. */
static bool handle(struct fds_peer *p, const struct fds_request *r, bool more)
{
    struct fds *f = p->fds;
    struct fds_answer answer;
    uint64_t taken = 0;
    int fd = -1;

    if (!p->process && !authenticate(p, r)) {
        fds_answer_refuse(&answer, PTOOLS_ERR_DENIED, "the token is not that of a connection of this user");
        answer_client(p, &answer, -1, 0);
        return false;
    }
    if (more || (r->kind == FDS_GIVE && !p->process)) { /* one that is as it should be is with give() */
        fds_answer_refuse(&answer, PTOOLS_ERR_BAD_REQUEST, "a request of kind %u takes %s", r->kind,
                          more ? "no descriptor" : "one descriptor");
    } else if (r->kind == FDS_ARRAY || r->kind == FDS_SHARED) {
        core_array_take(f->d->core, !p->process, p->process ? p->process : p->client, r, &answer);
        taken = answer.code == PTOOLS_OK ? answer.id : 0;
        fd = array_open(f, &answer, r->flags & FDS_READ_ONLY);
    } else if (r->kind == FDS_LANE && !p->process) {
        core_stask_lane(f->d->core, p->client, r, &answer);
        fd = lane_open(f, p->client, &answer);
    } else if (r->kind == FDS_MAKE && p->process) {
        uint32_t client = lanes_client(f->lanes, (uint32_t)(r->task >> 32), p->process);

        core_array_for_value(f->d->core, daemon_now(f->d), p->process, client, r->task, r->bytes,
                             &f->d->actions);
        daemon_deliver(f->d);
        return true;
    } else {
        fds_answer_refuse(&answer, PTOOLS_ERR_BAD_REQUEST, "there is no request of kind %u", r->kind);
    }
    if (!p->process)
        return answer_client(p, &answer, fd, taken);
    answer_process(p, &answer, fd);
    return true;
}

/* The packet that was looked at. One that stays there is not answered: it would be again, in place of the next. */
static bool take(struct fds_peer *p, struct fds_request *ret, bool *ret_more)
{
    return receive(p->fd, 0, ret, ret_more) && ret->magic == FDS_MAGIC;
}

/* What comes from a client. false: it is to be closed. */
static bool client_asks(struct fds_peer *p)
{
    struct fds_request request;
    struct fds_answer answer;
    bool more;

    if (!receive(p->fd, MSG_PEEK, &request, &more))
        return false;
    if (request.magic == 0)
        return true;
    if (!more || request.kind != FDS_GIVE || !authenticate(p, &request))
        return take(p, &request, &more) && handle(p, &request, more);
    if (give(p, &answer))
        return wait_for(p, 0, false) >= 0;
    return take(p, &request, &more) && answer_client(p, &answer, -1, 0);
}

static int on_peer(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    struct fds_peer *p = userdata;
    struct fds_request request;
    bool more;

    (void)s;
    if (!p->process) {
        if (p->given || !client_asks(p)) /* one whose file is looked at is not waited for: it has gone */
            peer_free(p);
        return 0;
    }
    if (revents & EPOLLOUT)
        answers_go_on(p);
    if (!(revents & ~(uint32_t)EPOLLOUT))
        return 0;
    if (!receive(fd, 0, &request, &more)) { /* its end, which its pidfd tells; or it has no more to ask of us */
        if (recv(fd, &request, sizeof request, MSG_DONTWAIT | MSG_PEEK) != 0)
            log_error("worker-broke-protocol", LOG_U64("worker", p->process),
                      LOG_STR("msg", "what it sent for descriptors is no request"));
        peer_free(p);
        return 0;
    }
    if (request.magic == FDS_MAGIC)
        handle(p, &request, more);
    return 0;
}

/* -- coming in ------------------------------------------------------------------------------------------------- */

static int peer_new(struct fds *f, int take_fd, uint32_t process, const struct ucred *who, enum phase phase)
{
    struct fds_peer *p = calloc(1, sizeof *p);
    int r;

    if (!p) {
        close(take_fd);
        return -ENOMEM;
    }
    p->fds = f;
    p->fd = take_fd;
    p->process = process;
    if (who) {
        p->uid = who->uid;
        p->pid = who->pid;
    }
    TAILQ_INIT(&p->waiting);
    if (process) {
        HASH_ADD(hh, f->by_process, process, sizeof p->process, p);
    } else {
        TAILQ_INSERT_TAIL(&f->peers, p, link);
        f->n++;
        f->strangers++;
    }
    r = sd_event_add_io(f->d->event, &p->source, p->fd, EPOLLIN, on_peer, p);
    if (r >= 0)
        r = sd_event_source_set_priority(p->source, phase);
    if (r < 0)
        peer_free(p);
    return r < 0 ? r : 0;
}

int fds_add_process(struct fds *f, uint32_t process, int take_fd)
{
    return peer_new(f, take_fd, process, NULL, PHASE_WORKER_DATA);
}

void fds_process_gone(struct fds *f, uint32_t process)
{
    struct fds_peer *p;

    if (!f)
        return;
    HASH_FIND(hh, f->by_process, &process, sizeof process, p);
    peer_free(p);
    lanes_process_gone(f->lanes, process);
}

void fds_client_gone(struct fds *f, uint32_t client)
{
    struct fds_peer *p, *next;

    for (p = f ? TAILQ_FIRST(&f->peers) : NULL; p; p = next) {
        next = TAILQ_NEXT(p, link);
        if (p->client == client)
            peer_free(p);
    }
    if (f)
        lanes_client_gone(f->lanes, client);
}

static void evict_stranger(struct fds *f)
{
    struct fds_peer *p;

    TAILQ_FOREACH(p, &f->peers, link) {
        if (p->client == 0) {
            peer_free(p);
            return;
        }
    }
}

static bool over_limit(struct fds *f, uint32_t uid)
{
    const struct config *c = f->d->config;
    uint64_t of_user = 0;
    struct fds_peer *p;

    TAILQ_FOREACH(p, &f->peers, link)
        of_user += p->uid == uid;
    return f->n >= c->clients_max || of_user >= c->user_clients_max;
}

static void come_in(struct fds *f, int take_fd, bool let_in)
{
    struct ucred cred;
    socklen_t n = sizeof cred;
    bool known = getsockopt(take_fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) == 0;

    if (known && let_in)
        cred.uid = geteuid();
    if (!known || over_limit(f, cred.uid)) {
        log_warning("descriptors-refused", LOG_U64("connections", f->n));
        close(take_fd);
        return;
    }
    if (f->strangers >= STRANGERS_MAX)
        evict_stranger(f);
    peer_new(f, take_fd, 0, &cred, PHASE_CLIENT);
}

static int on_listen(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    struct fds *f = userdata;
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)s;
    (void)revents;
    if (peer < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            door_pause(f->d->door); /* out of descriptors: both doors rest */
        return 0;
    }
    come_in(f, peer, false);
    return 0;
}

void fds_let_in(struct fds *f, int take_fd)
{
    come_in(f, take_fd, true);
}

void fds_pause(struct fds *f, bool pause)
{
    if (f && f->listen_source)
        sd_event_source_set_enabled(f->listen_source, pause ? SD_EVENT_OFF : SD_EVENT_ON);
}

/* -- life ------------------------------------------------------------------------------------------------------- */

int fds_new(struct daemon *d, int take_listen_fd, struct fds **ret)
{
    AUTO(fds) f = calloc(1, sizeof *f);
    int r;

    if (!f) {
        if (take_listen_fd >= 0)
            close(take_listen_fd);
        return -ENOMEM;
    }
    f->d = d;
    f->listen_fd = take_listen_fd;
    TAILQ_INIT(&f->peers);
    LIST_INIT(&f->lookers);
    f->lanes = lanes_new();
    if (!f->lanes)
        return -ENOMEM;
    r = f->listen_fd < 0 ? 0 : sd_event_add_io(d->event, &f->listen_source, f->listen_fd, EPOLLIN, on_listen, f);
    if (r >= 0 && f->listen_source)
        r = sd_event_source_set_priority(f->listen_source, PHASE_CLIENT);
    if (r < 0)
        return r;
    *ret = TAKE(f);
    return 0;
}

void fds_stop_listening(struct fds *f)
{
    f->listen_source = sd_event_source_disable_unref(f->listen_source);
    if (f->listen_fd >= 0)
        close(f->listen_fd);
    f->listen_fd = -1;
}

struct fds *fds_free(struct fds *f)
{
    struct fds_peer *p, *next;
    struct looker *l, *later;

    if (!f)
        return NULL;
    fds_stop_listening(f);
    while ((p = TAILQ_FIRST(&f->peers)))
        peer_free(p);
    HASH_ITER(hh, f->by_process, p, next)
        peer_free(p);
    for (l = LIST_FIRST(&f->lookers); l; l = later) {
        later = LIST_NEXT(l, link);
        free(l);
    }
    f->lanes = lanes_free(f->lanes);
    free(f);
    return NULL;
}
