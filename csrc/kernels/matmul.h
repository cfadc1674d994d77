/* matmul and matmul_sum. Images in the lanes: both factors are vectors, tiles of 4 x 3 results. LANES 1: columns of b in the
   lanes, which are packed first where they do not lie side by side. */
#include "slice.h"
#if LANES == 16
enum { MATMUL_CHAIN = 256, MATMUL_M = 4, MATMUL_N = 3 };

static inline __attribute__((always_inline)) vf matmul_element(const float *p, int64_t i, int plain, int lane) {
    return plain ? vf_set1(p[i]) : vf_load(p + i * LANES + lane);
}

/* results [i, i + m) x [j, j + n) of VF images */
static inline __attribute__((always_inline))
void matmul_tile(const matmul_args *t, float *y, const float *a, const float *b, int a_plain, int b_plain, int lane,
                 int64_t i, int64_t j, int m, int n) {
    a += i * t->a_strides[0] * (a_plain ? 1 : LANES);
    b += j * t->b_strides[1] * (b_plain ? 1 : LANES);
    for (int64_t k = 0; k < t->k || k == 0; ) {
        vf sum[MATMUL_M][MATMUL_N], column[MATMUL_N];
        int64_t begin = k, end = smaller(k + MATMUL_CHAIN, t->k);
#pragma GCC unroll 4
        for (int r = 0; r < m; r++)
#pragma GCC unroll 4
            for (int c = 0; c < n; c++) sum[r][c] = vf_set1(0.0f);
        for (; k < end; k++) {
#pragma GCC unroll 4
            for (int c = 0; c < n; c++) column[c] = matmul_element(b, k * t->b_strides[0] + c * t->b_strides[1], b_plain, lane);
#pragma GCC unroll 4
            for (int r = 0; r < m; r++) {
                vf factor = matmul_element(a, k * t->a_strides[1] + r * t->a_strides[0], a_plain, lane);
#pragma GCC unroll 4
                for (int c = 0; c < n; c++) sum[r][c] = vf_fma(factor, column[c], sum[r][c]);
            }
        }
#pragma GCC unroll 4
        for (int r = 0; r < m; r++)
#pragma GCC unroll 4
            for (int c = 0; c < n; c++) {
                float *to = y + ((i + r) * t->n + j + c) * LANES + lane;
                vf_store(to, begin == 0 ? sum[r][c] : vf_load(to) + sum[r][c]);
            }
        if (t->k == 0) break;
    }
}

static inline __attribute__((always_inline))
void matmul_tiles(const matmul_args *t, const job *j, float *y, const float *a, const float *b, int a_plain, int b_plain) {
    int64_t across = (t->n + MATMUL_N - 1) / MATMUL_N, down = (t->m + MATMUL_M - 1) / MATMUL_M;
    slice s = slice_of(j, down * across, 1);
    for (int64_t tile = s.begin; tile < s.end; tile++)
        for (int lane = 0; lane < LANES; lane += VF) {
            int64_t row = tile / across * MATMUL_M, column = tile % across * MATMUL_N;
            if (row + MATMUL_M <= t->m && column + MATMUL_N <= t->n) {
                matmul_tile(t, y, a, b, a_plain, b_plain, lane, row, column, MATMUL_M, MATMUL_N);
                continue;
            }
            for (int64_t r = row; r < smaller(row + MATMUL_M, t->m); r++)
                for (int64_t c = column; c < smaller(column + MATMUL_N, t->n); c++)
                    matmul_tile(t, y, a, b, a_plain, b_plain, lane, r, c, 1, 1);
        }
}

static void K(matmul)(const matmul_args *t, const job *j) {
    float *y = t->y.p + j->group * t->y.stride;
    const float *a = t->a_const ? t->a_const : t->a.p + j->group * t->a.stride;
    const float *b = t->b_const ? t->b_const : t->b.p + j->group * t->b.stride;
    if (t->a_const && t->b_const) matmul_tiles(t, j, y, a, b, 1, 1);
    else if (t->a_const) matmul_tiles(t, j, y, a, b, 1, 0);
    else if (t->b_const) matmul_tiles(t, j, y, a, b, 0, 1);
    else matmul_tiles(t, j, y, a, b, 0, 0);
}

/* chains of 256 over ascending (group, k) a lane, chain sums added in ascending order, then the tree over lanes */
static void K(matmul_sum)(const matmul_sum_args *t, const job *j) {
    int64_t across = (t->n + MATMUL_N - 1) / MATMUL_N, down = (t->m + MATMUL_M - 1) / MATMUL_M;
    int64_t groups = (j->n + LANES - 1) / LANES;
    slice s = slice_of(j, down * across, 1);
    for (int64_t tile = s.begin; tile < s.end; tile++) {
        int64_t row = tile / across * MATMUL_M, column = tile % across * MATMUL_N;
        int64_t m = smaller(MATMUL_M, t->m - row), n = smaller(MATMUL_N, t->n - column);
        float lanes[MATMUL_M][MATMUL_N][LANES];
        for (int lane = 0; lane < LANES; lane += VF) {
            vf total[MATMUL_M][MATMUL_N] = {0}, sum[MATMUL_M][MATMUL_N] = {0};
            int64_t length = 0;
            for (int64_t g = 0; g < groups; g++) {
                int64_t images = larger(images_of(j, g, LANES) - lane, 0);            /* in this vector; pad lanes read as 0 */
                const float *a = t->a.p + g * t->a.stride + lane, *b = t->b.p + g * t->b.stride + lane;
                int64_t offset_a[MATMUL_M], offset_b[MATMUL_N];                       /* past the edge: the last one again */
                for (int64_t r = 0; r < MATMUL_M; r++) offset_a[r] = (row + smaller(r, m - 1)) * t->a_strides[0];
                for (int64_t c = 0; c < MATMUL_N; c++) offset_b[c] = (column + smaller(c, n - 1)) * t->b_strides[1];
                for (int64_t k = 0; k < t->k; k++) {
                    vf right[MATMUL_N];
#pragma GCC unroll 4
                    for (int c = 0; c < MATMUL_N; c++)
                        right[c] = vf_load_run(b + (k * t->b_strides[0] + offset_b[c]) * LANES, images);
#pragma GCC unroll 4
                    for (int r = 0; r < MATMUL_M; r++) {
                        vf left = vf_load_run(a + (k * t->a_strides[1] + offset_a[r]) * LANES, images);
#pragma GCC unroll 4
                        for (int c = 0; c < MATMUL_N; c++) sum[r][c] = vf_fma(left, right[c], sum[r][c]);
                    }
                    int full = ++length == MATMUL_CHAIN, over = full || (g == groups - 1 && k == t->k - 1);
                    if (full) length = 0;
                    if (!over) continue;
#pragma GCC unroll 4
                    for (int r = 0; r < MATMUL_M; r++)
#pragma GCC unroll 4
                        for (int c = 0; c < MATMUL_N; c++) total[r][c] += sum[r][c], sum[r][c] = vf_set1(0.0f);
                }
            }
            for (int r = 0; r < MATMUL_M; r++)
                for (int c = 0; c < MATMUL_N; c++) vf_store(&lanes[r][c][lane], total[r][c]);
        }
        for (int64_t r = 0; r < m; r++)
            for (int64_t c = 0; c < n; c++) ((float *)t->y)[(row + r) * t->n + column + c] = tree_sum(lanes[r][c]);
    }
}
#else
enum { MATMUL_WIDTH = 2 * VF };

/* columns [j, j + width) of b, rows of MATMUL_WIDTH floats: the next chain's, padded with zeros */
static void matmul_pack(float *to, const matmul_args *t, const float *b, int64_t k, int64_t end, int64_t width) {
    for (; k < end; k++, to += MATMUL_WIDTH) {
        for (int64_t c = 0; c < width; c++) to[c] = b[k * t->b_strides[0] + c * t->b_strides[1]];
        for (int64_t c = width; c < MATMUL_WIDTH; c++) to[c] = 0;
    }
}

/* m rows of MATMUL_WIDTH results (`width` of them stored), one chain more: b has rows step apart */
static inline __attribute__((always_inline))
void matmul_rows(const matmul_args *t, float *y, const float *a, const float *b, int64_t step, int64_t k, int64_t end, int m,
                 int64_t width) {
    vf sum[MATMUL_M][2];
    int first = k == 0;
#pragma GCC unroll 4
    for (int r = 0; r < m; r++) sum[r][0] = sum[r][1] = vf_set1(0.0f);
    for (; k < end; k++, b += step) {
        vf left = vf_load(b), right = vf_load(b + VF);
#pragma GCC unroll 4
        for (int r = 0; r < m; r++) {
            vf factor = vf_set1(a[r * t->a_strides[0] + k * t->a_strides[1]]);
            sum[r][0] = vf_fma(factor, left, sum[r][0]);
            sum[r][1] = vf_fma(factor, right, sum[r][1]);
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < m; r++)
        for (int h = 0; h < 2 && h * VF < width; h++) {
            float *to = y + r * t->n + h * VF;
            int64_t left = width - h * VF;
            vf_store_run(to, first ? sum[r][h] : vf_load_run(to, left) + sum[r][h], left);
        }
}

static void K(matmul)(const matmul_args *t, const job *j) {
    float *y = t->y.p + j->group * t->y.stride;
    const float *a = t->a_const ? t->a_const : t->a.p + j->group * t->a.stride;
    const float *b = t->b_const ? t->b_const : t->b.p + j->group * t->b.stride;
    slice s = slice_of(j, t->n, 16);
    for (int64_t column = s.begin, width; column < s.end; column += width) {
        width = smaller(MATMUL_WIDTH, s.end - column);
        int packs = t->b_strides[1] != 1 || width < MATMUL_WIDTH;
        for (int64_t k = 0; k < t->k || k == 0; k += MATMUL_CHAIN) {
            int64_t end = smaller(k + MATMUL_CHAIN, t->k), row = 0;
            const float *block = b + column * t->b_strides[1];
            if (packs) matmul_pack(j->scratch, t, block, k, end, width);
            block = packs ? j->scratch : block + k * t->b_strides[0];
            int64_t step = packs ? MATMUL_WIDTH : t->b_strides[0];
            for (; row + MATMUL_M <= t->m; row += MATMUL_M)
                matmul_rows(t, y + row * t->n + column, a + row * t->a_strides[0], block, step, k, end, MATMUL_M, width);
            for (; row < t->m; row++)
                matmul_rows(t, y + row * t->n + column, a + row * t->a_strides[0], block, step, k, end, 1, width);
        }
    }
}
#endif
