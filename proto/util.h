/* SPDX-License-Identifier: MIT */
/*
 * util -- the few macros of the house: scope-bound release, hand-over, sizes.
 *
 * AUTO(thing) declares a pointer that thing_free() releases at the end of its scope; TAKE() hands
 * the value over and leaves NULL behind. Everything here is a macro or a static inline function.
 */
#ifndef PROTO_UTIL_H
#define PROTO_UTIL_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define AUTO(type) __attribute__((__cleanup__(type##_freep))) struct type *
#define DEFINE_AUTO(type)                                                                                           \
    static inline void type##_freep(struct type **p)                                                                \
    {                                                                                                               \
        (void)type##_free(*p);                                                                                      \
    }

static inline void mem_freep(void *p)
{
    free(*(void **)p);
}
#define AUTO_MEM __attribute__((__cleanup__(mem_freep)))

#define TAKE(p)                                                                                                        \
    __extension__({                                                                                                    \
        __typeof__(p) taken_ = (p);                                                                                    \
        (p) = NULL;                                                                                                    \
        taken_;                                                                                                        \
    })

#define ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
