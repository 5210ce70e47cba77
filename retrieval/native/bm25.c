/* BM25 over postings: how many readable chunks have each term, and which chunks score best.
 *
 * The formula is that of retrieval/lexical.py, operation by operation in single precision, so that a score has the
 * same bits as where NumPy computes it. Chunks are taken a block at a time: all terms add to a block's scores while it
 * lies in the first cache, and the best k are kept in a heap (term at a time within blocks, as in Dimopoulos, Nepomnyachiy
 * and Suel, "Optimizing Top-k Document Retrieval Strategies for Block-Max Indexes", 2013, without its bounds).
 */

#include <stdint.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

enum {
    BLOCK = 8192, /* chunks whose scores fill the first cache of a core */
    GROUP = 64    /* scores that are compared with the threshold together */
};

/* Terms of a segment: term t has the postings first[t] to last[t]. `readable` is one bit for each chunk, or null for
 * all of them. */
typedef struct {
    const uint32_t *chunks;
    const uint16_t *frequencies;
    const uint32_t *lengths;
    const uint64_t *readable;
    const int64_t *first, *last;
    const float *gains;
    int64_t terms;
    float base, slope;
} Terms;

typedef struct {
    float *scores;
    int64_t *rows;
    uint32_t *positions;
    int64_t count, k;
} Heap;

static inline int is_set(const uint64_t *bits, uint32_t at) { return bits[at >> 6] >> (at & 63) & 1; }

static inline float gained(const Terms *terms, int64_t term, int64_t posting) {
    const float frequency = (float)terms->frequencies[posting];
    const float length = (float)terms->lengths[terms->chunks[posting]];
    return terms->gains[term] * frequency / (frequency + (terms->base + terms->slope * length));
}

/* Whether entry a ranks below entry b: a lower score, or an equal one and a higher row. */
static inline int below(const Heap *heap, int64_t a, int64_t b) {
    if (heap->scores[a] != heap->scores[b]) return heap->scores[a] < heap->scores[b];
    return heap->rows[a] > heap->rows[b];
}

static void swap(Heap *heap, int64_t a, int64_t b) {
    const float score = heap->scores[a];
    const int64_t row = heap->rows[a];
    const uint32_t position = heap->positions[a];
    heap->scores[a] = heap->scores[b], heap->rows[a] = heap->rows[b], heap->positions[a] = heap->positions[b];
    heap->scores[b] = score, heap->rows[b] = row, heap->positions[b] = position;
}

static void offer(Heap *heap, float score, int64_t row, uint32_t position) {
    int64_t at;
    if (heap->count < heap->k) {
        at = heap->count++;
        heap->scores[at] = score, heap->rows[at] = row, heap->positions[at] = position;
        for (; at > 0 && below(heap, at, (at - 1) / 2); at = (at - 1) / 2) swap(heap, at, (at - 1) / 2);
        return;
    }
    if (score < heap->scores[0] || (score == heap->scores[0] && row > heap->rows[0])) return;
    heap->scores[0] = score, heap->rows[0] = row, heap->positions[0] = position;
    for (at = 0;;) {
        int64_t worst = at;
        for (int64_t child = 2 * at + 1; child <= 2 * at + 2 && child < heap->count; child++)
            if (below(heap, child, worst)) worst = child;
        if (worst == at) return;
        swap(heap, at, worst);
        at = worst;
    }
}

static void keep_best(Heap *heap, const float *scores, const int64_t *rows, uint32_t start) {
    for (int group = 0; group < BLOCK; group += GROUP) {
        const float least = heap->count < heap->k ? 0 : heap->scores[0];
        int any = 0;
        for (int i = group; i < group + GROUP; i++) any |= (scores[i] > 0) & (scores[i] >= least);
        if (!any) continue;
        for (int i = group; i < group + GROUP; i++)
            if (scores[i] > 0) offer(heap, scores[i], rows[start + i], start + i);
    }
}

/* How many postings of each term are of readable chunks. */
EXPORT void bm25_count(
    const uint32_t *chunks, const uint64_t *readable, const int64_t *first, const int64_t *last, int64_t terms,
    int64_t *counts
) {
    for (int64_t term = 0; term < terms; term++) {
        int64_t count = 0;
        for (int64_t posting = first[term]; posting < last[term]; posting++) count += is_set(readable, chunks[posting]);
        counts[term] = count;
    }
}

/* Add a term's part to the scores of a block that starts at `start`, from its posting `posting` on; returns the first
 * posting behind the block. Which postings count is decided without a branch, which would be guessed wrong as often as
 * not where a part of the chunks is readable. */
static int64_t add(const Terms *terms, int64_t term, int64_t posting, uint32_t start, float *block) {
    const uint32_t *chunks = terms->chunks;
    const int64_t last = terms->last[term];
    int64_t end = posting;
    if (!terms->readable) {
        for (; end < last && chunks[end] - start < BLOCK; end++) block[chunks[end] - start] += gained(terms, term, end);
        return end;
    }
    int64_t kept[GROUP];
    while (end < last && chunks[end] - start < BLOCK) {
        int count = 0;
        for (int i = 0; i < GROUP && end < last && chunks[end] - start < BLOCK; i++, end++) {
            kept[count] = end;
            count += is_set(terms->readable, chunks[end]);
        }
        for (int i = 0; i < count; i++) block[chunks[kept[i]] - start] += gained(terms, term, kept[i]);
    }
    return end;
}

/* The best k readable chunks that have a term, in no order; returns how many they are. `next` is room for a number per
 * term; `scores`, `found_rows` and `positions` are room for k. */
EXPORT int64_t bm25_best(
    const Terms *terms, const int64_t *rows, int64_t *next, int64_t k, float *scores, int64_t *found_rows,
    uint32_t *positions
) {
    float block[BLOCK];
    Heap heap = {scores, found_rows, positions, 0, k};
    if (k < 1) return 0;
    memset(block, 0, sizeof block);
    memcpy(next, terms->first, terms->terms * sizeof *next);
    for (;;) {
        uint32_t least = UINT32_MAX;
        for (int64_t term = 0; term < terms->terms; term++)
            if (next[term] < terms->last[term] && terms->chunks[next[term]] < least)
                least = terms->chunks[next[term]];
        if (least == UINT32_MAX) return heap.count;
        const uint32_t start = least / BLOCK * BLOCK;
        for (int64_t term = 0; term < terms->terms; term++) next[term] = add(terms, term, next[term], start, block);
        keep_best(&heap, block, rows, start);
        memset(block, 0, sizeof block);
    }
}

/* The scores of some chunks, by their positions. */
EXPORT void bm25_of(const Terms *terms, const uint32_t *positions, int64_t count, float *scores) {
    memset(scores, 0, count * sizeof *scores);
    for (int64_t term = 0; term < terms->terms; term++)
        for (int64_t i = 0; i < count; i++) {
            int64_t low = terms->first[term], high = terms->last[term];
            while (low < high) {
                const int64_t middle = low + (high - low) / 2;
                if (terms->chunks[middle] < positions[i]) low = middle + 1;
                else high = middle;
            }
            if (low < terms->last[term] && terms->chunks[low] == positions[i]) scores[i] += gained(terms, term, low);
        }
}

/* Changes with what passes between this and retrieval/scoring.py. */
EXPORT int bm25_layout(void) { return 1; }
