/* SPDX-License-Identifier: MIT */
/*
 * log -- see log.h.
 *
 * The loop never waits for its log. A line is one write(2), and only where poll() says that there is
 * room (a pipe that polls writable takes PIPE_BUF bytes at once, a line is shorter); a line that does
 * not go out is dropped and counted, and the next one that does says lines_dropped=N. For the same
 * reason lines for the journal are sent here, in its native protocol: sd_journal_send() waits when
 * the journal is slow, and says "sent" when there is none.
 *
 * What can be repeated from outside must not fill a disk: each event name has 50 lines a second, and
 * 200 saved up; beyond that lines are counted, and told once a second at most as suppressed=N.
 *
 * Values are foreign: all but printable ASCII is escaped, so a line is always one line, and no
 * terminal obeys it. No memory is allocated.
 */
#include "daemon/ptoolsd/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/util.h"

enum {
    EVENTS_MAX = 64,             /* names counted apart; further ones share the last bucket */
    LINE_COST_US = 1000000 / 50, /* credit grows with time: 50 lines a second */
    CREDIT_MAX_US = 200 * LINE_COST_US,
    TELL_US = 1000000
};

struct bucket {
    const char *event;
    uint64_t credit_us, seen_us;
    uint64_t suppressed, since_us; /* lines not written, the first of them at since_us */
    enum log_level level;          /* of the last of them */
};

static struct {
    int fd;
    int journal;                   /* datagram socket; -1: lines go to fd */
    struct sockaddr_un journal_address;
    uint64_t dropped;
    bool torn;                     /* the last write stopped inside a line */
    struct bucket buckets[EVENTS_MAX];
    size_t n;
} state = { .fd = STDERR_FILENO, .journal = -1 };

enum log_level log_level_max = LOG_LEVEL_INFO;

const char *log_level_name(enum log_level level)
{
    static const char *const names[LOG_LEVELS] = {
        [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_INFO] = "info",
        [LOG_LEVEL_DEBUG] = "debug"
    };

    return (unsigned)level < LOG_LEVELS ? names[level] : "unknown";
}

uint64_t log_clock_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* $JOURNAL_STREAM is "device:inode" of what the service manager connected to the journal: true only if
 * that is still what fd leads to. */
static bool leads_to_journal(int fd)
{
    const char *text = getenv("JOURNAL_STREAM");
    uintmax_t device, inode;
    struct stat st;
    char rest;

    return text && sscanf(text, "%ju:%ju%c", &device, &inode, &rest) == 2 && fstat(fd, &st) == 0 &&
           st.st_dev == device && st.st_ino == inode;
}

void log_init(enum log_level level, int fd, const char *journal_socket)
{
    if (state.journal >= 0)
        close(state.journal);
    memset(&state, 0, sizeof state);
    state.fd = fd;
    state.journal = -1;
    log_level_max = level;
    if (!leads_to_journal(fd) || strlen(journal_socket) >= sizeof state.journal_address.sun_path)
        return;
    state.journal_address.sun_family = AF_UNIX;
    strcpy(state.journal_address.sun_path, journal_socket);
    state.journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* -- the line --------------------------------------------------------------------------------- */

static const char cut_mark[] = "\" cut=yes\n"; /* the quote only where one is open */

struct line {
    char data[LOG_LINE_BYTES];
    size_t n;
    bool cut;
};

/* All of it or nothing; after a nothing, nothing more. The room for cut_mark is never taken. */
static bool put(struct line *line, const char *text, size_t n)
{
    line->cut = line->cut || n > sizeof line->data - sizeof cut_mark - line->n;
    if (line->cut)
        return false;
    memcpy(line->data + line->n, text, n);
    line->n += n;
    return true;
}

static bool put_key(struct line *line, const char *key, const char *value)
{
    char text[128];
    int n = snprintf(text, sizeof text, "%s%s=%s", line->n ? " " : "", key, value);

    return put(line, text, MIN((size_t)n, sizeof text - 1));
}

static void put_u64(struct line *line, const char *key, uint64_t v)
{
    char digits[24];

    snprintf(digits, sizeof digits, "%" PRIu64, v);
    put_key(line, key, digits);
}

static void put_i64(struct line *line, const char *key, int64_t v)
{
    char digits[24];

    snprintf(digits, sizeof digits, "%" PRIi64, v);
    put_key(line, key, digits);
}

static bool is_plain(const char *s)
{
    const char *p;

    for (p = s; *p; p++)
        if (*p <= ' ' || *p > '~' || strchr("\"\\=", *p))
            return false;
    return p > s;
}

static size_t escape(unsigned char c, char out[8])
{
    static const char special[] = "\"\\\n\t\r", letter[] = "\"\\ntr";
    const char *p = c ? strchr(special, c) : NULL;

    if (p)
        return (size_t)snprintf(out, 8, "\\%c", letter[p - special]);
    return (size_t)snprintf(out, 8, c >= ' ' && c <= '~' ? "%c" : "\\x%02x", c);
}

static void put_str(struct line *line, const char *key, const char *value)
{
    bool quoted = !is_plain(value);
    char text[8];

    if (!put_key(line, key, quoted ? "\"" : ""))
        return;
    for (; *value; value++)
        if (!put(line, text, escape((unsigned char)*value, text)))
            break;
    if (quoted)
        line->data[line->n++] = '"'; /* a cut value is closed too: from the room that is kept */
}

static void put_fields(struct line *line, const struct log_field *f)
{
    for (; f->key; f++) {
        switch (f->type) {
        case LOG_FIELD_STR:
            put_str(line, f->key, f->str ? f->str : "");
            break;
        case LOG_FIELD_U64:
            put_u64(line, f->key, f->u64);
            break;
        case LOG_FIELD_I64:
            put_i64(line, f->key, f->i64);
            break;
        }
    }
}

static void put_end(struct line *line)
{
    const char *end = line->cut ? strchr(cut_mark, ' ') : "\n";

    memcpy(line->data + line->n, end, strlen(end));
    line->n += strlen(end);
}

/* -- the way out ------------------------------------------------------------------------------ */

static bool write_fd(const struct line *line)
{
    struct pollfd ready = { .fd = state.fd, .events = POLLOUT };
    char data[1 + LOG_LINE_BYTES];
    size_t n = 0;
    ssize_t r;

    if (poll(&ready, 1, 0) != 1 || ready.revents != POLLOUT)
        return false;
    if (state.torn) /* do not go on in the middle of the line that a full disk cut */
        data[n++] = '\n';
    memcpy(data + n, line->data, line->n);
    n += line->n;
    r = write(state.fd, data, n);
    if (r > 0)
        state.torn = (size_t)r < n;
    return r > 0 && !state.torn;
}

/* Events that packaging/systemd/ptools.catalog explains, and the ids that they have there. */
static const struct {
    const char *event, *id;
} explained[] = {
    { "worker-died", "041c347728ec4456ad8a2cc9ff5fbff4" },
    { "module-broken", "ced6f489b402480a9decfa457bfb63f8" },
    { "worker-backoff", "4e0024496fe740ccaaf283b8a0124f41" },
    { "breaker-opened", "1b72fc9404814da99603a26f6202bb12" },
    { "journal-refused", "3101faea86204ed387c04c29379c83da" },
    { "journal-failed", "63467ab996fd46c3b0cfdacb12c87073" },
    { "template-died", "eb32d15a8f9a4bda9cb92691d74d9b91" },
    { "user-daemon-gone", "2d389178ecd547a0b6582ec01ecdc9e5" },
    { "reload-refused", "9b23c769f4324b20887bccd91923f0f4" },
    { "bug", "2a3e6f7ece7f4da1bf71219eec1accbd" },
};

const char *log_message_id(const char *event)
{
    for (size_t i = 0; i < ELEMENTS(explained); i++)
        if (strcmp(explained[i].event, event) == 0)
            return explained[i].id;
    return NULL;
}

/* The fields by which a journal is searched; all of them are in the message too. */
static bool send_journal(enum log_level level, const char *event, const struct log_field *fields,
                         const struct line *line)
{
    static const struct {
        const char *key, *name;
    } known[] = { { "task", "TASK_ID" }, { "worker", "WORKER" }, { "uid", "UID" } };
    static const int priorities[LOG_LEVELS] = { 3, 4, 6, 7 }; /* of syslog(3) */
    const char *id = log_message_id(event);
    char data[LOG_LINE_BYTES + 512];
    const struct log_field *f;
    size_t i;
    int n;

    n = snprintf(data, sizeof data, "PRIORITY=%d\nSYSLOG_IDENTIFIER=ptoolsd\nPTOOLS_EVENT=%.64s\nMESSAGE=%.*s",
                 priorities[level], event, (int)line->n, line->data);
    if (id)
        n += snprintf(data + n, sizeof data - (size_t)n, "MESSAGE_ID=%s\n", id);
    for (f = fields; f->key && (size_t)n < sizeof data - 64; f++)
        for (i = 0; i < ELEMENTS(known); i++)
            if (f->type == LOG_FIELD_U64 && strcmp(f->key, known[i].key) == 0)
                n += snprintf(data + n, sizeof data - (size_t)n, "%s=%" PRIu64 "\n", known[i].name, f->u64);
    return sendto(state.journal, data, (size_t)n, MSG_NOSIGNAL, (struct sockaddr *)&state.journal_address,
                  sizeof state.journal_address) == n;
}

static void emit(enum log_level level, const char *event, const struct log_field *fields)
{
    struct line line = { .n = 0 };
    bool sent;

    put_key(&line, "level", log_level_name(level));
    put_key(&line, "event", event);
    if (state.dropped)
        put_u64(&line, "lines_dropped", state.dropped);
    put_fields(&line, fields);
    put_end(&line);

    sent = state.journal >= 0 ? send_journal(level, event, fields, &line) : write_fd(&line);
    state.dropped = sent ? 0 : state.dropped + 1;
}

/* -- who may write ---------------------------------------------------------------------------- */

static struct bucket *bucket_of(const char *event, uint64_t now_us)
{
    struct bucket *b;
    size_t i;

    for (i = 0; i < state.n; i++)
        if (strcmp(state.buckets[i].event, event) == 0)
            return &state.buckets[i];
    if (state.n == EVENTS_MAX)
        return &state.buckets[EVENTS_MAX - 1];
    b = &state.buckets[state.n++];
    *b = (struct bucket){ .event = event, .credit_us = CREDIT_MAX_US, .seen_us = now_us };
    return b;
}

static bool bucket_take(struct bucket *b, uint64_t now_us)
{
    if (now_us > b->seen_us) {
        b->credit_us = MIN(b->credit_us + MIN(now_us - b->seen_us, CREDIT_MAX_US), (uint64_t)CREDIT_MAX_US);
        b->seen_us = now_us;
    }
    if (b->credit_us < LINE_COST_US)
        return false;
    b->credit_us -= LINE_COST_US;
    return true;
}

static void bucket_tell(struct bucket *b)
{
    struct log_field fields[] = { LOG_U64("suppressed", b->suppressed), LOG_END };

    b->suppressed = 0;
    emit(b->level, b->event, fields);
}

void log_line(uint64_t now_us, enum log_level level, const char *event, const struct log_field *fields)
{
    struct bucket *b = bucket_of(event, now_us);
    size_t i;

    for (i = 0; i < state.n; i++)
        if (state.buckets[i].suppressed && now_us - state.buckets[i].since_us >= TELL_US)
            bucket_tell(&state.buckets[i]);
    if (bucket_take(b, now_us)) {
        emit(level, event, fields);
        return;
    }
    if (b->suppressed++ == 0)
        b->since_us = now_us;
    b->level = level;
}

void log_flush(void)
{
    struct log_field none[] = { LOG_END };
    size_t i;

    for (i = 0; i < state.n; i++)
        if (state.buckets[i].suppressed)
            bucket_tell(&state.buckets[i]);
    if (state.dropped)
        emit(LOG_LEVEL_WARNING, "log-flush", none);
}
