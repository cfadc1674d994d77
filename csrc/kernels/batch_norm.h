/* batch_norm: statistics and sums over the batch, forward, backward. */
#include "slice.h"
#if LANES == 16
enum { BATCH_NORM_BLOCK = 4 };                                /* channels whose planes are read together, group by group */
enum { STATISTICS_CHAIN = 32 };

/* sums of d = x - pivot and of d^2 over the images and pixels of one group: chains of 32 pixels a lane in float32 */
static inline __attribute__((always_inline))
void plane_sums(const float *x, int64_t pixels, int64_t images, float pivot, double *sum, double *squares) {
    half_vd total[VD16] = {0}, total_squares[VD16] = {0};
    for (int64_t p = 0, end; p < pixels; p = end) {
        float chains[2][LANES];
        end = smaller(p + STATISTICS_CHAIN, pixels);
        V chain[VECTORS] = {0}, chain_squares[VECTORS] = {0};
        for (int64_t i = p * LANES; i < end * LANES; i += LANES)
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++) {
                V d = v_load(x + i + v * VL) - v_set1(pivot);
                chain[v] += d;
                chain_squares[v] = v_fma(d, d, chain_squares[v]);
            }
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) v_store(chains[0] + v * VL, chain[v]), v_store(chains[1] + v * VL, chain_squares[v]);
        for (int h = 0; h < VD16; h++) {
            total[h] += half_load(chains[0] + h * (VF / 2));
            total_squares[h] += half_load(chains[1] + h * (VF / 2));
        }
    }
    *sum = tree_sum_lanes(total, images);
    if (squares) *squares = tree_sum_lanes(total_squares, images);
}

static void K(batch_norm_statistics)(const batch_norm_statistics_args *a, const job *j) {
    slice s = slice_of(j, a->channels, BATCH_NORM_BLOCK);
    int64_t groups = (j->n + LANES - 1) / LANES;
    for (int64_t begin = s.begin; begin < s.end; begin += BATCH_NORM_BLOCK) {
        int64_t channels = smaller(BATCH_NORM_BLOCK, s.end - begin);
        double count = 0, mean[BATCH_NORM_BLOCK] = {0}, squares[BATCH_NORM_BLOCK] = {0};
        for (int64_t g = 0; g < groups; g++) {
            int64_t images = images_of(j, g, LANES);
            double more = (double)(images * a->pixels), all = count + more;
            for (int64_t c = 0; c < channels; c++) {
                const float *x = a->x.p + g * a->x.stride + (begin + c) * a->pixels * LANES;
                double sum, block_squares;
                plane_sums(x, a->pixels, images, 0, &sum, NULL);
                float pivot = (float)(sum / more);            /* the block's mean: no digits are lost below */
                plane_sums(x, a->pixels, images, pivot, &sum, &block_squares);
                double block_mean = (double)pivot + sum / more, d = block_mean - mean[c];
                mean[c] = g == 0 ? block_mean : mean[c] + d * (more / all);
                squares[c] += block_squares - sum * (sum / more) + d * d * (count * (more / all));
            }
            count = all;
        }
        for (int64_t c = 0; c < channels; c++) {
            ((float *)a->mean)[begin + c] = (float)mean[c];
            ((float *)a->variance)[begin + c] = (float)(squares[c] < 0 ? 0 : squares[c] / count);
        }
        for (int64_t c = begin; c < begin + channels && a->scale; c++) {      /* batch_norm_coefficients, to the bit */
            const float *weight = a->weight, *bias = a->bias;
            float scale = (weight ? weight[c] : 1.0f) / sf_sqrt(((float *)a->variance)[c] + (float)a->eps);
            ((float *)a->scale)[c] = scale;
            ((float *)a->shift)[c] = sf_fma(-((float *)a->mean)[c], scale, bias ? bias[c] : 0.0f);
        }
    }
}

/* chains of 256 pixels a lane in float32, their sums in float64 over ascending (group, chain), then the tree over lanes */
static void K(batch_norm_sums)(const batch_norm_sums_args *a, const job *j) {
    slice s = slice_of(j, a->channels, BATCH_NORM_BLOCK);
    int64_t groups = (j->n + LANES - 1) / LANES;
    const float *mean = a->mean, *variance = a->variance;
    for (int64_t begin = s.begin; begin < s.end; begin += BATCH_NORM_BLOCK) {
        int64_t channels = smaller(BATCH_NORM_BLOCK, s.end - begin);
        half_vd bias[BATCH_NORM_BLOCK][VD16] = {0}, weight[BATCH_NORM_BLOCK][VD16] = {0};
        for (int64_t g = 0; g < groups; g++)
            for (int64_t c = 0; c < channels; c++) {
                const float *dy = a->dy.p + g * a->dy.stride + (begin + c) * a->pixels * LANES;
                const float *x = a->x.p + g * a->x.stride + (begin + c) * a->pixels * LANES;
                V center = v_set1(mean[begin + c]);
                int64_t images = images_of(j, g, LANES);
                for (int64_t first = 0, end; first < a->pixels; first = end) {
                    float sum[LANES], product[LANES];
                    end = smaller(first + CHAIN, a->pixels);
                    V chain[VECTORS] = {0}, chain_product[VECTORS] = {0};
                    for (int64_t i = first * LANES; i < end * LANES; i += LANES)
#pragma GCC unroll 4
                        for (int v = 0; v < VECTORS; v++) {
                            V gradient = v_load(dy + i + v * VL);
                            chain[v] += gradient;
                            chain_product[v] = v_fma(gradient, v_load(x + i + v * VL) - center, chain_product[v]);
                        }
#pragma GCC unroll 4
                    for (int v = 0; v < VECTORS; v++) {
                        v_store(sum + v * VL, chain[v]);
                        v_store(product + v * VL, chain_product[v]);
                    }
                    for (int64_t l = images; l < LANES; l++) sum[l] = product[l] = 0;
                    for (int h = 0; h < VD16; h++) {
                        bias[c][h] += half_load(sum + h * (VF / 2));
                        weight[c][h] += half_load(product + h * (VF / 2));
                    }
                }
            }
        for (int64_t c = 0; c < channels; c++) {
            float deviation = groups ? sf_sqrt(variance[begin + c] + (float)a->eps) : 1;      /* of no rows NaN; the sums are 0 */
            ((float *)a->dbias)[begin + c] = (float)tree_sum_lanes(bias[c], LANES);
            ((float *)a->dweight)[begin + c] = (float)(tree_sum_lanes(weight[c], LANES) / (double)deviation);
        }
    }
}
#endif

static void K(batch_norm_forward)(const batch_norm_forward_args *a, const job *j) {
    slice s = slice_of(j, a->channels, 1);
    const float *scale = a->scale, *shift = a->shift;
    int64_t count = a->pixels * LANES;
    for (int64_t c = s.begin; c < s.end; c++) {
        const float *x = a->x.p + j->group * a->x.stride + c * count;
        float *y = a->y.p + j->group * a->y.stride + c * count;
        const float *residual = a->residual.p ? a->residual.p + j->group * a->residual.stride + c * count : NULL;
        vf factor = vf_set1(scale[c]), offset = vf_set1(shift[c]);
        for (int64_t i = 0; i < count; i += VF) {
            vf v = vf_fma(vf_load_run(x + i, count - i), factor, offset);
            if (residual) v = v + vf_load_run(residual + i, count - i);
            if (a->relu) v = vf_masked(v, v);
            vf_store_run(y + i, v, count - i);
        }
    }
}

/* dx = k1 (dy - k2 - (x - mean) k3), k1 = weight / deviation, k2 = dbias / m, k3 = dweight / m / deviation */
static void K(batch_norm_backward)(const batch_norm_backward_args *a, const job *j) {
    slice s = slice_of(j, a->channels, 1);
    const float *mean = a->mean, *variance = a->variance, *weight = a->weight, *dbias = a->dbias, *dweight = a->dweight;
    int64_t count = a->pixels * LANES;
    float m = (float)(j->n * a->pixels);
    for (int64_t c = s.begin; c < s.end; c++) {
        const float *x = a->x.p + j->group * a->x.stride + c * count, *dy = a->dy.p + j->group * a->dy.stride + c * count;
        const float *mask = a->mask.p ? a->mask.p + j->group * a->mask.stride + c * count : NULL;
        float *dx = a->dx.p + j->group * a->dx.stride + c * count;
        float deviation = sf_sqrt(variance[c] + (float)a->eps);
        vf k1 = vf_set1((weight ? weight[c] : 1.0f) / deviation), k2 = vf_set1(0.0f), k3 = k2, center = vf_set1(mean[c]);
        if (a->training) k2 = vf_set1(dbias[c] / m), k3 = vf_set1(dweight[c] / m / deviation);
        for (int64_t i = 0; i < count; i += VF) {
            vf gradient = vf_load_run(dy + i, count - i);
            if (a->training) gradient = vf_fma(center - vf_load_run(x + i, count - i), k3, gradient - k2);
            gradient = k1 * gradient;
            if (mask) gradient = vf_masked(gradient, vf_load_run(mask + i, count - i));
            vf_store_run(dx + i, gradient, count - i);
        }
    }
}
