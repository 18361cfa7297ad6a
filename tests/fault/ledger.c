/* SPDX-License-Identifier: MIT */
/* ledger -- see ledger.h. */
#include "tests/fault/ledger.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const classes[] = { NULL, "volatile", "crashsafe", "durable" };
static const char *const states[] = { NULL,      "waiting",   "queued",  "running", "done", "failed",
                                      "timeout", "cancelled", "expired", "dead",    "lost" };

static int number_of(const char *word, const char *const *words, int n)
{
    for (int i = 1; i < n; i++)
        if (strcmp(word, words[i]) == 0)
            return i;
    return 0;
}

const char *ledger_class(ptools_durability durability)
{
    return durability >= PTOOLS_VOLATILE && durability <= PTOOLS_DURABLE ? classes[durability] : NULL;
}

ptools_durability ledger_class_of(const char *word)
{
    return (ptools_durability)number_of(word, classes, PTOOLS_DURABLE + 1);
}

const char *ledger_state(ptools_queued_state state)
{
    return state >= PTOOLS_QUEUED_WAITING && state <= PTOOLS_QUEUED_LOST ? states[state] : NULL;
}

ptools_queued_state ledger_state_of(const char *word)
{
    return (ptools_queued_state)number_of(word, states, PTOOLS_QUEUED_LOST + 1);
}

void ledger_jobs(const char *dir, char *ret, size_t bytes)
{
    ck_assert_int_lt(snprintf(ret, bytes, "%s/jobs", dir), (int)bytes);
}

void ledger_open(struct ledger *l, const char *dir, unsigned client)
{
    char path[256];

    ck_assert_int_lt(snprintf(path, sizeof path, "%s/client-%u", dir, client), (int)sizeof path);
    l->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_msg(l->fd >= 0, "%s: %s", path, strerror(errno));
}

void ledger_close(struct ledger *l)
{
    close(l->fd);
    l->fd = -1;
}

__attribute__((__format__(__printf__, 2, 3))) static void write_line(struct ledger *l, const char *format, ...)
{
    char line[256];
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    if (n < 0 || n >= (int)sizeof line || write(l->fd, line, (size_t)n) != n)
        ck_abort_msg("cannot write to the ledger: %s", strerror(errno));
}

void ledger_sent(struct ledger *l, const char *key, ptools_durability durability, uint32_t attempts)
{
    write_line(l, "S %s %s %" PRIu32 "\n", key, ledger_class(durability), attempts);
}

void ledger_accepted(struct ledger *l, const char *key, uint64_t id, ptools_durability durability)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    write_line(l, "A %s %" PRIu64 " %s %" PRIu64 "\n", key, id, ledger_class(durability),
               (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000);
}

void ledger_ended(struct ledger *l, const char *key, ptools_queued_state state, uint32_t crc)
{
    write_line(l, "R %s %s %08" PRIx32 "\n", key, ledger_state(state), crc);
}

uint32_t ledger_crc(const void *data, size_t n)
{
    const unsigned char *byte = data;
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < n; i++) {
        crc ^= byte[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
    }
    return ~crc;
}
