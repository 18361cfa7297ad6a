/* SPDX-License-Identifier: MIT */
/*
 * fake_ptoolsd -- stands in for ptoolsd where the library starts a private daemon.
 *
 * $FAKE_MODE: "serve" goes to the background and serves one connection; "refuse" complains and fails;
 * "crash" kills itself; "hang" never says that it is ready. $FAKE_ARGS: the arguments after --dir DIR that it
 * wants to see. It fails if it inherits more than it should.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/lib/fake.h"

static int refuse(const char *why)
{
    fprintf(stderr, "fake: %s\nsecond line\n", why);
    return 1;
}

/* The first three descriptors, and the one that looks. */
static bool inherits_too_much(void)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *e;
    int n = 0;

    while ((e = readdir(dir)))
        n += e->d_name[0] != '.';
    closedir(dir);
    return n != 4;
}

static bool signals_are_default(void)
{
    struct sigaction action;
    sigset_t mask;

    sigprocmask(SIG_SETMASK, NULL, &mask);
    sigaction(SIGUSR1, NULL, &action);
    return !sigismember(&mask, SIGUSR2) && action.sa_handler == SIG_DFL;
}

static void serve(struct fake *f)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int ready[2];
    char byte;

    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", f->dir, SOCKET_NAME);
    f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(f->listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(f->listener, 4) < 0 ||
        pipe(ready) < 0)
        exit(refuse("cannot serve"));
    if (fork() != 0) {
        close(ready[1]);
        (void)!read(ready[0], &byte, 1);
        exit(0);
    }
    setsid();
    close(STDERR_FILENO); /* who started us reads it to its end */
    close(ready[0]);
    close(ready[1]);
    f->decoder = msg_decoder_new();
    fake_serve(f, 1);
    fake_close(f);
    unlink(address.sun_path);
    rmdir(f->dir);
    exit(0);
}

int main(int argc, char **argv)
{
    const char *mode = getenv("FAKE_MODE"), *wanted = getenv("FAKE_ARGS");
    struct fake f = { .fd = -1 };
    char rest[200] = "";

    if (argc < 4 || strcmp(argv[1], "--private") != 0 || strcmp(argv[2], "--dir") != 0)
        return refuse("odd arguments");
    for (int i = 4; i < argc; i++)
        snprintf(rest + strlen(rest), sizeof rest - strlen(rest), "%s%s", i > 4 ? " " : "", argv[i]);
    if (strcmp(rest, wanted ? wanted : "") != 0)
        return refuse(rest);
    if (inherits_too_much())
        return refuse("inherits descriptors");
    if (!signals_are_default())
        return refuse("inherits signals");
    snprintf(f.dir, sizeof f.dir, "%s", argv[3]);
    if (strcmp(mode, "refuse") == 0)
        return refuse("the moon is full");
    if (strcmp(mode, "crash") == 0)
        raise(SIGKILL);
    if (strcmp(mode, "hang") == 0)
        pause();
    serve(&f);
    return 0;
}
