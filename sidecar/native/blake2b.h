/* BLAKE2b without a key (RFC 7693), 16 bytes long: hashlib's, without an object for each of a million. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DIGEST_BYTES 16
#define BLOCK_BYTES 128

static const uint64_t BLAKE2B_IV[8] = {
    0x6a09e667f3bcc908u, 0xbb67ae8584caa73bu, 0x3c6ef372fe94f82bu, 0xa54ff53a5f1d36f1u,
    0x510e527fade682d1u, 0x9b05688c2b3e6c1fu, 0x1f83d9abfb41bd6bu, 0x5be0cd19137e2179u,
};

static const uint8_t BLAKE2B_SIGMA[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static uint64_t rotated(uint64_t word, int bits)
{
    return (word >> bits) | (word << (64 - bits));
}

static uint64_t little_endian(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

#define MIX(a, b, c, d, x, y)                                                                                          \
    do {                                                                                                               \
        a += b + (x);                                                                                                  \
        d = rotated(d ^ a, 32);                                                                                        \
        c += d;                                                                                                        \
        b = rotated(b ^ c, 24);                                                                                        \
        a += b + (y);                                                                                                  \
        d = rotated(d ^ a, 16);                                                                                        \
        c += d;                                                                                                        \
        b = rotated(b ^ c, 63);                                                                                        \
    } while (0)

/* Written out, so that the compiler knows which words are mixed. */
#define ROUND(number)                                                                                                  \
    do {                                                                                                               \
        static const uint8_t *const s = BLAKE2B_SIGMA[number];                                                         \
        MIX(v[0], v[4], v[8], v[12], m[s[0]], m[s[1]]);                                                                \
        MIX(v[1], v[5], v[9], v[13], m[s[2]], m[s[3]]);                                                                \
        MIX(v[2], v[6], v[10], v[14], m[s[4]], m[s[5]]);                                                               \
        MIX(v[3], v[7], v[11], v[15], m[s[6]], m[s[7]]);                                                               \
        MIX(v[0], v[5], v[10], v[15], m[s[8]], m[s[9]]);                                                               \
        MIX(v[1], v[6], v[11], v[12], m[s[10]], m[s[11]]);                                                             \
        MIX(v[2], v[7], v[8], v[13], m[s[12]], m[s[13]]);                                                              \
        MIX(v[3], v[4], v[9], v[14], m[s[14]], m[s[15]]);                                                              \
    } while (0)

static void compress(uint64_t state[8], const uint8_t block[BLOCK_BYTES], uint64_t length, int is_last)
{
    uint64_t m[16], v[16];
    for (int i = 0; i < 16; i++)
        m[i] = little_endian(block + 8 * i);
    memcpy(v, state, 8 * sizeof *v);
    memcpy(v + 8, BLAKE2B_IV, 8 * sizeof *v);
    v[12] ^= length;
    v[14] ^= is_last ? UINT64_MAX : 0;
    ROUND(0);
    ROUND(1);
    ROUND(2);
    ROUND(3);
    ROUND(4);
    ROUND(5);
    ROUND(6);
    ROUND(7);
    ROUND(8);
    ROUND(9);
    ROUND(0);
    ROUND(1);
    for (int i = 0; i < 8; i++)
        state[i] ^= v[i] ^ v[i + 8];
}

static void blake2b(const char *data, size_t length, uint8_t digest[DIGEST_BYTES])
{
    uint64_t state[8];
    uint8_t last[BLOCK_BYTES] = {0};
    size_t done = 0;
    memcpy(state, BLAKE2B_IV, sizeof state);
    state[0] ^= 0x01010000u ^ DIGEST_BYTES;
    for (; length - done > BLOCK_BYTES; done += BLOCK_BYTES)
        compress(state, (const uint8_t *)data + done, done + BLOCK_BYTES, 0);
    memcpy(last, data + done, length - done);
    compress(state, last, length, 1);
    for (int i = 0; i < DIGEST_BYTES; i++)
        digest[i] = (uint8_t)(state[i / 8] >> (8 * (i % 8)));
}
