/* SPDX-License-Identifier: MIT */
/* What is asked about arrays, and every way to say no. */
#include <inttypes.h>

#include "tests/unit/core/rig_shared.h"

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_start(&r, workers);
}

static uint64_t create(uint32_t client, const struct msg_array *m)
{
    return rig_array_request(&r, client, MSG_ARRAY_CREATE, m);
}

/* The sentence with which creating it is refused; nothing has changed. */
static const char *refused(const struct msg_array *m, ptools_err code)
{
    const size_t makes = rig_count(&r, ACT_ARRAY_MAKE), drops = rig_count(&r, ACT_ARRAY_DROP);
    const uint64_t bytes = r.core->shm_bytes;
    const char *sentence = rig_failure(&r, create(r.client, m), code);

    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_MAKE), makes);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_DROP), drops);
    ck_assert_uint_eq(r.core->shm_bytes, bytes);
    return sentence;
}

static struct msg_array by_name(const char *prefix, const char *name)
{
    return (struct msg_array){ .name = { name, strlen(name) }, .prefix = { prefix, strlen(prefix) } };
}

/* -- create ------------------------------------------------------------------------------------------------ */

START_TEST(what_is_asked_reaches_the_program)
{
    struct msg_array m = { .type = PTOOLS_FLOAT64, .order = PTOOLS_COLUMN_MAJOR, .ndims = 2, .dims = { 1000, 10 } };
    const struct core_memory memory = { .huge = true, .mapped_bytes = 2 << 20 };
    struct fds_answer told;
    uint64_t array;

    setup(1);
    m.name = TEXT("a");
    m.huge = m.populate = true;
    create(r.client, &m);
    array = rig_asked(&r);
    ck_assert_uint_eq(rig_find(&r, ACT_ARRAY_MAKE, 0)->bytes, 80000);
    ck_assert(rig_find(&r, ACT_ARRAY_MAKE, 0)->huge);
    core_array_made(r.core, r.now, array, PTOOLS_OK, "", &memory, &r.out);
    rig_check(&r);
    ck_assert(rig_reply(&r, r.request).huge);
    ck_assert_uint_eq(r.core->shm_bytes, 2 << 20); /* what it takes, not what was asked for */
    ck_has(rig_note(&r, NOTE_ARRAY_MADE)->text, "float64[1000,10], column-major");
    ck_assert_int_eq(rig_take(&r, true, r.client, 0, array, &told), PTOOLS_OK);
    ck_assert_uint_eq(told.id, array);
    ck_assert_uint_eq(told.bytes, 80000);
    ck_assert_uint_eq(told.mapped_bytes, 2 << 20);
    ck_assert_uint_eq(told.type, PTOOLS_FLOAT64);
    ck_assert_uint_eq(told.order, PTOOLS_COLUMN_MAJOR);
    ck_assert_uint_eq(told.ndims, 2);
    ck_assert_uint_eq(told.dims[0], 1000);
    ck_assert_uint_eq(told.dims[1], 10);
    ck_assert_uint_eq(told.owner, 1000);
    ck_assert_uint_eq(told.flags, FDS_IS_HUGE | FDS_POPULATE);
    ck_assert_str_eq(told.name, "a");
    ck_assert_str_eq(told.prefix, "");
    rig_end(&r);
}
END_TEST

START_TEST(shapes_that_are_none)
{
    struct msg_array m = rig_shape("a", 10);

    setup(1);
    m.dims[0] = 0;
    ck_assert_str_eq(refused(&m, PTOOLS_ERR_INVALID), "dimension 1 is 0: each is at least 1");
    m.ndims = 0;
    ck_assert_str_eq(refused(&m, PTOOLS_ERR_INVALID), "an array has 1 to 8 dimensions, not 0");
    m.ndims = 9;
    ck_assert_str_eq(refused(&m, PTOOLS_ERR_INVALID), "an array has 1 to 8 dimensions, not 9");
    m.ndims = 2;
    m.dims[0] = m.dims[1] = UINT64_C(1) << 32;
    ck_has(refused(&m, PTOOLS_ERR_INVALID), "the dimensions multiply to more than");
    m.ndims = 1;
    m.type = 99;
    ck_has(refused(&m, PTOOLS_ERR_INVALID), "type 99 is none: int8 to int64");
    m.type = PTOOLS_UINT8;
    m.order = 2;
    ck_has(refused(&m, PTOOLS_ERR_INVALID), "order 2 is neither row-major (0) nor column-major (1)");
    ck_assert_ptr_null(r.core->arrays);
    rig_end(&r);
}
END_TEST

START_TEST(wishes_that_do_not_go_together)
{
    struct msg_array m = rig_shape(NULL, 10);

    setup(1);
    m.keep = true;
    ck_assert_str_eq(refused(&m, PTOOLS_ERR_BAD_REQUEST),
                     "keep: an array without a name cannot be kept: nobody could find it");
    m = rig_shape("a", 10);
    m.keep_ms = 5;
    ck_assert_str_eq(refused(&m, PTOOLS_ERR_BAD_REQUEST), "keep_ms: only an array that is kept has a time");
    m = rig_shape("a", 10);
    m.offset = 4096;
    ck_assert_str_eq(refused(&m, PTOOLS_ERR_BAD_REQUEST), "offset: only an array in a file has one");
    m.file = 1;
    m.huge = true;
    ck_assert_str_eq(refused(&m, PTOOLS_ERR_BAD_REQUEST), "huge: a file has no huge pages");
    rig_end(&r);
}
END_TEST

START_TEST(a_name_is_taken_once)
{
    struct msg_array m = rig_shape("a", 10);
    uint64_t first, second;

    setup(1);
    m.prefix = TEXT("run");
    create(r.client, &m);
    first = rig_asked(&r);
    ck_assert_str_eq(refused(&m, PTOOLS_ERR_EXISTS), "there is an array run/a already, which is just being made");
    m.replace = true; /* nobody would know which of the two */
    ck_assert_str_eq(refused(&m, PTOOLS_ERR_EXISTS), "there is an array run/a already, which is just being made");
    m.replace = false;
    rig_made(&r, first);
    ck_assert_str_eq(refused(&m, PTOOLS_ERR_EXISTS), "there is an array run/a already");
    rig_clear(&r);
    m.replace = true;
    create(r.client, &m);
    second = rig_asked(&r);
    ck_assert_uint_ne(second, first);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, first), 0); /* until the new one is there */
    core_array_made(r.core, r.now, second, PTOOLS_ERR_NO_SPACE, "no memory", NULL, &r.out);
    rig_check(&r);
    ck_assert_int_eq(rig_the_array(&r, first)->state, ARRAY_READY); /* nothing has changed */
    ck_assert(rig_the_array(&r, first)->in_names);
    rig_clear(&r);
    create(r.client, &m);
    second = rig_asked(&r);
    rig_made(&r, second);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, first), 1);
    ck_has(rig_note(&r, NOTE_ARRAY_ENDED)->text, "(run/a) of uid 1000 ended: it was replaced");
    ck_assert_uint_eq(array_named(r.core, 1000, m.prefix, m.name)->id, second);
    m.dims[0] = 0;
    refused(&m, PTOOLS_ERR_INVALID); /* and the one that is there stays */
    ck_assert_int_eq(rig_the_array(&r, second)->state, ARRAY_READY);
    rig_end(&r);
}
END_TEST

START_TEST(a_name_that_is_taken_meanwhile)
{
    struct msg_array m = rig_shape("a", 10);
    uint64_t first, second, third;

    setup(1);
    first = rig_array(&r, r.client, &m);
    m.replace = true;
    create(r.client, &m);
    second = rig_asked(&r);
    core_array(r.core, r.now, r.client, ++r.request, MSG_ARRAY_UNLINK, &(struct msg_array){ .array = first }, &r.out);
    rig_clear(&r);
    m.replace = false;
    create(r.client, &m);
    third = rig_asked(&r);
    rig_made(&r, second);
    ck_assert_ptr_null(array_find(r.core, second));
    rig_made(&r, third);
    ck_assert_int_eq(rig_the_array(&r, third)->state, ARRAY_READY);
    rig_end(&r);
}
END_TEST

START_TEST(replacing_what_another_connection_made)
{
    struct msg_array m = rig_shape("a", 10);
    uint64_t first;
    uint32_t other;

    setup(1);
    m.keep = true;
    first = rig_array(&r, r.client, &m);
    other = rig_client(&r, 1000);
    m.keep = false;
    m.replace = true;
    ck_assert_uint_ne(rig_array(&r, other, &m), first);
    ck_assert_ptr_null(rig_the_array(&r, first));
    rig_leaves(&r, other);
    ck_assert_ptr_null(r.core->arrays); /* the new one was not to be kept */
    rig_end(&r);
}
END_TEST

START_TEST(arrays_of_server_tasks_are_not_replaced)
{
    struct msg_stasks s = { .count = 1, .n_arrays = 1, .arrays = (uint64_t[1]){ 0 } };
    struct msg_array m = rig_shape("a", 10), unlink = by_name("", "a");

    setup(1);
    s.arrays[0] = rig_array(&r, r.client, &m);
    rig_stasks(&r, r.client, &s);
    m.replace = true;
    ck_assert_str_eq(refused(&m, PTOOLS_ERR_EXISTS),
                     "there is an array a already, of server tasks: it ends with them");
    rig_array_request(&r, r.client, MSG_ARRAY_UNLINK, &unlink);
    ck_assert_str_eq(rig_failure(&r, r.request, PTOOLS_ERR_EXISTS),
                     "array a is of server tasks: it ends when they are stopped");
    rig_end(&r);
}
END_TEST

/* Prefix and name are two things, also where they would look alike together. */
START_TEST(names_of_others_are_no_matter)
{
    struct msg_array m = rig_shape("a", 10);
    uint64_t array[5];
    uint32_t other;

    setup(1);
    other = rig_client(&r, 1001);
    array[0] = rig_array(&r, r.client, &m);
    m.prefix = TEXT("x");
    array[1] = rig_array(&r, r.client, &m);
    m = rig_shape("xa", 10);
    array[2] = rig_array(&r, r.client, &m);
    m = rig_shape("a", 10);
    m.prefix = TEXT("xx");
    array[3] = rig_array(&r, r.client, &m);
    m.prefix = (struct text){ 0 };
    array[4] = rig_array(&r, other, &m);
    for (size_t i = 0; i < 5; i++)
        for (size_t k = 0; k < i; k++)
            ck_assert_uint_ne(array[i], array[k]);
    for (size_t i = 0; i < 5; i++) {
        static const char *const prefixes[] = { "", "x", "", "xx", "" }, *const names[] = { "a", "a", "xa", "a", "a" };
        struct fds_answer told;

        ck_assert_int_eq(rig_take_name(&r, true, i == 4 ? other : r.client, 0, FDS_OWN, prefixes[i], names[i], &told),
                         PTOOLS_OK);
        ck_assert_uint_eq(told.id, array[i]);
        ck_assert_str_eq(told.prefix, prefixes[i]);
    }
    rig_end(&r);
}
END_TEST

/* -- limits -------------------------------------------------------------------------------------------------- */

START_TEST(limits_tell_asked_free_and_limit)
{
    struct msg_array m = rig_shape(NULL, 60000), others = rig_shape(NULL, 30000);
    uint32_t other;

    rig_limits(&r);
    r.limits.user_shm_max = 100000;
    r.limits.shm_max = 150000;
    rig_start(&r, 1);
    other = rig_client(&r, 1001);
    rig_array(&r, r.client, &m); /* 61,440 in pages */
    ck_assert_str_eq(refused(&m, PTOOLS_ERR_LIMIT),
                     "over the limit user_shm_max: 60000 bytes asked for, 38560 free, the limit is 100000");
    m.dims[0] = 100001;
    ck_assert_str_eq(refused(&m, PTOOLS_ERR_LIMIT),
                     "over the limit user_shm_max: 100001 bytes asked for, 38560 free, the limit is 100000");
    m.dims[0] = INT64_MAX / 2;
    ck_has(refused(&m, PTOOLS_ERR_LIMIT), " bytes asked for, 38560 free, the limit is 100000");
    m.dims[0] = 38560;
    rig_array(&r, r.client, &m); /* as much as there is; the pages go a little beyond it */
    m.dims[0] = 1;
    ck_assert_str_eq(refused(&m, PTOOLS_ERR_LIMIT),
                     "over the limit user_shm_max: 1 bytes asked for, 0 free, the limit is 100000");
    m.file = 1; /* costs nothing */
    rig_array(&r, r.client, &m);
    rig_array(&r, other, &others); /* 102,400 and 32,768 */
    ck_assert_str_eq(rig_failure(&r, create(other, &others), PTOOLS_ERR_LIMIT),
                     "over the limit shm_max: 30000 bytes asked for, 14832 free, the limit is 150000");
    rig_end(&r);
}
END_TEST

START_TEST(what_is_being_made_counts)
{
    struct msg_array m = rig_shape(NULL, 60000);
    uint64_t array;

    rig_limits(&r);
    r.limits.user_shm_max = 100000;
    rig_start(&r, 1);
    create(r.client, &m);
    array = rig_asked(&r);
    ck_assert_str_eq(refused(&m, PTOOLS_ERR_LIMIT),
                     "over the limit user_shm_max: 60000 bytes asked for, 40000 free, the limit is 100000");
    rig_not_made(&r, array, PTOOLS_ERR_NO_SPACE, "the machine is full");
    rig_array(&r, r.client, &m);
    rig_end(&r);
}
END_TEST

START_TEST(arrays_are_counted)
{
    struct msg_array m = rig_shape("a", 1);

    rig_limits(&r);
    r.limits.user_arrays_max = 2;
    rig_start(&r, 1);
    rig_array(&r, r.client, &m);
    m = rig_shape(NULL, 1);
    m.file = 1;
    rig_array(&r, r.client, &m); /* those in files too */
    m = rig_shape("b", 1);
    ck_assert_str_eq(refused(&m, PTOOLS_ERR_LIMIT),
                     "over the limit user_arrays_max: 2 of 2 in use, 1 more asked for");
    rig_array(&r, rig_client(&r, 1001), &m); /* of each user */
    m = rig_shape("a", 1);
    m.replace = true;
    rig_array(&r, r.client, &m); /* one goes, one comes */
    rig_end(&r);
}
END_TEST

START_TEST(a_replaced_one_makes_room_for_the_new_one)
{
    struct msg_array m = rig_shape("a", 80000);

    rig_limits(&r);
    r.limits.user_shm_max = r.limits.shm_max = 100000;
    rig_start(&r, 1);
    rig_array(&r, r.client, &m);
    m.replace = true;
    m.dims[0] = 100001;
    ck_assert_str_eq(refused(&m, PTOOLS_ERR_LIMIT),
                     "over the limit user_shm_max: 100001 bytes asked for, 100000 free, the limit is 100000");
    m.dims[0] = 100000;
    rig_array(&r, r.client, &m);
    rig_end(&r);
}
END_TEST

/* -- made, or not ---------------------------------------------------------------------------------------------- */

START_TEST(what_cannot_be_made_is_told)
{
    struct msg_array m = rig_shape("a", 10);
    uint64_t array;

    setup(1);
    m.keep = true;
    create(r.client, &m);
    array = rig_asked(&r);
    rig_not_made(&r, array, PTOOLS_ERR_NO_SPACE, "10 bytes asked for, 0 free");
    ck_assert_str_eq(rig_failure(&r, r.request, PTOOLS_ERR_NO_SPACE), "10 bytes asked for, 0 free");
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, array), 1);
    ck_assert_ptr_null(r.core->arrays);
    ck_assert_uint_eq(r.core->shm_bytes, 0);
    rig_array(&r, r.client, &m); /* the name is free */
    rig_end(&r);
}
END_TEST

START_TEST(made_without_being_asked_for)
{
    struct core_memory memory = { .mapped_bytes = RIG_PAGE };
    uint64_t array;

    setup(1);
    array = rig_array_of(&r, "a", 10);
    core_array_made(r.core, r.now, array, PTOOLS_OK, "", &memory, &r.out);
    ck_has(rig_find(&r, ACT_BUG, 0)->text, "was made, which was not asked for");
    core_array_made(r.core, r.now, 12345, PTOOLS_OK, "", &memory, &r.out);
    ck_has(rig_find(&r, ACT_BUG, 1)->text, "array 12345 was made, which was not asked for");
    rig_check(&r);
    ck_assert_uint_eq(r.core->shm_bytes, RIG_PAGE);
    rig_end(&r);
}
END_TEST

START_TEST(requests_of_nobody_and_of_another_kind)
{
    struct msg_array m = rig_shape("a", 10);

    setup(1);
    create(77, &m);
    ck_has(rig_find(&r, ACT_BUG, 0)->text, "client 77, which there is not");
    rig_array_request(&r, r.client, MSG_SET_CREATE, &m);
    ck_has(rig_find(&r, ACT_BUG, 1)->text, "set-create is not about arrays");
    ck_assert_ptr_null(r.core->arrays);
    rig_end(&r);
}
END_TEST

/* What a client still has mapped is still charged, whoever unlinked it. */
START_TEST(charged_until_nobody_has_it)
{
    const struct msg_array unlink = by_name("", "a");
    struct msg_array close = { 0 };
    uint64_t array;
    uint32_t other;

    setup(1);
    array = close.array = rig_array_of(&r, "a", 4096);
    other = rig_client(&r, 1000);
    ck_assert_int_eq(rig_take(&r, true, r.client, 0, array, NULL), PTOOLS_OK);
    ck_assert_int_eq(rig_take(&r, true, r.client, 0, array, NULL), PTOOLS_OK);
    ck_assert_int_eq(rig_take(&r, true, other, 0, array, NULL), PTOOLS_OK);
    ck_assert_int_eq(rig_take(&r, false, 1, 0, array, NULL), PTOOLS_ERR_NO_ARRAY); /* a process has no say */
    rig_array_request(&r, other, MSG_ARRAY_UNLINK, &unlink);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, array), 1);
    ck_assert_int_eq(rig_take(&r, true, other, 0, array, NULL), PTOOLS_ERR_NO_ARRAY);
    rig_array_request(&r, r.client, MSG_ARRAY_CLOSE, &close);
    ck_assert_uint_ge(r.core->shm_bytes, 4096);
    rig_array_request(&r, r.client, MSG_ARRAY_CLOSE, &close);
    ck_assert_uint_ge(r.core->shm_bytes, 4096);
    core_client_gone(r.core, r.now, other, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(r.core->shm_bytes, 0);
    ck_assert_ptr_null(r.core->arrays);
    rig_end(&r);
}
END_TEST

/* -- unlink ---------------------------------------------------------------------------------------------------- */

START_TEST(unlink_by_name_and_by_number)
{
    struct msg_array m = rig_shape("a", 10), name = by_name("run", "a"), number = { 0 };
    uint64_t array, other_prefix;
    uint32_t same_user;

    setup(1);
    other_prefix = rig_array(&r, r.client, &m);
    m.prefix = TEXT("run");
    array = rig_array(&r, r.client, &m);
    same_user = rig_client(&r, 1000);
    rig_array_request(&r, same_user, MSG_ARRAY_UNLINK, &name); /* the user's, not the connection's */
    rig_reply(&r, r.request);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, array), 1);
    ck_has(rig_note(&r, NOTE_ARRAY_ENDED)->text, "it was unlinked");
    rig_array_request(&r, r.client, MSG_ARRAY_UNLINK, &name);
    ck_assert_str_eq(rig_failure(&r, r.request, PTOOLS_ERR_NO_ARRAY), "no array run/a");
    number.array = other_prefix;
    rig_array_request(&r, r.client, MSG_ARRAY_UNLINK, &number);
    rig_reply(&r, r.request);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, other_prefix), 1);
    number.array = rig_array_of(&r, NULL, 10);
    rig_array_request(&r, r.client, MSG_ARRAY_UNLINK, &number); /* without a name */
    rig_reply(&r, r.request);
    ck_assert_ptr_null(rig_note(&r, NOTE_ARRAY_ENDED)); /* of no interest to the log */
    rig_array_request(&r, r.client, MSG_ARRAY_UNLINK, &number);
    ck_has(rig_failure(&r, r.request, PTOOLS_ERR_NO_ARRAY), "no array 1");
    ck_assert_ptr_null(r.core->arrays);
    rig_end(&r);
}
END_TEST

START_TEST(what_cannot_be_unlinked)
{
    struct msg_array m = rig_shape("a", 10), name = by_name("", "a"), number = { 0 };
    uint32_t other;

    setup(1);
    m.n_share = 1;
    m.share = (uint32_t[]){ 1001 };
    create(r.client, &m);
    rig_array_request(&r, r.client, MSG_ARRAY_UNLINK, &name); /* it is not there yet */
    ck_assert_str_eq(rig_failure(&r, r.request, PTOOLS_ERR_NO_ARRAY), "no array a");
    number.array = rig_asked(&r);
    rig_made(&r, number.array);
    other = rig_client(&r, 1001);
    rig_array_request(&r, other, MSG_ARRAY_UNLINK, &name);
    ck_assert_str_eq(rig_failure(&r, r.request, PTOOLS_ERR_NO_ARRAY), "no array a");
    rig_array_request(&r, other, MSG_ARRAY_UNLINK, &number); /* it may map it, but it is not its own */
    ck_has(rig_failure(&r, r.request, PTOOLS_ERR_NO_ARRAY), "no array ");
    ck_assert_int_eq(rig_the_array(&r, number.array)->state, ARRAY_READY);
    rig_end(&r);
}
END_TEST

/* -- take ------------------------------------------------------------------------------------------------------ */

START_TEST(clients_take_their_users_and_what_is_shared)
{
    struct msg_array m = rig_shape("a", 10);
    struct fds_answer told;
    uint32_t same, shared, stranger;
    uint64_t array, private;

    setup(1);
    m.n_share = 2;
    m.share = (uint32_t[]){ 1001, 1003 };
    array = rig_array(&r, r.client, &m);
    m = rig_shape("b", 10);
    private = rig_array(&r, r.client, &m);
    same = rig_client(&r, 1000);
    shared = rig_client(&r, 1003);
    stranger = rig_client(&r, 1002);
    ck_assert_int_eq(rig_take(&r, true, same, 0, array, NULL), PTOOLS_OK);
    ck_assert_int_eq(rig_take(&r, true, shared, 0, array, &told), PTOOLS_OK);
    ck_assert_uint_eq(told.owner, 1000);
    ck_assert_int_eq(rig_take(&r, true, stranger, 0, array, &told), PTOOLS_ERR_NO_ARRAY);
    ck_has(told.text, "no array ");
    ck_assert_int_eq(rig_take(&r, true, shared, 0, private, NULL), PTOOLS_ERR_NO_ARRAY);

    ck_assert_int_eq(rig_take_name(&r, true, same, 0, FDS_OWN, "", "a", NULL), PTOOLS_OK);
    ck_assert_int_eq(rig_take_name(&r, true, shared, 0, 1000, "", "a", NULL), PTOOLS_OK);
    ck_assert_int_eq(rig_take_name(&r, true, shared, 0, FDS_OWN, "", "a", NULL), PTOOLS_ERR_NO_ARRAY);
    ck_assert_int_eq(rig_take_name(&r, true, shared, 0, 1000, "", "b", NULL), PTOOLS_ERR_NO_ARRAY);
    ck_assert_int_eq(rig_take_name(&r, true, stranger, 0, 1000, "run", "a", &told), PTOOLS_ERR_NO_ARRAY);
    ck_assert_str_eq(told.text, "no array run/a"); /* "not yours" is "there is none" */
    ck_assert_int_eq(rig_take_name(&r, true, same, 0, FDS_OWN, "", "", NULL), PTOOLS_ERR_NO_ARRAY);
    ck_assert_int_eq(rig_take(&r, true, 77, 0, array, &told), PTOOLS_ERR_INTERNAL);
    ck_assert_str_eq(told.text, "whoever asks is not known");
    rig_end(&r);
}
END_TEST

/* A worker has no user of its own: it takes what its task's user may take, and without a task what is everywhere. */
START_TEST(workers_take_for_their_tasks)
{
    struct msg_array m = rig_shape("a", 10);
    uint64_t mine, theirs, everywhere, my_task, their_task;
    uint32_t other;

    setup(2);
    other = rig_client(&r, 1001);
    mine = rig_array(&r, r.client, &m);
    theirs = rig_array(&r, other, &m);
    m = rig_shape("e", 10);
    m.everywhere = true;
    everywhere = rig_array(&r, other, &m);
    my_task = rig_task(&r, rig_call_worker(&r, "m.f", 1))->id;
    their_task = task_find_request(r.core, other,
                                   rig_call_with(&r, other, &(struct msg_call){ .function = TEXT("m.f"), .worker = 2 }))
                     ->id;
    rig_assign(&r);
    ck_assert_int_eq(rig_take(&r, false, 1, my_task, mine, NULL), PTOOLS_OK);
    ck_assert_int_eq(rig_take(&r, false, 1, my_task, theirs, NULL), PTOOLS_ERR_NO_ARRAY);
    ck_assert_int_eq(rig_take(&r, false, 2, their_task, theirs, NULL), PTOOLS_OK);
    ck_assert_int_eq(rig_take(&r, false, 2, their_task, mine, NULL), PTOOLS_ERR_NO_ARRAY);
    ck_assert_int_eq(rig_take_name(&r, false, 2, their_task, FDS_OWN, "", "a", NULL), PTOOLS_OK);
    ck_assert_int_eq(rig_take_name(&r, false, 1, my_task, 1001, "", "a", NULL), PTOOLS_ERR_NO_ARRAY);
    ck_assert_int_eq(rig_take(&r, false, 1, their_task, theirs, NULL), PTOOLS_ERR_NO_ARRAY); /* another worker's */
    ck_assert_int_eq(rig_take(&r, false, 1, 0, everywhere, NULL), PTOOLS_OK);
    ck_assert_int_eq(rig_take(&r, false, 1, 0, mine, NULL), PTOOLS_ERR_NO_ARRAY);
    ck_assert_int_eq(rig_take_name(&r, false, 1, 0, FDS_OWN, "", "e", NULL), PTOOLS_ERR_NO_ARRAY);
    ck_assert_int_eq(rig_take_name(&r, false, 1, 0, 1001, "", "e", NULL), PTOOLS_ERR_NO_ARRAY);
    ck_assert_int_eq(rig_take(&r, false, 9, 0, everywhere, NULL), PTOOLS_ERR_INTERNAL);
    rig_end(&r);
}
END_TEST

START_TEST(server_tasks_take_for_their_user)
{
    struct msg_array m = rig_shape("a", 10);
    struct msg_stasks s = { .count = 1 };
    uint64_t mine, theirs;
    uint32_t other, process;

    setup(1);
    other = rig_client(&r, 1001);
    mine = rig_array(&r, r.client, &m);
    theirs = rig_array(&r, other, &m);
    process = rig_process(&r, rig_stasks(&r, other, &s), 0);
    ck_assert_int_eq(rig_take(&r, false, process, 5, theirs, NULL), PTOOLS_OK);
    ck_assert_int_eq(rig_take(&r, false, process, 5, mine, NULL), PTOOLS_ERR_NO_ARRAY);
    ck_assert_int_eq(rig_take_name(&r, false, process, 5, FDS_OWN, "", "a", NULL), PTOOLS_OK);
    ck_assert_int_eq(rig_take(&r, false, process + 1, 5, theirs, NULL), PTOOLS_ERR_INTERNAL);
    rig_end(&r);
}
END_TEST

START_TEST(arrays_of_server_tasks_by_their_place)
{
    struct msg_stasks m = { .count = 1, .n_arrays = 2, .arrays = (uint64_t[2]){ 0 } };
    struct fds_request request = { .kind = FDS_SHARED, .owner = FDS_OWN };
    struct fds_answer told;
    uint32_t other;

    setup(1);
    m.arrays[0] = rig_array_of(&r, "a", 10);
    m.arrays[1] = rig_array_of(&r, "b", 10);
    request.id = rig_stasks(&r, r.client, &m);
    for (request.index = 0; request.index < 2; request.index++) {
        core_array_take(r.core, true, r.client, &request, &told);
        ck_assert_uint_eq(told.code, PTOOLS_OK);
        ck_assert_uint_eq(told.id, m.arrays[request.index]);
        ck_assert_uint_eq(core_view_stasks_array(r.core, request.id, request.index), told.id);
    }
    core_array_take(r.core, true, r.client, &request, &told);
    ck_assert_uint_eq(told.code, PTOOLS_ERR_NO_ARRAY);
    ck_has(told.text, "have no array 2");
    ck_assert_uint_eq(core_view_stasks_array(r.core, request.id, 2), 0);
    request.index = 0;
    other = rig_client(&r, 1001);
    core_array_take(r.core, true, other, &request, &told);
    ck_assert_uint_eq(told.code, PTOOLS_ERR_NO_ARRAY);
    core_array_take(r.core, false, 1, &request, &told); /* a worker without a task: nobody */
    ck_assert_uint_eq(told.code, PTOOLS_ERR_NO_ARRAY);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core array_request");
    TCase *create_case = suite_case(suite, "create");
    TCase *limits = suite_case(suite, "limits");
    TCase *others = suite_case(suite, "made and unlinked");
    TCase *take = suite_case(suite, "take");

    tcase_add_test(create_case, what_is_asked_reaches_the_program);
    tcase_add_test(create_case, shapes_that_are_none);
    tcase_add_test(create_case, wishes_that_do_not_go_together);
    tcase_add_test(create_case, a_name_is_taken_once);
    tcase_add_test(create_case, a_name_that_is_taken_meanwhile);
    tcase_add_test(create_case, charged_until_nobody_has_it);
    tcase_add_test(create_case, replacing_what_another_connection_made);
    tcase_add_test(create_case, arrays_of_server_tasks_are_not_replaced);
    tcase_add_test(create_case, names_of_others_are_no_matter);

    tcase_add_test(limits, limits_tell_asked_free_and_limit);
    tcase_add_test(limits, what_is_being_made_counts);
    tcase_add_test(limits, arrays_are_counted);
    tcase_add_test(limits, a_replaced_one_makes_room_for_the_new_one);

    tcase_add_test(others, what_cannot_be_made_is_told);
    tcase_add_test(others, made_without_being_asked_for);
    tcase_add_test(others, requests_of_nobody_and_of_another_kind);
    tcase_add_test(others, unlink_by_name_and_by_number);
    tcase_add_test(others, what_cannot_be_unlinked);

    tcase_add_test(take, clients_take_their_users_and_what_is_shared);
    tcase_add_test(take, workers_take_for_their_tasks);
    tcase_add_test(take, server_tasks_take_for_their_user);
    tcase_add_test(take, arrays_of_server_tasks_by_their_place);
    return suite_run(suite);
}
