/* conv2d_backward_weight: tiles of filters x taps (a tap: channel, u, v), vectors of 16 images, chains over a block of output
   pixels short enough for the filters' dy to stay in L1 while all taps pass by. Sums wait in scratch, a vector each. */
#ifndef FASTNN_CONV2D_WEIGHT_H
#define FASTNN_CONV2D_WEIGHT_H
#include "conv2d_batch.h"

enum { CHAIN_PIXELS = 32, WEIGHT_UNIT = 8 };              /* of filters and of taps */

typedef struct {
    const conv2d_map *m;
    const float *x, *dy;                                  /* of group of images 0 and this group of channels */
    int64_t x_stride, dy_stride, n;
    copy_axis row, column;
    int64_t rows, columns;                                /* pixels of a chain */
    int64_t copy_rows, lines, pitch;                      /* pixel rows copied at once; what one channel's copy holds */
    int64_t a_tap[CHAIN_PIXELS], b_tap[CHAIN_PIXELS];
    float *copy, *state;
} conv2d_weight_plan;

/* The chains of one block of pixels for taps [tap, tap_end) x filters [filter, filter_end), added to state. */
static void conv2d_weight_tiles(conv2d_weight_plan *p, const rectangle *at, int64_t copied_row, int64_t images,
                                const float *dy, const rectangle *part) {
    const conv2d_map *m = p->m;
    const int64_t plane = m->y_height * m->y_width * IMAGES, area = m->taps[0] * m->taps[1];
    const int64_t first_channel = part->line / area;
    const tile_shape *shape = tile_choose(part->cells, part->lines);
    tile t = {.a_tap = p->a_tap, .b_tap = p->b_tap, .taps = at->lines, .count = at->cells,
              .a_step = p->column.pixel * IMAGES, .b_step = IMAGES, .add = 1};
    const float *copy = p->copy + (at->line - copied_row) * p->row.pixel * p->pitch * IMAGES;
    for (int64_t f = 0; f < part->cells; f += shape->f)
        for (int64_t k = 0; k < part->lines; k += shape->p)
            for (int piece = 0; piece < PIECES && piece * VF < images; piece++) {
                for (int i = 0; i < shape->f; i++) {
                    const int64_t filter = smaller(f + i, part->cells - 1);
                    t.b[i] = dy + (part->cell + filter) * plane + (at->line * m->y_width + at->cell) * IMAGES + piece * VF;
                    t.y_f[i] = filter * part->lines * IMAGES;
                }
                for (int i = 0; i < shape->p; i++) {
                    const int64_t local = smaller(k + i, part->lines - 1), tap = part->line + local;
                    const int64_t channel = tap / area, u = tap % area / m->taps[1], v = tap % m->taps[1];
                    const int64_t line = (channel - first_channel) * p->lines + p->row.tap0 + u * p->row.tap;
                    t.a[i] = copy + (line * p->pitch + p->column.tap0 + v * p->column.tap) * IMAGES + piece * VF;
                    t.y_p[i] = local * IMAGES;
                }
                t.lanes = (int)smaller(VF, images - piece * VF);
                t.y = p->state + piece * VF;
                shape->run[TILE_VV](&t);
            }
}

/* dweight of a rectangle: lines are taps, cells are filters of the group of channels. */
static void conv2d_weight_part(conv2d_weight_plan *p, const rectangle *part, float *dweight) {
    const conv2d_map *m = p->m;
    const int64_t area = m->taps[0] * m->taps[1], all = m->channels * area, plane = m->height * m->width * IMAGES;
    const int64_t channel = part->line / area, channels = (part->line + part->lines - 1) / area + 1 - channel;
    zero_images(p->state, part->lines * part->cells);
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
                    conv2d_weight_tiles(p, &at, top, smaller(IMAGES, p->n - group * IMAGES), dy, part);
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
    enum { STATE = 6144, COPY = SCRATCH_FLOATS / IMAGES - STATE };    /* vectors */
    const conv2d_forward_args f = {
        .channels = a->channels, .height = a->height, .width = a->width, .filters = a->filters,
        .out_height = a->out_height, .out_width = a->out_width, .kernel = {a->kernel[0], a->kernel[1]},
        .stride = {a->stride[0], a->stride[1]}, .dilation = {a->dilation[0], a->dilation[1]}, .groups = a->groups,
        .padding = {a->padding[0], a->padding[1], a->padding[2], a->padding[3]}};
    conv2d_map m;
    conv2d_forward_map(&m, &f);
    conv2d_weight_plan p = {.m = &m, .n = j->n, .x_stride = a->x.stride, .dy_stride = a->dy.stride,
                            .state = j->scratch, .copy = j->scratch + STATE * IMAGES};
    conv2d_weight_chains(&p);
    const int64_t area = m.taps[0] * m.taps[1], taps = m.channels * area;
    const int64_t lines = ceil_div(taps, WEIGHT_UNIT), cells = ceil_div(m.filters, WEIGHT_UNIT);
    const int64_t units = m.groups * lines * cells, copy = copy_lines(&p.row, p.rows) * p.pitch;
    int64_t unit = units * j->part / j->parts;
    rectangle r;
    while (next_rectangle(&r, &unit, units * (j->part + 1) / j->parts, cells, lines)) {
        const int64_t g = r.line / lines, first = r.line % lines * WEIGHT_UNIT, end = smaller(taps, first + r.lines * WEIGHT_UNIT);
        const int64_t filter_end = smaller(m.filters, (r.cell + r.cells) * WEIGHT_UNIT);
        float *dweight = (float *)a->dweight + g * m.w_group;
        p.x = a->x.p + g * m.channels * m.height * m.width * IMAGES;
        p.dy = a->dy.p + g * m.filters * m.rows * m.columns * IMAGES;
        for (int64_t filter = r.cell * WEIGHT_UNIT; filter < filter_end; filter += 64) {
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
