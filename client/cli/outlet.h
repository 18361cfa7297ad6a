/* SPDX-License-Identifier: MIT */
/*
 * outlet -- standard output for who must stay awake while nobody reads it. See outlet.c.
 */
#ifndef CLI_OUTLET_H
#define CLI_OUTLET_H

#include <stdbool.h>
#include <stdio.h>

struct outlet {
    FILE *out;
    int fd, error;                /* errno of what could not be written; 0 */
    bool small;                   /* no more than PIPE_BUF bytes at once, which never wait when there is room */
    int signals;                  /* is watched while standard output takes nothing; -1 */
    bool (*on_signal)(void *arg); /* false: give up */
    void *arg;
};
/* 0 or -errno. May be closed in both cases. */
int outlet_open(struct outlet *o);
/* What is not written yet is dropped: flush first. */
void outlet_close(struct outlet *o);
/* False: it takes no more, and error tells why. */
bool outlet_flush(struct outlet *o);

#endif
