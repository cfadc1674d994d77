/* Windows of the pooling kernels. */
#ifndef FASTNN_POOL
#define FASTNN_POOL
/* Taps [begin, end) of a window lie inside [0, size): tap u at start + u * dilation */
typedef struct { int64_t begin, end; } taps;
static inline taps taps_inside(int64_t start, int64_t kernel, int64_t dilation, int64_t size) {
    taps t = {0, kernel};
    if (start < 0) t.begin = smaller((-start + dilation - 1) / dilation, kernel);
    if (start + (kernel - 1) * dilation >= size) t.end = size > start ? (size - start + dilation - 1) / dilation : 0;
    return t;
}

/* the outputs [begin, end) of a row, of so many, whose windows need no clipping */
static inline taps whole_windows(int64_t outputs, int64_t stride, int64_t padding, int64_t extent, int64_t size) {
    int64_t begin = smaller((padding + stride - 1) / stride, outputs), room = size + padding - extent;
    return (taps){begin, room < 0 ? begin : larger(begin, smaller(room / stride + 1, outputs))};
}

/* four windows of 2 x 2 side by side: their taps in row-major order (rows `row` floats apart, LANES 1) */
typedef int32_t quad_mask __attribute__((vector_size(16)));
static inline void quad_taps(quad *tap, const float *x, int64_t row) {
    for (int u = 0; u < 2; u++, x += row) {
        quad a = *(const quad *)x, b = *(const quad *)(x + 4);
        tap[2 * u] = __builtin_shufflevector(a, b, 0, 2, 4, 6);
        tap[2 * u + 1] = __builtin_shufflevector(a, b, 1, 3, 5, 7);
    }
}

/* A row of windows with the sizes that are common known to the compiler, so that it unrolls them, and vectorises LANES 1:
   POOL_ROW(function, arguments before, step, rows, columns, column) */
#define POOL_ROW(f, step, rows, columns, column, ...) \
    if (column != LANES) f(__VA_ARGS__, step, rows, columns, column); \
    else if (rows == 2 && columns == 2 && step == 2) f(__VA_ARGS__, 2, 2, 2, LANES); \
    else if (rows == 3 && columns == 3 && step == 2) f(__VA_ARGS__, 2, 3, 3, LANES); \
    else if (rows == 3 && columns == 3 && step == 1) f(__VA_ARGS__, 1, 3, 3, LANES); \
    else f(__VA_ARGS__, step, rows, columns, LANES)
#endif
