/* SPDX-License-Identifier: MIT */
/*
 * arguments -- see arguments.h. No more than a message can hold (2 GiB) is ever read of a file. The daemon's own limit
 * is smaller, and its answer names it.
 */
#include "client/cli/arguments.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/input.h"
#include "client/cli/json.h"
#include "client/cli/words.h"

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

ptools_err arguments_add_file(ptools_pack *pack, const char *path, char why[ARGUMENTS_WHY_BYTES])
{
    struct input in;
    char *data = NULL;
    size_t n = 0;
    int r = input_open(&in, path);

    if (r == 0)
        r = input_read_all(&in, FILE_BYTES_MAX, &data, &n);
    input_close(&in);
    if (r == -ENOMEM)
        return PTOOLS_ERR_NO_MEMORY;
    if (!data) {
        snprintf(why, ARGUMENTS_WHY_BYTES, "cannot read %.200s: %s", in.name,
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
