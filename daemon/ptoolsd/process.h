/* SPDX-License-Identifier: MIT */
/*
 * process -- one worker process, from its making to its end. See process.c.
 */
#ifndef PTOOLSD_PROCESS_H
#define PTOOLSD_PROCESS_H

#include <sys/queue.h>
#include <sys/types.h>

#include "daemon/ptoolsd/cgroups.h"
#include "daemon/ptoolsd/items.h"
#include "daemon/ptoolsd/supervisor.h"
#include "daemon/ptoolsd/table.h"
#include "daemon/ptoolsd/template.h"
#include "proto/chain.h"
#include "proto/intake.h"
#include "proto/link.h"

struct process {
    struct supervisor *s;
    uint32_t id;                       /* the worker's */
    pid_t pid;                         /* 0 until the template has told */
    int pidfd;
    int link_fd;                       /* our end */
    int child_link_fd, page_fd, child_fds_fd; /* the process's, until the template has them */
    struct cgroup cgroup;
    sd_event_source *link_source, *exit_source;
    uint32_t events;                   /* what link_source waits for */
    struct page *page;
    struct intake in;
    struct chain out;
    struct link_frame head;            /* of the frame whose body is awaited */
    bool have_head;
    struct process_slot { uint64_t task; uint32_t attempt; bool revoked; } slot[PAGE_SLOTS]; /* what it holds */
    struct items items;                /* of the batch that it runs */
    struct blob *log;                  /* what the function of the next answer has logged; NULL: nothing */
    uint64_t rss_kb;                   /* as last told */
    uint64_t message_max;              /* as it was when it was made: what it runs may answer so much */
    bool lost;                         /* its link is at its end, or it broke the protocol */
    bool killed;                       /* by us */
    bool stuck;                        /* and does not die of it */
    bool abandoned;                    /* another has its place and its number: stuck.c */
    const char *broke;                 /* how it broke the protocol; NULL */
    sd_event_source *overdue;          /* SIGKILL when it rings: not READY in time, or its link is gone and it is not */
    sd_event_source *given_up;         /* of a server task: it should have died of SIGKILL by then */
    bool dirty;
    TAILQ_ENTRY(process) dirty_link;
    UT_hash_handle hh, hh_pid;
};
TAILQ_HEAD(process_list, process);

struct supervisor {
    struct daemon *d;
    struct template *template;
    struct process *by_id;
    struct process *by_pid;
    struct process_list dirty;
    unsigned n_abandoned;
    sd_event_source *orphans;          /* SIGCHLD: children that nobody else reaps */
    bool had_children;                 /* before it was a daemon: others than its own may come */
    bool orphans_due;                  /* to be looked for when the template has no process under way */
    uint64_t oom_kills;                /* of this machine, as last seen ... */
    uint64_t oom_seen_us;              /* ... then */
};

/* Link and page are made; the process itself is asked of the template. 0 or -errno. */
int process_new(struct supervisor *s, uint32_t id, struct process **ret);
struct process *process_free(struct process *p);
DEFINE_AUTO(process)
/* The template has made it. 0 or -errno. */
int process_born(struct process *p, pid_t pid);
void process_run(struct process *p, const struct action *action);
void process_stop(struct process *p, bool politely);
/* The task shall stop, or if it is a call that has not begun, not begin: false. */
bool process_cancel(struct process *p, uint64_t task);
/* Map the array, or forget it. */
void process_array(struct process *p, uint64_t array, bool map);
/* The core is told that there will be no process of this number. */
void process_not_made(struct supervisor *s, uint32_t id, const char *why);
void process_signal(struct process *p, int signal);
void process_send(struct process *p);
/* It has ended (its pidfd says so): all it had sent counts, then it is reaped and the core is told. Frees p. */
void process_ended(struct process *p);

/* stuck.c: SIGKILL was sent to a server task. */
void stuck_watch(struct process *p);
/* One that was abandoned has ended at last. Frees p. */
void abandoned_ended(struct process *p);
/* At the daemon's end they are left to the system. */
void abandoned_leave(struct supervisor *s);

/* autopsy.c: what is known about a process that ended. facts borrow from words. */
struct autopsy {
    struct msg_failure facts;
    struct page_words words;
    uint64_t started[PAGE_SLOTS];
    size_t n_started;
};
void autopsy_read(struct process *p, const siginfo_t *end, uint64_t max_rss_bytes, struct autopsy *ret);
/* orphans.c: before anything is started. */
void orphans_init(struct supervisor *s);
/* A process has ended: what it has left, which is ours now, is killed, if not now then soon. */
void orphans_end(struct supervisor *s);
/* At the daemon's end, when nobody else is left: waits until they are gone, for a second at most. */
void orphans_end_all(struct supervisor *s);
/* If that is due. */
void orphans_end_due(struct supervisor *s);
/* A pidfd, or -errno. -ENOSYS (an old kernel, valgrind) is no obstacle: SIGCHLD, which is watched for orphans,
 * tells of every end as well, only a little later in the turn. */
int pidfd_of(pid_t pid);
/* CLOCK_MONOTONIC, now: for what the loop's own time is too old for. */
uint64_t monotonic_us(void);

#endif
