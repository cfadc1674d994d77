/* embedding_forward: rows of a table, strip by strip, turned into lanes on the way. */
#include "slice.h"
#include "convert.h"

#ifndef FASTNN_EMBEDDING
#define FASTNN_EMBEDDING
enum { EMBEDDING_STRIP = 256 };

/* the table's row that an index names; -1: none (lanes without an image may hold anything) */
static inline int64_t embedding_row(float index, int64_t rows) {
    return index >= 0 && index < (float)rows ? (int64_t)index : -1;
}
#endif

/* The first wrong index of the batch, whichever group is first. */
static void K(embedding_check)(const embedding_forward_args *a, const job *j, const float *x) {
    for (int64_t l = 0; l < images_of(j, j->group, LANES); l++)
        for (int64_t t = 0; t < a->positions; t++) {
            float index = x[t * LANES + l];
            int64_t row = embedding_row(index, a->embeddings);
            if (row >= 0 && (float)row == index) continue;
            report(j, (j->group * LANES + l) * a->positions + t);
            return;
        }
}

static void K(embedding_forward)(const embedding_forward_args *a, const job *j) {
    slice s = slice_of(j, a->positions, 1);
    const float *x = a->x.p + j->group * a->x.stride, *weight = a->weight;
    float *y = a->y.p + j->group * a->y.stride, *zeros = j->scratch;
    if (j->part == 0) K(embedding_check)(a, j, x);
    __builtin_memset(zeros, 0, 4 * EMBEDDING_STRIP);
    for (int64_t t = s.begin; t < s.end; t++)
        for (int64_t d = 0, count; d < a->dim; d += count) {
            const char *row[LANES];
            count = smaller(EMBEDDING_STRIP, a->dim - d);
            for (int l = 0; l < LANES; l++) {
                int64_t r = embedding_row(x[t * LANES + l], a->embeddings);
                row[l] = (const char *)(r < 0 ? zeros : weight + r * a->dim + d);
            }
            float *to = y + (t * a->dim + d) * LANES;
#if LANES == 16
            rows_to_lanes(to, row, count);
#else
            __builtin_memcpy(to, row[0], 4 * (size_t)count);
#endif
        }
}
