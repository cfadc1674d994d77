/* dropout: Philox4x32-10 (Salmon et al., 2011), 16 counters at a time. A counter makes the words of 4 elements. */
#include "slice.h"
#if LANES == 16
typedef struct { uint32_t word[4][16]; } philox_words;

static inline __attribute__((always_inline)) void philox(philox_words *w, uint32_t key0, uint32_t key1) {
    for (int round = 0; round < 10; round++, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u)
        for (int l = 0; l < 16; l++) {
            uint64_t p = (uint64_t)w->word[0][l] * 0xD2511F53u, q = (uint64_t)w->word[2][l] * 0xCD9E8D57u;
            w->word[0][l] = (uint32_t)(q >> 32) ^ w->word[1][l] ^ key0;
            w->word[1][l] = (uint32_t)q;
            w->word[2][l] = (uint32_t)(p >> 32) ^ w->word[3][l] ^ key1;
            w->word[3][l] = (uint32_t)p;
        }
}

/* the words of 16 counters: (image + l * image_step, block + l * block_step, step) */
static void dropout_words(philox_words *w, const dropout_args *a, uint32_t image, uint32_t image_step, uint32_t block,
                          uint32_t block_step) {
    for (uint32_t l = 0; l < 16; l++) {
        w->word[0][l] = image + l * image_step;
        w->word[1][l] = block + l * block_step;
        w->word[2][l] = (uint32_t)a->step;
        w->word[3][l] = (uint32_t)((uint64_t)a->step >> 32);
    }
    philox(w, (uint32_t)a->seed, (uint32_t)a->stream);
}

/* (word >> 8) * 2^-24 >= p as a comparison of integers: word >> 8 >= ceil(p * 2^24) */
static inline uint32_t dropout_threshold(double p) {
    uint32_t whole = (uint32_t)(p * 0x1p24);
    return whole + (whole < p * 0x1p24);
}
#endif

static void K(dropout)(const dropout_args *a, const job *j) {
    const float *x = a->x.p + j->group * a->x.stride;
    float *y = a->y.p + j->group * a->y.stride, kept = (float)(1 - a->p);
    uint32_t threshold = dropout_threshold(a->p), image = (uint32_t)(j->group * LANES);
    philox_words w;
    slice s = slice_of(j, a->count, 64);
#if LANES == 16
    for (int64_t i = s.begin; i < s.end; i += 4) {            /* images in the lanes: a counter's 4 elements are 4 features */
        dropout_words(&w, a, image, 1, (uint32_t)(i >> 2), 0);
        for (int64_t f = i; f < smaller(i + 4, s.end); f++)
            for (int l = 0; l < 16; l++) y[f * 16 + l] = w.word[f & 3][l] >> 8 >= threshold ? x[f * 16 + l] / kept : 0.0f;
    }
#else
    for (int64_t i = s.begin; i < s.end; i += 64) {           /* 16 counters of one image: 64 elements */
        dropout_words(&w, a, image, 0, (uint32_t)(i >> 2), 1);
        for (int64_t f = i; f < smaller(i + 64, s.end); f++)
            y[f] = w.word[f & 3][(f - i) >> 2] >> 8 >= threshold ? x[f] / kept : 0.0f;
    }
#endif
}
