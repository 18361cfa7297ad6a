/* SPDX-License-Identifier: MIT */
/*
 * link -- see link.h: reading what a worker or a server task says of a failure.
 */
#include "proto/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/message.h"

static bool read_end(const char *text, struct msg_failure *ret)
{
    int32_t status, signal;

    if (sscanf(text, "%" SCNd32 " %" SCNd32, &status, &signal) != 2 || status < -1 || status > UINT8_MAX || signal < 0)
        return false;
    ret->exited = status >= 0;
    ret->exit_status = status;
    ret->signal = signal;
    return true;
}

bool link_failure_read(const struct span *body, struct msg_failure *ret)
{
    struct text progress = { "", 0 }, exited = { "", 0 };
    struct text *const texts[] = { &ret->message, &ret->phase, &ret->log, &progress, &exited };
    const size_t n_texts = ret->code == PTOOLS_ERR_EXITED ? 5 : 4;
    const char *at = (const char *)body->data, *end = at + body->n;

    for (size_t i = 0; i < n_texts; i++) {
        const char *nul = body->n ? memchr(at, '\0', (size_t)(end - at)) : NULL;

        if (!nul)
            return false;
        *texts[i] = (struct text){ at, (size_t)(nul - at) };
        at = nul + 1;
    }
    if (at != end || sscanf(progress.data, "%" SCNu64 " %" SCNu64, &ret->progress, &ret->progress_of) != 2)
        return false;
    return n_texts == 4 || read_end(exited.data, ret);
}
