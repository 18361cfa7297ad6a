/* SPDX-License-Identifier: MIT */
/*
 * outputs -- see outputs.h. Directories and files are the workers' to make. A file belongs to a queued task, and goes
 * when that is forgotten; or to an item or a call, and is its caller's to remove: what nobody has removed, or was
 * forgotten while there was no daemon, goes at the next start.
 *
 * Only names that the output of commands has are touched, in directories that are called as a day is.
 *
 * A large file takes its time to be freed: its last descriptor is closed by the template.
 */
#include "daemon/ptoolsd/outputs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/ptoolsd/log.h"
#include "daemon/ptoolsd/supervisor.h"
#include "proto/output.h"

enum { LARGE_BYTES = 16 << 20 };

static void remove_file(struct daemon *d, const char *path)
{
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0 && errno == ENOENT)
        return;
    unlink(path);
    if (fd >= 0 && !(fstat(fd, &st) == 0 && st.st_size > LARGE_BYTES && supervisor_close(d->supervisor, fd)))
        close(fd);
}

void outputs_forget(struct daemon *d, uint64_t queued_ms, uint64_t task, uint32_t attempts)
{
    static const char *const suffixes[] = { ".out", ".err", ".out.old", ".err.old" };
    char path[PATH_MAX];
    size_t n;

    for (uint32_t i = 1; i <= attempts; i++) {
        n = output_path(path, sizeof path - sizeof ".out.old", d->config->output_dir, queued_ms, task, i, -1);
        for (size_t k = 0; n > 0 && k < ELEMENTS(suffixes); k++) {
            strcpy(path + n, suffixes[k]);
            remove_file(d, path);
        }
    }
}

/* What is in a day and is no known task's; then the day, if it is empty. all: nothing is known. */
static unsigned sweep_day(struct daemon *d, int dir, const char *name, bool all)
{
    const int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *day = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;
    unsigned removed = 0;
    uint64_t task;
    bool item;

    if (!day && fd >= 0)
        close(fd);
    while (day && (entry = readdir(day)))
        if (output_is_file(entry->d_name, &task, &item) && (all || item || !core_knows_queued(d->core, task)))
            removed += unlinkat(fd, entry->d_name, 0) == 0;
    if (day)
        closedir(day);
    unlinkat(dir, name, AT_REMOVEDIR);
    return removed;
}

static void sweep(struct daemon *d, bool all)
{
    DIR *dir = *d->config->output_dir ? opendir(d->config->output_dir) : NULL;
    struct dirent *entry;
    unsigned removed = 0;

    while (dir && (entry = readdir(dir)))
        if (output_is_day(entry->d_name))
            removed += sweep_day(d, dirfd(dir), entry->d_name, all);
    if (dir)
        closedir(dir);
    if (removed)
        log_info("outputs-removed", LOG_U64("files", removed));
}

void outputs_sweep(struct daemon *d)
{
    sweep(d, false);
}

void outputs_end(struct daemon *d)
{
    if (!d->config->journal)
        sweep(d, true);
    rmdir(d->config->output_dir); /* if it is empty */
}
