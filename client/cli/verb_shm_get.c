/* SPDX-License-Identifier: MIT */
/*
 * verb_shm_get -- `ptools shm get`: an array to standard output, as a .npy file or its bare elements.
 *
 * The elements go from where they are mapped to write(), without a copy here; each write() is checked, as main() checks
 * stdout for the other verbs.
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/npy.h"
#include "client/cli/verb_shm.h"

#define PIECE_BYTES ((size_t)1 << 30) /* of one write(): Linux takes no more than 2 GiB */

static int write_all(int fd, const void *data, size_t n)
{
    const char *s = data, *end = s + n;
    ssize_t r;

    while (s < end) {
        size_t left = (size_t)(end - s);

        r = write(fd, s, left < PIECE_BYTES ? left : PIECE_BYTES);
        if (r >= 0) {
            s += r;
        } else if (errno == EAGAIN) { /* somebody has made it so, for a shell or a pipe that we share */
            struct pollfd p = { .fd = fd, .events = POLLOUT };

            poll(&p, 1, -1);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

static int write_array(const struct shm_wish *wish, const ptools_array *array)
{
    char header[NPY_HEADER_BYTES];
    struct shape shape;
    int r = 0;

    if (wish->format != SHM_FORMAT_RAW) {
        shape_of(array, &shape);
        r = write_all(STDOUT_FILENO, header, npy_write(&shape, header));
    }
    if (r == 0)
        r = write_all(STDOUT_FILENO, ptools_array_data(array), ptools_array_bytes(array));
    if (r == 0)
        return EXIT_VALUE;
    failure_note_output(-r); /* main() tells */
    return EXIT_PTOOLS;
}

int shm_get(const struct command_line *line, const struct shm_wish *wish)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_array) array = NULL;
    int status;

    if (isatty(STDOUT_FILENO))
        return command_line_wrong(line,
                                  "get writes bytes that are not for a terminal: send them to a file or a pipe; head "
                                  "shows some of them as text");
    status = shm_open(line, wish, false, &pt, &array);
    return status == EXIT_VALUE ? write_array(wish, array) : status;
}
