/* SPDX-License-Identifier: MIT */
/*
 * values -- see values.h.
 */
#include "tests/unit/cli/values.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/cli/json.h"
#include "tests/support/suite.h"

ptools_value value_of(const ptools_pack *pack, struct payload *payload)
{
    const uint8_t *data;
    const char *why;
    size_t n;

    payload_init(payload);
    ck_assert_int_eq(pack_finish_value(pack, &data, &n), PTOOLS_OK);
    ck_assert_int_eq(payload_parse(payload, data, n, &why), PTOOLS_OK);
    return (ptools_value){ &payload->root };
}

char *json_of(const ptools_pack *pack, bool pretty)
{
    struct payload payload;
    char *text;
    size_t n;
    struct json_writer w = { .out = open_memstream(&text, &n), .pretty = pretty };

    ck_assert_ptr_nonnull(w.out);
    json_put_value(&w, value_of(pack, &payload));
    ck_assert_int_eq(fclose(w.out), 0);
    ck_assert(!w.no_memory);
    payload_deinit(&payload);
    return text;
}

char *json_again(const char *text)
{
    ptools_pack *pack = ptools_pack_new();
    char why[JSON_WHY_BYTES], *again;

    ck_assert_int_eq(json_read(text, pack, why), 0);
    again = json_of(pack, false);
    ptools_pack_free(pack);
    return again;
}

void capture(struct capture *c, int fd)
{
    fflush(NULL);
    c->fd = fd;
    c->saved = dup(fd);
    c->memory = memfd_create("captured", MFD_CLOEXEC);
    ck_assert_int_ge(c->saved, 0);
    ck_assert_int_ge(c->memory, 0);
    ck_assert_int_eq(dup2(c->memory, fd), fd);
}

char *captured(struct capture *c)
{
    off_t n;
    char *text;

    fflush(NULL);
    ck_assert_int_eq(dup2(c->saved, c->fd), c->fd);
    close(c->saved);
    n = lseek(c->memory, 0, SEEK_END);
    text = calloc(1, (size_t)n + 1);
    ck_assert_ptr_nonnull(text);
    ck_assert_int_eq(pread(c->memory, text, (size_t)n, 0), n);
    close(c->memory);
    return text;
}
