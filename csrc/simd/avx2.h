/* As avx512.h, for AVX2 with FMA. */
#include <immintrin.h>
#define VF_REGISTERS 16
enum { VF = 8 };
typedef float vf __attribute__((vector_size(32)));
typedef int32_t vi __attribute__((vector_size(32)));
static inline vf vf_load(const float *p) { return (vf)_mm256_loadu_ps(p); }
static inline void vf_store(float *p, vf a) { _mm256_storeu_ps(p, (__m256)a); }
static inline vf vf_set1(float a) { return (vf)_mm256_set1_ps(a); }
static inline vf vf_fma(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
static inline vf vf_sqrt(vf a) { return (vf)_mm256_sqrt_ps((__m256)a); }
static inline vf vf_at_most(vf a, float limit) { return (vf)_mm256_min_ps((__m256)vf_set1(limit), (__m256)a); }
static inline vf vf_at_least(vf a, float limit) { return (vf)_mm256_max_ps((__m256)vf_set1(limit), (__m256)a); }
static inline __m256i vf_first_mask(int k) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(k), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vf vf_load_first(const float *p, int k) { return (vf)_mm256_maskload_ps(p, vf_first_mask(k)); }
static inline void vf_store_first(float *p, vf a, int k) { _mm256_maskstore_ps(p, vf_first_mask(k), (__m256)a); }
static inline vf vf_zip_low(vf a, vf b) {
    const __m256 low = _mm256_unpacklo_ps((__m256)a, (__m256)b), high = _mm256_unpackhi_ps((__m256)a, (__m256)b);
    return (vf)_mm256_permute2f128_ps(low, high, 0x20);
}
static inline vf vf_zip_high(vf a, vf b) {
    const __m256 low = _mm256_unpacklo_ps((__m256)a, (__m256)b), high = _mm256_unpackhi_ps((__m256)a, (__m256)b);
    return (vf)_mm256_permute2f128_ps(low, high, 0x31);
}
static inline vf vf_select(vi mask, vf a, vf b) { return (vf)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)mask); }
static inline vf vf_larger(vf m, vf c) {
    const __m256 best = _mm256_max_ps((__m256)c, (__m256)m);
    return (vf)_mm256_blendv_ps(best, (__m256)c, _mm256_cmp_ps((__m256)c, (__m256)c, _CMP_UNORD_Q));
}
static inline vf vf_even(vf a, vf b) {
    const __m256 mixed = _mm256_shuffle_ps((__m256)a, (__m256)b, 0x88);
    return (vf)_mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(mixed), 0xd8));
}
static inline vf vf_odd(vf a, vf b) {
    const __m256 mixed = _mm256_shuffle_ps((__m256)a, (__m256)b, 0xdd);
    return (vf)_mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(mixed), 0xd8));
}
static inline vf vf_held(vf a) {
    __asm__("" : "+x"(a));
    return a;
}
typedef uint64_t vu __attribute__((vector_size(32)));
static inline vu vu_mul_low(vu a, vu b) { return (vu)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
