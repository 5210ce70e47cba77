/* Flags looked up by number: one byte each in, one bit each out. */

#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

enum {
    WORD = 64,
    BYTE = 8,
    AHEAD = 512, /* numbers that are fetched into the cache before they are needed: reading is what takes the time */
    LINE = 16    /* as many as are fetched together */
};

/* The flags at eight numbers. Written out, for a compiler that is left to it takes three times as long. */
static inline uint64_t eight_flags(const uint8_t *flags, const uint32_t *at) {
    return flags[at[0]] | flags[at[1]] << 1 | flags[at[2]] << 2 | flags[at[3]] << 3 | flags[at[4]] << 4 |
           flags[at[5]] << 5 | flags[at[6]] << 6 | flags[at[7]] << 7;
}

/* Bit i of `bits`, the lowest first, is the flag, 0 or 1, at at[i]; there are zeros up to a whole word. How many are
 * set. */
EXPORT int64_t flags_at(const uint8_t *flags, const uint32_t *at, int64_t count, uint64_t *bits) {
    int64_t set = 0;
    for (int64_t first = 0; first < count; first += WORD) {
        const int64_t here = count - first < WORD ? count - first : WORD;
        uint64_t word = 0;
        int64_t i = 0;
        for (int line = 0; line < WORD; line += LINE) __builtin_prefetch(at + first + AHEAD + line);
        for (; i + BYTE <= here; i += BYTE) word |= eight_flags(flags, at + first + i) << i;
        for (; i < here; i++) word |= (uint64_t)flags[at[first + i]] << i;
        bits[first / WORD] = word;
        set += __builtin_popcountll(word);
    }
    return set;
}

/* Changes with what passes between this and governance/access/bitmaps.py. */
EXPORT int flags_layout(void) { return 1; }
