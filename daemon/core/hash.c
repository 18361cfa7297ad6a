/* SPDX-License-Identifier: MIT */
/*
 * hash -- see hash.h. SipHash is by Aumasson and Bernstein (2012); the names below are theirs.
 */
#include "daemon/core/hash.h"

#include <endian.h>
#include <string.h>

#include "daemon/core/core.h"

static uint64_t seed[2];

static uint64_t word_at(const uint8_t *p)
{
    uint64_t w;

    memcpy(&w, p, sizeof w);
    return le64toh(w);
}

void core_seed(const uint8_t bytes[CORE_SEED_BYTES])
{
    seed[0] = word_at(bytes);
    seed[1] = word_at(bytes + 8);
}

static inline uint64_t rotl(uint64_t v, unsigned bits)
{
    return v << bits | v >> (64 - bits);
}

static inline void rounds(uint64_t v[4], unsigned n)
{
    for (; n > 0; n--) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotl(v[1], 13) ^ v[0];
        v[3] = rotl(v[3], 16) ^ v[2];
        v[0] = rotl(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotl(v[1], 17) ^ v[2];
        v[3] = rotl(v[3], 21) ^ v[0];
        v[2] = rotl(v[2], 32);
    }
}

static inline void compress(uint64_t v[4], uint64_t m)
{
    v[3] ^= m;
    rounds(v, 2);
    v[0] ^= m;
}

uint64_t hash_bytes(const void *data, size_t n)
{
    uint64_t v[4] = { seed[0] ^ UINT64_C(0x736f6d6570736575), seed[1] ^ UINT64_C(0x646f72616e646f6d),
                      seed[0] ^ UINT64_C(0x6c7967656e657261), seed[1] ^ UINT64_C(0x7465646279746573) };
    const uint8_t *p = data;
    uint8_t last[8] = { 0 };

    last[7] = (uint8_t)n;
    for (; n >= 8; n -= 8, p += 8)
        compress(v, word_at(p));
    if (n > 0)
        memcpy(last, p, n);
    compress(v, word_at(last));
    v[2] ^= 0xff;
    rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
