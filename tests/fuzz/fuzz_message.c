/* SPDX-License-Identifier: MIT */
/*
 * fuzz_message -- any bytes as an envelope, read as a request and as an answer.
 *
 * Whatever is understood is written and read again: the second writing must equal the first. Whatever
 * is refused must come with a code and a printable sentence.
 */
#include <string.h>

#include "proto/message.h"
#include "proto/text.h"
#include "tests/fuzz/fuzz.h"

static struct msg_decoder *decoder;
static struct bytes first, second;

static void check_problem(const struct msg_problem *p)
{
    check(p->code == PTOOLS_ERR_BAD_REQUEST || p->code == PTOOLS_ERR_VERSION || p->code == PTOOLS_ERR_LIMIT);
    check(memchr(p->text, '\0', sizeof p->text) != NULL);
    check(strlen(p->text) > 0 && text_is_clean(p->text, strlen(p->text), false));
}

static void check_equal(void)
{
    check(first.err == 0 && second.err == 0 && first.n == second.n);
    check(memcmp(first.data, second.data, first.n) == 0);
}

static void fuzz_request(const uint8_t *data, size_t n)
{
    struct msg_request m;
    struct msg_problem problem;
    struct text module, function;
    int r = msg_request_decode(decoder, data, n, &m, &problem);

    if (r != 0) {
        check(r == 1);
        check_problem(&problem);
        return;
    }
    check(m.id != 0 && m.kind < MSG_REQUESTS);
    check(m.kind != MSG_CALL || name_split(m.call.function.data, m.call.function.n, &module, &function));
    check(m.kind != MSG_TASK_SUBMIT || name_split(m.submit.function.data, m.submit.function.n, &module, &function));
    check(m.kind != MSG_TASK_SUBMIT || m.submit.priority == m.submit.priority); /* NaN has no place in an order */
    bytes_reset(&first);
    msg_request_encode(&m, &first);
    check(msg_request_decode(decoder, first.data, first.n, &m, &problem) == 0);
    bytes_reset(&second);
    msg_request_encode(&m, &second);
    check_equal();
}

static void fuzz_answer(const uint8_t *data, size_t n)
{
    struct msg_answer m;
    struct msg_problem problem;
    int r = msg_answer_decode(decoder, data, n, &m, &problem);

    if (r != 0) {
        check(r == 1);
        check_problem(&problem);
        return;
    }
    bytes_reset(&first);
    msg_answer_encode(&m, &first);
    check(msg_answer_decode(decoder, first.data, first.n, &m, &problem) == 0);
    bytes_reset(&second);
    msg_answer_encode(&m, &second);
    check_equal();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!decoder) {
        decoder = msg_decoder_new();
        bytes_init(&first, ENVELOPE_BYTES_MAX);
        bytes_init(&second, ENVELOPE_BYTES_MAX);
        check(decoder != NULL);
    }
    fuzz_request(data, n);
    fuzz_answer(data, n);
    return 0;
}
