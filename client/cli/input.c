/* SPDX-License-Identifier: MIT */
/*
 * input -- see input.h. By read(2): into the place where the bytes are to be, or into one block that doubles.
 */
#include "client/cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_BYTES = 65536 };
#define PIECE_BYTES ((size_t)1 << 30) /* of one read(): Linux gives no more than 2 GiB */

int input_open(struct input *in, const char *path)
{
    *in = (struct input){ .fd = STDIN_FILENO, .name = path ? path : "standard input" };
    if (!path)
        return 0;
    in->fd = open(path, O_RDONLY | O_CLOEXEC);
    return in->fd < 0 ? -errno : 0;
}

void input_close(struct input *in)
{
    if (in->fd > STDIN_FILENO)
        close(in->fd);
    in->fd = -1;
}

bool input_left(const struct input *in, uint64_t *ret)
{
    struct stat st;
    off_t at;

    /* Files of /proc say that they have 0 bytes, and have some. */
    if (fstat(in->fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return false;
    at = lseek(in->fd, 0, SEEK_CUR);
    if (at < 0)
        return false;
    *ret = at < st.st_size ? (uint64_t)(st.st_size - at) : 0;
    return true;
}

int input_read(const struct input *in, void *data, size_t n, size_t *ret_n)
{
    size_t done = 0;
    ssize_t r;

    while (done < n) {
        r = read(in->fd, (char *)data + done, n - done < PIECE_BYTES ? n - done : PIECE_BYTES);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        if (r == 0)
            break;
        done += (size_t)r;
    }
    *ret_n = done;
    return 0;
}

int input_read_all(const struct input *in, size_t max, char **ret, size_t *ret_n)
{
    uint64_t left;
    size_t n = 0, room = FIRST_BYTES, got = 0;
    char *data = NULL, *larger;
    int r;

    if (input_left(in, &left) && left >= FIRST_BYTES && left < max)
        room = (size_t)left + 1; /* and the end is seen without growing */
    for (;;) {
        larger = realloc(data, room);
        r = larger ? input_read(in, larger + n, room - n, &got) : -ENOMEM;
        if (larger)
            data = larger;
        if (r < 0)
            break;
        n += got;
        if (n < room && n <= max) {
            *ret = data;
            *ret_n = n;
            return 0;
        }
        r = n > max ? -EFBIG : room > SIZE_MAX / 2 ? -ENOMEM : 0;
        if (r < 0)
            break;
        room *= 2;
    }
    free(data);
    return r;
}
