/* SPDX-License-Identifier: MIT */
/*
 * supervisor -- the template process and the worker processes: made, fed, watched, buried.
 *
 * supervisor.c has the table of processes and the way in from the core's actions; process.c one worker
 * process (its link, its control page, its death); template.c the template and its link.
 */
#ifndef PTOOLSD_SUPERVISOR_H
#define PTOOLSD_SUPERVISOR_H

#include "daemon/ptoolsd/daemon.h"
#include "proto/page.h"

/* Starts the template. 0 or -errno. */
int supervisor_new(struct daemon *d, struct supervisor **ret);
/* Ends all processes: politely (end of file), after a second by SIGKILL. Blocks until they are gone. */
struct supervisor *supervisor_free(struct supervisor *s);
DEFINE_AUTO(supervisor)

/* The core's actions. */
void supervisor_spawn(struct supervisor *s, uint32_t worker);
void supervisor_load(struct supervisor *s, const char *module);
void supervisor_run(struct supervisor *s, const struct action *action);
bool supervisor_revoke(struct supervisor *s, const struct action *action);
/* Whether it runs, and is asked to stop. If not, and it is a server task's call, it shall not begin. */
bool supervisor_cancel(struct supervisor *s, uint32_t worker, uint64_t task);
/* false: it is busy, and has not looked at thousands of them. */
bool supervisor_takes_cancels(struct supervisor *s, uint32_t worker);
void supervisor_kill(struct supervisor *s, uint32_t worker);
/* It does not even end of that: another takes its place, if not now then when fewer are like it. */
void supervisor_abandon(struct supervisor *s, uint32_t worker);
void supervisor_stop(struct supervisor *s, uint32_t worker, bool politely);
void supervisor_kill_call(struct supervisor *s, uint32_t worker, uint64_t call);
/* ACT_ARRAY_MAP, or ACT_ARRAY_FORGET. */
void supervisor_array(struct supervisor *s, uint32_t worker, uint64_t array, bool map);
/* Has the template close a descriptor, which takes long. false: it cannot; whoever asks keeps it. */
bool supervisor_close(struct supervisor *s, int fd);

/* Has modules loaded as they are now, for workers to come. */
void supervisor_renew(struct supervisor *s);

/* Sends what gathered during the turn. */
void supervisor_flush(struct supervisor *s);

/* What the worker's page says now; false if it has no process. */
bool supervisor_words(struct supervisor *s, uint32_t worker, struct page_words *ret);
/* Whether the worker runs this task now, a batch, and how many of its items are done. */
bool supervisor_at(struct supervisor *s, uint32_t worker, uint64_t task, uint32_t *ret_items);
/* 0: none. */
int32_t supervisor_pid(struct supervisor *s, uint32_t worker);
/* The process of ours that this one is, or was forked by, over however many generations: 0: none. Which task a process
 * runs now; 0: none, or its pid is another by now. */
uint32_t supervisor_inside(struct supervisor *s, pid_t pid, pid_t *ret_process);
uint64_t supervisor_task(struct supervisor *s, uint32_t worker, pid_t process);
uint64_t supervisor_rss_bytes(struct supervisor *s, uint32_t worker);

#endif
