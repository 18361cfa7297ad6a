/* SPDX-License-Identifier: MIT */
/*
 * fuzz_report -- any bytes as a module report.
 *
 * One that is understood obeys every rule of report.h, and written again it is the same.
 */
#include <errno.h>
#include <string.h>

#include "proto/message.h"
#include "proto/report.h"
#include "proto/text.h"
#include "tests/fuzz/fuzz.h"

static void check_text(const char *s)
{
    check(text_is_clean(s, strlen(s), false));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    AUTO(report) report = NULL;
    AUTO(report) again = NULL;
    struct bytes first, second;
    int r = report_decode(data, n, &report);

    if (r < 0) {
        check(r == -EBADMSG && report == NULL);
        return 0;
    }
    check(name_ok_module(report->module, strlen(report->module)));
    check_text(report->help);
    check_text(report->path);
    check_text(report->problem);
    check(report->n <= REPORT_FUNCTIONS_MAX);
    for (size_t i = 0; i < report->n; i++) {
        check(name_ok_module(report->functions[i].name, strlen(report->functions[i].name)));
        check_text(report->functions[i].help);
    }
    bytes_init(&first, SIZE_MAX);
    bytes_init(&second, SIZE_MAX);
    report_encode(report, &first);
    check(first.err == 0 && report_decode(first.data, first.n, &again) == 0);
    report_encode(again, &second);
    check(second.err == 0 && first.n == second.n && memcmp(first.data, second.data, first.n) == 0);
    bytes_deinit(&first);
    bytes_deinit(&second);
    return 0;
}
