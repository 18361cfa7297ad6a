/* SPDX-License-Identifier: MIT */
/*
 * outlet -- see outlet.h. A FILE whose bytes go out here: while standard output takes none, signals are watched, so
 * that a reader who has fallen asleep does not make us deaf.
 */
#include "client/cli/outlet.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_BYTES = 65536 };

static bool wait_for_room(struct outlet *o)
{
    struct pollfd fds[2] = { { .fd = o->fd, .events = POLLOUT }, { .fd = o->signals, .events = POLLIN } };

    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return true; /* write() tells */
        if (fds[1].revents && !o->on_signal(o->arg))
            return false;
        if (fds[0].revents)
            return true;
    }
}

static ssize_t write_out(void *cookie, const char *data, size_t n)
{
    struct outlet *o = cookie;
    size_t done = 0;

    while (done < n && !o->error) {
        const size_t left = n - done;
        ssize_t r;

        if (!wait_for_room(o)) {
            o->error = ECANCELED;
            break;
        }
        r = write(o->fd, data + done, o->small && left > PIPE_BUF ? PIPE_BUF : left);
        if (r < 0 && errno != EINTR && errno != EAGAIN)
            o->error = errno;
        done += r > 0 ? (size_t)r : 0;
    }
    return o->error ? 0 : (ssize_t)n;
}

int outlet_open(struct outlet *o)
{
    const cookie_io_functions_t io = { .write = write_out };
    struct stat st;

    *o = (struct outlet){ .fd = STDOUT_FILENO, .signals = -1 };
    o->small = fstat(o->fd, &st) < 0 || !S_ISREG(st.st_mode);
    o->out = fopencookie(o, "w", io);
    if (!o->out || setvbuf(o->out, NULL, _IOFBF, BUFFER_BYTES) != 0)
        return -ENOMEM;
    return 0;
}

bool outlet_flush(struct outlet *o)
{
    (void)fflush(o->out);
    return o->error == 0;
}

void outlet_close(struct outlet *o)
{
    if (!o->error)
        o->error = ECANCELED; /* fclose() writes no more */
    if (o->out)
        fclose(o->out);
    o->out = NULL;
}
