/* linear_backward_weight: lanes are inputs k, of which scratch holds a row for each term of the sum (an image at a position),
   and dy is broadcast. */
#ifndef FASTNN_LINEAR_WEIGHT_H
#define FASTNN_LINEAR_WEIGHT_H
#include "linear_tiles.h"
#include "sgd_run.h"

enum { CHAIN_TERMS = 256, WEIGHT_K = 128, WEIGHT_PITCH = WEIGHT_K + 16, WEIGHT_O = 256 };

/* Terms come in units: a group of `lanes` images at one position. These are `count` units from the unit-th on. */
typedef struct { int64_t lanes, unit, count; } weight_units;

static const float *linear_weight_unit(const rows *v, const int64_t *steps, int64_t positions, int64_t lanes, int64_t unit) {
    return v->p + unit / positions * v->stride + unit % positions * steps[0] * lanes;
}

/* The features [first, first + count) of the units from `unit` on, where positions lie side by side. */
static conv2d_ahead linear_look_ahead(const rows *v, const int64_t *steps, int64_t positions, int64_t unit, int64_t first,
                                      int64_t count) {
    const float *x = v->p + unit / positions * v->stride + (unit % positions + first * steps[1]) * IMAGES;
    return (conv2d_ahead){.x = x, .pixels = smaller(CHAIN_TERMS / IMAGES, positions - unit % positions), .rows = 1,
                          .step = IMAGES, .plane = steps[1] * IMAGES, .left = steps[0] == 1 ? count : 0};
}

/* The inputs of the rectangle (lines) of these units, a row a term: turned, in the order of memory, or copied. */
static void linear_weight_inputs(float *xt, const linear_backward_weight_args *a, const rectangle *at, const weight_units *u) {
    const int64_t step = a->x_steps[1] * u->lanes, blocks = ceil_div(at->lines, 16);
    const int apart = a->x_steps[0] < a->x_steps[1];                      /* positions lie side by side */
    for (int64_t n = 0; n < u->count * blocks; n++) {
        const int64_t i = apart ? n % u->count : n / blocks, k = (apart ? n / u->count : n % blocks) * 16;
        const float *x = linear_weight_unit(&a->x, a->x_steps, a->positions, u->lanes, u->unit + i) + (at->line + k) * step;
        float *to = xt + i * u->lanes * WEIGHT_PITCH + k;
        const int64_t inputs = smaller(16, at->lines - k);
        if (u->lanes == 16) transpose_block(to, WEIGHT_PITCH, x, step, inputs, 16);
        else if (step != 1) for (int64_t l = 0; l < 16; l++) to[l] = l < inputs ? x[l * step] : 0;
        else for (int64_t l = 0; l < 16; l += VF) vf_store(to + l, l < inputs ? vf_load_run(x + l, inputs - l) : vf_set1(0));
    }
}

/* Sums of a rectangle, rows `pitch` apart, to dweight; or, with an update, to the weights that they are the gradient of. */
static void linear_weight_finish(const linear_backward_weight_args *a, const sgd_args *update, const rectangle *at,
                                 const float *sums, int64_t pitch) {
    for (int64_t o = 0; o < at->cells; o++, sums += pitch) {
        const int64_t first = (at->cell + o) * a->in_features + at->line;
        if (update) {
            sgd_args row = *update;
            row.gradient = sums, row.weight = (float *)row.weight + first;
            if (row.velocity) row.velocity = (float *)row.velocity + first;
            sgd_slice(&row, (slice){0, at->lines});
        } else for (int64_t k = 0; k < at->lines; k += VF)
            vf_store_run((float *)a->dweight + first + k, vf_load(sums + k), at->lines - k);
    }
}

/* A rectangle of dweight (lines: k, cells: o; at most WEIGHT_K x WEIGHT_O), or of the weights that update changes by it. */
static void linear_weight_part(const linear_backward_weight_args *a, const sgd_args *update, const rectangle *at, const job *j,
                               const int64_t lanes) {
    const int64_t units = ceil_div(j->n, lanes) * a->positions, full = j->n / lanes * a->positions;
    const int64_t vectors = ceil_div(at->lines, VF), most = CHAIN_TERMS / lanes;
    const tile_shape *shape = tile_choose(TILE_VS, at->cells, vectors, 1);
    float *xt = j->scratch + WEIGHT_O * WEIGHT_PITCH;
    /* sums wait in scratch where tiles come back to them, or would write past a row's end with their whole vectors */
    const int apart = update || units == 0 || units > most || at->lines % VF;
    float *y = apart ? j->scratch : (float *)a->dweight + at->cell * a->in_features + at->line;
    const int64_t pitch = apart ? WEIGHT_PITCH : a->in_features;
    int64_t a_tap[CHAIN_TERMS], b_tap[CHAIN_TERMS];
    if (units == 0) __builtin_memset(y, 0, (size_t)at->cells * pitch * sizeof *y);
    for (int64_t unit = 0; unit < units; unit += most) {
        const int64_t count = smaller(most, units - unit), whole = larger(0, smaller(count, full - unit));
        for (int64_t i = 0; i < count; i++) {
            a_tap[i] = i * lanes * WEIGHT_PITCH;
            b_tap[i] = linear_weight_unit(&a->dy, a->dy_steps, a->positions, lanes, unit + i) - a->dy.p;
        }
        linear_weight_inputs(xt, a, at, &(weight_units){lanes, unit, count});
        conv2d_ahead dy_ahead = {0}, x_ahead = {0};
        if (lanes == IMAGES && unit + count < units) {
            const int64_t tiles = ceil_div(at->cells, shape->f) * ceil_div(vectors, shape->p);
            dy_ahead = linear_look_ahead(&a->dy, a->dy_steps, a->positions, unit + count, at->cell, at->cells);
            x_ahead = linear_look_ahead(&a->x, a->x_steps, a->positions, unit + count, at->line, at->lines);
            conv2d_spread(&dy_ahead, tiles);
            conv2d_spread(&x_ahead, tiles);
        }
        tile t = {.a_step = WEIGHT_PITCH, .b_step = 1, .add = unit > 0, .y = y, .chain = xt + CHAIN_TERMS * WEIGHT_PITCH};
        for (int64_t f = 0; f < at->cells; f += shape->f)
            for (int64_t p = 0; p < vectors; p += shape->p) {
                const tile_shape *s = tile_for(shape, vectors - p);
                for (int i = 0; i < s->f; i++) {
                    const int64_t o = smaller(f + i, at->cells - 1);
                    t.b[i] = a->dy.p + (at->cell + o) * a->dy_steps[1] * lanes;
                    t.y_f[i] = o * pitch;
                }
                for (int i = 0; i < s->p; i++) {
                    t.y_p[i] = smaller(p + i, vectors - 1) * VF;
                    t.a[i] = xt + t.y_p[i];
                }
                conv2d_fetch(&dy_ahead);
                conv2d_fetch(&x_ahead);
                t.a_tap = a_tap, t.b_tap = b_tap, t.taps = whole, t.count = lanes;
                t.resume = 0, t.suspend = whole < count;
                s->run[TILE_VS](&t);
                if (whole == count) continue;
                t.a_tap += whole, t.b_tap += whole, t.taps = count - whole, t.count = j->n % lanes;
                t.resume = 1, t.suspend = 0;
                s->run[TILE_VS](&t);
            }
    }
    if (apart) linear_weight_finish(a, update, at, y, pitch);
}

/* A part is a run of outputs, so that a thread makes the gradients of weights that it uses and updates; with many positions a
   run of the longer side, as each part reads all of the other. */
static void linear_weight(const linear_backward_weight_args *a, const sgd_args *update, const job *j, const int64_t lanes) {
    const int64_t inputs = ceil_div(a->in_features, LINEAR_UNIT), outputs = ceil_div(a->out_features, LINEAR_UNIT);
    const int by_outputs = a->positions == 1 || a->in_features < a->out_features;
    const int64_t lines = by_outputs ? outputs : inputs, cells = by_outputs ? inputs : outputs;
    int64_t unit = lines * cells * j->part / j->parts;
    rectangle r;
    while (next_rectangle(&r, &unit, lines * cells * (j->part + 1) / j->parts, cells, lines)) {
        const rectangle of = by_outputs ? (rectangle){r.cell, r.cells, r.line, r.lines} : r;
        const int64_t k_end = smaller(a->in_features, (of.line + of.lines) * LINEAR_UNIT);
        const int64_t o_end = smaller(a->out_features, (of.cell + of.cells) * LINEAR_UNIT);
        for (int64_t k = of.line * LINEAR_UNIT; k < k_end; k += WEIGHT_K)
            for (int64_t o = of.cell * LINEAR_UNIT; o < o_end; o += WEIGHT_O) {
                const rectangle at = {k, smaller(WEIGHT_K, k_end - k), o, smaller(WEIGHT_O, o_end - o)};
                linear_weight_part(a, update, &at, j, lanes);
            }
    }
}
#endif
