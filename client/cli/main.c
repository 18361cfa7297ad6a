/* SPDX-License-Identifier: MIT */
/*
 * ptools -- the command. Reads the command line, runs the verb, and sees to it that what was written arrived.
 *
 * Everything it does, it does through <ptools/ptools.h>: what the command can, any program can.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ptools/ptools.h>

#include "client/cli/command_line.h"
#include "client/cli/failure.h"
#include "client/cli/verbs.h"

/* A descriptor 0 to 2 that is closed would become the connection to the daemon, and be written to. In its place
 * comes one that fails when it is used. */
static void fill_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            _Exit(EXIT_PTOOLS);
}

static void nothing(int number)
{
    (void)number;
}

/* A reader that goes away does not end us at once, for there may be more to put in order than output: see
 * check_output(). SIGPIPE is not ignored for that, but handled, for a program that is started from here would inherit
 * that it is ignored. */
static void survive_readers(void)
{
    struct sigaction action = { .sa_handler = nothing, .sa_flags = SA_RESTART }, old;

    if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        sigaction(SIGPIPE, &action, NULL);
}

/* Whoever has read enough of us wants no complaint, but our end, as of any filter. */
static void end_by_sigpipe(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise(SIGPIPE);
}

static bool is_sigpipe_ignored(void)
{
    struct sigaction old;

    return sigaction(SIGPIPE, NULL, &old) < 0 || old.sa_handler == SIG_IGN;
}

/* Output that got lost must not look like success. This is the one place that judges it, for all verbs: a reader that
 * went away ends us as the signal would have; all else, and that too where the signal is ignored, is an error. */
static int check_output(int status)
{
    int error = failure_of_output();

    if (error == 0 && ferror(stdout))
        error = EIO;
    if (fclose(stdout) != 0)
        error = errno;
    if (error == 0)
        return status;
    if (error == EPIPE && !is_sigpipe_ignored())
        end_by_sigpipe();
    fprintf(stderr, "ptools: cannot write to standard output: %s\n", strerror(error));
    return status == EXIT_VALUE ? EXIT_PTOOLS : status;
}

static int run(const struct command_line *line)
{
    if (line->help) {
        help_print(line->verb, stdout);
        return EXIT_VALUE;
    }
    if (line->version) {
        printf("ptools %s\n", ptools_version());
        return EXIT_VALUE;
    }
    if (!line->verb)
        return command_line_wrong(line, "no verb is named");
    return line->verb->run(line);
}

int main(int argc, char *argv[])
{
    struct command_line line;
    int status;

    fill_descriptors();
    survive_readers();
    setvbuf(stderr, NULL, _IOLBF, BUFSIZ); /* many of us may share it: a line is written at once, not piece by piece */
    switch (command_line_parse(&line, argc, argv)) {
    case 0:
        status = run(&line);
        break;
    case 1:
        status = command_line_wrong(&line, "%s", line.problem);
        break;
    default:
        fputs("ptools: out of memory\n", stderr);
        status = EXIT_PTOOLS;
    }
    status = check_output(status);
    command_line_deinit(&line);
    return status;
}
