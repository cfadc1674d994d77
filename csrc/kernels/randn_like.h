/* randn_like: standard normal numbers, each the quantile of one uniform number. */
#include "philox.h"
#if LANES == 16
/* sqrt(2) erfinv(2 u - 1), u = (k + 1/2) 2^-24, by Giles, Approximating the erfinv function, GPU Computing Gems, 2010. 1 - |2 u - 1|
   is q, exact, so that the tails (to 5.4 standard deviations) are as good as the middle. */
static inline vf randn_quantile(vi k) {
    static const float middle[] = {2.81022636e-08f, 3.43273939e-07f, -3.5233877e-06f, -4.39150654e-06f, 0.00021858087f,
                                   -0.00125372503f, -0.00417768164f, 0.246640727f, 1.50140941f};
    static const float tail[] = {-0.000200214257f, 0.000100950558f, 0.00134934322f, -0.00367342844f, 0.00573950773f,
                                 -0.0076224613f, 0.00943887047f, 1.00167406f, 2.83297682f};
    vi odd = k + k + 1, rest = (1 << 25) - odd;
    vf q = __builtin_convertvector((vi)((odd & (odd < rest)) | (rest & ~(odd < rest))), vf) * 0x1p-24f;
    vf x = __builtin_convertvector(odd - (1 << 24), vf) * 0x1p-24f;
    vf w = -vf_log(q * (2.0f - q));
    vf near = vf_polynomial(w - 2.5f, middle, 8), far = vf_polynomial(vf_sqrt(w) - 3.0f, tail, 8);
    return vf_select(w < 5.0f, near, far) * x * 1.41421356f;
}
#endif

static void K(randn_like)(const randn_like_args *a, const job *j) {
    uint32_t word[64];
    slice s = slice_of(j, a->count, 64);
    for (int64_t i = s.begin; i < s.end; i += 64 / LANES) {
        float *y = a->y.p + j->group * a->y.stride + i * LANES;
        int64_t left = smaller(64, (s.end - i) * LANES);
        philox_strip(word, (philox_key){a->seed, a->step, a->stream}, LANES, j->group * LANES, i);
        for (int64_t l = 0; l < left; l += VF) vf_store_run(y + l, randn_quantile(philox_whole(word + l)), left - l);
    }
}
