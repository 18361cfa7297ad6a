/* SPDX-License-Identifier: MIT */
/*
 * groups -- see groups.h. They are below the group of a unit of their own, ptools-users.service, beside that of ours, which
 * systemd leaves to us (Delegate=):
 *
 *     keep           a process that does nothing, for which systemd keeps the group
 *     1000-7         the daemon of user 1000 and, in groups that it makes there, its workers
 *
 * Not below ours: systemd puts who it starts into the unit's own group, and cannot when that is divided, so that this
 * program could not be started again beside daemons that live on.
 *
 * To give a user a directory takes CAP_CHOWN, which this program does not have. So those of users are writable for
 * everybody, in a directory that nobody but root may enter: who has the descriptor can divide it, and nobody else can
 * reach it. What limits the user as a whole stays root's.
 */
#include "daemon/spawn/groups.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/cgroup/cgroup.h"
#include "proto/util.h"

enum { GROUPS_OF_USER_MAX = 8192 };
#define UNIT "ptools-users.service"

static int users = -1;
static uint64_t made;

void groups_open(void)
{
    const int own = cgroup_own();

    users = own < 0 ? -1 : openat(own, "../" UNIT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (users >= 0 && (!cgroup_is_delegated(users) || fchmod(users, 0700) < 0)) {
        close(users);
        users = -1;
    }
    if (users >= 0) {
        const int keep = cgroup_make(users, "keep");
        const uint64_t pid = cgroup_number(users, "cgroup.procs", NULL);

        if (keep >= 0 && pid != CGROUP_NONE)
            (void)cgroup_set_number(keep, "cgroup.procs", pid);
        if (keep >= 0)
            close(keep);
        (void)cgroup_enable(users);
    }
    if (own >= 0)
        close(own);
    made = MAX(made, (uint64_t)time(NULL) << 20); /* so that no name comes twice */
}

int groups_make(uint32_t uid, uint64_t *ret_number)
{
    char name[CGROUP_NAME_BYTES];
    int fd;

    if (users < 0)
        groups_open();
    *ret_number = ++made;
    if (users < 0)
        return -1;
    snprintf(name, sizeof name, "%" PRIu32 "-%" PRIu64, uid, made);
    fd = cgroup_make(users, name);
    if (fd >= 0 && cgroup_set_number(fd, "cgroup.max.descendants", GROUPS_OF_USER_MAX) == 0 &&
        fchmodat(fd, "cgroup.procs", 0666, 0) == 0 && fchmodat(fd, "cgroup.subtree_control", 0666, 0) == 0 &&
        fchmod(fd, 0777) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    (void)cgroup_remove(users, name);
    close(users); /* it may be another by now */
    users = -1;
    return -1;
}

bool groups_end(uint32_t uid, uint64_t number)
{
    char name[CGROUP_NAME_BYTES];

    snprintf(name, sizeof name, "%" PRIu32 "-%" PRIu64, uid, number);
    return users < 0 || cgroup_sweep(users, name, NULL);
}

bool groups_tidy(void)
{
    return users < 0 || cgroup_sweep(users, "", "daemon");
}
