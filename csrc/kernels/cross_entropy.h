/* cross_entropy and pick_weight. An image's class sits in a lane: targets are read a lane at a time, the rest in vectors.
   Sums over classes as in softmax.h: class c to virtual lane c mod 16, then a tree. */
#include "slice.h"

#ifndef FASTNN_CROSS_ENTROPY
#define FASTNN_CROSS_ENTROPY
/* The class of a column (pixel column / lanes of image column mod lanes of j's group); -1 where it is ignored, or wrong
   (check_labels reports those), or the lane holds no image. */
static inline int64_t class_of(const int64_t *target, const job *j, int64_t column, int64_t lanes, int64_t inner,
                               int64_t classes, int64_t ignore_index) {
    int64_t image = j->group * lanes + column % lanes;
    if (image >= j->n) return -1;
    int64_t c = target[image * inner + column / lanes];
    return c >= 0 && c < classes && c != ignore_index ? c : -1;
}
#endif

static __attribute__((noinline)) V K(tree_of_lanes)(V *lane) {
    for (int half = 8; half > 0; half >>= 1)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}

/* What both passes need of VL columns: the largest logit, sum exp(x - largest); and with targets their class's x and weight
   (weight 0 where ignored), else sum q w. */
typedef struct { V maximum, sum, picked, weight; int64_t class[VL]; } K(columns);

static inline V K(class_weight)(const float *weight, int64_t c) { return v_set1(weight ? weight[c] : 1.0f); }

/* e: where the exponentials go, or NULL */
static __attribute__((noinline)) K(columns) K(columns_of)(const float *x, float *e, int64_t step, int64_t classes) {
    K(columns) s = {.maximum = v_load(x)};
    V lane[16];
    for (int64_t c = 1; c < classes; c++) {
        V v = v_load(x + c * step);
        s.maximum = v_select(v > s.maximum, v, s.maximum);
    }
    for (int i = 0; i < 16; i++) lane[i] = v_set1(0.0f);
    for (int64_t c = 0; c < classes; c++) {
        V power = v_exp(v_load(x + c * step) - s.maximum);
        if (e) v_store(e + c * step, power);
        lane[c & 15] += power;
    }
    s.sum = K(tree_of_lanes)(lane);
    return s;
}

static void K(pick_columns)(K(columns) *s, const float *x, int64_t step, const float *weight) {
    float picked[VL], weights[VL];
    for (int e = 0; e < VL; e++) {
        int64_t c = s->class[e];
        picked[e] = c < 0 ? 0.0f : x[c * step + e];
        weights[e] = c < 0 ? 0.0f : weight ? weight[c] : 1.0f;
    }
    s->picked = v_load(picked), s->weight = v_load(weights);
}

static void K(cross_entropy_forward)(const cross_entropy_forward_args *a, const job *j) {
    const float *x = a->x.p + j->group * a->x.stride, *q = a->probabilities.p, *weight = a->weight;
    float *loss = a->loss.p + j->group * a->loss.stride, smoothing = (float)a->label_smoothing;
    V keep = v_set1((float)(1 - a->label_smoothing)), share = v_set1(smoothing / (float)a->classes);
    int64_t step = a->inner * LANES;
    if (q) q += j->group * a->probabilities.stride;
    slice s = slice_of(j, step, 16);
    for (int64_t column = s.begin; column < s.end; column += VL) {
        const float *logits = x + column;
        K(columns) k = K(columns_of)(logits, NULL, step, a->classes);
        V log_sum = v_log(k.sum), lane[16], y, everything = v_set1(0.0f);
        if (q || smoothing != 0) {
            for (int i = 0; i < 16; i++) lane[i] = v_set1(0.0f);
            for (int64_t c = 0; c < a->classes; c++) {
                V weighted = (v_load(logits + c * step) - k.maximum - log_sum) * K(class_weight)(weight, c);
                V part = q ? v_fma(v_load(q + column + c * step), keep, share) : share;
                weighted = v_select(part == 0.0f, part, weighted);     /* 0, also times -inf */
                lane[c & 15] = v_fma(part, weighted, lane[c & 15]);
            }
            everything = K(tree_of_lanes)(lane);
        }
        if (q) y = -everything;
        else {
            for (int e = 0; e < VL; e++)
                k.class[e] = class_of(a->target, j, column + e, LANES, a->inner, a->classes, a->ignore_index);
            K(pick_columns)(&k, logits, step, weight);
            V own = (k.picked - k.maximum - log_sum) * k.weight;
            y = smoothing != 0 ? -v_fma(keep, own, everything) : -own;
            float out[VL];                                    /* 0 where ignored, whatever the logits */
            v_store(out, y);
            for (int e = 0; e < VL; e++) out[e] = k.class[e] < 0 ? 0.0f : out[e];
            y = v_load(out);
        }
        v_store(loss + column, y);
    }
}

static void K(cross_entropy_backward)(const cross_entropy_backward_args *a, const job *j) {
    const float *x = a->x.p + j->group * a->x.stride, *dy = a->dy.p + j->group * a->dy.stride;
    const float *q = a->probabilities.p, *weight = a->weight;
    float *dx = a->dx.p + j->group * a->dx.stride, smoothing = (float)a->label_smoothing;
    V keep = v_set1((float)(1 - a->label_smoothing)), share = v_set1(smoothing / (float)a->classes);
    int64_t step = a->inner * LANES;
    if (q) q += j->group * a->probabilities.stride;
    slice s = slice_of(j, step, 16);
    for (int64_t column = s.begin; column < s.end; column += VL) {
        const float *logits = x + column;
        float *to = dx + column;                              /* holds the exponentials at first */
        K(columns) k = K(columns_of)(logits, to, step, a->classes);
        V lane[16], gradient = v_load(dy + column), total = v_set1(0.0f);
        if (q || smoothing != 0) {                            /* sum q w */
            for (int i = 0; i < 16; i++) lane[i] = v_set1(0.0f);
            for (int64_t c = 0; c < a->classes; c++) {
                V part = q ? v_fma(v_load(q + column + c * step), keep, share) : share;
                lane[c & 15] = v_fma(part, K(class_weight)(weight, c), lane[c & 15]);
            }
            total = K(tree_of_lanes)(lane);
        }
        if (!q) {
            for (int e = 0; e < VL; e++)
                k.class[e] = class_of(a->target, j, column + e, LANES, a->inner, a->classes, a->ignore_index);
            K(pick_columns)(&k, logits, step, weight);
            total = v_fma(keep, k.weight, total);
        }
        float own[VL], ratio[VL];                             /* the own class has a larger q: exp, kept and put right below */
        for (int e = 0; e < VL && !q; e++) own[e] = k.class[e] < 0 ? 0.0f : to[k.class[e] * step + e];
        for (int64_t c = 0; c < a->classes; c++) {
            V part = q ? v_fma(v_load(q + column + c * step), keep, share) : share;
            V softmax = v_load(to + c * step) / k.sum;
            v_store(to + c * step, gradient * v_fma(softmax, total, -(part * K(class_weight)(weight, c))));
        }
        if (q) continue;
        V part = v_fma(keep, v_set1(1.0f), share);
        v_store(ratio, gradient * v_fma(v_load(own) / k.sum, total, -(part * k.weight)));
        for (int e = 0; e < VL; e++) {
            if (k.class[e] >= 0) to[k.class[e] * step + e] = ratio[e];
            else for (int64_t c = 0; c < a->classes; c++) to[c * step + e] = 0;                /* ignored */
        }
    }
}

static void K(pick_weight)(const pick_weight_args *a, const job *j) {
    float *y = a->y.p + j->group * a->y.stride;
    const float *weight = a->weight;
    slice s = slice_of(j, a->inner * LANES, 16);
    for (int64_t column = s.begin; column < s.end; column++) {
        int64_t c = class_of(a->target, j, column, LANES, a->inner, a->classes, a->ignore_index);
        y[column] = c < 0 ? 0.0f : weight ? weight[c] : 1.0f;
    }
}
