/* A conv2d_map for one image. The pixels of x that a chunk of the grid needs are copied to scratch, zeros outside the image,
   in planes of which a tap is a fixed distance away (with stride 2: one plane of the even rows or columns, one of the odd).
   Then lanes are pixels, running on over the ends of rows (what they compute there is dropped), or filters, where packed
   weights are given; then taps in the padding are left out. */
#ifndef FASTNN_CONV2D_IMAGE_H
#define FASTNN_CONV2D_IMAGE_H
#include "conv2d_map.h"

/* One axis of the copy: phase f holds x's lines first + start + k step + f; pixel n with tap t is on line n + index(t). */
typedef struct { int64_t start, step, tap, taps, phases, more; } plane_axis;

typedef struct {
    plane_axis row, column;
    int64_t rows, columns;                                /* pixels of a chunk */
    int64_t height, width, channel;                       /* of a plane; floats a channel */
    int along;                                            /* a single channel: a tile's terms are v, not channels */
    int64_t entries, a_step, *at, *a_tap, *b_tap;         /* of the tables of taps; at: where each tap begins in the copy */
    slice inside[2];                                      /* pixels with no taps outside x: rows, columns */
    float *sums, *copy;
    tile_choice choice;
} conv2d_planes;

enum { SUMS = 1 << 16, PIXELS = SUMS / 16 };              /* floats for sums; pixels at once, so that 16 filters fit */

static inline plane_axis plane_axis_of(const conv2d_map *m, int axis) {
    const int64_t taps = m->taps[axis], tap = m->x_tap[axis], step = m->x_step[axis], last = (taps - 1) * tap;
    if (taps <= 1) return (plane_axis){0, step, 0, taps, 1, 0};
    const int64_t reach = last < 0 ? -last : last, phases = tap % step ? smaller(step, reach + 1) : 1;    /* that taps meet */
    return (plane_axis){smaller(0, last), step, tap, taps, phases, reach / step};
}

static inline void conv2d_planes_size(conv2d_planes *c) {
    c->height = c->rows + c->row.more;
    c->width = c->columns + c->column.more;
    c->channel = c->row.phases * c->column.phases * c->height * c->width;
    if (c->channel % 256 == 0) c->channel += 16;          /* else channels share sets of L1 */
}

/* Where the pixels of taps u of the rows, v of the columns, begin in a channel's planes: the sum of the two. */
static inline int64_t conv2d_plane_row(const conv2d_planes *c, int64_t u) {
    const int64_t line = u * c->row.tap - c->row.start, phase = line % c->row.phases * c->column.phases;
    return (phase * c->height + line / c->row.step) * c->width;
}
static inline int64_t conv2d_plane_column(const conv2d_planes *c, int64_t v) {
    const int64_t pixel = v * c->column.tap - c->column.start;
    return pixel % c->column.phases * c->height * c->width + pixel / c->column.step;
}

/* False if scratch is too small for a single pixel. */
static int conv2d_planes_of(conv2d_planes *c, const conv2d_map *m, float *scratch, int64_t rows) {
    const int64_t taps = m->taps[0] * m->taps[1], capacity = SCRATCH_FLOATS - SUMS - 6 * taps - VF;
    c->choice.shape = NULL;
    c->row = plane_axis_of(m, 0);
    c->column = plane_axis_of(m, 1);
    c->rows = rows, c->columns = m->columns;
    for (;;) {
        conv2d_planes_size(c);
        if (c->channel * m->channels <= capacity && c->rows * c->width <= PIXELS) break;
        if (c->rows > conv2d_unit(m)) c->rows = conv2d_half(m, c->rows);
        else if (c->columns > conv2d_unit(m)) c->columns = conv2d_half(m, c->columns);
        else return 0;
    }
    c->sums = scratch;
    c->at = (int64_t *)(scratch + SUMS);
    c->a_tap = c->at + taps, c->b_tap = c->a_tap + taps;
    c->copy = scratch + SUMS + 6 * taps;
    c->along = m->channels == 1 && c->column.phases == 1 && taps > 0;
    c->a_step = c->along ? c->column.tap / c->column.step : c->channel;
    for (int64_t v = 0; v < m->taps[1] && taps; v++) c->at[v] = conv2d_plane_column(c, v);
    for (int64_t u = m->taps[0] - 1; u >= 0 && taps; u--) {               /* row 0 at last: the others read it */
        const int64_t line = conv2d_plane_row(c, u);
        for (int64_t v = 0; v < m->taps[1]; v++) c->at[u * m->taps[1] + v] = line + c->at[v];
    }
    c->inside[0] = conv2d_inside(m, 0, m->height, m->rows);
    c->inside[1] = conv2d_inside(m, 1, m->width, m->columns);
    return 1;
}

/* The tables of the taps [u) x [v), whose weights lie b_row and b_column apart; with a single channel only of u, v being
   terms. */
static void conv2d_plane_taps(conv2d_planes *c, const conv2d_map *m, slice u, slice v, int64_t b_row, int64_t b_column) {
    const int64_t v_end = c->along ? smaller(v.end, v.begin + 1) : v.end;
    c->entries = 0;
    for (int64_t i = u.begin; i < u.end; i++)
        for (int64_t k = v.begin; k < v_end; k++) {
            c->a_tap[c->entries] = c->at[i * m->taps[1] + k];
            c->b_tap[c->entries++] = i * b_row + k * b_column;
        }
}

/* The vector p[0], p[2], ..., of which the first `left` floats of p may be read, at least one. */
static inline vf every_second(const float *p, int64_t left) {
    return vf_even(vf_load_run(p, left), left > VF ? vf_load_run(p + VF, left - VF) : vf_set1(0));
}

/* Copies the planes of all channels for the pixels `at`. */
static void conv2d_planes_copy(const conv2d_map *m, const conv2d_planes *c, const float *x, const rectangle *at) {
    const int64_t lines = at->lines + c->row.more, width = at->cells + c->column.more, step = c->column.step;
    const int64_t phases = c->row.phases * c->column.phases;
    for (int64_t n = 0; n < m->channels * phases; n++) {
        const int64_t i = n / phases, f = n % phases;
        const int64_t top = m->x_first[0] + at->line * c->row.step + c->row.start + f / c->column.phases;
        const int64_t first = m->x_first[1] + at->cell * step + c->column.start + f % c->column.phases;
        const int64_t before = smaller(width, first < 0 ? ceil_div(-first, step) : 0);
        const int64_t last = larger(before, smaller(width, first < m->width ? (m->width - 1 - first) / step + 1 : 0));
        float *y = c->copy + i * c->channel + f * c->height * c->width;
        const float *line = x + (i * m->height + top) * m->width + first;
        for (int64_t row = top; row < top + lines * c->row.step; row += c->row.step, y += c->width, line += c->row.step * m->width) {
            const int inside = row >= 0 && row < m->height;
            const int64_t begin = inside ? before : 0, end = inside ? last : 0;
            /* whole vectors: what they write past the row's end is overwritten later */
            for (int64_t l = 0; l < begin; l += VF) vf_store(y + l, vf_set1(0));
            for (int64_t l = begin; step == 1 && l < end; l += VF) vf_store(y + l, vf_load_run(line + l, end - l));
            for (int64_t l = begin; step == 2 && l < end; l += VF) vf_store(y + l, every_second(line + 2 * l, 2 * (end - l) - 1));
            for (int64_t l = begin; step > 2 && l < end; l++) y[l] = line[l * step];
            for (int64_t l = end; l < width; l += VF) vf_store(y + l, vf_set1(0));
        }
    }
}

/* How sums of filter o become y, from m->y + at on. */
static tile_rest conv2d_rest(const conv2d_map *m, int64_t o, int64_t at) {
    return (tile_rest){.bias = m->bias ? m->bias + o : NULL, .scale = m->scale ? m->scale + o : NULL,
                       .shift = m->scale ? m->shift + o : NULL, .residual = m->residual ? m->residual + at : NULL,
                       .relu = m->relu, .mask = m->mask ? m->mask + at : NULL, .y = m->y + at};
}

/* Where the pixels of the grid `at` end up in y. */
static inline rectangle conv2d_pooled(const conv2d_map *m, const rectangle *at) {
    const int64_t unit = conv2d_unit(m);
    return (rectangle){at->line / unit, at->lines / unit, at->cell / unit, at->cells / unit};
}

/* Lanes are pixels: filters [first, end) of group g. */
static void conv2d_image_pixels(const conv2d_map *m, conv2d_planes *c, const rectangle *at, int64_t g,
                                int64_t first, int64_t end) {
    const int64_t vectors = ceil_div((at->lines - 1) * c->width + at->cells, VF), plane = m->y_height * m->y_width;
    const tile_shape *shape = tile_chosen(&c->choice, TILE_VS, end - first, vectors, 1);
    const rectangle of = conv2d_pooled(m, at);
    conv2d_plane_taps(c, m, (slice){0, m->taps[0]}, (slice){0, m->taps[1]}, m->w_tap[0], m->w_tap[1]);
    tile t = {.a_tap = c->a_tap, .b_tap = c->b_tap, .taps = c->entries, .a_step = c->a_step,
              .b_step = c->along ? m->w_tap[1] : m->w_channel, .y = c->sums};
    for (int64_t f = first; f < end; f += shape->f) {
        for (int64_t channel = 0; channel < m->channels; channel += m->block) {
            t.count = c->along ? m->taps[1] : smaller(m->block, m->channels - channel), t.add = channel > 0;
            for (int i = 0; i < shape->f; i++) {
                const int64_t filter = smaller(f + i, end - 1);
                t.b[i] = m->weight + g * m->w_group + filter * m->w_filter + channel * m->w_channel;
                t.y_f[i] = (filter - f) * vectors * VF;
            }
            for (int64_t p = 0; p < vectors; p += shape->p) {
                const tile_shape *s = tile_for(shape, vectors - p);
                for (int i = 0; i < s->p; i++) {
                    t.y_p[i] = smaller(p + i, vectors - 1) * VF;
                    t.a[i] = c->copy + channel * c->channel + t.y_p[i];
                }
                s->run[TILE_VS](&t);
            }
        }
        for (int64_t filter = f; filter < smaller(end, f + shape->f); filter++) {
            const float *sums = c->sums + (filter - f) * vectors * VF;
            const int64_t o = g * m->filters + filter, row = m->y_step[0] * m->y_width;
            const int64_t to = o * plane + (m->y_first[0] + of.line * m->y_step[0]) * m->y_width
                               + m->y_first[1] + of.cell * m->y_step[1];
            tile_rest rest = conv2d_rest(m, o, to);
            rest.sums = sums, rest.rows = of.lines, rest.count = of.cells, rest.sums_step = c->width, rest.y_step = row;
            rest.apart = m->y_step[1];
            if (m->pool) tile_finish_pooled(&rest);
            else tile_finish(&rest);
        }
    }
}

/* Sums of the pixels `at`, `step` filters each from o on, become the largest of each window, with bias, scale and ReLU. */
static void conv2d_image_pool(const conv2d_map *m, const rectangle *at, float *sums, int64_t step, int64_t o, int64_t count) {
    const tile_rest t = conv2d_rest(m, o, 0);
    const int64_t windows = at->cells / 2;
    for (int64_t w = 0; w < at->lines / 2 * windows; w++) {
        const float *corner = sums + (w / windows * 2 * at->cells + w % windows * 2) * step;
        for (int64_t f = 0; f < count; f += VF) {
            vf best = vf_set1(0);
            UNROLL for (int k = 0; k < 4; k++) {
                vf sum = vf_load(corner + (k / 2 * at->cells + k % 2) * step + f);
                if (t.bias) sum = sum + vf_load_run(t.bias + f, count - f);
                if (t.scale) sum = vf_fma(sum, vf_load_run(t.scale + f, count - f), vf_load_run(t.shift + f, count - f));
                best = k ? vf_larger(best, sum) : sum;
            }
            vf_store(sums + w * step + f, t.relu ? vf_masked(best, best) : best);
        }
    }
}

/* What becomes of sums of 16 lanes, which are y's channels o, o + o_step, ..., where all of it is the same for every pixel. */
typedef struct { int bias, scale, relu; float of[3][16]; } conv2d_ends;

static conv2d_ends conv2d_ends_of(const conv2d_map *m, int64_t o, int64_t o_step, int64_t lanes) {
    conv2d_ends e = {.bias = m->bias != NULL, .scale = m->scale != NULL, .relu = m->relu};
    for (int64_t i = 0; i < 16; i++) {
        const int64_t channel = o + smaller(i, lanes - 1) * o_step;
        if (e.bias) e.of[0][i] = m->bias[channel];
        if (e.scale) e.of[1][i] = m->scale[channel], e.of[2][i] = m->shift[channel];
    }
    return e;
}

static void conv2d_ends_apply(const conv2d_ends *e, float *sums, int64_t step, int64_t count) {
    for (int64_t p = 0; p < count; p++)
        for (int i = 0; i < 16; i += VF) {
            vf sum = vf_load(sums + p * step + i);
            if (e->bias) sum = sum + vf_load(e->of[0] + i);
            if (e->scale) sum = vf_fma(sum, vf_load(e->of[1] + i), vf_load(e->of[2] + i));
            vf_store(sums + p * step + i, e->relu ? vf_masked(sum, sum) : sum);
        }
}

/* `count` pixels, at most 16, of so many lanes, to y and channels y_step from there: as they are, */
static void conv2d_turn_plain(const conv2d_map *m, const float *sums, int64_t step, int64_t count, int64_t lanes, float *y,
                              int64_t y_step) {
    float turned[16 * 16] __attribute__((aligned(64)));
    const int64_t apart = m->y_step[1];
    if (count == 16 && apart == 1) {
        transpose_block(y, y_step, sums, step, 16, lanes);
        return;
    }
    transpose_block(turned, 16, sums, step, count, lanes);
    for (int64_t i = 0; i < lanes; i++, y += y_step) {
        for (int64_t k = 0; apart == 1 && k < count; k += VF) vf_store_run(y + k, vf_load(turned + i * 16 + k), count - k);
        for (int64_t k = 0; apart > 1 && k < count; k++) y[k * apart] = turned[i * 16 + k];
    }
}

/* or with what differs from pixel to pixel. */
static void conv2d_turn_ends(const conv2d_map *m, const float *sums, int64_t step, int64_t count, int64_t lanes, int64_t to,
                             int64_t o, int64_t o_step) {
    float turned[16 * 16] __attribute__((aligned(64)));
    transpose_block(turned, 16, sums, step, count, lanes);
    for (int64_t i = 0; i < lanes; i++, o += o_step) {
        tile_rest rest = conv2d_rest(m, o, to + o * m->y_height * m->y_width);
        rest.sums = turned + i * 16, rest.rows = 1, rest.count = count, rest.apart = m->y_step[1];
        tile_finish(&rest);
    }
}

/* Sums of the pixels `at` in at most 16 lanes, from pixel to pixel `step` floats, to y's channels o, o + o_step, ... */
static void conv2d_turn(const conv2d_map *m, const rectangle *at, float *sums, int64_t step, int64_t o, int64_t o_step,
                        int64_t lanes) {
    const int64_t plane = m->y_height * m->y_width, row = m->y_step[0] * m->y_width;
    const int whole = at->cells == m->y_width && m->y_step[0] == 1;       /* rows follow one another in y */
    const int64_t lines = whole ? 1 : at->lines, run = whole ? at->lines * at->cells : at->cells;
    const int64_t first = (m->y_first[0] + at->line * m->y_step[0]) * m->y_width + m->y_first[1] + at->cell * m->y_step[1];
    const int same = !m->residual && !m->mask;            /* for every pixel */
    const conv2d_ends ends = conv2d_ends_of(m, o, o_step, lanes);
    if (same && (ends.bias || ends.scale || ends.relu)) conv2d_ends_apply(&ends, sums, step, at->lines * at->cells);
    for (int64_t r = 0; r < lines; r++)
        for (int64_t q = 0; q < run; q += 16) {
            const int64_t count = smaller(16, run - q), to = first + r * row + q * m->y_step[1];
            const float *from = sums + (r * at->cells + q) * step;
            if (same) conv2d_turn_plain(m, from, step, count, lanes, m->y + o * plane + to, o_step * plane);
            else conv2d_turn_ends(m, from, step, count, lanes, to, o, o_step);
        }
}

static int conv2d_image_inside(const conv2d_planes *c, const rectangle *at) {
    const slice *rows = &c->inside[0], *columns = &c->inside[1];
    return at->line >= rows->begin && at->line + at->lines <= rows->end &&
           at->cell >= columns->begin && at->cell + at->cells <= columns->end;
}

/* Tiles of t's filters (vectors) over the pixels `at`, for the channels from `channel` on: row by row where not all taps lie
   inside x. */
static void conv2d_image_tiles(const conv2d_map *m, conv2d_planes *c, const rectangle *at, tile *t, const tile_shape *shape,
                               int64_t channel, int64_t pitch, int inside) {
    const int64_t channels = smaller(m->block, m->channels - channel), tap = channels * 16;
    const int64_t lines = inside ? 1 : at->lines, run = inside ? at->lines * at->cells : at->cells;
    slice u = {0, m->taps[0]}, v = {0, m->taps[1]};
    for (int64_t r = 0; r < lines; r++) {
        if (!inside) u = conv2d_taps_inside(m, 0, m->height, at->line + r, at->line + r);
        for (int64_t p = 0; p < run; p += shape->p) {
            const tile_shape *s = tile_for(shape, run - p);
            if (!inside) v = conv2d_taps_inside(m, 1, m->width, at->cell + p, at->cell + smaller(run, p + s->p) - 1);
            if (!inside || p == 0) conv2d_plane_taps(c, m, u, v, m->w_tap[0] * tap, m->w_tap[1] * tap);
            t->taps = c->entries, t->count = c->along ? v.end - v.begin : channels;
            for (int i = 0; i < s->p; i++) {
                const int64_t pixel = r * at->cells + smaller(p + i, run - 1);
                t->a[i] = c->copy + channel * c->channel + pixel / at->cells * c->width + pixel % at->cells;
                t->y_p[i] = pixel * pitch;
            }
            s->run[TILE_SV](t);
        }
    }
}

/* Lanes are filters: those [first, end) of group g whose sums fit, first a multiple of 16. */
static void conv2d_image_filters(const conv2d_map *m, conv2d_planes *c, const rectangle *at, int64_t g,
                                 int64_t first, int64_t end) {
    const int64_t vectors = ceil_div(end - first, 16) * (16 / VF), pitch = vectors * VF;
    const int inside = conv2d_image_inside(c, at);
    const tile_shape *shape = tile_chosen(&c->choice, TILE_SV, vectors, (inside ? at->lines : 1) * at->cells, 1);
    tile t = {.a_tap = c->a_tap, .b_tap = c->b_tap, .a_step = c->a_step, .b_step = c->along ? m->w_tap[1] * 16 : 16,
              .y = c->sums};
    for (int64_t channel = 0; channel < m->channels; channel += m->block) {
        const int64_t first_tap = m->first_tap * smaller(m->block, m->channels - channel);
        t.add = channel > 0;
        for (int64_t f = 0; f < vectors; f += shape->f) {
            for (int i = 0; i < shape->f; i++) {
                const int64_t lane = smaller(f + i, vectors - 1) * VF;
                const int64_t block = g * ceil_div(m->filters, 16) + (first + lane) / 16;
                t.b[i] = m->packed + ((block * m->channels + channel) * m->area + first_tap) * 16 + lane % 16;
                t.y_f[i] = lane;
            }
            conv2d_image_tiles(m, c, at, &t, shape, channel, pitch, inside);
        }
    }
    conv2d_map ends = *m;
    const rectangle of = conv2d_pooled(m, at);
    if (m->pool) {
        conv2d_image_pool(m, at, c->sums, pitch, g * m->filters + first, end - first);
        ends.bias = ends.scale = NULL, ends.relu = 0;
    }
    for (int64_t f = first; f < end; f += 16)
        conv2d_turn(&ends, &of, c->sums + f - first, pitch, g * m->filters + f, 1, smaller(16, end - f));
}

static void conv2d_image_chunk(const conv2d_map *m, conv2d_planes *c, const rectangle *at, int64_t g,
                               int64_t first, int64_t end) {
    if (!m->packed) {
        conv2d_image_pixels(m, c, at, g, first, end);
        return;
    }
    const int64_t step = SUMS / 16 / (at->lines * at->cells) * 16;
    for (int64_t f = first; f < end; f += step) conv2d_image_filters(m, c, at, g, f, smaller(end, f + step));
}

/* Rows r.cell .. of the grid (in units), blocks of 16 filters r.line .. of one group. */
static void conv2d_image_part(const conv2d_map *m, conv2d_planes *c, const rectangle *r, int64_t lines) {
    const int64_t g = r->line / lines, first = r->line % lines * 16, end = smaller(m->filters, first + r->lines * 16);
    const int64_t row = r->cell * conv2d_unit(m), rows = r->cells * conv2d_unit(m);
    for (int64_t i = 0; i < rows; i += c->rows)
        for (int64_t k = 0; k < m->columns; k += c->columns) {
            const rectangle at = {row + i, smaller(c->rows, rows - i), k, smaller(c->columns, m->columns - k)};
            if (m->taps[0] && m->taps[1]) conv2d_planes_copy(m, c, m->x + g * m->channels * m->height * m->width, &at);
            conv2d_image_chunk(m, c, &at, g, first, end);
        }
}

/* One part of the map's pixels and filters: of the rows where there are enough, so that no two parts copy the same; else of
   the filters. False if it needs conv2d_any. */
static int conv2d_image(const conv2d_map *m, const job *j) {
    conv2d_planes c;
    if (!conv2d_planes_of(&c, m, j->scratch, m->rows)) return 0;
    const int64_t lines = ceil_div(m->filters, 16), rows = m->rows / conv2d_unit(m);
    if (rows >= 2 * j->parts) {
        const slice s = slice_of(j, rows, 1);
        for (int64_t g = 0; g < m->groups; g++)
            conv2d_image_part(m, &c, &(rectangle){g * lines, lines, s.begin, s.end - s.begin}, lines);
        return 1;
    }
    const int64_t units = m->groups * lines * rows;
    int64_t unit = units * j->part / j->parts;
    rectangle r;
    while (next_rectangle(&r, &unit, units * (j->part + 1) / j->parts, rows, lines)) conv2d_image_part(m, &c, &r, lines);
    return 1;
}
#endif
