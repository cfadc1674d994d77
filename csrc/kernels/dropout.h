/* dropout: Philox4x32-10 (Salmon et al., 2011), 16 counters at a time. A counter makes the words of 4 elements. */
#include "slice.h"
#if LANES == 16
typedef struct { uint32_t word[4][16]; } philox_words;
typedef uint32_t half_vu __attribute__((vector_size(2 * VF), aligned(4), may_alias));

typedef uint32_t words __attribute__((vector_size(4 * VF), aligned(4), may_alias));

/* the words of 16 counters: (image + l * image_step, block + l * block_step, step); the steps are 0 or 1. Words sit in the low
   halves of 64-bit elements; what gathers in the high halves is never read. */
static inline __attribute__((always_inline))
void philox(philox_words *w, const dropout_args *d, int64_t image, int image_step, int64_t block, int block_step) {
    static const uint64_t lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const vu multiplier0 = (vu){0} + 0xD2511F53u, multiplier1 = (vu){0} + 0xCD9E8D57u;
    uint32_t key0 = (uint32_t)d->seed, key1 = (uint32_t)d->stream;
    for (int l = 0; l < 16; l += VF / 2) {
        vu lane, a[4];
        __builtin_memcpy(&lane, lanes + l, sizeof lane);
        a[0] = (image_step ? lane : (vu){0}) + (uint64_t)image;
        a[1] = (block_step ? lane : (vu){0}) + (uint64_t)block;
        a[2] = (vu){0} + (uint64_t)d->step;
        a[3] = (vu){0} + ((uint64_t)d->step >> 32);
#pragma GCC unroll 10
        for (uint32_t round = 0; round < 10; round++) {
            vu p = vu_mul_low(a[0], multiplier0), q = vu_mul_low(a[2], multiplier1);
            a[0] = (q >> 32) ^ a[1] ^ (uint64_t)(key0 + round * 0x9E3779B9u), a[1] = q;
            a[2] = (p >> 32) ^ a[3] ^ (uint64_t)(key1 + round * 0xBB67AE85u), a[3] = p;
        }
        for (int i = 0; i < 4; i++) *(half_vu *)(w->word[i] + l) = __builtin_convertvector(a[i], half_vu);
    }
}

/* (word >> 8) * 2^-24 >= p as a comparison of integers: word >> 8 >= ceil(p * 2^24) */
static inline int32_t dropout_threshold(double p) {
    int32_t whole = (int32_t)(p * 0x1p24);
    return whole + (whole < p * 0x1p24);
}
#endif

static void K(dropout)(const dropout_args *a, const job *j) {
    const float *x = a->x.p + j->group * a->x.stride;
    float *y = a->y.p + j->group * a->y.stride, kept = (float)(1 - a->p);
    int32_t threshold = dropout_threshold(a->p);
    int64_t image = j->group * LANES;
    philox_words w;
    slice s = slice_of(j, a->count, 64);
#if LANES == 16
    for (int64_t i = s.begin; i < s.end; i += 4) {            /* images in the lanes: a counter's 4 elements are 4 features */
        philox(&w, a, image, 1, i >> 2, 0);
        for (int64_t f = i; f < smaller(i + 4, s.end); f++)
            for (int l = 0; l < 16; l += VF) {
                vi word = (vi)(*(const words *)(w.word[f & 3] + l) >> 8);
                v_store(y + f * 16 + l, v_select(word >= threshold, v_load(x + f * 16 + l) / v_set1(kept), v_set1(0.0f)));
            }
    }
#else
    for (int64_t i = s.begin; i < s.end; i += 64) {           /* 16 counters of one image: 64 elements */
        philox(&w, a, image, 0, i >> 2, 1);
        for (int64_t f = i; f < smaller(i + 64, s.end); f++)
            y[f] = (int32_t)(w.word[f & 3][(f - i) >> 2] >> 8) >= threshold ? x[f] / kept : 0.0f;
    }
#endif
}
