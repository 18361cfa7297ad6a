/* SPDX-License-Identifier: MIT */
/*
 * math -- a module of ptools to copy from: numbers in, numbers out.
 *
 *     math.square X            X * X; an integer stays an integer, or fails where it does not fit
 *     math.primes LO HI        how many primes there are in [LO, HI)
 *     math.pi SAMPLES SEED     pi, by throwing SAMPLES darts; the same SEED gives the same answer
 *
 * The shape of all functions: read the arguments, and return what the reader says if one is wrong; work,
 * looking now and then whether to stop; append the result. Build it with
 *
 *     cc -shared -fPIC $(pkg-config --cflags ptools-module) -o math.so math.c
 */
#include <stdlib.h>

#include <ptools/module.h>

/* -- add: an operator for reductions -------------------------------------------------------- */

static ptools_err add(ptools_task *task)
{
    ptools_err err = ptools_task_expect(task, 2);
    ptools_value v[2];
    int64_t a, b, sum;
    double x, y;

    if (err == PTOOLS_OK)
        err = ptools_task_arg(task, 0, &v[0]);
    if (err == PTOOLS_OK)
        err = ptools_task_arg(task, 1, &v[1]);
    if (err != PTOOLS_OK)
        return err;
    if (ptools_value_kind(v[0]) == PTOOLS_INT && ptools_value_kind(v[1]) == PTOOLS_INT) {
        err = ptools_task_arg_i64(task, 0, &a);
        if (err == PTOOLS_OK)
            err = ptools_task_arg_i64(task, 1, &b);
        if (err != PTOOLS_OK)
            return err;
        if (__builtin_add_overflow(a, b, &sum))
            return ptools_task_fail(task, "%lld and %lld add up to more than 64 bits have", (long long)a,
                                    (long long)b);
        ptools_pack_i64(ptools_task_result(task), sum);
        return PTOOLS_OK;
    }
    err = ptools_task_arg_f64(task, 0, &x);
    if (err == PTOOLS_OK)
        err = ptools_task_arg_f64(task, 1, &y);
    if (err == PTOOLS_OK)
        ptools_pack_f64(ptools_task_result(task), x + y);
    return err;
}

/* -- square ---------------------------------------------------------------------------------- */

static ptools_err square(ptools_task *task)
{
    ptools_err err = ptools_task_expect(task, 1);
    int64_t i, product;
    ptools_value v;
    double x;

    if (err == PTOOLS_OK)
        err = ptools_task_arg(task, 0, &v);
    if (err != PTOOLS_OK)
        return err;
    if (ptools_value_kind(v) == PTOOLS_INT) {
        err = ptools_task_arg_i64(task, 0, &i);
        if (err != PTOOLS_OK)
            return err;
        if (__builtin_mul_overflow(i, i, &product))
            return ptools_task_fail(task, "%lld squared does not fit into 64 bits", (long long)i);
        ptools_pack_i64(ptools_task_result(task), product);
        return PTOOLS_OK;
    }
    err = ptools_task_arg_f64(task, 0, &x);
    if (err != PTOOLS_OK)
        return err;
    ptools_pack_f64(ptools_task_result(task), x * x);
    return PTOOLS_OK;
}

/* -- primes ---------------------------------------------------------------------------------- */

#define PRIMES_MAX 100000000000000u /* 10^14: the sieve of its root takes 5 MB */
#define SEGMENT 262144u             /* odd numbers looked at in one go: fits into a cache */

/* Sieve of Eratosthenes over odd numbers: composite[i] is about 2 * i + 1. limit is exclusive. */
static void sieve_small(uint8_t *composite, uint64_t limit)
{
    for (uint64_t p = 3; p * p < limit; p += 2)
        if (!composite[p / 2])
            for (uint64_t q = p * p; q < limit; q += 2 * p)
                composite[q / 2] = 1;
}

/* Primes among the n odd numbers from `from`, which is odd and at least 3. small: all primes up to the root. */
static uint64_t count_segment(uint64_t from, uint32_t n, const uint8_t *small, uint64_t small_limit)
{
    static uint8_t composite[SEGMENT]; /* functions run one at a time */
    uint64_t end = from + 2 * (uint64_t)n, count = 0;

    for (uint32_t i = 0; i < n; i++)
        composite[i] = 0;
    for (uint64_t p = 3; p < small_limit && p * p < end; p += 2) {
        uint64_t q;

        if (small[p / 2])
            continue;
        q = (from + p - 1) / p * p; /* the first multiple that is not below from ... */
        if (q < p * p)
            q = p * p;
        if (q % 2 == 0)             /* ... and odd */
            q += p;
        for (; q < end; q += 2 * p)
            composite[(q - from) / 2] = 1;
    }
    for (uint32_t i = 0; i < n; i++)
        count += !composite[i];
    return count;
}

static uint64_t root_above(uint64_t x) /* some r with r * r >= x */
{
    uint64_t r = 3;

    while (r * r < x)
        r += r / 8 + 1;
    return r;
}

static ptools_err primes(ptools_task *task)
{
    uint64_t lo, hi, from, limit, count;
    ptools_err err = ptools_task_expect(task, 2);
    uint8_t *small;

    if (err == PTOOLS_OK)
        err = ptools_task_arg_u64(task, 0, &lo);
    if (err == PTOOLS_OK)
        err = ptools_task_arg_u64(task, 1, &hi);
    if (err != PTOOLS_OK)
        return err;
    if (hi > PRIMES_MAX)
        return ptools_task_fail(task, "HI is %llu, the most is %llu", (unsigned long long)hi,
                                (unsigned long long)PRIMES_MAX);

    count = lo <= 2 && hi > 2; /* the even one */
    from = lo < 3 ? 3 : lo | 1;
    limit = root_above(hi) + 1;
    small = calloc(limit / 2 + 1, 1);
    if (!small)
        return ptools_task_fail(task, "no memory for the sieve: %llu bytes", (unsigned long long)limit / 2 + 1);
    ptools_task_phase(task, "sieving");
    sieve_small(small, limit);
    for (uint64_t at = from; at < hi && err == PTOOLS_OK;) {
        uint64_t odd = (hi - at + 1) / 2;
        uint32_t n = odd < SEGMENT ? (uint32_t)odd : SEGMENT;

        count += count_segment(at, n, small, limit);
        at += 2 * (uint64_t)n;
        ptools_task_progress(task, (at < hi ? at : hi) - from, hi - from);
        if (ptools_task_cancelled(task))
            err = ptools_task_fail(task, "stopped at %llu of %llu", (unsigned long long)at, (unsigned long long)hi);
    }
    free(small);
    if (err == PTOOLS_OK)
        ptools_pack_u64(ptools_task_result(task), count);
    return err;
}

/* -- pi -------------------------------------------------------------------------------------- */

/* Sebastiano Vigna's splitmix64: one add and some mixing a number, and any seed is a good one. */
static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static double uniform(uint64_t *state) /* in [0, 1) */
{
    return (double)(splitmix64(state) >> 11) * 0x1p-53;
}

static ptools_err pi(ptools_task *task)
{
    uint64_t samples, seed, inside = 0;
    ptools_err err = ptools_task_expect(task, 2);

    if (err == PTOOLS_OK)
        err = ptools_task_arg_u64(task, 0, &samples);
    if (err == PTOOLS_OK)
        err = ptools_task_arg_u64(task, 1, &seed);
    if (err != PTOOLS_OK)
        return err;
    if (samples == 0)
        return ptools_task_fail(task, "SAMPLES is 0: without a dart there is no estimate");

    for (uint64_t i = 0; i < samples; i++) {
        double x = uniform(&seed), y = uniform(&seed);

        inside += x * x + y * y < 1.0;
        if (i % (1 << 20) == 0) {
            ptools_task_progress(task, i, samples);
            if (ptools_task_cancelled(task))
                return ptools_task_fail(task, "stopped after %llu samples", (unsigned long long)i);
        }
    }
    ptools_pack_f64(ptools_task_result(task), 4.0 * (double)inside / (double)samples);
    return PTOOLS_OK;
}

/* -- the module ------------------------------------------------------------------------------ */

static const ptools_function functions[] = {
    { "square", square, "square X -> X * X", PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY },
    { "primes", primes, "primes LO HI -> the number of primes in [LO, HI)", PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY },
    { "pi", pi, "pi SAMPLES SEED -> pi, estimated by throwing darts", PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY },
    { "add", add, "add X Y -> X + Y", PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY },
    { NULL, NULL, NULL, 0 },
};

PTOOLS_MODULE_EXPORT const ptools_module_info ptools_module = {
    .abi = PTOOLS_MODULE_ABI,
    .struct_size = sizeof(ptools_module_info),
    .help = "squares, primes and pi",
    .functions = functions,
};
