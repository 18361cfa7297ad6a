/* SPDX-License-Identifier: MIT */
/*
 * results -- see results.h. A value may be no name of a directory: "/" in it becomes "\_", "\" becomes "\\", a tab
 * "\t", and a NUL "\0", as GNU parallel has it; an empty value is "\e", "." and ".." are "\." and "\..". Of a name of
 * more than 240 bytes the beginning is taken, with a number behind it that is made of all of it.
 *
 * A file has its name when it is whole: what a run that was killed left is overwritten by the next.
 */
#include "client/cli/results.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_BYTES = 240, PIECE_BYTES = 65536, NUMBER_BYTES = 24 };

static void put_character(char c, struct texts *ret)
{
    static const char from[] = { '/', '\\', '\t', '\0' }, to[] = { '_', '\\', 't', '0' };

    for (size_t i = 0; i < sizeof from; i++) {
        if (c == from[i]) {
            texts_put(ret, "\\", 1);
            c = to[i];
            break;
        }
    }
    texts_put(ret, &c, 1);
}

void results_name(const char *value, size_t n, struct texts *ret)
{
    const size_t begin = ret->n_bytes;
    char number[NUMBER_BYTES];

    if (n == 0)
        texts_put(ret, "\\e", 2);
    else if (n <= 2 && memcmp(value, "..", n) == 0)
        texts_put(ret, "\\", 1);
    for (size_t i = 0; i < n; i++)
        put_character(value[i], ret);
    if (ret->n_bytes - begin > NAME_BYTES) {
        ret->n_bytes = begin + NAME_BYTES - 17;
        texts_put(ret, number, (size_t)snprintf(number, sizeof number, "~%016" PRIx64, texts_mark(value, n)));
    }
}

/* -- directories ------------------------------------------------------------------------------------------- */

/* A directory within `at`, made if it is not there; at is closed. -errno. */
static int enter(int at, const char *name)
{
    int fd = -1, error = 0;

    if (mkdirat(at, name, 0777) < 0 && errno != EEXIST)
        error = errno;
    if (error == 0)
        fd = openat(at, name, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    if (error == 0 && fd < 0)
        error = errno;
    if (at >= 0)
        close(at);
    return error ? -error : fd;
}

int results_make(const char *dir)
{
    char *path = strdup(dir);
    int fd;

    if (!path)
        return -ENOMEM;
    for (char *slash = strchr(path + (*path == '/'), '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0777); /* enter() tells what is not there */
        *slash = '/';
    }
    fd = enter(AT_FDCWD, path);
    free(path);
    if (fd >= 0)
        close(fd);
    return fd < 0 ? fd : 0;
}

/* A directory by its value, within that of its name. */
static int enter_value(int at, const struct texts *names, const struct texts *values, size_t i)
{
    struct texts path = { 0 };
    char number[NUMBER_BYTES];
    const char *text;
    size_t n;
    int fd;

    if (i < names->n) {
        text = texts_get(names, i, &n);
        results_name(text, n, &path);
    } else {
        texts_put(&path, number, (size_t)snprintf(number, sizeof number, "%zu", i + 1));
    }
    texts_end(&path);
    text = texts_get(values, i, &n);
    results_name(text, n, &path);
    texts_end(&path);
    fd = path.no_memory ? -ENOMEM : enter(at, texts_get(&path, 0, &n));
    if (!path.no_memory && fd >= 0)
        fd = enter(fd, texts_get(&path, 1, &n));
    texts_deinit(&path);
    return fd;
}

static int open_directory(const char *dir, const struct texts *names, const struct job *job)
{
    const struct texts *values = &job->values;
    char number[NUMBER_BYTES];
    int fd = enter(AT_FDCWD, dir);

    for (size_t i = 0; i < values->n && fd >= 0; i++)
        fd = enter_value(fd, names, values, i);
    if (values->n == 0 && fd >= 0) {
        snprintf(number, sizeof number, "%" PRIu64, job->seq);
        fd = enter(fd, number);
    }
    return fd;
}

/* -- files ------------------------------------------------------------------------------------------------- */

static int write_all(int fd, const char *data, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t r = write(fd, data + done, n - done);

        if (r < 0 && errno != EINTR)
            return -errno;
        done += r > 0 ? (size_t)r : 0;
    }
    return 0;
}

static int copy_file(int fd, const char *file)
{
    char piece[PIECE_BYTES];
    int from = open(file, O_RDONLY | O_CLOEXEC), r = from < 0 ? -errno : 0;
    ssize_t n;

    while (r == 0 && (n = read(from, piece, sizeof piece)) != 0)
        r = n > 0 ? write_all(fd, piece, (size_t)n) : errno == EINTR ? 0 : -errno;
    if (from >= 0)
        close(from);
    return r;
}

static int write_file(int dir, const char *name, const struct job_stream *s)
{
    static const char part[] = ".part";
    int fd = openat(dir, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), r;

    if (fd < 0)
        return -errno;
    r = s->file ? copy_file(fd, s->file) : write_all(fd, s->data, s->n);
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && renameat(dir, part, dir, name) < 0)
        r = -errno;
    return r;
}

int results_write(const char *dir, const struct texts *names, const struct job *job)
{
    char number[NUMBER_BYTES];
    const struct job_stream seq = { .data = number,
                                    .n = (size_t)snprintf(number, sizeof number, "%" PRIu64 "\n", job->seq) };
    int fd = open_directory(dir, names, job), r;

    if (fd < 0)
        return fd;
    r = write_file(fd, "stdout", &job->outcome.out);
    if (r == 0)
        r = write_file(fd, "stderr", &job->outcome.errors);
    if (r == 0)
        r = write_file(fd, "seq", &seq);
    close(fd);
    return r;
}
