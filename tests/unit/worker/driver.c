/* SPDX-License-Identifier: MIT */
/*
 * driver -- see driver.h. WORKER_PROGRAM is the path of ptools-worker.
 */
#include "tests/unit/worker/driver.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/send_fds.h"
#include "tests/unit/worker/door.h"

enum { ARGS_MAX = 24 };

extern char **environ;

static void await_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    int r;

    do
        r = poll(&p, 1, DRIVER_MS);
    while (r < 0 && errno == EINTR);
    ck_assert_msg(r == 1, "nothing came within %d ms", DRIVER_MS);
}

/* -- the template ---------------------------------------------------------------------------- */

void driver_start(struct driver *d, const char *module_path, const char *const args[])
{
    const char *argv[ARGS_MAX] = { WORKER_PROGRAM, "--template", "--module-path", module_path, "--parent" };
    posix_spawn_file_actions_t actions;
    uint8_t body[LINK_PACKET_BYTES];
    struct link_frame ready;
    char parent[16];
    size_t n = 5;
    int pair[2];

    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    snprintf(parent, sizeof parent, "%d", (int)getpid());
    argv[n++] = parent;
    for (; args && *args; args++)
        argv[n++] = *args;
    ck_assert_uint_lt(n, ARGS_MAX);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, pair[1], 3);
    posix_spawn_file_actions_addclosefrom_np(&actions, 4);
    ck_assert_int_eq(posix_spawn(&d->pid, argv[0], &actions, NULL, (char *const *)argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(pair[1]);
    d->link = pair[0];
    ck_assert(driver_receive(d, &ready, body));
    ck_assert_int_eq(ready.type, LINK_TEMPLATE_READY);
}

void driver_stop(struct driver *d)
{
    int status;

    close(d->link);
    ck_assert_int_eq(waitpid(d->pid, &status, 0), d->pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the template ended with wait status 0x%x", status);
}

void driver_send(struct driver *d, const struct link_frame *frame, const void *body, size_t n, const int *fds,
                 size_t n_fds)
{
    struct link_frame head = *frame;
    const struct iovec iov[2] = { { &head, sizeof head }, { (void *)(uintptr_t)body, n } };

    head.body_bytes = (uint32_t)n;
    ck_assert_int_eq(send_fds(d->link, iov, 2, fds, n_fds, 0), (ssize_t)(sizeof head + n));
}

bool driver_receive(struct driver *d, struct link_frame *ret, uint8_t body[LINK_PACKET_BYTES])
{
    static uint8_t packet[LINK_PACKET_BYTES];
    ssize_t got;

    await_readable(d->link);
    got = recv(d->link, packet, sizeof packet, 0);
    if (got <= 0)
        return false;
    ck_assert_int_ge(got, (ssize_t)sizeof *ret);
    memcpy(ret, packet, sizeof *ret);
    ck_assert_uint_eq(ret->body_bytes, (size_t)got - sizeof *ret);
    memcpy(body, packet + sizeof *ret, ret->body_bytes);
    if (ret->body_bytes < LINK_PACKET_BYTES)
        body[ret->body_bytes] = '\0';
    return true;
}

struct report *driver_load(struct driver *d, const char *module)
{
    struct link_frame load = { .type = LINK_LOAD }, loaded;
    static uint8_t body[LINK_PACKET_BYTES];
    struct report *report;

    driver_send(d, &load, module, strlen(module), NULL, 0);
    ck_assert(driver_receive(d, &loaded, body));
    ck_assert_int_eq(loaded.type, LINK_LOADED);
    ck_assert_int_eq(report_decode(body, loaded.body_bytes, &report), 0);
    ck_assert_str_eq(report->module, module);
    ck_assert_int_eq(report->code, (ptools_err)loaded.code);
    return report;
}

/* -- workers --------------------------------------------------------------------------------- */

static void spawn_process(struct peer *w, struct driver *d, const struct link_frame *spawn, const char *prefix)
{
    static uint8_t body[LINK_PACKET_BYTES];
    struct link_frame spawned;
    int pair[2], fds[3];

    *w = (struct peer){ .id = spawn->worker };
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    fds[0] = pair[1];
    w->link = pair[0];
    w->fds = door_open(&fds[2]);
    fds[1] = memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_ge(fds[1], 0);
    ck_assert_int_eq(ftruncate(fds[1], PAGE_BYTES), 0);
    ck_assert_int_eq(fcntl(fds[1], F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    w->page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0);
    ck_assert_ptr_ne(w->page, MAP_FAILED);
    w->page->magic = PAGE_MAGIC;
    intake_init(&w->in);
    driver_send(d, spawn, prefix, strlen(prefix), fds, 3);
    close(fds[0]);
    close(fds[1]);
    close(fds[2]);
    ck_assert(driver_receive(d, &spawned, body));
    ck_assert_int_eq(spawned.type, LINK_SPAWNED);
    ck_assert_uint_eq(spawned.worker, w->id);
    ck_assert_msg(spawned.code == PTOOLS_OK, "no worker: %s", body);
    w->pid = (pid_t)spawned.a;
}

void peer_fork(struct peer *w, struct driver *d, uint32_t id)
{
    const struct link_frame spawn = { .type = LINK_SPAWN, .worker = id };

    spawn_process(w, d, &spawn, "");
}

static void start_process(struct peer *w)
{
    struct link_frame start = { .type = LINK_START, .worker = w->id, .a = (uint32_t)getpid() };
    struct answer ready;

    peer_send(w, &start, NULL, 0);
    ck_assert(peer_answer(w, &ready));
    ck_assert_int_eq(ready.frame.type, LINK_READY);
    answer_deinit(&ready);
}

void peer_start(struct peer *w, struct driver *d, uint32_t id)
{
    peer_fork(w, d, id);
    start_process(w);
}

void peer_start_stask(struct peer *w, struct driver *d, uint32_t index, uint32_t count, const char *prefix)
{
    const struct link_frame spawn = {
        .type = LINK_SPAWN, .worker = 0x80000001u + index, .slot = index, .attempt = count, .a = 1234 /* uid */
    };

    spawn_process(w, d, &spawn, prefix);
    start_process(w);
}

int peer_wait(struct peer *w)
{
    int status = 0;

    ck_assert_int_eq(waitpid(w->pid, &status, 0), w->pid);
    return status;
}

void peer_free(struct peer *w)
{
    if (w->link >= 0)
        close(w->link);
    close(w->fds);
    munmap(w->page, PAGE_BYTES);
    intake_deinit(&w->in);
}

int peer_stop(struct peer *w)
{
    int status;

    close(w->link);
    w->link = -1;
    status = peer_wait(w);
    peer_free(w);
    return status;
}

/* -- frames ---------------------------------------------------------------------------------- */

static void send_all(int fd, const void *data, size_t n)
{
    const uint8_t *at = data;

    while (n > 0) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);

        ck_assert_msg(sent > 0, "send: %s", strerror(errno));
        at += sent;
        n -= (size_t)sent;
    }
}

static void send_frame(int fd, const struct link_frame *frame, const void *body, size_t n)
{
    struct link_frame head = *frame;

    head.body_bytes = (uint32_t)n;
    send_all(fd, &head, sizeof head);
    send_all(fd, body, n);
}

void peer_send(struct peer *w, const struct link_frame *frame, const void *body, size_t n)
{
    send_frame(w->link, frame, body, n);
}

void peer_prepare(struct peer *w, uint64_t task, const char *function, struct link_frame *ret)
{
    *ret = (struct link_frame){
        .type = LINK_RUN,
        .name_bytes = (uint8_t)strlen(function),
        .task = task,
        .worker = w->id,
        .attempt = 1,
        .slot = w->next_slot++ % PAGE_SLOTS,
        .a = 1234, /* uid */
    };
    page_give(w->page, ret->slot, task);
}

/* The function's name, and the arguments behind it. */
static void send_call(int fd, const struct link_frame *run, const char *function, ptools_pack *take_arguments)
{
    const uint8_t *arguments;
    uint8_t *body;
    size_t n, name = strlen(function);

    ck_assert_int_eq(pack_finish_arguments(take_arguments, &arguments, &n), PTOOLS_OK);
    body = malloc(name + n);
    ck_assert_ptr_nonnull(body);
    memcpy(body, function, name);
    memcpy(body + name, arguments, n);
    send_frame(fd, run, body, name + n);
    free(body);
    ptools_pack_free(take_arguments);
}

void peer_give(struct peer *w, uint64_t task, const char *function, ptools_pack *take_arguments)
{
    struct link_frame run;

    peer_prepare(w, task, function, &run);
    send_call(w->link, &run, function, take_arguments);
}

static bool read_some(int fd, struct intake *in)
{
    size_t room;
    void *space = intake_space(in, &room);
    ssize_t got;

    ck_assert_ptr_nonnull(space);
    await_readable(fd);
    got = recv(fd, space, room, 0);
    if (got <= 0)
        return false;
    intake_commit(in, (size_t)got);
    return true;
}

static void split_texts(struct answer *a)
{
    const char *at = (const char *)a->body, *end = at + a->frame.body_bytes;

    for (size_t i = 0; i < ELEMENTS(a->texts); i++) {
        ck_assert_ptr_nonnull(memchr(at, '\0', (size_t)(end - at)));
        a->texts[i] = at;
        at += strlen(at) + 1;
    }
    ck_assert_ptr_eq(at, end);
}

/* The next frame of a stream; false: it is at its end. */
static bool read_answer(int fd, struct intake *in, struct answer *ret)
{
    const uint8_t *head;
    const char *why;
    struct span body;
    int r;

    memset(ret, 0, sizeof *ret);
    payload_init(&ret->payload);
    while (!(head = intake_peek(in, sizeof ret->frame)))
        if (!read_some(fd, in))
            return false;
    memcpy(&ret->frame, head, sizeof ret->frame);
    intake_drop(in, sizeof ret->frame);
    while ((r = intake_body(in, ret->frame.body_bytes, &body)) == 0)
        if (!read_some(fd, in))
            return false;
    ck_assert_int_eq(r, 1);
    ret->body = malloc(body.n + 1);
    ck_assert_ptr_nonnull(ret->body);
    if (body.n > 0)
        memcpy(ret->body, body.data, body.n);
    ret->body[body.n] = '\0';
    blob_free(body.blob);
    if (ret->frame.type == LINK_DONE && ret->frame.code == PTOOLS_OK && ret->frame.body_bytes == 0) {
        ret->value.object = NULL; /* of a batch */
    } else if (ret->frame.type == LINK_DONE && ret->frame.code == PTOOLS_OK) {
        ck_assert_int_eq(payload_parse(&ret->payload, ret->body, ret->frame.body_bytes, &why), PTOOLS_OK);
        ret->value.object = &ret->payload.root;
    } else if (ret->frame.type == LINK_DONE) {
        split_texts(ret);
    }
    return true;
}

bool peer_answer(struct peer *w, struct answer *ret)
{
    return read_answer(w->link, &w->in, ret);
}

void answer_deinit(struct answer *a)
{
    payload_deinit(&a->payload);
    free(a->body);
    a->body = NULL;
}

void peer_call(struct peer *w, uint64_t task, const char *function, ptools_pack *take_arguments, struct answer *ret)
{
    peer_give(w, task, function, take_arguments);
    ck_assert_msg(peer_answer(w, ret), "%s: the worker closed its link", function);
    ck_assert_int_eq(ret->frame.type, LINK_DONE);
    ck_assert_uint_eq(ret->frame.task, task);
    ck_assert_msg(ret->frame.code == PTOOLS_OK, "%s: %s: %s", function, ptools_errname((ptools_err)ret->frame.code),
                  ret->texts[0]);
}

void peer_fail(struct peer *w, uint64_t task, const char *function, ptools_pack *take_arguments, ptools_err code,
               const char *text)
{
    struct answer a;

    peer_give(w, task, function, take_arguments);
    ck_assert_msg(peer_answer(w, &a), "%s: the worker closed its link", function);
    ck_assert_int_eq(a.frame.type, LINK_DONE);
    ck_assert_uint_eq(a.frame.task, task);
    ck_assert_str_eq(ptools_errname((ptools_err)a.frame.code), ptools_errname(code));
    ck_assert_msg(strstr(a.texts[0], text) != NULL, "%s: \"%s\" is not in \"%s\"", function, text, a.texts[0]);
    answer_deinit(&a);
}

/* -- lanes ----------------------------------------------------------------------------------- */

void lane_open(struct lane *lane, struct peer *w, uint32_t number)
{
    struct fds_answer told = { .magic = FDS_MAGIC, .code = FDS_CODE_LANE, .bytes = number };
    int pair[2];

    *lane = (struct lane){ .number = number };
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    lane->fd = pair[0];
    intake_init(&lane->in);
    door_tell(w->fds, &told, pair[1]);
}

void lane_close(struct lane *lane)
{
    close(lane->fd);
    intake_deinit(&lane->in);
}

uint64_t lane_number(const struct lane *lane, uint32_t call)
{
    return (uint64_t)lane->number << 32 | call;
}

void lane_send(struct lane *lane, const struct link_frame *frame, const void *body, size_t n)
{
    send_frame(lane->fd, frame, body, n);
}

uint64_t lane_give(struct lane *lane, const char *function, ptools_pack *take_arguments)
{
    const struct link_frame run = {
        .type = LINK_RUN, .name_bytes = (uint8_t)strlen(function), .task = lane_number(lane, ++lane->calls)
    };

    send_call(lane->fd, &run, function, take_arguments);
    return run.task;
}

bool lane_answer(struct lane *lane, struct answer *ret)
{
    return read_answer(lane->fd, &lane->in, ret);
}

void lane_call(struct lane *lane, const char *function, ptools_pack *take_arguments, struct answer *ret)
{
    uint64_t call = lane_give(lane, function, take_arguments);

    ck_assert_msg(lane_answer(lane, ret), "%s: the server task closed its lane", function);
    ck_assert_int_eq(ret->frame.type, LINK_DONE);
    ck_assert_uint_eq(ret->frame.task, call);
    ck_assert_msg(ret->frame.code == PTOOLS_OK, "%s: %s: %s", function, ptools_errname((ptools_err)ret->frame.code),
                  ret->texts[0]);
}

void lane_fail(struct lane *lane, const char *function, ptools_pack *take_arguments, ptools_err code, const char *text)
{
    uint64_t call = lane_give(lane, function, take_arguments);
    struct answer a;

    ck_assert_msg(lane_answer(lane, &a), "%s: the server task closed its lane", function);
    ck_assert_uint_eq(a.frame.task, call);
    ck_assert_str_eq(ptools_errname((ptools_err)a.frame.code), ptools_errname(code));
    ck_assert_msg(strstr(a.texts[0], text) != NULL, "%s: \"%s\" is not in \"%s\"", function, text, a.texts[0]);
    answer_deinit(&a);
}

ptools_pack *args_u64(uint64_t v)
{
    ptools_pack *args = ptools_pack_new();

    ck_assert_ptr_nonnull(args);
    ptools_pack_u64(args, v);
    return args;
}

ptools_pack *args_str(const char *s)
{
    ptools_pack *args = ptools_pack_new();

    ck_assert_ptr_nonnull(args);
    ptools_pack_str(args, s);
    return args;
}

void page_await(const _Atomic uint32_t *word, uint32_t value)
{
    struct timespec begin, now;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    while (atomic_load(word) != value) { /* the worker tells nobody: all that can be done is look again */
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
        ck_assert_msg(now.tv_sec - begin.tv_sec < DRIVER_MS / 1000, "the page never said %u", value);
    }
}

void page_await_phase(const struct page *page, const char *phase)
{
    struct timespec begin, now;
    struct page_words words;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (page_read_words(page, &words); strcmp(words.phase, phase) != 0; page_read_words(page, &words)) {
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
        ck_assert_msg(now.tv_sec - begin.tv_sec < DRIVER_MS / 1000, "the page never said \"%s\"", phase);
    }
}
