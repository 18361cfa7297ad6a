/* SPDX-License-Identifier: MIT */
/*
 * deeds -- what the core does, each deed with its 1st, 2nd, 3rd ... request for memory failing, alone or with all that
 * follow, until one needs no more. A deed that fails is one of two things. It is refused: core_queue() and others give
 * -ENOMEM, a request is answered so; then everything is as it was, and the same deed works when there is memory. Or the
 * core says so in actions.no_memory, and the daemon ends. Never a third: a deed that went well without what there was
 * no memory for, a crash, a leak, a core that does not agree with itself.
 */
#ifndef TESTS_CORE_DEEDS_H
#define TESTS_CORE_DEEDS_H

#include "tests/unit/core/rig_queue.h"
#include "tests/support/scarce.h"

enum { TASKS = 3, WORKERS = 3 };

struct deed {
    const char *name;
    void (*before)(void); /* what it needs; NULL: nothing */
    void (*act)(void);    /* with one ARMED() */
    void (*after)(void);  /* what must be true once it has been done; NULL: nothing more than core_check() */
    bool refused;         /* it ends no daemon: when it fails, it is refused, if there is room for the answer */
};

extern struct rig r;           /* with WORKERS workers, and nothing else when before() is called */
extern uint64_t tasks[TASKS];  /* for the deeds' use */
extern int deed_error;         /* of a deed that says so itself */
extern struct blob *deed_spec; /* of a submission, and what it decodes to */
extern struct msg_submit *deed_submit;

#define ARMED(call)                                                                                                    \
    do {                                                                                                               \
        scarce_armed = true;                                                                                           \
        call;                                                                                                          \
        scarce_armed = false;                                                                                          \
    } while (0)

/* Sets deed_spec and deed_submit. */
void deed_encode(const struct msg_submit *m);
/* Submits that: a deed. */
void act_submit(void);
/* TASKS of them, accepted. */
void some_tasks(uint32_t durability);

/* The loop. */
void deed_run(const struct deed *deed);

#endif
