/* SPDX-License-Identifier: MIT */
/* message -- the kinds for arrays and server tasks, and the fields that other kinds have for large values. */
#include <string.h>

#include "proto/fds.h"
#include "proto/text.h"
#include "proto/util.h"
#include "tests/support/suite.h"
#include "tests/unit/proto/message_notation.h"

#define A16 "aaaaaaaaaaaaaaaa"
#define A64 A16 A16 A16 A16

/* -- arrays -------------------------------------------------------------------------------------------- */

START_TEST(array_create)
{
    static const char wire[] =
        "[1 'array-create' 5 {'name' 'svar1' 'prefix' '7.run' 'type' 'int32' 'dims' [64 1024] 'order' 'column' "
        "'replace' true 'keep' true 'keep_ms' 1000000000000 'huge' true 'populate' true 'everywhere' true "
        "'file' 18446744073709551615 'offset' 9223372036854775807 'share' [0 1000 4294967294]}]";
    struct msg_request m = request_from(wire);

    ck_assert_int_eq(m.kind, MSG_ARRAY_CREATE);
    ck_assert_uint_eq(m.id, 5);
    assert_text(m.array.name, "svar1");
    assert_text(m.array.prefix, "7.run");
    ck_assert_uint_eq(m.array.type, PTOOLS_INT32);
    ck_assert_uint_eq(m.array.ndims, 2);
    ck_assert_uint_eq(m.array.dims[0], 64);
    ck_assert_uint_eq(m.array.dims[1], 1024);
    ck_assert_uint_eq(m.array.order, PTOOLS_COLUMN_MAJOR);
    ck_assert(m.array.replace && m.array.keep && m.array.huge && m.array.populate && m.array.everywhere);
    ck_assert_uint_eq(m.array.keep_ms, UINT64_C(1000000000000));
    ck_assert_uint_eq(m.array.file, UINT64_MAX);
    ck_assert_uint_eq(m.array.offset, INT64_MAX);
    ck_assert_uint_eq(m.array.n_share, 3);
    ck_assert_uint_eq(m.array.share[0], 0);
    ck_assert_uint_eq(m.array.share[1], 1000);
    ck_assert_uint_eq(m.array.share[2], UINT32_MAX - 1);
    assert_request(&m, wire);
}
END_TEST

START_TEST(array_create_least)
{
    static const char wire[] = "[1 'array-create' 5 {'type' 'bool' 'dims' [1]}]";
    struct msg_request m = request_from(wire);

    assert_text(m.array.name, NULL);
    assert_text(m.array.prefix, NULL);
    ck_assert_uint_eq(m.array.type, PTOOLS_BOOLEAN);
    ck_assert_uint_eq(m.array.order, PTOOLS_ROW_MAJOR);
    ck_assert(!m.array.replace && !m.array.keep && !m.array.huge && !m.array.populate && !m.array.everywhere);
    ck_assert_uint_eq(m.array.keep_ms, 0);
    ck_assert_uint_eq(m.array.file, 0);
    ck_assert_uint_eq(m.array.n_share, 0);
    assert_request(&m, wire);
    /* saying the defaults is the same */
    m = request_from("[1 'array-create' 5 {'type' 'bool' 'dims' [1] 'order' 'row' 'replace' false 'keep' false "
                     "'keep_ms' 0 'huge' false 'populate' false 'everywhere' false 'file' 0 'offset' 0}]");
    assert_request(&m, wire);
}
END_TEST

START_TEST(every_type)
{
    for (uint32_t type = PTOOLS_INT8; type <= PTOOLS_BOOLEAN; type++) {
        struct msg_request back, m = { .kind = MSG_ARRAY_CREATE, .id = 1 };

        m.array.type = type;
        m.array.ndims = 1;
        m.array.dims[0] = type;
        bytes_reset(&out);
        msg_request_encode(&m, &out);
        ck_assert_int_eq(msg_request_decode(decoder, out.data, out.n, &back, &problem), 0);
        ck_assert_uint_eq(back.array.type, type);
        ck_assert_uint_eq(back.array.dims[0], type);
    }
}
END_TEST

START_TEST(dims)
{
    struct msg_request m = request_from("[1 'array-create' 5 {'type' 'int8' 'dims' "
                                        "[1 2 3 4 5 6 7 18446744073709551615]}]");

    ck_assert_uint_eq(m.array.ndims, PTOOLS_DIMS_MAX);
    for (uint32_t i = 0; i < 7; i++)
        ck_assert_uint_eq(m.array.dims[i], i + 1);
    ck_assert_uint_eq(m.array.dims[7], UINT64_MAX);
    /* 0 passes here: layout_make() tells which dimension it is */
    ck_assert_uint_eq(request_from("[1 'array-create' 5 {'type' 'int8' 'dims' [4 0]}]").array.dims[1], 0);
}
END_TEST

START_TEST(array_unlink_and_close)
{
    static const char by_name[] = "[1 'array-unlink' 6 {'name' 'a.b' 'prefix' ''}]";
    static const char by_number[] = "[1 'array-unlink' 6 {'array' 18446744073709551615}]";
    static const char close[] = "[1 'array-close' 7 {'array' 12}]";
    struct msg_request m = request_from(by_name);

    ck_assert_int_eq(m.kind, MSG_ARRAY_UNLINK);
    assert_text(m.array.name, "a.b");
    assert_text(m.array.prefix, "");
    ck_assert_uint_eq(m.array.array, 0);
    assert_request(&m, by_name);
    m = request_from(by_number);
    assert_text(m.array.name, NULL);
    ck_assert_uint_eq(m.array.array, UINT64_MAX);
    assert_request(&m, by_number);
    m = request_from(close);
    ck_assert_int_eq(m.kind, MSG_ARRAY_CLOSE);
    ck_assert_uint_eq(m.array.array, 12);
    assert_request(&m, close);
}
END_TEST

/* -- server tasks -------------------------------------------------------------------------------------- */

START_TEST(stasks_start)
{
    static const char wire[] = "[1 'stasks-start' 8 {'count' 1024 'name' 'heat' 'prefix' '0' 'arrays' [3 1 "
                               "18446744073709551615]}]";
    struct msg_request m = request_from(wire);

    ck_assert_int_eq(m.kind, MSG_STASKS_START);
    ck_assert_uint_eq(m.stasks.count, STASKS_MAX);
    assert_text(m.stasks.name, "heat");
    assert_text(m.stasks.prefix, "0");
    ck_assert_uint_eq(m.stasks.n_arrays, 3);
    ck_assert_uint_eq(m.stasks.arrays[0], 3);
    ck_assert_uint_eq(m.stasks.arrays[1], 1);
    ck_assert_uint_eq(m.stasks.arrays[2], UINT64_MAX);
    assert_request(&m, wire);
    m = request_from("[1 'stasks-start' 8 {}]"); /* one for each worker */
    ck_assert_uint_eq(m.stasks.count, 0);
    ck_assert_uint_eq(m.stasks.n_arrays, 0);
    assert_text(m.stasks.name, NULL);
    assert_text(m.stasks.prefix, NULL);
    assert_request(&m, "[1 'stasks-start' 8 {}]");
}
END_TEST

START_TEST(most_arrays)
{
    uint64_t ids[STASKS_ARRAYS_MAX + 1];
    struct msg_request back, m = { .kind = MSG_STASKS_START, .id = 1 };

    for (uint32_t i = 0; i < ELEMENTS(ids); i++)
        ids[i] = UINT64_MAX - i;
    m.stasks.arrays = ids;
    m.stasks.n_arrays = STASKS_ARRAYS_MAX;
    msg_request_encode(&m, &out);
    for (int i = 0; i < 3; i++) { /* the decoder's memory is used again */
        ck_assert_int_eq(msg_request_decode(decoder, out.data, out.n, &back, &problem), 0);
        ck_assert_uint_eq(back.stasks.n_arrays, STASKS_ARRAYS_MAX);
        ck_assert_mem_eq(back.stasks.arrays, ids, STASKS_ARRAYS_MAX * sizeof ids[0]);
    }
    m.stasks.n_arrays++;
    bytes_reset(&out);
    msg_request_encode(&m, &out);
    ck_assert_int_eq(msg_request_decode(decoder, out.data, out.n, &back, &problem), 1);
    ck_assert_ptr_nonnull(strstr(problem.text, "stasks-start: arrays must be a list of 1 to 64 numbers, each from 1"));
}
END_TEST

START_TEST(most_shares)
{
    uint32_t uids[SHARE_MAX + 1] = { 0 };
    struct msg_request back, m = { .kind = MSG_ARRAY_CREATE, .id = 1 };

    m.array.type = PTOOLS_INT8;
    m.array.ndims = 1;
    m.array.dims[0] = 1;
    m.array.share = uids;
    m.array.n_share = SHARE_MAX;
    msg_request_encode(&m, &out);
    ck_assert_int_eq(msg_request_decode(decoder, out.data, out.n, &back, &problem), 0);
    ck_assert_uint_eq(back.array.n_share, SHARE_MAX);
    m.array.n_share++;
    bytes_reset(&out);
    msg_request_encode(&m, &out);
    ck_assert_int_eq(msg_request_decode(decoder, out.data, out.n, &back, &problem), 1);
    ck_assert_ptr_nonnull(strstr(problem.text, "array-create: share must be a list of 1 to 16 uids"));
}
END_TEST

START_TEST(stasks_by_number)
{
    static const char open[] = "[1 'stasks-open' 1 {'name' 'heat'}]";
    static const char restart[] = "[1 'stasks-restart' 2 {'stasks' 9}]";
    static const char stop[] = "[1 'stasks-stop' 3 {'stasks' 9 'kill_ms' 1000000000000}]";
    struct msg_request m = request_from(open);

    ck_assert_int_eq(m.kind, MSG_STASKS_OPEN);
    assert_text(m.stasks.name, "heat");
    assert_request(&m, open);
    m = request_from(restart);
    ck_assert_int_eq(m.kind, MSG_STASKS_RESTART);
    ck_assert_uint_eq(m.stasks.stasks, 9);
    assert_request(&m, restart);
    m = request_from(stop);
    ck_assert_int_eq(m.kind, MSG_STASKS_STOP);
    ck_assert_uint_eq(m.stasks.stasks, 9);
    ck_assert_uint_eq(m.stasks.kill_ms, UINT64_C(1000000000000));
    assert_request(&m, stop);
    m = request_from("[1 'stasks-stop' 3 {'stasks' 18446744073709551615}]");
    ck_assert_uint_eq(m.stasks.stasks, UINT64_MAX);
    ck_assert_uint_eq(m.stasks.kill_ms, 0); /* nobody is killed */
}
END_TEST

START_TEST(stasks_calls)
{
    static const char fate[] = "[1 'stasks-fate' 4 {'stasks' 9 'index' 1023 'process' 4294967295 "
                               "'call' 18446744073709551615}]";
    static const char cancel[] = "[1 'stasks-cancel' 5 {'stasks' 9 'process' 1 'call' 1}]";
    struct msg_request m = request_from(fate);

    ck_assert_int_eq(m.kind, MSG_STASKS_FATE);
    ck_assert_uint_eq(m.stasks.stasks, 9);
    ck_assert_uint_eq(m.stasks.index, STASKS_MAX - 1);
    ck_assert_uint_eq(m.stasks.process, UINT32_MAX);
    ck_assert_uint_eq(m.stasks.call, UINT64_MAX);
    assert_request(&m, fate);
    m = request_from(cancel);
    ck_assert_int_eq(m.kind, MSG_STASKS_CANCEL);
    ck_assert_uint_eq(m.stasks.index, 0);
    ck_assert_uint_eq(m.stasks.process, 1);
    ck_assert_uint_eq(m.stasks.call, 1);
    assert_request(&m, cancel);
}
END_TEST

/* -- fields for large values --------------------------------------------------------------------------- */

START_TEST(call_with_arrays)
{
    static const char wire[] = "[1 'call' 9 {'function' 'a.b' 'args' [7 1048577] 'room' 8 'large' 1048576}]";
    struct msg_request m = request_from(wire);

    ck_assert_uint_eq(m.call.args, 7);
    ck_assert_uint_eq(m.call.args_bytes, 1048577);
    ck_assert_uint_eq(m.call.room, 8);
    ck_assert_uint_eq(m.call.large, 1048576);
    assert_request(&m, wire);
    m = request_from("[1 'call' 9 {'function' 'a.b' 'room' 0 'large' 0}]");
    ck_assert_uint_eq(m.call.args, 0);
    ck_assert_uint_eq(m.call.args_bytes, 0);
    assert_request(&m, "[1 'call' 9 {'function' 'a.b'}]");
    m = request_from("[1 'call' 9 {'function' 'a.b' 'args' [18446744073709551615 0]}]");
    ck_assert_uint_eq(m.call.args, UINT64_MAX);
    ck_assert_uint_eq(m.call.args_bytes, 0);
}
END_TEST

START_TEST(reply_to_hello_with_door)
{
    static const char wire[] = "[1 'reply' 1 {'version' 1 'token' #c410000102030405060708090a0b0c0d0e0f "
                               "'door' '/run/ptools/ptoolsd.fds' 'large' 1048576}]";
    struct msg_answer m = answer_from(wire);

    ck_assert_uint_eq(m.reply.token.n, FDS_TOKEN_BYTES);
    ck_assert_uint_eq(m.reply.token.data[15], 15);
    assert_text(m.reply.door, "/run/ptools/ptoolsd.fds");
    ck_assert_uint_eq(m.reply.large, 1048576);
    assert_answer(&m, wire);
}
END_TEST

START_TEST(replies)
{
    static const char *const wires[] = {
        "[1 'reply' 9 {'array' 18446744073709551615 'huge' true}]",
        "[1 'reply' 9 {'task' 1 'worker' 2 'attempt' 1 'value' [12 1048577]}]",
        "[1 'reply' 9 {'stasks' 18446744073709551615 'count' 1024 'arrays' 64 'process' 2147483649}]",
    };
    struct msg_answer m;

    for (size_t i = 0; i < ELEMENTS(wires); i++) {
        m = answer_from(wires[i]);
        assert_answer(&m, wires[i]);
    }
    m = answer_from(wires[0]);
    ck_assert_uint_eq(m.reply.array, UINT64_MAX);
    ck_assert(m.reply.huge);
    ck_assert_uint_eq(m.reply.value, 0);
    m = answer_from(wires[1]);
    ck_assert_uint_eq(m.reply.value, 12);
    ck_assert_uint_eq(m.reply.value_bytes, 1048577);
    m = answer_from(wires[2]);
    ck_assert_uint_eq(m.reply.stasks, UINT64_MAX);
    ck_assert_uint_eq(m.reply.count, 1024);
    ck_assert_uint_eq(m.reply.arrays, 64);
    ck_assert_uint_eq(m.reply.process, 2147483649u);
}
END_TEST

/* -- what is refused ----------------------------------------------------------------------------------- */

#define CREATE(fields) "[1 'array-create' 9 {'type' 'int8' 'dims' [1] " fields "}]"
#define FATE(fields)   "[1 'stasks-fate' 9 {" fields "}]"

static const struct {
    const char *wire, *says;
} bad_requests[] = {
    { "[1 'array-create' 9 {'type' 'int8'}]", "array-create: dims is missing" },
    { "[1 'array-create' 9 {'dims' [1]}]", "array-create: type is missing" },
    { "[1 'array-create' 9 {'type' 'int128' 'dims' [1]}]",
      "array-create: type must be one of int8 to int64, uint8 to uint64, float32, float64, complex64, complex128, "
      "bool; it is \"int128\"" },
    { "[1 'array-create' 9 {'type' '' 'dims' [1]}]", "it is \"\"" },
    { "[1 'array-create' 9 {'type' 'unknown type' 'dims' [1]}]", "it is \"unknown type\"" },
    { "[1 'array-create' 9 {'type' 1 'dims' [1]}]", "it is 1" },
    { "[1 'array-create' 9 {'type' 'int8' 'dims' []}]", "array-create: dims must be a list of 1 to 8 integers" },
    { "[1 'array-create' 9 {'type' 'int8' 'dims' [1 1 1 1 1 1 1 1 1]}]", "a list of 1 to 8 integers" },
    { "[1 'array-create' 9 {'type' 'int8' 'dims' [-1]}]", "a list of 1 to 8 integers" },
    { "[1 'array-create' 9 {'type' 'int8' 'dims' ['1']}]", "a list of 1 to 8 integers" },
    { "[1 'array-create' 9 {'type' 'int8' 'dims' 1}]", "dims must be a list of 1 to 8 integers, each from 1; it is 1" },
    { CREATE("'name' ''"), "array-create: name must be a string, 1 to 64 of" },
    { CREATE("'name' 'a/b'"), "it is \"a/b\"" },
    { CREATE("'name' '7a'"), "not beginning with a digit" },
    { CREATE("'name' '" A64 "a'"), "array-create: name must be" },
    { CREATE("'prefix' 'a/b'"), "array-create: prefix must be a string, up to 64 of A-Z a-z 0-9 _ . -; it is \"a/b\"" },
    { CREATE("'prefix' '" A64 "a'"), "array-create: prefix must be" },
    { CREATE("'prefix' 1"), "prefix must be a string" },
    { CREATE("'order' 'diagonal'"), "array-create: order must be \"row\" or \"column\"; it is \"diagonal\"" },
    { CREATE("'order' 1"), "\"row\" or \"column\"; it is 1" },
    { CREATE("'keep' 1"), "array-create: keep must be true or false" },
    { CREATE("'keep_ms' 1000000000001"), "keep_ms must be an integer from 0 to 1000000000000" },
    { CREATE("'keep_ms' -1"), "keep_ms must be" },
    { CREATE("'offset' 9223372036854775808"), "offset must be an integer from 0 to 9223372036854775807" },
    { CREATE("'file' -1"), "file must be an integer" },
    { CREATE("'share' []"), "array-create: share must be a list of 1 to 16 uids" },
    { CREATE("'share' [4294967295]"), "share must be" }, /* that is "nobody" to the system */
    { CREATE("'share' ['root']"), "share must be" },
    { CREATE("'type' 'int8'"), "array-create: type is there twice" },
    { "[1 'array-unlink' 9 {}]", "array-unlink: exactly one of name and array must be there" },
    { "[1 'array-unlink' 9 {'prefix' 'p'}]", "exactly one of name and array" },
    { "[1 'array-unlink' 9 {'name' 'a' 'array' 1}]", "exactly one of name and array" },
    { "[1 'array-unlink' 9 {'name' '1a'}]", "array-unlink: name must be" },
    { "[1 'array-close' 9 {}]", "array-close: array is missing" },
    { "[1 'array-close' 9 {'array' 0}]", "array-close: array must be an integer from 1 to" },
    { "[1 'stasks-start' 9 {'count' 1025}]", "stasks-start: count must be an integer from 0 to 1024; it is 1025" },
    { "[1 'stasks-start' 9 {'name' '9'}]", "stasks-start: name must be" },
    { "[1 'stasks-start' 9 {'arrays' []}]", "arrays must be a list of 1 to 64 numbers, each from 1" },
    { "[1 'stasks-start' 9 {'arrays' [1 0]}]", "arrays must be" },
    { "[1 'stasks-start' 9 {'arrays' [1 'a']}]", "arrays must be" },
    { "[1 'stasks-open' 9 {}]", "stasks-open: name is missing" },
    { "[1 'stasks-restart' 9 {}]", "stasks-restart: stasks is missing" },
    { "[1 'stasks-restart' 9 {'stasks' 0}]", "stasks-restart: stasks must be an integer from 1 to" },
    { "[1 'stasks-stop' 9 {'kill_ms' 5}]", "stasks-stop: stasks is missing" },
    { "[1 'stasks-stop' 9 {'stasks' 1 'kill_ms' 1000000000001}]",
      "kill_ms must be an integer from 0 to 1000000000000" },
    { FATE("'stasks' 1 'process' 1"), "stasks-fate: call is missing" },
    { FATE("'stasks' 1 'call' 1"), "stasks-fate: process is missing" },
    { FATE("'process' 1 'call' 1"), "stasks-fate: stasks is missing" },
    { FATE("'stasks' 1 'process' 0 'call' 1"), "process must be an integer from 1 to 4294967295; it is 0" },
    { FATE("'stasks' 1 'process' 4294967296 'call' 1"), "process must be" },
    { FATE("'stasks' 1 'process' 1 'call' 0"), "call must be an integer from 1" },
    { FATE("'stasks' 1 'process' 1 'call' 1 'index' 1024"), "index must be an integer from 0 to 1023; it is 1024" },
    { "[1 'stasks-cancel' 9 {'stasks' 1 'process' 1}]", "stasks-cancel: call is missing" },
    { "[1 'call' 9 {'function' 'a.b' 'args' [0 5]}]", "call: args must be a list of two integers" },
    { "[1 'call' 9 {'function' 'a.b' 'args' [1]}]", "call: args must be" },
    { "[1 'call' 9 {'function' 'a.b' 'args' [1 2 3]}]", "call: args must be" },
    { "[1 'call' 9 {'function' 'a.b' 'args' [1 -1]}]", "call: args must be" },
    { "[1 'call' 9 {'function' 'a.b' 'args' 1}]", "call: args must be" },
    { "[1 'call' 9 {'function' 'a.b' 'room' '1'}]", "call: room must be an integer" },
    { "[1 'call' 9 {'function' 'a.b' 'large' -1}]", "call: large must be an integer" },
};

START_TEST(bad_request)
{
    const char *wire = bad_requests[_i].wire;
    struct msg_request m, untouched;
    int r;

    memset(&m, 0x5a, sizeof m);
    untouched = m;
    write_envelope(wire);
    r = msg_request_decode(decoder, out.data, out.n, &m, &problem);
    ck_assert_msg(r == 1, "%s: %d", wire, r);
    ck_assert_msg(strstr(problem.text, bad_requests[_i].says), "%s: %s", wire, problem.text);
    ck_assert_int_eq(problem.code, PTOOLS_ERR_BAD_REQUEST);
    ck_assert_uint_eq(problem.id, 9);
    ck_assert(text_is_clean(problem.text, strlen(problem.text), false));
    ck_assert_mem_eq(&m, &untouched, sizeof m);
}
END_TEST

static const struct {
    const char *wire, *says;
} bad_answers[] = {
    { "[1 'reply' 9 {'token' #c403010203}]", "reply: token must be binary, 16 to 16 bytes" },
    { "[1 'reply' 9 {'token' 'sixteen letters.'}]", "reply: token" },
    { "[1 'reply' 9 {'door' '" A64 A16 A16 "aaaaaaaaaaaa'}]", "reply: door must be a string of at most 107 bytes" },
    { "[1 'reply' 9 {'value' [0 1]}]", "reply: value must be a list of two integers" },
    { "[1 'reply' 9 {'value' 12}]", "reply: value must be" },
    { "[1 'reply' 9 {'count' 4294967296}]", "reply: count" },
    { "[1 'reply' 9 {'huge' 1}]", "reply: huge must be true or false" },
};

START_TEST(bad_answer)
{
    struct msg_answer m, untouched;

    memset(&m, 0x5a, sizeof m);
    untouched = m;
    write_envelope(bad_answers[_i].wire);
    ck_assert_int_eq(msg_answer_decode(decoder, out.data, out.n, &m, &problem), 1);
    ck_assert_msg(strstr(problem.text, bad_answers[_i].says), "%s: %s", bad_answers[_i].wire, problem.text);
    ck_assert_int_eq(problem.code, PTOOLS_ERR_BAD_REQUEST);
    ck_assert_mem_eq(&m, &untouched, sizeof m);
}
END_TEST

START_TEST(longest_door_and_names)
{
    assert_text(answer_from("[1 'reply' 9 {'door' '" A64 A16 A16 "aaaaaaaaaaa'}]").reply.door,
                A64 A16 A16 "aaaaaaaaaaa");
    assert_text(request_from(CREATE("'name' '" A64 "'")).array.name, A64);
    assert_text(request_from(CREATE("'prefix' '" A64 "'")).array.prefix, A64);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message-arrays");
    TCase *tc = suite_case(suite, "arrays");

    tcase_add_checked_fixture(tc, message_setup, message_teardown);
    tcase_add_test(tc, array_create);
    tcase_add_test(tc, array_create_least);
    tcase_add_test(tc, every_type);
    tcase_add_test(tc, dims);
    tcase_add_test(tc, array_unlink_and_close);
    tcase_add_test(tc, most_shares);
    tc = suite_case(suite, "server tasks");
    tcase_add_checked_fixture(tc, message_setup, message_teardown);
    tcase_add_test(tc, stasks_start);
    tcase_add_test(tc, most_arrays);
    tcase_add_test(tc, stasks_by_number);
    tcase_add_test(tc, stasks_calls);
    tc = suite_case(suite, "large values");
    tcase_add_checked_fixture(tc, message_setup, message_teardown);
    tcase_add_test(tc, call_with_arrays);
    tcase_add_test(tc, reply_to_hello_with_door);
    tcase_add_test(tc, replies);
    tc = suite_case(suite, "refused");
    tcase_add_checked_fixture(tc, message_setup, message_teardown);
    tcase_add_loop_test(tc, bad_request, 0, (int)ELEMENTS(bad_requests));
    tcase_add_loop_test(tc, bad_answer, 0, (int)ELEMENTS(bad_answers));
    tcase_add_test(tc, longest_door_and_names);
    return suite_run(suite);
}
