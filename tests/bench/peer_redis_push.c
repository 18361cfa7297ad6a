/* SPDX-License-Identifier: MIT */
/*
 * peer_redis_push -- LPUSH into Redis over a unix socket, hiredis: with its log synced after each turn of its loop
 * (appendfsync always), and with nothing on disk. Many at once: one write, then their replies.
 */
#include "tests/bench/peer.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

#include "tests/integration/server.h"

struct place {
    char dir[64], path[80];
};
static struct place synced, in_memory;
static const struct place *asked; /* by answers() */

static bool answers(void)
{
    redisContext *c = redisConnectUnix(asked->path);
    redisReply *reply = c && !c->err ? redisCommand(c, "PING") : NULL;
    bool yes = reply && reply->type == REDIS_REPLY_STATUS;

    if (reply)
        freeReplyObject(reply);
    if (c)
        redisFree(c);
    return yes;
}

static pid_t start_at(struct place *place, const char *append_only)
{
    pid_t server;

    temp_dir(place->dir, sizeof place->dir);
    snprintf(place->path, sizeof place->path, "%s/redis.sock", place->dir);
    server = peer_spawn((const char *const[]){ PEER_REDIS_SERVER, "--port", "0", "--unixsocket", place->path, "--dir",
                                               place->dir, "--save", "", "--appendonly", append_only, "--appendfsync",
                                               "always", NULL });
    asked = place;
    peer_wait("redis", answers);
    return server;
}

static pid_t start_synced(void)
{
    return start_at(&synced, "yes");
}

static pid_t start_in_memory(void)
{
    return start_at(&in_memory, "no");
}

static void stop_synced(pid_t server)
{
    phase_kill(server);
    temp_remove(synced.dir);
}

static void stop_in_memory(pid_t server)
{
    phase_kill(server);
    temp_remove(in_memory.dir);
}

static void push_many(struct meter *m, const struct place *place, const char *queue)
{
    static const char record[PEER_RECORD_BYTES];
    redisContext *c = redisConnectUnix(place->path);

    phase_assert(c && !c->err);
    do {
        for (unsigned i = 0; i < m->load.outstanding; i++)
            redisAppendCommand(c, "LPUSH %s %b", queue, record, sizeof record);
        for (unsigned i = 0; i < m->load.outstanding; i++) {
            void *reply = NULL;

            phase_assert(redisGetReply(c, &reply) == REDIS_OK && ((redisReply *)reply)->type == REDIS_REPLY_INTEGER);
            freeReplyObject(reply);
        }
    } while (meter_tick(m, m->load.outstanding));
    redisFree(c);
}

static void push_synced(struct meter *m, const char *queue)
{
    push_many(m, &synced, queue);
}

static void push_in_memory(struct meter *m, const char *queue)
{
    push_many(m, &in_memory, queue);
}

const struct peer peer_redis_aof = { "Redis AOF always", NULL, start_synced, stop_synced, NULL, push_synced };
const struct peer peer_redis_push = { "Redis", NULL, start_in_memory, stop_in_memory, NULL, push_in_memory };
