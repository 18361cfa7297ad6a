/* SPDX-License-Identifier: MIT */
/*
 * peer_beanstalkd -- puts into beanstalkd over a unix socket: with its binlog synced after each (-b, -f0), and with
 * nothing on disk. Many at once: their puts leave in one write, then their answers are read.
 */
#include "tests/bench/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/integration/server.h"

enum { WINDOW_MAX = 64 };

struct place {
    char dir[64], path[80], listen[96];
};
static struct place synced, in_memory;
static const struct place *asked; /* by answers() */

/* -1: nobody serves it. */
static int dial(const struct place *place)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    phase_assert(fd >= 0);
    memcpy(address.sun_path, place->path, sizeof place->path);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool answers(void)
{
    int fd = dial(asked);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static pid_t start_at(struct place *place, bool sync)
{
    const char *argv[8] = { PEER_BEANSTALKD, "-l", place->listen };
    pid_t server;

    temp_dir(place->dir, sizeof place->dir);
    snprintf(place->path, sizeof place->path, "%s/sock", place->dir);
    snprintf(place->listen, sizeof place->listen, "unix:%s", place->path);
    if (sync) {
        argv[3] = "-b";
        argv[4] = place->dir;
        argv[5] = "-f0";
    }
    server = peer_spawn(argv);
    asked = place;
    peer_wait("beanstalkd", answers);
    return server;
}

static pid_t start_synced(void)
{
    return start_at(&synced, true);
}

static pid_t start_in_memory(void)
{
    return start_at(&in_memory, false);
}

static void stop_synced(pid_t server)
{
    phase_kill(server);
    temp_remove(synced.dir);
}

static void stop_in_memory(pid_t server)
{
    phase_kill(server);
    temp_remove(in_memory.dir);
}

static void send_all(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t sent = write(fd, data, n);

        phase_assert(sent > 0);
        data += sent;
        n -= (size_t)sent;
    }
}

/* So many lines, each of which says that a job was inserted. */
static void read_answers(int fd, unsigned n)
{
    static char text[8192];
    size_t have = 0;

    while (n > 0) {
        ssize_t got = read(fd, text + have, sizeof text - have);
        char *line = text, *end;

        phase_assert(got > 0);
        have += (size_t)got;
        while ((end = memchr(line, '\n', have - (size_t)(line - text)))) {
            phase_assert(strncmp(line, "INSERTED ", 9) == 0 && n > 0);
            line = end + 1;
            n--;
        }
        have -= (size_t)(line - text);
        memmove(text, line, have);
    }
}

static void put_many(struct meter *m, const struct place *place)
{
    static char puts[WINDOW_MAX * (PEER_RECORD_BYTES + 64)];
    const unsigned n = m->load.outstanding;
    char record[PEER_RECORD_BYTES + 1];
    size_t bytes = 0;
    int fd = dial(place);

    phase_assert(fd >= 0 && n <= WINDOW_MAX);
    memset(record, 'r', sizeof record - 1);
    record[sizeof record - 1] = '\0';
    for (unsigned i = 0; i < n; i++)
        bytes += (size_t)snprintf(puts + bytes, sizeof puts - bytes, "put 1024 0 60 %d\r\n%s\r\n", PEER_RECORD_BYTES,
                                  record);
    do {
        send_all(fd, puts, bytes);
        read_answers(fd, n);
    } while (meter_tick(m, n));
    close(fd);
}

static void put_synced(struct meter *m, const char *queue)
{
    (void)queue;
    put_many(m, &synced);
}

static void put_in_memory(struct meter *m, const char *queue)
{
    (void)queue;
    put_many(m, &in_memory);
}

const struct peer peer_beanstalkd_sync = { "beanstalkd -f0", NULL, start_synced, stop_synced, NULL, put_synced };
const struct peer peer_beanstalkd = { "beanstalkd", NULL, start_in_memory, stop_in_memory, NULL, put_in_memory };
