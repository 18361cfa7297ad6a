/* SPDX-License-Identifier: MIT */
/*
 * restart -- what the model makes of a daemon's death. Volatile tasks are gone. Of the others that is so which the
 * journal has kept; whether that is as much as was promised is asked here:
 *
 *   - after a kill everything that was told is there; after a loss of power everything that was durable;
 *   - what ran is run again if it may be, or is lost, or was to be stopped, and is cancelled.
 *
 * What was on its way, and nobody was told, may be there or not.
 */
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

/* It may be one thing or the other, for what it was to come after may be. */
static void loosen(struct m_task *t)
{
    if (t->n_after == 0)
        return;
    t->strict = false;
    t->cascades = !t->after_any;
}

static uint64_t less(uint64_t us, uint64_t by)
{
    return us - MIN(us, by);
}

/* How much of its delay is left. */
static uint64_t delay_left(const struct m_task *t, const struct core_row *row, const struct core_life *life)
{
    const uint64_t now_ms = sim.clock_ms + sim.now / 1000;
    uint64_t longest = t->delay_us;

    if (!life)
        return less(t->delay_us, clock_since(row->queued_ms));
    if (t->attempt > 0)
        longest = model_backoff(t) / 2 + model_backoff(t);
    return MIN(life->due_ms > now_ms ? (life->due_ms - now_ms) * 1000 : 0, longest);
}

/* Where the journal's time goes on, as it was; where it does not, for the machine was started, no delay is longer than
 * it was at first. A time of day is as it is today. */
static void was_waiting(struct m_task *t, const struct core_row *row, const struct core_life *life)
{
    const uint64_t left = delay_left(t, row, life);

    if (t->at_ms && (!life || (life->due_ms && t->attempt == 0))) {
        model_delays(t, 0);
    } else {
        t->ready_us = less(sim.now + left, 2000);
        t->surely_us = left > 0 ? sim.now + left + 2000 : sim.now;
    }
    t->expire_us = 0;
    if (t->expire_in_us && !(life && ((life->flags & LIFE_RERUN) || life->attempt > 0)))
        t->expire_us = sim.now + MAX(less(t->expire_in_us, clock_since(row->queued_ms)), 1);
}

static void was_running(struct m_task *t)
{
    if (!t->idempotent || t->attempt >= t->attempts || !(t->retry_on & RETRY_DIED)) {
        t->may = (uint32_t)bit(SHOWN_LOST);
        t->must_leave = true;
        return;
    }
    t->ready_us = sim.now + model_backoff(t) / 2;
    t->surely_us = sim.now + model_backoff(t) / 2 + model_backoff(t);
}

/* NULL: there is none. */
static bool was_stopping(const struct kept *kept)
{
    return kept && kept->life && (kept->life->life.flags & LIFE_STOPPING);
}

/* It has not ended, as far as the journal knows. */
static void goes_on(struct m_task *t, const struct kept *kept, bool may_lose)
{
    const struct core_life *life = kept->life ? &kept->life->life : NULL;
    const bool running = life && life->state == SHOWN_RUNNING;

    SIM_CHECK(t->place != ENDED || may_lose, "I1", "task %lu had ended, and that is lost", t->id);
    model_waits(t);
    t->attempt = life ? life->attempt : 0;
    t->kills = life ? life->kills : 0;
    t->losses = life ? life->losses : 0;
    t->shown = t->told = 0;
    t->doomed = t->read = t->forgotten = false;
    if (life && (life->flags & LIFE_RERUN))
        t->met = (uint32_t)(bit(t->n_after) - 1);
    if (!running)
        was_waiting(t, kept->row, life);
    if (may_lose || !t->exact || t->met != bit(t->n_after) - 1)
        loosen(t);
    if (was_stopping(kept) || (t->whole && was_stopping(journal_kept(t->whole)))) {
        t->may = (uint32_t)bit(SHOWN_CANCELLED);
        t->must_leave = t->parts == 0;
    } else if (running) {
        was_running(t);
    }
    if (may_lose)
        t->ran = false; /* that it had begun may be lost, too */
}

static void had_ended(struct m_task *t, const struct core_row *life, bool may_lose)
{
    SIM_CHECK(!t->told || t->told == life->life.state || may_lose, "I5", "task %lu was told to be %s, and is %s", t->id,
              task_shown_name(t->told), task_shown_name(life->life.state));
    t->booked = t->running = t->must_leave = false;
    t->attempt = life->life.attempt;
    t->place = ENDED;
    t->shown = life->life.state;
    if (t->told != t->shown)
        t->told = 0; /* what was told went with the power, and it has an end of before that */
    t->go_us = sim.now + less(t->keep_us, clock_since(life->life.ended_ms));
    t->read = life->life.flags & LIFE_READ;
}

/* False: it is gone. */
static bool survives(struct m_task *t, bool power, uint64_t kept_row)
{
    const bool may_lose = power && t->durability != TASK_DURABLE;
    const struct kept *kept = t->id && model_journaled(t) ? journal_kept(t->id) : NULL;

    if (!kept) {
        SIM_CHECK(!model_journaled(t) || t->place == ASKED || may_lose || model_may_go(t), "I1",
                  "task %lu was accepted, and is lost", t->id);
        return false;
    }
    t->exact = t->row <= kept_row;
    if (t->place == ASKED)
        t->place = WAITING;
    if (kept->life && task_shown_ended(kept->life->life.state))
        had_ended(t, kept->life, may_lose);
    else
        goes_on(t, kept, may_lose);
    t->source = sim.next_source;
    t->moved = t->cancel_it = false;
    t->known_us = 0;
    t->slack_us = 4000;
    t->row = t->new_row = 0;
    return true;
}

void model_forget_daemon(bool power, uint64_t kept_row)
{
    sim.next_source++;
    memset(sim.sets, 0, sizeof sim.sets);
    for (uint32_t i = sim.n_live; i-- > 0;)
        if (!survives(sim.live[i], power, kept_row))
            model_free(sim.live[i]);
    for (uint32_t u = 0; u < USERS; u++) {
        for (uint32_t i = 0; i <= TAGS; i++) {
            struct m_pause *p = &sim.pauses[u][i];
            const bool on = journal_paused(FIRST_UID + u, sim_tag(i));

            SIM_CHECK(p->row > kept_row || on == p->on, "I1", "user %u: the pause of '%s' is lost", u, sim_tag(i));
            *p = (struct m_pause){ .on = on };
        }
    }
}

void model_check_restart(void)
{
    for (uint32_t i = 0; i < sim.n_live; i++) {
        struct m_task *t = sim.live[i];
        struct core_queued_view v;
        char key[8];
        uint64_t id = 0;
        int n;

        if (!core_view_queued(sim.core, FIRST_UID + t->user, t->id, &v)) {
            SIM_CHECK(model_may_go(t), "I1", "task %lu does not come back", t->id);
            continue;
        }
        if (!t->exact) { /* as it was before a change that nobody was told of */
            t->hold = v.hold;
            t->priority = v.priority;
        }
        n = snprintf(key, sizeof key, "k%u", t->key);
        SIM_CHECK(
            t->key == KEYS ||
                (core_queued_id(sim.core, FIRST_UID + t->user, 0, (struct text){ key, (size_t)n }, &id) && id == t->id),
            "I6", "task %lu comes back without its key", t->id);
    }
    model_check_all();
}
