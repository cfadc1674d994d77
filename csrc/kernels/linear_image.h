/* Linear layers for one image at a time: outputs in the lanes. */
#ifndef FASTNN_LINEAR_IMAGE_H
#define FASTNN_LINEAR_IMAGE_H
#include "linear_tiles.h"

/* Weights w[o, k] of 16 outputs as linear_pack leaves them: [k][16], zeros past the last output. */
static void linear_pack_block(float *packed, const float *w, int64_t w_step, int64_t outputs, int64_t k) {
    for (int64_t i = 0; i < k; i += 16)
        transpose_block(packed + i * 16, 16, w + i, w_step, smaller(16, outputs), smaller(16, k - i));
}

/* The sums of `blocks` blocks of 16 outputs from `first` on, for the positions of m, to m->y. */
static void linear_image_sums(linear_map m, const float *weight, const float *packed, int64_t first, int64_t blocks,
                              int64_t positions, int64_t features, float *unpacked) {
    const rectangle at = {0, positions, 0, blocks * PIECES};
    const float *a = m.a;
    const int64_t inputs = m.k;
    m.b = packed + first * inputs * 16;
    m.b_f = inputs * 16;
    if (packed) {
        linear_tiles(&m, &at);
        return;
    }
    for (int64_t k = 0; k < inputs; k += m.k) {           /* one block, packed a chain at a time */
        m.k = smaller(LINEAR_CHAIN, inputs - k);
        linear_pack_block(unpacked, weight + first * 16 * inputs + k, inputs, features - first * 16, m.k);
        m.a = a + k, m.b = unpacked, m.add = k > 0;
        linear_tiles(&m, &at);
    }
}

static void linear_image(const linear_forward_args *a, const float *x, float *y, const float *residual, const job *j) {
    enum { SOME = 16, FEATURES = 2048 };                  /* positions and outputs at once */
    const int64_t k = a->in_features, features = a->out_features, step = a->packed ? FEATURES : LINEAR_UNIT;
    const slice s = slice_of(j, features, LINEAR_UNIT);
    for (int64_t first = s.begin; first < s.end; first += step)
        for (int64_t t = 0; t < a->positions; t += SOME) {
            const int64_t count = smaller(step, s.end - first), blocks = ceil_div(count, 16);
            const int64_t positions = smaller(SOME, a->positions - t);
            const linear_map m = {.a = x + t * k, .y = j->scratch, .a_position = k, .a_k = 1, .b_k = 16,
                                  .y_position = blocks * 16, .y_f = 16, .k = k, .mode = TILE_SV, .a_pieces = 1,
                                  .b_pieces = PIECES};
            linear_image_sums(m, a->weight, a->packed, first / 16, blocks, positions, features, j->scratch + SOME * FEATURES);
            const int64_t to = t * features + first;
            tile_finish(&(tile_rest){.sums = j->scratch, .bias = a->bias ? (const float *)a->bias + first : NULL, .y = y + to,
                                     .residual = residual ? residual + to : NULL, .rows = positions, .count = count,
                                     .sums_step = blocks * 16, .y_step = features, .bias_step = 1, .relu = (int)a->relu});
        }
}

/* m as for 16 images in the lanes, with the weights' rows for vectors. */
static void linear_image_backward(const linear_map *backward, int64_t positions, int64_t features, const job *j) {
    const slice s = slice_of(j, features, LINEAR_UNIT);
    const rectangle at = {0, positions, s.begin / VF, (s.end - s.begin) / VF};
    linear_map m = *backward;
    m.mode = TILE_SV, m.a_pieces = 1, m.b_f = VF, m.y_f = VF;
    if (at.cells > 0) linear_tiles(&m, &at);
    for (int64_t t = 0; t < positions && s.begin < s.end; t++)        /* less than a vector is left */
        for (int64_t i = s.end / VF * VF; i < s.end; i++) {
            float total = 0;
            for (int64_t k = 0; k < m.k; k += LINEAR_CHAIN) {
                float sum = 0;
                for (int64_t o = k; o < smaller(m.k, k + LINEAR_CHAIN); o++)
                    sum = sf_fma(m.a[t * m.a_position + o], m.b[o * m.b_k + i], sum);
                total = k ? total + sum : sum;
            }
            m.y[t * features + i] = total;
        }
    for (int64_t t = 0; t < positions && (m.residual || m.mask); t++)
        for (int64_t i = s.begin; i < s.end; i += VF) {
            const int64_t at = t * features + i, left = s.end - i;
            vf value = vf_load_run(m.y + at, left);
            if (m.residual) value = value + vf_load_run(m.residual + at, left);
            if (m.mask) value = vf_masked(value, vf_load_run(m.mask + at, left));
            vf_store_run(m.y + at, value, left);
        }
}
#endif
