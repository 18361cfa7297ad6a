/* SPDX-License-Identifier: MIT */
/*
 * fuzz_config -- any bytes as the configuration file of ptoolsd. They are taken or refused with complaints;
 * what was taken is printed by --dump-config such that reading it gives the same again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ptoolsd/config.h"
#include "tests/fuzz/fuzz.h"

static int read_bytes(struct config *c, const void *data, size_t n, FILE *complaints)
{
    FILE *file = fmemopen((void *)(uintptr_t)data, n, "r");
    int r;

    if (!file)
        abort();
    r = config_read_stream(c, file, "input", complaints);
    fclose(file);
    return r;
}

static char *dump(const struct config *c)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    if (!out)
        abort();
    config_dump(c, out);
    fclose(out);
    return text;
}

/* Taken whole: no complaint, and each setting lands where it was. */
static void check_again(const char *text, FILE *complaints)
{
    struct config again;
    char *second;

    if (config_init(&again) < 0 || read_bytes(&again, text, strlen(text), complaints) != 0)
        abort();
    second = dump(&again);
    if (strcmp(text, second) != 0)
        abort();
    free(second);
    config_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *complained = NULL, *text;
    size_t complained_n;
    FILE *complaints = open_memstream(&complained, &complained_n);
    struct config c;
    int r;

    if (!complaints || config_init(&c) < 0)
        abort();
    r = n ? read_bytes(&c, data, n, complaints) : 0;
    fflush(complaints);
    if ((r != 0) != (complained_n > 0)) /* refused means told, and told means refused */
        abort();
    text = dump(&c); /* also of what was refused in part: the rest holds */
    check_again(text, complaints);
    free(text);
    fclose(complaints);
    free(complained);
    config_deinit(&c);
    return 0;
}
