/* SPDX-License-Identifier: MIT */
/*
 * link -- see link.h: reading what a worker or a server task says of a failure.
 */
#include "proto/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/message.h"

bool link_failure_read(const struct span *body, struct msg_failure *ret)
{
    struct text progress, *texts[] = { &ret->message, &ret->phase, &ret->log, &progress };
    const char *at = (const char *)body->data, *end = at + body->n;

    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        const char *nul = body->n ? memchr(at, '\0', (size_t)(end - at)) : NULL;

        if (!nul)
            return false;
        *texts[i] = (struct text){ at, (size_t)(nul - at) };
        at = nul + 1;
    }
    return at == end && sscanf(progress.data, "%" SCNu64 " %" SCNu64, &ret->progress, &ret->progress_of) == 2;
}
