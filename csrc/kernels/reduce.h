/* reduce, and sums over the batch: batch_sum, channel_sum. */
#include "slice.h"

#if LANES == 16
enum { CHAIN = 256 };                                         /* a sum is chains of so many, added in ascending order */
enum { VECTORS = LANES / VF };

static inline vf reduced(vf y, vf x, int64_t kind) {
    if (kind == REDUCE_MAX) return vf_select((vi)(x > y) | (vi)(x != x), x, y);
    if (kind == REDUCE_MIN) return vf_select((vi)(x < y) | (vi)(x != x), x, y);
    return y + x;
}

/* columns (at most VF, `left` of them) of count elements, step apart */
static vf reduce_columns(const float *x, int64_t step, int64_t count, int64_t left, int64_t kind) {
    int sums = kind == REDUCE_SUM || kind == REDUCE_MEAN;
    vf y = vf_set1(0.0f);
    for (int64_t i = 0, first; i < count;) {
        vf chain = sums ? vf_set1(0.0f) : vf_load_run(x + i++ * step, left);
        int64_t end = sums ? smaller(i + CHAIN, count) : count;
        first = i;
        if (left >= VF) for (; i < end; i++) chain = reduced(chain, vf_load(x + i * step), kind);
        else for (; i < end; i++) chain = reduced(chain, vf_load_first(x + i * step, (int)left), kind);
        y = sums && first > 0 ? y + chain : chain;
    }
    return kind == REDUCE_MEAN ? y / vf_set1((float)count) : y;
}

/* one or eight sums of count consecutive floats, eight side by side: one alone waits for each addition */
static void chains(float *y, const float *x, int64_t step, int64_t count, int64_t so_many) {
    float sum[8] = {0};
    if (so_many == 8)
        for (int64_t i = 0; i < count; i++)
            for (int r = 0; r < 8; r++) sum[r] += x[r * step + i];
    else
        for (int64_t i = 0; i < count; i++) sum[0] += x[i];
    for (int64_t r = 0; r < so_many; r++) y[r] = sum[r];
}

/* the sum of count consecutive floats */
static float row_sum(const float *x, int64_t count) {
    float y = 0, part[8];
    for (int64_t i = 0; i < count;) {
        int so_many = count - i >= 8 * CHAIN ? 8 : 1;
        if (so_many == 8) chains(part, x + i, CHAIN, CHAIN, 8);
        else chains(part, x + i, 0, smaller(CHAIN, count - i), 1);
        for (int r = 0; r < so_many; r++) y = i + r == 0 ? part[r] : y + part[r];
        i += so_many * CHAIN;
    }
    return y;
}

/* row r's result; rows are count consecutive floats */
static void reduce_rows(float *y, const float *x, int64_t rows, int64_t count, int64_t kind) {
    int64_t r = 0;
    if (kind == REDUCE_SUM || kind == REDUCE_MEAN) {
        if (count > 0 && count <= CHAIN) for (; r + 8 <= rows; r += 8) chains(y + r, x + r * count, count, count, 8);
        for (; r < rows; r++) y[r] = row_sum(x + r * count, count);
        if (kind == REDUCE_MEAN) for (r = 0; r < rows; r++) y[r] = y[r] / (float)count;
        return;
    }
    for (; r < rows; r++) {
        float best = count > 0 ? x[r * count] : 0;
        for (int64_t i = 1; i < count; i++) {
            float v = x[r * count + i];
            best = ((kind == REDUCE_MAX ? v > best : v < best) || v != v) ? v : best;
        }
        y[r] = best;
    }
}
#endif

static void K(reduce)(const reduce_args *a, const job *j) {
    const float *x = a->x.p + j->group * a->x.stride;
    float *y = a->y.p + j->group * a->y.stride;
    int64_t width = a->inner * LANES, blocks = (width + VF - 1) / VF;
    if (width == 1) {
        slice s = slice_of(j, a->outer, 16);
        reduce_rows(y + s.begin, x + s.begin * a->count, larger(s.end - s.begin, 0), a->count, a->kind);
        return;
    }
    slice s = slice_of(j, a->outer * blocks, 1);
    for (int64_t b = s.begin; b < s.end; b++) {
        int64_t o = b / blocks, column = b % blocks * VF, left = width - column;
        vf result = reduce_columns(x + o * a->count * width + column, width, a->count, left, a->kind);
        vf_store_run(y + o * width + column, result, left);
    }
}

#if LANES == 16
static void K(batch_sum)(const batch_sum_args *a, const job *j) {
    enum { BLOCK = 16 };                                      /* features at a time: a lane of 64 bytes each, read in order */
    slice s = slice_of(j, a->features, BLOCK);
    int64_t groups = (j->n + LANES - 1) / LANES;
    for (int64_t f = s.begin; f < s.end; f += BLOCK) {
        half_vd sum[BLOCK][VD16] = {0};
        int64_t features = smaller(BLOCK, s.end - f), last = images_of(j, groups - 1, LANES);
        for (int64_t g = 0; g < groups; g++)
            for (int64_t o = 0; o < a->outer; o++) {
                const float *x = a->x.p + g * a->x.stride + (o * a->features + f) * LANES;
                for (int64_t i = 0; i < features; i++, x += LANES) {
                    const float *v = x;
                    float held[LANES];
                    if (g == groups - 1 && last < LANES) {    /* pad lanes add nothing */
                        for (int64_t l = 0; l < LANES; l += VF) vf_store(held + l, vf_load_run(x + l, larger(last - l, 0)));
                        v = held;
                    }
                    for (int h = 0; h < VD16; h++) sum[i][h] += half_load(v + h * (VF / 2));
                }
            }
        for (int64_t i = 0; i < features; i++) {
            double total = tree_sum_lanes(sum[i], 16);
            ((float *)a->y)[f + i] = (float)(a->mean ? total / (double)(j->n * a->outer) : total);
        }
    }
}

static void K(channel_sum)(const channel_sum_args *a, const job *j) {
    slice s = slice_of(j, a->channels, 16);
    int64_t groups = (j->n + LANES - 1) / LANES;
    float *y = a->y;
    for (int64_t c = s.begin; c < s.end; c++) y[c] = 0;
    for (int64_t begin = s.begin; begin < s.end; begin += 16)             /* 16 channels at a time lie close together */
        for (int64_t g = 0; g < groups; g++)
            for (int64_t c = begin; c < smaller(begin + 16, s.end); c++) {
                const float *x = a->x.p + g * a->x.stride + c * a->pixels * LANES;
                float lane[LANES];
                V total[VECTORS] = {0};
                for (int64_t p = 0; p < a->pixels;) {
                    V chain[VECTORS] = {0};
                    for (int64_t end = smaller(p + CHAIN, a->pixels); p < end; p++)
#pragma GCC unroll 4
                        for (int v = 0; v < VECTORS; v++) chain[v] += v_load(x + p * LANES + v * VL);
#pragma GCC unroll 4
                    for (int v = 0; v < VECTORS; v++) total[v] += chain[v];
                }
#pragma GCC unroll 4
                for (int v = 0; v < VECTORS; v++) v_store(lane + v * VL, total[v]);
                for (int64_t l = images_of(j, g, LANES); l < LANES; l++) lane[l] = 0;
                y[c] += tree_sum(lane);
            }
}
#else
/* Of one image after the other, in float64 as of groups. */
static void K(batch_sum)(const batch_sum_args *a, const job *j) {
    enum { BLOCK = 16 };
    const slice s = slice_of(j, a->features, BLOCK);
    for (int64_t f = s.begin; f < s.end; f += BLOCK) {
        const int64_t features = smaller(BLOCK, s.end - f);
        double sum[BLOCK] = {0};
        for (int64_t n = 0; n < j->n; n++)
            for (int64_t o = 0; o < a->outer; o++) {
                const float *x = a->x.p + n * a->x.stride + o * a->features + f;
                if (features == BLOCK) for (int i = 0; i < BLOCK; i++) sum[i] += x[i];
                else for (int64_t i = 0; i < features; i++) sum[i] += x[i];
            }
        for (int64_t i = 0; i < features; i++)
            ((float *)a->y)[f + i] = (float)(a->mean ? sum[i] / (double)(j->n * a->outer) : sum[i]);
    }
}

/* The sum of count consecutive floats: element i goes to virtual lane i mod 16, chains of 256 a lane, then a tree. */
static float lanes_sum(const float *x, int64_t count) {
    vf total[16 / VF] = {0};
    float lane[16];
    for (int64_t first = 0; first < count; first += 16 * CHAIN) {
        vf chain[16 / VF] = {0};
        const int64_t end = smaller(first + 16 * CHAIN, count);
        int64_t i = first;
        for (; i + 16 <= end; i += 16) for (int h = 0; h < 16 / VF; h++) chain[h] += vf_load(x + i + h * VF);
        for (int h = 0; h < 16 / VF && i + h * VF < end; h++) chain[h] += vf_load_run(x + i + h * VF, end - i - h * VF);
        for (int h = 0; h < 16 / VF; h++) total[h] += chain[h];
    }
    for (int h = 0; h < 16 / VF; h++) vf_store(lane + h * VF, total[h]);
    return tree_sum(lane);
}

static void K(channel_sum)(const channel_sum_args *a, const job *j) {
    const slice s = slice_of(j, a->channels, 16);
    for (int64_t c = s.begin; c < s.end; c++) {
        float sum = 0;
        for (int64_t n = 0; n < j->n; n++) sum += lanes_sum(a->x.p + n * a->x.stride + c * a->pixels, a->pixels);
        ((float *)a->y)[c] = sum;
    }
}
#endif
