/* SPDX-License-Identifier: MIT */
/*
 * follow -- a file that somebody writes, copied to a descriptor as it grows. See follow.c.
 */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

struct follow {
    char *path;
    int to;
    int file;    /* -1: it is not there yet */
    int inotify; /* readable: there may be more; -1: nobody waits for it yet */
    int watch;   /* of the file, or of where it will be; -1: none */
};

/* The file need not be there, nor its directory. 0 or -errno; may be closed in both cases. path is copied. */
int follow_open(struct follow *f, const char *path, int to);
/* From now on follow_fd() tells when there may be more. 0 or -errno. */
int follow_watch(struct follow *f);
void follow_close(struct follow *f);

/* Copies a piece, so small that a pipe which poll() calls writable takes it at once. 1: there may be more; 0: this is
 * all that there is now, and follow_fd() is readable when there may be more; -errno. */
int follow_copy(struct follow *f);
static inline int follow_fd(const struct follow *f)
{
    return f->inotify;
}

#endif
