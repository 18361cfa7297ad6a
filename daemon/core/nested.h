/* SPDX-License-Identifier: MIT */
/*
 * nested -- calls that are made inside of workers, and the stand-ins that run them.
 *
 * A function that waits for a call of its own holds its worker while it does nothing: if all workers do that, none
 * is left for what they wait for. So such a worker lends its place. A stand-in is one process more, which runs nested
 * calls, and nothing else, of those that its worker could be given: of the sets that it is in, and those that are bound
 * to it. What it runs may wait in turn; then the place is lent on. In each place at most one process does not wait, so
 * that a thousand calls within calls do not load the machine more than its workers do.
 *
 * Which task a call comes from the program tells (core_client_inside()), not the client. That task is its `outer`,
 * whose worker is its lender as long as outer runs and somebody waits for the call. A call from the process of a
 * server task is nested, too, but has no outer and no lender: whose task waits for the server task is not known.
 * For such a call the first worker that it may be given to counts as one that waits.
 *
 * Both is bounded: how deep calls are nested, and how many stand-ins there are. A call that could only wait for
 * itself is refused, with PTOOLS_ERR_DEADLOCK.
 */
#ifndef CORE_NESTED_H
#define CORE_NESTED_H

/* -- what a task is inside of: called by client.c and task.c -- */

/* The client leaves its process, or the other way round. */
void client_leave_process(struct client *c);
void worker_leave_clients(struct worker *w);
/* A call of this client is made, for which it waits. */
void nested_begin(struct task *t, const struct client *c);
/* Nobody waits for t any more. */
void nested_end(struct task *t);
/* The worker does not run this task any more. */
void nested_outer_ended(struct worker *w, uint64_t outer);
/* Of a call that this client makes now: 0 if it is not nested. */
uint32_t nested_depth(const struct client *c);

/* -- stand-ins -- */

/* A worker, or one of its stand-ins. */
struct worker *worker_or_stand_in(const struct core *core, uint32_t id);
/* Those of core.workers, then those of core.stand_ins. */
struct worker *worker_at(const struct core *core, size_t index);
/* It waits for what others run. */
bool worker_lends(const struct worker *w);
/* The call that a stand-in is to run next; NULL: none. The deepest is the first, and of these the oldest: what is
 * begun gets to its end before more is begun, with few stand-ins; priorities do not count. */
struct task *nested_next_for(const struct core *core, const struct worker *stand_in);
/* Starts as many as are needed; refuses what none can ever run. At the end of core_assign(). */
void stand_ins_start(struct core *core, uint64_t now_us, struct actions *out);
/* When it is idle: it ends if nothing comes for some time. */
void stand_in_rest(struct core *core, uint64_t now_us, struct worker *w);
void stand_in_leave(struct core *core, uint64_t now_us, struct worker *w, struct actions *out);
/* Those of this worker end, as soon as they are idle. */
void stand_ins_leave(struct core *core, uint64_t now_us, uint32_t worker, struct actions *out);

#endif
