/* SPDX-License-Identifier: MIT */
/*
 * fuzz_json -- any text as JSON: an argument, a line of input. What is refused says why if it is JSON; what is taken is
 * a value, and written as JSON and read again it is the same one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/json.h"
#include "proto/value.h"
#include "tests/fuzz/fuzz.h"

/* The text of the only argument of a pack; the caller's to free. */
static char *written(const uint8_t *data, size_t n, bool pretty)
{
    struct json_writer w = { .pretty = pretty };
    struct payload payload;
    msgpack_object *list;
    char *text = NULL;
    const char *why;
    size_t bytes;

    payload_init(&payload);
    check(payload_parse(&payload, data, n, &why) == PTOOLS_OK);
    list = &payload.root;
    check(list->type == MSGPACK_OBJECT_ARRAY && list->via.array.size == 1);
    w.out = open_memstream(&text, &bytes);
    check(w.out);
    json_put_value(&w, (ptools_value){ list->via.array.ptr });
    check(fclose(w.out) == 0 && !w.no_memory);
    payload_deinit(&payload);
    return text;
}

static void check_same(const uint8_t *data, size_t n, bool pretty)
{
    char why[JSON_WHY_BYTES] = "", *text = written(data, n, pretty);
    ptools_pack *again = ptools_pack_new();
    const uint8_t *second;
    size_t second_n;

    check(again && json_read(text, again, why) == 0);
    check(pack_finish_arguments(again, &second, &second_n) == PTOOLS_OK);
    check(second_n == n && memcmp(second, data, n) == 0);
    ptools_pack_free(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char why[JSON_WHY_BYTES] = "", *text = fuzz_text(data, n);
    ptools_pack *pack = ptools_pack_new();
    const uint8_t *first;
    size_t first_n;
    int r;

    check(pack);
    r = json_read(text, pack, why);
    check(r == 0 || r == JSON_NOT || (r == JSON_CANNOT && *why));
    if (r == 0 && pack_finish_arguments(pack, &first, &first_n) == PTOOLS_OK) { /* not: it is nested too deep */
        check_same(first, first_n, false);
        check_same(first, first_n, true);
    }
    ptools_pack_free(pack);
    free(text);
    return 0;
}
