/* SPDX-License-Identifier: MIT */
/* fds -- what the daemon says of an array is believed if it hangs together, and the object behind it is as large. */
#include <string.h>

#include "proto/array.h"
#include "proto/fds.h"
#include "tests/support/suite.h"

/* 3 rows of 10 numbers of 4 bytes, from the second page on. */
static struct fds_answer answer(void)
{
    return (struct fds_answer){ .magic = FDS_MAGIC,
                                .id = 7,
                                .bytes = 120,
                                .mapped_bytes = 4096,
                                .offset = 4096,
                                .type = PTOOLS_INT32,
                                .order = PTOOLS_ROW_MAJOR,
                                .ndims = 2,
                                .dims = { 3, 10 },
                                .name = "a",
                                .prefix = "p" };
}

START_TEST(it_is_what_was_said)
{
    for (uint32_t read_only = 0; read_only <= 1; read_only++) {
        struct fds_answer a = answer();
        char why[FDS_TEXT_BYTES] = "";
        struct ptools_array array;

        a.mapped_bytes = read_only ? 120 : 4096; /* whole pages, or not */
        a.flags = read_only ? FDS_IS_READ_ONLY | FDS_IS_FILE : FDS_IS_FILE;
        ck_assert_int_eq(fds_answer_array(&a, 4096 + 120, &array, why), PTOOLS_OK);
        ck_assert_str_eq(why, "");
        ck_assert_uint_eq(array.id, 7);
        ck_assert_uint_eq(array.layout.bytes, 120);
        ck_assert_uint_eq(array.mapping_bytes, a.mapped_bytes);
        ck_assert_int_eq(array.read_only, read_only);
        ck_assert_str_eq(array.name, "a");
        ck_assert_str_eq(array.prefix, "p");
        ck_assert_ptr_null(array.data);
    }
}
END_TEST

/* Each with one thing that is not as it was. */
START_TEST(what_does_not_hang_together)
{
    const struct fds_answer good = answer();

    for (unsigned i = 0; i < 9; i++) {
        struct fds_answer a = good;
        char why[FDS_TEXT_BYTES];
        struct ptools_array array;

        switch (i) {
        case 0:
            a.type = 1000;
            break;
        case 1:
            a.order = 1000;
            break;
        case 2:
            a.ndims = PTOOLS_DIMS_MAX + 1;
            break;
        case 3:
            a.dims[1] = 0;
            break;
        case 4:
            a.bytes = 119;
            break;
        case 5:
            a.mapped_bytes = 119;
            break;
        case 6:
            a.offset = UINT64_C(1) << 63;
            break;
        case 7:
            memset(a.name, 'n', sizeof a.name);
            break;
        default:
            memset(a.prefix, 'p', sizeof a.prefix);
        }
        ck_assert_msg(fds_answer_array(&a, UINT64_MAX, &array, why) == PTOOLS_ERR_PROTOCOL, "case %u", i);
        ck_assert_str_eq(why, "what ptoolsd tells of array 7 does not hang together");
    }
}
END_TEST

START_TEST(an_object_that_is_too_short)
{
    static const uint64_t bytes[] = { 0, 119, 120, 4095, 4096, 4096 + 119 };
    struct fds_answer a = answer();
    char why[FDS_TEXT_BYTES];
    struct ptools_array array;

    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++)
        ck_assert_int_eq(fds_answer_array(&a, bytes[i], &array, why), PTOOLS_ERR_BAD_FILE);
    ck_assert_str_eq(why, "the file behind array 7 has become too short: 4215 bytes; 120 from 4096 on are needed");
}
END_TEST

START_TEST(a_refusal)
{
    struct fds_answer a;
    char text[2 * FDS_TEXT_BYTES];

    memset(&a, 0xff, sizeof a);
    fds_answer_refuse(&a, PTOOLS_ERR_NO_ARRAY, "no array %d", 7);
    ck_assert_uint_eq(a.magic, FDS_MAGIC);
    ck_assert_uint_eq(a.code, PTOOLS_ERR_NO_ARRAY);
    ck_assert_uint_eq(a.id, 0);
    ck_assert_str_eq(a.text, "no array 7");
    memset(text, 't', sizeof text);
    fds_answer_refuse(&a, PTOOLS_ERR_NO_ARRAY, "%.*s", (int)sizeof text, text);
    ck_assert_uint_eq(strlen(a.text), FDS_TEXT_BYTES - 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto fds");
    TCase *tc = suite_case(suite, "fds");

    tcase_add_test(tc, it_is_what_was_said);
    tcase_add_test(tc, what_does_not_hang_together);
    tcase_add_test(tc, an_object_that_is_too_short);
    tcase_add_test(tc, a_refusal);
    return suite_run(suite);
}
