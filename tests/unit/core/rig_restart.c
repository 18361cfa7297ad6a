/* SPDX-License-Identifier: MIT */
/*
 * rig_restart -- see rig_restart.h.
 */
#include "tests/unit/core/rig_restart.h"

struct rig_kept rig_kept[RIG_KEPT_MAX];
size_t rig_n_kept;
bool rig_same_boot;

void rig_keep_rows(struct rig *r)
{
    for (size_t i = 0; i < r->out.n; i++) {
        struct core_row *row = r->out.v[i].type == ACT_RECORD ? r->out.v[i].row : NULL;
        size_t k = 0;

        if (!row)
            continue;
        while (k < rig_n_kept && rig_kept[k].task != row->task)
            k++;
        ck_assert_uint_lt(k, RIG_KEPT_MAX);
        if (k == rig_n_kept)
            rig_kept[rig_n_kept++] = (struct rig_kept){ .task = row->task };
        r->out.v[i].row = NULL;
        if (row->kind == ROW_NEW) {
            rig_kept[k].row = row;
        } else if (row->kind == ROW_LIFE) {
            core_row_free(rig_kept[k].life);
            rig_kept[k].life = row;
        } else {
            core_row_free(row);
            rig_kept[k].row = core_row_free(rig_kept[k].row);
            rig_kept[k].life = core_row_free(rig_kept[k].life);
        }
    }
}

void rig_restart(struct rig *r, uint32_t workers, uint64_t later_ms, int64_t clock_ms)
{
    const uint64_t wall_ms = core_shown_ms(r->core, core_time_ms(r->core)) + later_ms + (uint64_t)clock_ms;
    const uint64_t boot_ms = r->core->clock_ms;
    AUTO(msg_decoder) decoder = msg_decoder_new();
    char why[256] = "";

    rig_keep_rows(r);
    actions_clear(&r->out);
    r->core = core_free(r->core);
    actions_deinit(&r->out);
    r->now += later_ms * 1000;
    rig_start(r, workers);
    if (rig_same_boot)
        core_clock(r->core, boot_ms);
    core_wall(r->core, r->now, wall_ms);
    for (uint64_t id = 0;;) {
        struct rig_kept *next = NULL;
        struct msg_request m;
        struct msg_problem problem;

        for (size_t k = 0; k < rig_n_kept; k++)
            if (rig_kept[k].row && rig_kept[k].task > id && (!next || rig_kept[k].task < next->task))
                next = &rig_kept[k];
        if (!next)
            break;
        id = next->task;
        ck_assert_int_eq(msg_request_decode(decoder, next->row->spec->data, next->row->spec->n, &m, &problem), 0);
        ck_assert_msg(core_recover(r->core, r->now, next->row, next->life, &m.submit, &r->out, why) == 0, "%s", why);
    }
    core_recovered(r->core, r->now, &r->out);
    rig_check(r);
}

void rig_forget_rows(void)
{
    while (rig_n_kept > 0) {
        rig_n_kept--;
        core_row_free(rig_kept[rig_n_kept].row);
        core_row_free(rig_kept[rig_n_kept].life);
        rig_kept[rig_n_kept] = (struct rig_kept){ 0 };
    }
}
