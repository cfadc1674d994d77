/* avg_pool2d: the window's sum from +0 in row-major order, divided. */
#include "slice.h"
#include "pool.h"

#ifndef FASTNN_AVG_POOL2D
#define FASTNN_AVG_POOL2D
/* one axis of a window: its real pixels, and what it counts for in the divisor */
typedef struct { int64_t begin, end, counts; } extent;
static inline extent extent_of(int64_t p, int64_t kernel, int64_t stride, int64_t padding, int64_t size,
                               int64_t count_include_pad) {
    int64_t begin = p * stride - padding, end = smaller(begin + kernel, size + padding), counts = end - begin;
    begin = smaller(larger(begin, 0), size), end = larger(smaller(end, size), begin);
    return (extent){begin, end, count_include_pad ? counts : end - begin};
}
#endif

static inline V K(window_sum)(const float *x, int64_t width, extent h, extent w) {
    V sum = v_set1(0.0f);
    for (int64_t u = h.begin; u < h.end; u++)
        for (int64_t v = w.begin; v < w.end; v++) sum += v_load(x + (u * width + v) * LANES);
    return sum;
}
static inline void K(window_spread)(float *dx, V dy, int64_t width, extent h, extent w) {
    for (int64_t u = h.begin; u < h.end; u++)
        for (int64_t v = w.begin; v < w.end; v++) {
            float *to = dx + (u * width + v) * LANES;
            v_store(to, v_load(to) + dy);
        }
}

/* a row of `count` windows of the same size, step apart */
static inline __attribute__((always_inline))
void K(avg_row)(float *restrict y, const float *restrict x, int64_t count, float divisor, int64_t width, int64_t step,
                int64_t rows, int64_t columns, int64_t column) {
    int64_t q = 0;
    for (; LANES == 1 && rows == 2 && columns == 2 && step == 2 && q + 4 <= count; q += 4) {
        quad tap[4];
        quad_taps(tap, x + 2 * q, width);
        *(quad *)(y + q) = (((tap[0] + 0.0f) + tap[1]) + tap[2] + tap[3]) / divisor;
    }
    for (; q < count; q++)
        for (int l = 0; l < LANES; l += VL) {
            V sum = v_set1(0.0f);
            for (int64_t u = 0; u < rows; u++)
                for (int64_t v = 0; v < columns; v++) sum += v_load(x + q * step * LANES + u * width * LANES + v * column + l);
            v_store(y + q * LANES + l, sum / v_set1(divisor));
        }
}

static void K(avg_pool2d_forward)(const avg_pool2d_forward_args *a, const job *j) {
    slice s = slice_of(j, a->channels, 1);
    int64_t step = a->stride[1], columns = a->kernel[1];
    taps whole = whole_windows(a->out_width, step, a->padding[1], columns, a->width);
    taps clipped[2] = {{0, whole.begin}, {whole.end, a->out_width}};
    for (int64_t c = s.begin; c < s.end; c++)
        for (int64_t p = 0; p < a->out_height; p++) {
            extent h = extent_of(p, a->kernel[0], a->stride[0], a->padding[0], a->height, a->count_include_pad);
            const float *x = a->x.p + j->group * a->x.stride + (c * a->height + h.begin) * a->width * LANES;
            float *y = a->y.p + j->group * a->y.stride + (c * a->out_height + p) * a->out_width * LANES;
            int64_t rows = h.end - h.begin, count = whole.end - whole.begin;
            for (int e = 0; e < 2; e++)
                for (int64_t q = clipped[e].begin; q < clipped[e].end; q++) {
                    extent w = extent_of(q, columns, step, a->padding[1], a->width, a->count_include_pad);
                    K(avg_row)(y + q * LANES, x + w.begin * LANES, 1, (float)(h.counts * w.counts), a->width, 1, rows,
                               w.end - w.begin, LANES);
                }
            x += (whole.begin * step - a->padding[1]) * LANES;
            float divisor = (float)(h.counts * columns);
            POOL_ROW(K(avg_row), step, rows, columns, (int64_t)LANES, y + whole.begin * LANES, x, count, divisor, a->width);
        }
}

static void K(avg_pool2d_backward)(const avg_pool2d_backward_args *a, const job *j) {
    slice s = slice_of(j, a->channels, 1);
    int64_t plane = a->height * a->width * LANES;
    for (int64_t c = s.begin; c < s.end; c++) {
        const float *dy = a->dy.p + j->group * a->dy.stride + c * a->out_height * a->out_width * LANES;
        float *dx = a->dx.p + j->group * a->dx.stride + c * plane;
        __builtin_memset(dx, 0, (size_t)plane * 4);
        for (int64_t p = 0; p < a->out_height; p++) {
            extent h = extent_of(p, a->kernel[0], a->stride[0], a->padding[0], a->height, a->count_include_pad);
            for (int64_t q = 0; q < a->out_width; q++, dy += LANES) {
                extent w = extent_of(q, a->kernel[1], a->stride[1], a->padding[1], a->width, a->count_include_pad);
                V divisor = v_set1((float)(h.counts * w.counts));
                for (int l = 0; l < LANES; l += VL) K(window_spread)(dx + l, v_load(dy + l) / divisor, a->width, h, w);
            }
        }
    }
}
