/* layer_norm over count of (outer, count). Sums over count: element i goes to virtual lane i mod 16, then a tree by halves.
   Images side by side fill the vectors; else (LANES 1) the elements of a row do, with the same bits. */
#include "slice.h"

#if LANES == 16
/* What a sum adds up: x, (x - mean)^2, dy weight, dy weight (x - mean) rstd. */
enum { NORM_X, NORM_SQUARE, NORM_GRADIENT, NORM_PRODUCT };
typedef struct { const float *x, *dy, *weight; vf mean, rstd; } norm_of;

static inline __attribute__((always_inline)) vf norm_term(int kind, vf x, vf dy, vf weight, const norm_of *n, vf sum) {
    if (kind == NORM_X) return sum + x;
    if (kind == NORM_SQUARE) return vf_fma(x - n->mean, x - n->mean, sum);
    vf g = n->weight ? dy * weight : dy;
    return kind == NORM_GRADIENT ? sum + g : vf_fma(g, (x - n->mean) * n->rstd, sum);
}

static inline vf norm_tree(vf *lane) {
    for (int half = 8; half > 0; half >>= 1)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}

/* the sum of x or of its squares, of one vector of images: elements lie LANES floats apart */
static inline __attribute__((always_inline)) vf norm_columns(int kind, const norm_of *n, int64_t count) {
    vf lane[16];
    for (int half = 0; half < 16; half += 8) {                /* eight sums at a time stay in registers */
        vf sum[8];
        int64_t i = half;
#pragma GCC unroll 8
        for (int e = 0; e < 8; e++) sum[e] = vf_set1(0.0f);
        for (; i + 8 <= count; i += 16)
#pragma GCC unroll 8
            for (int e = 0; e < 8; e++) sum[e] = norm_term(kind, vf_load(n->x + (i + e) * LANES), sum[e], sum[e], n, sum[e]);
#pragma GCC unroll 8
        for (int e = 0; e < 8; e++)
            if (i + e < count) sum[e] = norm_term(kind, vf_load(n->x + (i + e) * LANES), sum[e], sum[e], n, sum[e]);
#pragma GCC unroll 8
        for (int e = 0; e < 8; e++) lane[half + e] = sum[e];
    }
    return norm_tree(lane);
}

/* both sums of the backward at once */
static inline __attribute__((always_inline))
void norm_columns_pair(const norm_of *n, int64_t count, int weighted, vf *gradient, vf *product) {
    vf lane[2][16];
    for (int part = 0; part < 16; part += 4) {
        vf sum[2][4];
#pragma GCC unroll 4
        for (int e = 0; e < 4; e++) sum[0][e] = sum[1][e] = vf_set1(0.0f);
        for (int64_t i = part; i < count; i += 16)
#pragma GCC unroll 4
            for (int e = 0; e < 4; e++) {
                if (i + e >= count) break;
                vf g = vf_load(n->dy + (i + e) * LANES);
                if (weighted) g = g * vf_set1(n->weight[i + e]);
                sum[0][e] += g;
                sum[1][e] = vf_fma(g, (vf_load(n->x + (i + e) * LANES) - n->mean) * n->rstd, sum[1][e]);
            }
#pragma GCC unroll 4
        for (int e = 0; e < 4; e++) lane[0][part + e] = sum[0][e], lane[1][part + e] = sum[1][e];
    }
    *gradient = norm_tree(lane[0]);
    *product = norm_tree(lane[1]);
}

/* the sum of one row of count consecutive floats */
static inline __attribute__((always_inline)) float norm_row(int kind, const norm_of *n, int64_t count) {
    vf lane[16 / VF];
    float spread[16];
    for (int h = 0; h < 16 / VF; h++) lane[h] = vf_set1(0.0f);
    for (int64_t i = 0; i < count; i += VF) {
        int64_t left = count - i;
        vf *sum = &lane[i / VF % (16 / VF)], dy = kind >= NORM_GRADIENT ? vf_load_run(n->dy + i, left) : *sum;
        vf weight = n->weight ? vf_load_run(n->weight + i, left) : *sum;
        vf more = norm_term(kind, vf_load_run(n->x + i, left), dy, weight, n, *sum);
        if (left < VF) {                                      /* lanes past the row keep their sum */
            vf_store(spread, *sum);
            vf_store_first(spread, more, (int)left);
            more = vf_load(spread);
        }
        *sum = more;
    }
    for (int h = 0; h < 16 / VF; h++) vf_store(spread + h * VF, lane[h]);
    return tree_sum(spread);
}

/* the functions that are compiled */
static vf norm_columns_x(const norm_of *n, int64_t count) { return norm_columns(NORM_X, n, count); }
static vf norm_columns_square(const norm_of *n, int64_t count) { return norm_columns(NORM_SQUARE, n, count); }
static void norm_columns_gradients(const norm_of *n, int64_t count, vf *gradient, vf *product) {
    if (n->weight) norm_columns_pair(n, count, 1, gradient, product);
    else norm_columns_pair(n, count, 0, gradient, product);
}
static vf norm_row_x(const norm_of *n, int64_t count) { return vf_set1(norm_row(NORM_X, n, count)); }
static vf norm_row_square(const norm_of *n, int64_t count) { return vf_set1(norm_row(NORM_SQUARE, n, count)); }
static void norm_row_gradients(const norm_of *n, int64_t count, vf *gradient, vf *product) {
    *gradient = vf_set1(norm_row(NORM_GRADIENT, n, count));
    *product = vf_set1(norm_row(NORM_PRODUCT, n, count));
}
#endif

/* A vector of what follows: VF images of one element, or VF elements of one row, `left` of them; w: the weight's or bias's. */
#undef norm_load
#undef norm_store
#undef norm_weight
#undef norm_sum
#undef norm_keep
#undef NORM_STEP
#if LANES == 16
#define NORM_STEP 1
#define norm_load(p, i) vf_load((p) + (i) * LANES)
#define norm_store(p, i, a) vf_store((p) + (i) * LANES, a)
#define norm_weight(p, i) vf_set1((p)[i])
#define norm_sum(what) norm_columns_##what
#define norm_keep(p, a) vf_store(p, a)
#else
#define NORM_STEP VF
#define norm_load(p, i) vf_load_run((p) + (i), count - (i))
#define norm_store(p, i, a) vf_store_run((p) + (i), a, count - (i))
#define norm_weight(p, i) vf_load_run((p) + (i), count - (i))
#define norm_sum(what) norm_row_##what
#define norm_keep(p, a) (*(p) = (a)[0])
#endif

static void K(layer_norm_forward)(const layer_norm_forward_args *a, const job *j) {
    slice s = slice_of(j, a->outer, 1);
    const float *weight = a->weight, *bias = a->bias;
    const int64_t count = a->count;
    const vf size = vf_set1((float)count), eps = vf_set1((float)a->eps);
    for (int64_t o = s.begin; o < s.end; o++)
        for (int l = 0; l < (LANES == 16 ? LANES : VF); l += VF) {
            norm_of n = {.x = a->x.p + j->group * a->x.stride + o * count * LANES + l};
            float *y = a->y.p + j->group * a->y.stride + o * count * LANES + l;
            n.mean = norm_sum(x)(&n, count) / size;
            n.rstd = vf_set1(1.0f) / vf_sqrt(norm_sum(square)(&n, count) / size + eps);
            for (int64_t i = 0; i < count; i += NORM_STEP) {
                vf v = (norm_load(n.x, i) - n.mean) * n.rstd;
                if (weight) v = vf_fma(v, norm_weight(weight, i), bias ? norm_weight(bias, i) : vf_set1(0.0f));
                norm_store(y, i, v);
            }
            if (a->mean.p) norm_keep(a->mean.p + j->group * a->mean.stride + o * LANES + l, n.mean);
            if (a->rstd.p) norm_keep(a->rstd.p + j->group * a->rstd.stride + o * LANES + l, n.rstd);
        }
}

static void K(layer_norm_backward)(const layer_norm_backward_args *a, const job *j) {
    slice s = slice_of(j, a->outer, 1);
    const int64_t count = a->count;
    const vf size = vf_set1((float)count);
    for (int64_t o = s.begin; o < s.end; o++)
        for (int l = 0; l < (LANES == 16 ? LANES : VF); l += VF) {
            const float *mean = a->mean.p + j->group * a->mean.stride + o * LANES + l;
            const float *rstd = a->rstd.p + j->group * a->rstd.stride + o * LANES + l;
            float *dx = a->dx.p + j->group * a->dx.stride + o * count * LANES + l;
            norm_of n = {.x = a->x.p + j->group * a->x.stride + o * count * LANES + l,
                         .dy = a->dy.p + j->group * a->dy.stride + o * count * LANES + l, .weight = a->weight};
            n.mean = LANES == 16 ? vf_load(mean) : vf_set1(*mean);
            n.rstd = LANES == 16 ? vf_load(rstd) : vf_set1(*rstd);
            vf gradient, product;
            norm_sum(gradients)(&n, count, &gradient, &product);
            gradient = gradient / size, product = product / size;
            for (int64_t i = 0; i < count; i += NORM_STEP) {
                vf g = norm_load(n.dy, i), normal = (norm_load(n.x, i) - n.mean) * n.rstd;
                if (n.weight) g = g * norm_weight(n.weight, i);
                norm_store(dx, i, n.rstd * vf_fma(-normal, product, g - gradient));
            }
        }
}

#if LANES == 16
/* float32 chains of 256 positions a lane, their sums in float64 over ascending (group, chain), then the tree over lanes */
static void K(layer_norm_sums)(const layer_norm_sums_args *a, const job *j) {
    enum { BLOCK = 16 };                                      /* features at a time */
    slice s = slice_of(j, a->count, BLOCK);
    int64_t groups = (j->n + LANES - 1) / LANES;
    for (int64_t f = s.begin; f < s.end; f += BLOCK) {
        half_vd bias[BLOCK][VD16] = {0}, weight[BLOCK][VD16] = {0};
        int64_t features = smaller(BLOCK, s.end - f);
        for (int64_t g = 0; g < groups; g++) {
            const float *x = a->x.p + g * a->x.stride + f * LANES, *dy = a->dy.p + g * a->dy.stride + f * LANES;
            const float *mean = a->mean.p + g * a->mean.stride, *rstd = a->rstd.p + g * a->rstd.stride;
            int64_t images = images_of(j, g, LANES);
            for (int64_t first = 0, end; first < a->outer; first = end) {
                float sum[BLOCK][LANES] = {0}, product[BLOCK][LANES] = {0};
                end = smaller(first + CHAIN, a->outer);
                for (int64_t o = first; o < end; o++)
                    for (int64_t i = 0; i < features; i++)
#pragma GCC unroll 4
                        for (int l = 0; l < LANES; l += VF) {
                            int64_t at = (o * a->count + i) * LANES + l, row = o * LANES + l;
                            vf d = vf_load(dy + at), normal = (vf_load(x + at) - vf_load(mean + row)) * vf_load(rstd + row);
                            vf_store(sum[i] + l, vf_load(sum[i] + l) + d);
                            vf_store(product[i] + l, vf_fma(d, normal, vf_load(product[i] + l)));
                        }
                for (int64_t i = 0; i < features; i++) {
                    for (int64_t l = images; l < LANES; l++) sum[i][l] = product[i][l] = 0;
                    for (int h = 0; h < VD16; h++) {
                        bias[i][h] += half_load(sum[i] + h * (VF / 2));
                        weight[i][h] += half_load(product[i] + h * (VF / 2));
                    }
                }
            }
        }
        for (int64_t i = 0; i < features; i++) {
            ((float *)a->dbias)[f + i] = (float)tree_sum_lanes(bias[i], LANES);
            ((float *)a->dweight)[f + i] = (float)tree_sum_lanes(weight[i], LANES);
        }
    }
}
#endif
