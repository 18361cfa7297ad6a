/* SPDX-License-Identifier: MIT */
/*
 * hello -- the smallest program: calls one function in a worker process and prints what it returns.
 *
 *     cc hello.c $(pkg-config --cflags --libs ptools) -o hello
 *     ./hello 12            prints 144
 *
 * math.square is a function of the module `math`. Where no daemon runs, a private one is started.
 */
#include <inttypes.h>
#include <ptools/ptools.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) future = NULL;
    const char *message;
    ptools_value value;
    int64_t number, square;
    char *end;
    ptools_err err;

    number = argc == 2 ? strtoll(argv[1], &end, 10) : 0;
    if (argc != 2 || end == argv[1] || *end) {
        fprintf(stderr, "usage: hello NUMBER\n");
        return 2;
    }

    options.flags = PTOOLS_PRIVATE;
    if (ptools_open(&options, &pt, &message) != PTOOLS_OK) {
        fprintf(stderr, "hello: %s\n", message);
        return EXIT_FAILURE;
    }

    ptools_pack_i64(args, number);
    err = ptools_remotecall_fetch(pt, NULL, "math.square", args, NULL, PTOOLS_FOREVER, &future, &value);
    if (err != PTOOLS_OK) { /* the function's own message, or what became of the worker */
        fprintf(stderr, "hello: %s: %s\n", ptools_errname(err), ptools_error_message(pt));
        return EXIT_FAILURE;
    }

    if (ptools_get_i64(value, &square) != PTOOLS_OK) {
        fprintf(stderr, "hello: math.square returned a %s\n", ptools_kind_name(ptools_value_kind(value)));
        return EXIT_FAILURE;
    }
    printf("%" PRId64 "\n", square);
    return EXIT_SUCCESS;
}
