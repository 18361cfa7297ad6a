/* SPDX-License-Identifier: MIT */
/*
 * pfork_outcomes -- what came of each child: its code, its value, and a sentence for whoever has to read it.
 *
 * A result that arrived in full counts, whatever happened to the child afterwards. Values are scanned as those of
 * strangers are: a child in trouble may have written anything.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "client/lib/pfork.h"

struct ptools_children *children_new(int n, size_t behind_bytes)
{
    size_t bytes = sizeof(struct ptools_children) + (size_t)n * sizeof(struct outcome) + behind_bytes;
    struct ptools_children *c =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (c == MAP_FAILED)
        return NULL;
    c->mapping_bytes = bytes;
    c->n = n;
    for (int i = 0; i < n; i++)
        c->outcomes[i].told = (ptools_child_outcome){
            .index = i + 1, .message = "", .exit_status = -1, .output = "", .errors = ""
        };
    return c;
}

void children_share(struct ptools_children *c, bool yes)
{
    madvise(c, c->mapping_bytes, yes ? MADV_DOFORK : MADV_DONTFORK);
}

ptools_children *ptools_children_free(ptools_children *c)
{
    if (!c)
        return NULL;
    for (int i = 0; i < c->n; i++) {
        struct outcome *o = &c->outcomes[i];

        if (o->payload != o->small)
            free(o->payload);
        free(o->message);
        for (int k = 0; k < 2; k++) {
            if (o->captured[k])
                bytes_deinit(o->captured[k]);
            free(o->captured[k]);
        }
    }
    if (c->zone)
        msgpack_zone_free(c->zone);
    munmap(c, c->mapping_bytes);
    return NULL;
}

/* -- one ------------------------------------------------------------------------------------------------------- */

__attribute__((__format__(__printf__, 3, 0))) static void tell(struct outcome *o, ptools_err code, const char *format,
                                                               va_list args)
{
    o->told.code = code;
    if (vasprintf(&o->message, format, args) < 0)
        o->message = NULL;
    o->told.message = o->message ? o->message : ptools_strerror(code);
}

__attribute__((__format__(__printf__, 3, 4))) static void say(struct outcome *o, ptools_err code, const char *format,
                                                              ...)
{
    va_list args;

    va_start(args, format);
    tell(o, code, format, args);
    va_end(args);
}

static bool is_container(uint8_t first)
{
    return (first >= 0x80 && first <= 0x9f) || (first >= 0xdc && first <= 0xdf);
}

void outcome_read_value(struct ptools_children *c, struct outcome *o)
{
    size_t off = 0;

    if (o->told.code != PTOOLS_OK || o->told.value.object)
        return;
    if (is_container(o->payload[0]) && !c->zone)
        c->zone = msgpack_zone_new(MSGPACK_ZONE_CHUNK_SIZE);
    if ((is_container(o->payload[0]) && !c->zone) ||
        msgpack_unpack((const char *)o->payload, o->frame.bytes, &off, c->zone, &o->root) != MSGPACK_UNPACK_SUCCESS)
        say(o, PTOOLS_ERR_NO_MEMORY, "there is no memory for the value of child %d (%" PRIu64 " bytes)", o->told.index,
            o->frame.bytes);
    else
        o->told.value.object = &o->root;
}

static void end_with_frame(struct outcome *o)
{
    static const struct scan_limits limits = { PAYLOAD_DEPTH_MAX, UINT64_MAX };

    if (o->frame.code != PTOOLS_OK) {
        o->told.code = (ptools_err)o->frame.code;
        o->told.message = o->frame.bytes ? (const char *)o->payload : ptools_strerror(o->told.code);
    } else if (scan_value(o->payload, o->frame.bytes, &limits) != SCAN_OK) {
        say(o, PTOOLS_ERR_FAILED, "child %d wrote something into the pipe of its result that is no value",
            o->told.index);
    }
}

static void end_without_frame(struct outcome *o, int status, const char *why)
{
    const int i = o->told.index;

    if (o->stopped == PTOOLS_ERR_DEADLINE || o->stopped == PTOOLS_ERR_CANCELLED)
        say(o, o->stopped, "child %d was stopped, because %s", i, why);
    else if (o->trouble == PTOOLS_ERR_NO_MEMORY)
        say(o, PTOOLS_ERR_NO_MEMORY, "there is no memory for the value of child %d (%" PRIu64 " bytes)", i,
            o->frame.bytes);
    else if (o->trouble != PTOOLS_OK)
        say(o, PTOOLS_ERR_FAILED, "child %d wrote something into the pipe of its result that is no value", i);
    else if (status < 0)
        say(o, PTOOLS_ERR_WORKER_DIED,
            "child %d ended before its function returned; how is unknown, for something else in this process took its "
            "status",
            i);
    else if (WIFSIGNALED(status))
        say(o, PTOOLS_ERR_WORKER_DIED, "child %d was killed by signal %d (%s)%s", i, WTERMSIG(status),
            strsignal(WTERMSIG(status)), o->got > 0 ? ", while it sent its value" : "");
    else
        say(o, PTOOLS_ERR_WORKER_DIED, "child %d exited with status %d before its function returned", i,
            WEXITSTATUS(status));
}

void outcome_end(struct outcome *o, int status, const char *why)
{
    const bool has_frame = outcome_has_frame(o);

    if (status >= 0 && WIFSIGNALED(status))
        o->told.signal = WTERMSIG(status);
    else if (status >= 0 && !has_frame)
        o->told.exit_status = WEXITSTATUS(status);
    for (int k = 0; k < 2; k++) {
        struct bytes *b = o->captured[k];
        const bool lost = b && bytes_append(b, "", 1) < 0; /* no memory: so is what had been kept */

        *(k ? &o->told.errors_dropped : &o->told.output_dropped) = o->dropped[k] + (lost ? b->n : 0);
        if (!b || lost)
            continue;
        *(k ? &o->told.errors : &o->told.output) = (const char *)b->data;
        *(k ? &o->told.errors_bytes : &o->told.output_bytes) = b->n - 1; /* without the NUL */
    }
    if (has_frame)
        end_with_frame(o);
    else
        end_without_frame(o, status, why);
}

void outcome_end_unborn(struct outcome *o, ptools_err code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tell(o, code, format, args);
    va_end(args);
}

/* -- all ------------------------------------------------------------------------------------------------------- */

ptools_err children_verdict(const struct ptools_children *c)
{
    const struct outcome *first = NULL;
    int failed = 0;

    for (int i = 0; i < c->n; i++) {
        if (c->outcomes[i].told.code == PTOOLS_OK)
            continue;
        failed++;
        first = first ? first : &c->outcomes[i];
    }
    if (!first)
        return PTOOLS_OK;
    return pfork_fail(first->told.code, "%d of %d children did not succeed; the first, child %d: %s", failed, c->n,
                      first->told.index, first->told.message);
}

int ptools_children_count(const ptools_children *c)
{
    return c->n;
}

const ptools_child_outcome *ptools_children_outcome(const ptools_children *c, int i)
{
    return i >= 1 && i <= c->n ? &c->outcomes[i - 1].told : NULL;
}
