/* The vector operations that need to know the instruction set: AVX-512 (F, BW, DQ, VL). The same names in every file of
   this folder; + - * / and comparisons are the compiler's vector operators. */
#include <immintrin.h>
enum { VF = 16 };                                                     /* floats in a vector */
typedef float vf __attribute__((vector_size(64)));
typedef int32_t vi __attribute__((vector_size(64)));                  /* a comparison's result: 0 or -1 a lane */
static inline vf vf_load(const float *p) { return (vf)_mm512_loadu_ps(p); }
static inline void vf_store(float *p, vf a) { _mm512_storeu_ps(p, (__m512)a); }
static inline vf vf_set1(float a) { return (vf)_mm512_set1_ps(a); }
static inline vf vf_fma(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }    /* a*b + c */
static inline vf vf_sqrt(vf a) { return (vf)_mm512_sqrt_ps((__m512)a); }
/* the first k floats (0 <= k <= VF); the others are neither read nor written, and come as 0 */
static inline vf vf_load_first(const float *p, int k) { return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << k) - 1), p); }
static inline void vf_store_first(float *p, vf a, int k) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << k) - 1), (__m512)a); }
