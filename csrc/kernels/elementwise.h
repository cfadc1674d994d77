/* elementwise: a program, strip by strip. A row's features lie one after another in both layouts and no instruction looks at a
   neighbour, so that LANES only sets the length of the run. */
#if LANES == 16
enum { ELEMENTWISE_STRIP = 256, ELEMENTWISE_LENGTH = 8 };

static inline V v_clip(V a, V low, V high) {
    V raised = v_select(a < low, low, a);
    return v_select(raised > high, high, raised);
}

static inline V v_softplus(V a) { return v_select(a <= 0.0f, v_set1(0.0f), a) + v_log1p(v_exp(-v_abs(a))); }

/* x Phi(x), Phi the normal distribution's; and its derivative, which does not change beyond 40 */
static inline V v_gelu(V x) { return x * 0.5f * (v_erf(x * 0x1.6a09e6p-1f) + 1.0f); }
static inline V v_gelu_slope(V x) {
    V t = v_clip(x, v_set1(-40.0f), v_set1(40.0f));
    return v_fma(t * 0x1.988454p-2f, v_exp(t * t * -0.5f), (v_erf(t * 0x1.6a09e6p-1f) + 1.0f) * 0.5f);
}

/* x (1 + tanh u) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3); and its derivative, which does not change beyond 10 */
static inline V v_gelu_tanh(V x) {
    V u = v_fma(x * x * x, v_set1(0.044715f), x) * 0x1.988454p-1f;
    return x * 0.5f * (v_tanh(u) + 1.0f);
}
static inline V v_gelu_tanh_slope(V x) {
    V t = v_clip(x, v_set1(-10.0f), v_set1(10.0f)), s = t * t, one = v_set1(1.0f);
    V y = v_tanh(v_fma(s * t, v_set1(0.044715f), t) * 0x1.988454p-1f);
    V slope = v_fma(s, v_set1(0.134145f), one) * 0x1.988454p-1f;
    return ((y + one) + t * v_fma(-y, y, one) * slope) * 0.5f;
}

/* s (1 + x (1 - s)), s = sigmoid x, which does not change beyond 800 */
static inline V v_silu_slope(V x) {
    V t = v_clip(x, v_set1(-800.0f), v_set1(800.0f)), s = v_sigmoid(t), one = v_set1(1.0f);
    return s * v_fma(t, one - s, one);
}

/* the parts of a binary cross-entropy that are not 0 are never subtracted */
static inline V v_binary_cross_entropy_with_logits(V x, V target, V positive) {
    const V zero = v_set1(0.0f);
    V p = positive * target, q = v_set1(1.0f) - target;
    V right = v_log1p(v_exp(-v_abs(x))) * (p + q);
    return right + v_select(x <= 0.0f, zero, x) * q + v_select(x >= 0.0f, zero, -x) * p;
}
static inline V v_binary_cross_entropy(V p, V target) {
    return -(target * v_at_least(v_log(p), -100.0f) + (v_set1(1.0f) - target) * v_at_least(v_log1p(-p), -100.0f));
}

/* x^2 / 2, from delta on delta (|x| - delta / 2) */
static inline V v_huber(V x, V delta) {
    V size = v_abs(x), near = v_select(size < delta, size, delta);
    return near * v_fma(near, v_set1(-0.5f), size);
}

/* an operand: a run of floats (moves -1), or one vector that stays (moves 0) */
typedef struct { const float *p; int64_t moves; } operand;

#define ELEMENTWISE(name, operands, formula) \
    static inline V elementwise_##name##_of(V a, V b, V c) { \
        const V zero = v_set1(0.0f), one = v_set1(1.0f); \
        (void)b, (void)c, (void)zero, (void)one; \
        return formula; \
    } \
    static void elementwise_##name(float *y, operand a, operand b, operand c, int64_t count) { \
        int64_t i = 0; \
        for (; i + VF <= count; i += VF) { \
            V va = v_load(a.p + (i & a.moves)), vb = v_load(b.p + (i & b.moves)), vc = v_load(c.p + (i & c.moves)); \
            v_store(y + i, elementwise_##name##_of(va, vb, vc)); \
        } \
        if (i < count) { \
            int k = (int)(count - i); \
            V va = vf_load_first(a.p + (i & a.moves), k), vb = vf_load_first(b.p + (i & b.moves), k); \
            V vc = vf_load_first(c.p + (i & c.moves), k); \
            vf_store_first(y + i, elementwise_##name##_of(va, vb, vc), k); \
        } \
    }
#include "elementwise.def"
#undef ELEMENTWISE

static void (*const elementwise_instruction[])(float *, operand, operand, operand, int64_t) = {
#define ELEMENTWISE(name, operands, formula) elementwise_##name,
#include "elementwise.def"
#undef ELEMENTWISE
};

/* floats [begin, end) of the run, inputs at x */
static void elementwise_run(const elementwise_args *e, float *y, const float *const *x, int64_t begin, int64_t end) {
    float constant[8][VF], result[ELEMENTWISE_LENGTH - 1][ELEMENTWISE_STRIP] __attribute__((aligned(64)));
    for (int i = 0; i < 8; i++) v_store(constant[i], v_set1((float)e->constants[i]));
    int64_t strip = e->length == 1 ? end - begin : ELEMENTWISE_STRIP;
    for (int64_t at = begin; at < end; at += strip) {
        int64_t count = smaller(strip, end - at);
        for (int64_t i = 0; i < e->length; i++) {
            const int64_t *word = e->program + 4 * i;
            operand in[3];
            for (int o = 0; o < 3; o++) {
                int64_t which = word[1 + o];
                if (which < 0) in[o] = (operand){constant[0], 0};
                else if (which < 8) in[o] = (operand){x[which] + at, -1};
                else if (which < 16) in[o] = (operand){constant[which - 8], 0};
                else in[o] = (operand){result[which - 16], -1};
            }
            elementwise_instruction[word[0]](i == e->length - 1 ? y + at : result[i], in[0], in[1], in[2], count);
        }
    }
}
#endif

static void K(elementwise)(const elementwise_args *a, const job *j) {
    const rows *in[] = {&a->x0, &a->x1, &a->x2, &a->x3, &a->x4, &a->x5};
    const float *x[6] = {0};
    for (int64_t i = 0; i < a->inputs; i++) x[i] = in[i]->p + j->group * in[i]->stride;
    slice s = slice_of(j, a->count * LANES, 16);
    elementwise_run(a, a->y.p + j->group * a->y.stride, x, s.begin, s.end);
}
