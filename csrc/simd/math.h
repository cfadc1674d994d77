/* exp, expm1, log, log1p, tanh, sigmoid, erf and pow of a V, without libm: one sequence of operations for every V, so that a
   float and a vector, AVX2, AVX-512 and NEON give the same bits. Included once for each value of LANES, after lanes.h.
   Errors over all floats: at most 2 ulp, of a result that is subnormal too. NaN in gives NaN out, except pow(NaN, 0) and
   pow(1, NaN), which are 1 (IEEE 754).
   A float is rounded to an integer k by adding 1.5 * 2^23, whose last bits then hold k: no conversions, which differ for
   large values. 2^k is multiplied in two halves, so that subnormal results are rounded once. */
#undef VD
#undef VDL
#undef v_bits
#undef v_float
#undef vd_load
#undef vd_store
#undef v_abs
#undef v_copysign
#undef v_power2
#undef v_polynomial
#undef v_exp
#undef v_exp_parts
#undef v_expm1
#undef v_log
#undef v_log_parts
#undef v_log1p
#undef v_tanh
#undef v_sigmoid
#undef v_erf
#undef v_pow
#undef v_pow_parts
#if LANES == 16
#ifndef FASTNN_MATH_TYPES
#define FASTNN_MATH_TYPES
/* float64 in vectors as wide as a vf: half as many elements */
typedef float half_vf __attribute__((vector_size(2 * VF), aligned(4), may_alias));
typedef double half_vd __attribute__((vector_size(4 * VF)));
static inline half_vd half_load(const float *p) { return __builtin_convertvector(*(const half_vf *)p, half_vd); }
static inline void half_store(float *p, half_vd a) { *(half_vf *)p = __builtin_convertvector(a, half_vf); }
static inline double sd_load(const float *p) { return *p; }
static inline void sd_store(float *p, double a) { *p = (float)a; }
static inline int32_t sf_bits(float a) { int32_t b; __builtin_memcpy(&b, &a, 4); return b; }
static inline float sf_float(int32_t b) { float a; __builtin_memcpy(&a, &b, 4); return a; }
#endif
#define VD half_vd
#define VDL (VF / 2)
#define v_bits(a) ((vi)(a))
#define v_float(b) ((vf)(b))
#define vd_load half_load
#define vd_store half_store
#define v_abs vf_abs
#define v_copysign vf_copysign
#define v_power2 vf_power2
#define v_polynomial vf_polynomial
#define v_exp vf_exp
#define v_exp_parts vf_exp_parts
#define v_expm1 vf_expm1
#define v_log vf_log
#define v_log_parts vf_log_parts
#define v_log1p vf_log1p
#define v_tanh vf_tanh
#define v_sigmoid vf_sigmoid
#define v_erf vf_erf
#define v_pow vf_pow
#define v_pow_parts vf_pow_parts
#else
#define VD double
#define VDL 1
#define v_bits sf_bits
#define v_float sf_float
#define vd_load sd_load
#define vd_store sd_store
#define v_abs sf_abs
#define v_copysign sf_copysign
#define v_power2 sf_power2
#define v_polynomial sf_polynomial
#define v_exp sf_exp
#define v_exp_parts sf_exp_parts
#define v_expm1 sf_expm1
#define v_log sf_log
#define v_log_parts sf_log_parts
#define v_log1p sf_log1p
#define v_tanh sf_tanh
#define v_sigmoid sf_sigmoid
#define v_erf sf_erf
#define v_pow sf_pow
#define v_pow_parts sf_pow_parts
#endif

static inline V v_abs(V x) { return v_float(v_bits(x) & 0x7fffffff); }
static inline V v_copysign(V x, V sign) {
    return v_float((v_bits(x) & 0x7fffffff) | (v_bits(sign) & (int32_t)0x80000000));
}

/* x * 2^k, k the last bits of rounded = 1.5 * 2^23 + k, |k| <= 252 */
static inline V v_power2(V x, V rounded) {
#if defined(VF_SCALE) && LANES == 16
    return vf_scale(x, rounded - v_set1(0x1.8p23f));
#else
    VI k = v_bits(rounded) - 0x4b400000, half = k >> 1;
    return x * v_float((half + 127) << 23) * v_float((k - half + 127) << 23);
#endif
}

/* c[0] x^degree + ... + c[degree] */
static inline V v_polynomial(V x, const float *c, int degree) {
    V y = v_set1(c[0]);
    for (int i = 1; i <= degree; i++) y = v_fma(y, x, v_set1(c[i]));
    return y;
}

/* e^x = 2^k e^r, |r| <= log(2) / 2; log(2) in two parts, the first short enough for k * 0.693359375 to be exact.
   -> e^r - 1; k in *rounded */
static inline V v_exp_parts(V x, V *rounded) {
    static const float c[] = {0x1.a254b4p-13f, 0x1.6d5258p-10f, 0x1.110ffcp-7f, 0x1.5554e4p-5f, 0x1.555556p-3f, 0.5f};
    V magic = v_set1(0x1.8p23f);
    x = v_at_least(v_at_most(x, 89.0f), -105.0f);
    *rounded = v_fma(x, v_set1(0x1.715476p0f), magic);
    V k = *rounded - magic, r = v_fma(k, v_set1(0x1.bd0106p-13f), v_fma(k, v_set1(-0.693359375f), x));
    return v_fma(r * r, v_polynomial(r, c, 5), r);
}

static inline V v_exp(V x) {
    V rounded, p = v_exp_parts(x, &rounded);
    return v_power2(p + 1.0f, rounded);
}

/* e^x - 1 = 2^k (e^r - 1) + (2^k - 1), and e^x from 20 on */
static inline V v_expm1(V x) {
    V rounded, p = v_exp_parts(x, &rounded), one = v_set1(1.0f), power = v_power2(one, rounded);
    return v_select(x > 20.0f, v_power2(p + 1.0f, rounded), v_fma(p, power, power - one));
}

/* x = 2^e m, sqrt(1/2) <= m < sqrt(2), for finite x > 0 */
static inline V v_log_parts(V x, V *e) {
    VI tiny = x < 0x1p-126f;
    VI bits = (v_bits(v_select(tiny, x * 0x1p23f, x)) & 0x7fffffff) - 0x3f3504f3;
    *e = v_float((bits >> 23) + 0x4b400000) - 0x1.8p23f - v_select(tiny, v_set1(23.0f), v_set1(0.0f));
    return v_float((bits & 0x007fffff) + 0x3f3504f3);
}

/* log x = e log 2 + f - f^2/2 + f^3 P(f), f = m - 1 */
static inline V v_log(V x) {
    static const float c[] = {0x1.16396ep-4f, -0x1.e0625ep-4f, 0x1.e7358ep-4f, -0x1.fbc61ep-4f, 0x1.232d22p-3f,
                              -0x1.555eep-3f, 0x1.99a554p-3f, -0.25f, 0x1.555546p-2f};
    V e, f = v_log_parts(x, &e) - 1.0f, s = f * f;
    V low = v_fma(e, v_set1(-0x1.bd0106p-13f), v_fma(f * s, v_polynomial(f, c, 8), s * -0.5f));
    V y = v_fma(e, v_set1(0.693359375f), f + low);
    y = v_select(x == 0.0f, v_set1(-__builtin_inff()), y);
    y = v_select(x < 0.0f, v_set1(__builtin_nanf("")), y);
    return v_select(x < __builtin_inff(), y, x + x);                   /* inf and NaN stay */
}

/* log(1 + x) = log u + (x - (u - 1)) / u, u = 1 + x rounded */
static inline V v_log1p(V x) {
    V u = x + 1.0f, d = u - 1.0f;
    V lost = v_select(x < 1.0f, x - d, 1.0f - (u - x));
    V y = v_log(u) + lost / u;
    y = v_select(v_abs(x) < 0x1p-12f, v_fma(x * x, v_set1(-0.5f), x), y);
    return v_select((VI)(u <= 0.0f) | (VI)(u == __builtin_inff()), v_log(u), y);
}

/* x + x^3 P(x^2) below 0.6, else 1 - 2 / (e^2x + 1) */
static inline V v_tanh(V x) {
    static const float c[] = {0x1.1e495ep-9f, -0x1.0d5fa4p-7f, 0x1.63d1aap-6f, -0x1.b9f4b6p-5f, 0x1.111084p-3f,
                              -0x1.555554p-2f};
    V t = v_abs(x), s = x * x;
    V large = v_copysign(1.0f - 2.0f / (v_exp(t + t) + 1.0f), x);
    return v_select(t < 0.6f, v_fma(x * s, v_polynomial(s, c, 5), x), large);
}

/* e / (1 + e) for x < 0, 1 / (1 + e) else, e = e^-|x|; then what rounding took from 1 + e is given back (for x < 0) */
static inline V v_sigmoid(V x) {
    V e = v_exp(v_float(v_bits(x) | (int32_t)0x80000000)), d = e + 1.0f;
    V y = v_select(x < 0.0f, e, v_set1(1.0f)) / d;
    return v_fma(y * (y - 1.0f), e - (d - 1.0f), y);
}

/* x + x P(x^2) below 0.93, else 1 - e^-(t + t Q(t)), t = |x| (1 from 4 on) */
static inline V v_erf(V x) {
    static const float p[] = {0x1.4e459cp-14f, -0x1.a5ba96p-11f, 0x1.54426ep-8f, -0x1.b8008p-6f, 0x1.ce2d62p-4f,
                              -0x1.81274p-2f, 0x1.06eba8p-3f};
    static const float q[] = {0x1.78d116p-17f, -0x1.52795cp-12f, 0x1.dd6ba8p-9f, -0x1.855122p-6f, 0x1.b32568p-4f,
                              0x1.45328ep-1f, 0x1.0778dcp-3f};
    V t = v_abs(x), s = x * x;
    V u = v_select(t > 4.0f, v_set1(4.0f), t);
    V large = v_copysign(1.0f - v_exp(-v_fma(u, v_polynomial(u, q, 6), u)), x);
    return v_select(t < 0.93f, v_fma(x, v_polynomial(s, p, 6), x), large);
}

/* y (e + log2 m) = k + r / log 2, k whole: in float64, log2 m = 2 / log(2) * atanh((m - 1) / (m + 1)) */
static inline V v_pow_parts(V y, V m, V e, V *r) {
    float in[3][VL], out[2][VL];
    v_store(in[0], y), v_store(in[1], m), v_store(in[2], e);
    for (int l = 0; l < VL; l += VDL) {
        VD v = vd_load(in[1] + l), s = (v - 1.0) / (v + 1.0), z = s * s, a = z * (1 / 13.0) + 1 / 11.0;
        a = a * z + 1 / 9.0;
        a = a * z + 1 / 7.0;
        a = a * z + 1 / 5.0;
        a = a * z + 1 / 3.0;
        VD w = vd_load(in[0] + l) * ((a * z * s + s) * 2.8853900817779268 + vd_load(in[2] + l));
        VD k = (w + 0x1.8p52) - 0x1.8p52;
        vd_store(out[0] + l, k);
        vd_store(out[1] + l, (w - k) * 0.69314718055994531);
    }
    *r = v_load(out[1]);
    return v_load(out[0]);
}

/* |x|^y = 2^(y log2 |x|), then the signs and the special cases of IEEE 754 */
static inline V v_pow(V x, V y) {
    V t = v_abs(x), e, m = v_log_parts(t, &e), r, inf = v_set1(__builtin_inff()), one = v_set1(1.0f), zero = v_set1(0.0f);
    e = v_select(t == 0.0f, -inf, v_select(t == inf, inf, e));
    V k = v_pow_parts(y, m, e, &r);
    VI far = v_abs(k) > 200.0f;
    V rounded = v_select(far, v_copysign(v_set1(200.0f), k), k) + 0x1.8p23f;
    r = v_select(far, zero, r);
    V power = v_power2(v_exp(r), rounded);
    power = v_select(t == one, one, power);
    /* y is a whole number from 2^23 on, an even one from 2^24 on; below, adding 2^23 rounds it to one */
    V size = v_abs(y), shifted = v_select(size < 0x1p23f, size + 0x1p23f, size);
    V odd = v_select(size < 0x1p24f, v_float(v_bits(shifted) << 31), zero);
    VI whole = v_select(size < 0x1p23f, shifted - 0x1p23f, size) == size;
    V negative = v_select(whole, v_float(v_bits(power) ^ v_bits(odd)), v_select(t < inf, v_set1(__builtin_nanf("")), power));
    power = v_select(x < 0.0f, negative, power);
    power = v_select(x == 0.0f, v_select(whole, v_float(v_bits(power) | (v_bits(odd) & v_bits(x))), power), power);
    power = v_select(x != x, x, v_select(y != y, y, power));
    return v_select((VI)(y == 0.0f) | (VI)(x == 1.0f), one, power);
}
