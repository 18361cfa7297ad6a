/* SPDX-License-Identifier: MIT */
/*
 * floor_spawn N -- the least that a job costs whose output is captured: N times /usr/bin/true, two at a time. Each is
 * started by posix_spawn() with a pipe for its output, which is read to its end, and waited for with status and usage.
 */
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AT_ONCE = 2 };

static void must(bool done)
{
    if (!done)
        abort();
}

static pid_t begin(int *ret_output)
{
    char name[] = "true", *const argv[] = { name, NULL };
    posix_spawn_file_actions_t actions;
    int ends[2];
    pid_t pid;

    must(pipe2(ends, O_CLOEXEC) == 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
    must(posix_spawn(&pid, "/usr/bin/true", &actions, NULL, argv, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    *ret_output = ends[0];
    return pid;
}

static void end(pid_t pid, int output)
{
    struct rusage usage;
    int status;

    must(wait4(pid, &status, 0, &usage) == pid);
    must(status == 0);
    close(output);
}

int main(int argc, char *argv[])
{
    const int n = argc == 2 ? atoi(argv[1]) : 0;
    int begun = 0, under_way = 0;
    struct pollfd output[AT_ONCE];
    pid_t pid[AT_ONCE];
    char buffer[4096];

    while (begun < n || under_way > 0) {
        for (; under_way < AT_ONCE && begun < n; under_way++, begun++) {
            pid[under_way] = begin(&output[under_way].fd);
            output[under_way].events = POLLIN;
        }
        must(poll(output, (nfds_t)under_way, -1) > 0);
        for (int i = under_way - 1; i >= 0; i--) {
            if (!output[i].revents || read(output[i].fd, buffer, sizeof buffer) > 0)
                continue;
            end(pid[i], output[i].fd);
            output[i] = output[--under_way];
            pid[i] = pid[under_way];
        }
    }
    return 0;
}
