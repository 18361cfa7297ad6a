/* SPDX-License-Identifier: MIT */
/* qtask_keys, hash -- one task for each key of a user, whatever comes and goes; and what the tables hash with. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/core/rig_queue.h"

enum { USERS = 2, KEYS = 300, STEPS = 20000 };

static struct rig r;
static uint64_t random_state;

static uint64_t rnd(uint64_t below)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (random_state * UINT64_C(0x2545F4914F6CDD1D) >> 11) % below;
}

/* The reference's vectors: the key is 00 01 ... 0f, the message 00 01 ... of n bytes. */
START_TEST(it_is_siphash)
{
    static const struct {
        size_t n;
        uint64_t hash;
    } vectors[] = { { 0, UINT64_C(0x726fdb47dd0e0e31) },
                    { 1, UINT64_C(0x74f839c593dc67fd) },
                    { 8, UINT64_C(0x93f5f5799a932462) },
                    { 15, UINT64_C(0xa129ca6149be45e5) } };
    uint8_t bytes[CORE_SEED_BYTES];
    uint64_t other;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    core_seed(bytes);
    for (size_t i = 0; i < ELEMENTS(vectors); i++)
        ck_assert_uint_eq(hash_bytes(bytes, vectors[i].n), vectors[i].hash);
    other = hash_bytes("key", 3);
    bytes[0] = 1;
    core_seed(bytes);
    ck_assert_uint_ne(hash_bytes("key", 3), other); /* who does not know the seed does not know what is alike */
}
END_TEST

/* Against a list: what each key of each user names, after tasks came, ended and were forgotten in any order. */
START_TEST(a_key_names_its_task_and_no_other)
{
    static uint64_t model[USERS][KEYS];
    static char keys[KEYS][8];
    uint32_t clients[USERS];
    uint64_t n = 0;

    rig_limits(&r);
    rig_queue_start(&r, 1);
    memset(model, 0, sizeof model);
    random_state = 88172645463325252;
    clients[0] = r.client;
    ck_assert_int_eq(core_client_add(r.core, 1001, &clients[1]), 0);
    for (int i = 0; i < KEYS; i++) /* of several lengths, and some the beginning of others */
        snprintf(keys[i], sizeof keys[i], "%.*d", 1 + i % 5, i);
    for (int step = 0; step < STEPS; step++) {
        const size_t user = rnd(USERS), k = rnd(KEYS);
        size_t same = k; /* the first that is spelled so */
        struct text key;
        uint64_t id = 0, found = 0;
        bool there;

        for (same = 0; strcmp(keys[same], keys[k]) != 0; same++)
            ;
        key = (struct text){ keys[same], strlen(keys[same]) };
        there = core_queued_id(r.core, 1000 + (uint32_t)user, 0, key, &found);
        ck_assert(there == (model[user][same] != 0));
        ck_assert(!there || found == model[user][same]);
        r.client = clients[user];
        if (rnd(2)) {
            id = rig_queued(&r, SUBMIT(.key = key, .hold = true));
            ck_assert(!there || id == model[user][same]);
            n += !there;
            model[user][same] = id;
        } else if (there) {
            rig_queue_id(&r, rig_change(&r, CHANGE_CANCEL, found)); /* it is known by its key ... */
            ck_assert(core_queued_id(r.core, 1000 + (uint32_t)user, 0, key, &id) && id == found);
            rig_queue_id(&r, rig_change(&r, CHANGE_FORGET, found)); /* ... until it is forgotten */
            model[user][same] = 0;
        }
        if (step % 64 == 0) {
            rig_tick(&r, 1);
            rig_clear(&r);
        }
    }
    ck_assert_uint_gt(n, STEPS / 8);
    for (size_t user = 0; user < USERS; user++)
        for (size_t k = 0; k < KEYS; k++) {
            uint64_t found;

            if (model[user][k])
                ck_assert(core_queued_id(r.core, 1000 + (uint32_t)user, 0, (struct text){ keys[k], strlen(keys[k]) },
                                         &found) &&
                          found == model[user][k]);
        }
    rig_end(&r);
}
END_TEST

/* As a library makes it: a number, and the name of a session. */
static struct text passing(uint8_t key[16], uint64_t session)
{
    memset(key, 0, 16);
    key[0] = 1;
    memcpy(key + 8, &session, sizeof session);
    return (struct text){ (const char *)key, 16 };
}

/* Clients that come and go, each with a session: what is kept is of those whose tasks are known. */
START_TEST(sessions_without_a_task_go)
{
    static uint64_t kept[50];
    uint8_t key[16];
    uint64_t id;

    rig_limits(&r);
    rig_queue_start(&r, 1);
    for (uint64_t i = 0; i < ELEMENTS(kept); i++)
        kept[i] = rig_queued(&r, SUBMIT(.key = passing(key, i), .key_passing = true, .hold = true));
    for (uint64_t i = 1000; i < 3000; i++) {
        id = rig_queued(&r, SUBMIT(.key = passing(key, i), .key_passing = true, .hold = true));
        ck_assert_uint_eq(rig_queued(&r, SUBMIT(.key = passing(key, i), .key_passing = true, .hold = true)), id);
        rig_queue_id(&r, rig_change(&r, CHANGE_CANCEL, id));
        rig_queue_id(&r, rig_change(&r, CHANGE_FORGET, id));
        rig_clear(&r);
    }
    ck_assert_uint_le(r.core->users->n_sessions, 2 * ELEMENTS(kept) + 2);
    for (uint64_t i = 0; i < ELEMENTS(kept); i++) /* and these are as they were */
        ck_assert_uint_eq(rig_queued(&r, SUBMIT(.key = passing(key, i), .key_passing = true, .hold = true)), kept[i]);
    rig_end(&r);
}
END_TEST

START_TEST(who_has_a_key_has_its_task)
{
    const struct text key = TEXT("a"), passing = TEXT("s/1"), other = TEXT("b");
    uint64_t ids[2], id = 0;

    rig_limits(&r);
    rig_queue_start(&r, 1);
    ids[0] = rig_queued(&r, SUBMIT(.key = key));
    ids[1] = rig_queued(&r, SUBMIT(.key = passing, .key_passing = true));
    ck_assert(core_queued_id(r.core, 1000, 0, key, &id));
    ck_assert_uint_eq(id, ids[0]);
    ck_assert(core_queued_id(r.core, 1000, 0, passing, &id));
    ck_assert_uint_eq(id, ids[1]);
    ck_assert(core_queued_id(r.core, 1000, ids[0], (struct text){ 0 }, &id));
    ck_assert_uint_eq(id, ids[0]);
    ck_assert(!core_queued_id(r.core, 1000, 0, other, &id));
    ck_assert(!core_queued_id(r.core, 1001, 0, key, &id));
    ck_assert(!core_queued_id(r.core, 1001, ids[0], (struct text){ 0 }, &id));
    rig_queue(&r, SUBMIT(.key = other, .durability = TASK_DURABLE));
    ck_assert(!core_queued_id(r.core, 1000, 0, other, &id)); /* not before it is recorded */
    rig_recorded(&r);
    ck_assert(core_queued_id(r.core, 1000, 0, other, &id));
    rig_end(&r);
}
END_TEST

/* Of one session. */
static struct text numbered(uint64_t number)
{
    static uint8_t key[16];
    const struct text text = passing(key, 1);

    key[0] = (uint8_t)number;
    return text;
}

/* Those at the front are forgotten, and others come. */
START_TEST(passing_keys_are_found_where_they_are)
{
    uint64_t ids[30], id;

    rig_limits(&r);
    rig_queue_start(&r, 1);
    for (uint64_t i = 0; i < 30; i++) {
        ids[i] = rig_queued(&r, SUBMIT(.hold = true, .key = numbered(i), .key_passing = true));
        if (i % 3 == 0) {
            rig_change(&r, CHANGE_CANCEL, ids[i / 3]);
            rig_change(&r, CHANGE_FORGET, ids[i / 3]);
        }
        for (uint64_t k = 0; k <= i; k++) {
            id = 0;
            ck_assert(core_queued_id(r.core, 1000, 0, numbered(k), &id) == (k > i / 3));
            ck_assert_uint_eq(id, k > i / 3 ? ids[k] : 0);
        }
    }
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core qtask keys");
    TCase *tc = suite_case(suite, "keys");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, it_is_siphash);
    tcase_add_test(tc, a_key_names_its_task_and_no_other);
    tcase_add_test(tc, sessions_without_a_task_go);
    tcase_add_test(tc, who_has_a_key_has_its_task);
    tcase_add_test(tc, passing_keys_are_found_where_they_are);
    return suite_run(suite);
}
