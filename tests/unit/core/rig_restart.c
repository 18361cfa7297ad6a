/* SPDX-License-Identifier: MIT */
/*
 * rig_restart -- see rig_restart.h.
 */
#include "tests/unit/core/rig_restart.h"

static struct rig_kept *kept_of(struct rig_journal *j, uint64_t task)
{
    size_t k = 0;

    while (k < j->n && j->kept[k].task != task)
        k++;
    if (k == j->n) {
        ck_assert_uint_lt(j->n, RIG_KEPT_MAX);
        j->kept[j->n++] = (struct rig_kept){ .task = task };
    }
    return &j->kept[k];
}

void rig_keep_rows(struct rig_journal *j, struct rig *r)
{
    for (size_t i = 0; i < r->out.n; i++) {
        struct core_row *row = r->out.v[i].type == ACT_RECORD ? r->out.v[i].row : NULL;
        struct rig_kept *kept;

        if (!row)
            continue;
        kept = kept_of(j, row->task);
        r->out.v[i].row = NULL;
        if (row->kind == ROW_NEW) {
            kept->row = row;
        } else if (row->kind == ROW_LIFE) {
            core_row_free(kept->life);
            kept->life = row;
        } else {
            core_row_free(row);
            kept->row = core_row_free(kept->row);
            kept->life = core_row_free(kept->life);
        }
    }
}

/* The first whose number is larger; NULL: none. */
static const struct rig_kept *kept_after(const struct rig_journal *j, uint64_t id)
{
    const struct rig_kept *next = NULL;

    for (size_t k = 0; k < j->n; k++)
        if (j->kept[k].row && j->kept[k].task > id && (!next || j->kept[k].task < next->task))
            next = &j->kept[k];
    return next;
}

void rig_restart(struct rig_journal *j, struct rig *r, uint32_t workers, uint64_t later_ms, int64_t clock_ms)
{
    const uint64_t wall_ms = core_shown_ms(r->core, core_time_ms(r->core)) + later_ms + (uint64_t)clock_ms;
    const uint64_t boot_ms = r->core->clock_ms;
    AUTO(msg_decoder) decoder = msg_decoder_new();
    const struct rig_kept *next;
    char why[256] = "";

    rig_keep_rows(j, r);
    actions_clear(&r->out);
    r->core = core_free(r->core);
    actions_deinit(&r->out);
    r->now += later_ms * 1000;
    rig_start(r, workers);
    if (j->same_boot)
        core_clock(r->core, boot_ms);
    core_wall(r->core, r->now, wall_ms);
    for (uint64_t id = 0; (next = kept_after(j, id)); id = next->task) {
        struct msg_request m;
        struct msg_problem problem;

        ck_assert_int_eq(msg_request_decode(decoder, next->row->spec->data, next->row->spec->n, &m, &problem), 0);
        ck_assert_msg(core_recover(r->core, r->now, next->row, next->life, &m.submit, &r->out, why) == 0, "%s", why);
    }
    core_recovered(r->core, r->now, &r->out);
    rig_check(r);
}

void rig_forget_rows(struct rig_journal *j)
{
    while (j->n > 0) {
        j->n--;
        core_row_free(j->kept[j->n].row);
        core_row_free(j->kept[j->n].life);
        j->kept[j->n] = (struct rig_kept){ 0 };
    }
}
