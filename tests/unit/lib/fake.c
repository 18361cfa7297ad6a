/* SPDX-License-Identifier: MIT */
/*
 * fake -- see fake.h. One connection at a time, blocking reads and writes: a script reads as a story.
 */
#include "tests/unit/lib/fake.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/value.h"

void fake_check(bool ok, const char *what, const char *file, int line)
{
    if (ok)
        return;
    fprintf(stderr, "%s:%d: in the fake daemon: %s\n", file, line, what);
    _exit(3);
}

/* -- in the parent ---------------------------------------------------------------------------------------- */

void fake_begin(struct fake *f)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    *f = (struct fake){ .listener = -1, .fd = -1 };
    strcpy(f->dir, "/tmp/ptools-fake-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f->dir));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", f->dir, SOCKET_NAME);
    snprintf(f->endpoint, sizeof f->endpoint, "ipc://%s", address.sun_path);
    f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(f->listener, 0);
    ck_assert_int_eq(bind(f->listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(f->listener, 16), 0);
    ck_assert_int_eq(pipe(f->gate), 0);
}

void fake_run(struct fake *f, fake_script *script)
{
    f->child = fork();
    ck_assert_int_ge(f->child, 0);
    if (f->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(f->gate[1]);
        f->decoder = msg_decoder_new();
        FAKE_CHECK(f->decoder != NULL);
        script(f);
        fake_close(f);
        msg_decoder_free(f->decoder);
        _exit(0);
    }
}

void fake_open_gate(struct fake *f)
{
    close(f->gate[1]);
    f->gate[1] = -1;
}

void fake_join(struct fake *f)
{
    int status;

    ck_assert_int_eq(waitpid(f->child, &status, 0), f->child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the fake daemon ended with wait status 0x%x", status);
    f->child = 0;
}

void fake_end(struct fake *f)
{
    char path[128];

    if (f->child > 0)
        fake_join(f);
    close(f->listener);
    close(f->gate[0]);
    if (f->gate[1] >= 0)
        close(f->gate[1]);
    snprintf(path, sizeof path, "%s/%s", f->dir, SOCKET_NAME);
    unlink(path);
    rmdir(f->dir);
}

const char *fake_address(struct fake *f, int via)
{
    return via == VIA_UNIX ? f->dir : f->endpoint;
}

ptools *fake_open(struct fake *f, int via)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    const char *message = "";
    ptools *pt = NULL;

    options.address = fake_address(f, via);
    ck_assert_msg(ptools_open(&options, &pt, &message) == PTOOLS_OK, "ptools_open: %s", message);
    return pt;
}

/* -- in scripts --------------------------------------------------------------------------------------------- */

void fake_wait_gate(struct fake *f)
{
    char byte;

    FAKE_CHECK(read(f->gate[0], &byte, 1) == 0);
}

void fake_write(struct fake *f, const void *data, size_t n)
{
    const char *p = data;

    while (n > 0) {
        ssize_t w = send(f->fd, p, n, MSG_NOSIGNAL);

        if (w < 0 && (errno == EPIPE || errno == ECONNRESET))
            return; /* the client has closed: the next read tells */
        FAKE_CHECK(w > 0);
        p += w;
        n -= (size_t)w;
    }
}

static void flush(struct fake *f)
{
    while (f->out.n > 0) {
        struct iovec iov;

        FAKE_CHECK(chain_peek(&f->out, &iov, 1) == 1);
        fake_write(f, iov.iov_base, iov.iov_len);
        chain_consume(&f->out, iov.iov_len);
    }
}

static enum zmtp_event next_event(struct fake *f)
{
    zmtp_message_deinit(&f->message);
    f->message.n = 0;
    for (;;) {
        enum zmtp_event event = zmtp_next(&f->zmtp, &f->in, &f->out, &f->message);
        size_t room;
        void *space;
        ssize_t n;

        flush(f);
        if (event != ZMTP_NEED_MORE)
            return event;
        space = intake_space(&f->in, &room);
        FAKE_CHECK(space != NULL);
        n = recv(f->fd, space, room, 0);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return ZMTP_NEED_MORE; /* closed */
        FAKE_CHECK(n > 0);
        intake_commit(&f->in, (size_t)n);
    }
}

bool fake_accept(struct fake *f)
{
    const struct zmtp_limits limits = { .message_bytes = MESSAGE_BYTES_DEFAULT };
    enum zmtp_event event;

    fake_close(f);
    f->fd = accept(f->listener, NULL, NULL);
    FAKE_CHECK(f->fd >= 0);
    f->connections++;
    chain_init(&f->out);
    intake_init(&f->in);
    FAKE_CHECK(zmtp_init(&f->zmtp, ZMTP_SERVER, &limits, &f->out) == 0);
    flush(f);
    event = next_event(f);
    FAKE_CHECK(event == ZMTP_OPENED || event == ZMTP_NEED_MORE);
    return event == ZMTP_OPENED;
}

bool fake_next(struct fake *f, struct msg_request *ret)
{
    enum zmtp_event event = next_event(f);
    struct msg_problem problem;

    if (event == ZMTP_NEED_MORE)
        return false;
    FAKE_CHECK(event == ZMTP_MESSAGE);
    FAKE_CHECK(msg_request_decode(f->decoder, f->message.frame[0].data, f->message.frame[0].n, ret, &problem) == 0);
    FAKE_CHECK(f->message.n == (msg_kind_has_payload(ret->kind) ? 2 : 1));
    return true;
}

bool fake_accept_hello(struct fake *f)
{
    struct msg_request request;

    if (!fake_accept(f) || !fake_next(f, &request))
        return false;
    FAKE_CHECK(request.kind == MSG_HELLO);
    FAKE_CHECK(request.hello.version_min <= 1 && request.hello.version_max >= 1);
    fake_reply(f,
               &(struct msg_answer){ .id = request.id,
                                     .reply = { .version = 1,
                                                .message_max = f->message_max,
                                                .epoch = { f->epoch, f->epoch ? 16 : 0 } } },
               NULL);
    return true;
}

void fake_accept_again(struct fake *f)
{
    while (!fake_accept_hello(f))
        ;
}

void fake_next_of(struct fake *f, enum msg_kind kind, struct msg_request *ret)
{
    FAKE_CHECK(fake_next(f, ret));
    if (ret->kind != kind)
        fprintf(stderr, "in the fake daemon: %s came, %s is expected\n", msg_kind_name(ret->kind), msg_kind_name(kind));
    FAKE_CHECK(ret->kind == kind);
}

uint64_t fake_next_call(struct fake *f)
{
    struct msg_request request;

    fake_next_of(f, MSG_CALL, &request);
    return request.id;
}

struct span fake_payload(const struct fake *f)
{
    FAKE_CHECK(f->message.n == 2);
    return f->message.frame[1];
}

/* payload NULL: none. */
static void send_answer(struct fake *f, const struct msg_answer *answer, const uint8_t *payload, size_t n)
{
    struct bytes envelope;
    struct span frames[2] = { { 0 }, { payload, n, NULL } };

    bytes_init(&envelope, ENVELOPE_BYTES_MAX);
    msg_answer_encode(answer, &envelope);
    FAKE_CHECK(envelope.err == 0);
    frames[0] = (struct span){ envelope.data, envelope.n, NULL };
    FAKE_CHECK(zmtp_send(&f->zmtp, &f->out, frames, payload ? 2 : 1) == 0);
    bytes_deinit(&envelope);
    flush(f);
}

void fake_reply(struct fake *f, const struct msg_answer *answer, const ptools_pack *value)
{
    const uint8_t *payload = NULL;
    size_t n = 0;

    if (value)
        FAKE_CHECK(pack_finish_value(value, &payload, &n) == PTOOLS_OK);
    send_answer(f, answer, payload, n);
}

void fake_reply_records(struct fake *f, const struct msg_answer *answer, const ptools_pack *records)
{
    const uint8_t *payload = NULL;
    uint64_t items;
    size_t n = 0;

    FAKE_CHECK(pack_finish_items(records, &payload, &n, &items) == PTOOLS_OK);
    send_answer(f, answer, n > 0 ? payload : NULL, n);
}

void fake_reply_number(struct fake *f, uint64_t id, uint64_t number)
{
    ptools_pack *value = ptools_pack_new();

    ptools_pack_u64(value, number);
    fake_reply(f, &(struct msg_answer){ .id = id, .reply = { .task = id + 1000, .worker = 1, .attempt = 1 } }, value);
    ptools_pack_free(value);
}

void fake_error(struct fake *f, uint64_t id, ptools_err code, const char *message)
{
    fake_reply(f,
               &(struct msg_answer){
                   .failed = true, .id = id, .failure = { .code = code, .message = { message, strlen(message) } } },
               NULL);
}

void fake_until_closed(struct fake *f)
{
    while (next_event(f) == ZMTP_MESSAGE)
        ;
}

static void move_socket(struct fake *f, const char *from, const char *to)
{
    char old[128], new[128];

    snprintf(old, sizeof old, "%s/%s", f->dir, from);
    snprintf(new, sizeof new, "%s/%s", f->dir, to);
    FAKE_CHECK(rename(old, new) == 0);
}

void fake_hide(struct fake *f)
{
    move_socket(f, SOCKET_NAME, "hidden");
}

void fake_show(struct fake *f)
{
    move_socket(f, "hidden", SOCKET_NAME);
}

void fake_close(struct fake *f)
{
    if (f->fd < 0)
        return;
    close(f->fd);
    f->fd = -1;
    zmtp_message_deinit(&f->message);
    f->message.n = 0;
    zmtp_deinit(&f->zmtp);
    chain_deinit(&f->out);
    intake_deinit(&f->in);
}

/* -- the server -------------------------------------------------------------------------------------------------- */

struct server {
    struct fake *f;
    uint64_t held[64];
    unsigned n_held;
    uint32_t sets;  /* made so far: their numbers on this connection */
    bool named_set; /* a set "box" exists, as number 77 */
};

static void fail_with_all_facts(struct fake *f, uint64_t id)
{
#define TEXT(s)                                                                                                        \
    {                                                                                                                  \
        s, sizeof s - 1                                                                                                \
    }
    struct msg_answer answer = {
        .failed = true,
        .id = id,
        .failure = { .code = PTOOLS_ERR_WORKER_DIED,
                     .message = TEXT("worker 3 died of SIGSEGV"),
                     .task = 4711,
                     .worker = 3,
                     .attempt = 2,
                     .pid = 1234,
                     .signal = 11,
                     .maybe_executed = true,
                     .run_us = 5000,
                     .peak_bytes = 1 << 20,
                     .phase = TEXT("sorting"),
                     .progress = 3,
                     .progress_of = 9,
                     .log = TEXT("one\ntwo\n"),
                     .backtrace = TEXT("f\nmain\n") },
    };
#undef TEXT

    fake_reply(f, &answer, NULL);
}

/* The first argument as a value of its own. */
static void echo(struct fake *f, uint64_t id)
{
    struct span payload = fake_payload(f);
    const struct scan_limits limits = { SCAN_DEPTH_MAX, UINT64_MAX };
    ptools_pack *value = ptools_pack_new();
    size_t n;

    FAKE_CHECK((payload.data[0] & 0xf0) == 0x90); /* few arguments: a short header */
    if (payload.data[0] == 0x90) {
        ptools_pack_nil(value);
    } else {
        FAKE_CHECK(scan_prefix(payload.data + 1, payload.n - 1, &limits, &n, NULL) == SCAN_OK);
        ptools_pack_raw(value, payload.data + 1, n);
    }
    fake_reply(f, &(struct msg_answer){ .id = id, .reply = { .task = id + 1000, .worker = 1, .attempt = 1 } }, value);
    ptools_pack_free(value);
}

static void big(struct fake *f, uint64_t id)
{
    struct span payload = fake_payload(f);
    struct payload arguments;
    ptools_value list, first;
    uint64_t n = 0;
    const char *why;
    ptools_pack *value = ptools_pack_new();
    char *bytes;

    payload_init(&arguments);
    FAKE_CHECK(payload_parse(&arguments, payload.data, payload.n, &why) == PTOOLS_OK);
    list = (ptools_value){ &arguments.root };
    FAKE_CHECK(ptools_get_item(list, 0, &first) == PTOOLS_OK && ptools_get_u64(first, &n) == PTOOLS_OK);
    payload_deinit(&arguments);
    bytes = calloc(1, n + 1);
    FAKE_CHECK(bytes != NULL);
    memset(bytes, 'x', n);
    ptools_pack_bytes(value, bytes, n);
    free(bytes);
    fake_reply(f, &(struct msg_answer){ .id = id, .reply = { .task = 1, .worker = 1 } }, value);
    ptools_pack_free(value);
}

static bool text_is(struct text t, const char *s)
{
    return t.n == strlen(s) && memcmp(t.data, s, t.n) == 0;
}

/* False: the connection was closed. */
static bool serve_call(struct server *s, const struct msg_request *request)
{
    struct text function = request->call.function;
    struct fake *f = s->f;

    if (request->call.set_id != 0 && request->call.set_id != 77 && request->call.set_id > s->sets) {
        fake_error(f, request->id, PTOOLS_ERR_NO_SET, "no such set");
    } else if (request->call.detached) {
        fake_reply(f, &(struct msg_answer){ .id = request->id, .reply = { .task = 99 } }, NULL);
    } else if (text_is(function, "t.echo")) {
        echo(f, request->id);
    } else if (text_is(function, "t.fail")) {
        fail_with_all_facts(f, request->id);
    } else if (text_is(function, "t.hold")) {
        FAKE_CHECK(s->n_held < ELEMENTS(s->held));
        s->held[s->n_held++] = request->id;
    } else if (text_is(function, "t.release")) {
        uint64_t id = request->id;

        while (s->n_held > 0) {
            s->n_held--;
            fake_reply_number(f, s->held[s->n_held], s->n_held);
        }
        fake_reply_number(f, id, 0);
    } else if (text_is(function, "t.drop")) {
        fake_close(f);
        return false;
    } else if (text_is(function, "t.big")) {
        big(f, request->id);
    } else if (text_is(function, "t.count")) {
        fake_reply_number(f, request->id, f->connections);
    } else if (!text_is(function, "t.never")) {
        fake_error(f, request->id, PTOOLS_ERR_NO_FUNCTION, "no such function");
    }
    return true;
}

static void serve_set(struct server *s, const struct msg_request *request)
{
    struct fake *f = s->f;
    struct msg_answer answer = { .id = request->id };

    switch (request->kind) {
    case MSG_SET_CREATE:
        if (request->set.members[0] > 100) {
            fake_error(f, request->id, PTOOLS_ERR_NO_WORKER, "no worker of that id");
            return;
        }
        s->named_set = s->named_set || text_is(request->set.name, "box");
        answer.reply.set_id = text_is(request->set.name, "box") ? 77 : ++s->sets;
        break;
    case MSG_SET_OPEN:
        if (!s->named_set || !text_is(request->set.name, "box")) {
            fake_error(f, request->id, PTOOLS_ERR_NO_SET, "no worker set of that name");
            return;
        }
        answer.reply.set_id = 77;
        answer.reply.mode = 2;
        break;
    default:
        if (request->set.set_id != 77 && (request->set.set_id == 0 || request->set.set_id > s->sets)) {
            fake_error(f, request->id, PTOOLS_ERR_NO_SET, "no worker set of that number");
            return;
        }
        if (request->kind == MSG_SET_DESTROY && request->set.set_id == 77)
            s->named_set = false;
        break;
    }
    fake_reply(f, &answer, NULL);
}

void fake_reply_workers(struct fake *f, const struct msg_request *request)
{
    static const char *const numbers[] = { "id",     "pid",      "tasks_done", "waiting",
                                           "deaths", "recycled", "rss_bytes",  "extra" };
    ptools_pack *p;

    if (!text_is(request->inspect.what, "workers")) {
        fake_error(f, request->id, PTOOLS_ERR_BAD_REQUEST, "what: workers, in this daemon");
        return;
    }
    p = ptools_pack_new();
    ptools_pack_list(p, 2);
    for (unsigned i = 0; i < 2; i++) {
        ptools_pack_map(p, 4 + ELEMENTS(numbers));
        ptools_pack_str(p, "state");
        ptools_pack_str(p, i ? "busy" : "idle");
        ptools_pack_str(p, "function");
        ptools_pack_str(p, i ? "text.count" : "");
        ptools_pack_str(p, "phase");
        ptools_pack_str(p, i ? "reading" : "");
        ptools_pack_str(p, "progress");
        ptools_pack_list(p, 2);
        ptools_pack_u64(p, i);
        ptools_pack_u64(p, 10 * i);
        for (unsigned k = 0; k < ELEMENTS(numbers); k++) {
            ptools_pack_str(p, numbers[k]);
            ptools_pack_u64(p, 100 * i + k + 1);
        }
    }
    fake_reply(f, &(struct msg_answer){ .id = request->id }, p);
    ptools_pack_free(p);
}

static void serve_connection(struct server *s)
{
    struct fake *f = s->f;
    struct msg_request request;

    s->n_held = 0;
    s->sets = 0;
    if (!fake_accept_hello(f))
        return;
    while (fake_next(f, &request)) {
        switch (request.kind) {
        case MSG_CALL:
            if (!serve_call(s, &request))
                return;
            break;
        case MSG_CANCEL:
            fake_reply(f, &(struct msg_answer){ .id = request.id }, NULL);
            fake_error(f, request.cancel.request, PTOOLS_ERR_CANCELLED, "cancelled on request");
            break;
        case MSG_SET_CREATE:
        case MSG_SET_OPEN:
        case MSG_SET_CHANGE:
        case MSG_SET_DESTROY:
            serve_set(s, &request);
            break;
        case MSG_WORKERS_ADD:
            fake_reply(f, &(struct msg_answer){ .id = request.id, .reply = { .worker = 5 } }, NULL);
            break;
        case MSG_WORKERS_REMOVE:
            if (request.workers.worker == 9)
                fake_error(f, request.id, PTOOLS_ERR_NO_WORKER, "no worker of that id");
            else
                fake_reply(f, &(struct msg_answer){ .id = request.id }, NULL);
            break;
        case MSG_INSPECT:
            fake_reply_workers(f, &request);
            break;
        default:
            FAKE_CHECK(!"a kind that the library does not send");
        }
    }
}

void fake_serve(struct fake *f, unsigned connections)
{
    struct server s = { .f = f };

    while (f->connections < connections)
        serve_connection(&s);
}

void fake_serve_deaf(struct fake *f)
{
    ptools_pack *records = ptools_pack_new();
    struct msg_answer answer = { .reply = { .task = 1, .worker = 1, .items = 1, .workers = 64 } };

    FAKE_CHECK(fake_accept_hello(f));
    answer.id = fake_next_call(f);
    ptools_pack_list(records, 1);
    ptools_pack_u64(records, 7);
    fake_reply_records(f, &answer, records);
    ptools_pack_free(records);
    fake_wait_gate(f);
}

void fake_serve_one(struct fake *f)
{
    fake_serve(f, 1);
}

void fake_serve_two(struct fake *f)
{
    fake_serve(f, 2);
}
