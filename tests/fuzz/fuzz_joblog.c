/* SPDX-License-Identifier: MIT */
/*
 * fuzz_joblog -- any bytes as the file of --joblog, read for --resume. It is refused with a sentence; or what stands in
 * it is in order and found again, and a line that is added to it is there when it is read the next time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/cli/joblog.h"
#include "tests/fuzz/fuzz.h"

static void check_entries(const struct joblog *log)
{
    bool other;

    for (size_t i = 0; i < log->n; i++) {
        check(log->entries[i].seq > 0 && (i == 0 || log->entries[i].seq > log->entries[i - 1].seq));
        check(joblog_has(log, log->entries[i].seq, "", 0, &other) ==
              (!log->entries[i].failed || log->how == JOBLOG_RESUME));
    }
}

static void check_added(const char *path, size_t had)
{
    static const char command[] = "echo 1";
    const struct joblog_line line = {
        .seq = UINT64_MAX - 1, .start_ms = 1764192615000, .command = command, .n_command = sizeof command - 1
    };
    char why[JOBLOG_WHY_BYTES] = "";
    struct joblog log;
    bool other;

    check(joblog_open(&log, path, JOBLOG_RESUME, why) == 0 && log.n == had);
    joblog_add(&log, &line);
    check(joblog_flush(&log, false, 1));
    joblog_close(&log);
    check(joblog_look(&log, path, JOBLOG_RESUME_FAILED, why) == 0);
    check(joblog_has(&log, line.seq, command, sizeof command - 1, &other) && !other);
    joblog_close(&log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static int fd = -1;
    char why[JOBLOG_WHY_BYTES] = "", path[32];
    struct joblog log;
    size_t had;
    int r;

    if (fd < 0)
        fd = memfd_create("joblog", MFD_CLOEXEC);
    check(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, n, 0) == (ssize_t)n && lseek(fd, 0, SEEK_SET) == 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    r = joblog_look(&log, path, JOBLOG_RESUME_FAILED, why);
    check(r == 0 || (r == 1 && *why));
    check_entries(&log);
    had = log.n;
    joblog_close(&log);
    if (r == 0)
        check_added(path, had);
    return 0;
}
