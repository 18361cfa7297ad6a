/* SPDX-License-Identifier: MIT */
/*
 * autopsy -- why a worker process ended: exit status or signal, last words, memory.
 *
 * Nothing here is guessed. "Out of memory" is said only with evidence: a SIGKILL that ptoolsd did not
 * send while the kernel's count of OOM kills rose (that of its control group; or that of the machine, since the last
 * look, a second ago or when the daemon last gave a task), or a crash with the memory limit nearly used up.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "daemon/ptoolsd/process.h"
#include "proto/headroom.h"

uint64_t monotonic_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static struct text text_of(const char *s)
{
    return (struct text){ s, strlen(s) };
}

static bool out_of_memory(struct process *p, const struct msg_failure *facts)
{
    const uint64_t limit = p->s->d->config->memory_max;

    if (facts->signal == SIGKILL && cgroup_out_of_memory(&p->cgroup) && !p->killed)
        return true;
    if (facts->signal == SIGKILL && !p->killed) {
        uint64_t before = p->s->oom_kills;

        p->s->oom_kills = headroom_oom_kills();
        return p->s->oom_kills > before;
    }
    return facts->signal != 0 && limit > 0 && facts->peak_bytes >= limit / 10 * 9;
}

void autopsy_read(struct process *p, const siginfo_t *end, uint64_t max_rss_bytes, struct autopsy *ret)
{
    struct msg_failure *facts = &ret->facts;
    struct page_words *words = &ret->words;

    memset(facts, 0, sizeof *facts);
    ret->n_started = 0;
    page_read_words(p->page, words);
    for (unsigned i = 0; i < PAGE_SLOTS; i++)
        if (p->slot[i].task && page_maybe_started(p->page, i, p->slot[i].task))
            ret->started[ret->n_started++] = p->slot[i].task;

    facts->code = PTOOLS_ERR_WORKER_DIED;
    facts->pid = p->pid;
    facts->exited = end->si_code == CLD_EXITED;
    facts->exit_status = facts->exited ? end->si_status : -1;
    facts->signal = facts->exited ? 0 : end->si_status;
    facts->peak_bytes = MAX(max_rss_bytes, words->peak_kb * 1024);
    if (p->broke) {
        facts->message = text_of(p->broke);
    } else if (words->process_phase == PAGE_LOADING && facts->signal != SIGKILL) {
        facts->code = PTOOLS_ERR_MODULE_BROKEN; /* a SIGKILL comes from outside: no fault of the module's */
        facts->loading = text_of(words->module);
    } else if (out_of_memory(p, facts)) {
        facts->code = PTOOLS_ERR_OUT_OF_MEMORY;
    }
    if (words->task == 0)
        return; /* it died between tasks: the words are of an old one */
    facts->run_us = words->began_us ? monotonic_us() - words->began_us : 0;
    facts->phase = text_of(words->phase);
    facts->progress = words->progress;
    facts->progress_of = words->progress_of;
    facts->log = text_of(words->log);
    facts->backtrace = text_of(words->backtrace);
}
