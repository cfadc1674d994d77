/* Random numbers by counting: Philox4x32-10 (Salmon et al., 2011), 16 counters at a time. A counter makes the words of 4 elements,
   so that an element's number follows from its place alone: not from LANES, the threads or the batch. */
#include "slice.h"
#ifndef FASTNN_PHILOX
#define FASTNN_PHILOX
typedef struct { uint32_t word[4][16]; } philox_words;
typedef uint32_t half_vu __attribute__((vector_size(2 * VF), aligned(4), may_alias));

typedef uint32_t words __attribute__((vector_size(4 * VF), aligned(4), may_alias));

/* word i of 16 counters: (image + l * image_step, block + l * block_step, step), l = 0 .. 15; the steps are 0 or 1. Words sit in
   the low halves of 64-bit elements; what gathers in the high halves is never read. */
typedef struct { int64_t seed, step, stream; } philox_key;
static inline __attribute__((always_inline))
void philox(philox_words *w, philox_key k, int64_t image, int image_step, int64_t block, int block_step) {
    static const uint64_t lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const vu multiplier0 = (vu){0} + 0xD2511F53u, multiplier1 = (vu){0} + 0xCD9E8D57u;
    uint32_t key0 = (uint32_t)k.seed, key1 = (uint32_t)k.stream;
    for (int l = 0; l < 16; l += VF / 2) {
        vu lane, a[4];
        __builtin_memcpy(&lane, lanes + l, sizeof lane);
        a[0] = (image_step ? lane : (vu){0}) + (uint64_t)image;
        a[1] = (block_step ? lane : (vu){0}) + (uint64_t)block;
        a[2] = (vu){0} + (uint64_t)k.step;
        a[3] = (vu){0} + ((uint64_t)k.step >> 32);
#pragma GCC unroll 10
        for (uint32_t round = 0; round < 10; round++) {
            vu p = vu_mul_low(a[0], multiplier0), q = vu_mul_low(a[2], multiplier1);
            a[0] = (q >> 32) ^ a[1] ^ (uint64_t)(key0 + round * 0x9E3779B9u), a[1] = q;
            a[2] = (p >> 32) ^ a[3] ^ (uint64_t)(key1 + round * 0xBB67AE85u), a[3] = p;
        }
        for (int i = 0; i < 4; i++) *(half_vu *)(w->word[i] + l) = __builtin_convertvector(a[i], half_vu);
    }
}

/* a word as an integer of 24 bits, k; the uniform number is k * 2^-24 */
static inline vi philox_whole(const uint32_t *word) { return (vi)(*(const words *)word >> 8); }

/* ones with the probabilities p, by these words; NaN stays */
static inline vf philox_coin(vf p, const uint32_t *word) {
    const vf u = __builtin_convertvector(philox_whole(word), vf) * vf_set1(0x1p-24f);
    return vf_select((vi)(p != p), p, vf_select((vi)(u < p), vf_set1(1), vf_set1(0)));
}

/* the words of 64 floats in the order of memory. lanes 16: features feature .. feature + 3 of 16 images; 1: features feature ..
   feature + 63 of one. feature is a multiple of 4. */
static inline __attribute__((always_inline))
void philox_strip(uint32_t *strip, philox_key k, int lanes, int64_t image, int64_t feature) {
    philox_words w;
    philox(&w, k, image, lanes == 16, feature >> 2, lanes == 1);
    if (lanes == 16) __builtin_memcpy(strip, w.word, sizeof w.word);
    else for (int l = 0; l < 16; l += VF) {
        vf word[4];
        for (int i = 0; i < 4; i++) __builtin_memcpy(&word[i], w.word[i] + l, sizeof word[i]);
        const vf even[2] = {vf_zip_low(word[0], word[2]), vf_zip_high(word[0], word[2])};
        const vf odd[2] = {vf_zip_low(word[1], word[3]), vf_zip_high(word[1], word[3])};
        for (int i = 0; i < 4; i++) {
            const vf four = i % 2 ? vf_zip_high(even[i / 2], odd[i / 2]) : vf_zip_low(even[i / 2], odd[i / 2]);
            __builtin_memcpy(strip + 4 * l + i * VF, &four, sizeof four);
        }
    }
}
#endif
