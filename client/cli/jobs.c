/* SPDX-License-Identifier: MIT */
/*
 * jobs -- see jobs.h; what has ended is the matter of jobs_ended.c. Items are numbered as they come (seq); turns are
 * the order in which they are begun and shown, which --shuf makes another one. Outcomes come in any order; one whose
 * turn has not come is kept, and if those are many bytes nothing new is begun until its turn comes.
 *
 * Attempts are counted here and not by the library, because a command that fails has a value, as others have: its
 * status and what it wrote.
 */
#include "client/cli/jobs.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/results.h"
#include "client/cli/times.h"
#include "client/cli/waiting.h"

#define KEPT_BYTES ((uint64_t)64 << 20)

/* -- open and close ---------------------------------------------------------------------------------------- */

static bool shuffle(struct jobs *q)
{
    bool about;
    const uint64_t n = jobs_of(q, &about);
    uint64_t random;

    q->order = n > SIZE_MAX / sizeof q->order[0] ? NULL : malloc((n ? n : 1) * sizeof q->order[0]);
    for (uint64_t i = 0; q->order && i < n; i++) {
        if (getrandom(&random, sizeof random, 0) != sizeof random)
            random = i;
        random %= i + 1;
        if (random != i)
            q->order[i] = q->order[random];
        q->order[random] = i;
    }
    return q->order != NULL;
}

static int open_templates(struct jobs *q)
{
    const struct jobs_wish *wish = q->wish;
    const struct texts *names = wish->sources.header ? &q->sources.names : NULL;
    const char *tag = wish->tag_string ? wish->tag_string : "{}";
    const bool append = !wish->pipe && wish->sources.max_args > 0;

    q->out.tagged = wish->tag;
    if (!template_init(&q->template, wish->argv, wish->n_argv, names, append) ||
        !template_init(&q->out.tag, &tag, 1, names, false))
        return failure_report_code(q->line, PTOOLS_ERR_NO_MEMORY, NULL);
    return EXIT_VALUE;
}

static int open_log(struct jobs *q)
{
    char why[JOBLOG_WHY_BYTES], text[JOBLOG_WHY_BYTES + 300];
    int r;

    if (!q->wish->joblog)
        return EXIT_VALUE;
    r = (q->wish->dry_run ? joblog_look : joblog_open)(&q->log, q->wish->joblog, q->wish->how, why);
    if (r == 0)
        return EXIT_VALUE;
    snprintf(text, sizeof text, "--joblog %.250s: %s", q->wish->joblog, why);
    return failure_report_code(q->line, r < 0 ? PTOOLS_ERR_NO_MEMORY : PTOOLS_ERR_SYSTEM, r < 0 ? NULL : text);
}

/* Before anything is run whose output could not be kept. */
static int make_results(struct jobs *q)
{
    char text[300];
    int r = q->wish->results && !q->wish->dry_run ? results_make(q->wish->results) : 0;

    if (r == 0)
        return EXIT_VALUE;
    snprintf(text, sizeof text, "--results %.200s: %s", q->wish->results, strerror(-r));
    return failure_report_code(q->line, PTOOLS_ERR_SYSTEM, text);
}

int jobs_open(struct jobs *q, const struct command_line *line, const struct jobs_wish *wish, bool ordered,
              struct bar *bar)
{
    int status = EXIT_VALUE;

    /* Of a dry run none ends, and so none waits for its turn. */
    *q = (struct jobs){ .line = line, .wish = wish, .ordered = ordered && !wish->dry_run, .sources.fd = -1 };
    TAILQ_INIT(&q->flight);
    TAILQ_INIT(&q->again);
    TAILQ_INIT(&q->ended);
    if (job_output_open(&q->out, line, bar) < 0)
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    blocks_init(&q->blocks, STDIN_FILENO, wish->sources.separator,
                wish->block_bytes ? wish->block_bytes : JOBS_BLOCK_BYTES);
    if (!wish->pipe)
        status = sources_open(&q->sources, line, &wish->sources);
    if (status == EXIT_VALUE)
        status = open_templates(q);
    if (status == EXIT_VALUE && wish->shuf && !shuffle(q))
        status = failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    if (status == EXIT_VALUE)
        status = make_results(q);
    return status == EXIT_VALUE ? open_log(q) : status;
}

static void free_all(struct job_list *list)
{
    struct job *job;

    while ((job = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, job, link);
        job_free(job);
    }
}

void jobs_close(struct jobs *q)
{
    free_all(&q->flight);
    free_all(&q->again);
    free_all(&q->ended);
    free(q->order);
    joblog_close(&q->log);
    job_output_close(&q->out);
    template_deinit(&q->template);
    blocks_deinit(&q->blocks);
    sources_close(&q->sources);
}

uint64_t jobs_of(const struct jobs *q, bool *ret_about)
{
    *ret_about = false;
    if (!q->wish->pipe)
        return sources_of(&q->sources, ret_about);
    return q->blocks.all_read && q->blocks.n == 0 ? q->n_taken : SOURCES_NOT_KNOWN;
}

/* -- new ones ---------------------------------------------------------------------------------------------- */

static int take_block(struct jobs *q, struct job *job)
{
    char why[200];
    int r = blocks_next(&q->blocks, &job->block, &job->n_block);

    job->seq = q->n_taken + 1;
    if (r >= 0)
        return r == BLOCKS_BLOCK ? SOURCES_ITEM : r == BLOCKS_LATER ? SOURCES_LATER : SOURCES_NO_MORE;
    snprintf(why, sizeof why, "standard input: %s", r == -EMSGSIZE ? "a line has more than 1 GiB" : strerror(-r));
    jobs_stop(q, PTOOLS_ERR_SYSTEM, why);
    return SOURCES_WRONG;
}

static bool is_picked(const struct jobs *q, uint64_t turn)
{
    for (size_t i = 0; i < q->n_picked; i++)
        if (q->picked[i] == turn)
            return true;
    return false;
}

static void take_turn(struct jobs *q, struct job *job, uint64_t turn)
{
    const uint64_t index = q->order ? q->order[turn] : turn;

    job->turn = turn;
    job->seq = index + 1;
    sources_item(&q->sources, index, &job->values);
}

/* Of items that are all there. */
static int take_known(struct jobs *q, struct job *job)
{
    bool about;

    if (q->rehearses) {
        if (q->at_picked == q->n_picked)
            return SOURCES_LATER;
        take_turn(q, job, q->picked[q->at_picked++]);
        return SOURCES_ITEM;
    }
    while (is_picked(q, q->n_taken))
        q->n_taken++;
    if (q->n_taken >= sources_of(&q->sources, &about))
        return SOURCES_NO_MORE;
    take_turn(q, job, q->n_taken++);
    return SOURCES_ITEM;
}

static int take_item(struct jobs *q, struct job *job)
{
    int r;

    if (!q->wish->pipe && q->sources.n_records != SOURCES_NOT_KNOWN)
        return take_known(q, job);
    job->turn = q->n_taken;
    job->seq = job->turn + 1;
    r = q->wish->pipe ? take_block(q, job) : sources_next(&q->sources, &job->values);
    q->n_taken += r == SOURCES_ITEM;
    q->later = r == SOURCES_LATER;
    if (q->sources.wrong)
        jobs_stop(q, PTOOLS_ERR_SYSTEM, q->sources.why);
    return r;
}

/* The lowest that nobody has. */
static uint32_t free_slot(const struct jobs *q)
{
    const struct job *job;
    uint32_t slot = 0;

    do {
        slot++;
        TAILQ_FOREACH(job, &q->flight, link)
            if (job->slot == slot)
                break;
    } while (job);
    return slot;
}

static bool expand(struct jobs *q, struct job *job)
{
    job->slot = q->template.slot ? free_slot(q) : 0;
    texts_reset(&job->argv);
    free(job->command);
    job->command = NULL;
    template_expand(&q->template, &job->values, job->seq, job->slot, &job->argv);
    return !job->argv.no_memory && !job->values.no_memory;
}

/* That it stands in the job log is known by its number; that it is the same command is known by the command. */
static bool has_ended_before(struct jobs *q, struct job *job)
{
    char why[sizeof q->why];
    const char *command;
    bool other, ended;

    if (q->log.n == 0)
        return false;
    command = job_command(job);
    if (!command) {
        jobs_stop_no_memory(q);
        return false;
    }
    ended = joblog_has(&q->log, job->seq, command, job->n_command, &other);
    if (other && !q->template.slot) {
        snprintf(why, sizeof why,
                 "--joblog %.100s: item %" PRIu64
                 " was another command there than %.150s%s: is it the log of another run?",
                 q->wish->joblog, job->seq, command, job->n_command > 150 ? "..." : "");
        jobs_stop(q, PTOOLS_ERR_INVALID, why);
    }
    return ended;
}

/* The next that is to be run. */
static int take_new(struct jobs *q, struct job **ret)
{
    for (;;) {
        struct job *job = calloc(1, sizeof *job);
        int r;

        if (!job) {
            jobs_stop_no_memory(q);
            return SOURCES_WRONG;
        }
        r = take_item(q, job);
        if (r == SOURCES_ITEM && !expand(q, job))
            jobs_stop_no_memory(q);
        if (r == SOURCES_ITEM && !q->stopped)
            job->passed_over = has_ended_before(q, job);
        if (r != SOURCES_ITEM || q->stopped) {
            job_free(job);
            return r == SOURCES_ITEM ? SOURCES_WRONG : r;
        }
        if (!job->passed_over) {
            *ret = job;
            return SOURCES_ITEM;
        }
        jobs_ended(q, job);
    }
}

/* -- for the library --------------------------------------------------------------------------------------- */

static struct job *take_due(struct jobs *q)
{
    struct job *job = TAILQ_FIRST(&q->again);

    if (!job || job->due_us > waiting_now_us())
        return NULL;
    TAILQ_REMOVE(&q->again, job, link);
    job_forget_outcome(job);
    if (q->template.slot && !expand(q, job))
        jobs_stop_no_memory(q);
    return job;
}

static void pack(const struct job *job, ptools_pack *args)
{
    size_t n;

    ptools_pack_map(args, 1u + (job->block != NULL) + (job->attempts > 1));
    ptools_pack_str(args, "argv");
    ptools_pack_list(args, (uint32_t)job->argv.n);
    for (size_t i = 0; i < job->argv.n; i++) {
        const char *word = texts_get(&job->argv, i, &n);

        ptools_pack_bytes(args, word, n);
    }
    if (job->block) {
        ptools_pack_str(args, "stdin");
        ptools_pack_bytes(args, job->block, job->n_block);
    }
    if (job->attempts > 1) { /* for the library each is a new item */
        ptools_pack_str(args, "attempt");
        ptools_pack_u64(args, job->attempts);
    }
}

/* There is none now: is there to be one? */
static int none(const struct jobs *q, int r)
{
    const bool comes_again = q->n_flight > 0 && q->retries_wish.attempts > 1;

    if (q->stopped || r == SOURCES_WRONG)
        return SOURCES_NO_MORE;
    return r == SOURCES_NO_MORE && (!TAILQ_EMPTY(&q->again) || comes_again) ? SOURCES_LATER : r;
}

int jobs_next(ptools_pack *args, void *input)
{
    struct jobs *q = input;
    struct job *job;
    int r;

    q->later = false;
    if (q->stopped)
        return SOURCES_NO_MORE;
    if (q->window > 0 && q->n_flight >= q->window)
        return SOURCES_LATER;
    job = take_due(q);
    if (!job && q->kept_bytes > KEPT_BYTES)
        return SOURCES_LATER;
    r = job ? SOURCES_ITEM : take_new(q, &job);
    if (r != SOURCES_ITEM)
        return none(q, r);
    job->index = q->n_sent++;
    job->attempts++;
    pack(job, args);
    TAILQ_INSERT_TAIL(&q->flight, job, link);
    q->n_flight++;
    return SOURCES_ITEM;
}

/* -- outcomes ---------------------------------------------------------------------------------------------- */

static bool calls_for_another(const struct jobs *q, const struct job *job)
{
    const uint32_t causes = q->retries_wish.causes ? q->retries_wish.causes : UINT32_MAX;

    if (job_good(job) || job_undone(job) || q->stopped || job->attempts >= q->retries_wish.attempts ||
        jobs_hopeless(q, job))
        return false;
    if (job->outcome.err == PTOOLS_ERR_DEADLINE)
        return causes & PTOOLS_RETRY_TIMEOUT;
    return causes & (job->outcome.signal > 0 ? PTOOLS_RETRY_DIED : PTOOLS_RETRY_FAILED);
}

static void try_again(struct jobs *q, struct job *job)
{
    struct job *before = TAILQ_LAST(&q->again, job_list);

    job->due_us = waiting_now_us() + (uint64_t)q->retries_wish.delays_ms[job->attempts - 1] * 1000;
    while (before && before->due_us > job->due_us)
        before = TAILQ_PREV(before, job_list, link);
    if (before)
        TAILQ_INSERT_AFTER(&q->again, before, job, link);
    else
        TAILQ_INSERT_HEAD(&q->again, job, link);
}

void jobs_take(struct jobs *q, const ptools_item *item)
{
    struct job *job;

    TAILQ_FOREACH(job, &q->flight, link)
        if (job->index == item->index)
            break;
    if (!job)
        return;
    TAILQ_REMOVE(&q->flight, job, link);
    q->n_flight--;
    if (!job_take(job, item, times_now_ms()))
        jobs_stop_no_memory(q);
    if (calls_for_another(q, job))
        try_again(q, job);
    else
        jobs_ended(q, job);
}

int64_t jobs_due_ms(const struct jobs *q)
{
    const struct job *job = q->stopped ? NULL : TAILQ_FIRST(&q->again);
    const uint64_t now_us = waiting_now_us();

    if (!job || (q->window > 0 && q->n_flight >= q->window))
        return -1;
    return job->due_us > now_us ? (int64_t)((job->due_us - now_us + 999) / 1000) : 0;
}

bool jobs_flush(struct jobs *q, bool sync)
{
    char why[sizeof q->why];

    if (!outlet_flush(&q->out.outlet))
        return false;
    if (joblog_flush(&q->log, sync, waiting_now_us()) || q->wrong != PTOOLS_OK)
        return true;
    snprintf(why, sizeof why, "--joblog %.200s: it cannot be written: %s", q->wish->joblog, strerror(errno));
    jobs_stop(q, PTOOLS_ERR_SYSTEM, why);
    return true;
}

void jobs_end(struct jobs *q)
{
    struct job *job;

    q->stopped = true;
    while ((job = TAILQ_FIRST(&q->again))) {
        TAILQ_REMOVE(&q->again, job, link);
        jobs_ended(q, job);
    }
    jobs_show_ended(q, true);
}

/* -- before ------------------------------------------------------------------------------------------------ */

void jobs_pick(struct jobs *q, size_t n)
{
    bool about;
    const uint64_t of = sources_of(&q->sources, &about);

    q->n_picked = of < n ? (size_t)of : n;
    for (size_t i = 0; i < q->n_picked; i++)
        q->picked[i] = q->n_picked > 1 ? i * (of - 1) / (q->n_picked - 1) : 0;
    q->rehearses = q->n_picked > 0;
}

bool jobs_rehearsed(const struct jobs *q)
{
    return q->rehearses && q->picked_ended == q->n_picked;
}

int jobs_dry_run(struct jobs *q)
{
    struct job *job = NULL;
    int r;

    while ((r = take_new(q, &job)) == SOURCES_ITEM || (r == SOURCES_LATER && q->later)) {
        struct pollfd p = { .fd = q->wish->pipe ? STDIN_FILENO : q->sources.fd, .events = POLLIN };

        if (r == SOURCES_LATER && (poll(&p, 1, -1) >= 0 || errno == EINTR))
            continue;
        job_output_show_command(&q->out, job);
        job = job_free(job);
        if (q->out.outlet.error)
            break;
    }
    return EXIT_VALUE;
}
