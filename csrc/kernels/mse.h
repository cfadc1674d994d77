/* mse: a mean of squares an image. The sum is chains of 256 in ascending order, as reduce's. */
#include "slice.h"
static void K(mse_forward)(const mse_forward_args *a, const job *j) {
    const float *x = a->x.p + j->group * a->x.stride, *target = a->target.p + j->group * a->target.stride;
    slice s = slice_of(j, LANES, VL);
    for (int64_t l = s.begin; l < s.end; l += VL) {
        V total = v_set1(0.0f);
        for (int64_t i = 0; i < a->count;) {
            V chain = v_set1(0.0f);
            for (int64_t end = smaller(i + CHAIN, a->count); i < end; i++) {
                V d = v_load(x + i * LANES + l) - v_load(target + i * LANES + l);
                chain = v_fma(d, d, chain);
            }
            total += chain;
        }
        v_store(a->loss.p + j->group * a->loss.stride + l, total / v_set1((float)a->count));
    }
}

static void K(mse_backward)(const mse_backward_args *a, const job *j) {
    const float *x = a->x.p + j->group * a->x.stride, *target = a->target.p + j->group * a->target.stride;
    const float *dy = a->dy.p + j->group * a->dy.stride;
    float *dx = a->dx.p + j->group * a->dx.stride;
    slice s = slice_of(j, a->count, 16);
    for (int l = 0; l < LANES; l += VL) {
        V factor = v_load(dy + l) * v_set1(2.0f / (float)a->count);
        for (int64_t i = s.begin * LANES + l; i < s.end * LANES; i += LANES)
            v_store(dx + i, factor * (v_load(x + i) - v_load(target + i)));
    }
}
