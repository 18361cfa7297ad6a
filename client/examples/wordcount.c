/* SPDX-License-Identifier: MIT */
/*
 * wordcount DIRECTORY... -- counts every file below the directories, on a pool of workers.
 *
 * text.count FILE gives lines, words and bytes of a file, as wc(1) counts them; it is called for all files
 * by all workers, and again by one, to tell what the others are worth. text.top FILE N gives its words with
 * their counts, which are added up here. A window of calls is kept in flight, so that no worker waits for
 * this program. Where no daemon runs, a private one is started. A file that cannot be read is a failed call.
 */
#include <errno.h>
#include <fts.h>
#include <inttypes.h>
#include <ptools/ptools.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#define HASH_FUNCTION HASH_FNV /* the default one falls through its cases */
#include <uthash.h>

enum { WINDOW = 64, WORDS = 100000 /* of one file: as many as text.top gives */ };
enum { SHOWN = 10, LETTERS = 3 /* of shorter words compressed files are full */ };

struct word {
    uint64_t count;
    UT_hash_handle hh;
    char text[];
};

struct files {
    char **paths;
    size_t n, unreadable;
};

struct run {
    const char *function;
    uint64_t lines, words, bytes;
    size_t refused; /* files that a worker could not read */
    bool cut;       /* a file has more words than were asked for */
    char problem[300];
    struct word *table;
    double began, seconds;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "wordcount: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static void *must(void *memory)
{
    if (!memory)
        die("memory", "there is none left");
    return memory;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Adds all regular files below dir. */
static void find_files(char *dir, struct files *files)
{
    FTS *fts = must(fts_open((char *[]){ dir, NULL }, FTS_PHYSICAL | FTS_NOCHDIR, NULL));
    FTSENT *entry;

    while ((entry = fts_read(fts))) {
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
            files->unreadable++;
        if (entry->fts_info != FTS_F)
            continue;
        if ((files->n & (files->n - 1)) == 0) /* a power of two: full */
            files->paths = must(realloc(files->paths, (files->n ? 2 * files->n : 1) * sizeof *files->paths));
        files->paths[files->n++] = must(strdup(entry->fts_path));
    }
    fts_close(fts);
}

static void show_progress(const struct run *run, size_t done, size_t of)
{
    double rate = (double)done / (now() - run->began);

    if (!isatty(STDERR_FILENO) || (done % WINDOW && done < of))
        return;
    fprintf(stderr, "\r\033[K"); /* to the begin of the line, and clear it */
    if (done < of)
        fprintf(stderr, "%zu of %zu calls, %.0f/s, %.1f s left", done, of, rate, (double)(of - done) / rate);
}

static uint64_t number_of(ptools_value counts, const char *name)
{
    ptools_value field;
    uint64_t n = 0;

    if (ptools_get_field(counts, name, &field) || ptools_get_u64(field, &n))
        die("text.count", "its value has no such number");
    return n;
}

static void add_word(struct run *run, ptools_value pair)
{
    ptools_value text, count;
    const char *utf8;
    struct word *word;
    uint64_t n;
    size_t bytes;

    if (ptools_get_item(pair, 0, &text) || ptools_get_str(text, &utf8, &bytes) || ptools_get_item(pair, 1, &count) ||
        ptools_get_u64(count, &n))
        die("text.top", "its value is no list of words and counts");
    HASH_FIND(hh, run->table, utf8, bytes, word);
    if (!word) {
        word = must(calloc(1, sizeof *word + bytes + 1));
        memcpy(word->text, utf8, bytes);
        HASH_ADD_KEYPTR(hh, run->table, word->text, bytes, word);
    }
    word->count += n;
}

static void collect(struct run *run, ptools_future *future)
{
    ptools_value value, pair;
    ptools_err err = ptools_future_fetch(future, PTOOLS_FOREVER, &value);
    uint32_t i;

    if (err == PTOOLS_ERR_FAILED) { /* the function's own word on this file; any other failure is ours */
        run->refused++;
        snprintf(run->problem, sizeof run->problem, "%s", ptools_future_failure(future)->message);
    } else if (err) {
        die(run->function, ptools_future_failure(future)->message);
    } else if (ptools_value_kind(value) == PTOOLS_LIST) {
        for (i = 0; ptools_get_item(value, i, &pair) == PTOOLS_OK; i++)
            add_word(run, pair);
        run->cut = run->cut || i == WORDS;
    } else {
        run->lines += number_of(value, "lines");
        run->words += number_of(value, "words");
        run->bytes += number_of(value, "bytes");
    }
}

static ptools_future *start(ptools *pt, ptools_workerset *set, const char *function, const char *path)
{
    PTOOLS_AUTO(ptools_pack) args = must(ptools_pack_new());
    ptools_future *future;

    ptools_pack_str(args, path);
    if (strcmp(function, "text.top") == 0)
        ptools_pack_u64(args, WORDS);
    if (ptools_remotecall(pt, set, function, args, NULL, &future))
        die(function, ptools_error_message(pt));
    return future;
}

/* Calls the function for all files, on these workers. */
static struct run run_on(ptools *pt, const uint32_t *ids, size_t n_ids, const struct files *files, const char *function)
{
    PTOOLS_AUTO(ptools_workerset) set = NULL;
    ptools_future *window[WINDOW] = { NULL };
    struct run run = { .function = function, .began = now() };
    size_t begun = 0, done, i;

    if (ptools_workerset_create(pt, NULL, ids, n_ids, PTOOLS_WS_FF, &set))
        die("worker set", ptools_error_message(pt));
    for (done = 0; done < files->n; done++) {
        for (i = 0; i < WINDOW && begun < files->n; i++)
            if (!window[i])
                window[i] = start(pt, set, function, files->paths[begun++]);
        if (ptools_wait_any(pt, window, WINDOW, PTOOLS_FOREVER, &i))
            die("wait", ptools_error_message(pt));
        collect(&run, window[i]);
        window[i] = ptools_future_free(window[i]);
        show_progress(&run, done + 1, files->n);
    }
    run.seconds = now() - run.began;
    return run;
}

static int by_count(const struct word *a, const struct word *b)
{
    return a->count != b->count ? (a->count < b->count ? 1 : -1) : strcmp(a->text, b->text);
}

int main(int argc, char *argv[])
{
    PTOOLS_AUTO(ptools) pt = NULL;
    ptools_options options = PTOOLS_OPTIONS_INIT;
    ptools_worker_info *workers;
    const char *why;
    struct files files = { NULL, 0, 0 };
    struct run run[2], top;
    struct word *word, *next;
    uint32_t *ids;
    size_t n, i;

    if (argc < 2)
        return fprintf(stderr, "usage: wordcount DIRECTORY...\n"), 2;
    for (i = 1; argv[i]; i++) { /* workers have a current directory of their own */
        char *path = realpath(argv[i], NULL);

        if (!path)
            die(argv[i], strerror(errno));
        find_files(path, &files);
        free(path);
    }
    options.flags = PTOOLS_PRIVATE;
    if (ptools_open(&options, &pt, &why))
        die("no daemon", why);
    if (ptools_workers(pt, &workers, &n))
        die("workers", ptools_error_message(pt));
    ids = must(calloc(n, sizeof *ids));
    for (i = 0; i < n; i++)
        ids[i] = workers[i].id;
    free(workers);
    top = run_on(pt, ids, n, &files, "text.top"); /* first: then the others find the files in memory */
    printf("workers    files      lines      words        bytes  seconds  calls/s\n");
    for (i = 0; i < 2; i++) {
        run[i] = run_on(pt, ids, i == 0 ? n : 1, &files, "text.count");
        printf("%7zu %8zu %10" PRIu64 " %10" PRIu64 " %12" PRIu64 " %8.2f %8.0f\n", i == 0 ? n : 1,
               files.n - run[i].refused, run[i].lines, run[i].words, run[i].bytes, run[i].seconds,
               (double)files.n / run[i].seconds);
    }
    printf("%zu workers are %.2f times as fast as one\n", n, run[1].seconds / run[0].seconds);
    if (files.unreadable + run[0].refused)
        printf("not read: %zu; the last: %s\n", files.unreadable + run[0].refused,
               run[0].refused ? run[0].problem : "a directory");
    HASH_SORT(top.table, by_count);
    printf("most frequent of %s%u words:", top.cut ? "more than " : "", HASH_COUNT(top.table));
    for (word = top.table, i = 0; word && i < SHOWN; word = word->hh.next)
        if (strlen(word->text) >= LETTERS)
            printf("%s %s %" PRIu64, i++ ? "," : "", word->text, word->count);
    printf("\n");

    HASH_ITER(hh, top.table, word, next) {
        HASH_DEL(top.table, word);
        free(word);
    }
    for (i = 0; i < files.n; i++)
        free(files.paths[i]);
    free(files.paths);
    free(ids);
    return EXIT_SUCCESS;
}
