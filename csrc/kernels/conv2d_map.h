/* What conv2d_forward and conv2d_backward_input have in common: each pixel of a grid of y is a sum over taps (pixels of x
   at fixed distances) and channels. Forward: one grid, every pixel of y. Backward: y is dx, x is dy, and for stride (s0, s1)
   there are s0 * s1 grids, each with the taps that reach it. Named after the forward. */
#ifndef FASTNN_CONV2D_MAP_H
#define FASTNN_CONV2D_MAP_H
#include "tile.h"

typedef struct {
    int64_t groups, channels, height, width;              /* x: channels of one group of channels */
    int64_t filters, y_height, y_width;                   /* y: likewise */
    int64_t rows, columns;                                /* the grid: pixel (r, q) of it is y's pixel */
    int64_t y_first[2], y_step[2];                        /*     y_first + (r, q) y_step */
    int64_t x_first[2], x_step[2], x_tap[2];              /* whose tap (u, v) is x's x_first + (r, q) x_step + (u, v) x_tap */
    int64_t taps[2];
    int64_t block;                                        /* channels of one chain */
    const float *weight, *packed, *bias, *scale, *shift;
    int64_t w_group, w_filter, w_channel, w_tap[2];       /* steps in weight */
    int64_t first_tap, area;                              /* where the taps begin in a channel's kernel; its size */
    const float *x, *residual, *mask;                     /* of this call's images */
    float *y;
    int relu, pool;                                       /* pool: y is the largest of 2x2 pixels each (of one block) */
} conv2d_map;

static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Rows and columns of the grid that belong together, and half of n of them. */
static inline int64_t conv2d_unit(const conv2d_map *m) { return m->pool ? 2 : 1; }
static inline int64_t conv2d_half(const conv2d_map *m, int64_t n) { return ceil_div(n, 2 * conv2d_unit(m)) * conv2d_unit(m); }

/* Channels in one chain (fastnn.h: order of the sum). */
static inline int64_t conv2d_block(const int64_t *kernel) {
    const int64_t area = kernel[0] * kernel[1];
    return area == 1 ? 256 : area <= 9 ? 32 : area <= 25 ? 16 : 8;
}

/* Pixels of the grid along one axis that have every tap inside x: [first, end). */
static inline slice conv2d_inside(const conv2d_map *m, int axis, int64_t size, int64_t count) {
    const int64_t last = (m->taps[axis] - 1) * m->x_tap[axis], low = m->x_first[axis] + smaller(0, last);
    const int64_t high = m->x_first[axis] + larger(0, last), step = m->x_step[axis];
    const int64_t begin = low < 0 ? ceil_div(-low, step) : 0, end = high < size ? (size - 1 - high) / step + 1 : 0;
    return (slice){begin, smaller(end, count)};
}

/* The taps [first, end) along one axis that lie inside x for one of the pixels [from, to] at least. */
static inline slice conv2d_taps_inside(const conv2d_map *m, int axis, int64_t size, int64_t from, int64_t to) {
    const int64_t tap = m->x_tap[axis], step = m->x_step[axis], first = m->x_first[axis];
    const int64_t low = first + (tap < 0 ? from : to) * step, high = first + (tap < 0 ? to : from) * step;
    slice s = {0, m->taps[axis]};
    while (s.begin < s.end && (tap < 0 ? low + s.begin * tap >= size : low + s.begin * tap < 0)) s.begin++;
    while (s.begin < s.end && (tap < 0 ? high + (s.end - 1) * tap < 0 : high + (s.end - 1) * tap >= size)) s.end--;
    return s;
}

/* A rectangle of units: lines first .. first + count, in each of them cells .. */
typedef struct { int64_t line, lines, cell, cells; } rectangle;

/* Cuts the units [*unit, end), `cells` to a line, into rectangles, at most three; false when none is left. No rectangle
   crosses a multiple of `period` lines. */
static inline int next_rectangle(rectangle *r, int64_t *unit, int64_t end, int64_t cells, int64_t period) {
    if (*unit >= end) return 0;
    r->line = *unit / cells;
    r->cell = *unit % cells;
    if (r->cell || end - *unit < cells) {
        r->lines = 1;
        r->cells = smaller(cells - r->cell, end - *unit);
    } else {
        r->lines = smaller((end - *unit) / cells, period - r->line % period);
        r->cells = cells;
    }
    *unit += r->lines * r->cells;
    return 1;
}

static inline void conv2d_forward_map(conv2d_map *m, const conv2d_forward_args *a) {
    *m = (conv2d_map){
        .groups = a->groups, .channels = a->channels / a->groups, .height = a->height, .width = a->width,
        .filters = a->filters / a->groups, .y_height = a->out_height, .y_width = a->out_width,
        .rows = a->out_height, .columns = a->out_width, .y_step = {1, 1},
        .x_first = {-a->padding[0], -a->padding[2]}, .x_step = {a->stride[0], a->stride[1]},
        .x_tap = {a->dilation[0], a->dilation[1]}, .taps = {a->kernel[0], a->kernel[1]}, .block = conv2d_block(a->kernel),
        .weight = a->weight, .packed = a->packed, .bias = a->bias, .scale = a->scale,
        .shift = a->shift, .relu = (int)a->relu, .pool = (int)a->pool,
        .w_tap = {a->kernel[1], 1}, .w_channel = a->kernel[0] * a->kernel[1], .area = a->kernel[0] * a->kernel[1],
    };
    m->w_filter = m->w_channel * m->channels;
    m->w_group = m->w_filter * m->filters;
    if (!m->pool) return;
    m->y_height /= 2, m->y_width /= 2;
    m->rows = 2 * m->y_height, m->columns = 2 * m->y_width;
}

/* The forward's, for its gradient by the weight. */
static inline void conv2d_weight_map(conv2d_map *m, const conv2d_backward_weight_args *a) {
    const conv2d_forward_args f = {
        .channels = a->channels, .height = a->height, .width = a->width, .filters = a->filters,
        .out_height = a->out_height, .out_width = a->out_width, .kernel = {a->kernel[0], a->kernel[1]},
        .stride = {a->stride[0], a->stride[1]}, .dilation = {a->dilation[0], a->dilation[1]}, .groups = a->groups,
        .padding = {a->padding[0], a->padding[1], a->padding[2], a->padding[3]}};
    conv2d_forward_map(m, &f);
}

/* Along one axis, the grid of pixels y = first mod stride: its taps, and where they lie in dy. */
static inline int64_t conv2d_backward_axis(conv2d_map *m, const conv2d_backward_input_args *a, int axis, int64_t phase) {
    const int64_t stride = a->stride[axis], dilation = a->dilation[axis], before = a->padding[axis ? 2 : 0];
    const int64_t size = axis ? a->width : a->height, kernel = a->kernel[axis];
    const int64_t first = ((phase - before) % stride + stride) % stride;
    int64_t tap = 0, tap_step = 1;
    while (tap < stride && tap * dilation % stride != phase) tap++;
    while (tap_step * dilation % stride) tap_step++;
    m->y_first[axis] = first;
    m->y_step[axis] = stride;
    m->taps[axis] = tap < stride && tap < kernel ? (kernel - 1 - tap) / tap_step + 1 : 0;
    m->x_first[axis] = m->taps[axis] ? (first + before - tap * dilation) / stride : 0;
    m->x_step[axis] = 1;
    m->x_tap[axis] = -(tap_step * dilation / stride);
    m->w_tap[axis] = tap_step * (axis ? 1 : a->kernel[1]);
    m->first_tap += (m->taps[axis] ? tap : 0) * (axis ? 1 : a->kernel[1]);
    return first < size ? (size - 1 - first) / stride + 1 : 0;
}

/* The map of groups [first, end) alone, with all that is theirs; lanes: images that an element holds. */
static inline void conv2d_some_groups(conv2d_map *m, int64_t first, int64_t end, int64_t lanes) {
    const int64_t o = first * m->filters, y = o * m->y_height * m->y_width * lanes;
    m->groups = end - first;
    m->x += first * m->channels * m->height * m->width * lanes;
    m->y += y;
    m->weight += first * m->w_group;
    if (m->packed) m->packed += first * ceil_div(m->filters, 16) * 16 * m->channels * m->area;
    if (m->bias) m->bias += o;
    if (m->scale) m->scale += o, m->shift += o;
    if (m->residual) m->residual += y;
    if (m->mask) m->mask += y;
}

/* Grid (i, j) of stride[0] * stride[1]. */
static inline void conv2d_backward_map(conv2d_map *m, const conv2d_backward_input_args *a, int64_t i, int64_t j) {
    *m = (conv2d_map){
        .groups = a->groups, .channels = a->filters / a->groups, .height = a->out_height, .width = a->out_width,
        .filters = a->channels / a->groups, .y_height = a->height, .y_width = a->width,
        .block = conv2d_block(a->kernel), .packed = a->packed, .w_filter = a->kernel[0] * a->kernel[1],
        .area = a->kernel[0] * a->kernel[1],
        .bias = a->bias, .scale = a->scale, .shift = a->shift, .relu = (int)a->relu,
    };
    m->w_channel = m->w_filter * m->filters;
    m->w_group = m->w_channel * m->channels;
    m->rows = conv2d_backward_axis(m, a, 0, i);
    m->columns = conv2d_backward_axis(m, a, 1, j);
    m->weight = (const float *)a->weight + m->first_tap;
}
#endif
