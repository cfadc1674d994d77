/* As avx512.h, for the x86-64 baseline: no FMA there, so its bits differ from the other targets'. */
#include <emmintrin.h>
#define VF_REGISTERS 16
enum { VF = 4 };
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
static inline vf vf_load(const float *p) { return (vf)_mm_loadu_ps(p); }
static inline void vf_store(float *p, vf a) { _mm_storeu_ps(p, (__m128)a); }
static inline vf vf_set1(float a) { return (vf)_mm_set1_ps(a); }
static inline vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
static inline vf vf_sqrt(vf a) { return (vf)_mm_sqrt_ps((__m128)a); }
static inline vf vf_at_most(vf a, float limit) { return (vf)_mm_min_ps((__m128)vf_set1(limit), (__m128)a); }
static inline vf vf_at_least(vf a, float limit) { return (vf)_mm_max_ps((__m128)vf_set1(limit), (__m128)a); }
static inline vf vf_load_first(const float *p, int k) {
    float t[4] = {0, 0, 0, 0};
    for (int i = 0; i < k; i++) t[i] = p[i];
    return vf_load(t);
}
static inline void vf_store_first(float *p, vf a, int k) {
    float t[4];
    vf_store(t, a);
    for (int i = 0; i < k; i++) p[i] = t[i];
}
static inline vf vf_zip_low(vf a, vf b) { return (vf)_mm_unpacklo_ps((__m128)a, (__m128)b); }
static inline vf vf_zip_high(vf a, vf b) { return (vf)_mm_unpackhi_ps((__m128)a, (__m128)b); }
static inline vf vf_select(vi mask, vf a, vf b) { return (vf)(((vi)a & mask) | ((vi)b & ~mask)); }
static inline vf vf_larger(vf m, vf c) { return vf_select((vi)(c > m) | (vi)(c != c), c, m); }
static inline vf vf_even(vf a, vf b) { return (vf)_mm_shuffle_ps((__m128)a, (__m128)b, 0x88); }
static inline vf vf_odd(vf a, vf b) { return (vf)_mm_shuffle_ps((__m128)a, (__m128)b, 0xdd); }
static inline vf vf_held(vf a) {
    __asm__("" : "+x"(a));
    return a;
}
typedef uint64_t vu __attribute__((vector_size(16)));
static inline vu vu_mul_low(vu a, vu b) { return (vu)_mm_mul_epu32((__m128i)a, (__m128i)b); }
