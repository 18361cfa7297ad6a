/* SPDX-License-Identifier: MIT */
/* commands_rig -- see commands_rig.h. */
#include "tests/integration/commands_rig.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <unistd.h>

enum { WAIT_MS = 60000 };

ptools_pack *command_key(struct command *c, const char *key)
{
    c->n++;
    ck_assert_uint_le(c->n, COMMAND_KEYS);
    ptools_pack_str(c->pack, key);
    return c->pack;
}

void command_begin(struct command *c, const char *program, ...)
{
    uint32_t n = 1;
    va_list ap;

    va_start(ap, program);
    while (va_arg(ap, const char *))
        n++;
    va_end(ap);
    *c = (struct command){ .pack = ptools_pack_new() };
    ptools_pack_map(c->pack, COMMAND_KEYS);
    ptools_pack_list(command_key(c, "argv"), n);
    va_start(ap, program);
    for (const char *arg = program; arg; arg = va_arg(ap, const char *))
        ptools_pack_bytes(c->pack, arg, strlen(arg));
    va_end(ap);
}

void command_sh(struct command *c, const char *script)
{
    command_begin(c, "sh", "-c", script, NULL);
}

void command_free(struct command *c)
{
    ptools_pack_free(c->pack);
    *c = (struct command){ 0 };
}

void command_str(struct command *c, const char *key, const char *value)
{
    ptools_pack_str(command_key(c, key), value);
}

void command_int(struct command *c, const char *key, int64_t value)
{
    ptools_pack_i64(command_key(c, key), value);
}

void command_bool(struct command *c, const char *key, bool value)
{
    ptools_pack_bool(command_key(c, key), value);
}

void command_bytes(struct command *c, const char *key, const void *data, size_t n)
{
    ptools_pack_bytes(command_key(c, key), data, n);
}

void command_list(struct command *c, const char *key, const char *const *values)
{
    uint32_t n = 0;

    while (values[n])
        n++;
    ptools_pack_list(command_key(c, key), n);
    for (uint32_t i = 0; i < n; i++)
        ptools_pack_bytes(c->pack, values[i], strlen(values[i]));
}

const ptools_pack *command_args(struct command *c)
{
    while (c->n < COMMAND_KEYS)
        ptools_pack_nil(command_key(c, "fail"));
    ck_assert_ptools(ptools_pack_error(c->pack));
    return c->pack;
}

ptools_value command_value(ptools *pt, struct command *c, ptools_future **ret)
{
    ptools_value value = { NULL };
    ptools_err err = ptools_remotecall_fetch(pt, NULL, "command.run", command_args(c), NULL, WAIT_MS, ret, &value);

    ck_assert_msg(err == PTOOLS_OK, "%s: %s", ptools_errname(err), ptools_error_message(pt));
    ck_assert_int_eq(ptools_value_kind(value), PTOOLS_MAP);
    return value;
}

const ptools_failure *command_fails(ptools *pt, struct command *c, ptools_err code)
{
    ptools_err err = ptools_remotecall_fetch(pt, NULL, "command.run", command_args(c), NULL, WAIT_MS, NULL, NULL);
    const ptools_failure *f = ptools_last_failure(pt);

    ck_assert_msg(err == code, "%s instead of %s: %s", ptools_errname(err), ptools_errname(code),
                  ptools_error_message(pt));
    return f;
}

bool value_has(ptools_value map, const char *key)
{
    ptools_value v;

    return ptools_get_field(map, key, &v) == PTOOLS_OK;
}

static ptools_value field(ptools_value map, const char *key)
{
    ptools_value v = { NULL };

    ck_assert_msg(ptools_get_field(map, key, &v) == PTOOLS_OK, "there is no %s", key);
    return v;
}

uint64_t value_u64(ptools_value map, const char *key)
{
    uint64_t n;

    ck_assert_ptools(ptools_get_u64(field(map, key), &n));
    return n;
}

char *value_bytes(ptools_value map, const char *key, size_t *ret_n)
{
    const void *data = "";
    size_t n = 0;
    char *copy;

    if (ptools_get_str(field(map, key), (const char **)&data, &n) != PTOOLS_OK)
        ck_assert_ptools(ptools_get_bytes(field(map, key), &data, &n));
    copy = calloc(1, n + 1);
    memcpy(copy, data, n);
    if (ret_n)
        *ret_n = n;
    return copy;
}

void value_is(ptools_value map, const char *key, const char *text)
{
    char *got = value_bytes(map, key, NULL);

    ck_assert_str_eq(got, text);
    free(got);
}

void command_prints(ptools *pt, struct command *c, const char *out)
{
    ptools_future *f = NULL;
    ptools_value v = command_value(pt, c, &f);

    value_is(v, "out", out);
    ck_assert_uint_eq(value_u64(v, "out_bytes"), strlen(out));
    if (value_has(v, "err"))
        value_is(v, "err", "");
    ck_assert_uint_eq(value_u64(v, "status"), 0);
    ptools_future_free(f);
    command_free(c);
}

pid_t command_pid_in(const char *path)
{
    char dir[256], event[4096];
    int fd = inotify_init1(IN_CLOEXEC);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    long pid = 0;

    snprintf(dir, sizeof dir, "%s", path);
    *strrchr(dir, '/') = '\0';
    ck_assert_int_ge(inotify_add_watch(fd, dir, IN_MOVED_TO), 0);
    for (;;) {
        FILE *f = fopen(path, "re");

        if (f) {
            ck_assert_int_eq(fscanf(f, "%ld", &pid), 1);
            fclose(f);
            break;
        }
        ck_assert_msg(poll(&p, 1, WAIT_MS) == 1, "%s does not come", path);
        ck_assert(read(fd, event, sizeof event) > 0);
    }
    close(fd);
    return (pid_t)pid;
}

void command_pid_gone(pid_t pid)
{
    int pidfd = pidfd_open(pid, 0);
    struct pollfd p = { .fd = pidfd, .events = POLLIN };

    if (pidfd < 0)
        return;
    ck_assert_msg(poll(&p, 1, WAIT_MS) == 1, "process %d lives", (int)pid);
    close(pidfd);
}

/* -- a daemon ------------------------------------------------------------------------------------------------- */

void commands_up(struct commands_rig *rig, unsigned workers)
{
    server_start(&rig->server, workers, NULL);
    rig->pt = server_open(&rig->server);
    temp_dir(rig->dir, sizeof rig->dir);
}

void commands_down(struct commands_rig *rig, unsigned workers)
{
    server_whole(rig->pt, workers);
    rig->pt = ptools_close(rig->pt);
    server_clean(&rig->server, 0);
    server_stop(&rig->server);
    temp_remove(rig->dir);
}

const char *commands_in_dir(const struct commands_rig *rig, const char *name)
{
    static char path[160];

    snprintf(path, sizeof path, "%s/%s", rig->dir, name);
    return path;
}
