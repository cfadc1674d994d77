/* accuracy: 1 where the largest logit (the first of ties; a NaN is larger than all) is the target's class. */
#include "slice.h"

/* the index of the largest of VL columns, as floats (exact below 2^24) */
static inline V K(argmax)(const float *x, int64_t step, int64_t classes) {
    V best = v_load(x), index = v_set1(0.0f);
    for (int64_t c = 1; c < classes; c++) {
        V v = v_load(x + c * step);
        VI better = (VI)(v > best) | ((VI)(v != v) & (VI)(best == best));
        best = v_select(better, v, best);
        index = v_select(better, v_set1((float)c), index);
    }
    return index;
}

static void K(accuracy)(const accuracy_args *a, const job *j) {
    const float *x = a->x.p + j->group * a->x.stride, *q = a->probabilities.p;
    float *y = a->y.p + j->group * a->y.stride;
    int64_t step = a->inner * LANES;
    if (q) q += j->group * a->probabilities.stride;
    slice s = slice_of(j, step, 16);
    for (int64_t column = s.begin; column < s.end; column += VL) {
        float index[VL], wanted[VL];
        V one = v_set1(1.0f), zero = v_set1(0.0f), half = v_set1(0.5f);
        v_store(index, a->classes > 1 ? K(argmax)(x + column, step, a->classes) : v_select(v_load(x + column) > half, one, zero));
        if (q) v_store(wanted, a->classes > 1 ? K(argmax)(q + column, step, a->classes) : v_select(v_load(q + column) > half, one, zero));
        for (int e = 0; e < VL; e++) {
            int64_t image = j->group * LANES + (column + e) % LANES;
            if (!q) wanted[e] = (float)class_of(a->target, j, image, a->inner, column / LANES, larger(a->classes, 2), a->ignore_index);
            y[column + e] = index[e] == wanted[e] ? 1.0f : 0.0f;
        }
    }
}
