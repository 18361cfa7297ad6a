/* SPDX-License-Identifier: MIT */
/*
 * progress -- a function writes its progress into the control page of its worker, which costs it nothing and wakes
 * nobody. While there is a client that watches queued tasks, and only then, the pages of busy workers are looked at
 * every half second, and what has changed becomes an event.
 */
#include "daemon/ptoolsd/progress.h"

#include "daemon/ptoolsd/supervisor.h"

enum { LOOK_US = 500000, LOOK_ACCURACY_US = 50000 };

static int on_look(sd_event_source *s, uint64_t usec, void *userdata)
{
    struct daemon *d = userdata;
    struct core_worker_view w;
    struct page_words words;

    (void)s;
    (void)usec;
    d->looking = false;
    for (size_t i = 0; core_view_worker(d->core, i, &w); i++)
        if (w.task && supervisor_words(d->supervisor, w.id, &words) && words.task == w.task && words.progress_of > 0)
            core_progress(d->core, daemon_now(d), w.id, words.task, words.progress, words.progress_of, &d->actions);
    daemon_deliver(d);
    return 0;
}

void progress_turn(struct daemon *d)
{
    int r = 0;

    if (d->looking || !core_watched(d->core))
        return;
    if (!d->progress_timer) {
        r = sd_event_add_time(d->event, &d->progress_timer, CLOCK_MONOTONIC, daemon_now(d) + LOOK_US, LOOK_ACCURACY_US,
                              on_look, d);
        if (r >= 0)
            r = sd_event_source_set_priority(d->progress_timer, PHASE_SPARE);
    } else {
        r = sd_event_source_set_time(d->progress_timer, daemon_now(d) + LOOK_US);
        if (r >= 0)
            r = sd_event_source_set_enabled(d->progress_timer, SD_EVENT_ONESHOT);
    }
    if (r < 0)
        daemon_fail(d, "setting a timer", r);
    d->looking = true;
}
