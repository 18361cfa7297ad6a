/* SPDX-License-Identifier: MIT */
/*
 * fuzz_npy -- any bytes as the beginning of a .npy file.
 *
 * A header that is taken is that of an array that can be, ends where npy_start() said it would, and written again it
 * means the same. The text of a table is read beside it, for nothing but that it ends well.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/csv.h"
#include "client/cli/npy.h"
#include "tests/fuzz/fuzz.h"

static void check_header(const uint8_t *data, size_t bytes)
{
    char why[NPY_WHY_BYTES] = "", header[NPY_HEADER_BYTES];
    struct shape s, again;
    uint64_t size;
    size_t written, whole;

    if (!npy_read(data, bytes, &s, why)) {
        check(*why);
        return;
    }
    check(ptools_type_bytes(s.type) > 0 && (s.order == PTOOLS_ROW_MAJOR || s.order == PTOOLS_COLUMN_MAJOR));
    check(s.ndims >= 1 && s.ndims <= PTOOLS_DIMS_MAX && shape_size(&s, NULL, &size, why) && size > 0);
    written = npy_write(&s, header);
    check(written % 64 == 0 && written <= sizeof header);
    check(npy_start(header, written, &whole, why) && whole == written);
    check(npy_read(header, written, &again, why) && shape_equal(&s, &again) && s.order == again.order);
}

static void check_table(const uint8_t *data, size_t n)
{
    char why[CSV_WHY_BYTES] = "";
    struct csv csv;

    for (int type = PTOOLS_INT8; type <= PTOOLS_BOOLEAN; type++) {
        int r = csv_read((ptools_type)type, (const char *)data, n, &csv, why);

        check(r == 0 || (r == -EINVAL && *why));
        if (r < 0)
            continue;
        check(csv.rows > 0 && csv.columns > 0);
        free(csv.elements);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char why[NPY_WHY_BYTES] = "";
    size_t bytes;
    uint8_t *exact;

    if (!npy_start(data, n, &bytes, why)) {
        check(*why);
        if (!npy_is(data, n))
            check_table(data, n);
        return 0;
    }
    check(bytes >= 10 && bytes <= NPY_HEADER_BYTES_MAX + NPY_START_BYTES && npy_is(data, n));
    exact = malloc(bytes); /* of the exact size: a sanitizer sees a read behind the end */
    check(exact);
    memset(exact, 0, bytes);
    memcpy(exact, data, n < bytes ? n : bytes);
    check_header(exact, bytes);
    free(exact);
    return 0;
}
