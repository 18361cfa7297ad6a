/* SPDX-License-Identifier: MIT */
/*
 * verb_shm -- what the deeds of `ptools shm` share. The command line is read in verb_shm.c; each deed then gets what
 * was wished for. Every deed returns the exit status, and has reported what went wrong.
 */
#ifndef CLI_VERB_SHM_H
#define CLI_VERB_SHM_H

#include <stdbool.h>
#include <stdint.h>

#include <ptools/ptools.h>

#include "client/cli/command_line.h"
#include "client/cli/shape.h"

enum { SHM_SHARE_MAX = 16, SHM_NAME_TEXT_BYTES = 160 };

enum shm_format {
    SHM_FORMAT_FOUND, /* by the file: .npy if it begins so, CSV if it is called so */
    SHM_FORMAT_NPY,
    SHM_FORMAT_CSV,
    SHM_FORMAT_RAW
};

struct shm_wish {
    const char *name;           /* of the array; NULL: the deed takes none */
    ptools_shm_options options; /* flags, prefix and the rest, as they go to the library */
    uint32_t share[SHM_SHARE_MAX];
    struct shape shape;         /* type 0, ndims 0: not given */
    uint32_t owner;             /* PTOOLS_SHM_OWN: not given */
    enum shm_format format;
    uint32_t lines;             /* of head */
};

int shm_list(const struct command_line *line, const struct shm_wish *wish); /* verb_shm_list.c */
int shm_info(const struct command_line *line, const struct shm_wish *wish);
int shm_create(const struct command_line *line, const struct shm_wish *wish); /* verb_shm_create.c */
int shm_rm(const struct command_line *line, const struct shm_wish *wish);
int shm_get(const struct command_line *line, const struct shm_wish *wish); /* verb_shm_get.c */
int shm_put(const struct command_line *line, const struct shm_wish *wish); /* verb_shm_put.c */
int shm_fill(const struct command_line *line, const struct shm_wish *wish); /* verb_shm_look.c */
int shm_sum(const struct command_line *line, const struct shm_wish *wish);
int shm_head(const struct command_line *line, const struct shm_wish *wish);

/* Connects, and maps the array of the wish: to read it, or (write) to change it. */
int shm_open(const struct command_line *line, const struct shm_wish *wish, bool write, ptools **ret_pt,
             ptools_array **ret_array);
/* Creates it, by the shape that is given, not by the wish's. */
ptools_err shm_make(ptools *pt, const struct shm_wish *wish, const struct shape *shape, ptools_array **ret_array);
/* What may not be written to, as a failure: one whose file is to be read alone. EXIT_VALUE if it may. */
int shm_check_writable(const struct command_line *line, const struct shm_wish *wish, const ptools_array *array);
/* `array "a"`, with its prefix and owner if these were named. */
const char *shm_name_text(const struct shm_wish *wish, char text[SHM_NAME_TEXT_BYTES]);

#endif
