/* SPDX-License-Identifier: MIT */
/*
 * qtask_blocked -- submissions that wait for room in the queue: the list of a user, in the order in which they came.
 * Who comes next, and when, is decided in qtask_submit.c.
 */
#include <errno.h>

#include "daemon/core/state.h"

int blocked_add(struct client *c, uint64_t request, struct blob *spec, struct blob *args)
{
    struct user *user = c->user;
    struct blocked *b = calloc(1, sizeof *b);

    if (!b)
        return -ENOMEM;
    b->client = c;
    b->request = request;
    b->spec = blob_ref(spec);
    b->args = args ? blob_ref(args) : NULL;
    DL_APPEND(user->blocked, b);
    user->n_blocked++;
    user->blocked_bytes += spec->n + (args ? args->n : 0);
    return 0;
}

void blocked_free(struct blocked *b)
{
    struct user *user = b->client->user;

    DL_DELETE(user->blocked, b);
    user->n_blocked--;
    user->blocked_bytes -= b->spec->n + (b->args ? b->args->n : 0);
    blob_free(b->spec);
    blob_free(b->args);
    free(b);
}

bool blocked_cancel(struct client *c, uint64_t request, ptools_err code, const char *why, struct actions *out)
{
    struct blocked *b;

    DL_FOREACH(c->user->blocked, b)
    {
        if (b->client != c || b->request != request)
            continue;
        answer_refusal(out, c->id, request, code, "%s", why);
        blocked_free(b);
        return true;
    }
    return false;
}

bool blocked_in_use(const struct client *c, uint64_t request)
{
    const struct blocked *b;

    DL_FOREACH(c->user->blocked, b)
    if (b->client == c && b->request == request)
        return true;
    return false;
}

void blocked_drain(struct core *core, struct actions *out)
{
    for (struct user *u = core->users; u; u = u->hh.next)
        while (u->blocked)
            blocked_cancel(u->blocked->client, u->blocked->request, PTOOLS_ERR_DRAINING,
                           "the daemon is about to end and takes no new work", out);
}

void blocked_free_client(struct core *core, struct client *c)
{
    struct blocked *b, *next;

    (void)core;
    DL_FOREACH_SAFE(c->user->blocked, b, next)
    if (b->client == c)
        blocked_free(b);
}
