/* conv2d_backward_weight: tiles of filters x taps (a tap: channel, u, v), vectors of 16 images, chains over a block of output
   pixels short enough for the filters' dy to stay in L1 while all taps pass by. Sums wait in scratch, a vector each. */
#ifndef FASTNN_CONV2D_WEIGHT_H
#define FASTNN_CONV2D_WEIGHT_H
#include "conv2d_batch.h"

enum { CHAIN_PIXELS = 64, WEIGHT_TAPS = 4, WEIGHT_FILTERS = 8 };     /* units that parts are cut in */

typedef struct {
    const conv2d_map *m;
    const float *x, *dy;                                  /* of group of images 0 and this group of channels */
    int64_t x_stride, dy_stride, n;
    copy_axis row, column;
    int64_t rows, columns;                                /* pixels of a chain */
    int64_t copy_rows, lines, pitch;                      /* pixel rows copied at once; what one channel's copy holds */
    int64_t a_tap[CHAIN_PIXELS], b_tap[CHAIN_PIXELS];
    int64_t *tap;
    float *copy, *state;
    tile_choice *choice;
} conv2d_weight_plan;

/* Where each tap of a part begins in the copy. */
static void conv2d_weight_taps(conv2d_weight_plan *p, const rectangle *part) {
    const int64_t area = p->m->taps[0] * p->m->taps[1], width = p->m->taps[1], first = part->line / area;
    for (int64_t i = 0; i < part->lines; i++) {
        const int64_t tap = part->line + i, channel = tap / area, u = tap % area / width, v = tap % width;
        const int64_t line = (channel - first) * p->lines + p->row.tap0 + u * p->row.tap;
        p->tap[i] = (line * p->pitch + p->column.tap0 + v * p->column.tap) * IMAGES;
    }
}

/* The chains of one block of pixels for taps (lines) x filters (cells), added to state. copy: where the block begins. */
static void conv2d_weight_tiles(const conv2d_weight_plan *p, const rectangle *at, const float *copy, const float *dy,
                                int64_t images, const rectangle *part) {
    const int64_t plane = p->m->y_height * p->m->y_width * IMAGES, step = part->lines * IMAGES;
    const tile_shape *shape = tile_chosen(p->choice, TILE_VV, part->cells, part->lines, 1);
    tile t = {.a_tap = p->a_tap, .b_tap = p->b_tap, .taps = at->lines, .count = at->cells,
              .a_step = p->column.pixel * IMAGES, .b_step = IMAGES, .add = 1};
    dy += part->cell * plane + (at->line * p->m->y_width + at->cell) * IMAGES;
    for (int64_t f = 0; f < part->cells; f += shape->f)
        for (int piece = 0; piece < images; piece += VF) {
            t.lanes = (int)smaller(VF, images - piece);
            t.y = p->state + f * step + piece;
            for (int i = 0; i < shape->f; i++) {
                const int64_t filter = smaller(i, part->cells - 1 - f);
                t.b[i] = dy + (f + filter) * plane + piece;
                t.y_f[i] = filter * step;
            }
            for (int64_t k = 0; k < part->lines; k += shape->p) {
                const tile_shape *s = tile_for(shape, part->lines - k);
                for (int i = 0; i < s->p; i++) {
                    const int64_t tap = smaller(k + i, part->lines - 1);
                    t.a[i] = copy + p->tap[tap] + piece;
                    t.y_p[i] = tap * IMAGES;
                }
                s->run[TILE_VV](&t);
            }
        }
}

/* dweight of a rectangle: lines are taps, cells are filters of the group of channels. */
static void conv2d_weight_part(conv2d_weight_plan *p, const rectangle *part, float *dweight) {
    const conv2d_map *m = p->m;
    const int64_t area = m->taps[0] * m->taps[1], all = m->channels * area, plane = m->height * m->width * IMAGES;
    const int64_t channel = part->line / area, channels = (part->line + part->lines - 1) / area + 1 - channel;
    zero_images(p->state, part->lines * part->cells);
    conv2d_weight_taps(p, part);
    for (int64_t group = 0; group * IMAGES < p->n; group++) {
        const float *x = p->x + group * p->x_stride + channel * plane, *dy = p->dy + group * p->dy_stride;
        for (int64_t top = 0; top < m->rows; top += p->copy_rows)
            for (int64_t left = 0; left < m->columns; left += p->columns) {
                rectangle at = {top, smaller(p->copy_rows, m->rows - top), left, smaller(p->columns, m->columns - left)};
                conv2d_chunks c = {.row = p->row, .column = p->column, .pitch = p->pitch, .block = 1};
                for (int64_t i = 0; i < channels; i++) {
                    c.copy = p->copy + i * p->lines * p->pitch * IMAGES;
                    conv2d_copy(m, &c, x + i * plane, 1, &at);
                }
                for (const int64_t end = at.line + at.lines; at.line < end; at.line += p->rows) {
                    at.lines = smaller(p->rows, end - at.line);
                    conv2d_weight_tiles(p, &at, p->copy + (at.line - top) * p->row.pixel * p->pitch * IMAGES, dy,
                                        smaller(IMAGES, p->n - group * IMAGES), part);
                }
            }
    }
    for (int64_t f = 0; f < part->cells; f++)
        for (int64_t k = 0; k < part->lines; k++)
            dweight[(part->cell + f) * all + part->line + k] = tree_sum(p->state + (f * part->lines + k) * IMAGES);
}

/* The sums of one weight at a time, for windows too large to be copied. */
static void conv2d_weight_any(conv2d_weight_plan *p, const rectangle *part, float *dweight) {
    const conv2d_map *m = p->m;
    const int64_t area = m->taps[0] * m->taps[1], all = m->channels * area;
    for (int64_t k = 0; k < part->lines * part->cells; k++) {
        const int64_t filter = part->cell + k / part->lines, tap = part->line + k % part->lines;
        const int64_t u = tap % area / m->taps[1], v = tap % m->taps[1];
        float *state = p->state;
        zero_images(state, 1);
        for (int64_t group = 0; group * IMAGES < p->n; group++)
            for (int64_t row = 0; row < m->rows; row += p->rows)
                for (int64_t column = 0; column < m->columns; column += p->columns)
                    for (int lane = 0; lane < smaller(IMAGES, p->n - group * IMAGES); lane++) {
                        const float *x = p->x + group * p->x_stride + lane, *dy = p->dy + group * p->dy_stride + lane;
                        float sum = 0;
                        for (int64_t r = row; r < smaller(m->rows, row + p->rows); r++)
                            for (int64_t q = column; q < smaller(m->columns, column + p->columns); q++) {
                                const int64_t xr = m->x_first[0] + r * m->x_step[0] + u * m->x_tap[0];
                                const int64_t xc = m->x_first[1] + q * m->x_step[1] + v * m->x_tap[1];
                                if (xr < 0 || xr >= m->height || xc < 0 || xc >= m->width) continue;
                                sum = sf_fma(x[((tap / area * m->height + xr) * m->width + xc) * IMAGES],
                                             dy[((filter * m->rows + r) * m->columns + q) * IMAGES], sum);
                            }
                        state[lane] += sum;
                    }
        dweight[filter * all + tap] = tree_sum(state);
    }
}

static void conv2d_weight_chains(conv2d_weight_plan *p) {
    const conv2d_map *m = p->m;
    p->columns = smaller(m->columns, CHAIN_PIXELS);
    p->rows = smaller(m->rows, p->columns < m->columns ? 1 : CHAIN_PIXELS / p->columns);
    p->row = copy_axis_of(m, 0);
    p->column = copy_axis_of(m, 1);
    p->pitch = copy_lines(&p->column, p->columns) | 1;
    for (int64_t i = 0; i < p->rows; i++) {
        p->a_tap[i] = i * p->row.pixel * p->pitch * IMAGES;
        p->b_tap[i] = i * m->y_width * IMAGES;
    }
}

static void conv2d_weight(const conv2d_backward_weight_args *a, const job *j) {
    enum { STATE = 6144, TAPS = 2 * STATE / IMAGES, COPY = SCRATCH_FLOATS / IMAGES - STATE - TAPS };  /* vectors */
    conv2d_map m;
    tile_choice choice = {0};
    conv2d_weight_map(&m, a);
    conv2d_weight_plan p = {.m = &m, .n = j->n, .x_stride = a->x.stride, .dy_stride = a->dy.stride,
                            .state = j->scratch, .tap = (int64_t *)(j->scratch + STATE * IMAGES),
                            .copy = j->scratch + (STATE + TAPS) * IMAGES, .choice = &choice};
    conv2d_weight_chains(&p);
    const int64_t area = m.taps[0] * m.taps[1], taps = m.channels * area;
    const int64_t lines = ceil_div(taps, WEIGHT_TAPS), cells = ceil_div(m.filters, WEIGHT_FILTERS);
    const int64_t units = m.groups * lines * cells, copy = copy_lines(&p.row, p.rows) * p.pitch;
    int64_t unit = units * j->part / j->parts;
    rectangle r;
    while (next_rectangle(&r, &unit, units * (j->part + 1) / j->parts, cells, lines)) {
        const int64_t g = r.line / lines, first = r.line % lines * WEIGHT_TAPS;
        const int64_t end = smaller(taps, first + r.lines * WEIGHT_TAPS);
        const int64_t filter_end = smaller(m.filters, (r.cell + r.cells) * WEIGHT_FILTERS);
        float *dweight = (float *)a->dweight + g * m.w_group;
        p.x = a->x.p + g * m.channels * m.height * m.width * IMAGES;
        p.dy = a->dy.p + g * m.filters * m.rows * m.columns * IMAGES;
        for (int64_t filter = r.cell * WEIGHT_FILTERS; filter < filter_end; filter += 64) {
            const int64_t filters = smaller(64, filter_end - filter);
            int64_t step = smaller(STATE / filters, larger(1, COPY / copy - 1) * area);      /* of taps, whose channels fit */
            for (int64_t tap = first; tap < end; tap += step) {
                const rectangle part = {tap, smaller(step, end - tap), filter, filters};
                const int64_t channels = (tap + part.lines - 1) / area + 1 - tap / area;
                p.copy_rows = p.rows;
                while (p.columns == m.columns && copy_lines(&p.row, p.copy_rows + p.rows) * p.pitch * channels <= 2048
                       && p.copy_rows < m.rows)
                    p.copy_rows += p.rows;
                p.lines = copy_lines(&p.row, p.copy_rows);
                if (channels * p.lines * p.pitch <= COPY) conv2d_weight_part(&p, &part, dweight);
                else conv2d_weight_any(&p, &part, dweight);
            }
        }
    }
}
#endif
