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
#include "proto/headroom.h"

enum { MESSAGE_BYTES = 320, UNASKED_BYTES = 64 << 20 };

/* The kernel would rather kill somebody later than refuse now. */
static bool is_there(size_t bytes)
{
    struct headroom room;

    if (bytes <= UNASKED_BYTES)
        return true;
    headroom_now(&room);
    return bytes <= room.free_bytes;
}

struct ptools_children *children_new(int n, size_t behind_bytes)
{
    const size_t bytes = sizeof(struct ptools_children) + (size_t)n * sizeof(struct outcome) + behind_bytes;
    struct ptools_children *c;

    if (!is_there(bytes))
        return NULL;
    c = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (c == MAP_FAILED)
        return NULL;
    c->keeper = calloc(1, sizeof *c->keeper);
    if (!c->keeper) {
        munmap(c, bytes);
        return NULL;
    }
    c->mapping_bytes = bytes;
    c->n = n;
    for (int i = 0; i < n; i++)
        c->outcomes[i].told = (ptools_child_outcome){
            .index = i + 1, .message = "", .exit_status = -1, .output = "", .errors = ""
        };
    return c;
}

static struct kept *keep(struct ptools_children *c, size_t bytes)
{
    struct kept *k = malloc(sizeof *k + bytes);

    if (!k)
        return NULL;
    k->next = c->keeper->first;
    k->bytes = NULL;
    c->keeper->first = k;
    return k;
}

void *children_keep(struct ptools_children *c, size_t bytes)
{
    struct kept *k = keep(c, bytes);

    return k ? k->data : NULL;
}

struct bytes *children_keep_bytes(struct ptools_children *c, size_t max_bytes)
{
    struct kept *k = keep(c, sizeof *k->bytes);

    if (!k)
        return NULL;
    k->bytes = (struct bytes *)k->data;
    bytes_init(k->bytes, max_bytes);
    return k->bytes;
}

void children_share(struct ptools_children *c, bool yes)
{
    madvise(c, c->mapping_bytes, yes ? MADV_DOFORK : MADV_DONTFORK);
}

ptools_children *ptools_children_free(ptools_children *c)
{
    if (!c)
        return NULL;
    for (struct kept *k = c->keeper->first, *next; k; k = next) {
        next = k->next;
        if (k->bytes)
            bytes_deinit(k->bytes);
        free(k);
    }
    if (c->keeper->zone)
        msgpack_zone_free(c->keeper->zone);
    free(c->keeper);
    munmap(c, c->mapping_bytes);
    return NULL;
}

/* -- one ------------------------------------------------------------------------------------------------------- */

__attribute__((__format__(__printf__, 4, 0))) static void tell(struct ptools_children *c, struct outcome *o,
                                                               ptools_err code, const char *format, va_list args)
{
    char text[MESSAGE_BYTES], *message;

    vsnprintf(text, sizeof text, format, args);
    message = children_keep(c, strlen(text) + 1);
    o->told.code = code;
    o->told.message = message ? strcpy(message, text) : ptools_strerror(code);
}

__attribute__((__format__(__printf__, 4, 5))) static void say(struct ptools_children *c, struct outcome *o,
                                                              ptools_err code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tell(c, o, code, format, args);
    va_end(args);
}

void outcome_read_value(struct ptools_children *c, struct outcome *o)
{
    size_t off = 0;

    if (o->told.code != PTOOLS_OK || o->told.value.object)
        return;
    if (!c->keeper->zone)
        c->keeper->zone = msgpack_zone_new(MSGPACK_ZONE_CHUNK_SIZE);
    if (!c->keeper->zone || msgpack_unpack((const char *)o->payload, o->frame.bytes, &off, c->keeper->zone, &o->root) !=
                                MSGPACK_UNPACK_SUCCESS)
        say(c, o, PTOOLS_ERR_NO_MEMORY, "there is no memory for the value of child %d (%" PRIu64 " bytes)",
            o->told.index, o->frame.bytes);
    else
        o->told.value.object = &o->root;
}

static void end_with_frame(struct ptools_children *c, struct outcome *o)
{
    static const struct scan_limits limits = { PAYLOAD_DEPTH_MAX, UINT64_MAX };

    if (o->frame.code != PTOOLS_OK) {
        o->told.code = (ptools_err)o->frame.code;
        o->told.message = o->frame.bytes ? (const char *)o->payload : ptools_strerror(o->told.code);
    } else if (scan_value(o->payload, o->frame.bytes, &limits) != SCAN_OK) {
        say(c, o, PTOOLS_ERR_FAILED, "child %d wrote something into the pipe of its result that is no value",
            o->told.index);
    }
}

static void end_without_frame(struct ptools_children *c, struct outcome *o, int status, const char *why)
{
    const int i = o->told.index;

    if (o->stopped == PTOOLS_ERR_DEADLINE || o->stopped == PTOOLS_ERR_CANCELLED)
        say(c, o, o->stopped, "child %d was stopped, because %s", i, why);
    else if (o->trouble == PTOOLS_ERR_NO_MEMORY)
        say(c, o, PTOOLS_ERR_NO_MEMORY, "there is no memory for the value of child %d (%" PRIu64 " bytes)", i,
            o->frame.bytes);
    else if (o->trouble != PTOOLS_OK)
        say(c, o, PTOOLS_ERR_FAILED, "child %d wrote something into the pipe of its result that is no value", i);
    else if (status < 0)
        say(c, o, PTOOLS_ERR_WORKER_DIED,
            "child %d ended without a result; how is unknown, for something else in this process took its "
            "status",
            i);
    else if (WIFSIGNALED(status))
        say(c, o, PTOOLS_ERR_WORKER_DIED, "child %d was killed by signal %d (%s)%s", i, WTERMSIG(status),
            strsignal(WTERMSIG(status)), o->got > 0 ? ", while it sent its value" : "");
    else
        say(c, o, PTOOLS_ERR_WORKER_DIED, "child %d exited with status %d without a result", i,
            WEXITSTATUS(status));
}

void outcome_end(struct ptools_children *c, struct outcome *o, int status, const char *why)
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
        end_with_frame(c, o);
    else
        end_without_frame(c, o, status, why);
}

void outcome_end_unborn(struct ptools_children *c, struct outcome *o, ptools_err code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tell(c, o, code, format, args);
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
