/* SPDX-License-Identifier: MIT */
/*
 * command_stage -- see command_stage.h. The part is a directory in the directory, .ID-ATTEMPT.part or
 * .ID-ATTEMPT.ITEM.part, so that what is in it can be renamed, each file as a whole, over what is there of that name.
 * An attempt whose worker was killed leaves its part behind, for the next one to remove. What is called so and is not
 * ours is not touched: where others may write, they could exchange what is in it while we remove it.
 */
#include "daemon/worker/command_stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WALK_FDS = 16 };

static int part_path(const char *dir, const struct ptools_task *t, uint32_t attempt, char ret[PATH_MAX])
{
    char item[32] = "";
    int n;

    if (t->item)
        snprintf(item, sizeof item, ".%" PRIu64, t->item);
    n = snprintf(ret, PATH_MAX, "%s/.%" PRIu64 "-%" PRIu32 "%s.part", dir, t->id, attempt, item);
    return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    (void)remove(path); /* what cannot be removed stays, and the rest goes on */
    return 0;
}

static void remove_all(const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0 && st.st_uid == geteuid())
        nftw(path, remove_one, WALK_FDS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

int stage_begin(struct stage *s, const char *dir, const struct ptools_task *t)
{
    int r = 0;

    s->dir = NULL;
    for (uint32_t i = 1; r == 0 && i <= t->attempt; i++) {
        r = part_path(dir, t, i, s->part);
        if (r == 0)
            remove_all(s->part);
    }
    if (r == 0 && mkdir(s->part, 0777) < 0)
        r = -errno;
    s->dir = r == 0 ? dir : NULL;
    return r;
}

static int move_all(const struct stage *s)
{
    const int to = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *part = to >= 0 ? opendir(s->part) : NULL;
    struct dirent *entry;
    int r = part ? 0 : -errno;

    while (part && (entry = readdir(part)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            renameat(dirfd(part), entry->d_name, to, entry->d_name) < 0)
            r = -errno;
    if (part)
        closedir(part);
    if (to >= 0)
        close(to);
    if (rmdir(s->part) < 0 && r == 0)
        r = -errno;
    return r;
}

int stage_end(struct stage *s, bool keep)
{
    int r = 0;

    if (!s->dir)
        return 0;
    if (keep)
        r = move_all(s);
    else
        remove_all(s->part);
    s->dir = NULL;
    return r;
}
