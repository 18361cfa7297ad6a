/* SPDX-License-Identifier: MIT */
/*
 * verb_shm_create -- `ptools shm create` and `ptools shm rm`.
 *
 * An array that is not kept ends with the connection that created it, so the command stays: until its standard input
 * ends, or a signal ends it as it would any program, or the daemon has gone, and the array with it.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/verb_shm.h"

/* Reads what is there and drops it. 1: there will be more; 0: it has ended; -errno. */
static int read_on(void)
{
    char dropped[4096];
    ssize_t r = read(STDIN_FILENO, dropped, sizeof dropped);

    if (r > 0 || (r < 0 && (errno == EINTR || errno == EAGAIN)))
        return 1;
    return r < 0 ? -errno : 0;
}

static int wait_for_end(const struct command_line *line, ptools *pt)
{
    char message[100];
    int more = 1;

    while (more == 1) {
        struct pollfd fds[2] = { { .fd = STDIN_FILENO, .events = POLLIN } };
        ptools_err r;

        while ((r = ptools_dispatch(pt, 0)) == PTOOLS_OK)
            ;
        if (r != PTOOLS_ERR_AGAIN)
            return failure_report_code(line, PTOOLS_ERR_LOST, "the daemon has gone, and the array with it");
        fds[1].fd = ptools_fd(pt);
        fds[1].events = ptools_events(pt);
        if (poll(fds, 2, -1) < 0)
            more = errno == EINTR ? 1 : -errno;
        else if (fds[0].revents)
            more = read_on();
    }
    if (more == 0)
        return EXIT_VALUE;
    snprintf(message, sizeof message, "cannot read standard input: %s", strerror(-more));
    return failure_report_code(line, PTOOLS_ERR_SYSTEM, message);
}

int shm_create(const struct command_line *line, const struct shm_wish *wish)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_array) array = NULL;
    struct shape shape = wish->shape;
    char why[SHAPE_WHY_BYTES];
    ptools_err r;
    int status;

    if (!shape_read_type(command_line_word(line, 2), &shape, why) ||
        !shape_read_dims(command_line_word(line, 3), &shape, why))
        return command_line_wrong(line, "%s", why);
    if (!shape_size(&shape, NULL, NULL, why))
        return command_line_wrong(line, "%s %s: %s", command_line_word(line, 2), command_line_word(line, 3), why);
    status = session_open(line, false, 0, &pt);
    if (status != EXIT_VALUE)
        return status;
    r = shm_make(pt, wish, &shape, &array);
    if (r != PTOOLS_OK)
        return failure_report_last(line, pt, r);
    if (wish->options.flags & PTOOLS_SHM_KEEP)
        return EXIT_VALUE;
    fprintf(
        stderr,
        "ptools shm: the array \"%s\" lives until this command is interrupted or its standard input ends; with --keep "
        "it would stay\n",
        wish->name);
    return wait_for_end(line, pt);
}

int shm_rm(const struct command_line *line, const struct shm_wish *wish)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    const size_t n = command_line_words(line) - 1;
    const char **names;
    ptools_err r;
    int status = session_open(line, false, 0, &pt);

    if (status != EXIT_VALUE)
        return status;
    names = calloc(n, sizeof *names);
    if (!names)
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    for (size_t i = 0; i < n; i++)
        names[i] = command_line_word(line, i + 1);
    r = ptools_unlink_shm_names(pt, names, n, wish->options.prefix);
    free(names);
    return r == PTOOLS_OK ? EXIT_VALUE : failure_report_last(line, pt, r);
}
