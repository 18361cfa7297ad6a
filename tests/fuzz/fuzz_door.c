/* SPDX-License-Identifier: MIT */
/*
 * fuzz_door -- any bytes as the fixed structs that come from the other end: an answer at the door of descriptors, which
 * is believed only if it hangs together, and the body of a frame that tells a failure.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/array.h"
#include "proto/fds.h"
#include "proto/link.h"
#include "proto/message.h"
#include "tests/fuzz/fuzz.h"

static void check_array(const uint8_t *data, size_t n)
{
    struct fds_answer answer = { .magic = FDS_MAGIC };
    char why[FDS_TEXT_BYTES] = "";
    uint64_t object_bytes = UINT64_MAX;
    struct ptools_array a;
    ptools_err err;

    memcpy(&answer, data, n < sizeof answer ? n : sizeof answer);
    if (n >= sizeof answer + sizeof object_bytes)
        memcpy(&object_bytes, data + sizeof answer, sizeof object_bytes);
    err = fds_answer_array(&answer, object_bytes, &a, why);
    if (err != PTOOLS_OK) {
        check((err == PTOOLS_ERR_PROTOCOL || err == PTOOLS_ERR_BAD_FILE) && *why);
        return;
    }
    check(a.layout.bytes > 0 && a.layout.bytes <= a.mapping_bytes && answer.offset <= object_bytes);
    check(a.layout.bytes <= object_bytes - answer.offset);
    check(strnlen(a.name, sizeof a.name) < sizeof a.name && strnlen(a.prefix, sizeof a.prefix) < sizeof a.prefix);
}

static bool within(struct text t, const uint8_t *data, size_t n)
{
    return !t.data || (t.data >= (const char *)data && t.data + t.n <= (const char *)data + n);
}

static void check_failure(const uint8_t *data, size_t n, ptools_err code)
{
    const struct span body = { data, n, NULL };
    struct msg_failure f = { .code = code };

    if (!link_failure_read(&body, &f))
        return;
    check(within(f.message, data, n) && within(f.phase, data, n) && within(f.log, data, n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    check_array(data, n);
    check_failure(data, n, PTOOLS_ERR_FAILED);
    check_failure(data, n, PTOOLS_ERR_EXITED);
    return 0;
}
