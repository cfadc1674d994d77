/* softmax and log_softmax over count of (outer, count, inner). The sum over count: element i goes to virtual lane i mod 16,
   then a tree by halves. Where columns (inner and images) lie side by side, they fill the vectors; else (inner 1, LANES 1)
   the elements of a row do, with the same bits. */
#include "slice.h"
#if LANES == 16
/* The four kernels' arguments: out of x or of (dy, y). kind: what happens to an element once the sum is known. */
enum { SOFTMAX, LOG_SOFTMAX, SOFTMAX_BACKWARD, LOG_SOFTMAX_BACKWARD };

/* what is added to the sum; times y in SOFTMAX_BACKWARD */
static inline __attribute__((always_inline)) vf softmax_term(int kind, vf x, vf maximum, vf y, vf sum, vf *term) {
    *term = kind == SOFTMAX || kind == LOG_SOFTMAX ? vf_exp(x - maximum) : x;
    return kind == SOFTMAX_BACKWARD ? vf_fma(x, y, sum) : sum + *term;
}

/* the result; x is the exponential in SOFTMAX (kept in out) and dy in the backward kernels, total is 1 / sum in SOFTMAX (a division
   takes as long as ten products) and log sum in LOG_SOFTMAX */
static inline __attribute__((always_inline)) vf softmax_result(int kind, vf x, vf y, vf maximum, vf total) {
    if (kind == SOFTMAX) return x * total;
    if (kind == LOG_SOFTMAX) return x - maximum - total;
    return kind == SOFTMAX_BACKWARD ? y * (x - total) : vf_fma(-vf_exp(y), total, x);
}

/* W vectors of columns (the last one may have only `left` of them) of count elements, step apart. */
static inline __attribute__((always_inline))
void softmax_columns(int kind, float *out, const float *x, const float *y, int64_t step, int64_t count, int64_t left, const int W) {
    vf maximum[4], sum[4], waiting[5][4];
#define COLUMNS _Pragma("GCC unroll 4") for (int w = 0; w < W; w++)
    COLUMNS maximum[w] = vf_load_run(x + w * VF, left);
    if (kind == SOFTMAX || kind == LOG_SOFTMAX)
        for (int64_t i = 1; i < count; i++)
            COLUMNS {
                vf v = vf_load_run(x + i * step + w * VF, left);
                maximum[w] = vf_select(v > maximum[w], v, maximum[w]);
            }
    if (kind == SOFTMAX)
        for (int64_t i = 0; i < count; i++)
            COLUMNS {
                const int64_t at = i * step + w * VF;
                vf_store_run(out + at, vf_exp(vf_load_run(x + at, left) - maximum[w]), left);
            }
    /* The tree by halves, from left to right: a lane's sum is done before the next begins, and waiting[] holds those of lanes and
       of subtrees whose other half is to come. */
    static const int order[16] = {0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15};
    int waits = 0;
    for (int n = 0; n < 16; n++) {
        COLUMNS sum[w] = vf_set1(0.0f);
        for (int64_t i = order[n]; i < count; i += 16)
            COLUMNS {
                const int64_t at = i * step + w * VF;
                const vf first = vf_load_run((kind == SOFTMAX ? out : x) + at, left);
                if (kind == SOFTMAX_BACKWARD) sum[w] = vf_fma(first, vf_load_run(y + at, left), sum[w]);
                else sum[w] = sum[w] + (kind == LOG_SOFTMAX ? vf_exp(first - maximum[w]) : first);
            }
        for (int m = n; m & 1; m >>= 1) {
            waits--;
            COLUMNS sum[w] = waiting[waits][w] + sum[w];
        }
        COLUMNS waiting[waits][w] = sum[w];
        waits++;
    }
    if (kind == SOFTMAX) COLUMNS sum[w] = vf_set1(1.0f) / sum[w];
    if (kind == LOG_SOFTMAX) COLUMNS sum[w] = vf_log(sum[w]);
    for (int64_t i = 0; i < count; i++)
        COLUMNS {
            const int64_t at = i * step + w * VF;
            vf second = kind >= SOFTMAX_BACKWARD ? vf_load_run(y + at, left) : vf_set1(0.0f);
            vf first = vf_load_run((kind == SOFTMAX ? out : x) + at, left);
            vf_store_run(out + at, softmax_result(kind, first, second, maximum[w], sum[w]), left);
        }
#undef COLUMNS
}

/* count elements side by side */
static inline __attribute__((always_inline))
void softmax_row(int kind, float *out, const float *x, const float *y, int64_t count) {
    vf maximum = vf_set1(x[0]), lane[16 / VF];
    float spread[16];
    if (kind == SOFTMAX || kind == LOG_SOFTMAX) {
        int64_t i = 0;
        for (; i + VF <= count; i += VF) maximum = vf_select(vf_load(x + i) > maximum, vf_load(x + i), maximum);
        vf_store(spread, maximum);
        for (; i < count; i++) spread[0] = x[i] > spread[0] ? x[i] : spread[0];
        for (int e = 1; e < VF; e++) spread[0] = spread[e] > spread[0] ? spread[e] : spread[0];
        maximum = vf_set1(spread[0]);
    }
    for (int h = 0; h < 16 / VF; h++) lane[h] = vf_set1(0.0f);
    for (int64_t i = 0; i < count; i += VF) {
        vf second = kind == SOFTMAX_BACKWARD ? vf_load_run(y + i, count - i) : vf_set1(0.0f);
        vf term, *sum = &lane[i / VF % (16 / VF)];
        vf more = softmax_term(kind, vf_load_run(x + i, count - i), maximum, second, *sum, &term);
        if (kind == SOFTMAX) vf_store_run(out + i, term, count - i);
        if (count - i < VF) {                                 /* lanes past the row keep their sum */
            vf_store(spread, *sum);
            vf_store_first(spread, more, (int)(count - i));
            more = vf_load(spread);
        }
        *sum = more;
    }
    for (int h = 0; h < 16 / VF; h++) vf_store(spread + h * VF, lane[h]);
    vf total = vf_set1(tree_sum(spread));
    if (kind == SOFTMAX) total = vf_set1(1.0f) / total;
    if (kind == LOG_SOFTMAX) total = vf_log(total);
    for (int64_t i = 0; i < count; i += VF) {
        vf second = kind >= SOFTMAX_BACKWARD ? vf_load_run(y + i, count - i) : vf_set1(0.0f);
        vf first = vf_load_run((kind == SOFTMAX ? out : x) + i, count - i);
        vf_store_run(out + i, softmax_result(kind, first, second, maximum, total), count - i);
    }
}

static inline __attribute__((always_inline))
void softmax_any(int kind, float *out, const float *x, const float *y, int64_t outer, int64_t count, int64_t width,
                 const job *j) {
    const int64_t wide = width >= 4 * VF ? 4 * VF : VF, blocks = (width + wide - 1) / wide;
    slice s = slice_of(j, outer * blocks, 1);
    for (int64_t b = s.begin; b < s.end && count > 0; b++) {
        int64_t at = b / blocks * count * width + b % blocks * wide, left = smaller(wide, width - b % blocks * wide);
        for (int64_t taken; left > 0; left -= taken, at += taken) {
            const float *from = x + at, *second = kind >= SOFTMAX_BACKWARD ? y + at : NULL;
            taken = left >= 4 * VF ? 4 * VF : VF;
            if (width == 1) softmax_row(kind, out + at, from, second, count);
            else if (taken > VF) softmax_columns(kind, out + at, from, second, width, count, VF, 4);
            else if (left >= VF) softmax_columns(kind, out + at, from, second, width, count, VF, 1);
            else softmax_columns(kind, out + at, from, second, width, count, left, 1);
        }
    }
}
static void softmax_run(float *out, const float *x, int64_t outer, int64_t count, int64_t width, const job *j) {
    softmax_any(SOFTMAX, out, x, NULL, outer, count, width, j);
}
static void log_softmax_run(float *out, const float *x, int64_t outer, int64_t count, int64_t width, const job *j) {
    softmax_any(LOG_SOFTMAX, out, x, NULL, outer, count, width, j);
}
static void softmax_backward_run(float *out, const float *dy, const float *y, int64_t outer, int64_t count, int64_t width,
                                 const job *j) {
    softmax_any(SOFTMAX_BACKWARD, out, dy, y, outer, count, width, j);
}
static void log_softmax_backward_run(float *out, const float *dy, const float *y, int64_t outer, int64_t count, int64_t width,
                                     const job *j) {
    softmax_any(LOG_SOFTMAX_BACKWARD, out, dy, y, outer, count, width, j);
}
#endif

static void K(softmax_forward)(const softmax_forward_args *a, const job *j) {
    softmax_run(a->y.p + j->group * a->y.stride, a->x.p + j->group * a->x.stride, a->outer, a->count, a->inner * LANES, j);
}
static void K(softmax_backward)(const softmax_backward_args *a, const job *j) {
    softmax_backward_run(a->dx.p + j->group * a->dx.stride, a->dy.p + j->group * a->dy.stride, a->y.p + j->group * a->y.stride,
                         a->outer, a->count, a->inner * LANES, j);
}
static void K(log_softmax_forward)(const log_softmax_forward_args *a, const job *j) {
    log_softmax_run(a->y.p + j->group * a->y.stride, a->x.p + j->group * a->x.stride, a->outer, a->count, a->inner * LANES, j);
}
static void K(log_softmax_backward)(const log_softmax_backward_args *a, const job *j) {
    log_softmax_backward_run(a->dx.p + j->group * a->dx.stride, a->dy.p + j->group * a->dy.stride,
                             a->y.p + j->group * a->y.stride, a->outer, a->count, a->inner * LANES, j);
}
