/* SPDX-License-Identifier: MIT */
/*
 * handle -- the life of a handle, its failures, and the door of each public function.
 *
 * A forked child is known by a page that the kernel wipes in children (MADV_WIPEONFORK): looking
 * costs one load, where getpid() is a system call.
 */
#include "client/lib/handle.h"
#include "client/lib/pmap.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

uint32_t ptools_version_number(void)
{
    return PTOOLS_VERSION_NUMBER;
}

const char *ptools_version(void)
{
    return PTOOLS_VERSION;
}

void fail_record_static(struct ptools *pt, ptools_err code, const char *text)
{
    failure_set_message(&pt->last, code, text, false);
}

void fail_record(struct ptools *pt, ptools_err code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(pt->text, sizeof pt->text, format, args);
    va_end(args);
    fail_record_static(pt, code, pt->text);
}

ptools_err fail_with(struct ptools *pt, const struct failure *failure)
{
    failure_copy(&pt->last, failure);
    return failure->facts.code;
}

ptools_err options_copy(const char *what, const void *given, size_t first_bytes, void *ret, size_t bytes, char *why,
                        size_t why_bytes)
{
    const unsigned char *from = given;
    uint32_t given_bytes;

    if (!given)
        return PTOOLS_OK;
    memcpy(&given_bytes, given, sizeof given_bytes);
    if (given_bytes < first_bytes) {
        snprintf(why, why_bytes, "%s: struct_size is %u, at least %zu is expected: use the ..._INIT of the struct",
                 what,
                 given_bytes, first_bytes);
        return PTOOLS_ERR_INVALID;
    }
    for (size_t i = bytes; i < given_bytes; i++) {
        if (from[i] == 0)
            continue;
        snprintf(why, why_bytes, "%s: a field that this library (%s) does not know is set", what, PTOOLS_VERSION);
        return PTOOLS_ERR_INVALID;
    }
    memcpy(ret, given, MIN(bytes, (size_t)given_bytes));
    return PTOOLS_OK;
}

ptools_err options_read(struct ptools *pt, const char *what, const void *given, size_t first_bytes, void *ret,
                        size_t bytes)
{
    char why[160];
    ptools_err err = options_copy(what, given, first_bytes, ret, bytes, why, sizeof why);

    return err == PTOOLS_OK ? err : fail(pt, err, "%s", why);
}

ptools_err handle_refusal(struct ptools *pt)
{
    if (!pt)
        return PTOOLS_ERR_INVALID;
    if (!handle_is_ours(pt))
        return fail_static(pt, PTOOLS_ERR_FORKED, "the handle was made before fork(): open a new one in the child");
    return fail_static(pt, PTOOLS_ERR_CLOSED, "ptools_close() was called by a callback");
}

static unsigned char *birthmark_new(void)
{
    size_t n = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *page = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, n, MADV_WIPEONFORK) < 0) {
        munmap(page, n);
        return NULL;
    }
    *page = 1;
    return page;
}

struct ptools *handle_new(void)
{
    struct ptools *pt = calloc(1, sizeof *pt);

    if (!pt)
        return NULL;
    LIST_INIT(&pt->futures);
    LIST_INIT(&pt->pool);
    LIST_INIT(&pt->sets);
    LIST_INIT(&pt->stasks);
    LIST_INIT(&pt->watches);
    TAILQ_INIT(&pt->parked);
    TAILQ_INIT(&pt->captured);
    pt->door_fd = pt->epoll_fd = pt->wake_fd = pt->epoll_transport_fd = pt->timer_fd = -1;
    pt->large = UINT64_MAX;
    TAILQ_INIT(&pt->ready);
    failure_init(&pt->last);
    bytes_init(&pt->envelope, ENVELOPE_BYTES_MAX);
    bytes_init(&pt->aside, ENVELOPE_BYTES_MAX);
    payload_init(&pt->scratch);
    pt->decoder = msg_decoder_new();
    pt->birthmark = birthmark_new();
    if (!pt->decoder || !pt->birthmark)
        return handle_free(pt);
    return pt;
}

/* All that a closed handle does not need: whatever is left of it is the struct. */
static void release(struct ptools *pt)
{
    struct ptools_future *f;
    struct ptools_workerset *set;
    struct ptools_stasks *stasks;
    struct ptools_watch *watch;
    struct ptools_pmap *map;

    while ((map = LIST_FIRST(&pt->maps)))
        pmap_orphan(map);
    while ((watch = LIST_FIRST(&pt->watches)))
        watch_orphan(watch);
    while ((f = LIST_FIRST(&pt->futures)))
        future_orphan(f);
    while ((stasks = LIST_FIRST(&pt->stasks)))
        stasks_orphan(stasks);
    captured_forget(pt);
    arrays_orphan(pt);
    scratch_forget(pt);
    fds_forget(pt);
    multiplex_close(pt);
    if (pt->timer_fd >= 0)
        close(pt->timer_fd);
    pt->timer_fd = -1;
    while ((f = LIST_FIRST(&pt->pool))) {
        LIST_REMOVE(f, link);
        future_destroy(f);
    }
    while ((set = LIST_FIRST(&pt->sets))) {
        LIST_REMOVE(set, link);
        set->pt = NULL;
    }
    pt->transport = transport_free(pt->transport, !pt->birthmark || !handle_is_ours(pt));
    pt->decoder = msg_decoder_free(pt->decoder);
    bytes_deinit(&pt->envelope);
    bytes_deinit(&pt->aside);
    payload_deinit(&pt->scratch);
    free(TAKE(pt->reason));
    free(TAKE(pt->settings.module_path));
    free(TAKE(pt->address));
}

struct ptools *handle_free(struct ptools *pt)
{
    if (!pt)
        return NULL;
    release(pt);
    failure_deinit(&pt->last);
    if (pt->birthmark)
        munmap((void *)(uintptr_t)pt->birthmark, (size_t)sysconf(_SC_PAGESIZE));
    free(pt);
    return NULL;
}

ptools *ptools_close(ptools *pt)
{
    if (!pt || pt->closing)
        return NULL;
    if (pt->dispatching > 0) { /* a callback closes it: ptools_dispatch() frees the rest on its way out */
        release(pt);
        pt->closing = true;
        return NULL;
    }
    return handle_free(pt);
}

const char *ptools_error_message(ptools *pt)
{
    return pt ? pt->last.facts.message : "the handle is NULL";
}

const ptools_failure *ptools_last_failure(ptools *pt)
{
    return pt && pt->last.facts.code != PTOOLS_OK ? &pt->last.facts : NULL;
}

int ptools_fd(ptools *pt)
{
    if (handle_check(pt) != PTOOLS_OK)
        return -1;
    if (!pt->transport)
        return again_fd(pt);
    return LIST_EMPTY(&pt->stasks) ? pt->transport->ops->fd(pt->transport) : multiplex_fd(pt);
}

short ptools_events(ptools *pt)
{
    bool wake;

    if (handle_check(pt) != PTOOLS_OK)
        return 0;
    if (!pt->transport)
        return again_is_due(pt) || pt->n_ready > 0 ? POLLIN : 0;
    wake = pt->n_ready > 0 || !connection_alive(pt);
    return LIST_EMPTY(&pt->stasks) ? pt->transport->ops->events(pt->transport, wake) : multiplex_events(pt, wake);
}

ptools_err ptools_cork(ptools *pt)
{
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    pt->corks++;
    return PTOOLS_OK;
}

ptools_err ptools_uncork(ptools *pt)
{
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    if (pt->corks == 0)
        return fail_static(pt, PTOOLS_ERR_INVALID, "ptools_uncork() without ptools_cork()");
    pt->corks--;
    if (pt->corks == 0 && pt->dispatching == 0 && connection_alive(pt))
        connection_push(pt, CLOCK_FOREVER);
    return PTOOLS_OK;
}
