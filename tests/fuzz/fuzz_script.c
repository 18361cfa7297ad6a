/* SPDX-License-Identifier: MIT */
/*
 * fuzz_script -- any bytes as a script, whose #PTOOLS lines are options of `ptools submit`. They are taken, or refused
 * with the exit status of a mistake; what is told of them is not looked at.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/script.h"
#include "tests/fuzz/fuzz.h"

static int file = -1;
static struct command_line line;

static void begin(void)
{
    static char *argv[] = { (char *)(uintptr_t) "ptools", (char *)(uintptr_t) "submit", NULL };

    file = memfd_create("script", MFD_CLOEXEC);
    check(file >= 0);
    check(command_line_parse(&line, 2, argv) == 0);
    stderr = fopen("/dev/null", "w"); /* a finding is told by other ways */
    check(stderr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct script script;
    char path[32];
    int status;

    if (file < 0)
        begin();
    check(ftruncate(file, 0) == 0 && pwrite(file, data, n, 0) == (ssize_t)n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    status = script_read(&line, path, NULL, &script);
    check(status == EXIT_VALUE || status == EXIT_USAGE);
    for (size_t i = 0; status == EXIT_VALUE && i < script.line.n; i++)
        check(script.line.items[i].id != ITEM_WORD);
    script_deinit(&script);
    return 0;
}
