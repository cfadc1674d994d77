/* The type that one feature of a group is computed in: V, of VL floats. Included once for each value of LANES (16: the
   target's vectors, LANES / VL of them a feature; 1: a float). v_* on V mirrors vf_* on vf. K(name) names a kernel. */
#undef V
#undef VI
#undef VL
#undef v_load
#undef v_store
#undef v_set1
#undef v_fma
#undef v_sqrt
#undef v_select
#undef v_at_most
#undef v_at_least
#undef K
#define K_JOIN2(name, target, lanes) name##_##target##_##lanes
#define K_JOIN(name, target, lanes) K_JOIN2(name, target, lanes)
#define K(name) K_JOIN(name, TARGET, LANES)
#if LANES == 16
#define V vf
#define VI vi
#define VL VF
#define v_load vf_load
#define v_store vf_store
#define v_set1 vf_set1
#define v_fma vf_fma
#define v_sqrt vf_sqrt
#define v_select vf_select
#define v_at_most vf_at_most
#define v_at_least vf_at_least
#else
#define V float
#define VI int32_t
#define VL 1
#define v_load sf_load
#define v_store sf_store
#define v_set1 sf_set1
#define v_fma sf_fma
#define v_sqrt sf_sqrt
#define v_select sf_select
#define v_at_most sf_at_most
#define v_at_least sf_at_least
#endif
#ifndef FASTNN_LANES_ONCE
#define FASTNN_LANES_ONCE
static inline float sf_load(const float *p) { return *p; }
static inline void sf_store(float *p, float a) { *p = a; }
static inline float sf_set1(float a) { return a; }
#ifdef TARGET_HAS_FMA
static inline float sf_fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#else
static inline float sf_fma(float a, float b, float c) { return a * b + c; }
#endif
static inline float sf_sqrt(float a) { return vf_sqrt(vf_set1(a))[0]; }              /* __builtin_sqrtf may call libm */
static inline float sf_at_most(float a, float limit) { return a > limit ? limit : a; }           /* NaN stays, as in vectors */
static inline float sf_at_least(float a, float limit) { return a < limit ? limit : a; }
static inline float sf_select(int32_t mask, float a, float b) { return mask ? a : b; }           /* a comparison: 0 or 1 */
#endif
