/* SPDX-License-Identifier: MIT */
/*
 * door -- see door.h.
 */
#include "tests/unit/worker/door.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/send_fds.h"

enum { DOOR_MS = 30000 };

int door_open(int *ret_theirs)
{
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    *ret_theirs = pair[1];
    return pair[0];
}

int door_segment(const void *data, size_t n, size_t bytes)
{
    int fd = memfd_create("ptools-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, (off_t)((bytes + DOOR_PAGE - 1) / DOOR_PAGE * DOOR_PAGE)), 0);
    ck_assert_int_eq(pwrite(fd, data, n, 0), (ssize_t)n);
    ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    return fd;
}

struct fds_answer door_array(uint64_t id, const char *name, uint64_t n)
{
    struct fds_answer a = {
        .magic = FDS_MAGIC,
        .id = id,
        .bytes = n,
        .mapped_bytes = (n + DOOR_PAGE - 1) / DOOR_PAGE * DOOR_PAGE,
        .type = PTOOLS_UINT8,
        .ndims = 1,
        .dims = { n },
        .owner = 1000,
    };

    if (name)
        strcpy(a.name, name);
    return a;
}

void door_tell_bytes(int door, const void *data, size_t n, const int *take_fds, size_t n_fds)
{
    const struct iovec iov = { (void *)(uintptr_t)data, n };

    ck_assert_int_eq(send_fds(door, &iov, 1, take_fds, n_fds, 0), (ssize_t)n);
    for (size_t i = 0; i < n_fds; i++)
        close(take_fds[i]);
}

void door_tell(int door, const struct fds_answer *answer, int take_fd)
{
    door_tell_bytes(door, answer, sizeof *answer, &take_fd, take_fd >= 0 ? 1 : 0);
}

void door_give(int door, const struct fds_answer *answer, const void *data, size_t n)
{
    door_tell(door, answer, door_segment(data, n, answer->bytes));
}

void door_refuse(int door, ptools_err code, const char *text)
{
    struct fds_answer answer;

    fds_answer_refuse(&answer, code, "%s", text);
    door_tell(door, &answer, -1);
}

struct fds_request door_asked(int door)
{
    struct pollfd p = { .fd = door, .events = POLLIN };
    struct fds_request request;
    int r;

    do
        r = poll(&p, 1, DOOR_MS);
    while (r < 0 && errno == EINTR);
    ck_assert_msg(r == 1, "nothing was asked within %d ms", DOOR_MS);
    ck_assert_int_eq(recv(door, &request, sizeof request, 0), (ssize_t)sizeof request);
    ck_assert_uint_eq(request.magic, FDS_MAGIC);
    return request;
}

bool door_is_quiet(int door)
{
    struct pollfd p = { .fd = door, .events = POLLIN };

    return poll(&p, 1, 0) == 0;
}

unsigned door_mappings(int pid, const char *permissions)
{
    char path[40], line[512];
    unsigned n = 0;
    FILE *f;

    if (pid)
        snprintf(path, sizeof path, "/proc/%d/maps", pid);
    else
        strcpy(path, "/proc/self/maps");
    f = fopen(path, "re");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f))
        n += strstr(line, "memfd:ptools-test") && (!permissions || strstr(line, permissions));
    fclose(f);
    return n;
}
