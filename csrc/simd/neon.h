/* As avx512.h, for AArch64. */
#include <arm_neon.h>
#define VF_REGISTERS 32
enum { VF = 4 };
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
static inline vf vf_load(const float *p) { return (vf)vld1q_f32(p); }
static inline void vf_store(float *p, vf a) { vst1q_f32(p, (float32x4_t)a); }
static inline vf vf_set1(float a) { return (vf)vdupq_n_f32(a); }
static inline vf vf_fma(vf a, vf b, vf c) { return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
static inline vf vf_sqrt(vf a) { return (vf)vsqrtq_f32((float32x4_t)a); }
static inline vf vf_at_most(vf a, float limit) { return (vf)vminq_f32((float32x4_t)vf_set1(limit), (float32x4_t)a); }
static inline vf vf_at_least(vf a, float limit) { return (vf)vmaxq_f32((float32x4_t)vf_set1(limit), (float32x4_t)a); }
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
static inline vf vf_zip_low(vf a, vf b) { return (vf)vzip1q_f32((float32x4_t)a, (float32x4_t)b); }
static inline vf vf_zip_high(vf a, vf b) { return (vf)vzip2q_f32((float32x4_t)a, (float32x4_t)b); }
static inline vf vf_select(vi mask, vf a, vf b) { return (vf)vbslq_f32((uint32x4_t)mask, (float32x4_t)a, (float32x4_t)b); }
static inline vf vf_larger(vf m, vf c) { return vf_select((vi)(c > m) | (vi)(c != c), c, m); }
static inline vf vf_even(vf a, vf b) { return (vf)vuzp1q_f32((float32x4_t)a, (float32x4_t)b); }
static inline vf vf_odd(vf a, vf b) { return (vf)vuzp2q_f32((float32x4_t)a, (float32x4_t)b); }
static inline vf vf_held(vf a) {
    __asm__("" : "+w"(a));
    return a;
}
typedef uint64_t vu __attribute__((vector_size(16)));
static inline vu vu_mul_low(vu a, vu b) { return (vu)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b)); }
