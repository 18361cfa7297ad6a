/* SPDX-License-Identifier: MIT */
/*
 * text -- a module of ptools to copy from: files in, counts out.
 *
 *     text.count FILE     {"lines": L, "words": W, "bytes": B}, as wc(1) counts them in the C locale
 *     text.top FILE N     the N most frequent words, the most frequent first: [[word, count], ...]
 *     text.reverse TEXT   its characters (UTF-8) from the last to the first
 *
 * Files are read by blocks, so their size does not matter. Each block tells its progress and looks
 * whether the task shall stop. FILE is opened by the worker: a relative name would begin at "/", so it
 * is refused. Build it with
 *
 *     cc -shared -fPIC $(pkg-config --cflags ptools-module) -o text.so text.c
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH_NONFATAL_OOM 1                            /* a word that did not fit is marked, ... */
#define uthash_nonfatal_oom(word) ((word)->count = 0) /* ... not a reason to exit */
#define HASH_FUNCTION HASH_OAT
#include <uthash.h>

#include <ptools/module.h>

enum { BLOCK_BYTES = 65536, WORD_BYTES = 64, TOP_MAX = 100000 };

/* -- reading a file -------------------------------------------------------------------------- */

struct reader {
    ptools_task *task;
    const char *name;
    int fd;
    uint64_t done, size;
    uint8_t block[BLOCK_BYTES];
};

static ptools_err reader_open(struct reader *r, ptools_task *task, uint32_t index)
{
    ptools_err err = ptools_task_arg_str(task, index, &r->name);
    struct stat st;

    if (err != PTOOLS_OK)
        return err;
    if (r->name[0] != '/')
        return ptools_task_fail(task, "%s is not an absolute path: a worker has no directory of yours", r->name);
    r->task = task;
    r->done = 0;
    r->fd = open(r->name, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0)
        return ptools_task_fail(task, "cannot open %s: %s", r->name, strerror(errno));
    r->size = fstat(r->fd, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
    ptools_task_phase(task, "reading");
    return PTOOLS_OK;
}

/* The next block: *ret_n bytes of it, 0 at the end. */
static ptools_err reader_next(struct reader *r, size_t *ret_n)
{
    ssize_t n;

    do { /* the signal that comes with a request to stop ends a read that waits */
        if (ptools_task_cancelled(r->task))
            return ptools_task_fail(r->task, "stopped after %llu bytes of %s", (unsigned long long)r->done, r->name);
        n = read(r->fd, r->block, sizeof r->block);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return ptools_task_fail(r->task, "cannot read %s: %s", r->name, strerror(errno));
    r->done += (uint64_t)n;
    ptools_task_progress(r->task, r->done, r->size);
    *ret_n = (size_t)n;
    return PTOOLS_OK;
}

/* -- count ----------------------------------------------------------------------------------- */

/* What a byte is to wc in the C locale. A word is a run of bytes without white space that has a printable
 * one in it: other bytes neither begin a word nor end one. */
enum byte_class { OTHER, PRINTABLE, SPACE };

static const uint8_t *byte_classes(void)
{
    static uint8_t classes[256];

    if (classes[' '] == SPACE)
        return classes;
    memset(&classes['!'], PRINTABLE, '~' - '!' + 1);
    memset(&classes['\t'], SPACE, '\r' - '\t' + 1); /* \t \n \v \f \r */
    classes[' '] = SPACE;
    return classes;
}

static ptools_err count(ptools_task *task)
{
    static struct reader r; /* functions run one at a time */
    const uint8_t *classes = byte_classes();
    uint64_t lines = 0, words = 0;
    ptools_pack *result = ptools_task_result(task);
    ptools_err err = ptools_task_expect(task, 1);
    bool in_word = false;
    size_t n = 0;

    if (err == PTOOLS_OK)
        err = reader_open(&r, task, 0);
    if (err != PTOOLS_OK)
        return err;
    while ((err = reader_next(&r, &n)) == PTOOLS_OK && n > 0) {
        for (size_t i = 0; i < n; i++) {
            uint8_t class = classes[r.block[i]];

            lines += r.block[i] == '\n';
            words += class == PRINTABLE && !in_word;
            in_word = class == PRINTABLE || (in_word && class == OTHER);
        }
    }
    close(r.fd);
    if (err != PTOOLS_OK)
        return err;
    ptools_pack_map(result, 3);
    ptools_pack_str(result, "lines");
    ptools_pack_u64(result, lines);
    ptools_pack_str(result, "words");
    ptools_pack_u64(result, words);
    ptools_pack_str(result, "bytes");
    ptools_pack_u64(result, r.done);
    return PTOOLS_OK;
}

/* -- top ------------------------------------------------------------------------------------- */

struct word {
    UT_hash_handle hh;
    uint64_t count; /* 0: it could not be added */
    size_t n;
    char text[];    /* n bytes */
};

static struct word *words_free(struct word *words)
{
    struct word *word, *next;

    HASH_ITER(hh, words, word, next) {
        HASH_DEL(words, word);
        free(word);
    }
    return NULL;
}

/* False: no memory. */
static bool words_add(struct word **words, const char *text, size_t n)
{
    struct word *word;

    HASH_FIND(hh, *words, text, n, word);
    if (word) {
        word->count++;
        return true;
    }
    word = malloc(sizeof *word + n);
    if (!word)
        return false;
    word->count = 1;
    word->n = n;
    memcpy(word->text, text, n);
    HASH_ADD_KEYPTR(hh, *words, word->text, n, word);
    if (word->count > 0)
        return true;
    free(word);
    return false;
}

/* More frequent first, then by the alphabet. */
static int by_rank(const struct word *a, const struct word *b)
{
    int order = memcmp(a->text, b->text, a->n < b->n ? a->n : b->n);

    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return order ? order : (a->n > b->n) - (a->n < b->n);
}

static ptools_err no_memory(struct reader *r, const struct word *words)
{
    return ptools_task_fail(r->task, "no memory for more than %u different words", HASH_COUNT(words));
}

/* Words are runs of ASCII letters and digits, in lower case; of one over WORD_BYTES, the beginning. */
static ptools_err read_words(struct reader *r, struct word **words)
{
    char text[WORD_BYTES];
    size_t length = 0, n = 0;
    ptools_err err;

    while ((err = reader_next(r, &n)) == PTOOLS_OK && n > 0) {
        for (size_t i = 0; i < n; i++) {
            uint8_t c = r->block[i];

            if (c >= 'A' && c <= 'Z')
                c = (uint8_t)(c - 'A' + 'a');
            if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
                if (length < sizeof text)
                    text[length++] = (char)c;
                continue;
            }
            if (length > 0 && !words_add(words, text, length))
                return no_memory(r, *words);
            length = 0;
        }
    }
    if (err == PTOOLS_OK && length > 0 && !words_add(words, text, length))
        return no_memory(r, *words);
    return err;
}

static ptools_err top(ptools_task *task)
{
    static struct reader r;
    struct word *words = NULL, *word;
    ptools_pack *result = ptools_task_result(task);
    ptools_err err = ptools_task_expect(task, 2);
    uint64_t n;

    if (err == PTOOLS_OK)
        err = ptools_task_arg_u64(task, 1, &n);
    if (err != PTOOLS_OK)
        return err;
    if (n == 0 || n > TOP_MAX)
        return ptools_task_fail(task, "N is %llu, allowed is 1 to %d", (unsigned long long)n, TOP_MAX);
    err = reader_open(&r, task, 0);
    if (err != PTOOLS_OK)
        return err;
    err = read_words(&r, &words);
    close(r.fd);
    if (err == PTOOLS_OK) {
        ptools_task_phase(task, "sorting");
        HASH_SORT(words, by_rank);
        n = n < HASH_COUNT(words) ? n : HASH_COUNT(words);
        ptools_pack_list(result, (uint32_t)n);
        for (word = words; word && n > 0; word = word->hh.next, n--) {
            ptools_pack_list(result, 2);
            ptools_pack_strn(result, word->text, word->n);
            ptools_pack_u64(result, word->count);
        }
    }
    words_free(words);
    return err;
}

/* -- reverse --------------------------------------------------------------------------------- */

static bool goes_on(char c) /* a byte of a character of UTF-8 that is not its first */
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static ptools_err reverse(ptools_task *task)
{
    const char *text;
    char *reversed;
    size_t n, at = 0;
    ptools_err err = ptools_task_expect(task, 1);

    if (err == PTOOLS_OK)
        err = ptools_task_arg_str(task, 0, &text);
    if (err != PTOOLS_OK)
        return err;
    n = strlen(text);
    reversed = malloc(n + 1);
    if (!reversed)
        return ptools_task_fail(task, "no memory for %zu bytes", n);
    for (size_t end = n; end > 0;) {
        size_t begin = end - 1;

        while (begin > 0 && goes_on(text[begin]))
            begin--;
        memcpy(reversed + at, text + begin, end - begin);
        at += end - begin;
        end = begin;
    }
    ptools_pack_strn(ptools_task_result(task), reversed, n);
    free(reversed);
    return PTOOLS_OK;
}

/* -- the module ------------------------------------------------------------------------------ */

static const ptools_function functions[] = {
    { "count", count, "count FILE -> its lines, words and bytes, as wc(1) counts them",
      PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY },
    { "top", top, "top FILE N -> its N most frequent words, and how often each occurs",
      PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY },
    { "reverse", reverse, "reverse TEXT -> its characters from the last to the first",
      PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY },
    { NULL, NULL, NULL, 0 },
};

PTOOLS_MODULE_EXPORT const ptools_module_info ptools_module = {
    .abi = PTOOLS_MODULE_ABI,
    .struct_size = sizeof(ptools_module_info),
    .help = "words and lines of files",
    .functions = functions,
};
