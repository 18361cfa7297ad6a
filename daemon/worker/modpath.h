/* SPDX-License-Identifier: MIT */
/*
 * modpath -- finds the file of a module, and refuses one that somebody else could have put there.
 *
 * The rules, in the order in which they are applied:
 *
 *   1. The directories of the path are looked through in order; each is absolute, and resolved by
 *      realpath(3) (so /lib may be a symbolic link). One that does not exist is passed over.
 *   2. From "/" to the directory each component must be a directory that root or this user owns and
 *      that neither group nor others may write to. The one exception: a directory above the module
 *      directory may be writable for all if it is sticky, as /tmp is, for there only the owner of the
 *      next component, who is root or this user by the same rule, can replace that.
 *   3. The first directory that holds NAME.so decides. In a directory that breaks rule 2 it is refused;
 *      such a directory without the file is passed over, with a line in the log.
 *   4. NAME.so must be a regular file, no symbolic link, owned by root or this user, and not writable
 *      by group or others.
 *
 * What is checked is what is used: the walk goes down through descriptors, component by component, and
 * the answer is the descriptor of the very file that passed. A name is one component (the caller holds
 * it against name_ok_module()), so O_NOFOLLOW is all that opening it needs.
 */
#ifndef WORKER_MODPATH_H
#define WORKER_MODPATH_H

#include <limits.h>

enum { WHY_BYTES = 400 }; /* a sentence on a module, its NUL included: fits into a report */
enum modpath_result {
    MODPATH_FOUND = 0,
    MODPATH_MISSING, /* nowhere; why lists where it was looked for */
    MODPATH_REFUSED  /* found, but a rule is broken; why tells which, where */
};

/* search: directories, ':' between; empty entries are passed over. *ret_fd is the caller's. */
enum modpath_result modpath_open(const char *search, const char *name, int *ret_fd, char ret_path[PATH_MAX],
                                 char why[WHY_BYTES]);

#endif
