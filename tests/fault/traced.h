/* SPDX-License-Identifier: MIT */
/*
 * traced -- a daemon one of whose calls to the disk is made to fail, or to be its last, by strace.
 *
 * The calls are counted by thread: of the n-th that a thread makes. Everything that the daemon starts is traced, too,
 * which makes it slow, and nothing else.
 */
#ifndef TESTS_FAULT_TRACED_H
#define TESTS_FAULT_TRACED_H

#include "tests/integration/server.h"

/* All by which the journal writes. */
#define TRACED_WRITES "pwrite64,fdatasync,fsync,ftruncate,fallocate"

/* Whether strace is there, and can do it; if not, says why as TAP does when a test is skipped. */
bool traced_possible(void);
/* The next daemons are run so: what is to be injected ("signal=SIGKILL", "error=EIO") into these calls, when ("7", or
 * "7+" for the seventh and all after it). */
void traced_inject(const char *calls, const char *what, const char *when);
/* They are not traced any more. */
void traced_end(void);

#endif
