/* The nearest vectors of a segment to a query, among those whose bits are set in a bitmap.
 *
 * Passes over fewer and fewer vectors with more and more bytes: one bit for each dimension of the rotated vector
 * (RaBitQ, Gao and Long, SIGMOD 2024, arXiv:2405.12497), a second bit where many are left, whole numbers of 8 bits,
 * single precision. Each leaves out only what its bound says cannot be among the best. See
 * docs/decisions/dense-scan.md for the bounds.
 *
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
    GROUP = 64,        /* vectors that share a word of the bitmap */
    DENSE = 24,        /* of a group's vectors: from so many on all of them are estimated together */
    SAMPLED = 32,      /* one group of so many is looked at before the others, for a threshold to those */
    STEP = 128,        /* groups between which the threshold may be raised: at the same ones in every way */
    SIGNS_AHEAD = 32,  /* vectors whose bits are fetched into the cache before they are needed, where a few are read */
    BYTES_AHEAD = 2048, /* and where all are: left to itself the processor fetches half as fast */
    VECTORS_AHEAD = 4,
    USUAL_WORDS = 6,   /* of a vector: 384 dimensions are those of the encoder that comes with us */
    LINE = 64,         /* bytes that are fetched together */
    MANY = 1024,       /* vectors of which second bits are looked at: of fewer, bytes are read at once */
    PATIENCE = 4096,   /* vectors that are collected before the threshold is raised again, beside */
    GROWTH = 4,        /* so many times those that were left the last time */
    MOST_PROBED = 4,   /* so many times those that are to be looked at more closely are, at most, where many are alike */
    RUN = 32,          /* estimates of which the highest stands for all when the best are looked for */
    CODE_ZERO = 128    /* FAISS stores the number n of a QT_8bit_direct_signed code as the byte n + 128 */
};

/* Where nothing has been found. */
#define NOTHING (-3e38f)

/* How products are computed: the same whole numbers in every way. */
typedef enum { PORTABLE = 0, AVX2 = 1, AVX512 = 2 } Way;

typedef struct {
    const uint64_t *signs;      /* (count, words) */
    const float *factors;       /* (count): 1 / |rotated|_1 */
    const uint64_t *fine_signs; /* as `signs`: second bits; with the first, 0 to 3 stand for -3, -1, 1 and 3 */
    const float *fine_factors;  /* (count): 1 / (rotated * those) */
    const float *fine_spreads;  /* (count): what `factors` is where the components are -1 and 1 */
    const uint8_t *codes;       /* (count, dimension) */
    const float *vectors;       /* (count, dimension) */
    int64_t count;
    int32_t dimension, words;
    float largest_factor;
} Segment;

typedef struct {
    const uint64_t *planes; /* (PLANES, stride): the lowest bit first; a vector's words again and again */
    const int8_t *bytes;    /* (dimension) */
    const float *vector;    /* (dimension), of length 1 */
    int32_t stride;         /* a multiple of 8 and of `words` */
    int32_t plane_sum;      /* of the components as whole numbers */
    int32_t byte_sum;
    float step;             /* what a whole number of the planes stands for */
    float lost;             /* the length of what rounding to planes took away */
    float deviations;       /* how many standard deviations an estimate may be off */
    float code_scale;       /* a product of codes times this is a similarity */
    float code_error;       /* and so far it can be off */
    float rounding;         /* so far can a product in single precision be off */
} Query;

/* What one scan works in, each with room for `count`; nothing in it outlives the scan. */
typedef struct {
    float *estimates; /* of what is collected */
    float *scores;
    float *sorting;
    int32_t *listed;
    int32_t *positions; /* of what is collected */
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

static inline float lower(float one, float other) { return one < other ? one : other; }

static inline void fetch(const void *from, int64_t bytes) {
    const char *last = (const char *)from + bytes - 1;
    for (const char *at = from; at < last; at += LINE) __builtin_prefetch(at);
    __builtin_prefetch(last);
}

static inline void fetch_signs(const Segment *segment, int64_t position) {
    fetch(segment->signs + position * segment->words, segment->words * (int64_t)sizeof *segment->signs);
    __builtin_prefetch(segment->factors + position);
}

/* The estimates of some vectors by their positions, by a way to multiply signs with planes. */
#define ESTIMATE_EACH(product, words)                                                                          \
    for (int64_t i = 0; i < n && i < SIGNS_AHEAD; i++) fetch_signs(segment, positions[i]);                     \
    for (int64_t i = 0; i < n; i++) {                                                                          \
        if (i + SIGNS_AHEAD < n) fetch_signs(segment, positions[i + SIGNS_AHEAD]);                             \
        const int64_t at = positions[i];                                                                       \
        into[i] = estimate(query, product(segment->signs + at * (words), query, words), segment->factors[at]); \
    }

/* A number of words that is known beforehand is worth a loop of its own. */
#define ESTIMATE_LISTED(product)                 \
    if (segment->words == USUAL_WORDS) {         \
        ESTIMATE_EACH(product, USUAL_WORDS)      \
    } else {                                     \
        ESTIMATE_EACH(product, segment->words)   \
    }

/* ---- In plain C ---- */

static inline int64_t plane_product(const uint64_t *signs, const Query *query, int words) {
    int64_t product = 0;
    for (int plane = 0; plane < PLANES; plane++) {
        int64_t count = 0;
        for (int word = 0; word < words; word++)
            count += __builtin_popcountll(signs[word] & query->planes[plane * query->stride + word]);
        product += plane == PLANES - 1 ? -(count << plane) : count << plane;
    }
    return product;
}

static void estimate_listed(const Segment *segment, const Query *query, const int32_t *positions, int64_t n, float *into) {
    ESTIMATE_LISTED(plane_product)
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

/* ---- With AVX2, and the instruction that counts the bits of a word: faster than counting bytes by tables ---- */

#define WITH_AVX2 __attribute__((target("avx2,fma,popcnt")))

WITH_AVX2 static void estimate_listed_avx2(const Segment *segment, const Query *query, const int32_t *positions, int64_t n,
                                           float *into) {
    ESTIMATE_LISTED(plane_product)
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

/* ---- With AVX-512, which counts the bits of bytes (BITALG) and multiplies bytes (VNNI) ---- */

#define WITH_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bitalg,avx512vnni")))

/* What a bit of each plane counts. */
static const int8_t WEIGHTS[PLANES] = {1, 2, 4, -8};

WITH_AVX512 static inline __m512i weighted_bits(__m512i sum, __m512i bits, const uint64_t *of_query, int plane) {
    __m512i counts = _mm512_popcnt_epi8(_mm512_and_si512(bits, _mm512_loadu_si512(of_query)));
    return _mm512_dpbusd_epi32(sum, counts, _mm512_set1_epi8(WEIGHTS[plane]));
}

WITH_AVX512 static inline int64_t plane_product_avx512(const uint64_t *signs, const Query *query, int words) {
    __m512i sum = _mm512_setzero_si512();
    for (int word = 0; word < words; word += 8) {
        __mmask8 inside = words - word >= 8 ? 255 : (__mmask8)((1 << (words - word)) - 1);
        __m512i bits = _mm512_maskz_loadu_epi64(inside, signs + word);
        for (int plane = 0; plane < PLANES; plane++)
            sum = weighted_bits(sum, bits, query->planes + plane * query->stride + word, plane);
    }
    return _mm512_reduce_add_epi32(sum);
}

WITH_AVX512 static void estimate_listed_avx512(const Segment *segment, const Query *query, const int32_t *positions,
                                               int64_t n, float *into) {
    ESTIMATE_LISTED(plane_product_avx512)
}

/* Neighbours of 16 numbers of 32 bits added up, of two vectors: quarter by quarter, first of one, then of the other. */
WITH_AVX512 static inline __m512i add_neighbours(__m512i one, __m512i other) {
    return _mm512_madd_epi16(_mm512_packs_epi32(one, other), _mm512_set1_epi16(1));
}

/* The estimates of a whole group and the highest of those that are readable, for vectors of `USUAL_WORDS`. Eight of them
 * are six registers. What pairs of words count comes to stand as `places` says: three pairs for each vector. */
WITH_AVX512 static float estimate_group_avx512(const Segment *segment, const Query *query, int64_t group, uint64_t readable,
                                               float *into) {
    enum { TOGETHER = 8 };
    const __m512i places[3] = {
        _mm512_setr_epi32(0, 12, 9, 6, 3, 15, 24, 21, 0, 0, 0, 0, 0, 0, 0, 0),
        _mm512_setr_epi32(4, 1, 13, 10, 7, 16, 28, 25, 0, 0, 0, 0, 0, 0, 0, 0),
        _mm512_setr_epi32(8, 5, 2, 14, 11, 20, 17, 29, 0, 0, 0, 0, 0, 0, 0, 0),
    };
    const __m256i plane_sum = _mm256_set1_epi32(query->plane_sum);
    const __m256 step = _mm256_set1_ps(query->step);
    __m256 best = _mm256_set1_ps(NOTHING);
    for (int first = 0; first < GROUP; first += TOGETHER) {
        const uint64_t *signs = segment->signs + (group * GROUP + first) * USUAL_WORDS;
        __m512i sums[USUAL_WORDS];
        for (int i = 0; i < USUAL_WORDS; i++) {
            __builtin_prefetch((const char *)(signs + i * TOGETHER) + BYTES_AHEAD);
            __m512i bits = _mm512_loadu_si512(signs + i * TOGETHER);
            sums[i] = _mm512_setzero_si512();
            for (int plane = 0; plane < PLANES; plane++)
                sums[i] = weighted_bits(sums[i], bits, query->planes + plane * query->stride + i % 3 * TOGETHER, plane);
        }
        __m512i low = add_neighbours(add_neighbours(sums[0], sums[1]), add_neighbours(sums[2], sums[3]));
        __m512i words = add_neighbours(sums[4], sums[5]), high = add_neighbours(words, words);
        __m512i product = _mm512_permutex2var_epi32(low, places[0], high);
        for (int i = 1; i < 3; i++) product = _mm512_add_epi32(product, _mm512_permutex2var_epi32(low, places[i], high));
        __m256i doubled = _mm256_slli_epi32(_mm512_castsi512_si256(product), 1);
        __m256 factors = _mm256_mul_ps(step, _mm256_loadu_ps(segment->factors + group * GROUP + first));
        __m256 estimates = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(doubled, plane_sum)), factors);
        _mm256_storeu_ps(into + first, estimates);
        best = _mm256_mask_max_ps(best, (__mmask8)(readable >> first), best, estimates);
    }
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(best), _mm256_extractf128_ps(best, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
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
    void (*estimate_listed)(const Segment *, const Query *, const int32_t *, int64_t, float *);
    float (*estimate_group)(const Segment *, const Query *, int64_t, uint64_t, float *); /* or null */
    int32_t (*code_product)(const uint8_t *, const int8_t *, int);
    float (*exact_product)(const float *, const float *, int);
} Steps;

static Steps steps_of(Way way, int words) {
#if IS_X86
    if (way == AVX512)
        return (Steps){estimate_listed_avx512, words == USUAL_WORDS ? estimate_group_avx512 : 0, code_product_avx512,
                       exact_product_avx512};
    if (way == AVX2) return (Steps){estimate_listed_avx2, 0, code_product_avx2, exact_product_avx2};
#endif
    (void)words;
    return (Steps){estimate_listed, 0, code_product, exact_product};
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

static void score_codes(const Segment *segment, const Query *query, const int32_t *positions, int64_t n, Steps steps,
                        float *scores) {
    int dimension = segment->dimension;
    for (int64_t i = 0; i < n; i++) {
        if (i + VECTORS_AHEAD < n) fetch(segment->codes + (int64_t)positions[i + VECTORS_AHEAD] * dimension, dimension);
        const uint8_t *code = segment->codes + (int64_t)positions[i] * dimension;
        int32_t product = steps.code_product(code, query->bytes, dimension) - CODE_ZERO * query->byte_sum;
        scores[i] = (float)product * query->code_scale;
    }
}

static void score_exactly(const Segment *segment, const Query *query, const int32_t *positions, int64_t n, Steps steps,
                          float *scores) {
    int dimension = segment->dimension;
    for (int64_t i = 0; i < n; i++) {
        if (i + VECTORS_AHEAD < n)
            fetch(segment->vectors + (int64_t)positions[i + VECTORS_AHEAD] * dimension, dimension * 4);
        scores[i] = steps.exact_product(segment->vectors + (int64_t)positions[i] * dimension, query->vector, dimension);
    }
}

/* A similarity that k of n vectors, at least k, are known to reach: the least of those with the highest of
 * `work->scores`, which are products of codes. Overwrites `work->listed`. */
static float known_to_reach(const Segment *segment, const Query *query, const int32_t *positions, int64_t n, int64_t k,
                            Steps steps, Work *work) {
    float kth = kth_of(work->scores, n, k, work->sorting), least = -NOTHING;
    int64_t best = 0;
    for (int64_t i = 0; i < n && best < k; i++)
        if (work->scores[i] >= kth) work->listed[best++] = positions[i];
    score_exactly(segment, query, work->listed, best, steps, work->sorting);
    for (int64_t i = 0; i < best; i++) least = lower(work->sorting[i], least);
    return least - query->rounding;
}

static int64_t keep(int64_t found, float lowest, Work *work) {
    int64_t kept = 0;
    for (int64_t i = 0; i < found; i++)
        if (work->scores[i] >= lowest) work->positions[kept++] = work->positions[i];
    return kept;
}

/* A scan by signs: what of a segment has been collected, by estimates that can reach the threshold. */
typedef struct {
    const Segment *segment;
    const Query *query;
    const uint64_t *bitmap;
    int64_t k, probed;
    Steps steps;
    Work *work;
    const float *spreads;   /* of the estimates, by position */
    Reach reach;
    float lowest;           /* what reaches the threshold with the largest factor there is */
    int64_t found, enough;  /* collected; and how many are collected before the threshold is raised */
    int64_t listed;         /* readable positions that wait for their estimates */
} Collection;

static void reach_for(Collection *of, float threshold) {
    of->reach = reach_of(of->query, of->segment->dimension, threshold);
    of->lowest = lowest_of(&of->reach, of->segment->largest_factor);
}

static float highest_of(const float *numbers, int64_t n) {
    float best = numbers[0];
    for (int64_t i = 1; i < n; i++) best = higher(numbers[i], best);
    return best;
}

/* Some of the highest estimates collected, listed: `probed` to MOST_PROBED times as many, where there are as many. */
static int64_t list_probed(const Collection *of) {
    const Work *work = of->work;
    const float *estimates = work->estimates;
    int64_t runs = (of->found + RUN - 1) / RUN, n = 0;
    float least = NOTHING;
    for (int64_t run = 0; run < runs; run++) {
        int64_t first = run * RUN, left = of->found - first;
        work->scores[run] = highest_of(estimates + first, left < RUN ? left : RUN);
    }
    if (runs >= of->probed) least = kth_of(work->scores, runs, of->probed, work->sorting);
    for (int64_t run = 0; run < runs && n < MOST_PROBED * of->probed; run++) {
        if (work->scores[run] < least) continue;
        for (int64_t i = run * RUN; i < of->found && i < (run + 1) * RUN; i++) {
            work->listed[n] = work->positions[i];
            n += estimates[i] >= least;
        }
    }
    return n;
}

/* Look at the best estimates more closely, for a threshold that k vectors reach, and drop what cannot reach it. */
static void raise_threshold(Collection *of) {
    Work *work = of->work;
    int64_t n = list_probed(of), kept = 0;
    score_codes(of->segment, of->query, work->listed, n, of->steps, work->scores);
    if (n >= of->k) {
        float known = known_to_reach(of->segment, of->query, work->listed, n, of->k, of->steps, work);
        reach_for(of, higher(of->reach.threshold, known));
    }
    for (int64_t i = 0; i < of->found; i++) {
        int32_t position = work->positions[i];
        float estimated = work->estimates[i];
        work->positions[kept] = position, work->estimates[kept] = estimated;
        kept += reaches(&of->reach, estimated, of->spreads[position]);
    }
    of->found = kept;
    of->enough = GROWTH * kept + PATIENCE;
}

static inline void collect(Collection *of, int32_t position, float estimated) {
    of->work->positions[of->found] = position, of->work->estimates[of->found] = estimated;
    of->found += estimated >= of->lowest;
}

static void estimate_waiting(Collection *of) {
    of->steps.estimate_listed(of->segment, of->query, of->work->listed, of->listed, of->work->scores);
    for (int64_t i = 0; i < of->listed; i++) collect(of, of->work->listed[i], of->work->scores[i]);
    of->listed = 0;
}

static void estimate_together(Collection *of, int64_t group, uint64_t bits) {
    float estimates[GROUP];
    if (of->steps.estimate_group(of->segment, of->query, group, bits, estimates) < of->lowest) return;
    for (uint64_t rest = bits; rest; rest &= rest - 1) {
        int i = __builtin_ctzll(rest);
        collect(of, (int32_t)(group * GROUP + i), estimates[i]);
    }
}

static int whole_group(const Collection *of, int64_t group, int64_t wanted) {
    return of->steps.estimate_group && wanted >= DENSE && (group + 1) * GROUP <= of->segment->count;
}

static void look_at(Collection *of, int64_t group) {
    uint64_t bits = readable_of(of->bitmap, group, of->segment->count);
    if (whole_group(of, group, __builtin_popcountll(bits))) {
        if (of->listed) estimate_waiting(of);
        estimate_together(of, group, bits);
        return;
    }
    for (uint64_t rest = bits; rest; rest &= rest - 1)
        of->work->listed[of->listed++] = (int32_t)(group * GROUP + __builtin_ctzll(rest));
}

/* Collect of the groups in the sample, or of all others. */
static void look_through(Collection *of, int sampled) {
    int64_t groups = (of->segment->count + GROUP - 1) / GROUP, looked = 0;
    for (int64_t group = 0; group < groups; group += sampled ? SAMPLED : 1) {
        if (!sampled && group % SAMPLED == 0) continue;
        look_at(of, group);
        if (++looked % STEP) continue;
        estimate_waiting(of);
        if (of->found >= of->enough) raise_threshold(of);
    }
    estimate_waiting(of);
    raise_threshold(of);
}

/* The estimates of what is collected by other bits, each in its place. */
static void estimate_collected(const Collection *of, const Segment *bits, float *into) {
    const int32_t *positions = of->work->positions;
    int64_t waiting = 0, next = 0;
    while (next < of->found) {
        int64_t first = next, group = positions[first] / GROUP;
        while (next < of->found && positions[next] / GROUP == group) next++;
        if (!whole_group(of, group, next - first)) continue;
        float estimates[GROUP];
        of->steps.estimate_listed(bits, of->query, positions + waiting, first - waiting, into + waiting);
        of->steps.estimate_group(bits, of->query, group, 0, estimates);
        for (int64_t i = first; i < next; i++) into[i] = estimates[positions[i] % GROUP];
        waiting = next;
    }
    of->steps.estimate_listed(bits, of->query, positions + waiting, of->found - waiting, into + waiting);
}

/* Of what is collected that which is left by two bits a dimension: a component 2 * first + second, taken twice less 3,
 * is twice (2 * first - 1) and once (2 * second - 1). */
static void refine(Collection *of) {
    const Segment *segment = of->segment;
    Work *work = of->work;
    Segment second = *segment;
    second.signs = segment->fine_signs;
    second.factors = segment->fine_factors;
    estimate_collected(of, &second, work->scores);
    for (int64_t i = 0; i < of->found; i++) {
        int32_t position = work->positions[i];
        float first = 2 * work->estimates[i] * (segment->fine_factors[position] / segment->factors[position]);
        work->estimates[i] = first + work->scores[i];
    }
    of->spreads = segment->fine_spreads;
    raise_threshold(of);
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
    score_exactly(segment, query, work->positions, found, steps, work->scores);
    if (found >= k) threshold = higher(threshold, kth_of(work->scores, found, k, work->sorting) - query->rounding);
    return keep(found, threshold - query->rounding, work);
}

/* The positions, in `work->positions`, of all readable vectors that can be among the k nearest ones of which
 * none is below `threshold`; how many they are. */
EXPORT int64_t scan_directly(const Segment *segment, const Query *query, const uint64_t *bitmap, int64_t k,
                             float threshold, int way, Work *work) {
    int64_t found = all_readable(segment, bitmap, work);
    return finish(segment, query, found, k, threshold, steps_of((Way)way, segment->words), work);
}

/* The same by way of estimates, in no order. `probed`, at least k, is how many of the best ones are looked at more
 * closely for a threshold. */
EXPORT int64_t scan_signs(const Segment *segment, const Query *query, const uint64_t *bitmap, int64_t k, int64_t probed,
                          float threshold, int way, Work *work) {
    Steps steps = steps_of((Way)way, segment->words);
    Collection of = {segment, query, bitmap, k, probed, steps, work, segment->factors, {0, 0, 0}, 0, 0, segment->count, 0};
    reach_for(&of, threshold);
    look_through(&of, 1);
    look_through(&of, 0);
    if (of.found > MANY) refine(&of);
    score_codes(segment, query, work->positions, of.found, steps, work->scores);
    threshold = of.reach.threshold;
    if (of.found >= k) threshold = higher(threshold, known_to_reach(segment, query, work->positions, of.found, k, steps, work));
    int64_t found = keep(of.found, threshold - query->code_error, work);
    return finish(segment, query, found, k, threshold, steps, work);
}

/* The fastest way of this processor. */
EXPORT int scan_way(void) {
#if IS_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bitalg") &&
        __builtin_cpu_supports("avx512vnni"))
        return AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("popcnt")) return AVX2;
#endif
    return PORTABLE;
}

/* Changes with what passes between this and retrieval/native_scan.py. */
EXPORT int scan_layout(void) { return 2; }
