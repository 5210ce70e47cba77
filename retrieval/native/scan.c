/* The nearest vectors of a segment to a query, among those whose bits are set in a bitmap.
 *
 * Passes over fewer and fewer vectors with more and more bytes: one bit for each dimension of the rotated vector
 * (RaBitQ, Gao and Long, SIGMOD 2024, arXiv:2405.12497), a second bit where many are left, whole numbers of 8 bits,
 * single precision. Each leaves out only what its bound says cannot be among the best. See
 * docs/decisions/dense-scan.md for the bounds.
 *
 * The bits lie in blocks of eight vectors, word by word: 64 bits of each of the eight, then the next 64 bits of each.
 * A query's rotated components are whole numbers of PLANES bits in two's complement, lying as planes: one bit of each.
 */

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && (defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 11))
#define IS_X86 1
#include <immintrin.h>
#else
#define IS_X86 0
#endif

#define EXPORT __attribute__((visibility("default")))

enum {
    PLANES = 4,
    BLOCK = 8,     /* vectors whose bits lie together */
    GROUP = 64,    /* vectors that share a word of the bitmap */
    BLOCKS = GROUP / BLOCK,
    AHEAD = 2,     /* groups fetched into the cache before they are needed, where few vectors are read */
    SPARSE = 48,   /* of a group's vectors: below this the processor does not guess what is read next */
    VECTORS_AHEAD = 4,
    MANY = 1024,   /* vectors of which second bits are looked at: of fewer, bytes are read at once */
    CODE_ZERO = 128 /* FAISS stores the number n of a QT_8bit_direct_signed code as the byte n + 128 */
};

/* Where a group holds nothing that may be read, and before anything has been found. */
#define NOTHING (-3e38f)

/* How the passes over single vectors and groups are computed: the same whole numbers in every way. */
typedef enum { PORTABLE = 0, AVX2 = 1, AVX512 = 2 } Way;

typedef struct {
    const uint64_t *signs;  /* (blocks, words, BLOCK) */
    const float *factors;   /* (blocks * BLOCK): 1 / |rotated|_1 */
    const uint64_t *fine_signs; /* as `signs`: second bits; with the first, 0 to 3 stand for -3, -1, 1 and 3 */
    const float *fine_factors;  /* (blocks * BLOCK): 1 / (rotated * those) */
    const float *fine_spreads;  /* (blocks * BLOCK): what `factors` is where the components are -1 and 1 */
    const uint8_t *codes;   /* (count, dimension) */
    const float *vectors;   /* (count, dimension) */
    int64_t count;
    int32_t dimension, words;
    float largest_factor;
} Segment;

typedef struct {
    const uint64_t *planes; /* (words, PLANES), the lowest bit first */
    const int8_t *bytes;    /* (dimension) */
    const float *vector;    /* (dimension), of length 1 */
    int32_t plane_sum;      /* of the components as whole numbers */
    int32_t byte_sum;
    float step;             /* what a whole number of the planes stands for */
    float lost;             /* the length of what rounding to planes took away */
    float deviations;       /* how many standard deviations an estimate may be off */
    float code_scale;       /* a product of codes times this is a similarity */
    float code_error;       /* and so far it can be off */
    float rounding;         /* so far can a product in single precision be off */
} Query;

/* What one scan works in; nothing in it outlives the scan. */
typedef struct {
    float *estimates;   /* (groups * GROUP) */
    float *refined;     /* (groups * GROUP) */
    uint64_t *left;     /* (groups): a bit for each vector that is left */
    float *best;        /* (groups): the highest estimate of each */
    float *scores;      /* (count) */
    float *sorting;     /* (count) */
    int32_t *positions; /* (count) */
} Work;

static inline uint64_t readable_of(const uint64_t *bitmap, int64_t group, int64_t count) {
    uint64_t bits = bitmap ? bitmap[group] : ~(uint64_t)0;
    int64_t here = count - group * GROUP;
    return here >= GROUP ? bits : bits & (((uint64_t)1 << here) - 1);
}

static inline float estimate(const Query *query, int64_t product, float factor) {
    return (float)(2 * product - query->plane_sum) * (query->step * factor);
}

static inline float higher(float one, float other) { return one > other ? one : other; }

static inline unsigned of_block(uint64_t bits, int block) { return (unsigned)(bits >> (block * BLOCK)) & 255; }

/* ---- In plain C ---- */

static float estimate_block(const Segment *segment, const Query *query, int64_t block, unsigned readable, float *into) {
    const uint64_t *signs = segment->signs + block * segment->words * BLOCK;
    float best = NOTHING;
    for (int i = 0; i < BLOCK; i++) {
        if (!(readable >> i & 1)) continue;
        int64_t counts[PLANES] = {0};
        for (int word = 0; word < segment->words; word++)
            for (int plane = 0; plane < PLANES; plane++)
                counts[plane] += __builtin_popcountll(signs[word * BLOCK + i] & query->planes[word * PLANES + plane]);
        int64_t product = -(counts[PLANES - 1] << (PLANES - 1));
        for (int plane = 0; plane < PLANES - 1; plane++) product += counts[plane] << plane;
        into[i] = estimate(query, product, segment->factors[block * BLOCK + i]);
        best = higher(best, into[i]);
    }
    return best;
}

static float estimate_group(const Segment *segment, const Query *query, int64_t group, uint64_t readable, float *into) {
    float best = NOTHING;
    for (int i = 0; i < BLOCKS; i++)
        if (of_block(readable, i))
            best = higher(best, estimate_block(segment, query, group * BLOCKS + i, of_block(readable, i), into + i * BLOCK));
    return best;
}

static int32_t code_product(const uint8_t *code, const int8_t *bytes, int dimension) {
    int32_t sum = 0;
    for (int i = 0; i < dimension; i++) sum += code[i] * bytes[i];
    return sum;
}

static float exact_product(const float *vector, const float *query, int dimension) {
    float sums[16] = {0};
    int i = 0;
    for (; i + 16 <= dimension; i += 16)
        for (int lane = 0; lane < 16; lane++) sums[lane] += vector[i + lane] * query[i + lane];
    for (; i < dimension; i++) sums[0] += vector[i] * query[i];
    float sum = 0;
    for (int lane = 0; lane < 16; lane++) sum += sums[lane];
    return sum;
}

#if IS_X86

/* ---- With AVX2: bits are counted by halves of bytes (Mula, Kurz and Lemire, arXiv:1611.07612) ---- */

#define WITH_AVX2 __attribute__((target("avx2,fma,popcnt")))

WITH_AVX2 static inline __m256i count_bits_avx2(__m256i bits) {
    const __m256i counts = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1,
                                            2, 2, 3, 2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(15);
    return _mm256_add_epi8(_mm256_shuffle_epi8(counts, _mm256_and_si256(bits, low)),
                           _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi16(bits, 4), low)));
}

WITH_AVX2 static float estimate_block_avx2(const Segment *segment, const Query *query, int64_t block, unsigned readable,
                                           float *into) {
    const uint64_t *signs = segment->signs + block * segment->words * BLOCK;
    float best = NOTHING;
    int64_t products[4];
    for (int half = 0; half < BLOCK; half += 4) {
        __m256i sums[PLANES];
        for (int plane = 0; plane < PLANES; plane++) sums[plane] = _mm256_setzero_si256();
        for (int word = 0; word < segment->words; word++) {
            __m256i bits = _mm256_loadu_si256((const __m256i *)(signs + word * BLOCK + half));
            for (int plane = 0; plane < PLANES; plane++) {
                __m256i of_query = _mm256_set1_epi64x((int64_t)query->planes[word * PLANES + plane]);
                __m256i counts = count_bits_avx2(_mm256_and_si256(bits, of_query));
                sums[plane] = _mm256_add_epi64(sums[plane], _mm256_sad_epu8(counts, _mm256_setzero_si256()));
            }
        }
        __m256i product = _mm256_sub_epi64(_mm256_setzero_si256(), _mm256_slli_epi64(sums[PLANES - 1], PLANES - 1));
        for (int plane = 0; plane < PLANES - 1; plane++)
            product = _mm256_add_epi64(product, _mm256_slli_epi64(sums[plane], plane));
        _mm256_storeu_si256((__m256i *)products, product);
        for (int i = 0; i < 4; i++) {
            into[half + i] = estimate(query, products[i], segment->factors[block * BLOCK + half + i]);
            if (readable >> (half + i) & 1) best = higher(best, into[half + i]);
        }
    }
    return best;
}

WITH_AVX2 static float estimate_group_avx2(const Segment *segment, const Query *query, int64_t group, uint64_t readable,
                                           float *into) {
    float best = NOTHING;
    for (int i = 0; i < BLOCKS; i++)
        if (of_block(readable, i))
            best = higher(best,
                          estimate_block_avx2(segment, query, group * BLOCKS + i, of_block(readable, i), into + i * BLOCK));
    return best;
}

WITH_AVX2 static int32_t code_product_avx2(const uint8_t *code, const int8_t *bytes, int dimension) {
    __m256i sum = _mm256_setzero_si256();
    int i = 0;
    for (; i + 16 <= dimension; i += 16) {
        __m256i wide = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(code + i)));
        __m256i other = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(bytes + i)));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(wide, other));
    }
    int32_t lanes[8], total = code_product(code + i, bytes + i, dimension - i);
    _mm256_storeu_si256((__m256i *)lanes, sum);
    for (int lane = 0; lane < 8; lane++) total += lanes[lane];
    return total;
}

WITH_AVX2 static float exact_product_avx2(const float *vector, const float *query, int dimension) {
    __m256 one = _mm256_setzero_ps(), two = one;
    int i = 0;
    for (; i + 16 <= dimension; i += 16) {
        one = _mm256_fmadd_ps(_mm256_loadu_ps(vector + i), _mm256_loadu_ps(query + i), one);
        two = _mm256_fmadd_ps(_mm256_loadu_ps(vector + i + 8), _mm256_loadu_ps(query + i + 8), two);
    }
    float lanes[8], sum = exact_product(vector + i, query + i, dimension - i);
    _mm256_storeu_ps(lanes, _mm256_add_ps(one, two));
    for (int lane = 0; lane < 8; lane++) sum += lanes[lane];
    return sum;
}

/* ---- With AVX-512, which counts the bits of words (VPOPCNTDQ) and multiplies bytes (VNNI) ---- */

#define WITH_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vpopcntdq,avx512vnni")))

WITH_AVX512 static inline __attribute__((always_inline)) float estimate_words_avx512(
    const Segment *segment, const Query *query, int64_t group, uint64_t readable, float *into, const int words) {
    const __m512i plane_sum = _mm512_set1_epi64(query->plane_sum), zero = _mm512_setzero_si512();
    const __m256 step = _mm256_set1_ps(query->step);
    __m256 best = _mm256_set1_ps(NOTHING);
    for (int i = 0; i < BLOCKS; i++) {
        __mmask8 here = (__mmask8)of_block(readable, i);
        if (!here) continue;
        const uint64_t *signs = segment->signs + (group * BLOCKS + i) * words * BLOCK;
        __m512i sums[PLANES] = {zero, zero, zero, zero};
        for (int word = 0; word < words; word++) {
            __m512i bits = _mm512_loadu_si512(signs + word * BLOCK);
            for (int plane = 0; plane < PLANES; plane++) {
                __m512i of_query = _mm512_set1_epi64((int64_t)query->planes[word * PLANES + plane]);
                sums[plane] = _mm512_add_epi64(sums[plane], _mm512_popcnt_epi64(_mm512_and_si512(bits, of_query)));
            }
        }
        __m512i high = _mm512_sub_epi64(sums[2], _mm512_add_epi64(sums[3], sums[3]));
        __m512i product = _mm512_add_epi64(_mm512_add_epi64(sums[0], _mm512_add_epi64(sums[1], sums[1])),
                                           _mm512_slli_epi64(high, 2));
        __m512i centred = _mm512_sub_epi64(_mm512_add_epi64(product, product), plane_sum);
        __m256 factors = _mm256_mul_ps(step, _mm256_loadu_ps(segment->factors + (group * BLOCKS + i) * BLOCK));
        __m256 estimates = _mm256_mul_ps(_mm512_cvtepi64_ps(centred), factors);
        _mm256_storeu_ps(into + i * BLOCK, estimates);
        best = _mm256_mask_max_ps(best, here, best, estimates);
    }
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(best), _mm256_extractf128_ps(best, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

/* 384 dimensions, those of the encoder that comes with us, are worth a loop of their own. */
WITH_AVX512 static float estimate_group_avx512(const Segment *segment, const Query *query, int64_t group,
                                               uint64_t readable, float *into) {
    return segment->words == 6 ? estimate_words_avx512(segment, query, group, readable, into, 6)
                               : estimate_words_avx512(segment, query, group, readable, into, segment->words);
}

WITH_AVX512 static int32_t code_product_avx512(const uint8_t *code, const int8_t *bytes, int dimension) {
    __m512i sum = _mm512_setzero_si512();
    for (int i = 0; i < dimension; i += 64) {
        __mmask64 inside = dimension - i >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << (dimension - i)) - 1;
        sum = _mm512_dpbusd_epi32(sum, _mm512_maskz_loadu_epi8(inside, code + i),
                                  _mm512_maskz_loadu_epi8(inside, bytes + i));
    }
    return _mm512_reduce_add_epi32(sum);
}

WITH_AVX512 static float exact_product_avx512(const float *vector, const float *query, int dimension) {
    __m512 one = _mm512_setzero_ps(), two = one;
    int i = 0;
    for (; i + 32 <= dimension; i += 32) {
        one = _mm512_fmadd_ps(_mm512_loadu_ps(vector + i), _mm512_loadu_ps(query + i), one);
        two = _mm512_fmadd_ps(_mm512_loadu_ps(vector + i + 16), _mm512_loadu_ps(query + i + 16), two);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(one, two)) + exact_product(vector + i, query + i, dimension - i);
}

#endif

/* ---- The passes ---- */

typedef struct {
    float (*estimate_group)(const Segment *, const Query *, int64_t, uint64_t, float *);
    int32_t (*code_product)(const uint8_t *, const int8_t *, int);
    float (*exact_product)(const float *, const float *, int);
} Steps;

static Steps steps_of(Way way) {
#if IS_X86
    if (way == AVX512) return (Steps){estimate_group_avx512, code_product_avx512, exact_product_avx512};
    if (way == AVX2) return (Steps){estimate_group_avx2, code_product_avx2, exact_product_avx2};
#endif
    return (Steps){estimate_group, code_product, exact_product};
}

static inline void fetch(const void *from, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch((const char *)from + i);
}

static void fetch_group(const Segment *segment, int64_t group, uint64_t bits) {
    if (bits == 0 || __builtin_popcountll(bits) >= SPARSE) return;
    int64_t size = (int64_t)segment->words * BLOCK, first = group * BLOCKS;
    for (int i = 0; i < BLOCKS; i++)
        if (of_block(bits, i)) {
            fetch(segment->signs + (first + i) * size, size * 8);
            __builtin_prefetch(segment->factors + (first + i) * BLOCK);
        }
}

/* Estimates of all that is readable, and the highest of each group. */
static void estimate_all(const Segment *segment, const Query *query, const uint64_t *bitmap, Steps steps, Work *work) {
    int64_t groups = (segment->count + GROUP - 1) / GROUP;
    for (int64_t group = 0; group < groups; group++) {
        if (bitmap && group + AHEAD < groups)
            fetch_group(segment, group + AHEAD, readable_of(bitmap, group + AHEAD, segment->count));
        uint64_t bits = readable_of(bitmap, group, segment->count);
        work->best[group] = bits ? steps.estimate_group(segment, query, group, bits, work->estimates + group * GROUP) : NOTHING;
    }
}

/* The k-th highest of n numbers (Hoare's selection); their order is lost. */
static float kth_highest(float *numbers, int64_t n, int64_t k) {
    int64_t low = 0, high = n - 1, wanted = k - 1;
    while (low < high) {
        float a = numbers[low], b = numbers[low + (high - low) / 2], c = numbers[high];
        float pivot = a < b ? (b < c ? b : (a < c ? c : a)) : (a < c ? a : (b < c ? c : b));
        int64_t i = low, j = high;
        while (i <= j) {
            while (numbers[i] > pivot) i++;
            while (numbers[j] < pivot) j--;
            if (i <= j) {
                float kept = numbers[i];
                numbers[i++] = numbers[j];
                numbers[j--] = kept;
            }
        }
        if (wanted <= j)
            high = j;
        else if (wanted >= i)
            low = i;
        else
            break;
    }
    return numbers[wanted];
}

static float kth_of(const float *numbers, int64_t n, int64_t k, float *sorting) {
    memcpy(sorting, numbers, (size_t)n * sizeof(float));
    return kth_highest(sorting, n, k);
}

/* What an estimate has to be for a similarity of at least `threshold`: so much below it as the bound allows. */
typedef struct {
    float threshold, slope, offset; /* slope * spread^2 - offset: the square of how far below it may be */
} Reach;

static Reach reach_of(const Query *query, int dimension, float threshold) {
    float across = threshold > 0 ? 1 - threshold * threshold : 1;
    if (across < 0) across = 0;
    float scale = query->deviations * query->deviations / (float)(dimension > 1 ? dimension - 1 : 1);
    return (Reach){threshold, scale * (float)dimension * (across + query->lost * query->lost), scale * across};
}

static inline int reaches(const Reach *reach, float estimated, float spread) {
    float below = reach->threshold - estimated;
    return (below <= 0) | (below * below <= reach->slope * (spread * spread) - reach->offset);
}

/* The lowest estimate that reaches the threshold with any spread up to `spread`. */
static float lowest_of(const Reach *reach, float spread) {
    float square = reach->slope * (spread * spread) - reach->offset;
    return reach->threshold - (square > 0 ? sqrtf(square) : 0);
}

/* The positions of all that is readable and has at least an estimate. */
static int64_t collect_above(const Segment *segment, const uint64_t *bitmap, float lowest, Work *work) {
    int64_t groups = (segment->count + GROUP - 1) / GROUP, found = 0;
    for (int64_t group = 0; group < groups; group++) {
        if (work->best[group] < lowest) continue;
        for (uint64_t bits = readable_of(bitmap, group, segment->count); bits; bits &= bits - 1) {
            int64_t position = group * GROUP + __builtin_ctzll(bits);
            work->positions[found] = (int32_t)position;
            found += work->estimates[position] >= lowest;
        }
    }
    return found;
}

/* The positions of all that is readable and whose estimate reaches the threshold. */
static int64_t collect_reaching(const Segment *segment, const uint64_t *bitmap, const Reach *reach, Work *work) {
    int64_t found = collect_above(segment, bitmap, lowest_of(reach, segment->largest_factor), work), kept = 0;
    for (int64_t i = 0; i < found; i++) {
        int32_t position = work->positions[i];
        work->positions[kept] = position;
        kept += reaches(reach, work->estimates[position], segment->factors[position]);
    }
    return kept;
}

/* Of the positions collected those that are left by two bits a dimension. `refined` first has the second bits' part:
 * a component 2 * first + second, taken twice less 3, is twice (2 * first - 1) and once (2 * second - 1). */
static int64_t refine(const Segment *segment, const Query *query, int64_t found, const Reach *reach, Steps steps,
                      Work *work) {
    memset(work->left, 0, (size_t)((segment->count + GROUP - 1) / GROUP) * sizeof(uint64_t));
    for (int64_t i = 0; i < found; i++)
        work->left[work->positions[i] / GROUP] |= (uint64_t)1 << (work->positions[i] % GROUP);
    Segment second = *segment;
    Work into = *work;
    second.signs = segment->fine_signs;
    second.factors = segment->fine_factors;
    into.estimates = work->refined;
    estimate_all(&second, query, work->left, steps, &into);
    int64_t kept = 0;
    for (int64_t i = 0; i < found; i++) {
        int32_t position = work->positions[i];
        float first = 2 * work->estimates[position] * (segment->fine_factors[position] / segment->factors[position]);
        work->positions[kept] = position;
        kept += reaches(reach, first + work->refined[position], segment->fine_spreads[position]);
    }
    return kept;
}

static void score_codes(const Segment *segment, const Query *query, int64_t found, Steps steps, Work *work) {
    int dimension = segment->dimension;
    for (int64_t i = 0; i < found; i++) {
        if (i + VECTORS_AHEAD < found)
            fetch(segment->codes + (int64_t)work->positions[i + VECTORS_AHEAD] * dimension, dimension);
        const uint8_t *code = segment->codes + (int64_t)work->positions[i] * dimension;
        int32_t product = steps.code_product(code, query->bytes, dimension) - CODE_ZERO * query->byte_sum;
        work->scores[i] = (float)product * query->code_scale;
    }
}

static void score_exactly(const Segment *segment, const Query *query, int64_t found, Steps steps, Work *work) {
    int dimension = segment->dimension;
    for (int64_t i = 0; i < found; i++) {
        if (i + VECTORS_AHEAD < found)
            fetch(segment->vectors + (int64_t)work->positions[i + VECTORS_AHEAD] * dimension, dimension * 4);
        const float *vector = segment->vectors + (int64_t)work->positions[i] * dimension;
        work->scores[i] = steps.exact_product(vector, query->vector, dimension);
    }
}

static int64_t keep(int64_t found, float lowest, Work *work) {
    int64_t kept = 0;
    for (int64_t i = 0; i < found; i++)
        if (work->scores[i] >= lowest) work->positions[kept++] = work->positions[i];
    return kept;
}

static int64_t all_readable(const Segment *segment, const uint64_t *bitmap, Work *work) {
    int64_t groups = (segment->count + GROUP - 1) / GROUP, found = 0;
    for (int64_t group = 0; group < groups; group++)
        for (uint64_t bits = readable_of(bitmap, group, segment->count); bits; bits &= bits - 1)
            work->positions[found++] = (int32_t)(group * GROUP + __builtin_ctzll(bits));
    return found;
}

/* By single precision: of `found` positions those that can be among the best k. */
static int64_t finish(const Segment *segment, const Query *query, int64_t found, int64_t k, float threshold, Steps steps,
                      Work *work) {
    score_exactly(segment, query, found, steps, work);
    if (found >= k) threshold = higher(threshold, kth_of(work->scores, found, k, work->sorting) - query->rounding);
    return keep(found, threshold - query->rounding, work);
}

/* The positions, ascending, in `work->positions`, of all readable vectors that can be among the k nearest ones of which
 * none is below `threshold`; how many they are. */
EXPORT int64_t scan_directly(const Segment *segment, const Query *query, const uint64_t *bitmap, int64_t k,
                             float threshold, int way, Work *work) {
    int64_t found = all_readable(segment, bitmap, work);
    return finish(segment, query, found, k, threshold, steps_of((Way)way), work);
}

/* The same by way of estimates. `probed`, at least k, is how many of the best ones are looked at first. */
EXPORT int64_t scan_signs(const Segment *segment, const Query *query, const uint64_t *bitmap, int64_t k, int64_t probed,
                          float threshold, int way, Work *work) {
    Steps steps = steps_of((Way)way);
    int64_t groups = (segment->count + GROUP - 1) / GROUP;
    estimate_all(segment, query, bitmap, steps, work);
    float high = probed <= groups ? kth_of(work->best, groups, probed, work->sorting) : NOTHING;
    int64_t found = collect_above(segment, bitmap, high, work);
    score_codes(segment, query, found, steps, work);
    if (found >= k) threshold = higher(threshold, kth_of(work->scores, found, k, work->sorting) - query->code_error);
    Reach reach = reach_of(query, segment->dimension, threshold);
    found = collect_reaching(segment, bitmap, &reach, work);
    if (found > MANY) found = refine(segment, query, found, &reach, steps, work);
    score_codes(segment, query, found, steps, work);
    if (found >= k) threshold = higher(threshold, kth_of(work->scores, found, k, work->sorting) - query->code_error);
    found = keep(found, threshold - query->code_error, work);
    return finish(segment, query, found, k, threshold, steps, work);
}

/* The fastest way of this processor. */
EXPORT int scan_way(void) {
#if IS_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vpopcntdq") &&
        __builtin_cpu_supports("avx512vnni"))
        return AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("popcnt")) return AVX2;
#endif
    return PORTABLE;
}

/* Changes with what passes between this and retrieval/native_scan.py. */
EXPORT int scan_layout(void) { return 1; }
