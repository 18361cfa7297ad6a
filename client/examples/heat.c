/* SPDX-License-Identifier: MIT */
/*
 * heat -- heat spreads over a plate, on a shared array, and the result is a picture.
 *
 *     ./heat                                   heat.png, 400 x 400 points, 2000 steps
 *     ./heat --size 200 --steps 500 out.png
 *
 * The plate is two arrays of float64, the present and the next moment, which change places with each step. Each server
 * task keeps its rows as its state (arrays.heat_start) and computes them (arrays.heat_step); one ptools_pmap_stasks()
 * is one step, and the barrier between two. The upper border is held hot, the others cold; a hot disc in the middle
 * fades. Every point depends on the step before alone, so the picture is the same for any number of tasks.
 */
#include <png.h>
#include <ptools/ptools.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] = "usage: heat [--size POINTS] [--steps STEPS] [--tasks TASKS] [FILE.png]\n";

struct wish {
    unsigned size, steps, tasks; /* tasks 0: one for each worker */
    const char *path;
};

static ptools *pt;

static void check(ptools_err err)
{
    if (err == PTOOLS_OK)
        return;
    fprintf(stderr, "heat: %s: %s\n", ptools_errname(err), ptools_error_message(pt));
    exit(EXIT_FAILURE);
}

static int take_number(const char *text, unsigned least, unsigned most, unsigned *ret)
{
    char *end;
    unsigned long v = text ? strtoul(text, &end, 10) : 0;

    if (!text || *text < '0' || *text > '9' || *end || v < least || v > most) {
        fprintf(stderr, "heat: \"%s\": a number from %u to %u is expected\n", text ? text : "", least, most);
        return -1;
    }
    *ret = (unsigned)v;
    return 0;
}

/* 0; 1: help was asked for; -1: wrong. */
static int read_arguments(int argc, char **argv, struct wish *ret)
{
    int r = 0;

    for (int i = 1; i < argc && r == 0; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return 1;
        if (strcmp(argv[i], "--size") == 0)
            r = take_number(argv[++i], 8, 10000, &ret->size); /* argv ends with NULL */
        else if (strcmp(argv[i], "--steps") == 0)
            r = take_number(argv[++i], 1, 10000000, &ret->steps);
        else if (strcmp(argv[i], "--tasks") == 0)
            r = take_number(argv[++i], 1, 256, &ret->tasks);
        else if (argv[i][0] == '-')
            r = -1;
        else
            ret->path = argv[i];
    }
    return r;
}

/* The upper border is at 1, the others at 0; a disc in the middle begins at 1. */
static void warm_up(double *plate, unsigned size)
{
    double middle = (size - 1) / 2.0, radius = size / 6.0;

    for (unsigned y = 0; y < size; y++)
        for (unsigned x = 0; x < size; x++) {
            double dx = x - middle, dy = y - middle;

            plate[y * size + x] = y == 0 || dx * dx + dy * dy < radius * radius;
        }
}

/* From black by red and yellow to white. */
static void colour(double heat, png_byte *rgb)
{
    for (int k = 0; k < 3; k++) {
        double v = heat * 3 - k;

        rgb[k] = (png_byte)(255 * (v < 0 ? 0 : v > 1 ? 1 : v));
    }
}

static int write_png(const char *path, const double *plate, unsigned size)
{
    png_image image = { .version = PNG_IMAGE_VERSION, .width = size, .height = size, .format = PNG_FORMAT_RGB };
    png_byte *rgb = malloc(3 * (size_t)size * size);
    int good;

    if (!rgb)
        return -1;
    for (size_t i = 0; i < (size_t)size * size; i++)
        colour(plate[i], rgb + 3 * i);
    good = png_image_write_to_file(&image, path, 0, rgb, 0, NULL);
    free(rgb);
    if (!good)
        fprintf(stderr, "heat: %s: %s\n", path, image.message);
    return good ? 0 : -1;
}

static void step(ptools_stasks *h, const char *function)
{
    ptools_outcomes *outcomes;

    check(ptools_pmap_stasks(h, function, NULL, 0, PTOOLS_FOREVER, &outcomes));
    ptools_outcomes_free(outcomes);
}

static int run(const struct wish *wish)
{
    const ptools_shmcfg plates[] = { PTOOLS_SHMCFG("heat0", PTOOLS_FLOAT64, wish->size, wish->size),
                                     PTOOLS_SHMCFG("heat1", PTOOLS_FLOAT64, wish->size, wish->size) };
    ptools_stasks_options options = PTOOLS_STASKS_OPTIONS_INIT;
    ptools_stasks *h;
    int r;

    options.count = wish->tasks;
    check(ptools_start_stasks(pt, plates, 2, NULL, &options, &h));
    warm_up(ptools_array_data(ptools_stasks_array(h, "heat0")), wish->size);
    step(h, "arrays.heat_start");
    for (unsigned i = 0; i < wish->steps; i++)
        step(h, "arrays.heat_step");
    r = write_png(wish->path, ptools_array_data(ptools_stasks_array(h, wish->steps % 2 ? "heat1" : "heat0")),
                  wish->size);
    check(ptools_stop_stasks(h, PTOOLS_FOREVER));
    ptools_stasks_free(h);
    return r;
}

int main(int argc, char **argv)
{
    struct wish wish = { .size = 400, .steps = 2000, .path = "heat.png" };
    ptools_options options = PTOOLS_OPTIONS_INIT;
    const char *why;
    int r = read_arguments(argc, argv, &wish);

    if (r != 0) {
        fputs(usage, r > 0 ? stdout : stderr);
        return r > 0 ? EXIT_SUCCESS : 2;
    }
    options.flags = PTOOLS_PRIVATE;
    if (ptools_open(&options, &pt, &why) != PTOOLS_OK) {
        fprintf(stderr, "heat: %s\n", why);
        return EXIT_FAILURE;
    }
    r = run(&wish);
    ptools_close(pt);
    if (r == 0)
        printf("%s: %u x %u points after %u steps\n", wish.path, wish.size, wish.size, wish.steps);
    return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
