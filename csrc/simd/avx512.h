/* The vector operations that need to know the instruction set: AVX-512 (F, BW, DQ, VL). The same names in every file of
   this folder; + - * / and comparisons are the compiler's vector operators. */
#include <immintrin.h>
#define VF_REGISTERS 32
enum { VF = 16 };                                                     /* floats in a vector */
typedef float vf __attribute__((vector_size(64)));
typedef int32_t vi __attribute__((vector_size(64)));                  /* a comparison's result: 0 or -1 a lane */
static inline vf vf_load(const float *p) { return (vf)_mm512_loadu_ps(p); }
static inline void vf_store(float *p, vf a) { _mm512_storeu_ps(p, (__m512)a); }
static inline vf vf_set1(float a) { return (vf)_mm512_set1_ps(a); }
static inline vf vf_fma(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }    /* a*b + c */
static inline vf vf_sqrt(vf a) { return (vf)_mm512_sqrt_ps((__m512)a); }
/* a, but the limit where a is beyond it; NaN stays NaN (x86: the second operand) */
static inline vf vf_at_most(vf a, float limit) { return (vf)_mm512_min_ps((__m512)vf_set1(limit), (__m512)a); }
static inline vf vf_at_least(vf a, float limit) { return (vf)_mm512_max_ps((__m512)vf_set1(limit), (__m512)a); }
/* the first k floats (0 <= k <= VF); the others are neither read nor written, and come as 0 */
static inline vf vf_load_first(const float *p, int k) { return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << k) - 1), p); }
static inline void vf_store_first(float *p, vf a, int k) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << k) - 1), (__m512)a); }
/* a0 b0 a1 b1 ...: the first and the second half of it */
static inline vf vf_zip_low(vf a, vf b) {
    const __m512i index = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    return (vf)_mm512_permutex2var_ps((__m512)a, index, (__m512)b);
}
static inline vf vf_zip_high(vf a, vf b) {
    const __m512i index = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    return (vf)_mm512_permutex2var_ps((__m512)a, index, (__m512)b);
}
/* mask ? a : b; mask: a comparison, 0 or -1 a lane */
static inline vf vf_select(vi mask, vf a, vf b) {
    return (vf)_mm512_ternarylogic_epi32((__m512i)mask, (__m512i)a, (__m512i)b, 0xca);
}
/* max pooling's choice: c where it is larger or NaN, else m. (The instruction gives its second operand for ties and NaN.) */
static inline vf vf_larger(vf m, vf c) {
    const __m512 best = _mm512_max_ps((__m512)c, (__m512)m);
    return (vf)_mm512_mask_mov_ps(best, _mm512_cmp_ps_mask((__m512)c, (__m512)c, _CMP_UNORD_Q), (__m512)c);
}
/* Writes the elements of x that are not +-0 to value, their places, counted from first, to place; -> how many. Both hold VF. */
static inline int64_t vf_compress(float *value, int32_t *place, vf x, int32_t first) {
    const __m512i bits = (__m512i)x, counted = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __mmask16 some = _mm512_test_epi32_mask(bits, _mm512_set1_epi32(0x7fffffff));
    _mm512_storeu_si512(value, _mm512_maskz_compress_epi32(some, bits));
    _mm512_storeu_si512(place, _mm512_maskz_compress_epi32(some, _mm512_add_epi32(counted, _mm512_set1_epi32(first))));
    return __builtin_popcount(some);
}
#define VF_COMPRESS
/* x * 2^k, k whole, rounded once */
static inline vf vf_scale(vf x, vf k) { return (vf)_mm512_scalef_ps((__m512)x, (__m512)k); }
#define VF_SCALE
/* a[i] = column i of VF rows at x. The loads put four rows into a vector, a quarter each: two of four passes less. */
static inline __attribute__((always_inline)) void vf_load_turned(vf *a, const float *x, int64_t step) {
    __m512 rows[4][4];
#pragma GCC unroll 4
    for (int r = 0; r < 4; r++)
#pragma GCC unroll 4
        for (int c = 0; c < 4; c++) {
            const float *at = x + r * step + 4 * c;
            __m512 quarters = _mm512_castps128_ps512(_mm_loadu_ps(at));
            quarters = _mm512_mask_broadcast_f32x4(quarters, 0x00f0, _mm_loadu_ps(at + 4 * step));
            quarters = _mm512_mask_broadcast_f32x4(quarters, 0x0f00, _mm_loadu_ps(at + 8 * step));
            rows[r][c] = _mm512_mask_broadcast_f32x4(quarters, 0xf000, _mm_loadu_ps(at + 12 * step));
        }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        const __m512d low01 = (__m512d)_mm512_unpacklo_ps(rows[0][c], rows[1][c]);
        const __m512d low23 = (__m512d)_mm512_unpacklo_ps(rows[2][c], rows[3][c]);
        const __m512d high01 = (__m512d)_mm512_unpackhi_ps(rows[0][c], rows[1][c]);
        const __m512d high23 = (__m512d)_mm512_unpackhi_ps(rows[2][c], rows[3][c]);
        a[4 * c] = (vf)_mm512_unpacklo_pd(low01, low23);
        a[4 * c + 1] = (vf)_mm512_unpackhi_pd(low01, low23);
        a[4 * c + 2] = (vf)_mm512_unpacklo_pd(high01, high23);
        a[4 * c + 3] = (vf)_mm512_unpackhi_pd(high01, high23);
    }
}
#define VF_LOAD_TURNED
/* a0 a2 a4 ... b0 b2 ... */
static inline vf vf_even(vf a, vf b) {
    const __m512i index = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return (vf)_mm512_permutex2var_ps((__m512)a, index, (__m512)b);
}
static inline vf vf_odd(vf a, vf b) {
    const __m512i index = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    return (vf)_mm512_permutex2var_ps((__m512)a, index, (__m512)b);
}
/* a, kept in a register: compilers else read an operand from memory once for every use */
static inline vf vf_held(vf a) {
    __asm__("" : "+v"(a));
    return a;
}
typedef uint64_t vu __attribute__((vector_size(64)));
/* products of the low 32 bits of each element */
static inline vu vu_mul_low(vu a, vu b) { return (vu)_mm512_mul_epu32((__m512i)a, (__m512i)b); }
