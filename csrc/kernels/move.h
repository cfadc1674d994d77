/* gather, export, copy, broadcast, fill. */
#include "slice.h"
#include "walk.h"
#include "convert.h"

#ifndef FASTNN_MOVE_ROWS
#define FASTNN_MOVE_ROWS
enum { MOVE_STRIP = 256 };                                    /* features of 16 images that go through a scratch in L1 */
static inline const char *gathered_row(const gather_args *a, int64_t image) {
    int64_t row = a->index ? ((const int64_t *)a->index)[image] : image;
    return (const char *)a->x + row * a->row_stride;
}

/* elements [f, f + count) of an image's row: where they lie already as float32, else converted to y */
static const char *gathered(const gather_args *a, const walk *w, int64_t image, int64_t f, int64_t count, float *y) {
    const char *row = gathered_row(a, image);
    int64_t offset, unused, run = walk_run(w, f, &offset, &unused);
    int plain = a->scale == 1 && a->offset == 0;
    if (plain && a->dtype == DTYPE_FLOAT32 && run >= count && w->x[0] == 4) return row + offset;
    convert_walk(y, row, w, f, count, a->dtype);
    float scale = (float)a->scale, shift = (float)a->offset;
    if (!plain) for (int64_t i = 0; i < count; i++) y[i] = y[i] * scale + shift;
    return (const char *)y;
}
#endif

static void K(gather)(const gather_args *a, const job *j) {
    walk w = walk_over(a->shape, a->strides, NULL);
    slice s = slice_of(j, w.count, 16);
    float *y = a->y.p + j->group * a->y.stride;
#if LANES == 16
    int64_t images = images_of(j, j->group, LANES);
    for (int64_t f = s.begin, count; f < s.end; f += count) {
        const char *row[16];
        count = smaller(MOVE_STRIP, s.end - f);
        for (int64_t l = 0; l < 16; l++) {
            float *strip = j->scratch + l * MOVE_STRIP;
            if (l < images) row[l] = gathered(a, &w, j->group * LANES + l, f, count, strip);
            else row[l] = __builtin_memset(strip, 0, (size_t)count * 4);
        }
        rows_to_lanes(y + f * LANES, row, count);
    }
#else
    if (s.begin >= s.end) return;
    const char *row = gathered(a, &w, j->group, s.begin, s.end - s.begin, y + s.begin);
    if (row != (const char *)(y + s.begin)) __builtin_memcpy(y + s.begin, row, (size_t)(s.end - s.begin) * 4);
#endif
}

static void K(export)(const export_args *a, const job *j) {
    walk w = walk_over(a->shape, a->strides, NULL);
    slice s = slice_of(j, w.count, 16);
    const float *x = a->x.p + j->group * a->x.stride;
    char *y = (char *)a->y + j->group * LANES * a->row_stride;
#if LANES == 16
    int64_t images = images_of(j, j->group, LANES);
    for (int64_t f = s.begin, count; f < s.end; f += count) {
        char *row[16];
        count = smaller(MOVE_STRIP, s.end - f);
        int64_t offset, unused, run = walk_run(&w, f, &offset, &unused);
        int direct = a->dtype == DTYPE_FLOAT32 && run >= count && w.x[0] == 4;
        for (int64_t l = 0; l < images; l++)
            row[l] = direct ? y + l * a->row_stride + offset : (char *)(j->scratch + l * MOVE_STRIP);
        lanes_to_rows(row, x + f * LANES, images, count);
        for (int64_t l = 0; l < images && !direct; l++)
            store_walk(y + l * a->row_stride, (const float *)row[l], &w, f, count, a->dtype);
    }
#else
    store_walk(y, x + s.begin, &w, s.begin, s.end - s.begin, a->dtype);
#endif
}

static void K(copy)(const copy_args *a, const job *j) {
    walk w = walk_over(a->shape, a->x_strides, a->y_strides);
    slice s = slice_of(j, w.count, 16);
    const float *x = a->x.p + j->group * a->x.stride + a->x_offset * LANES;
    float *y = a->y.p + j->group * a->y.stride + a->y_offset * LANES;
    int64_t from, to;
    for (int64_t f = s.begin, run; f < s.end; f += run) {
        run = smaller(walk_run(&w, f, &from, &to), s.end - f);
        if (w.x[0] == 1 && w.y[0] == 1) {
            __builtin_memcpy(y + to * LANES, x + from * LANES, (size_t)(run * LANES) * 4);
            continue;
        }
        for (int64_t i = 0; i < run; i++)
            for (int l = 0; l < LANES; l += VL)
                v_store(y + (to + i * w.y[0]) * LANES + l, v_load(x + (from + i * w.x[0]) * LANES + l));
    }
}

static void K(broadcast)(const broadcast_args *a, const job *j) {
    walk w = walk_over(a->shape, a->x_strides, NULL);
    slice s = slice_of(j, w.count, 16);
    const float *x = a->x;
    float *y = a->y.p + j->group * a->y.stride;
    int64_t from, unused;
    for (int64_t f = s.begin, run; f < s.end; f += run) {
        run = smaller(walk_run(&w, f, &from, &unused), s.end - f);
        for (int64_t i = 0; i < run; i++)
            for (int l = 0; l < LANES; l += VL) v_store(y + (f + i) * LANES + l, v_set1(x[from + i * w.x[0]]));
    }
}

static void K(fill)(const fill_args *a, const job *j) {
    slice s = slice_of(j, a->count * LANES, 16);
    float *y = a->y.p + j->group * a->y.stride, value = (float)a->value;
    for (int64_t i = s.begin; i < s.end; i++) y[i] = value;
}
