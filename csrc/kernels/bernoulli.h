/* bernoulli: ones with the probabilities x. */
#include "philox.h"

static void K(bernoulli)(const bernoulli_args *a, const job *j) {
    uint32_t word[64];
    slice s = slice_of(j, a->count, 64);
    for (int64_t i = s.begin; i < s.end; i += 64 / LANES) {
        const float *x = a->x.p + j->group * a->x.stride + i * LANES;
        float *y = a->y.p + j->group * a->y.stride + i * LANES;
        int64_t left = smaller(64, (s.end - i) * LANES);
        philox_strip(word, (philox_key){a->seed, a->step, a->stream}, LANES, j->group * LANES, i);
        for (int64_t l = 0; l < left; l += VF)
            vf_store_run(y + l, philox_coin(vf_load_run(x + l, left - l), word + l), left - l);
    }
}
