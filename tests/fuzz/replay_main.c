/* SPDX-License-Identifier: MIT */
/*
 * replay_main -- runs a fuzz target over the files of its corpus, as an ordinary test: one TAP line a file.
 *
 *     replay PATH...    each a file or a directory of files (taken in the order of their names)
 *
 * A target does not report: it crashes, aborts or trips a sanitizer, and the line of its file is missing.
 * An empty corpus is a failure, lest a wrong path pass for a good run.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

static unsigned replayed;

static void fail(const char *path)
{
    perror(path);
    exit(2);
}

static void replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size); /* of the exact size: a sanitizer sees a read behind the end */

    if (!file || (!data && size > 0) || fread(data, 1, size, file) != size)
        fail(path);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    printf("ok %u - %s\n", ++replayed, path);
    fflush(stdout); /* it stays if the next one crashes */
}

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay(const char *path)
{
    struct dirent **entries;
    struct stat st;
    int n;

    if (stat(path, &st) < 0)
        fail(path);
    if (!S_ISDIR(st.st_mode)) {
        replay_file(path, (size_t)st.st_size);
        return;
    }
    n = scandir(path, &entries, not_hidden, alphasort);
    if (n < 0)
        fail(path);
    for (int i = 0; i < n; i++) {
        char *inside = NULL;

        if (asprintf(&inside, "%s/%s", path, entries[i]->d_name) < 0)
            fail(path);
        replay(inside);
        free(inside);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    printf("1..%u\n", replayed);
    return replayed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
