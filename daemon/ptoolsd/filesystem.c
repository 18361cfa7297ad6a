/* SPDX-License-Identifier: MIT */
/*
 * filesystem -- see filesystem.h. fstat(), fstatfs() and even close() of a file ask its file system, and one that is
 * a process (FUSE) or another machine (NFS, CIFS, 9p) may never answer. So what is asked here is the kernel alone: the
 * number of the mount, from /proc/self/fdinfo, and its type, from mountinfo. Of memory (memfd, tmpfs) seals tell.
 *
 * Numbers of mounts are the same in all mount namespaces, and an open file keeps its mount: so one that is not in ours
 * is looked for in that of the process that opened it. An overlay there may lie over a FUSE of its own making: it is
 * taken only if it is mounted here, too.
 */
#include "daemon/ptoolsd/filesystem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/util.h"

#define LOCAL "ext4, xfs, btrfs, tmpfs and other file systems that this machine's kernel serves by itself"

static const char *const local[] = {
    "bcachefs", "btrfs",  "erofs",    "exfat", "ext2", "ext3",  "ext4",   "f2fs",  "hugetlbfs", "iso9660", "jfs",
    "nilfs2",   "ntfs3",  "overlay",  "ramfs", "reiserfs", "squashfs", "tmpfs", "udf", "vfat", "xfs", "zfs",
};

struct mount {
    int id;
    unsigned major, minor;
    char type[40];
};

static int mount_id(int fd)
{
    char path[48], line[128];
    int id = -1;
    FILE *f;

    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    f = fopen(path, "re");
    while (f && id < 0 && fgets(line, sizeof line, f))
        if (sscanf(line, "mnt_id: %d", &id) != 1)
            id = -1;
    if (f)
        fclose(f);
    return id;
}

/* The mount of that number; with id -1, one of that device and type. */
static bool find(const char *path, const struct mount *wanted, struct mount *ret)
{
    FILE *f = fopen(path, "re");
    bool found = false;
    char *line = NULL;
    size_t room = 0;

    while (f && !found && getline(&line, &room, f) > 0) {
        const char *type = strstr(line, " - "); /* spaces within a field are escaped */

        if (!type || sscanf(line, "%d %*d %u:%u", &ret->id, &ret->major, &ret->minor) != 3 ||
            sscanf(type, " - %39s", ret->type) != 1)
            continue;
        found = wanted->id >= 0 ? ret->id == wanted->id
                                : ret->major == wanted->major && ret->minor == wanted->minor &&
                                      strcmp(ret->type, wanted->type) == 0;
    }
    free(line);
    if (f)
        fclose(f);
    return found;
}

bool filesystem_is_local(int fd, pid_t pid, char why[FILESYSTEM_WHY_BYTES])
{
    struct mount m = { .id = mount_id(fd) }, theirs, ours;
    bool here;
    char path[48];

    if (fcntl(fd, F_GET_SEALS) >= 0)
        return true;
    snprintf(path, sizeof path, "/proc/%d/mountinfo", (int)pid);
    here = m.id >= 0 && find("/proc/self/mountinfo", &m, &theirs);
    if (m.id < 0 || (!here && !find(path, &m, &theirs))) {
        snprintf(why, FILESYSTEM_WHY_BYTES, "its file system cannot be told; a file must be on one of " LOCAL);
        return false;
    }
    m = theirs;
    m.id = -1;
    if (strcmp(m.type, "overlay") == 0 && !here && !find("/proc/self/mountinfo", &m, &ours)) {
        snprintf(why, FILESYSTEM_WHY_BYTES, "it is on an overlay that is not mounted where ptoolsd is");
        return false;
    }
    for (size_t i = 0; i < ELEMENTS(local); i++)
        if (strcmp(m.type, local[i]) == 0)
            return true;
    snprintf(why, FILESYSTEM_WHY_BYTES,
             "it is on a file system of type %s, which may keep ptoolsd waiting; a file must be on one of " LOCAL,
             m.type);
    return false;
}
