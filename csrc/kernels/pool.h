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
#endif
