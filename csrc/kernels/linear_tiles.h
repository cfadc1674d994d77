/* Linear layers as tiles, for 16 images in the lanes (weights are broadcast) and for one image (outputs in the lanes). */
#ifndef FASTNN_LINEAR_TILES_H
#define FASTNN_LINEAR_TILES_H
#include "conv2d_batch.h"

enum { LINEAR_CHAIN = 256, LINEAR_UNIT = 16 };            /* terms of a chain; the unit that parts are cut in */

/* y[t, f] = sum_k a[t, k] b[f, k] by strides (floats); chains of 256 along k. t counts positions, each of a_pieces vectors;
   f counts weights of one k: of each b_pieces vectors, or broadcast ones. add: to what y holds. */
typedef struct {
    const float *a, *b, *bias, *residual, *mask;
    float *y;
    int64_t a_position, a_k, b_f, b_k, y_position, y_f, k;
    int mode, a_pieces, b_pieces, add, relu;
} linear_map;

static void linear_tiles(const linear_map *m, const rectangle *at) {
    static const int64_t tap[1] = {0};
    const int64_t vectors = at->lines * m->a_pieces;
    const tile_shape *shape = tile_choose(m->mode, at->cells, vectors, 1);
    float bias[TILE_F];
    for (int64_t k = 0; k == 0 || k < m->k; k += LINEAR_CHAIN) {
        const int last = k + LINEAR_CHAIN >= m->k;
        tile t = {.a_tap = tap, .b_tap = tap, .taps = 1, .count = smaller(LINEAR_CHAIN, m->k - k), .a_step = m->a_k,
                  .b_step = m->b_k, .add = m->add || k > 0, .y = m->y, .bias = last && m->bias ? bias : NULL,
                  .residual = last ? m->residual : NULL, .relu = last && m->relu, .mask = last ? m->mask : NULL};
        for (int64_t f = 0; f < at->cells; f += shape->f) {
            for (int i = 0; i < shape->f; i++) {
                const int64_t feature = at->cell + smaller(f + i, at->cells - 1);
                const int64_t b_piece = feature % m->b_pieces * VF;
                t.b[i] = m->b + feature / m->b_pieces * m->b_f + k * m->b_k + b_piece;
                t.y_f[i] = feature / m->b_pieces * m->y_f + b_piece;
                if (m->bias) bias[i] = m->bias[feature];
            }
            for (int64_t p = 0; p < vectors; p += shape->p) {
                const tile_shape *s = tile_for(shape, vectors - p);
                for (int i = 0; i < s->p; i++) {
                    const int64_t v = smaller(p + i, vectors - 1), piece = v % m->a_pieces * VF;
                    const int64_t position = at->line + v / m->a_pieces;
                    t.a[i] = m->a + position * m->a_position + k * m->a_k + piece;
                    t.y_p[i] = position * m->y_position + piece;
                }
                s->run[m->mode](&t);
            }
        }
    }
}

/* The map's part: positions x features. */
static void linear_part(const linear_map *m, int64_t positions, int64_t features, const job *j) {
    const int64_t cells = ceil_div(features, LINEAR_UNIT), units = positions * cells;
    int64_t unit = units * j->part / j->parts;
    rectangle r;
    while (next_rectangle(&r, &unit, units * (j->part + 1) / j->parts, cells, positions)) {
        r.cell *= LINEAR_UNIT;
        r.cells = smaller(features - r.cell, r.cells * LINEAR_UNIT);
        linear_tiles(m, &r);
    }
}

/* From one group to the next, floats: of a, y, the residual and the mask. */
typedef struct { int64_t a, y, residual, mask; } linear_strides;

/* The same of j->groups groups. Those with one position each lie like so many positions, and then a part is a run of features: the
   weights are read once, and more sums at once. */
static void linear_groups(const linear_map *m, int64_t positions, int64_t features, linear_strides step, const job *j) {
    linear_map of = *m;
    const int alike = (!m->residual || step.residual == step.y) && (!m->mask || step.mask == step.y);
    if (positions == 1 && alike && j->groups > 1) {
        const slice s = slice_of(j, features, LINEAR_UNIT);
        of.a_position = step.a, of.y_position = step.y;
        if (s.begin < s.end) linear_tiles(&of, &(rectangle){0, j->groups, s.begin, s.end - s.begin});
    } else for (int64_t g = 0; g < j->groups; g++) {
        linear_part(&of, positions, features, j);
        of.a += step.a, of.y += step.y;
        if (m->residual) of.residual += step.residual;
        if (m->mask) of.mask += step.mask;
    }
}
#endif
