/* SPDX-License-Identifier: MIT */
/*
 * door -- see door.h. One struct client a connection; the ZMTP machine cuts its bytes into messages.
 *
 * What a peer may cost is bounded before it has proved anything: connections in all and per user, a
 * number of unfinished handshakes (the oldest makes room), a deadline for the handshake, one for a
 * peer that stops in the middle of a message, a limit on what may wait to be sent. A client that does
 * not read what it asked for is not read from either (PAUSE_BYTES), so that it slows itself down.
 * When descriptors run out, listening pauses; nothing that is connected suffers.
 *
 * Reading is bounded per turn (one recv), and so is what its requests may cost (TURN_COST), so that no client can hold
 * the loop: who has spent it is put off, and goes on in a later turn, one client in each. Clients are freed only
 * in door_flush() and door_close(), never under the feet of a handler: a doomed one takes no more
 * messages and is gone at the end of the turn.
 *
 * Longer than a file should be: door and client are one machine; each half would need the insides of the other.
 */
#include "daemon/ptoolsd/door.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/ptoolsd/fds.h"
#include "daemon/ptoolsd/log.h"
#include "daemon/ptoolsd/memory.h"
#include "daemon/ptoolsd/supervisor.h"
#include "daemon/ptoolsd/table.h"
#include "proto/message.h"

enum {
    ACCEPTS_PER_TURN = 32,
    HANDSHAKES_MAX = 64,             /* unfinished at a time */
    STRIKES_MAX = 3,
    IOV_MAX_SEND = 64,
    PAUSE_BYTES = 8 << 20,           /* with so much to send, the client is not read from */
    EVENTS_BYTES = 1 << 20,          /* ... and with so much, it gets no more events */
    TRIM_BYTES = 32 << 20,           /* when it leaves with so much, that goes back to the system */
    TURN_COST = 65536,               /* see client_spend(); some milliseconds */
    SWEEP_US = 250000,
    LAST_READS = 64,                 /* at the end, of each client */
    ENVELOPE_OUT_BYTES = 65536
};

struct client {
    struct door *door;
    int fd;
    sd_event_source *source;
    uint32_t events;                 /* what the source waits for now */
    uint32_t id;                     /* the core's; 0 until the handshake is done */
    struct user *user;
    pid_t pid;
    uint32_t inside;                 /* the process of ours that it is part of; 0: none */
    pid_t inside_pid;
    struct zmtp zmtp;
    struct intake in;
    struct chain out;
    uint64_t since_us;               /* accepted, or in the middle of a message since; 0: at rest */
    unsigned strikes;
    const char *doom;                /* why it is closed at the end of the turn */
    bool doom_abrupt;                /* nothing more can be sent */
    bool held_back;                  /* there may be whole messages in the intake: see PAUSE_BYTES */
    bool put_off;                    /* in door->put_off: it has spent what it may; held_back, too */
    uint64_t spent;                  /* in this turn */
    size_t held;                     /* bytes that are kept for it, as charged to its user */
    bool dirty;                      /* in door->dirty */
    bool behind;                     /* there were events that it was not sent */
    bool has_token;
    uint8_t token[FDS_TOKEN_BYTES];
    TAILQ_ENTRY(client) link;        /* in door->clients: in the order of arrival */
    TAILQ_ENTRY(client) dirty_link;
    TAILQ_ENTRY(client) put_off_link;
    UT_hash_handle hh;               /* in door->by_id */
};

struct user {
    uint32_t uid;
    uint32_t connections;
    uint64_t held;                   /* by all its connections: unfinished messages, answers not yet sent */
    UT_hash_handle hh;
};

struct door {
    struct daemon *d;
    int listen_fd;
    sd_event_source *listen_source;
    sd_event_source *sweep;
    bool sweeping;
    bool paused;                     /* out of descriptors */
    bool used;
    TAILQ_HEAD(client_list, client) clients;
    TAILQ_HEAD(dirty_list, client) dirty;
    TAILQ_HEAD(put_off_list, client) put_off;
    int go_on_fd;                    /* can always be read: what waits for it takes its turn as a connection does */
    sd_event_source *go_on;          /* ... and is on while there is one in put_off */
    struct client *by_id;
    struct user *users;
    uint32_t n;
    uint32_t handshakes;
    struct msg_decoder *decoder;
    struct bytes envelope;           /* scratch for answers */
};

/* -- one client ---------------------------------------------------------------------------------- */

/* NULL: it has no connection. */
static struct user *user_of(struct door *door, uint32_t uid)
{
    struct user *u;

    HASH_FIND(hh, door->users, &uid, sizeof uid, u);
    return u;
}

static void mark_dirty(struct client *c)
{
    if (c->dirty)
        return;
    c->dirty = true;
    TAILQ_INSERT_TAIL(&c->door->dirty, c, dirty_link);
}

void client_doom(struct client *c, const char *why)
{
    if (c->doom)
        return;
    c->doom = why;
    mark_dirty(c);
}

/* As client_doom(), for a socket that is of no use any more. */
static void client_doom_abruptly(struct client *c, const char *why)
{
    c->doom_abrupt = true;
    client_doom(c, why);
}

void client_strike(struct client *c)
{
    if (++c->strikes >= STRIKES_MAX)
        client_doom(c, "too many malformed requests");
}

void client_spend(struct client *c, uint64_t cost)
{
    c->spent += cost;
}

uint32_t client_id(const struct client *c)
{
    return c->id;
}

uint32_t client_uid(const struct client *c)
{
    return c->user->uid;
}

void client_tell_inside(struct client *c)
{
    struct daemon *d = c->door->d;

    if (c->inside)
        core_client_inside(d->core, c->id, supervisor_pid(d->supervisor, c->inside) == c->inside_pid ? c->inside : 0,
                           supervisor_task(d->supervisor, c->inside, c->inside_pid));
}

const uint8_t *client_token(struct client *c)
{
    if (!c->has_token)
        c->has_token = getrandom(c->token, sizeof c->token, 0) == (ssize_t)sizeof c->token;
    return c->has_token ? c->token : NULL;
}

uint32_t door_client_by_token(const struct door *door, const uint8_t token[FDS_TOKEN_BYTES], uint32_t uid)
{
    struct client *c;

    TAILQ_FOREACH(c, &door->clients, link)
        if (c->has_token && c->user->uid == uid && !c->doom && memcmp(c->token, token, FDS_TOKEN_BYTES) == 0)
            return c->id;
    return 0;
}

int32_t door_client_pid(const struct door *door, uint32_t client)
{
    struct client *c;

    HASH_FIND(hh, door->by_id, &client, sizeof client, c);
    return c ? (int32_t)c->pid : 0;
}

static struct client *client_free(struct client *c)
{
    struct door *door;
    struct user *u;
    bool much;

    if (!c)
        return NULL;
    door = c->door;
    much = c->out.n > TRIM_BYTES;
    if (c->dirty)
        TAILQ_REMOVE(&door->dirty, c, dirty_link);
    if (c->put_off)
        TAILQ_REMOVE(&door->put_off, c, put_off_link);
    TAILQ_REMOVE(&door->clients, c, link);
    door->n--;
    if (c->id) {
        HASH_DEL(door->by_id, c);
        fds_client_gone(door->d->fds, c->id);
        memory_client_gone(door->d->memory, c->id);
        core_client_gone(door->d->core, daemon_now(door->d), c->id, &door->d->actions);
        log_debug("client-gone", LOG_U64("client", c->id), LOG_STR("why", c->doom ? c->doom : ""));
    } else {
        door->handshakes--;
        log_debug("peer-refused", LOG_U64("uid", c->user->uid), LOG_STR("why", c->doom ? c->doom : ""));
    }
    sd_event_source_disable_unref(c->source);
    close(c->fd);
    zmtp_deinit(&c->zmtp);
    intake_deinit(&c->in);
    chain_deinit(&c->out);
    u = c->user;
    u->held -= c->held;
    if (--u->connections == 0) {
        HASH_DEL(door->users, u);
        free(u);
    }
    free(c);
    if (much)
        malloc_trim(0); /* by itself the heap shrinks only from its end, and something small may lie there */
    return NULL;
}

/* Sends what the socket takes. */
static void client_send(struct client *c)
{
    while (c->out.n > 0) {
        struct iovec iov[IOV_MAX_SEND];
        struct msghdr msg = { .msg_iov = iov };
        ssize_t sent;

        msg.msg_iovlen = (size_t)chain_peek(&c->out, iov, IOV_MAX_SEND);
        sent = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN)
                client_doom_abruptly(c, "the client closed its end");
            return;
        }
        chain_consume(&c->out, (size_t)sent);
    }
}

/* What the source must wait for, given what there is to send. */
static void client_wait_for(struct client *c)
{
    uint32_t events = (c->out.n > 0 ? EPOLLOUT : 0) | (c->out.n < PAUSE_BYTES && !c->put_off ? EPOLLIN : 0);

    if (events == c->events)
        return;
    if (sd_event_source_set_io_events(c->source, events) < 0)
        client_doom_abruptly(c, "epoll failed");
    c->events = events;
}

static void sweep_soon(struct door *door)
{
    if (door->sweeping)
        return;
    door->sweeping = sd_event_source_set_time(door->sweep, daemon_now(door->d) + SWEEP_US) >= 0 &&
                     sd_event_source_set_enabled(door->sweep, SD_EVENT_ONESHOT) >= 0;
}

/* What the connection holds in this process is its user's to pay for. Over the limit the connection that would hold
 * more is the one that goes. */
static void client_charge(struct client *c)
{
    struct user *u = c->user;
    size_t held = c->zmtp.message_sum + intake_pending(&c->in) + c->out.n;
    bool more = held > c->held;

    u->held = u->held - c->held + held;
    c->held = held;
    if (more && u->held > c->door->d->config->user_bytes_max)
        client_doom_abruptly(c, "user_bytes_max is reached by unfinished messages and unread answers");
}

/* The handshake is done: from now on the core knows it. */
static int client_open(struct client *c)
{
    struct door *door = c->door;
    int r = core_client_add(door->d->core, c->user->uid, &c->id);

    if (r < 0)
        return r;
    HASH_ADD(hh, door->by_id, id, sizeof c->id, c);
    c->inside = supervisor_inside(door->d->supervisor, c->pid, &c->inside_pid);
    door->handshakes--;
    door->used = true;
    log_debug("client-opened", LOG_U64("client", c->id), LOG_U64("uid", c->user->uid),
              LOG_U64("pid", (uint64_t)c->pid), LOG_U64("inside", c->inside));
    return 0;
}

static void put_off(struct client *c)
{
    c->put_off = true;
    TAILQ_INSERT_TAIL(&c->door->put_off, c, put_off_link);
    if (sd_event_source_set_enabled(c->door->go_on, SD_EVENT_ON) < 0)
        client_doom_abruptly(c, "the event loop failed");
}

/* Every whole message that has come, as long as it may. */
static void client_messages(struct client *c)
{
    struct door *door = c->door;

    c->held_back = false;
    while (!c->doom) {
        struct zmtp_message message;

        if (c->out.n >= PAUSE_BYTES) {
            c->held_back = true;
            return;
        }
        if (c->spent >= TURN_COST) {
            c->held_back = true;
            put_off(c);
            return;
        }

        switch (zmtp_next(&c->zmtp, &c->in, &c->out, &message)) {
        case ZMTP_NEED_MORE:
            if (!zmtp_midway(&c->zmtp, &c->in))
                c->since_us = 0;
            else if (c->since_us == 0)
                c->since_us = daemon_now(door->d);
            if (c->since_us)
                sweep_soon(door);
            return;
        case ZMTP_OPENED:
            if (client_open(c) < 0)
                client_doom(c, "out of memory");
            c->since_us = 0;
            break;
        case ZMTP_MESSAGE:
            request_handle(door->d, c, door->decoder, &message);
            zmtp_message_deinit(&message);
            c->since_us = 0;
            break;
        case ZMTP_ERROR:
            log_info("protocol-error", LOG_U64("client", c->id), LOG_U64("uid", c->user->uid),
                     LOG_STR("msg", zmtp_problem(&c->zmtp)));
            client_doom(c, "protocol error");
            break;
        }
    }
}

/* In its next turn. */
static void client_go_on(struct client *c)
{
    c->put_off = false;
    TAILQ_REMOVE(&c->door->put_off, c, put_off_link);
    c->spent = 0;
    client_messages(c);
    client_charge(c);
    mark_dirty(c);
}

/* Not a source that is deferred: of those one is pending since it was made, and would go before all connections. */
static int on_go_on(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    struct door *door = userdata;
    struct client *c = TAILQ_FIRST(&door->put_off);

    (void)fd;
    (void)revents;
    if (c)
        client_go_on(c);
    return TAILQ_EMPTY(&door->put_off) ? sd_event_source_set_enabled(s, SD_EVENT_OFF) : 0;
}

/* One recv, and all whole messages then there. false: nothing came. */
static bool client_read(struct client *c)
{
    size_t room;
    void *space;
    ssize_t got;

    if (c->held_back)
        return false; /* the intake is not at its end */
    space = intake_space(&c->in, &room);
    if (!space) {
        client_doom(c, "out of memory");
        return false;
    }
    got = recv(c->fd, space, room, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        client_doom_abruptly(c, "the client closed the connection");
    if (got <= 0)
        return false;
    intake_commit(&c->in, (size_t)got);
    c->spent = 0;
    client_messages(c);
    client_charge(c);
    return true;
}

static int on_client(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    struct client *c = userdata;

    (void)s;
    (void)fd;
    if (c->doom)
        return 0;
    if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
        client_read(c);
    mark_dirty(c);
    return 0;
}

/* -- coming in ------------------------------------------------------------------------------------ */

/* Why a new connection cannot be taken; NULL if it can. */
static const char *over_limit(struct door *door, uint32_t uid)
{
    const struct config *config = door->d->config;
    struct user *u = user_of(door, uid);

    if (door->n >= config->clients_max)
        return "clients_max is reached";
    if (u && u->connections >= config->user_clients_max)
        return "user_clients_max is reached";
    return NULL;
}

/* The oldest unfinished handshake makes room: an honest one takes less than a millisecond. In a flood it may have come by
 * now, behind all who were let in since: so it is looked for before. */
static void evict_oldest_handshake(struct door *door)
{
    struct client *c;

    TAILQ_FOREACH(c, &door->clients, link) {
        if (c->id == 0 && !c->doom) {
            client_read(c);
            mark_dirty(c);
            if (c->id == 0)
                client_doom_abruptly(c, "too many unfinished handshakes");
            return;
        }
    }
}

/* let_in: the front knows that it may act as the user of this daemon. */
static void client_new(struct door *door, int take_fd, bool let_in)
{
    struct ucred cred;
    socklen_t n = sizeof cred;
    struct zmtp_limits limits = { .message_bytes = door->d->config->message_max };
    const char *why;
    struct client *c = NULL;
    struct user *u = NULL;

    if (getsockopt(take_fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0) {
        log_warning("client-refused", LOG_STR("why", "no credentials"));
        close(take_fd);
        return;
    }
    if (let_in) {
        log_debug("let-in", LOG_U64("uid", cred.uid), LOG_U64("pid", (uint64_t)cred.pid));
        cred.uid = geteuid();
    }
    why = over_limit(door, cred.uid);
    if (why) {
        log_warning("client-refused", LOG_U64("uid", cred.uid), LOG_STR("why", why));
        close(take_fd);
        return;
    }
    if (door->handshakes >= HANDSHAKES_MAX)
        evict_oldest_handshake(door);

    u = user_of(door, cred.uid);
    c = calloc(1, sizeof *c);
    if (!u) {
        u = calloc(1, sizeof *u);
        if (u) {
            u->uid = cred.uid;
            HASH_ADD(hh, door->users, uid, sizeof u->uid, u);
        }
    }
    if (!c || !u) {
        free(c);
        close(take_fd);
        return;
    }
    c->door = door;
    c->fd = take_fd;
    c->user = u;
    c->pid = cred.pid;
    c->since_us = daemon_now(door->d);
    intake_init(&c->in);
    chain_init(&c->out);
    u->connections++;
    door->n++;
    door->handshakes++;
    TAILQ_INSERT_TAIL(&door->clients, c, link);
    c->events = EPOLLIN;
    if (zmtp_init(&c->zmtp, ZMTP_SERVER, &limits, &c->out) < 0 ||
        sd_event_add_io(door->d->event, &c->source, c->fd, c->events, on_client, c) < 0 ||
        sd_event_source_set_priority(c->source, PHASE_CLIENT) < 0)
        client_doom_abruptly(c, "out of memory");
    mark_dirty(c); /* the greeting */
    sweep_soon(door);
}

static void listen_on_both(struct door *door, bool on)
{
    door->paused = !on;
    if (door->listen_source)
        sd_event_source_set_enabled(door->listen_source, on ? SD_EVENT_ON : SD_EVENT_OFF);
    fds_pause(door->d->fds, !on);
}

void door_pause(struct door *door)
{
    listen_on_both(door, false);
    sweep_soon(door);
}

static int on_listen(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    struct door *door = userdata;

    (void)s;
    (void)revents;
    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (peer >= 0) {
            client_new(door, peer, false);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_warning("listening-paused", LOG_STR("why", strerror(errno)), LOG_U64("clients", door->n));
            door_pause(door);
        }
        break; /* EAGAIN, or a peer that left while it waited */
    }
    return 0;
}

void door_let_in(struct door *door, int take_fd)
{
    client_new(door, take_fd, true);
}

/* Every 250 ms while somebody owes us bytes or listening is paused. */
static int on_sweep(sd_event_source *s, uint64_t usec, void *userdata)
{
    struct door *door = userdata;
    const struct config *config = door->d->config;
    uint64_t now = daemon_now(door->d);
    bool again = false;
    struct client *c;

    (void)s;
    (void)usec;
    door->sweeping = false;
    if (door->paused)
        listen_on_both(door, true);
    TAILQ_FOREACH(c, &door->clients, link) {
        uint64_t allowed_us = (c->id ? config->stall_ms : config->handshake_ms) * UINT64_C(1000);

        if (c->doom || c->since_us == 0)
            continue;
        if (!(c->events & EPOLLIN))
            c->since_us = now; /* it is we who do not read */
        if (now - c->since_us < allowed_us)
            again = true;
        else
            client_doom_abruptly(c, c->id ? "stopped in the middle of a message" : "handshake took too long");
    }
    if (again)
        sweep_soon(door);
    return 0;
}

/* -- going out ------------------------------------------------------------------------------------- */

void door_answer(struct door *door, uint32_t id, const struct msg_answer *answer, struct blob *payload)
{
    struct span frames[2] = { 0 };
    struct msg_answer refusal;
    struct client *c;
    char why[160];
    unsigned n = 1;

    HASH_FIND(hh, door->by_id, &id, sizeof id, c);
    if (!c || c->doom_abrupt)
        return;
    if (payload && payload->n > c->zmtp.limits.message_bytes) { /* kept since message_max was higher */
        snprintf(why, sizeof why, "the answer has %zu bytes, over the limit message_max, which is %llu", payload->n,
                 (unsigned long long)c->zmtp.limits.message_bytes);
        refusal = (struct msg_answer){
            .failed = true,
            .id = answer->id,
            .failure = { .code = PTOOLS_ERR_TOO_LARGE, .message = { why, strlen(why) } },
        };
        answer = &refusal;
        payload = NULL;
    }
    bytes_reset(&door->envelope);
    msg_answer_encode(answer, &door->envelope);
    if (door->envelope.err) {
        client_doom(c, "out of memory");
        return;
    }
    frames[0] = (struct span){ door->envelope.data, door->envelope.n, NULL };
    if (payload)
        frames[n++] = (struct span){ payload->data, payload->n, payload };
    if (zmtp_send(&c->zmtp, &c->out, frames, n) < 0)
        client_doom(c, "out of memory");
    else if (c->out.n > door->d->config->client_output_max)
        client_doom_abruptly(c, "does not read its answers: client_output_max is reached");
    client_charge(c);
    mark_dirty(c);
}

bool door_event(struct door *door, uint32_t id, const struct msg_answer *event)
{
    struct client *c;

    HASH_FIND(hh, door->by_id, &id, sizeof id, c);
    if (c && c->out.n > EVENTS_BYTES) {
        c->behind = true;
        return false;
    }
    door_answer(door, id, event, NULL);
    return true;
}

bool door_flush(struct door *door)
{
    struct dirty_list now = TAILQ_HEAD_INITIALIZER(now);
    struct client *c;

    TAILQ_CONCAT(&now, &door->dirty, dirty_link);
    while ((c = TAILQ_FIRST(&now))) {
        TAILQ_REMOVE(&now, c, dirty_link);
        c->dirty = false;
        if (!c->doom_abrupt)
            client_send(c);
        if (c->doom) {
            client_free(c);
            continue;
        }
        if (c->out.n == 0 && c->behind) {
            c->behind = false;
            core_events_caught_up(door->d->core, daemon_now(door->d), c->id, &door->d->actions);
        }
        client_charge(c);
        client_wait_for(c);
        if (c->held_back && !c->put_off && c->out.n < PAUSE_BYTES)
            mark_dirty(c);
    }
    TAILQ_FOREACH(c, &door->dirty, dirty_link)
        if (c->held_back && !c->put_off && c->out.n < PAUSE_BYTES)
            client_messages(c);
    return !TAILQ_EMPTY(&door->dirty);
}

/* -- life -------------------------------------------------------------------------------------------- */

int door_new(struct daemon *d, int take_listen_fd, struct door **ret)
{
    AUTO(door) door = calloc(1, sizeof *door);
    int r;

    if (!door) {
        if (take_listen_fd >= 0)
            close(take_listen_fd);
        return -ENOMEM;
    }
    door->d = d;
    door->listen_fd = take_listen_fd;
    door->go_on_fd = -1;
    TAILQ_INIT(&door->clients);
    TAILQ_INIT(&door->dirty);
    TAILQ_INIT(&door->put_off);
    bytes_init(&door->envelope, ENVELOPE_OUT_BYTES);
    door->decoder = msg_decoder_new();
    if (!door->decoder)
        return -ENOMEM;
    door->go_on_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    if (door->go_on_fd < 0)
        return -errno;
    r = door->listen_fd < 0 ? 0 : sd_event_add_io(d->event, &door->listen_source, door->listen_fd, EPOLLIN, on_listen, door);
    if (r >= 0 && door->listen_source)
        r = sd_event_source_set_priority(door->listen_source, PHASE_CLIENT);
    if (r >= 0)
        r = sd_event_add_io(d->event, &door->go_on, door->go_on_fd, EPOLLIN, on_go_on, door);
    if (r >= 0)
        r = sd_event_source_set_priority(door->go_on, PHASE_CLIENT);
    if (r >= 0)
        r = sd_event_source_set_enabled(door->go_on, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_time(d->event, &door->sweep, CLOCK_MONOTONIC, 0, 1000, on_sweep, door);
    if (r >= 0)
        r = sd_event_source_set_priority(door->sweep, PHASE_SWEEP);
    if (r >= 0)
        r = sd_event_source_set_enabled(door->sweep, SD_EVENT_OFF);
    if (r < 0)
        return r;
    *ret = TAKE(door);
    return 0;
}

void door_stop_listening(struct door *door)
{
    door->listen_source = sd_event_source_disable_unref(door->listen_source);
    if (door->listen_fd >= 0)
        close(door->listen_fd);
    door->listen_fd = -1;
}

void door_close(struct door *door)
{
    struct client *c;

    door_stop_listening(door);
    while ((c = TAILQ_FIRST(&door->clients))) {
        for (unsigned i = 0; i < LAST_READS && !c->doom && (c->put_off || client_read(c)); i++)
            if (c->put_off) /* what it had asked is still answered, with DRAINING */
                client_go_on(c);
        if (!c->doom_abrupt)
            client_send(c);
        client_free(c);
    }
}

struct door *door_free(struct door *door)
{
    if (!door)
        return NULL;
    door_close(door);
    sd_event_source_disable_unref(door->sweep);
    sd_event_source_disable_unref(door->go_on);
    if (door->go_on_fd >= 0)
        close(door->go_on_fd);
    msg_decoder_free(door->decoder);
    bytes_deinit(&door->envelope);
    free(door);
    return NULL;
}

uint32_t door_clients(const struct door *door)
{
    return door->n;
}

bool door_pending(const struct door *door)
{
    struct client *c;

    TAILQ_FOREACH(c, &door->clients, link)
        if (c->out.n > 0 && !c->doom)
            return true;
    return false;
}

bool door_was_used(const struct door *door)
{
    return door->used;
}
