/* SPDX-License-Identifier: MIT */
/*
 * cgroup -- see cgroup.h. A group is a directory, and what can be done with it are files in it.
 *
 * They are reached by descriptors and never by paths: so it does not matter where they are, and who was given one may
 * use it also where no path leads to it (daemon/spawn/groups.c).
 *
 * Moving a process into a group waits for all processors to have looked up, so that who is to be in one is best born in
 * it: cgroup_fork_into().
 */
#include "daemon/cgroup/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "proto/util.h"

enum { FILE_BYTES = 4096, DEPTH_MAX = 4 };

static const struct {
    enum cgroup_controller bit;
    const char *name;
} controllers[] = { { CGROUP_CPU, "cpu" }, { CGROUP_MEMORY, "memory" }, { CGROUP_PIDS, "pids" } };

/* -- files ------------------------------------------------------------------------------------------------------ */

int cgroup_set(int dir, const char *file, const char *value)
{
    const int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return -errno;
    r = write(fd, value, strlen(value)) < 0 ? -errno : 0;
    close(fd);
    return r;
}

int cgroup_set_number(int dir, const char *file, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, value);
    return cgroup_set(dir, file, value ? text : "max");
}

/* The text of a file, as much as fits. 0 or -errno. */
static int read_file(int dir, const char *file, char text[FILE_BYTES])
{
    const int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    if (fd < 0)
        return -errno;
    got = read(fd, text, FILE_BYTES - 1);
    text[MAX(got, 0)] = '\0';
    close(fd);
    return got < 0 ? -EIO : 0;
}

uint64_t cgroup_number(int dir, const char *file, const char *key)
{
    const size_t n = key ? strlen(key) : 0;
    char text[FILE_BYTES] = "";
    char *line = text, *end;
    uint64_t v;

    if (read_file(dir, file, text) < 0)
        return CGROUP_NONE;
    while (line && n > 0 && (strncmp(line, key, n) != 0 || line[n] != ' '))
        line = (line = strchr(line, '\n')) ? line + 1 : NULL;
    if (!line)
        return CGROUP_NONE;
    errno = 0;
    v = strtoull(line + n, &end, 10);
    return errno || end == line + n ? CGROUP_NONE : v;
}

/* -- where ------------------------------------------------------------------------------------------------------ */

int cgroup_own(void)
{
    static const char *const roots[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
    char line[PATH_MAX], path[PATH_MAX + 32], *end = NULL;
    FILE *f = fopen("/proc/self/cgroup", "re");
    struct statfs fs;
    int fd;

    while (f && !end && fgets(line, sizeof line, f))
        if (strncmp(line, "0::/", 4) == 0)
            end = strchr(line, '\n');
    if (f)
        fclose(f);
    if (!end)
        return -ENOENT;
    *end = '\0';
    for (size_t i = 0; i < ELEMENTS(roots); i++) {
        if (statfs(roots[i], &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
            continue;
        snprintf(path, sizeof path, "%s%s", roots[i], line + 3);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
    }
    return -ENOENT;
}

bool cgroup_is_delegated(int dir)
{
    char mark[2] = "";

    return (fgetxattr(dir, "user.delegate", mark, 1) == 1 || fgetxattr(dir, "trusted.delegate", mark, 1) == 1) &&
           mark[0] == '1';
}

int cgroup_make(int parent, const char *name)
{
    int fd;

    if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
        return -errno;
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* -- who is in it ------------------------------------------------------------------------------------------------- */

int cgroup_enter(int dir)
{
    return cgroup_set(dir, "cgroup.procs", "0");
}

pid_t cgroup_fork_into(int dir)
{
    struct clone_args how = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)dir };
    const long pid = syscall(SYS_clone3, &how, sizeof how);

    return pid < 0 ? -errno : (pid_t)pid;
}

void cgroup_kill(int dir)
{
    (void)cgroup_set(dir, "cgroup.kill", "1"); /* an old kernel has no such file: their parents end them one by one */
}

/* -- what can be limited ---------------------------------------------------------------------------------------- */

unsigned cgroup_enable(int dir)
{
    char there[FILE_BYTES], plus[CGROUP_NAME_BYTES], *rest = there, *word;
    unsigned enabled = 0;

    for (size_t i = 0; i < ELEMENTS(controllers); i++) { /* each by itself: one that is refused is no obstacle */
        snprintf(plus, sizeof plus, "+%s", controllers[i].name);
        (void)cgroup_set(dir, "cgroup.subtree_control", plus);
    }
    if (read_file(dir, "cgroup.subtree_control", there) < 0)
        return 0;
    while ((word = strsep(&rest, " \n")))
        for (size_t i = 0; i < ELEMENTS(controllers); i++)
            if (strcmp(word, controllers[i].name) == 0)
                enabled |= controllers[i].bit;
    return enabled;
}

const char *cgroup_names(unsigned which, char ret[CGROUP_NAMES_BYTES])
{
    size_t n = 0;

    ret[0] = '\0';
    for (size_t i = 0; i < ELEMENTS(controllers); i++)
        if (which & controllers[i].bit)
            n += (size_t)snprintf(ret + n, CGROUP_NAMES_BYTES - n, "%s%s", n ? " " : "", controllers[i].name);
    return ret;
}

/* -- the end ------------------------------------------------------------------------------------------------------ */

static DIR *list(int dir)
{
    const int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *all = fd < 0 ? NULL : fdopendir(fd);

    if (fd >= 0 && !all)
        close(fd);
    return all;
}

/* Each group below it. */
static struct dirent *next_group(DIR *all)
{
    struct dirent *e;

    while ((e = readdir(all)))
        if (e->d_type == DT_DIR && e->d_name[0] != '.')
            return e;
    return NULL;
}

static bool remove_tree(int parent, const char *name, unsigned depth)
{
    struct dirent *e;
    DIR *all;
    int fd;

    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return true;
    if (depth == DEPTH_MAX)
        return false;
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    all = fd < 0 ? NULL : list(fd);
    while (all && (e = next_group(all)))
        (void)remove_tree(fd, e->d_name, depth + 1);
    if (all)
        closedir(all);
    if (fd >= 0)
        close(fd);
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

bool cgroup_remove(int parent, const char *name)
{
    return remove_tree(parent, name, 0);
}

/* Whether somebody is in the group of this name itself, or in that one below it. */
static bool is_lived_in(int parent, const char *name, const char *member)
{
    char path[2 * NAME_MAX + 32];

    snprintf(path, sizeof path, "%s/cgroup.procs", name);
    if (cgroup_number(parent, path, NULL) != CGROUP_NONE)
        return true;
    snprintf(path, sizeof path, "%s/%s/cgroup.events", name, member);
    return cgroup_number(parent, path, "populated") == 1;
}

bool cgroup_sweep(int parent, const char *prefix, const char *member)
{
    DIR *all = list(parent);
    struct dirent *e;
    bool done = true;

    while (all && (e = next_group(all))) {
        char file[NAME_MAX + 16];

        if (strncmp(e->d_name, prefix, strlen(prefix)) != 0 || (member && is_lived_in(parent, e->d_name, member)))
            continue;
        snprintf(file, sizeof file, "%s/cgroup.kill", e->d_name);
        (void)cgroup_set(parent, file, "1");
        done &= cgroup_remove(parent, e->d_name);
    }
    if (all)
        closedir(all);
    return done;
}
