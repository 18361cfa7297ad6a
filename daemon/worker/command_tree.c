/* SPDX-License-Identifier: MIT */
/*
 * command_tree -- see command_tree.h. Children are found in /proc/PID/task/TID/children. A process that forks meanwhile
 * may have a child that is not seen: it is one more that the daemon kills when the grace is over.
 */
#include "daemon/worker/command_tree.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

enum { DEPTH_MAX = 64, PATH_BYTES = 320 };

/* Called for each child; what it returns ends the walk, unless it is 0. */
typedef pid_t (*child_fn)(pid_t child, pid_t group, unsigned depth);

static pid_t children_of_thread(pid_t pid, const char *thread, child_fn fn, pid_t group, unsigned depth)
{
    char path[PATH_BYTES];
    pid_t child, r = 0;
    FILE *children;

    snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)pid, thread);
    children = fopen(path, "re");
    while (children && r == 0 && fscanf(children, "%d", &child) == 1)
        r = fn(child, group, depth);
    if (children)
        fclose(children);
    return r;
}

static pid_t children_of(pid_t pid, child_fn fn, pid_t group, unsigned depth)
{
    char path[PATH_BYTES];
    struct dirent *thread;
    pid_t r = 0;
    DIR *threads;

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    threads = opendir(path);
    while (threads && r == 0 && (thread = readdir(threads)))
        if (thread->d_name[0] != '.')
            r = children_of_thread(pid, thread->d_name, fn, group, depth);
    if (threads)
        closedir(threads);
    return r;
}

static pid_t terminate(pid_t child, pid_t group, unsigned depth)
{
    if (depth < DEPTH_MAX) /* its children first: when it has ended, they are found elsewhere */
        children_of(child, terminate, group, depth + 1);
    if (getpgid(child) != group)
        kill(child, SIGTERM);
    return 0;
}

void tree_terminate(pid_t group)
{
    children_of(getpid(), terminate, group, 0);
    kill(-group, SIGTERM);
}

static pid_t take(pid_t child, pid_t group, unsigned depth)
{
    (void)group;
    (void)depth;
    return child;
}

pid_t tree_child(void)
{
    return children_of(getpid(), take, 0, 0);
}
