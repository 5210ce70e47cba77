/* A sentence-embedding BERT on AMX tiles: bfloat16 products, everything else in single precision.
 *
 * BERT as in Devlin et al. 2019 (arXiv:1810.04805), post-layer-norm, exact (erf) GELU; mean pooling and division by the
 * length as in Sentence-BERT, Reimers and Gurevych 2019 (arXiv:1908.10084). Tiles and their layouts: Intel 64 and
 * IA-32 Architectures Software Developer's Manual, volume 1, chapter 18.
 *
 * Sequences stand one behind the other without padding, as many as share a walk through the weights. A product's
 * order of summation depends on neither place nor neighbours, so a text has the same vector in whatever company.
 */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__) && (defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 11))
#define HAS_KERNEL 1
#include <immintrin.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#define HAS_KERNEL 0
#endif

#define EXPORT __attribute__((visibility("default")))

/* What a run comes to. */
enum { DONE = 0, BAD_SHAPE = 1, BAD_TOKEN = 2 };

#if HAS_KERNEL

#if defined(__clang__)
#pragma clang attribute push(                                                                                     \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16")
#endif

typedef uint16_t bf16;

enum {
    LANES = 16,       /* single-precision numbers of a vector, and the rows of a tile */
    DEPTH = 32,       /* bfloat16 numbers of a tile's row: what one tile product sums over */
    TILE = 512,       /* bfloat16 numbers of a tile */
    PANEL = 32,       /* rows and columns of a block of a product: two tiles by two */
    SPARE = 2 * PANEL /* rows behind the last one that whole tiles may read */
};

typedef struct {
    bf16 *query_key_value, *output, *up, *down; /* packed by pack() */
    const float *query_key_value_bias, *output_bias, *up_bias, *down_bias;
    const float *attention_scale, *attention_shift, *inner_scale, *inner_shift; /* layer normalizations */
} Layer;

typedef struct {
    int layers, hidden, heads, inner, vocabulary, positions;
    float epsilon;
    const float *words; /* (vocabulary, hidden), the caller's: it stays where it is */
    const float *places, *scale, *shift;
    Layer *layer;
    void *memory;
} Model;

/* What one thread works in. */
typedef struct {
    int together;         /* tokens that share a walk through the weights; a longer text has one of its own */
    float *hidden;        /* (rows, hidden) */
    bf16 *narrow, *inner; /* (rows, hidden) and (rows, inner), as tiles */
    bf16 *mixed;          /* (rows, 3 hidden) */
    float *block, *scores; /* two of (32, 32); (16, longest) */
    int32_t *starts;               /* of the texts of one walk */
    bf16 *weights, *keys, *values; /* of one head: (16, longest), and the keys and values as tiles */
    void *memory;
} Workspace;

/* --- numbers */

static inline __m512 gelu(__m512 x) {
    /* x Phi(x), where Phi(x) - 1/2 is x times a polynomial in x squared, fitted up to 4.5: the error is below 4e-5. */
    const __m512 bound = _mm512_set1_ps(4.5f);
    __m512 y = _mm512_min_ps(_mm512_max_ps(x, _mm512_sub_ps(_mm512_setzero_ps(), bound)), bound);
    __m512 z = _mm512_mul_ps(y, y);
    __m512 p = _mm512_set1_ps(3.0362795611083016e-11f);
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(-3.3145362010600365e-09f));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(1.5909509443190473e-07f));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(-4.451637778402073e-06f));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(8.14241066109389e-05f));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(-0.001037584152072668f));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(0.009585175663232803f));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(-0.06598460674285889f));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(0.3987125754356384f));
    return _mm512_mul_ps(x, _mm512_fmadd_ps(y, p, _mm512_set1_ps(0.5f)));
}

static inline __m512 power_of_two(__m512 x) {
    /* 2^x for x <= 0, to 4e-6 of its value. */
    __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 rest = _mm512_sub_ps(x, whole);
    __m512 p = _mm512_set1_ps(0.00967605f);
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.05592212f));
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.24022107f));
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.69312102f));
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(1.00000008f));
    return _mm512_scalef_ps(p, whole);
}

static inline void store_narrow(bf16 *to, __m512 x) {
    _mm256_storeu_si256((__m256i *)to, (__m256i)_mm512_cvtneps_pbh(x));
}

static inline void store_both(bf16 *to, __m512 low, __m512 high) {
    _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

static inline bf16 narrow(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bf16)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16); /* to the nearest, ties to even; weights are finite */
}

/* --- products */

static void configure_tiles(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t columns_b[16];
        uint8_t rows[16];
    } __attribute__((aligned(64))) shape;
    memset(&shape, 0, sizeof shape);
    shape.palette = 1;
    for (int tile = 0; tile < 8; tile++) {
        shape.columns_b[tile] = 64;
        shape.rows[tile] = LANES;
    }
    _tile_loadconfig(&shape);
}

/* The compiler does not see what tiles read: what was written before is written when they do. */
static inline void settle(void) { __asm__ volatile("" ::: "memory"); }

/* Weights (outputs, inputs) as tiles: for each 16 outputs, for each 32 inputs, pairs of inputs by output. */
static void pack(bf16 *to, const float *weights, int outputs, int inputs) {
    for (int n = 0; n < outputs; n += LANES)
        for (int k = 0; k < inputs; k += DEPTH)
            for (int pair = 0; pair < LANES; pair++)
                for (int column = 0; column < LANES; column++)
                    for (int half = 0; half < 2; half++)
                        *to++ = narrow(weights[(size_t)(n + column) * inputs + k + 2 * pair + half]);
}

/* Where a number stands in a matrix (rows, columns) that is the left side of a product: tile by tile, for caches hand
 * over lines that lie behind one another faster than a tile's rows from all over a matrix. */
static inline size_t in_tiles(int row, int column, int columns) {
    return ((size_t)(row / LANES) * (columns / DEPTH) + column / DEPTH) * TILE + row % LANES * DEPTH + column % DEPTH;
}

typedef enum { NARROWED, ACTIVATED, ADDED } Ending;

/* A product and its ending: with its bias narrowed, activated and narrowed into tiles, or added to what is there. */
typedef struct {
    Ending ending;
    int inputs, outputs;
    const float *bias;
    void *to; /* bfloat16 (rows, outputs), or float where it is added */
} Product;

/* A block (32, 32) of a product that waits for its ending, the rows up to `done` excepted. */
typedef struct {
    const float *sums;
    int row, column, rows, done;
} Block;

static inline void end_rows(const Product *product, Block *block, int most) {
    const float *bias = product->bias + block->column;
    const int until = block->done + most < block->rows ? block->done + most : block->rows;
    for (; block->done < until; block->done++) {
        const float *sums = block->sums + block->done * PANEL;
        const int row = block->row + block->done;
        __m512 left = _mm512_add_ps(_mm512_load_ps(sums), _mm512_loadu_ps(bias));
        __m512 right = _mm512_add_ps(_mm512_load_ps(sums + LANES), _mm512_loadu_ps(bias + LANES));
        const size_t at = (size_t)row * product->outputs + block->column;
        if (product->ending == ADDED) {
            float *to = (float *)product->to + at;
            _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), left));
            _mm512_storeu_ps(to + LANES, _mm512_add_ps(_mm512_loadu_ps(to + LANES), right));
        } else if (product->ending == ACTIVATED) {
            store_both(
                (bf16 *)product->to + in_tiles(row, block->column, product->outputs), gelu(left), gelu(right)
            );
        } else {
            store_both((bf16 *)product->to + at, left, right);
        }
    }
}

/* Weights that the next blocks take, and how many cache lines of them are asked for with each step of this one. */
typedef struct {
    const char *at, *end;
    int lines;
} Ahead;

static inline void fetch(Ahead *ahead) {
    for (int line = 0; line < ahead->lines && ahead->at < ahead->end; line++, ahead->at += 64)
        _mm_prefetch(ahead->at, _MM_HINT_T1);
}

/* 32 or 16 rows of `a`, in tiles, times 32 packed columns, into `sums` (32, 32). Meanwhile the block before comes to its
 * end, a few rows a step: tiles and vectors are worked on by different parts of the processor. */
static inline void multiply_block(
    const Product *product, float *sums, const bf16 *a, const bf16 *b, int low_half, Block *before, Ahead *ahead
) {
    const int inputs = product->inputs, step = (PANEL * DEPTH + inputs - 1) / inputs;
    const bf16 *left = b, *right = b + (size_t)LANES * inputs, *low = a + (size_t)LANES * inputs;
    _tile_zero(0);
    _tile_zero(1);
    if (low_half) { /* rows 16 to 31 as well */
        _tile_zero(2);
        _tile_zero(3);
        for (int k = 0; k < inputs; k += DEPTH, a += TILE, low += TILE, left += TILE, right += TILE) {
            _tile_loadd(4, a, 64);
            _tile_loadd(6, left, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(7, right, 64);
            _tile_dpbf16ps(1, 4, 7);
            _tile_loadd(5, low, 64);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
            end_rows(product, before, step);
            fetch(ahead);
        }
        _tile_stored(2, sums + LANES * PANEL, PANEL * 4);
        _tile_stored(3, sums + LANES * PANEL + LANES, PANEL * 4);
    } else {
        for (int k = 0; k < inputs; k += DEPTH, a += TILE, left += TILE, right += TILE) {
            _tile_loadd(4, a, 64);
            _tile_loadd(6, left, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(7, right, 64);
            _tile_dpbf16ps(1, 4, 7);
            end_rows(product, before, step);
            fetch(ahead);
        }
    }
    _tile_stored(0, sums, PANEL * 4);
    _tile_stored(1, sums + LANES, PANEL * 4);
}

/* `a` (rows, inputs), in tiles, times packed weights (inputs, outputs), with its ending. Each block of weights is read
 * once, and stays in the first cache for all rows. `sums` are two blocks. */
static inline void multiply(Product product, float *sums, const bf16 *a, int rows, const bf16 *packed) {
    Block before = {0};
    const int panels = (rows + PANEL - 1) / PANEL;
    settle();
    for (int column = 0; column < product.outputs; column += PANEL) {
        const bf16 *b = packed + (size_t)column * product.inputs, *next_b = b + (size_t)PANEL * product.inputs;
        const int last = column + PANEL >= product.outputs;
        Ahead ahead = {(const char *)next_b, (const char *)(last ? next_b : next_b + PANEL * product.inputs), 0};
        ahead.lines = (PANEL + panels - 1) / panels;
        for (int row = 0; row < rows; row += PANEL) {
            const int count = rows - row < PANEL ? rows - row : PANEL;
            float *next = before.sums == sums ? sums + PANEL * PANEL : sums;
            multiply_block(&product, next, a + (size_t)row * product.inputs, b, count > LANES, &before, &ahead);
            before = (Block){next, row, column, count, 0};
        }
    }
    end_rows(&product, &before, PANEL);
}

/* --- layers */

/* Layer normalization (Ba et al. 2016, arXiv:1607.06450) of each row in place, and a narrow copy in tiles. */
static void normalize(
    float *wide, bf16 *copy, int rows, int hidden, const float *scale, const float *shift, float epsilon
) {
    for (int row = 0; row < rows; row++, wide += hidden) {
        __m512 sum = _mm512_setzero_ps(), squares = _mm512_setzero_ps();
        for (int at = 0; at < hidden; at += LANES) sum = _mm512_add_ps(sum, _mm512_loadu_ps(wide + at));
        __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / (float)hidden);
        for (int at = 0; at < hidden; at += LANES) {
            __m512 off = _mm512_sub_ps(_mm512_loadu_ps(wide + at), mean);
            squares = _mm512_fmadd_ps(off, off, squares);
        }
        __m512 by = _mm512_set1_ps(1.0f / sqrtf(_mm512_reduce_add_ps(squares) / (float)hidden + epsilon));
        for (int at = 0; at < hidden; at += LANES) {
            __m512 unit = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(wide + at), mean), by);
            unit = _mm512_fmadd_ps(unit, _mm512_loadu_ps(scale + at), _mm512_loadu_ps(shift + at));
            _mm512_storeu_ps(wide + at, unit);
            store_narrow(copy + in_tiles(row, at, hidden), unit);
        }
    }
}

/* Scores of 16 queries with every token to weights that still lack the division by their sum, which goes to `sums`. */
static inline void soften(const float *scores, bf16 *weights, float *sums, int rows, int tokens, int wide, float scale) {
    const __m512 by = _mm512_set1_ps(scale * 1.4426950408889634f); /* of powers of two instead of e */
    const int whole = tokens & ~(LANES - 1);
    const __mmask16 tail = (__mmask16)((1u << (tokens - whole)) - 1);
    for (int row = 0; row < rows; row++, scores += wide, weights += wide) {
        __m512 most = _mm512_set1_ps(-INFINITY);
        for (int at = 0; at < whole; at += LANES) most = _mm512_max_ps(most, _mm512_load_ps(scores + at));
        if (tail) most = _mm512_mask_max_ps(most, tail, most, _mm512_load_ps(scores + whole));
        __m512 top = _mm512_mul_ps(_mm512_set1_ps(_mm512_reduce_max_ps(most)), by);
        __m512 sum = _mm512_setzero_ps();
        for (int at = 0; at < whole; at += LANES) {
            __m512 weight = power_of_two(_mm512_fmsub_ps(_mm512_load_ps(scores + at), by, top));
            sum = _mm512_add_ps(sum, weight);
            store_narrow(weights + at, weight);
        }
        int at = whole;
        if (tail) {
            __m512 weight = power_of_two(_mm512_fmsub_ps(_mm512_load_ps(scores + at), by, top));
            weight = _mm512_maskz_mov_ps(tail, weight);
            sum = _mm512_add_ps(sum, weight);
            store_narrow(weights + at, weight);
            at += LANES;
        }
        if (at % DEPTH) store_narrow(weights + at, _mm512_setzero_ps());
        sums[row] = _mm512_reduce_add_ps(sum);
    }
}

/* One head's keys, transposed, and values as tiles that stand on the right of a product. */
static inline void pack_head(
    bf16 *keys, bf16 *values, const bf16 *key, const bf16 *value, int tokens, int stride, int head
) {
    const __m512i steps = _mm512_mullo_epi32(
        _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi32(stride / 2)
    );
    for (int token = 0; token < tokens; token += LANES)
        for (int k = 0; k < head; k += DEPTH)
            for (int pair = 0; pair < LANES; pair++, keys += DEPTH)
                _mm512_store_si512(keys, _mm512_i32gather_epi32(steps, key + (size_t)token * stride + k + 2 * pair, 4));
    for (int n = 0; n < head; n += LANES)
        for (int token = 0; token < tokens; token += DEPTH)
            for (int pair = 0; pair < LANES; pair++, values += DEPTH) {
                const bf16 *row = value + (size_t)(token + 2 * pair) * stride + n;
                __m512i even = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)row));
                __m512i odd = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(row + stride)));
                _mm512_store_si512(values, _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
            }
}

/* Scaled dot-product attention (Vaswani et al. 2017, arXiv:1706.03762, section 3.2) over the sequence at `start`, of the
 * head at `column`. */
static void attend_head(Workspace *work, int start, int tokens, int column, int hidden, int head) {
    const int stride = 3 * hidden, wide = (tokens + DEPTH - 1) / DEPTH * DEPTH, deep = head / DEPTH;
    const float scale = 1.0f / sqrtf((float)head);
    const bf16 *query = work->mixed + (size_t)start * stride + column;
    float sums[LANES];
    pack_head(work->keys, work->values, query + hidden, query + 2 * hidden, tokens, stride, head);
    settle();
    for (int first = 0; first < tokens; first += LANES) {
        const int rows = tokens - first < LANES ? tokens - first : LANES;
        const bf16 *queries = query + (size_t)first * stride;
        for (int token = 0; token < wide; token += 2 * LANES) {
            const bf16 *keys = work->keys + (size_t)token / LANES * deep * TILE;
            _tile_zero(0);
            _tile_zero(1);
            for (int k = 0; k < deep; k++) {
                _tile_loadd(4, queries + k * DEPTH, stride * 2);
                _tile_loadd(6, keys + (size_t)k * TILE, 64);
                _tile_dpbf16ps(0, 4, 6);
                _tile_loadd(7, keys + (size_t)(deep + k) * TILE, 64);
                _tile_dpbf16ps(1, 4, 7);
            }
            _tile_stored(0, work->scores + token, wide * 4);
            _tile_stored(1, work->scores + token + LANES, wide * 4);
        }
        soften(work->scores, work->weights, sums, rows, tokens, wide, scale);
        settle();
        for (int n = 0; n < head; n += PANEL) {
            const bf16 *left = work->values + (size_t)(n / LANES) * (wide / DEPTH) * TILE;
            const bf16 *right = left + (size_t)(wide / DEPTH) * TILE;
            _tile_zero(0);
            _tile_zero(1);
            for (int k = 0; k < wide; k += DEPTH, left += TILE, right += TILE) {
                _tile_loadd(4, work->weights + k, wide * 2);
                _tile_loadd(6, left, 64);
                _tile_dpbf16ps(0, 4, 6);
                _tile_loadd(7, right, 64);
                _tile_dpbf16ps(1, 4, 7);
            }
            _tile_stored(0, work->block, PANEL * 4);
            _tile_stored(1, work->block + LANES, PANEL * 4);
            for (int row = 0; row < rows; row++) {
                const __m512 by = _mm512_set1_ps(1.0f / sums[row]);
                const float *sum = work->block + row * PANEL;
                store_both(
                    work->narrow + in_tiles(start + first + row, column + n, hidden),
                    _mm512_mul_ps(_mm512_load_ps(sum), by), _mm512_mul_ps(_mm512_load_ps(sum + LANES), by)
                );
            }
        }
    }
}

static int embed(const Model *model, Workspace *work, const int32_t *ids, const int32_t *starts, int texts) {
    const int hidden = model->hidden;
    for (int text = 0; text < texts; text++)
        for (int row = starts[text]; row < starts[text + 1]; row++) {
            if (ids[row] < 0 || ids[row] >= model->vocabulary) return BAD_TOKEN;
            const float *word = model->words + (size_t)ids[row] * hidden;
            const float *place = model->places + (size_t)(row - starts[text]) * hidden;
            float *to = work->hidden + (size_t)row * hidden;
            for (int at = 0; at < hidden; at += LANES)
                _mm512_storeu_ps(to + at, _mm512_add_ps(_mm512_loadu_ps(word + at), _mm512_loadu_ps(place + at)));
        }
    return DONE;
}

static void run_layer(const Model *model, const Layer *layer, Workspace *work, const int32_t *starts, int texts) {
    const int hidden = model->hidden, inner = model->inner, rows = starts[texts], head = hidden / model->heads;
    const Product mixed = {NARROWED, hidden, 3 * hidden, layer->query_key_value_bias, work->mixed};
    const Product attended = {ADDED, hidden, hidden, layer->output_bias, work->hidden};
    const Product up = {ACTIVATED, hidden, inner, layer->up_bias, work->inner};
    const Product down = {ADDED, inner, hidden, layer->down_bias, work->hidden};
    multiply(mixed, work->block, work->narrow, rows, layer->query_key_value);
    for (int text = 0; text < texts; text++) /* into the narrow copy, which has been read */
        for (int column = 0; column < hidden; column += head)
            attend_head(work, starts[text], starts[text + 1] - starts[text], column, hidden, head);
    multiply(attended, work->block, work->narrow, rows, layer->output);
    normalize(
        work->hidden, work->narrow, rows, hidden, layer->attention_scale, layer->attention_shift, model->epsilon
    );
    multiply(up, work->block, work->narrow, rows, layer->up);
    multiply(down, work->block, work->inner, rows, layer->down);
    normalize(work->hidden, work->narrow, rows, hidden, layer->inner_scale, layer->inner_shift, model->epsilon);
}

/* The mean of each text's rows, divided by its length. */
static void pool(const float *wide, const int32_t *starts, int texts, int hidden, float *vectors) {
    for (int text = 0; text < texts; text++, vectors += hidden) {
        memset(vectors, 0, (size_t)hidden * sizeof *vectors);
        for (int row = starts[text]; row < starts[text + 1]; row++)
            for (int at = 0; at < hidden; at += LANES)
                _mm512_storeu_ps(
                    vectors + at,
                    _mm512_add_ps(_mm512_loadu_ps(vectors + at), _mm512_loadu_ps(wide + (size_t)row * hidden + at))
                );
        __m512 squares = _mm512_setzero_ps();
        for (int at = 0; at < hidden; at += LANES) {
            __m512 x = _mm512_loadu_ps(vectors + at);
            squares = _mm512_fmadd_ps(x, x, squares);
        }
        const __m512 by = _mm512_set1_ps(1.0f / fmaxf(sqrtf(_mm512_reduce_add_ps(squares)), 1e-12f));
        for (int at = 0; at < hidden; at += LANES)
            _mm512_storeu_ps(vectors + at, _mm512_mul_ps(_mm512_loadu_ps(vectors + at), by));
    }
}

/* --- memory */

static void *take(char **at, size_t bytes) {
    void *taken = *at;
    *at += (bytes + 63) / 64 * 64;
    return taken;
}

/* Zeros on huge pages, where Linux gives them: walks through megabytes would miss the address cache at every page. */
static void *blank(size_t bytes) {
    const size_t page = (size_t)2 << 20, whole = (bytes + page - 1) / page * page;
    void *memory = aligned_alloc(page, whole);
    if (!memory) return 0;
    madvise(memory, whole, MADV_HUGEPAGE);
    memset(memory, 0, whole);
    return memory;
}

/* --- what Python calls */

/* Whether this was compiled for a system that can have the tiles. */
EXPORT int bert_amx_available(void) { return 1; }

/* Whether this process may use the tiles: Linux wants to be asked (arch_prctl(2), ARCH_REQ_XCOMP_PERM). */
EXPORT int bert_amx_permitted(void) { return syscall(SYS_arch_prctl, 0x1023, 18) == 0; }

EXPORT void bert_amx_free(Model *model) {
    if (!model) return;
    free(model->memory);
    free(model->layer);
    free(model);
}

/* A model of these weights, all float32: places (positions and segment 0 added up), scale and shift of the embeddings'
 * normalization, then for each layer twelve: query, key and value as one (3 hidden, hidden), bias; output, bias; scale,
 * shift; up (inner, hidden), bias; down (hidden, inner), bias; scale, shift. Everything but the large matrices, `words`
 * included, stays the caller's and has to outlive the model. Null where the shape is none for tiles or memory ends. */
EXPORT Model *bert_amx_new(
    int layers, int hidden, int heads, int inner, int vocabulary, int positions, float epsilon, const float *words,
    const float *const *weights
) {
    if (heads < 1 || hidden % heads || (hidden / heads) % PANEL || hidden % PANEL || inner % PANEL) return 0;
    const size_t square = (size_t)hidden * hidden * sizeof(bf16), oblong = (size_t)hidden * inner * sizeof(bf16);
    Model *model = calloc(1, sizeof *model);
    if (!model) return 0;
    model->layer = calloc((size_t)layers, sizeof *model->layer);
    model->memory = blank((size_t)layers * (4 * square + 2 * oblong + 4 * 64));
    if (!model->layer || !model->memory) {
        bert_amx_free(model);
        return 0;
    }
    model->layers = layers, model->hidden = hidden, model->heads = heads, model->inner = inner;
    model->vocabulary = vocabulary, model->positions = positions, model->epsilon = epsilon, model->words = words;
    model->places = *weights++, model->scale = *weights++, model->shift = *weights++;
    char *at = model->memory;
    for (Layer *layer = model->layer; layer < model->layer + layers; layer++, weights += 12) {
        pack(layer->query_key_value = take(&at, 3 * square), weights[0], 3 * hidden, hidden);
        pack(layer->output = take(&at, square), weights[2], hidden, hidden);
        pack(layer->up = take(&at, oblong), weights[6], inner, hidden);
        pack(layer->down = take(&at, oblong), weights[8], hidden, inner);
        layer->query_key_value_bias = weights[1], layer->output_bias = weights[3];
        layer->attention_scale = weights[4], layer->attention_shift = weights[5];
        layer->up_bias = weights[7], layer->down_bias = weights[9];
        layer->inner_scale = weights[10], layer->inner_shift = weights[11];
    }
    return model;
}

EXPORT void bert_amx_leave(Workspace *work) {
    if (!work) return;
    free(work->memory);
    free(work);
}

/* Room for one thread's runs, about `together` tokens to a walk; null where memory ends. */
EXPORT Workspace *bert_amx_enter(const Model *model, int together) {
    const size_t all = (size_t)(together > model->positions ? together : model->positions) + SPARE, hidden = (size_t)model->hidden;
    const size_t longest = ((size_t)model->positions + DEPTH - 1) / DEPTH * DEPTH, head = hidden / (size_t)model->heads;
    const size_t sizes[] = {
        all * hidden * 4,     all * hidden * 2,         all * 3 * hidden * 2,      all * (size_t)model->inner * 2,
        2 * PANEL * PANEL * 4, LANES * longest * 4,      LANES * longest * 2,       longest * head * 2,
        longest * head * 2,   (all + 1) * sizeof(int32_t),
    };
    size_t bytes = 0;
    for (size_t number = 0; number < sizeof sizes / sizeof *sizes; number++) bytes += (sizes[number] + 63) / 64 * 64;
    Workspace *work = calloc(1, sizeof *work);
    if (!work) return 0;
    if (!(work->memory = blank(bytes))) {
        free(work);
        return 0;
    }
    char *at = work->memory;
    work->together = together;
    work->hidden = take(&at, sizes[0]);
    work->narrow = take(&at, sizes[1]);
    work->mixed = take(&at, sizes[2]);
    work->inner = take(&at, sizes[3]);
    work->block = take(&at, sizes[4]);
    work->scores = take(&at, sizes[5]);
    work->weights = take(&at, sizes[6]);
    work->keys = take(&at, sizes[7]);
    work->values = take(&at, sizes[8]);
    work->starts = take(&at, sizes[9]);
    return work;
}

static int walk(const Model *model, Workspace *work, const int32_t *ids, const int32_t *starts, int texts, float *vectors) {
    int result = embed(model, work, ids, starts, texts);
    if (result != DONE) return result;
    normalize(work->hidden, work->narrow, starts[texts], model->hidden, model->scale, model->shift, model->epsilon);
    for (int number = 0; number < model->layers; number++) run_layer(model, model->layer + number, work, starts, texts);
    pool(work->hidden, starts, texts, model->hidden, vectors);
    return DONE;
}

/* Unit vectors (texts, hidden) of `texts` sequences that stand one behind the other in `ids`: text t from starts[t] up
 * to starts[t + 1]. As many as go together share a walk through the weights. */
EXPORT int bert_amx_run(
    const Model *model, Workspace *work, const int32_t *ids, const int32_t *starts, int texts, float *vectors
) {
    int result = DONE;
    configure_tiles();
    for (int first = 0, after = 0; first < texts && result == DONE; first = after) {
        int rows = 0;
        work->starts[0] = 0;
        for (; after < texts; after++) {
            const int tokens = starts[after + 1] - starts[after];
            if (tokens < 1 || tokens > model->positions) {
                result = BAD_SHAPE;
                break;
            }
            if (rows && rows + tokens > work->together) break;
            work->starts[after - first + 1] = rows += tokens;
        }
        if (result == DONE)
            result = walk(
                model, work, ids + starts[first], work->starts, after - first, vectors + (size_t)first * model->hidden
            );
    }
    _tile_release();
    return result;
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#else

EXPORT int bert_amx_available(void) { return 0; }

#endif

/* Changes with what passes between this and inference/amx_bert.py. */
EXPORT int bert_amx_layout(void) { return 1; }
