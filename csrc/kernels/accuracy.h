/* accuracy: 1 where the largest logit (the first of ties; a NaN is larger than all) is the target's class. */
#include "slice.h"

/* the index of the largest of VL columns, as floats (exact below 2^24); of one class: whether it is above 1/2 */
static V K(predicted)(const float *x, int64_t step, int64_t classes) {
    if (classes == 1) return v_select(v_load(x) > 0.5f, v_set1(1.0f), v_set1(0.0f));
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
        v_store(index, K(predicted)(x + column, step, a->classes));
        if (q) v_store(wanted, K(predicted)(q + column, step, a->classes));
        for (int e = 0; e < VL; e++) {
            int64_t classes = larger(a->classes, 2);
            if (!q) wanted[e] = (float)class_of(a->target, j, column + e, LANES, a->inner, classes, a->ignore_index);
            y[column + e] = index[e] == wanted[e] ? 1.0f : 0.0f;
        }
    }
}
