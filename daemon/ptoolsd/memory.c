/* SPDX-License-Identifier: MIT */
/*
 * memory -- the memory of shared arrays. The core decides which there are; here they are memfds, or files that
 * clients gave. Nothing here maps them.
 *
 * A memfd is sized and wholly reserved (fallocate) before anybody gets it, then sealed: it neither shrinks nor
 * grows, so whoever maps it never meets SIGBUS. Reserving takes half a millisecond a MiB, so a large one is made in
 * pieces, one a turn of the loop, behind everything else that is to be done; but when none came to its turn for
 * LATE_US, the next one queues with the clients. Freeing a large one takes as long: its last descriptor is sent to the
 * template, which has the time to close it.
 *
 * Of a file, nothing is asked that its file system would have to answer (given.c has let through only those that the
 * kernel serves by itself): sizes are what is known without, and blocks what they were when it was given.
 *
 * Before anything is reserved, what the machine and the control group have left is looked at: a memfd has no limit
 * of its own, and the kernel would rather kill somebody than refuse.
 */
#include "daemon/ptoolsd/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/memfd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/ptoolsd/log.h"
#include "daemon/ptoolsd/supervisor.h"
#include "daemon/ptoolsd/table.h"
#include "proto/headroom.h"

enum {
    PIECE_BYTES = 2 << 20,       /* a huge page; about a millisecond */
    LOOK_BYTES = 1 << 20,        /* so much may be made between two looks at the headroom */
    LATE_US = 5000,
    FDS_SPARE = 64,              /* of the daemon itself: loop, links, log */
    FDS_OF_CLIENT = 2,           /* two doors */
    FDS_OF_PROCESS = 4,          /* link, pidfd, its socket for descriptors, its control group */
    SLOW_DROP_BYTES = 8 << 20,
    FILES_MAX = 16               /* given and not used, of one client */
};

struct segment {
    uint64_t array;
    int fd;
    bool huge, file;
    uint64_t bytes, offset;      /* wanted */
    uint64_t mapped_bytes;       /* bytes, in whole pages */
    uint64_t reserved;
    uint64_t blocks_bytes;       /* of a file, when it was given */
    bool making;
    TAILQ_ENTRY(segment) link;   /* in memory->making */
    UT_hash_handle hh;
};

struct given_file {
    uint64_t number;
    uint32_t client;
    int fd;
    LIST_ENTRY(given_file) link;
};

struct memory {
    struct daemon *d;
    struct segment *by_array;
    TAILQ_HEAD(, segment) making;
    uint64_t unreserved;         /* bytes that those still need */
    uint64_t unlooked;           /* bytes made since the headroom was looked at */
    sd_event_source *work;
    uint64_t worked_us;          /* when it was last dispatched, or switched on */
    bool late;                   /* it has the clients' priority */
    int fds_max;                 /* descriptors from this number on are for others than arrays */
    LIST_HEAD(, given_file) files;
    uint64_t last_file;
};

static struct segment *segment_of(struct memory *m, uint64_t array)
{
    struct segment *s;

    HASH_FIND(hh, m->by_array, &array, sizeof array, s);
    return s;
}

/* What is known of an open file; nobody is asked. */
static int look_at(int fd, struct statx *ret)
{
    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_SIZE | STATX_BLOCKS, ret);
}

static uint64_t round_up(uint64_t bytes, uint64_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* -- the end ------------------------------------------------------------------------------------------------- */

static void segment_free(struct memory *m, struct segment *s)
{
    HASH_DEL(m->by_array, s);
    if (s->making) {
        TAILQ_REMOVE(&m->making, s, link);
        m->unreserved -= s->mapped_bytes - s->reserved;
    }
    if (s->fd >= 0 && (s->file || s->reserved < SLOW_DROP_BYTES || !supervisor_close(m->d->supervisor, s->fd)))
        close(s->fd);
    free(s);
}

void memory_drop(struct memory *m, uint64_t array)
{
    struct segment *s = segment_of(m, array);

    if (s)
        segment_free(m, s);
}

/* -- making --------------------------------------------------------------------------------------------------- */

static void tell(struct memory *m, struct segment *s, ptools_err code, const char *why, bool read_only)
{
    const struct core_memory made = { .huge = s->huge, .read_only = read_only, .mapped_bytes = s->mapped_bytes };
    uint64_t array = s->array;

    if (code != PTOOLS_OK)
        segment_free(m, s);
    core_array_made(m->d->core, daemon_now(m->d), array, code, why, &made, &m->d->actions);
}

__attribute__((format(printf, 4, 5))) static void fail(struct memory *m, struct segment *s, ptools_err code,
                                                        const char *format, ...)
{
    char why[224];
    va_list args;

    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    tell(m, s, code, why, false);
}

static int memfd_new(struct segment *s, bool huge)
{
    int fd = memfd_create("ptools-array", MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0));

    if (fd < 0)
        return -errno;
    s->huge = huge;
    s->mapped_bytes = round_up(s->bytes, huge ? PIECE_BYTES : (uint64_t)sysconf(_SC_PAGESIZE));
    /* Other users get it from nobody but us, and cannot open it anew for more than they were given. */
    if (fchmod(fd, 0600) < 0) {
        close(fd);
        return -ENOSPC;
    }
    return fd;
}

/* All of it is there. */
static void segment_done(struct memory *m, struct segment *s)
{
    if (s->making)
        TAILQ_REMOVE(&m->making, s, link);
    s->making = false;
    if (fcntl(s->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        fail(m, s, PTOOLS_ERR_INTERNAL, "sealing the memory of the array: %s", strerror(errno));
    else
        tell(m, s, PTOOLS_OK, "", false);
}

static void make_memfd(struct memory *m, struct segment *s, bool huge);

/* There are not enough huge pages: from the beginning, with others. */
static void segment_without_huge(struct memory *m, struct segment *s)
{
    if (s->making) {
        TAILQ_REMOVE(&m->making, s, link);
        m->unreserved -= s->mapped_bytes - s->reserved;
    }
    s->making = false;
    s->reserved = 0;
    close(s->fd);
    make_memfd(m, s, false);
}

/* Reserves the next piece. true: the segment is finished, one way or the other, or begun anew. */
static bool segment_work(struct memory *m, struct segment *s)
{
    uint64_t piece = MIN(s->mapped_bytes - s->reserved, (uint64_t)PIECE_BYTES);
    int r = piece ? posix_fallocate(s->fd, (off_t)s->reserved, (off_t)piece) : 0;

    if (r == EINTR)
        return false;
    if (r != 0 && s->huge) {
        segment_without_huge(m, s);
        return true;
    }
    if (r != 0) {
        fail(m, s, PTOOLS_ERR_NO_SPACE, "reserving %" PRIu64 " bytes ended after %" PRIu64 ": %s", s->mapped_bytes,
             s->reserved, strerror(r));
        return true;
    }
    s->reserved += piece;
    if (s->making)
        m->unreserved -= piece;
    if (s->reserved < s->mapped_bytes)
        return false;
    segment_done(m, s);
    return true;
}

static void work_on(struct memory *m)
{
    int r = 0;

    m->worked_us = daemon_now(m->d);
    if (m->late)
        r = sd_event_source_set_priority(m->work, PHASE_SPARE);
    m->late = false;
    if (r < 0 || sd_event_source_set_enabled(m->work, TAILQ_EMPTY(&m->making) ? SD_EVENT_OFF : SD_EVENT_ON) < 0)
        daemon_fail(m->d, "reserving memory", -ENOMEM);
}

void memory_turn(struct memory *m)
{
    if (TAILQ_EMPTY(&m->making) || m->late || daemon_now(m->d) - m->worked_us < LATE_US)
        return;
    m->late = true;
    if (sd_event_source_set_priority(m->work, PHASE_CLIENT) < 0)
        daemon_fail(m->d, "reserving memory", -ENOMEM);
}

static int on_work(sd_event_source *source, void *userdata)
{
    struct memory *m = userdata;
    struct segment *s = TAILQ_FIRST(&m->making);

    (void)source;
    if (s && !segment_work(m, s) && TAILQ_NEXT(s, link)) { /* in turn: a small one does not wait for a large one */
        TAILQ_REMOVE(&m->making, s, link);
        TAILQ_INSERT_TAIL(&m->making, s, link);
    }
    work_on(m);
    daemon_deliver(m->d);
    return 0;
}

static bool has_room(struct memory *m, struct segment *s)
{
    struct headroom room;

    if (s->mapped_bytes < LOOK_BYTES - m->unlooked) {
        m->unlooked += s->mapped_bytes;
        return true;
    }
    m->unlooked = 0;
    headroom_now(&room);
    room.free_bytes -= MIN(room.free_bytes, m->unreserved);
    if (s->mapped_bytes <= room.free_bytes)
        return true;
    fail(m, s, PTOOLS_ERR_NO_SPACE, "%" PRIu64 " bytes asked for, %" PRIu64 " free, the limit is %" PRIu64 ": %s",
         s->mapped_bytes, room.free_bytes, room.limit_bytes, room.what);
    return false;
}

/* Descriptors are given out from the lowest: one of this number says how many there are at least. */
static bool has_descriptor(struct memory *m, struct segment *s)
{
    if (s->fd < m->fds_max)
        return true;
    fail(m, s, PTOOLS_ERR_LIMIT,
         "over the limit of descriptors: %d are in use, one for each array; from %d on they are kept for clients and "
         "workers (RLIMIT_NOFILE)", s->fd, m->fds_max);
    return false;
}

static void make_memfd(struct memory *m, struct segment *s, bool huge)
{
    s->fd = huge ? memfd_new(s, true) : -ENOSPC;
    if (s->fd < 0) { /* no huge pages wanted, or not enough of them */
        s->mapped_bytes = round_up(s->bytes, (uint64_t)sysconf(_SC_PAGESIZE));
        if (!has_room(m, s))
            return;
        s->fd = memfd_new(s, false);
    }
    if (s->fd < 0) {
        fail(m, s, PTOOLS_ERR_LIMIT, "the daemon cannot make the memory of the array: %s", strerror(-s->fd));
        return;
    }
    if (!has_descriptor(m, s))
        return;
    if (s->mapped_bytes - s->reserved <= PIECE_BYTES) {
        while (!segment_work(m, s))
            ;
        return;
    }
    s->making = true;
    m->unreserved += s->mapped_bytes - s->reserved;
    TAILQ_INSERT_TAIL(&m->making, s, link);
    if (TAILQ_FIRST(&m->making) == s) /* else it is on, and its clock runs */
        work_on(m);
}

static struct given_file *file_of(struct memory *m, uint32_t client, uint64_t number)
{
    struct given_file *f;

    LIST_FOREACH(f, &m->files, link)
        if (f->number == number && f->client == client)
            return f;
    return NULL;
}

static void make_file(struct memory *m, struct segment *s, const struct action *a)
{
    struct given_file *f = file_of(m, a->client, a->file);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct statx st;
    int mode;

    if (!f) {
        fail(m, s, PTOOLS_ERR_BAD_FILE, "file %" PRIu64 " was not given, or is in use already", a->file);
        return;
    }
    s->fd = f->fd;
    LIST_REMOVE(f, link);
    free(f);
    s->mapped_bytes = s->bytes;
    s->reserved = s->bytes;
    if (!has_descriptor(m, s))
        return;
    mode = fcntl(s->fd, F_GETFL);
    if (look_at(s->fd, &st) < 0 || mode < 0)
        fail(m, s, PTOOLS_ERR_BAD_FILE, "the file cannot be looked at: %s", strerror(errno));
    else if (s->offset % page != 0)
        fail(m, s, PTOOLS_ERR_BAD_FILE, "offset %" PRIu64 " is no multiple of the page size, %" PRIu64, s->offset,
             page);
    else if (st.stx_size < s->offset || st.stx_size - s->offset < s->bytes)
        fail(m, s, PTOOLS_ERR_BAD_FILE, "the file has %" PRIu64 " bytes; %" PRIu64 " from %" PRIu64 " on are needed",
             (uint64_t)st.stx_size, s->bytes, s->offset);
    else {
        s->blocks_bytes = st.stx_blocks * 512;
        tell(m, s, PTOOLS_OK, "", (mode & O_ACCMODE) == O_RDONLY);
    }
}

void memory_make(struct memory *m, const struct action *a)
{
    struct segment *s = calloc(1, sizeof *s);

    if (!s) {
        daemon_fail(m->d, "making an array", -ENOMEM);
        return;
    }
    s->array = a->array;
    s->fd = -1;
    s->bytes = a->bytes;
    s->offset = a->offset;
    s->file = a->file != 0;
    HASH_ADD(hh, m->by_array, array, sizeof s->array, s);
    if (s->file)
        make_file(m, s, a);
    else
        make_memfd(m, s, a->huge);
}

/* -- looking --------------------------------------------------------------------------------------------------- */

int memory_open(struct memory *m, uint64_t array, bool read_only)
{
    struct segment *s = segment_of(m, array);
    char path[48];
    int fd;

    if (!s)
        return -ENOENT;
    if (read_only && !s->file) { /* a file's descriptor is what its giver opened */
        snprintf(path, sizeof path, "/proc/self/fd/%d", s->fd);
        fd = open(path, O_RDONLY | O_CLOEXEC);
    } else {
        fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3);
    }
    return fd < 0 ? -errno : fd;
}

bool memory_is_whole(struct memory *m, uint64_t array, uint64_t *ret_bytes)
{
    struct segment *s = segment_of(m, array);
    struct statx st;

    if (!s || !s->file)
        return true;
    *ret_bytes = look_at(s->fd, &st) < 0 ? 0 : st.stx_size;
    return *ret_bytes >= s->offset && *ret_bytes - s->offset >= s->bytes;
}

uint64_t memory_resident_bytes(struct memory *m, uint64_t array)
{
    struct segment *s = segment_of(m, array);
    struct stat st;

    if (s && s->file)
        return s->blocks_bytes;
    if (!s || fstat(s->fd, &st) < 0)
        return 0;
    return (uint64_t)st.st_blocks * 512;
}

/* -- files of clients ------------------------------------------------------------------------------------------- */

uint64_t memory_keep_file(struct memory *m, uint32_t client, int take_fd, char why[160])
{
    struct given_file *f = calloc(1, sizeof *f), *other;
    unsigned n = 0;
    struct statx st;

    LIST_FOREACH(other, &m->files, link)
        n += other->client == client;
    if (!f)
        snprintf(why, 160, "the daemon is out of memory");
    else if (n >= FILES_MAX)
        snprintf(why, 160, "%u files were given and not used: more are not kept", n);
    else if (look_at(take_fd, &st) < 0 || !S_ISREG(st.stx_mode))
        snprintf(why, 160, "the descriptor is not of a regular file");
    else if (fcntl(take_fd, F_GETFL) & O_PATH || (fcntl(take_fd, F_GETFL) & O_ACCMODE) == O_WRONLY)
        snprintf(why, 160, "the file must be open for reading, or for reading and writing");
    else {
        f->number = ++m->last_file;
        f->client = client;
        f->fd = take_fd;
        LIST_INSERT_HEAD(&m->files, f, link);
        return f->number;
    }
    free(f);
    close(take_fd);
    return 0;
}

void memory_client_gone(struct memory *m, uint32_t client)
{
    struct given_file *f, *next;

    for (f = LIST_FIRST(&m->files); f; f = next) {
        next = LIST_NEXT(f, link);
        if (f->client != client)
            continue;
        LIST_REMOVE(f, link);
        close(f->fd);
        free(f);
    }
}

/* -- life ------------------------------------------------------------------------------------------------------- */

/* The number from which on descriptors are kept for connections and processes, half of them at most. */
static int descriptors_for_arrays(const struct config *c)
{
    uint64_t reserve = FDS_SPARE + FDS_OF_CLIENT * c->clients_max +
                       FDS_OF_PROCESS * (c->workers_max + c->stand_ins_max);
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT_MAX)
        return INT_MAX;
    return (int)(limit.rlim_cur - MIN(reserve, (uint64_t)limit.rlim_cur / 2));
}

int memory_new(struct daemon *d, struct memory **ret)
{
    AUTO(memory) m = calloc(1, sizeof *m);
    int r;

    if (!m)
        return -ENOMEM;
    m->d = d;
    TAILQ_INIT(&m->making);
    LIST_INIT(&m->files);
    m->fds_max = descriptors_for_arrays(d->config);
    r = sd_event_add_defer(d->event, &m->work, on_work, m);
    if (r >= 0)
        r = sd_event_source_set_priority(m->work, PHASE_SPARE);
    if (r >= 0)
        r = sd_event_source_set_enabled(m->work, SD_EVENT_OFF);
    if (r < 0)
        return r;
    *ret = TAKE(m);
    return 0;
}

struct memory *memory_free(struct memory *m)
{
    struct segment *s, *next;
    struct given_file *f;

    if (!m)
        return NULL;
    HASH_ITER(hh, m->by_array, s, next) {
        HASH_DEL(m->by_array, s);
        if (s->fd >= 0)
            close(s->fd);
        free(s);
    }
    while ((f = LIST_FIRST(&m->files))) {
        LIST_REMOVE(f, link);
        close(f->fd);
        free(f);
    }
    sd_event_source_disable_unref(m->work);
    free(m);
    return NULL;
}
