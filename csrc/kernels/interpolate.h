/* interpolate: where outputs lie between pixels, once a strip of columns; then a copy or a weighted sum of four pixels each. */
#include "slice.h"

#ifndef FASTNN_INTERPOLATE
#define FASTNN_INTERPOLATE
enum { INTERPOLATE_STRIP = 1024 };                            /* columns whose places are kept in scratch */
typedef struct { int64_t first, second; float low, high; } between;   /* two pixels and their shares */

static inline between between_of(int64_t out, double scale, int64_t size, int bilinear, int align_corners) {
    if (!bilinear) {
        int64_t at = smaller((int64_t)((float)out * (float)scale), size - 1);
        return (between){at, at, 1, 0};
    }
    double at = align_corners ? (double)out * scale : ((double)out + 0.5) * scale - 0.5;
    if (at < 0) at = 0;
    int64_t first = smaller((int64_t)at, size - 1), second = smaller(first + 1, size - 1);
    float high = (float)(at - (double)first);
    return (between){first, second, 1.0f - high, high};
}
#endif

static void K(interpolate_forward)(const interpolate_forward_args *a, const job *j) {
    slice s = slice_of(j, a->channels, 1);
    between *columns = (between *)j->scratch;
    for (int64_t first = 0, count; first < a->out_width; first += count) {
        count = smaller(INTERPOLATE_STRIP, a->out_width - first);
        for (int64_t q = 0; q < count; q++)
            columns[q] = between_of(first + q, a->scale[1], a->width, (int)a->bilinear, (int)a->align_corners);
        for (int64_t c = s.begin; c < s.end; c++)
            for (int64_t p = 0; p < a->out_height; p++) {
                between row = between_of(p, a->scale[0], a->height, (int)a->bilinear, (int)a->align_corners);
                const float *x = a->x.p + j->group * a->x.stride + c * a->height * a->width * LANES;
                const float *top = x + row.first * a->width * LANES, *bottom = x + row.second * a->width * LANES;
                float *y = a->y.p + j->group * a->y.stride + ((c * a->out_height + p) * a->out_width + first) * LANES;
                V low = v_set1(row.low), high = v_set1(row.high);
                for (int64_t q = 0; q < count; q++)
                    for (int l = 0; l < LANES; l += VL) {
                        const between *k = &columns[q];
                        V value = v_load(top + k->first * LANES + l);
                        if (a->bilinear) {
                            V left = v_set1(k->low), right = v_set1(k->high), below = v_load(bottom + k->first * LANES + l);
                            value = v_fma(v_load(top + k->second * LANES + l), right, value * left);
                            below = v_fma(v_load(bottom + k->second * LANES + l), right, below * left);
                            value = v_fma(below, high, value * low);
                        }
                        v_store(y + q * LANES + l, value);
                    }
            }
    }
}

static inline void K(interpolate_add)(float *dx, V dy, float share) { v_store(dx, v_fma(dy, v_set1(share), v_load(dx))); }

static void K(interpolate_backward)(const interpolate_backward_args *a, const job *j) {
    slice s = slice_of(j, a->channels, 1);
    between *columns = (between *)j->scratch;
    const int64_t plane = a->height * a->width * LANES;
    float *all = a->dx.p + j->group * a->dx.stride;
    if (s.begin < s.end) __builtin_memset(all + s.begin * plane, 0, 4 * (size_t)((s.end - s.begin) * plane));
    for (int64_t first = 0, count; first < a->out_width; first += count) {
        count = smaller(INTERPOLATE_STRIP, a->out_width - first);
        for (int64_t q = 0; q < count; q++)
            columns[q] = between_of(first + q, a->scale[1], a->width, (int)a->bilinear, (int)a->align_corners);
        for (int64_t c = s.begin; c < s.end; c++)
            for (int64_t p = 0; p < a->out_height; p++) {
                between row = between_of(p, a->scale[0], a->height, (int)a->bilinear, (int)a->align_corners);
                float *top = all + c * plane + row.first * a->width * LANES;
                float *bottom = all + c * plane + row.second * a->width * LANES;
                const float *dy = a->dy.p + j->group * a->dy.stride + ((c * a->out_height + p) * a->out_width + first) * LANES;
                for (int64_t q = 0; q < count; q++)
                    for (int l = 0; l < LANES; l += VL) {
                        const between *k = &columns[q];
                        V gradient = v_load(dy + q * LANES + l);
                        float *to = top + k->first * LANES + l;
                        if (!a->bilinear) {
                            v_store(to, v_load(to) + gradient);
                            continue;
                        }
                        V upper = gradient * v_set1(row.low), lower = gradient * v_set1(row.high);
                        K(interpolate_add)(to, upper, k->low);
                        K(interpolate_add)(top + k->second * LANES + l, upper, k->high);
                        K(interpolate_add)(bottom + k->first * LANES + l, lower, k->low);
                        K(interpolate_add)(bottom + k->second * LANES + l, lower, k->high);
                    }
            }
    }
}
