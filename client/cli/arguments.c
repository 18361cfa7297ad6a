/* SPDX-License-Identifier: MIT */
/*
 * arguments -- see arguments.h. Files are read by read(2) into one block that doubles; no more than a message can
 * hold (2 GiB) is ever read. The daemon's own limit is smaller, and its answer names it.
 */
#include "client/cli/arguments.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/json.h"
#include "client/cli/words.h"

enum { FIRST_BYTES = 65536 };
#define FILE_BYTES_MAX ((size_t)INT32_MAX)

ptools_err arguments_add_word(ptools_pack *pack, const char *word, char why[ARGUMENTS_WHY_BYTES])
{
    char reason[JSON_WHY_BYTES];

    switch (json_read(word, pack, reason)) {
    case 0:
        break;
    case JSON_NOT:
        ptools_pack_str(pack, word);
        break;
    case JSON_CANNOT:
        snprintf(why, ARGUMENTS_WHY_BYTES, "the argument %.60s%s is JSON, but %s; after --string it is a string", word,
                 strlen(word) > 60 ? "..." : "", reason);
        return PTOOLS_ERR_INVALID;
    default:
        return PTOOLS_ERR_NO_MEMORY;
    }
    return PTOOLS_OK;
}

/* 0 and a block of the caller's; -EFBIG, -ENOMEM, or what read() says. */
static int read_all(int fd, char **ret, size_t *ret_n)
{
    struct stat st;
    size_t n = 0, room = FIRST_BYTES;
    char *data = NULL, *larger;
    ssize_t r;

    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= FIRST_BYTES && st.st_size < (off_t)FILE_BYTES_MAX)
        room = (size_t)st.st_size + 1; /* and the end is seen without growing */
    do {
        if (!data || n == room) {
            if (data)
                room *= 2;
            larger = realloc(data, room);
            if (!larger) {
                free(data);
                return -ENOMEM;
            }
            data = larger;
        }
        r = read(fd, data + n, room - n);
        if (r > 0)
            n += (size_t)r;
    } while ((r > 0 && n <= FILE_BYTES_MAX) || (r < 0 && errno == EINTR));
    if (r != 0) {
        r = r < 0 ? -errno : -EFBIG;
        free(data);
        return (int)r;
    }
    *ret = data;
    *ret_n = n;
    return 0;
}

ptools_err arguments_add_file(ptools_pack *pack, const char *path, char why[ARGUMENTS_WHY_BYTES])
{
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    char *data = NULL;
    size_t n = 0;
    int r;

    r = fd < 0 ? -errno : read_all(fd, &data, &n);
    if (path && fd >= 0)
        close(fd);
    if (r == -ENOMEM)
        return PTOOLS_ERR_NO_MEMORY;
    if (r < 0) {
        snprintf(why, ARGUMENTS_WHY_BYTES, "cannot read %.200s: %s", path ? path : "standard input",
                 r == -EFBIG ? "it is larger than 2 GiB" : strerror(-r));
        return r == -EFBIG ? PTOOLS_ERR_TOO_LARGE : PTOOLS_ERR_SYSTEM;
    }
    if (!memchr(data, '\0', n) && words_utf8(data, n))
        ptools_pack_strn(pack, data, n);
    else
        ptools_pack_bytes(pack, data, n);
    free(data);
    return PTOOLS_OK;
}
