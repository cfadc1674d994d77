/* adaptive_avg_pool2d: avg_pool2d's sums over windows that follow from the output's size. */
#include "slice.h"
#include "pool.h"

#ifndef FASTNN_ADAPTIVE_AVG_POOL2D
#define FASTNN_ADAPTIVE_AVG_POOL2D
static inline extent adaptive_extent(int64_t p, int64_t out_size, int64_t size) {
    int64_t begin = p * size / out_size, end = ((p + 1) * size + out_size - 1) / out_size;
    return (extent){begin, end, end - begin};
}
#endif

static void K(adaptive_avg_pool2d_forward)(const adaptive_avg_pool2d_forward_args *a, const job *j) {
    slice s = slice_of(j, a->channels, 1);
#if LANES == 1
    if (a->out_height * a->out_width == 1) {                  /* sums of planes, eight side by side */
        int64_t pixels = a->height * a->width;
        float *y = a->y.p + j->group * a->y.stride;
        for (int64_t c = s.begin, so_many; c < s.end; c += so_many) {
            so_many = s.end - c >= 8 ? 8 : 1;
            chains(y + c, a->x.p + j->group * a->x.stride + c * pixels, pixels, pixels, so_many);
        }
        for (int64_t c = s.begin; c < s.end; c++) y[c] = y[c] / (float)pixels;
        return;
    }
#endif
    for (int64_t c = s.begin; c < s.end; c++) {
        const float *x = a->x.p + j->group * a->x.stride + c * a->height * a->width * LANES;
        float *y = a->y.p + j->group * a->y.stride + c * a->out_height * a->out_width * LANES;
        for (int64_t p = 0; p < a->out_height; p++) {
            extent h = adaptive_extent(p, a->out_height, a->height);
            for (int64_t q = 0; q < a->out_width; q++, y += LANES) {
                extent w = adaptive_extent(q, a->out_width, a->width);
                V divisor = v_set1((float)(h.counts * w.counts));
                for (int l = 0; l < LANES; l += VL) v_store(y + l, K(window_sum)(x + l, a->width, h, w) / divisor);
            }
        }
    }
}

static void K(adaptive_avg_pool2d_backward)(const adaptive_avg_pool2d_backward_args *a, const job *j) {
    slice s = slice_of(j, a->channels, 1);
    int64_t plane = a->height * a->width * LANES;
    for (int64_t c = s.begin; c < s.end; c++) {
        const float *dy = a->dy.p + j->group * a->dy.stride + c * a->out_height * a->out_width * LANES;
        float *dx = a->dx.p + j->group * a->dx.stride + c * plane;
        __builtin_memset(dx, 0, (size_t)plane * 4);
        for (int64_t p = 0; p < a->out_height; p++) {
            extent h = adaptive_extent(p, a->out_height, a->height);
            for (int64_t q = 0; q < a->out_width; q++, dy += LANES) {
                extent w = adaptive_extent(q, a->out_width, a->width);
                V divisor = v_set1((float)(h.counts * w.counts));
                for (int l = 0; l < LANES; l += VL) K(window_spread)(dx + l, v_load(dy + l) / divisor, a->width, h, w);
            }
        }
    }
}
