/* max_pool2d: c replaces m where c > m or c is NaN, so that the first of ties wins. */
#include "slice.h"
#include "pool.h"

/* the largest of a window's taps, and which tap it was (u * columns + v) */
static inline __attribute__((always_inline))
V K(window_max)(const float *x, int64_t row, int64_t column, int64_t rows, int64_t columns, V *winner) {
    V best = v_load(x), at = v_set1(0.0f);
    for (int64_t u = 0; u < rows; u++)
        for (int64_t v = 0; v < columns; v++) {
            if (u + v == 0) continue;
            V c = v_load(x + u * row + v * column);
            VI better = (VI)(c > best) | (VI)(c != c);
            best = v_select(better, c, best);
            at = v_select(better, v_set1((float)(u * columns + v)), at);
        }
    *winner = at;
    return best;
}

/* a row of `count` windows of the same size, step apart */
static inline __attribute__((always_inline))
void K(max_row)(float *restrict y, const float *restrict x, int64_t count, int64_t row, int64_t step, int64_t rows,
                int64_t columns, int64_t column) {
    V unused;
    int64_t q = 0;
    for (; LANES == 1 && rows == 2 && columns == 2 && step == 2 && column == 1 && q + 4 <= count; q += 4) {
        quad tap[4];
        quad_taps(tap, x + 2 * q, row);
        for (int t = 1; t < 4; t++) {
            quad_mask better = (quad_mask)(tap[t] > tap[0]) | (quad_mask)(tap[t] != tap[t]);
            tap[0] = (quad)(((quad_mask)tap[t] & better) | ((quad_mask)tap[0] & ~better));
        }
        *(quad *)(y + q) = tap[0];
    }
    for (; q < count; q++)
        for (int l = 0; l < LANES; l += VL)
            v_store(y + q * LANES + l, K(window_max)(x + q * step * LANES + l, row, column, rows, columns, &unused));
}

static void K(max_pool2d_forward)(const max_pool2d_forward_args *a, const job *j) {
    slice s = slice_of(j, a->channels, 1);
    int64_t row = a->dilation[0] * a->width * LANES, column = a->dilation[1] * LANES, step = a->stride[1];
    taps whole = whole_windows(a->out_width, step, a->padding[1], (a->kernel[1] - 1) * a->dilation[1] + 1, a->width);
    taps clipped[2] = {{0, whole.begin}, {whole.end, a->out_width}};
    for (int64_t c = s.begin; c < s.end; c++)
        for (int64_t p = 0; p < a->out_height; p++) {
            int64_t top = p * a->stride[0] - a->padding[0];
            taps u = taps_inside(top, a->kernel[0], a->dilation[0], a->height);
            int64_t rows = u.end - u.begin, columns = a->kernel[1];
            const float *x = a->x.p + j->group * a->x.stride + (c * a->height + top) * a->width * LANES + u.begin * row;
            float *y = a->y.p + j->group * a->y.stride + (c * a->out_height + p) * a->out_width * LANES;
            if (rows <= 0) {                                  /* padding alone */
                for (int64_t i = 0; i < a->out_width * LANES; i++) y[i] = -__builtin_inff();
                continue;
            }
            for (int e = 0; e < 2; e++)
                for (int64_t q = clipped[e].begin; q < clipped[e].end; q++) {
                    int64_t left = q * step - a->padding[1];
                    taps v = taps_inside(left, columns, a->dilation[1], a->width);
                    const float *from = x + left * LANES + v.begin * column;
                    if (v.begin < v.end) K(max_row)(y + q * LANES, from, 1, row, 1, rows, v.end - v.begin, column);
                    else for (int l = 0; l < LANES; l++) y[q * LANES + l] = -__builtin_inff();
                }
            x += (whole.begin * step - a->padding[1]) * LANES;
            int64_t count = whole.end - whole.begin;
            POOL_ROW(K(max_row), step, rows, columns, column, y + whole.begin * LANES, x, count, row);
        }
}

/* adds dy to the winner, 0 to the others: dx starts at +0, so that this changes no bit; apart: no window overlaps this one.
   mask (NULL: none): then 0 where it is <= 0. It may come with each of overlapping windows: what it lets through stays. */
static inline __attribute__((always_inline))
void K(window_scatter)(float *dx, const float *x, V dy, int64_t row, int64_t column, int64_t rows, int64_t columns,
                       const int apart, const float *mask) {
    V winner, best = K(window_max)(x, row, column, rows, columns, &winner);
    if (mask == x) dy = v_select(best <= v_set1(0.0f), v_set1(0.0f), dy), mask = NULL;      /* a ReLU before: asks the winner */
    for (int64_t u = 0; u < rows; u++)
        for (int64_t v = 0; v < columns; v++) {
            float *to = dx + u * row + v * column;
            V value = (apart ? v_set1(0.0f) : v_load(to)) + v_select(winner == (float)(u * columns + v), dy, v_set1(0.0f));
            if (mask) value = v_select(v_load(mask + u * row + v * column) <= v_set1(0.0f), v_set1(0.0f), value);
            v_store(to, value);
        }
}

/* a row of `count` windows of the same size, step apart: dx, x and mask at the first one */
typedef struct { float *dx; const float *x, *dy, *mask; } K(scatter);
static inline __attribute__((always_inline))
void K(scatter_row)(const K(scatter) *at, int64_t count, const int apart, int64_t row, int64_t step, int64_t rows,
                    int64_t columns, int64_t column) {
    const K(scatter) a = *at;
    for (int64_t q = 0; q < count; q++)
        for (int l = 0; l < LANES; l += VL) {
            const int64_t i = q * step * LANES + l;
            K(window_scatter)(a.dx + i, a.x + i, v_load(a.dy + q * LANES + l), row, column, rows, columns, apart,
                              a.mask ? a.mask + i : NULL);
        }
}

static inline K(scatter) K(scatter_at)(const max_pool2d_backward_args *a, const job *j, int64_t channel, int64_t pixel,
                                       const float *dy) {
    const int64_t i = channel * a->height * a->width * LANES + pixel;
    return (K(scatter)){a->dx.p + j->group * a->dx.stride + i, a->x.p + j->group * a->x.stride + i, dy,
                        a->mask.p ? a->mask.p + j->group * a->mask.stride + i : NULL};
}

static void K(max_pool2d_backward)(const max_pool2d_backward_args *a, const job *j) {
    slice s = slice_of(j, a->channels, 1);
    int64_t row = a->dilation[0] * a->width * LANES, column = a->dilation[1] * LANES, plane = a->height * a->width * LANES;
    int64_t step = a->stride[1], columns = a->kernel[1];
    int apart = a->stride[0] > (a->kernel[0] - 1) * a->dilation[0] && step > (columns - 1) * a->dilation[1];
    int64_t covered = a->kernel[0] * a->out_height == a->height && columns * a->out_width == a->width;
    int complete = apart && covered && a->padding[0] + a->padding[1] == 0 && a->kernel[0] == a->stride[0]
                   && columns == step && a->dilation[0] * a->dilation[1] == 1;
    taps whole = whole_windows(a->out_width, step, a->padding[1], (columns - 1) * a->dilation[1] + 1, a->width);
    taps clipped[2] = {{0, whole.begin}, {whole.end, a->out_width}};
    for (int64_t c = s.begin; c < s.end; c++) {
        float *dx = a->dx.p + j->group * a->dx.stride + c * plane;
        if (!complete) __builtin_memset(dx, 0, (size_t)plane * 4);        /* else every pixel is in one window */
        for (int64_t p = 0; p < a->out_height; p++) {
            int64_t top = p * a->stride[0] - a->padding[0];
            taps u = taps_inside(top, a->kernel[0], a->dilation[0], a->height);
            int64_t rows = u.end - u.begin, count = whole.end - whole.begin;
            const float *dy = a->dy.p + j->group * a->dy.stride + (c * a->out_height + p) * a->out_width * LANES;
            if (rows <= 0) continue;
            for (int e = 0; e < 2; e++)
                for (int64_t q = clipped[e].begin; q < clipped[e].end; q++) {
                    int64_t left = q * step - a->padding[1];
                    taps v = taps_inside(left, columns, a->dilation[1], a->width);
                    if (v.begin >= v.end) continue;
                    const int64_t pixel = (top * a->width + left) * LANES + u.begin * row + v.begin * column;
                    const K(scatter) at = K(scatter_at)(a, j, c, pixel, dy + q * LANES);
                    K(scatter_row)(&at, 1, 0, row, 1, rows, v.end - v.begin, column);
                }
            const K(scatter) at = K(scatter_at)(a, j, c, (top * a->width + whole.begin * step - a->padding[1]) * LANES
                                                + u.begin * row, dy + whole.begin * LANES);
            if (apart) POOL_ROW(K(scatter_row), step, rows, columns, column, &at, count, 1, row);
            else POOL_ROW(K(scatter_row), step, rows, columns, column, &at, count, 0, row);
        }
    }
}
