/* SPDX-License-Identifier: MIT */
/*
 * journal_files -- see journal_files.h.
 *
 * The directory must be ours and writable by us alone, and is kept open: everything in it is reached through its
 * descriptor, and nothing through a symbolic link. The lock stays behind when the daemon has ended, so that there is no
 * moment in which two could hold two of them.
 *
 * The mark is how the loss of what was recorded is seen. A bit that flips in SQLite's log makes SQLite drop the rest of
 * it without a word, as if it had never been committed. So after each commit, and before anybody is told of it, the
 * number of the batch is written here as well. When the database has fewer batches than that, some are missing. What
 * power loss may do is no loss: a mark from another start of the machine proves only what was synced before it was
 * written. There are two marks, each in a page of its own. The first is synced, at the start and at a clean end; the
 * second follows each batch and is not. At any moment one of them is not being written, so that one can be read
 * whenever the power fails; none that can be read means that the file was damaged.
 */
#include "daemon/ptoolsd/journal_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "daemon/ptoolsd/journal_row.h"

enum { LOCK_TRIES = 200, LOCK_PAUSE_NS = 10000000, MARK_BYTES = 72, MARK_PAGE = 4096, RESERVE_BYTES = 16 << 20 };
#define MARK_MAGIC "ptjmark1"

static int fail(char why[JOURNAL_WHY_BYTES], const char *what, const char *dir, const char *name, int error)
{
    snprintf(why, JOURNAL_WHY_BYTES, "%s %s%s%s: %s", what, dir, *name ? "/" : "", name, strerror(error));
    return -error;
}

void journal_files_init(struct journal_files *f)
{
    *f = (struct journal_files){ .dir_fd = -1, .lock_fd = -1, .mark_fd = -1, .reserve_fd = -1 };
}

void journal_files_deinit(struct journal_files *f)
{
    int *const fds[] = { &f->reserve_fd, &f->mark_fd, &f->lock_fd, &f->dir_fd };

    for (size_t i = 0; i < ELEMENTS(fds); i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

/* -- the directory ------------------------------------------------------------------------------------------- */

static void make_parents(const char *dir)
{
    AUTO_MEM char *path = strdup(dir);
    char *slash;

    for (slash = path ? strchr(path + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700); /* if it fails, what comes next fails and says why */
        *slash = '/';
    }
}

static int open_dir(struct journal_files *f, const struct journal_options *options, char why[JOURNAL_WHY_BYTES])
{
    struct stat st;

    if (!f->read_only && options->make_parents)
        make_parents(f->dir);
    if (!f->read_only && mkdir(f->dir, 0700) < 0 && errno != EEXIST)
        return fail(why, "cannot make the state directory", f->dir, "", errno);
    f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->dir_fd < 0 || fstat(f->dir_fd, &st) < 0)
        return fail(why, "cannot open the state directory", f->dir, "", errno);
    if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH))) {
        snprintf(why, JOURNAL_WHY_BYTES,
                 "the state directory %s must belong to uid %u and be writable by nobody else; it belongs to uid %u "
                 "and has mode %04o",
                 f->dir, (unsigned)geteuid(), (unsigned)st.st_uid, (unsigned)(st.st_mode & 07777));
        return -EPERM;
    }
    return 0;
}

/* Whoever wrote that it has the lock is gone, though somebody has it: a child of it that has not become another
 * program yet, or another daemon that has not written its number yet. Both take a moment, and there is nothing to wait
 * for but the time (to block in flock() could be for as long as that other daemon lives). */
static bool is_dead(const char *pid)
{
    long n = strtol(pid, NULL, 10);

    return n > 1 && kill((pid_t)n, 0) < 0 && errno == ESRCH;
}

static int lock(struct journal_files *f, char why[JOURNAL_WHY_BYTES])
{
    const struct timespec nap = { .tv_nsec = LOCK_PAUSE_NS };
    unsigned tries = 0;
    char pid[24];
    ssize_t n;

    f->lock_fd = openat(f->dir_fd, JOURNAL_LOCK, O_RDWR | (f->read_only ? 0 : O_CREAT) | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f->lock_fd < 0 && errno == ENOENT && f->read_only)
        return 0; /* a copy, which no daemon has opened */
    if (f->lock_fd < 0)
        return fail(why, "cannot open the lock", f->dir, JOURNAL_LOCK, errno);
    while (flock(f->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return fail(why, "cannot lock", f->dir, JOURNAL_LOCK, errno);
        n = pread(f->lock_fd, pid, sizeof pid - 1, 0);
        pid[n > 0 ? n : 0] = '\0';
        pid[strcspn(pid, "\n")] = '\0';
        if (!is_dead(pid) || tries++ == LOCK_TRIES) {
            snprintf(why, JOURNAL_WHY_BYTES, "another ptoolsd (pid %s) has its journal in %s", *pid ? pid : "unknown",
                     f->dir);
            return -EBUSY;
        }
        nanosleep(&nap, NULL);
    }
    if (f->read_only)
        return 0;
    n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(f->lock_fd, 0) < 0)
        return fail(why, "cannot write the lock", f->dir, JOURNAL_LOCK, errno);
    if (pwrite(f->lock_fd, pid, (size_t)n, 0) != n && errno != ENOSPC)
        return fail(why, "cannot write the lock", f->dir, JOURNAL_LOCK, errno);
    return 0;
}

static int check_file(struct journal_files *f, const char *name, char why[JOURNAL_WHY_BYTES])
{
    struct stat st;
    const char *problem = NULL;

    if (fstatat(f->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : fail(why, "cannot look at", f->dir, name, errno);
    if (!S_ISREG(st.st_mode))
        problem = "is no plain file";
    else if (st.st_nlink > 1)
        problem = "has another name";
    else if (st.st_uid != geteuid())
        problem = "belongs to another user";
    else if (st.st_mode & (S_IWGRP | S_IWOTH))
        problem = "may be written by others";
    if (!problem)
        return 0;
    snprintf(why, JOURNAL_WHY_BYTES,
             "%s/%s %s; it must be a file of uid %u alone (mode 0600), so it is left alone and ptoolsd does not start",
             f->dir, name, problem, (unsigned)geteuid());
    return -EPERM;
}

static void find_boot(struct journal_files *f, const char *text)
{
    char line[64] = "";
    FILE *file = text ? NULL : fopen("/proc/sys/kernel/random/boot_id", "re");
    size_t n = 0;

    if (file) {
        if (!fgets(line, sizeof line, file))
            *line = '\0';
        fclose(file);
        text = line;
    }
    for (; text && *text && n < 2 * sizeof f->boot; text++) {
        unsigned digit = *text >= '0' && *text <= '9'   ? (unsigned)(*text - '0')
                         : *text >= 'a' && *text <= 'f' ? (unsigned)(*text - 'a' + 10)
                                                        : 16;

        if (digit < 16) {
            f->boot[n / 2] = (uint8_t)(f->boot[n / 2] << 4 | digit);
            n++;
        }
    }
}

int journal_files_open(struct journal_files *f, const struct journal_options *options, bool read_only,
                       char why[JOURNAL_WHY_BYTES])
{
    static const char *const names[] = { JOURNAL_DB,   JOURNAL_WAL,     JOURNAL_DB "-journal",
                                         JOURNAL_MARK, JOURNAL_RESERVE, JOURNAL_LOCK };
    int r;

    f->dir = options->dir;
    f->read_only = read_only;
    f->reserve_bytes = options->reserve_bytes ? options->reserve_bytes : RESERVE_BYTES;
    find_boot(f, options->boot_id);
    f->clock_ms = options->clock_ms;
    r = open_dir(f, options, why);
    for (size_t i = 0; r == 0 && i < ELEMENTS(names); i++)
        r = check_file(f, names[i], why);
    return r ? r : lock(f, why);
}

/* A directory's own name is in the one above it: as long as that is not synced, all that was synced below may go with
 * the power. Who made which of them, and whether that was synced, nobody knows any more after a kill; so all of them
 * are, up to where another file system begins. What may not be read can only be synced with its file system. */
int journal_files_sync_names(struct journal_files *f, char why[JOURNAL_WHY_BYTES])
{
    char path[PATH_MAX] = "..";
    struct stat below, above;
    int r = fstat(f->dir_fd, &below) < 0 ? -errno : 0;

    for (size_t n = 2; r == 0 && n + 3 < sizeof path; n += 3) {
        int fd = openat(f->dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0 && (errno == EACCES || errno == EPERM)) {
            r = syncfs(f->dir_fd) < 0 ? -errno : 0;
            break;
        }
        above = (struct stat){ .st_ino = 0 };
        if (fd < 0 || fstat(fd, &above) < 0 || (above.st_dev == below.st_dev && fsync(fd) < 0))
            r = -errno;
        if (fd >= 0)
            close(fd);
        if (above.st_dev != below.st_dev || above.st_ino == below.st_ino) /* the one above all is above itself */
            break;
        below = above;
        memcpy(path + n, "/..", 4);
    }
    return r < 0 ? fail(why, "cannot sync what is above", f->dir, "", -r) : 0;
}

int journal_files_make_db(struct journal_files *f, char why[JOURNAL_WHY_BYTES])
{
    int fd = openat(f->dir_fd, JOURNAL_DB, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return errno == EEXIST ? -EEXIST : fail(why, "cannot make", f->dir, JOURNAL_DB, errno);
    close(fd);
    return 0;
}

int journal_files_have(const struct journal_files *f, const char *name, uint64_t *ret_bytes,
                       char why[JOURNAL_WHY_BYTES])
{
    struct stat st;

    if (fstatat(f->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : fail(why, "cannot look at", f->dir, name, errno);
    *ret_bytes = (uint64_t)st.st_size;
    return 1;
}

/* Not with stat(): to ask for a file's times makes Linux (since 6.13) give it a new one at its next write, and every
 * sync after that takes half as long again. */
static bool identify(int dir_fd, const char *name, int flags, struct file_identity *ret)
{
    struct statx st;

    if (statx(dir_fd, name, flags, STATX_INO, &st) < 0)
        return false;
    *ret = (struct file_identity){ makedev(st.stx_dev_major, st.stx_dev_minor), st.stx_ino };
    return true;
}

static bool same(const struct file_identity *a, const struct file_identity *b)
{
    return a->dev == b->dev && a->ino == b->ino;
}

static bool same_file(struct journal_files *f, const char *name, struct file_identity *id)
{
    struct file_identity now;

    if (!identify(f->dir_fd, name, AT_SYMLINK_NOFOLLOW, &now))
        return false;
    if (id->ino == 0)
        *id = now;
    return same(id, &now);
}

int journal_files_same(struct journal_files *f, char why[JOURNAL_WHY_BYTES])
{
    struct file_identity ours, theirs;
    const char *name;

    errno = 0;
    name = !same_file(f, JOURNAL_DB, &f->db)                          ? JOURNAL_DB
           : !same_file(f, JOURNAL_WAL, &f->wal)                      ? JOURNAL_WAL
           : f->mark_fd >= 0 && !same_file(f, JOURNAL_MARK, &f->mark) ? JOURNAL_MARK
                                                                      : "";
    if (*name || !identify(f->dir_fd, "", AT_EMPTY_PATH, &ours) || !identify(AT_FDCWD, f->dir, 0, &theirs) ||
        !same(&ours, &theirs)) {
        if (errno && errno != ENOENT)
            return fail(why, "cannot look at", f->dir, name, errno);
        snprintf(why, JOURNAL_WHY_BYTES, "%s%s%s was removed or replaced while ptoolsd had it open", f->dir,
                 *name ? "/" : "", name);
        return -ESTALE;
    }
    return 0;
}

/* -- the mark ------------------------------------------------------------------------------------------------ */

static void put_u64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static uint64_t get_u64(const uint8_t *p)
{
    uint64_t v = 0;

    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

static void mark_encode(const struct journal_mark *m, uint8_t out[MARK_BYTES])
{
    memcpy(out, MARK_MAGIC, 8);
    memcpy(out + 8, m->name, sizeof m->name);
    memcpy(out + 24, m->boot, sizeof m->boot);
    put_u64(out + 40, m->batch);
    put_u64(out + 48, m->synced);
    put_u64(out + 56, m->clock_ms);
    put_u64(out + 64, crc32c(0, out, 64));
}

static bool mark_decode(const uint8_t in[MARK_BYTES], struct journal_mark *ret)
{
    if (memcmp(in, MARK_MAGIC, 8) != 0 || get_u64(in + 64) != crc32c(0, in, 64))
        return false;
    memcpy(ret->name, in + 8, sizeof ret->name);
    memcpy(ret->boot, in + 24, sizeof ret->boot);
    ret->batch = get_u64(in + 40);
    ret->synced = get_u64(in + 48);
    ret->clock_ms = get_u64(in + 56);
    return true;
}

static int mark_open(struct journal_files *f, int flags)
{
    if (f->mark_fd < 0)
        f->mark_fd = openat(f->dir_fd, JOURNAL_MARK, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    return f->mark_fd < 0 ? -errno : 0;
}

static int mark_write(struct journal_files *f, const struct journal_mark *mark, off_t at)
{
    uint8_t data[MARK_BYTES];
    ssize_t n;

    mark_encode(mark, data);
    errno = ENOSPC; /* if it is written in part */
    n = pwrite(f->mark_fd, data, sizeof data, at);
    return n == (ssize_t)sizeof data ? 0 : -errno;
}

int journal_mark_read(struct journal_files *f, struct journal_mark ret[2], bool *ret_exists)
{
    uint8_t data[MARK_BYTES];
    int n = 0, r;

    r = mark_open(f, f->read_only ? O_RDONLY : O_RDWR);
    *ret_exists = r == 0;
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    for (off_t at = 0; at <= MARK_PAGE; at += MARK_PAGE) {
        ssize_t got = pread(f->mark_fd, data, sizeof data, at);

        if (got < 0)
            return -errno;
        if (got == (ssize_t)sizeof data && mark_decode(data, &ret[n]))
            n++;
    }
    return n;
}

int journal_mark_base(struct journal_files *f, const struct journal_mark *mark)
{
    int r = mark_write(f, mark, 0);

    return r < 0 ? r : fsync(f->mark_fd) < 0 ? -errno : 0;
}

int journal_mark_now(struct journal_files *f, const struct journal_mark *mark)
{
    return mark_write(f, mark, MARK_PAGE);
}

int journal_mark_make(struct journal_files *f, const struct journal_mark *mark)
{
    int r = mark_open(f, O_RDWR | O_CREAT);

    if (r == 0)
        r = journal_mark_now(f, mark);
    if (r == 0)
        r = journal_mark_base(f, mark);
    if (r == 0 && fsync(f->dir_fd) < 0)
        r = -errno;
    return r;
}

/* -- the reserve --------------------------------------------------------------------------------------------- */

bool journal_reserve_make(struct journal_files *f)
{
    struct statvfs fs;
    struct stat st;

    if (f->reserve_fd < 0)
        f->reserve_fd = openat(f->dir_fd, JOURNAL_RESERVE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f->reserve_fd < 0 || fstat(f->reserve_fd, &st) < 0 || fstatvfs(f->reserve_fd, &fs) < 0)
        return false;
    if ((uint64_t)st.st_size == f->reserve_bytes && (uint64_t)st.st_blocks * 512 >= f->reserve_bytes) {
        f->reserve_used = false;
        return true;
    }
    if ((uint64_t)fs.f_bavail * fs.f_frsize < 2 * f->reserve_bytes)
        return false;
    if (posix_fallocate(f->reserve_fd, 0, (off_t)f->reserve_bytes) == 0) {
        f->reserve_used = false;
        return true;
    }
    (void)!ftruncate(f->reserve_fd, 0); /* what there is of it, if this fails too, goes with the next release */
    return false;
}

bool journal_reserve_release(struct journal_files *f)
{
    struct stat st;

    if (f->reserve_fd < 0) /* of an earlier daemon */
        f->reserve_fd = openat(f->dir_fd, JOURNAL_RESERVE, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (f->reserve_fd < 0 || fstat(f->reserve_fd, &st) < 0 || st.st_size == 0 || ftruncate(f->reserve_fd, 0) < 0)
        return false;
    f->reserve_used = true;
    return true;
}
