/* SPDX-License-Identifier: MIT */
/*
 * stask -- a server task: the process that serves lanes (PROTOCOL.md) beside the daemon's link. See stask.c.
 */
#ifndef WORKER_STASK_H
#define WORKER_STASK_H

#include "proto/fds.h"
#include "proto/page.h"

/* uid: for whom all calls are run. */
void stask_init(struct page *page, uint32_t uid, size_t frame_max);
/* For errand_init(): a lane has come. */
void stask_add_lane(const struct fds_answer *told, int take_fd);
/* The call of that number shall not begin. */
void stask_cancel(uint64_t call);
/* Waits until something has come on the link (true), or on lanes and is served. */
bool stask_serve(int link_fd);
/* Before the end: what is still to be sent, for at most so long. */
void stask_flush(int ms);
/* In a child that a function forked: they are its parent's. */
void stask_disown(void);

#endif
