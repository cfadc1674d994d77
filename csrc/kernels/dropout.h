/* dropout: elements whose uniform number is below p become 0. */
#include "philox.h"
#if LANES == 16
/* k * 2^-24 >= p as a comparison of integers: k >= ceil(p * 2^24) */
static inline int32_t dropout_threshold(double p) {
    int32_t whole = (int32_t)(p * 0x1p24);
    return whole + (whole < p * 0x1p24);
}
#endif

static void K(dropout)(const dropout_args *a, const job *j) {
    vf kept = vf_set1((float)(1 - a->p)), zero = vf_set1(0.0f);
    int32_t threshold = dropout_threshold(a->p);
    uint32_t word[64];
    slice s = slice_of(j, a->count, 64);
    for (int64_t i = s.begin; i < s.end; i += 64 / LANES) {
        const float *x = a->x.p + j->group * a->x.stride + i * LANES;
        float *y = a->y.p + j->group * a->y.stride + i * LANES;
        int64_t left = smaller(64, (s.end - i) * LANES);
        philox_strip(word, (philox_key){a->seed, a->step, a->stream}, LANES, j->group * LANES, i);
        for (int64_t l = 0; l < left; l += VF)
            vf_store_run(y + l, vf_select(philox_whole(word + l) >= threshold, vf_load_run(x + l, left - l) / kept, zero), left - l);
    }
}
