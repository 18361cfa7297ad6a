/* SPDX-License-Identifier: MIT */
/*
 * server -- a real ptoolsd of a test's own, in a private directory.
 *
 * The usual workflow: server_start(), ptools *pt = server_open(), calls, ptools_close(), server_stop().
 * server_stop() asserts a clean end: exit status 0, no process left, no file left. Everything fails
 * the test at once when it does not work; nothing sleeps: readiness is a line on a descriptor, an end
 * is a pidfd, and a state of the pool is waited for by asking the daemon until a deadline.
 *
 * The transport of server_open() is libptools' own, or libzmq when PTOOLS_TEST_TRANSPORT=ipc: the whole
 * suite runs over both.
 */
#ifndef TESTS_SERVER_H
#define TESTS_SERVER_H

#include <check.h>
#include <stdbool.h>
#include <sys/types.h>

#include <ptools/ptools.h>

struct server {
    pid_t pid;
    int pidfd;
    char dir[64];
    char log[96];     /* where its stderr goes */
    unsigned fds;     /* that it had open when it was ready */
};

/* args: further arguments of ptoolsd, ended by NULL; may be NULL. */
void server_start(struct server *s, unsigned workers, const char *const *args);
/* As server_start(), in a directory that exists, of a server that is gone. */
void server_start_in(struct server *s, const char *dir, unsigned workers, const char *const *args);
/* As server_start_in(), and it may end before it is ready: then false, and how: its exit status, or -signal. */
bool server_try_in(struct server *s, const char *dir, unsigned workers, const char *const *args, int *ret_end);
void server_stop(struct server *s);
/* Waits until it ends by itself, or by a signal that was sent: its exit status, or -signal. */
int server_end(struct server *s);
/* If not NULL, the program and the arguments that run the next daemon, ended by NULL (strace and its like). */
extern const char *const *server_runner;
/* If not -1, becomes the stderr of the next daemon, instead of its log file. */
extern int server_log_fd;
ptools *server_open(struct server *s);
/* Runs it and expects it to end by itself: the exit status. args as above. */
int server_refuses(const char *dir, const char *const *args, char *ret_stderr, size_t stderr_bytes);

/* The path of its socket. */
void server_socket(const struct server *s, char *ret, size_t bytes);
/* A plain connection to its socket, for bad peers. */
int server_connect_raw(const struct server *s);

/* Waits until all workers are idle and as many as that. */
void server_whole(ptools *pt, unsigned workers);
/* Waits until worker id says that it is at a phase of its own, which only a function that runs can have set. */
void server_at_phase(ptools *pt, uint32_t id, const char *phase);
/* The same of server task i of those that pt's user started first. */
void server_stask_at_phase(ptools *pt, uint32_t i, const char *phase);
/* Waits until the daemon knows t and has no call left: the next calls of t are given to idle workers at once. */
void server_knows_t(ptools *pt, unsigned workers);
/* A number of its status, or of a map in that, if map is not NULL. */
uint64_t server_status(ptools *pt, const char *map, const char *key);
/* Waits until there is no zombie among its children and no descriptor more than when it was ready (clients:
 * connections open now). */
void server_clean(struct server *s, unsigned clients);
/* How many descriptors it has open. */
unsigned server_fds(const struct server *s);

uint64_t now_ms(void);
/* A fresh directory under /tmp, 0700; and its removal with all that is in it. */
void temp_dir(char *ret, size_t bytes);
void temp_remove(const char *dir);
/* The whole file, NUL at the end; free() it. */
char *slurp(const char *path);

#define ck_assert_ptools(e)                                                                                         \
    do {                                                                                                            \
        ptools_err e_ = (e);                                                                                        \
        ck_assert_msg(e_ == PTOOLS_OK, "%s gives %s", #e, ptools_errname(e_));                                      \
    } while (0)
#define ck_assert_err(e, expected)                                                                                  \
    do {                                                                                                            \
        ptools_err e_ = (e);                                                                                        \
        ck_assert_msg(e_ == (expected), "%s gives %s instead of %s", #e, ptools_errname(e_),                        \
                      ptools_errname(expected));                                                                    \
    } while (0)

#endif
