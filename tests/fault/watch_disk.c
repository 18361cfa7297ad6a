/* SPDX-License-Identifier: MIT */
/*
 * watch_disk -- for LD_PRELOAD: writes down what one process does to the files below a directory. See disk_log.h.
 *
 * A change is made first and then written down; a sync is written down and not made: what the real disk has does not
 * matter. So a process that is killed between the two has made a change that the log does not know: that is a change
 * that the power loss took. All is done under one lock: the log has the order in which it happened.
 *
 * Which file a descriptor is of is asked of the kernel each time. What cannot be written down ends the process.
 */
#undef _FILE_OFFSET_BITS /* both names of each call are wanted: open and open64 */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "disk_log.h"

#define EXPORT  __attribute__((visibility("default")))
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *root;
static size_t root_bytes;
static int log_fd = -1;
static pid_t watched; /* not a child of it */
static unsigned long calls, kill_at;
static const char *count_from; /* that is done; NULL: it was */

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("PTOOLS_TEST_DISK_LOG"), *at = getenv("PTOOLS_TEST_DISK_KILL");
    const char *from = getenv("PTOOLS_TEST_DISK_FROM");

    root = getenv("PTOOLS_TEST_DISK");
    if (!root || !path)
        return;
    root_bytes = strlen(root);
    kill_at = at ? strtoul(at, NULL, 10) : 0;
    count_from = from && *from ? from : NULL;
    watched = getpid();
    log_fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log_fd < 0)
        abort();
}

/* -- names --------------------------------------------------------------------------------------------------- */

/* The part below the directory; NULL: it is not below it. */
static const char *below(const char *path)
{
    if (log_fd < 0 || strncmp(path, root, root_bytes) != 0 || (path[root_bytes] && path[root_bytes] != '/'))
        return NULL;
    return path[root_bytes] ? path + root_bytes + 1 : "";
}

static const char *name_of(int fd, char path[PATH_MAX])
{
    char link[40];
    ssize_t n;

    if (log_fd < 0 || getpid() != watched)
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, PATH_MAX - 1);
    path[n > 0 ? n : 0] = '\0';
    return strstr(path, " (deleted)") ? NULL : below(path);
}

/* Of something in a directory, whatever the way to it. */
static const char *name_at(int dir, const char *given, char path[PATH_MAX])
{
    const char *last = strrchr(given, '/'), *name;
    char parent[PATH_MAX], resolved[PATH_MAX];

    if (log_fd < 0 || getpid() != watched)
        return NULL;
    if (*given == '/' || dir == AT_FDCWD) {
        snprintf(parent, sizeof parent, "%.*s", last ? (int)(last - given) : 1, last ? given : ".");
        if (!realpath(*parent ? parent : "/", resolved))
            return NULL;
    } else if (last || !name_of(dir, resolved)) {
        return NULL;
    }
    name = last ? last + 1 : given;
    if (strlen(resolved) + strlen(name) + 2 > PATH_MAX)
        return NULL;
    strcpy(path, resolved);
    strcat(strcat(path, "/"), name);
    return below(path);
}

/* -- records ------------------------------------------------------------------------------------------------- */

static void enter(void)
{
    pthread_mutex_lock(&lock);
    calls += !count_from;
    if (calls == kill_at && kill_at > 0)
        kill(getpid(), SIGKILL);
}

static void leave(void)
{
    const int error = errno;

    pthread_mutex_unlock(&lock);
    errno = error;
}

static bool is_zeros(const unsigned char *data, size_t n)
{
    return n == 0 || (data[0] == 0 && memcmp(data, data + 1, n - 1) == 0);
}

static bool is_awaited(enum disk_op op, const char *name)
{
    return count_from &&
           ((op == DISK_WRITE && strncmp(count_from, "write ", 6) == 0 && strcmp(count_from + 6, name) == 0) ||
            (op == DISK_SYNC && strncmp(count_from, "sync ", 5) == 0 && strcmp(count_from + 5, name) == 0));
}

static void note(enum disk_op op, const char *name, uint64_t at, const void *data, size_t n)
{
    const bool plain = data && !is_zeros(data, n);
    struct disk_record record = { .op = op, .name_bytes = (uint32_t)strlen(name), .at = at, .n = n };
    struct iovec parts[3] = { { &record, sizeof record }, { (char *)(uintptr_t)name, record.name_bytes } };
    size_t all = sizeof record + record.name_bytes;

    if (plain) {
        record.data_bytes = (uint32_t)n;
        parts[2] = (struct iovec){ (char *)(uintptr_t)data, n };
        all += n;
    }
    if (is_awaited(op, name))
        count_from = NULL;
    if (writev(log_fd, parts, 3) != (ssize_t)all)
        abort();
}

/* -- what makes and removes names ---------------------------------------------------------------------------- */

static int do_open(int dir, const char *path, int flags, mode_t mode)
{
    char buffer[PATH_MAX];
    const char *name = flags & (O_CREAT | O_TRUNC) ? name_at(dir, path, buffer) : NULL;
    struct stat st;
    bool had;
    int fd;

    if (!name)
        return (int)syscall(SYS_openat, dir, path, flags, mode);
    enter();
    had = fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
    fd = (int)syscall(SYS_openat, dir, path, flags, mode);
    if (fd >= 0 && !had)
        note(DISK_CREATE, name, 0, NULL, 0);
    else if (fd >= 0 && flags & O_TRUNC)
        note(DISK_TRUNCATE, name, 0, NULL, 0);
    leave();
    return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

#define OPEN(function)                                                                                                 \
    EXPORT int function(const char *path, int flags, ...)                                                              \
    {                                                                                                                  \
        va_list ap;                                                                                                    \
        mode_t mode;                                                                                                   \
                                                                                                                       \
        va_start(ap, flags);                                                                                           \
        mode = mode_of(flags, ap);                                                                                     \
        va_end(ap);                                                                                                    \
        return do_open(AT_FDCWD, path, flags, mode);                                                                   \
    }
#define OPENAT(function)                                                                                               \
    EXPORT int function(int dir, const char *path, int flags, ...)                                                     \
    {                                                                                                                  \
        va_list ap;                                                                                                    \
        mode_t mode;                                                                                                   \
                                                                                                                       \
        va_start(ap, flags);                                                                                           \
        mode = mode_of(flags, ap);                                                                                     \
        va_end(ap);                                                                                                    \
        return do_open(dir, path, flags, mode);                                                                        \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

static int do_mkdir(int dir, const char *path, mode_t mode)
{
    char buffer[PATH_MAX];
    const char *name = name_at(dir, path, buffer);
    int r;

    if (!name)
        return (int)syscall(SYS_mkdirat, dir, path, mode);
    enter();
    r = (int)syscall(SYS_mkdirat, dir, path, mode);
    if (r == 0)
        note(DISK_MKDIR, name, 0, NULL, 0);
    leave();
    return r;
}

EXPORT int mkdir(const char *path, mode_t mode)
{
    return do_mkdir(AT_FDCWD, path, mode);
}

EXPORT int mkdirat(int dir, const char *path, mode_t mode)
{
    return do_mkdir(dir, path, mode);
}

static int do_unlink(int dir, const char *path, int flags)
{
    char buffer[PATH_MAX];
    const char *name = name_at(dir, path, buffer);
    int r;

    if (!name)
        return (int)syscall(SYS_unlinkat, dir, path, flags);
    enter();
    r = (int)syscall(SYS_unlinkat, dir, path, flags);
    if (r == 0)
        note(DISK_UNLINK, name, 0, NULL, 0);
    leave();
    return r;
}

EXPORT int unlink(const char *path)
{
    return do_unlink(AT_FDCWD, path, 0);
}

EXPORT int unlinkat(int dir, const char *path, int flags)
{
    return do_unlink(dir, path, flags);
}

/* -- what changes files -------------------------------------------------------------------------------------- */

static ssize_t do_pwrite(int fd, const void *data, size_t n, off_t at)
{
    char buffer[PATH_MAX];
    const char *name = name_of(fd, buffer);
    ssize_t r;

    if (!name)
        return syscall(SYS_pwrite64, fd, data, n, at);
    enter();
    r = syscall(SYS_pwrite64, fd, data, n, at);
    if (r > 0)
        note(DISK_WRITE, name, (uint64_t)at, data, (size_t)r);
    leave();
    return r;
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
    return do_pwrite(fd, data, n, at);
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t n, off_t at)
{
    return do_pwrite(fd, data, n, at);
}

EXPORT ssize_t write(int fd, const void *data, size_t n)
{
    char buffer[PATH_MAX];
    const char *name = name_of(fd, buffer);
    ssize_t r;

    if (!name)
        return syscall(SYS_write, fd, data, n);
    enter();
    r = syscall(SYS_write, fd, data, n);
    if (r > 0)
        note(DISK_WRITE, name, (uint64_t)(lseek(fd, 0, SEEK_CUR) - r), data, (size_t)r);
    leave();
    return r;
}

static int do_truncate(int fd, off_t bytes)
{
    char buffer[PATH_MAX];
    const char *name = name_of(fd, buffer);
    int r;

    if (!name)
        return (int)syscall(SYS_ftruncate, fd, bytes);
    enter();
    r = (int)syscall(SYS_ftruncate, fd, bytes);
    if (r == 0)
        note(DISK_TRUNCATE, name, (uint64_t)bytes, NULL, 0);
    leave();
    return r;
}

EXPORT int ftruncate(int fd, off_t bytes)
{
    return do_truncate(fd, bytes);
}

EXPORT int ftruncate64(int fd, off_t bytes)
{
    return do_truncate(fd, bytes);
}

/* Blocks that nobody writes are not worth the time. */
static int do_allocate(int fd, off_t at, off_t bytes)
{
    char buffer[PATH_MAX];
    struct stat st;
    const char *name = name_of(fd, buffer);
    int r;

    if (!name)
        return syscall(SYS_fallocate, fd, 0, at, bytes) == 0 ? 0 : errno;
    enter();
    r = fstat(fd, &st) < 0 || (st.st_size < at + bytes && syscall(SYS_ftruncate, fd, at + bytes) < 0) ? errno : 0;
    if (r == 0)
        note(DISK_ALLOCATE, name, (uint64_t)(at + bytes), NULL, 0);
    leave();
    return r;
}

EXPORT int posix_fallocate(int fd, off_t at, off_t bytes)
{
    return do_allocate(fd, at, bytes);
}

EXPORT int posix_fallocate64(int fd, off_t at, off_t bytes)
{
    return do_allocate(fd, at, bytes);
}

/* What is not written down must not happen: no rename, no vector, no mapping is expected here. */
EXPORT int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    char a[PATH_MAX], b[PATH_MAX];

    if (name_at(from_dir, from, a) || name_at(to_dir, to, b))
        abort();
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

EXPORT int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return renameat2(from_dir, from, to_dir, to, 0);
}

EXPORT int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* -- syncs --------------------------------------------------------------------------------------------------- */

static int do_sync(int fd, long real)
{
    char buffer[PATH_MAX];
    const char *name = name_of(fd, buffer);

    if (!name)
        return (int)syscall(real, fd);
    enter();
    note(DISK_SYNC, name, 0, NULL, 0);
    leave();
    return 0;
}

EXPORT int fsync(int fd)
{
    return do_sync(fd, SYS_fsync);
}

EXPORT int fdatasync(int fd)
{
    return do_sync(fd, SYS_fdatasync);
}

/* -- another start of the machine ---------------------------------------------------------------------------- */

static FILE *do_fopen(const char *path, const char *mode)
{
    typedef FILE *function(const char *, const char *);
    static function *real;
    const char *boot = strcmp(path, BOOT_ID) == 0 ? getenv("PTOOLS_TEST_BOOT") : NULL;

    if (!real) {
        void *found = dlsym(RTLD_NEXT, "fopen");

        memcpy(&real, &found, sizeof found);
    }
    return real(boot ? boot : path, mode);
}

EXPORT FILE *fopen(const char *path, const char *mode)
{
    return do_fopen(path, mode);
}

EXPORT FILE *fopen64(const char *path, const char *mode)
{
    return do_fopen(path, mode);
}
