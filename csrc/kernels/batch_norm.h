/* batch_norm: statistics and sums over the batch, forward, backward. */
#include "slice.h"
#if LANES == 16
enum { BATCH_NORM_BLOCK = 16 };                               /* channels whose planes are read together, group by group */

/* the sum of (x - mean)^power over the images and pixels of one group, power 1 or 2; even and odd pixels apart, then together */
static inline __attribute__((always_inline))
double plane_sum(const float *x, int64_t pixels, int64_t images, double mean, int power) {
    half_vd sum[2][VD16] = {0}, center = (half_vd){0} + mean;
    for (int64_t p = 0; p < pixels; p += 2)
#pragma GCC unroll 2
        for (int odd = 0; odd < 2; odd++)
#pragma GCC unroll 8
            for (int h = 0; h < VD16; h++) {
                if (p + odd == pixels) continue;
                half_vd d = half_load(x + (p + odd) * LANES + h * (VF / 2));
                if (power == 2) d -= center, d *= d;
                sum[odd][h] += d;
            }
    for (int h = 0; h < VD16; h++) sum[0][h] += sum[1][h];
    return tree_sum_lanes(sum[0], images);
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
                double block_mean = plane_sum(x, a->pixels, images, 0, 1) / more;
                double block_squares = plane_sum(x, a->pixels, images, block_mean, 2), d = block_mean - mean[c];
                mean[c] = g == 0 ? block_mean : mean[c] + d * (more / all);
                squares[c] = g == 0 ? block_squares : squares[c] + (block_squares + d * d * (count * (more / all)));
            }
            count = all;
        }
        for (int64_t c = 0; c < channels; c++) {
            ((float *)a->mean)[begin + c] = (float)mean[c];
            ((float *)a->variance)[begin + c] = (float)(squares[c] / count);
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
        double bias[BATCH_NORM_BLOCK][LANES] = {0}, weight[BATCH_NORM_BLOCK][LANES] = {0};
        for (int64_t g = 0; g < groups; g++)
            for (int64_t c = 0; c < channels; c++) {
                const float *dy = a->dy.p + g * a->dy.stride + (begin + c) * a->pixels * LANES;
                const float *x = a->x.p + g * a->x.stride + (begin + c) * a->pixels * LANES;
                V center = v_set1(mean[begin + c]);
                int64_t images = images_of(j, g, LANES);
                for (int64_t first = 0, end; first < a->pixels; first = end) {
                    float sum[LANES], product[LANES];
                    end = smaller(first + CHAIN, a->pixels);
                    for (int l = 0; l < LANES; l += VL) {
                        V chain = v_set1(0.0f), chain_product = v_set1(0.0f);
                        for (int64_t i = first * LANES + l; i < end * LANES; i += LANES) {
                            V gradient = v_load(dy + i);
                            chain += gradient;
                            chain_product = v_fma(gradient, v_load(x + i) - center, chain_product);
                        }
                        v_store(sum + l, chain), v_store(product + l, chain_product);
                    }
                    for (int64_t l = 0; l < images; l++) bias[c][l] += sum[l], weight[c][l] += product[l];
                }
            }
        for (int64_t c = 0; c < channels; c++) {
            float deviation = sf_sqrt(variance[begin + c] + (float)a->eps);
            ((float *)a->dbias)[begin + c] = (float)tree_sum_double(bias[c]);
            ((float *)a->dweight)[begin + c] = (float)(tree_sum_double(weight[c]) / (double)deviation);
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
        vf factor = vf_set1(scale[c]), offset = vf_set1(shift[c]), zero = vf_set1(0.0f);
        for (int64_t i = 0; i < count; i += VF) {
            vf v = vf_fma(vf_load_run(x + i, count - i), factor, offset);
            if (a->relu) v = vf_select(v <= zero, zero, v);
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
        float *dx = a->dx.p + j->group * a->dx.stride + c * count;
        float deviation = sf_sqrt(variance[c] + (float)a->eps);
        vf k1 = vf_set1((weight ? weight[c] : 1.0f) / deviation), k2 = vf_set1(0.0f), k3 = k2, center = vf_set1(mean[c]);
        if (a->training) k2 = vf_set1(dbias[c] / m), k3 = vf_set1(dweight[c] / m / deviation);
        for (int64_t i = 0; i < count; i += VF) {
            vf gradient = vf_load_run(dy + i, count - i);
            if (a->training) gradient = vf_fma(center - vf_load_run(x + i, count - i), k3, gradient - k2);
            vf_store_run(dx + i, k1 * gradient, count - i);
        }
    }
}
