/* SPDX-License-Identifier: MIT */
/*
 * peer_redis -- Redis lists as a job queue, nothing kept on disk, over a unix socket, hiredis at both ends.
 * A call is LPUSH of the request and BRPOP of the answer in one write; the worker does BRPOP, LPUSH. Many
 * at once: requests and half a window of waiting BRPOPs leave together, and their replies are read together.
 */
#include "tests/bench/peer.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <sys/types.h>

#include "tests/integration/server.h"

static char dir[64], path[80];

static redisContext *dial(void)
{
    redisContext *c = redisConnectUnix(path);

    ck_assert_msg(c && !c->err, "redis: %s", c ? c->errstr : "no memory");
    return c;
}

static bool answers(void)
{
    redisContext *c = redisConnectUnix(path);
    redisReply *reply = c && !c->err ? redisCommand(c, "PING") : NULL;
    bool yes = reply && reply->type == REDIS_REPLY_STATUS;

    if (reply)
        freeReplyObject(reply);
    if (c)
        redisFree(c);
    return yes;
}

static pid_t start(void)
{
    pid_t server;

    temp_dir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/redis.sock", dir);
    server = peer_spawn((const char *const[]){ PEER_REDIS_SERVER, "--port", "0", "--unixsocket", path, "--dir", dir,
                                               "--save", "", "--appendonly", "no", NULL });
    peer_wait("redis", answers);
    return server;
}

static void stop(pid_t server)
{
    phase_kill(server);
    temp_remove(dir);
}

static redisReply *next_reply(redisContext *c, int type)
{
    void *reply = NULL;

    phase_assert(redisGetReply(c, &reply) == REDIS_OK && ((redisReply *)reply)->type == type);
    return reply;
}

static void worker(const char *queue)
{
    redisContext *c = dial();

    for (;;) {
        redisReply *request, *body;

        redisAppendCommand(c, "BRPOP %s 0", queue);
        request = next_reply(c, REDIS_REPLY_ARRAY);
        phase_assert(request->elements == 2);
        body = request->element[1];
        redisAppendCommand(c, "LPUSH %s.answers %b", queue, body->str, (size_t)body->len);
        freeReplyObject(next_reply(c, REDIS_REPLY_INTEGER));
        freeReplyObject(request);
    }
}

static void client(struct meter *m, const char *queue)
{
    char body[PEER_BODY_BYTES] = "x";
    unsigned window = m->load.outstanding, out = 0, take = window == 1 ? 1 : window / 2;
    redisContext *c = dial();

    do {
        unsigned n_new = window - out;

        for (unsigned i = 0; i < n_new; i++)
            redisAppendCommand(c, "LPUSH %s %b", queue, body, sizeof body);
        for (unsigned i = 0; i < take; i++)
            redisAppendCommand(c, "BRPOP %s.answers 0", queue);
        for (unsigned i = 0; i < n_new; i++)
            freeReplyObject(next_reply(c, REDIS_REPLY_INTEGER));
        for (unsigned i = 0; i < take; i++)
            freeReplyObject(next_reply(c, REDIS_REPLY_ARRAY));
        out = window - take;
    } while (meter_tick(m, take));
}

const struct peer peer_redis = { "Redis", NULL, start, stop, worker, client };
