/* A walk over an array of 6 dimensions in C order, with strides in up to two places (x and y). */
#ifndef FASTNN_WALK
#define FASTNN_WALK
typedef struct { int dims; int64_t count, shape[6], x[6], y[6]; } walk;

/* Dimensions of one element are dropped and neighbours that one stride covers are merged. y_strides NULL: C order. */
static walk walk_over(const int64_t *shape, const int64_t *x_strides, const int64_t *y_strides) {
    walk w = {.dims = 0, .count = 1};
    for (int d = 5; d >= 0; d--) {                            /* kept innermost first */
        int64_t size = shape[d], x = x_strides[d], y = y_strides ? y_strides[d] : w.count;
        w.count *= size;
        if (size == 1) continue;
        int e = w.dims - 1;
        if (e >= 0 && x == w.x[e] * w.shape[e] && y == w.y[e] * w.shape[e]) {
            w.shape[e] *= size;
            continue;
        }
        w.shape[w.dims] = size, w.x[w.dims] = x, w.y[w.dims] = y, w.dims++;
    }
    if (w.dims == 0) w.shape[0] = w.count, w.x[0] = w.y[0] = 0, w.dims = 1;
    return w;
}

/* Where element i lies; returns how many, from i on, follow at strides w->x[0] and w->y[0]. */
static inline int64_t walk_run(const walk *w, int64_t i, int64_t *x, int64_t *y) {
    int64_t first = i % w->shape[0], sx = first * w->x[0], sy = first * w->y[0];
    i /= w->shape[0];
    for (int d = 1; d < w->dims; d++) {
        sx += i % w->shape[d] * w->x[d], sy += i % w->shape[d] * w->y[d];
        i /= w->shape[d];
    }
    *x = sx, *y = sy;
    return w->shape[0] - first;
}
#endif
