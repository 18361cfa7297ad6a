/* SPDX-License-Identifier: MIT */
/*
 * eventloop -- ptools inside a program's own poll loop, with callbacks: squares each number that is read.
 *
 *     seq 3 | ./eventloop        prints 1, 4 and 9, in the order in which the workers finish
 *
 * The loop never blocks but in poll(): it watches standard input and the connection. Callbacks run in
 * ptools_dispatch() alone, on this thread.
 */
#include <inttypes.h>
#include <poll.h>
#include <ptools/ptools.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static ptools *pt;
static unsigned in_flight;

static void die(ptools_err err)
{
    fprintf(stderr, "eventloop: %s: %s\n", ptools_errname(err), ptools_error_message(pt));
    exit(EXIT_FAILURE);
}

/* Called when a call is done, well or not. */
static void on_done(ptools_future *future, void *arg)
{
    ptools_value value;
    int64_t square;
    ptools_err err = ptools_future_fetch(future, 0, &value);

    (void)arg;
    if (err == PTOOLS_OK)
        err = ptools_get_i64(value, &square);
    if (err == PTOOLS_OK)
        printf("%" PRId64 "\n", square);
    else
        fprintf(stderr, "eventloop: %s\n", ptools_error_message(pt));
    in_flight--;
    ptools_future_free(future);
}

static void start(int64_t number)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_future *future;
    ptools_err err;

    ptools_pack_i64(args, number);
    err = ptools_remotecall(pt, NULL, "math.square", args, NULL, &future);
    if (err == PTOOLS_OK)
        err = ptools_future_then(future, on_done, NULL);
    if (err != PTOOLS_OK)
        die(err);
    in_flight++;
}

/* A line of input, read byte by byte so that poll() knows all that is left. False: there is no more. */
static bool read_number(void)
{
    char line[32];
    size_t n = 0;

    while (n < sizeof line - 1 && read(STDIN_FILENO, &line[n], 1) == 1 && line[n] != '\n')
        n++;
    line[n] = '\0';
    if (n > 0)
        start(strtoll(line, NULL, 10));
    return n > 0;
}

int main(void)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    bool reading = true;
    const char *message;

    options.flags = PTOOLS_PRIVATE;
    if (ptools_open(&options, &pt, &message) != PTOOLS_OK) {
        fprintf(stderr, "eventloop: %s\n", message);
        return EXIT_FAILURE;
    }
    while (reading || in_flight > 0) {
        struct pollfd p[2] = {
            { .fd = ptools_fd(pt), .events = ptools_events(pt) }, /* ask again each time */
            { .fd = reading ? STDIN_FILENO : -1, .events = POLLIN },
        };

        if (poll(p, 2, -1) < 0)
            continue; /* a signal */
        if (p[1].revents)
            reading = read_number();
        while (ptools_dispatch(pt, 0) == PTOOLS_OK)
            ;
    }
    ptools_close(pt);
    return EXIT_SUCCESS;
}
