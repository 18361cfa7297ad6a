/* SPDX-License-Identifier: MIT */
/*
 * joblog -- see joblog.h. Lines are appended and never changed. If we, or the machine, end within one, it lacks its end
 * and is cut off when the file is opened the next time: its command counts as not run. A file that somebody writes is
 * locked.
 */
#include "client/cli/joblog.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "client/cli/texts.h"

static const char header[] = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";
enum { COLUMNS = 9 };
#define SYNC_US UINT64_C(1000000)

/* -- what stands in it ------------------------------------------------------------------------------------- */

static bool add(struct joblog *log, const struct joblog_entry *entry)
{
    if (log->n == log->room) {
        const size_t room = log->room ? 2 * log->room : 64;
        struct joblog_entry *larger = realloc(log->entries, room * sizeof *larger);

        if (!larger)
            return false;
        log->entries = larger;
        log->room = room;
    }
    log->entries[log->n++] = *entry;
    return true;
}

static bool read_line(char *line, struct joblog_entry *ret)
{
    char *fields[COLUMNS], *end;

    for (int i = 0; i < COLUMNS; i++) {
        fields[i] = line;
        line = i + 1 < COLUMNS && line ? strchr(line, '\t') : NULL;
        if (i + 1 < COLUMNS && !line)
            return false;
        if (line)
            *line++ = '\0';
    }
    errno = 0;
    ret->seq = strtoull(fields[0], &end, 10);
    ret->failed = strcmp(fields[6], "0") != 0 || strcmp(fields[7], "0") != 0;
    ret->command = texts_mark(fields[8], strlen(fields[8]));
    return *fields[0] >= '0' && *fields[0] <= '9' && !*end && errno == 0 && ret->seq > 0;
}

/* 0; 1: a line is none; -errno. *ret_end: behind the last line that has its end. */
static int read_lines(struct joblog *log, FILE *in, off_t *ret_end, char why[JOBLOG_WHY_BYTES])
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int r = 0;

    *ret_end = 0;
    for (uint64_t number = 1; r == 0 && (n = getline(&line, &room, in)) > 0; number++) {
        struct joblog_entry entry;

        if (line[n - 1] != '\n')
            break;
        *ret_end += n;
        if (strcmp(line, header) == 0)
            continue;
        line[n - 1] = '\0';
        entry.line = number;
        if (!read_line(line, &entry)) {
            snprintf(why, JOBLOG_WHY_BYTES, "line %" PRIu64 " of it is no line of a job log", number);
            r = 1;
        } else if (!add(log, &entry)) {
            r = -ENOMEM;
        }
    }
    if (r == 0 && ferror(in))
        r = -EIO;
    free(line);
    return r;
}

static int by_seq(const void *a, const void *b)
{
    const struct joblog_entry *x = a, *y = b;

    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static int by_seq_and_line(const void *a, const void *b)
{
    const struct joblog_entry *x = a, *y = b;

    return x->seq != y->seq ? by_seq(a, b) : x->line < y->line ? -1 : x->line > y->line;
}

/* The last line about a command counts. */
static void sort(struct joblog *log)
{
    size_t kept = 0;

    if (log->n > 0)
        qsort(log->entries, log->n, sizeof log->entries[0], by_seq_and_line);
    for (size_t i = 0; i < log->n; i++)
        if (i + 1 == log->n || log->entries[i + 1].seq != log->entries[i].seq)
            log->entries[kept++] = log->entries[i];
    log->n = kept;
}

static int read_all(struct joblog *log, int fd, off_t *ret_end, char why[JOBLOG_WHY_BYTES])
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0), r;
    FILE *in = copy < 0 ? NULL : fdopen(copy, "r");

    if (!in)
        return -errno;
    r = read_lines(log, in, ret_end, why);
    fclose(in);
    sort(log);
    return r;
}

static int cannot_be_read(int r, char why[JOBLOG_WHY_BYTES])
{
    if (r == -ENOMEM)
        return r;
    snprintf(why, JOBLOG_WHY_BYTES, "it cannot be read: %s", strerror(-r));
    return 1;
}

bool joblog_has(const struct joblog *log, uint64_t seq, const char *command, size_t n, bool *ret_other)
{
    const struct joblog_entry key = { .seq = seq }, *entry;

    *ret_other = false;
    entry = log->n ? bsearch(&key, log->entries, log->n, sizeof key, by_seq) : NULL;
    if (!entry)
        return false;
    *ret_other = entry->command != texts_mark(command, n);
    return !entry->failed || log->how == JOBLOG_RESUME;
}

int joblog_look(struct joblog *log, const char *path, enum joblog_how how, char why[JOBLOG_WHY_BYTES])
{
    int fd = how == JOBLOG_NEW ? -1 : open(path, O_RDONLY | O_CLOEXEC), r;
    off_t end;

    *log = (struct joblog){ .how = how };
    if (how == JOBLOG_NEW || (fd < 0 && errno == ENOENT))
        return 0;
    r = fd < 0 ? -errno : read_all(log, fd, &end, why);
    if (fd >= 0)
        close(fd);
    return r >= 0 ? r : cannot_be_read(r, why);
}

/* -- writing ----------------------------------------------------------------------------------------------- */

int joblog_open(struct joblog *log, const char *path, enum joblog_how how, char why[JOBLOG_WHY_BYTES])
{
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666), r = 0;
    off_t end = 0;

    *log = (struct joblog){ .how = how };
    if (fd < 0) {
        snprintf(why, JOBLOG_WHY_BYTES, "it cannot be opened: %s", strerror(errno));
        return 1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        snprintf(why, JOBLOG_WHY_BYTES, "another ptools is writing it");
        r = 1;
    }
    if (r == 0 && how != JOBLOG_NEW)
        r = read_all(log, fd, &end, why);
    if (r == 0 && ftruncate(fd, end) < 0 && errno != EINVAL) /* EINVAL: it is no file, but /dev/null or the like */
        r = -errno;
    log->out = r == 0 ? fdopen(fd, "a") : NULL;
    if (r == 0 && !log->out)
        r = -errno;
    if (!log->out)
        close(fd);
    else if (end == 0)
        fputs(header, log->out);
    return r >= 0 ? r : cannot_be_read(r, why);
}

void joblog_close(struct joblog *log)
{
    if (log->out)
        fclose(log->out);
    free(log->entries);
    *log = (struct joblog){ 0 };
}

void joblog_add(struct joblog *log, const struct joblog_line *line)
{
    if (!log->out)
        return;
    fprintf(log->out, "%" PRIu64 "\t:\t%" PRId64 ".%03d\t%10.3f\t%" PRIu64 "\t%" PRIu64 "\t%d\t%d\t", line->seq,
            line->start_ms / 1000, (int)(line->start_ms % 1000), (double)line->run_us / 1e6, line->sent, line->received,
            line->exit_status, line->signal);
    fwrite(line->command, 1, line->n_command, log->out);
    putc('\n', log->out);
    log->dirty = true;
}

bool joblog_flush(struct joblog *log, bool sync, uint64_t now_us)
{
    if (!log->out)
        return true;
    if (fflush(log->out) != 0)
        return false;
    if (!log->dirty || (!sync && now_us - log->synced_us < SYNC_US))
        return true;
    log->synced_us = now_us;
    log->dirty = false;
    return fdatasync(fileno(log->out)) == 0 || errno == EINVAL || errno == EROFS;
}
