/* SPDX-License-Identifier: MIT */
/*
 * start_stasks NAME COUNT -- starts so many server tasks under a name, with an array NAME-data, and leaves them to
 * others. For tests of the command, which itself starts none.
 */
#include <ptools/ptools.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char *argv[])
{
    ptools_stasks_options options = PTOOLS_STASKS_OPTIONS_INIT;
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_stasks) stasks = NULL;
    char array[80];
    ptools_shmcfg cfg = PTOOLS_SHMCFG(array, PTOOLS_FLOAT64, 10, 10);
    const char *why;

    if (argc != 3)
        return 2;
    snprintf(array, sizeof array, "%s-data", argv[1]);
    options.name = argv[1];
    options.count = (uint32_t)atoi(argv[2]);
    if (ptools_open(NULL, &pt, &why) != PTOOLS_OK) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    if (ptools_start_stasks(pt, &cfg, 1, NULL, &options, &stasks) != PTOOLS_OK) {
        fprintf(stderr, "%s\n", ptools_error_message(pt));
        return 1;
    }
    return 0;
}
