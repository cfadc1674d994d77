/* Runs of any dtype, any stride in bytes and any alignment, to and from float32; and rows to lanes. */
#ifndef FASTNN_CONVERT
#define FASTNN_CONVERT
#define DTYPE_CASES \
    CASE(FLOAT32, float, v) CASE(FLOAT64, double, v) CASE(UINT8, uint8_t, v) CASE(INT8, int8_t, v) CASE(INT16, int16_t, v) \
    CASE(UINT16, uint16_t, v) CASE(INT32, int32_t, v) CASE(UINT32, uint32_t, v) CASE(INT64, int64_t, v) \
    CASE(UINT64, uint64_t, v) CASE(BOOL, uint8_t, v != 0)

static void convert_run(float *y, const char *x, int64_t stride, int64_t count, int64_t dtype) {
#define LOOP(type, value, step) \
    for (int64_t i = 0; i < count; i++) { \
        type v; \
        __builtin_memcpy(&v, x + i * (step), sizeof v); \
        y[i] = (float)(value); \
    }
#define CASE(name, type, value) case DTYPE_##name: LOOP(type, value, stride) break;
    if (dtype == DTYPE_FLOAT32 && stride == 4) __builtin_memcpy(y, x, (size_t)count * 4);
    else if (dtype == DTYPE_FLOAT64 && stride == 8) LOOP(double, v, 8)        /* common ones: the compiler vectorises */
    else if (dtype == DTYPE_UINT8 && stride == 1) LOOP(uint8_t, v, 1)
    else switch (dtype) { DTYPE_CASES }
#undef CASE
#undef LOOP
}

/* elements [begin, begin + count) of a walk whose x strides are bytes */
static void convert_walk(float *y, const char *x, const walk *w, int64_t begin, int64_t count, int64_t dtype) {
    int64_t offset, unused;
    for (int64_t done = 0, run; done < count; done += run) {
        run = smaller(walk_run(w, begin + done, &offset, &unused), count - done);
        convert_run(y + done, x + offset, w->x[0], run, dtype);
    }
}

static void store_run(char *y, const float *x, int64_t stride, int64_t count, int64_t dtype) {
#define LOOP(type, value) \
    for (int64_t i = 0; i < count; i++) { type v = (type)(value); __builtin_memcpy(y + i * stride, &v, sizeof v); }
    if (dtype == DTYPE_FLOAT32 && stride == 4) __builtin_memcpy(y, x, (size_t)count * 4);
    else if (dtype == DTYPE_FLOAT32) LOOP(float, x[i])
    else if (dtype == DTYPE_FLOAT64) LOOP(double, x[i])
    else if (dtype == DTYPE_INT64) LOOP(int64_t, x[i])
    else if (dtype == DTYPE_BOOL) LOOP(uint8_t, x[i] != 0)
#undef LOOP
}

static void store_walk(char *y, const float *x, const walk *w, int64_t begin, int64_t count, int64_t dtype) {
    int64_t offset, unused;
    for (int64_t done = 0, run; done < count; done += run) {
        run = smaller(walk_run(w, begin + done, &offset, &unused), count - done);
        store_run(y + offset, x + done, w->x[0], run, dtype);
    }
}

typedef float quad_anywhere __attribute__((vector_size(16), aligned(1), may_alias));
static inline void quad_transpose(quad_anywhere q[4]) {
    quad_anywhere a = __builtin_shufflevector(q[0], q[1], 0, 4, 1, 5), b = __builtin_shufflevector(q[0], q[1], 2, 6, 3, 7);
    quad_anywhere c = __builtin_shufflevector(q[2], q[3], 0, 4, 1, 5), d = __builtin_shufflevector(q[2], q[3], 2, 6, 3, 7);
    q[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5), q[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
    q[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5), q[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}

/* y[f][l] = row l's float f, rows of any alignment. 16 features of 4 rows at a time: whole cache lines, few of them, since rows
   of a large power of two of bytes compete for the same places in the cache. */
static void rows_to_lanes(float *y, const char *const *row, int64_t count) {
    for (int64_t f = 0; f < count; f += 16)
        for (int l = 0; l < 16; l += 4) {
            int64_t end = smaller(f + 16, count), at = f;
            for (; at + 4 <= end; at += 4) {
                quad_anywhere q[4];
                for (int i = 0; i < 4; i++) q[i] = *(const quad_anywhere *)(row[l + i] + 4 * at);
                quad_transpose(q);
                for (int i = 0; i < 4; i++) *(quad_anywhere *)(y + (at + i) * 16 + l) = q[i];
            }
            for (; at < end; at++)
                for (int i = 0; i < 4; i++) __builtin_memcpy(y + at * 16 + l + i, row[l + i] + 4 * at, 4);
        }
}

/* the opposite, of so many rows */
static void lanes_to_rows(char *const *row, const float *x, int64_t images, int64_t count) {
    for (int64_t f = 0; f < count; f += 16)
        for (int64_t l = 0; l < images; l += 4) {
            int64_t end = smaller(f + 16, count), at = f, rows = smaller(4, images - l);
            for (; at + 4 <= end; at += 4) {
                quad_anywhere q[4];
                for (int i = 0; i < 4; i++) q[i] = *(const quad_anywhere *)(x + (at + i) * 16 + l);
                quad_transpose(q);
                for (int i = 0; i < 4; i++) if (i < rows) *(quad_anywhere *)(row[l + i] + 4 * at) = q[i];
            }
            for (; at < end; at++)
                for (int64_t i = 0; i < rows; i++) __builtin_memcpy(row[l + i] + 4 * at, x + at * 16 + l + i, 4);
        }
}
#endif
