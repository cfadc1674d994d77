/* A conv2d_map for one image with 16 groups of channels in the lanes, as 16 images are in conv2d_batch.h: for many groups of
   few channels, of which each alone fills no vectors. Pixels and weights are turned on their way into scratch, sums on theirs
   to y. */
#ifndef FASTNN_CONV2D_GROUPS_H
#define FASTNN_CONV2D_GROUPS_H
#include "conv2d_image.h"

enum { GROUP_WEIGHTS = 1 << 13, GROUP_TAPS = 1 << 9, GROUP_PIXELS = 1 << 11 };    /* floats; taps; pixels copied, or 4 rows */
enum { GROUP_CHANNELS = 4 };                              /* more fill vectors by pixels */

typedef struct {
    copy_axis row, column;
    int64_t rows, width, channel;                         /* of a chunk; a copied row, and a channel's copy, in pixels */
    int64_t entries, count, a_step, b_step, *a_tap, *b_tap;      /* of tiles */
    float *sums, *weights, *copy;
    tile_choice choice;
} conv2d_lanes;

/* The columns that taps need are copied with those between them: what is turned lies in line. */
static inline copy_axis conv2d_lanes_columns(const conv2d_map *m) {
    const int64_t start = smaller(0, (m->taps[1] - 1) * m->x_tap[1]);
    return (copy_axis){start, 1, m->x_step[1], m->x_tap[1], -start, m->taps[1]};
}

static void conv2d_lanes_tables(conv2d_lanes *c, const conv2d_map *m) {
    const int along = m->channels == 1;                   /* then a tile's terms are v, not channels */
    c->count = along ? m->taps[1] : 0;
    c->a_step = (along ? c->column.tap : c->channel) * 16;
    c->b_step = (along ? m->w_tap[1] : m->w_channel) * 16;
    c->entries = 0;
    for (int64_t u = 0; u < m->taps[0]; u++)
        for (int64_t v = 0; v < (along ? smaller(1, m->taps[1]) : m->taps[1]); v++) {
            c->a_tap[c->entries] = ((c->row.tap0 + u * c->row.tap) * c->width + c->column.tap0 + v * c->column.tap) * 16;
            c->b_tap[c->entries++] = (u * m->w_tap[0] + v * m->w_tap[1]) * 16;
        }
}

/* False where groups are few or large, or scratch too small. */
static int conv2d_lanes_of(conv2d_lanes *c, const conv2d_map *m, float *scratch) {
    enum { CAPACITY = (SCRATCH_FLOATS - SUMS - GROUP_WEIGHTS - 4 * GROUP_TAPS) / 16 };
    const int64_t lanes = ceil_div(m->groups, 16) * 16;
    if (4 * m->groups < 3 * lanes || larger(m->channels, m->filters) > GROUP_CHANNELS || m->pool) return 0;
    if (m->w_group * 16 > GROUP_WEIGHTS || m->taps[0] * m->taps[1] > GROUP_TAPS) return 0;
    c->row = copy_axis_of(m, 0), c->column = conv2d_lanes_columns(m);
    c->width = copy_lines(&c->column, m->columns);
    for (c->rows = m->rows; ; c->rows = ceil_div(c->rows, 2)) {
        c->channel = copy_lines(&c->row, c->rows) * c->width;
        const int fits = c->channel * m->channels <= CAPACITY && m->filters * c->rows * m->columns <= SUMS / 16;
        if (fits && (c->channel * m->channels <= GROUP_PIXELS || c->rows <= 4)) break;
        if (c->rows == 1) return 0;
    }
    c->sums = scratch, c->weights = scratch + SUMS;
    c->a_tap = (int64_t *)(c->weights + GROUP_WEIGHTS), c->b_tap = c->a_tap + GROUP_TAPS;
    c->copy = (float *)(c->b_tap + GROUP_TAPS);
    c->choice.shape = NULL;
    conv2d_lanes_tables(c, m);
    return 1;
}

/* y[i] = x[lane][i] for i < count, of so many lanes `step` apart; fetches those of the 16 lanes that follow. */
static inline void conv2d_lanes_turn(float *y, const float *x, int64_t step, int64_t lanes, int64_t count) {
    for (int64_t i = 0; i < count; i += 16) {
        for (int64_t l = 16; l < 32; l++) __builtin_prefetch(x + i + l * step, 0, 2);
        transpose_block(y + i * 16, 16, x + i, step, lanes, smaller(16, count - i));
    }
}

/* Copies rows of x for the grid's rows from `line` on; x: the first lane's first channel. */
static void conv2d_lanes_copy(const conv2d_map *m, const conv2d_lanes *c, const float *x, int64_t lanes, int64_t line,
                              int64_t rows) {
    const int64_t plane = m->height * m->width, step = m->channels * plane, lines = copy_lines(&c->row, rows);
    const int64_t top = m->x_first[0] + line * m->x_step[0] + c->row.start, left = m->x_first[1] + c->column.start;
    const slice in = copy_inside(left, 1, c->width, m->width);
    const int whole = c->width == m->width && left == 0 && c->row.step == 1 && top >= 0 && top + lines <= m->height;
    for (int64_t i = 0; i < m->channels; i++, x += plane) {
        float *y = c->copy + i * c->channel * 16;
        if (whole) {
            conv2d_lanes_turn(y, x + top * m->width, step, lanes, lines * c->width);
            continue;
        }
        for (int64_t k = 0, at = top; k < lines; k++, at += c->row.step, y += c->width * 16) {
            const slice of = at < 0 || at >= m->height ? (slice){0, 0} : in;
            zero_images(y, of.begin);
            conv2d_lanes_turn(y + of.begin * 16, x + at * m->width + left + of.begin, step, lanes, of.end - of.begin);
            zero_images(y + of.end * 16, c->width - of.end);
        }
    }
}

/* Sums of all filters of a group, [filter][pixel][16 groups]. */
static void conv2d_lanes_tiles(const conv2d_map *m, conv2d_lanes *c, int64_t pixels) {
    const tile_shape *shape = tile_chosen(&c->choice, TILE_VV, m->filters, pixels, 1);
    tile t = {.a_tap = c->a_tap, .b_tap = c->b_tap, .taps = c->entries, .a_step = c->a_step, .b_step = c->b_step, .lanes = VF};
    t.count = c->count ? c->count : m->channels;
    for (int piece = 0; piece < 16; piece += VF) {
        t.y = c->sums + piece;
        for (int64_t f = 0; f < m->filters; f += shape->f) {
            for (int i = 0; i < shape->f; i++) {
                const int64_t filter = smaller(f + i, m->filters - 1);
                t.b[i] = c->weights + (filter * m->w_filter + m->first_tap) * 16 + piece;
                t.y_f[i] = filter * pixels * 16;
            }
            int64_t row = 0, column = 0;
            for (int64_t p = 0; p < pixels; p += shape->p) {
                const tile_shape *s = tile_for(shape, pixels - p);
                for (int i = 0; i < s->p; i++) {
                    t.a[i] = c->copy + (row * c->row.pixel * c->width + column * c->column.pixel) * 16 + piece;
                    t.y_p[i] = smaller(p + i, pixels - 1) * 16;
                    if (p + i + 1 < pixels && ++column == m->columns) column = 0, row++;
                }
                s->run[TILE_VV](&t);
            }
        }
    }
}

/* One part of the map's blocks of 16 groups and rows. False if it needs another way. */
static int conv2d_groups(const conv2d_map *m, const job *j) {
    conv2d_lanes c;
    if (!conv2d_lanes_of(&c, m, j->scratch)) return 0;
    const int64_t blocks = ceil_div(m->groups, 16), units = blocks * m->rows, plane = m->height * m->width;
    int64_t unit = units * j->part / j->parts;
    rectangle r;
    while (next_rectangle(&r, &unit, units * (j->part + 1) / j->parts, m->rows, blocks))
        for (int64_t b = r.line; b < r.line + r.lines; b++) {
            const int64_t g = b * 16, lanes = smaller(16, m->groups - g);
            conv2d_lanes_turn(c.weights, m->weight - m->first_tap + g * m->w_group, m->w_group, lanes, m->w_group);
            for (int64_t row = r.cell; row < r.cell + r.cells; row += c.rows) {
                const rectangle at = {row, smaller(c.rows, r.cell + r.cells - row), 0, m->columns};
                if (c.entries) conv2d_lanes_copy(m, &c, m->x + g * m->channels * plane, lanes, row, at.lines);
                conv2d_lanes_tiles(m, &c, at.lines * at.cells);
                for (int64_t f = 0; f < m->filters; f++)
                    conv2d_turn(m, &at, c.sums + f * at.lines * at.cells * 16, 16, g * m->filters + f, m->filters, lanes);
            }
        }
    return 1;
}
#endif
