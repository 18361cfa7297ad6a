/* SPDX-License-Identifier: MIT */
/*
 * stasks -- the example of the original PTools: server tasks and two shared arrays.
 *
 *     ./stasks
 *
 * svar1 has 64 x 1024 elements of int32, svar2 100 x 100 of uint8. Every server task writes its id into the elements
 * offset : ntasks : 65536 of svar1, where offset is its id, counted from 1; then the caller reads them. In Julia:
 *
 *     h = start_stasks([ShmCfg(:svar1, Int32, (64, 1024)), ShmCfg(:svar2, Uint8, (100, 100))])
 *     ntasks = count_stasks(h)
 *     pmap_stasks(h, (offset, ntasks) -> ..., [1:ntasks], ...)
 *     stop_stasks(h)
 */
#include <inttypes.h>
#include <ptools/ptools.h>
#include <stdio.h>
#include <stdlib.h>

static int complain(const char *what)
{
    fprintf(stderr, "stasks: %s\n", what);
    return EXIT_FAILURE;
}

/* How many elements hold what their server task wrote. */
static uint64_t count_right(const ptools_array *svar1, uint32_t ntasks)
{
    const int32_t *element = ptools_array_data(svar1);
    uint64_t right = 0;

    for (uint64_t i = 0; i < ptools_array_count(svar1); i++)
        right += element[i] == (int32_t)(i % ntasks) + 1;
    return right;
}

int main(void)
{
    static const ptools_shmcfg arrays[] = { PTOOLS_SHMCFG("svar1", PTOOLS_INT32, 64, 1024),
                                            PTOOLS_SHMCFG("svar2", PTOOLS_UINT8, 100, 100) };
    ptools_options options = PTOOLS_OPTIONS_INIT;
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_stasks) h = NULL;
    PTOOLS_AUTO(ptools_outcomes) outcomes = NULL;
    PTOOLS_AUTO(ptools_pack) names = ptools_pack_new();
    const ptools_pack *lists[] = { names };
    const char *why;
    uint64_t right;

    options.flags = PTOOLS_PRIVATE;
    options.private_workers = 4;
    if (ptools_open(&options, &pt, &why) != PTOOLS_OK)
        return complain(why);
    if (ptools_start_stasks(pt, arrays, 2, "example", NULL, &h) != PTOOLS_OK)
        return complain(ptools_error_message(pt));
    for (uint32_t i = 0; i < ptools_count_stasks(h); i++)
        ptools_pack_str(names, "svar1"); /* element i goes to server task i */
    if (ptools_pmap_stasks(h, "arrays.stamp", lists, 1, PTOOLS_FOREVER, &outcomes) != PTOOLS_OK)
        return complain(ptools_error_message(pt));
    right = count_right(ptools_stasks_array(h, "svar1"), ptools_count_stasks(h));
    printf("%" PRIu32 " server tasks wrote their ids: %" PRIu64 " of 65536 elements are as they shall be\n",
           ptools_count_stasks(h), right);
    if (ptools_stop_stasks(h, PTOOLS_FOREVER) != PTOOLS_OK)
        return complain(ptools_error_message(pt));
    return right == 65536 ? EXIT_SUCCESS : EXIT_FAILURE;
}
