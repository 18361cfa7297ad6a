/* SPDX-License-Identifier: MIT */
/*
 * modpath -- see modpath.h for the rules. Nothing is remembered between two calls: a directory that
 * is made, or repaired, while the daemon runs counts from then on.
 */
#include "daemon/worker/modpath.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/worker/log.h"
#include "proto/util.h"

/* Why what st describes could have been made by somebody else; NULL if it could not. */
static const char *distrust(const struct stat *st, bool sticky_is_fine)
{
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return "is owned by another user";
    if (sticky_is_fine && (st->st_mode & S_ISVTX))
        return NULL;
    if (st->st_mode & S_IWOTH)
        return "is writable by others";
    if (st->st_mode & S_IWGRP)
        return "is writable by its group";
    return NULL;
}

/* Walks from "/" to path (real: no symbolic links in it). The descriptor, or -errno. *ret_problem is
 * what is wrong with which component (a text in why), or NULL. */
static int walk(const char *path, const char **ret_problem, char why[WHY_BYTES])
{
    char copy[PATH_MAX], *rest = copy, *name;
    int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    const char *problem = NULL;

    snprintf(copy, sizeof copy, "%s", path);
    while (at >= 0) {
        const char *distrusted;
        struct stat st;
        int next;

        while ((name = strsep(&rest, "/")) && !*name)
            ;
        if (fstat(at, &st) < 0)
            break;
        distrusted = distrust(&st, name != NULL);
        if (distrusted && !problem) {
            /* what strsep() has passed over is the path up to here */
            size_t n = name ? (size_t)(name - copy) : strlen(path);

            snprintf(why, WHY_BYTES, "the directory %.*s %s", (int)(n > 1 && name ? n - 1 : n), path, distrusted);
            problem = why;
        }
        if (!name) {
            *ret_problem = problem;
            return at;
        }
        next = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        close(at);
        at = next;
    }
    return at < 0 ? -errno : (close(at), -EIO);
}

/* Opens NAME.so in the directory. The descriptor, or -1 and why. */
static int open_file(int dir, const char *path, const char *file, char why[WHY_BYTES])
{
    int fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    const char *problem;
    struct stat st;

    if (fd < 0) {
        problem = errno == ELOOP ? "is a symbolic link: modules must be plain files" : strerror(errno);
        snprintf(why, WHY_BYTES, "%s%s%s", path, errno == ELOOP ? " " : " cannot be opened: ", problem);
        return -1;
    }
    if (fstat(fd, &st) < 0)
        problem = strerror(errno);
    else if (!S_ISREG(st.st_mode))
        problem = "is not a regular file";
    else
        problem = distrust(&st, false);
    if (problem) {
        snprintf(why, WHY_BYTES, "%s %s", path, problem);
        close(fd);
        return -1;
    }
    return fd;
}

/* One directory of the search path. In `why` is, if it was passed over, the reason in brackets, or "". */
static enum modpath_result look_into(const char *entry, const char *file, int *ret_fd, char ret_path[PATH_MAX],
                                     char why[WHY_BYTES])
{
    char real[PATH_MAX], path[PATH_MAX + 80];
    const char *problem = NULL;
    struct stat st;
    int dir, fd;

    why[0] = '\0';
    if (entry[0] != '/') {
        snprintf(why, WHY_BYTES, " (not an absolute path)");
        return MODPATH_MISSING;
    }
    if (!realpath(entry, real)) {
        snprintf(why, WHY_BYTES, " (%s)", errno == ENOENT ? "does not exist" : strerror(errno));
        return MODPATH_MISSING;
    }
    dir = walk(real, &problem, why);
    if (dir < 0) {
        snprintf(why, WHY_BYTES, " (%s)", strerror(-dir));
        return MODPATH_MISSING;
    }
    if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (problem)
            log_say(LOG_LEVEL_WARNING, "module-directory-refused", "%s", problem);
        snprintf(why, WHY_BYTES, "%s%s%s", errno != ENOENT ? " (" : "", errno != ENOENT ? strerror(errno) : "",
                 errno != ENOENT ? ")" : "");
        close(dir);
        return MODPATH_MISSING;
    }
    if (problem) {
        close(dir);
        return MODPATH_REFUSED;
    }
    snprintf(path, sizeof path, "%s/%s", strcmp(real, "/") == 0 ? "" : real, file);
    fd = strlen(path) < PATH_MAX ? open_file(dir, path, file, why) : -1;
    close(dir);
    if (fd < 0)
        return MODPATH_REFUSED;
    memcpy(ret_path, path, strlen(path) + 1);
    *ret_fd = fd;
    return MODPATH_FOUND;
}

enum modpath_result modpath_open(const char *search, const char *name, int *ret_fd, char ret_path[PATH_MAX],
                                 char why[WHY_BYTES])
{
    AUTO_MEM char *copy = strdup(search);
    char file[80], note[WHY_BYTES], *rest = copy;
    const char *entry;
    size_t n;

    if (!copy) {
        snprintf(why, WHY_BYTES, "out of memory");
        return MODPATH_REFUSED;
    }
    snprintf(file, sizeof file, "%s.so", name);
    n = (size_t)snprintf(why, WHY_BYTES, "there is no %s in the module path:", file);
    while ((entry = strsep(&rest, ":"))) {
        enum modpath_result result;

        if (!*entry)
            continue;
        result = look_into(entry, file, ret_fd, ret_path, note);
        if (result == MODPATH_REFUSED)
            snprintf(why, WHY_BYTES, "%s", note);
        if (result != MODPATH_MISSING)
            return result;
        if (n < WHY_BYTES)
            n += (size_t)snprintf(why + n, WHY_BYTES - n, " %s%s", entry, note);
    }
    return MODPATH_MISSING;
}
