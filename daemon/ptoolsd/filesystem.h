/* SPDX-License-Identifier: MIT */
/*
 * filesystem -- whether an open file is one that the kernel of this machine serves by itself. See filesystem.c.
 */
#ifndef PTOOLSD_FILESYSTEM_H
#define PTOOLSD_FILESYSTEM_H

#include <stdbool.h>
#include <sys/types.h>

enum { FILESYSTEM_WHY_BYTES = 240 };

/* pid: of whoever has opened it. false: why tells. Asks no file system anything. */
bool filesystem_is_local(int fd, pid_t pid, char why[FILESYSTEM_WHY_BYTES]);

#endif
