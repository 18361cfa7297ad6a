/* SPDX-License-Identifier: MIT */
/*
 * page -- the control page that daemon and one worker share: slots for tasks given ahead, and the
 * worker's last words, which survive its death by any signal.
 *
 * A sealed memfd of PAGE_BYTES, mapped by both. The worker may write anything into it at any time,
 * also garbage: the daemon reads each word once into a local and believes no index, length or
 * termination (page_read_words() makes a clean private copy). The daemon writes `cancel` and the
 * slots' GIVEN and REVOKED; the worker writes STARTED and all else.
 *
 *     slot:  FREE --daemon--> GIVEN --worker--> STARTED (answers DONE)    --daemon--> GIVEN, the next task
 *                             GIVEN --daemon--> REVOKED (answers SKIPPED) --daemon--> GIVEN, the next task
 *
 * The worker frees no slot: it cannot know when its answer has arrived, and a task whose slot is free
 * while its answer is still on the way would, after a death, look as if it had never begun.
 *
 * Both leave GIVEN by compare-and-swap of the whole word, which holds the low bits of the task's
 * number beside the state, so that neither can take a step on a task of the past.
 *
 * The records of a batch's items gather in the outbox, and leave from there when it is full and at the end of the batch.
 * So those of a worker that dies in the middle are not lost: the daemon finds them there. In a reduction one record
 * stands for all items so far; its halves have it in turn, so that it is always whole in one of them.
 */
#ifndef PROTO_PAGE_H
#define PROTO_PAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PAGE_OUTBOX_BYTES = 65536,
    PAGE_OUTBOX_HALF = PAGE_OUTBOX_BYTES / 2,
    PAGE_BYTES = 16384 + PAGE_OUTBOX_BYTES,
    PAGE_SLOTS = 64,        /* tasks that a worker may hold at once */
    PAGE_LOG_LINES = 16,
    PAGE_LOG_BYTES = 160,   /* a line, its NUL included; longer ones are cut */
    PAGE_PHASE_BYTES = 64,
    PAGE_BACKTRACE_BYTES = 4096
};
#define PAGE_MAGIC 0x70744c31u

enum page_slot_state { SLOT_FREE = 0, SLOT_GIVEN = 1, SLOT_STARTED = 2, SLOT_REVOKED = 3 };

enum page_phase { /* what the worker process itself is at */
    PAGE_BOOT = 0,
    PAGE_IDLE,
    PAGE_LOADING,  /* a module: `module` names it */
    PAGE_RUNNING,  /* a function */
    PAGE_SENDING   /* its answer */
};

struct page {
    uint32_t magic;
    _Atomic uint32_t process_phase;   /* enum page_phase */
    _Atomic uint64_t cancel;          /* the task that shall stop; 0: none. Daemon writes */
    _Atomic uint64_t task;            /* being run; 0: none */
    _Atomic uint64_t began_us;        /* CLOCK_MONOTONIC */
    _Atomic uint64_t progress, progress_of;
    _Atomic uint64_t calls;           /* of a server task, so far */
    _Atomic uint64_t cancels;         /* LINK_CANCEL frames sent to a server task, so far. Daemon writes */
    _Atomic uint64_t peak_kb;         /* largest resident memory, as the worker last looked */
    _Atomic uint32_t fault_signal;    /* set by the handler that wrote the backtrace */
    _Atomic uint64_t fault_address;
    _Atomic uint32_t log_next;        /* lines ever written: the ring's next is log_next % PAGE_LOG_LINES */
    _Atomic uint64_t slot[PAGE_SLOTS]; /* of a server task: the calls begun last, number n at n % PAGE_SLOTS */
    struct page_used { _Atomic uint64_t cpu_us, peak_kb; } used[PAGE_SLOTS]; /* what a queued task took; 0: not known */
    char function[136];               /* "module.function" being run */
    char module[72];                  /* being loaded */
    char phase[PAGE_PHASE_BYTES];     /* the function's own word */
    char log[PAGE_LOG_LINES][PAGE_LOG_BYTES];
    char backtrace[PAGE_BACKTRACE_BYTES];
    /* of a batch */
    _Atomic uint64_t outbox_task;     /* whose records these are */
    _Atomic uint32_t outbox_first;    /* the item of the first record: those before it were sent */
    _Atomic uint32_t outbox_failed;   /* how many of these are failures; stored before the next */
    _Atomic uint64_t outbox_word;     /* page_outbox_word(): what there is of it */
    uint8_t outbox[PAGE_OUTBOX_BYTES];
};
_Static_assert(sizeof(struct page) <= PAGE_BYTES, "the page is of a fixed size");

/* The word of a slot: task number (low 56 bits) and state. */
static inline uint64_t page_word(uint64_t task, enum page_slot_state state)
{
    return (task << 8) | (uint64_t)state;
}

/* Daemon: the slot is FREE or left over; give it. */
static inline void page_give(struct page *p, unsigned slot, uint64_t task)
{
    atomic_store_explicit(&p->used[slot % PAGE_SLOTS].cpu_us, 0, memory_order_relaxed);
    atomic_store_explicit(&p->used[slot % PAGE_SLOTS].peak_kb, 0, memory_order_relaxed);
    atomic_store_explicit(&p->slot[slot % PAGE_SLOTS], page_word(task, SLOT_GIVEN), memory_order_release);
}
/* Daemon: true if the task was taken back before the worker began it. */
static inline bool page_revoke(struct page *p, unsigned slot, uint64_t task)
{
    uint64_t expected = page_word(task, SLOT_GIVEN);
    return atomic_compare_exchange_strong(&p->slot[slot % PAGE_SLOTS], &expected, page_word(task, SLOT_REVOKED));
}
/* Worker: true if it may run the task; false if it was revoked: skip the frame. */
static inline bool page_start(struct page *p, unsigned slot, uint64_t task)
{
    uint64_t expected = page_word(task, SLOT_GIVEN);
    return atomic_compare_exchange_strong(&p->slot[slot % PAGE_SLOTS], &expected, page_word(task, SLOT_STARTED));
}
/* Daemon, after a death: may the worker have begun this task? Only a word that is as the daemon left it says no:
 * whatever else stands there, also what foreign code wrote, is no evidence that nothing happened. */
static inline bool page_maybe_started(const struct page *p, unsigned slot, uint64_t task)
{
    uint64_t word = atomic_load(&p->slot[slot % PAGE_SLOTS]);

    return word != page_word(task, SLOT_GIVEN) && word != page_word(task, SLOT_REVOKED);
}

/* Server task: its next call begins; 0: it is cancelled. */
static inline void page_begin_call(struct page *p, uint64_t call)
{
    atomic_store_explicit(&p->slot[atomic_load(&p->calls) % PAGE_SLOTS], call, memory_order_release);
}

/* One word, so that what it says is always of the same moment: how many items there are, and where their records lie,
 * from the begin of the outbox or of its second half. */
static inline uint64_t page_outbox_word(uint32_t items, bool second, uint32_t bytes)
{
    return (uint64_t)items << 32 | (uint32_t)second << 31 | bytes;
}
/* Daemon: the items; their records are *ret_bytes at *ret_at. false: they do not lie in the outbox. */
static inline bool page_outbox_read(uint64_t word, uint32_t *ret_items, uint32_t *ret_at, uint32_t *ret_bytes)
{
    *ret_items = (uint32_t)(word >> 32);
    *ret_at = word & UINT32_C(0x80000000) ? PAGE_OUTBOX_HALF : 0;
    *ret_bytes = (uint32_t)word & UINT32_C(0x7fffffff);
    return *ret_bytes <= PAGE_OUTBOX_BYTES - *ret_at;
}
/* Daemon: how many items of this batch have a record by now; whether it has begun is another question. */
static inline uint32_t page_items(const struct page *p, uint64_t task)
{
    if (atomic_load_explicit(&p->outbox_task, memory_order_acquire) != task)
        return 0;
    return atomic_load(&p->outbox_first) + (uint32_t)(atomic_load(&p->outbox_word) >> 32);
}

/* A private, checked copy of the last words: every string is terminated and printable (other bytes
 * become '?'; log and backtrace keep '\n'). */
struct page_words {
    enum page_phase process_phase;
    uint64_t task, began_us, progress, progress_of, peak_kb, fault_address, calls;
    uint64_t begun[PAGE_SLOTS]; /* of a server task */
    uint32_t fault_signal;
    char function[136], module[72], phase[PAGE_PHASE_BYTES];
    char log[PAGE_LOG_LINES * PAGE_LOG_BYTES + 1]; /* oldest first, a '\n' after each line */
    char backtrace[PAGE_BACKTRACE_BYTES];
};
void page_read_words(const struct page *p, struct page_words *ret);

#endif
