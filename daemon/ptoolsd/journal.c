/* SPDX-License-Identifier: MIT */
/*
 * journal -- the thread that records, and the way there and back. See journal.h.
 *
 * The loop never waits for a disk. What it puts gathers on its side, and goes over once a turn; the thread takes what
 * has come while it wrote the batch before, writes it as the next one, and says how far it is. A batch is as large as
 * the load makes it: one row when there is little to do, a thousand when there is much.
 *
 * Without space, what may be refused (new tasks) is refused, and the rest tried again: with the reserve, and then every
 * RETRY_MS until there is space. While the reserve is in use nothing that may be refused is taken. All this passes by
 * itself when there is space again. Any other failure is for good: nothing is told as recorded after it, nothing is
 * tried again (what a sync that failed once says the second time is worth nothing), and the daemon must end.
 *
 * All that both sides touch is below the lock, which nobody holds while waiting.
 */
#include "daemon/ptoolsd/journal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/ptoolsd/journal_store.h"

enum { BATCH_ROWS = 1024, RETRY_MS = 200, IDLE_MS = 300 };
#define BATCH_BYTES (UINT64_C(8) << 20)

struct journal {
    struct store store; /* the thread's, once it runs */
    int event_fd;
    pthread_t thread;
    bool running;
    /* the loop's */
    struct row_list gathered;
    struct row_list told_refused;
    uint64_t put; /* the last number */
    uint64_t told;
    /* the thread's */
    struct row_list batch;
    bool tidy_more;
    bool stuck; /* there is no space for the batch: not before retry_at */
    struct timespec retry_at;
    /* of both, under the lock */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct row_list inbox, done, refused;
    uint64_t last; /* the last number that came in */
    uint64_t recorded;
    enum { GO_ON, FINISH, ABANDON } order;
    bool failed;
    char why[JOURNAL_WHY_BYTES];
};

/* -- the thread: what is next ------------------------------------------------------------------------------------ */

static struct timespec in_ms(long ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    return t;
}

static bool is_too_large(const struct core_row *row)
{
    return journal_row_bytes(row) > JOURNAL_ROW_BYTES_MAX;
}

/* Under the lock. */
static void tell(struct journal *j)
{
    const struct core_row *first = j->batch.head ? j->batch.head : j->inbox.head;
    uint64_t recorded = first ? first->number - 1 : j->last;

    if (recorded > j->recorded || j->refused.head)
        eventfd_write(j->event_fd, 1);
    j->recorded = MAX(j->recorded, recorded);
}

/* What may be refused goes from one list to the refused. */
static bool refuse(struct journal *j, struct row_list *list)
{
    struct row_list stay = { NULL };
    struct core_row *row;
    bool any = false;

    while ((row = row_list_pop(list))) {
        if (row->refusable) {
            row_list_push(&j->refused, row);
            any = true;
        } else {
            row_list_push(&stay, row);
        }
    }
    *list = (struct row_list){ NULL };
    row_list_move(&stay, list);
    return any;
}

/* From what came in, as much as one transaction should have. */
static void take_batch(struct journal *j)
{
    uint64_t bytes = 0;

    bool more = false;

    for (unsigned n = 0; ((n < BATCH_ROWS && bytes < BATCH_BYTES) || more) && j->inbox.head; n++) {
        struct core_row *row = row_list_pop(&j->inbox);

        more = row->more;
        bytes += journal_row_bytes(row);
        row_list_push(row->refusable && is_too_large(row) ? &j->refused : &j->batch, row);
    }
}

/* Waits until there is something to do: a batch, or none and time to tidy up. false: that was all. */
static bool next(struct journal *j)
{
    bool untidy = j->tidy_more || store_untidy(&j->store), in_time = true, end;
    struct timespec until = j->stuck ? j->retry_at : in_ms(j->tidy_more ? 0 : IDLE_MS);

    pthread_mutex_lock(&j->lock);
    while (j->order == GO_ON && in_time) {
        if (j->stuck && refuse(j, &j->inbox))
            tell(j);
        if (!j->stuck && j->inbox.head)
            break;
        if (j->stuck || untidy)
            in_time = pthread_cond_timedwait(&j->wake, &j->lock, &until) != ETIMEDOUT;
        else
            pthread_cond_wait(&j->wake, &j->lock);
    }
    if (!j->stuck)
        take_batch(j);
    end = j->order == ABANDON || (j->order == FINISH && !j->batch.head && !j->inbox.head);
    pthread_mutex_unlock(&j->lock);
    return !end;
}

/* -- the thread: doing it ------------------------------------------------------------------------------------------ */

static void refuse_batch(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    refuse(j, &j->batch);
    pthread_mutex_unlock(&j->lock);
}

/* 0; STORE_FULL: what is left of the batch waits for space; -errno, or JOURNAL_BAD_DATA. */
static int write_batch(struct journal *j)
{
    struct store *s = &j->store;
    int r;

    if (s->files.reserve_used && !journal_reserve_make(&s->files))
        refuse_batch(j);
    r = j->batch.head ? store_write(s, j->batch.head) : 0;
    if (r == STORE_FULL) {
        refuse_batch(j);
        r = j->batch.head ? store_write(s, j->batch.head) : 0;
    }
    if (r == STORE_FULL && journal_reserve_release(&s->files))
        r = store_write(s, j->batch.head);
    return r;
}

/* The batch has been dealt with. false: that was the end. */
static bool settle(struct journal *j, int r)
{
    bool go_on;

    j->stuck = r == STORE_FULL;
    if (j->stuck)
        j->retry_at = in_ms(RETRY_MS);
    pthread_mutex_lock(&j->lock);
    if (!j->stuck)
        row_list_move(&j->batch, &j->done);
    if (j->stuck && j->order == FINISH)
        r = -ENOSPC;
    if (r == 0 || r == STORE_FULL) {
        tell(j);
    } else {
        j->failed = true;
        snprintf(j->why, sizeof j->why, "%s", j->store.why);
        row_list_move(&j->batch, &j->done);
        row_list_move(&j->inbox, &j->done);
        eventfd_write(j->event_fd, 1);
    }
    go_on = !j->failed;
    pthread_mutex_unlock(&j->lock);
    return go_on;
}

static int tidy(struct journal *j)
{
    int r = store_tidy(&j->store, &j->tidy_more);

    if (r == STORE_FULL)
        r = j->tidy_more = 0; /* another time */
    return r;
}

static void *run(void *arg)
{
    struct journal *j = arg;

    while (next(j) && settle(j, j->batch.head ? write_batch(j) : tidy(j)))
        ;
    return NULL;
}

/* -- the loop's side ----------------------------------------------------------------------------------------------- */

static struct journal *journal_free(struct journal *j)
{
    if (!j)
        return NULL;
    store_close(&j->store);
    row_list_clear(&j->gathered);
    row_list_clear(&j->told_refused);
    row_list_clear(&j->batch);
    row_list_clear(&j->inbox);
    row_list_clear(&j->done);
    row_list_clear(&j->refused);
    pthread_cond_destroy(&j->wake);
    pthread_mutex_destroy(&j->lock);
    if (j->event_fd >= 0)
        close(j->event_fd);
    free(j);
    return NULL;
}
DEFINE_AUTO(journal)

int journal_open(const struct journal_options *options, struct journal **ret, char why[JOURNAL_WHY_BYTES])
{
    AUTO(journal) j = calloc(1, sizeof *j);
    pthread_condattr_t monotonic;
    int r;

    if (!j) {
        snprintf(why, JOURNAL_WHY_BYTES, "out of memory");
        return -ENOMEM;
    }
    pthread_mutex_init(&j->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&j->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    r = store_open(&j->store, options, NULL);
    j->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r == 0 && j->event_fd < 0) {
        r = -errno;
        snprintf(j->store.why, sizeof j->store.why, "cannot make an eventfd: %s", strerror(errno));
    }
    if (r) {
        snprintf(why, JOURNAL_WHY_BYTES, "%s", *j->store.why ? j->store.why : strerror(r < 0 ? -r : 0));
        return r;
    }
    *ret = TAKE(j);
    return 0;
}

uint64_t journal_clock_ms(const struct journal *j)
{
    return j->store.files.clock_ms;
}

int journal_load(struct journal *j, journal_loaded *callback, void *userdata, char why[JOURNAL_WHY_BYTES])
{
    int r = store_load(&j->store, callback, userdata);

    if (r)
        snprintf(why, JOURNAL_WHY_BYTES, "%s", j->store.why);
    return r;
}

int journal_start(struct journal *j, char why[JOURNAL_WHY_BYTES])
{
    int r = store_begin(&j->store);
    sigset_t all, before;

    if (r) {
        snprintf(why, JOURNAL_WHY_BYTES, "%s", j->store.why);
        return r;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&j->thread, NULL, run, j);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r)
        snprintf(why, JOURNAL_WHY_BYTES, "cannot start the journal's thread: %s", strerror(r));
    j->running = r == 0;
    return -r;
}

void journal_put(struct journal *j, struct core_row *take)
{
    j->put = take->number;
    row_list_push(&j->gathered, take);
}

void journal_turn(struct journal *j)
{
    if (!j->gathered.head)
        return;
    pthread_mutex_lock(&j->lock);
    j->last = j->put;
    row_list_move(&j->gathered, j->failed ? &j->done : &j->inbox);
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
}

bool journal_pending(const struct journal *j)
{
    return j->told < j->put;
}

int journal_fd(const struct journal *j)
{
    return j->event_fd;
}

void journal_collect(struct journal *j, struct journal_news *ret)
{
    struct row_list done = { NULL };
    eventfd_t n;

    row_list_clear(&j->told_refused);
    eventfd_read(j->event_fd, &n);
    pthread_mutex_lock(&j->lock);
    row_list_move(&j->done, &done);
    row_list_move(&j->refused, &j->told_refused);
    *ret = (struct journal_news){ j->recorded, j->told_refused.head, j->failed, j->failed ? j->why : NULL };
    pthread_mutex_unlock(&j->lock);
    j->told = ret->recorded;
    row_list_clear(&done);
}

const char *journal_why_refused(const struct core_row *row)
{
    return is_too_large(row) ? "it is too large for the journal of tasks (512 MiB)"
                             : "there is no space for it on the disk of the journal of tasks";
}

static void stop(struct journal *j, int order)
{
    if (!j->running)
        return;
    journal_turn(j);
    pthread_mutex_lock(&j->lock);
    j->order = order;
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
    pthread_join(j->thread, NULL);
}

int journal_close(struct journal *j, char why[JOURNAL_WHY_BYTES])
{
    int r = 0;

    stop(j, FINISH);
    if (j->failed)
        r = -EIO;
    else if (j->running)
        r = store_end(&j->store);
    if (r)
        snprintf(why, JOURNAL_WHY_BYTES, "%s", j->store.why);
    journal_free(j);
    return r == JOURNAL_BAD_DATA ? -EIO : r;
}

struct journal *journal_abandon(struct journal *j)
{
    if (j)
        stop(j, ABANDON);
    return journal_free(j);
}
