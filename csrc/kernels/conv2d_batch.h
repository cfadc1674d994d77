/* A conv2d_map for 16 images in the lanes: copies the pixels of x that a chunk of the grid needs, zeros outside the image,
   to scratch (there no power of two separates channels, and borders cost nothing), then runs tiles of pixels x filters. */
#ifndef FASTNN_CONV2D_BATCH_H
#define FASTNN_CONV2D_BATCH_H
#include "conv2d_map.h"

enum { IMAGES = 16, PIECES = IMAGES / VF };               /* vectors a feature */
enum { WEIGHTS = 4096 };                                  /* floats of a tile's weights, where they are copied */

/* How one axis is copied: line k is x's index first + k step; pixel n of the chunk finds its tap t on line
   n pixel + t tap + tap0. */
typedef struct { int64_t start, step, pixel, tap, tap0, taps; } copy_axis;

static inline int64_t copy_lines(const copy_axis *c, int64_t pixels) {
    return c->taps ? (pixels - 1) * c->pixel + (c->taps - 1) * (c->tap < 0 ? -c->tap : c->tap) + 1 : 0;
}

static inline copy_axis copy_axis_of(const conv2d_map *m, int axis) {
    const int64_t taps = m->taps[axis], step = m->x_step[axis], tap = m->x_tap[axis];
    if (taps <= 1) return (copy_axis){0, step, 1, 0, 0, taps};
    const int64_t start = smaller(0, (taps - 1) * tap);
    return (copy_axis){start, 1, step, tap, -start, taps};
}

/* What is copied next, fetched into L2 while tiles are computed: `each` pixels (a cache line, of 16 images) a tile. */
typedef struct {
    const float *x;                                       /* the next row */
    int64_t pixel, pixels, row, rows, left;               /* of it; rows of a channel; rows in all */
    int64_t step, width, plane, each;                     /* steps in x from pixel to pixel, row to row, channel to channel */
} conv2d_ahead;

/* Spreads what is left over so many tiles. */
static inline void conv2d_spread(conv2d_ahead *f, int64_t tiles) { f->each = ceil_div(f->left * f->pixels, tiles); }

static inline void conv2d_fetch(conv2d_ahead *f) {
    for (int64_t n = f->each; n > 0 && f->left; n--) {
        __builtin_prefetch(f->x + f->pixel * f->step, 0, 2);
        if (++f->pixel < f->pixels) continue;
        f->pixel = 0, f->left--, f->x += f->width;
        if (++f->row == f->rows) f->row = 0, f->x += f->plane - f->rows * f->width;
    }
}

typedef struct {
    copy_axis row, column;
    int64_t rows, columns, pitch, block;                  /* pixels of a chunk; vectors of a copied row; channels at once */
    int64_t entries, a_step, b_step, b_tap_step[2];       /* of the tables; from term to term, from tap to tap of an entry */
    int packs;                                            /* weights are copied: their channels lie far apart */
    int64_t *a_tap, *b_tap, *a_some, *b_some;             /* all taps; those of a tile at the border */
    slice inside[2];                                      /* pixels with no taps outside x: rows, columns */
    float *copy;
    conv2d_ahead ahead;
    tile_choice choice;
} conv2d_chunks;

/* The tables of taps [u) x [v); with a single channel only of u, v being terms. */
static int64_t conv2d_tables(const conv2d_map *m, const conv2d_chunks *c, slice u, slice v, int64_t *a_tap, int64_t *b_tap) {
    const int64_t v_end = m->channels == 1 ? smaller(v.end, v.begin + 1) : v.end;
    int64_t n = 0;
    for (int64_t i = u.begin; i < u.end; i++)
        for (int64_t k = v.begin; k < v_end; k++) {
            const int64_t line = c->row.tap0 + i * c->row.tap, column = c->column.tap0 + k * c->column.tap;
            a_tap[n] = (line * c->block * c->pitch + column) * IMAGES;
            b_tap[n++] = i * c->b_tap_step[0] + k * c->b_tap_step[1];
        }
    return n;
}

/* False if scratch is too small for a single pixel. */
static int conv2d_chunks_of(conv2d_chunks *c, const conv2d_map *m, float *scratch) {
    const int64_t taps = m->taps[0] * m->taps[1], capacity = (SCRATCH_FLOATS - 8 * taps) / IMAGES - 1;
    const int64_t unit = conv2d_unit(m);
    enum { ENOUGH = 6144 };                               /* vectors: leaves half of a 1 MB L2 to the rest */
    c->choice.shape = NULL;
    c->row = copy_axis_of(m, 0);
    c->column = copy_axis_of(m, 1);
    c->block = smaller(m->block, m->channels);
    c->rows = m->rows;
    if (c->row.taps > 1 && (c->row.tap * c->row.tap > 1 || c->row.pixel > c->row.taps)) {
        c->row = (copy_axis){0, m->x_tap[0], 0, 1, 0, m->taps[0]};    /* rows of one pixel row that lie apart */
        c->rows = 1;
        if (m->pool) return 0;
    }
    c->columns = m->columns;
    const int64_t least = copy_lines(&c->row, unit) * c->block;
    while (c->columns > unit && least * (copy_lines(&c->column, c->columns) | 1) > (c->columns > 32 ? ENOUGH : capacity))
        c->columns = conv2d_half(m, c->columns);
    c->pitch = copy_lines(&c->column, c->columns) | 1;
    while (c->rows > unit && copy_lines(&c->row, c->rows) * c->block * c->pitch > ENOUGH) c->rows = conv2d_half(m, c->rows);
    if (taps > SCRATCH_FLOATS / 16 || copy_lines(&c->row, c->rows) * c->block * c->pitch > capacity) return 0;
    c->packs = m->channels > 1 && m->w_channel >= 128 && c->rows * c->columns >= 8 && TILE_F * taps * c->block <= WEIGHTS;
    c->b_tap_step[0] = c->packs ? m->taps[1] * c->block : m->w_tap[0];
    c->b_tap_step[1] = c->packs ? c->block : m->w_tap[1];
    c->copy = scratch;
    c->a_tap = (int64_t *)(scratch + SCRATCH_FLOATS) - 4 * taps;
    c->b_tap = c->a_tap + taps, c->a_some = c->b_tap + taps, c->b_some = c->a_some + taps;
    c->entries = conv2d_tables(m, c, (slice){0, m->taps[0]}, (slice){0, m->taps[1]}, c->a_tap, c->b_tap);
    c->a_step = (m->channels == 1 ? c->column.tap : c->pitch) * IMAGES;
    c->b_step = c->packs ? 1 : m->channels == 1 ? m->w_tap[1] : m->w_channel;
    c->inside[0] = conv2d_inside(m, 0, m->height, m->rows);
    c->inside[1] = conv2d_inside(m, 1, m->width, m->columns);
    return 1;
}

static inline void copy_images(float *y, const float *x, int64_t count, int64_t x_step) {
    for (int64_t i = 0; i < count; i++)
        for (int k = 0; k < IMAGES; k += VF) vf_store(y + i * IMAGES + k, vf_load(x + i * x_step * IMAGES + k));
}

static inline void zero_images(float *y, int64_t count) {
    for (int64_t i = 0; i < count * IMAGES; i += VF) vf_store(y + i, vf_set1(0));
}

/* Which of `count` elements first + k step lie in [0, size). */
static inline slice copy_inside(int64_t first, int64_t step, int64_t count, int64_t size) {
    const int64_t before = smaller(count, first < 0 ? ceil_div(-first, step) : 0);
    return (slice){before, larger(before, smaller(count, first < size ? (size - 1 - first) / step + 1 : 0))};
}

/* x: the first channel of the block. */
static void conv2d_copy(const conv2d_map *m, const conv2d_chunks *c, const float *x, int64_t channels, const rectangle *at) {
    const int64_t lines = copy_lines(&c->row, at->lines), width = copy_lines(&c->column, at->cells);
    const int64_t row = m->x_first[0] + at->line * m->x_step[0] + c->row.start;
    const int64_t column = m->x_first[1] + at->cell * m->x_step[1] + c->column.start;
    const slice in = copy_inside(column, c->column.step, width, m->width);
    for (int64_t i = 0; i < channels; i++)
        for (int64_t k = 0; k < lines; k++) {
            float *y = c->copy + (k * c->block + i) * c->pitch * IMAGES;
            const int64_t line = row + k * c->row.step;
            if (line < 0 || line >= m->height) {
                zero_images(y, width);
                continue;
            }
            zero_images(y, in.begin);
            const float *from = x + ((i * m->height + line) * m->width + column + in.begin * c->column.step) * IMAGES;
            copy_images(y + in.begin * IMAGES, from, in.end - in.begin, c->column.step);
            zero_images(y + in.end * IMAGES, width - in.end);
        }
}

/* The rows or columns of x that are copied for so many pixels from `first` on: the first one, and how many c->step apart. */
static inline slice conv2d_copied(const conv2d_map *m, int axis, const copy_axis *c, int64_t size, int64_t first, int64_t pixels) {
    const int64_t begin = m->x_first[axis] + first * m->x_step[axis] + c->start, skip = begin < 0 ? ceil_div(-begin, c->step) : 0;
    const int64_t inside = begin < size ? (size - 1 - begin) / c->step + 1 : 0;
    return (slice){begin + skip * c->step, larger(0, smaller(inside, copy_lines(c, pixels)) - skip)};
}

/* What conv2d_copy will read of so many channels from x on. */
static conv2d_ahead conv2d_look_ahead(const conv2d_map *m, const conv2d_chunks *c, const rectangle *at, const float *x,
                                      int64_t channels) {
    const slice rows = conv2d_copied(m, 0, &c->row, m->height, at->line, at->lines);
    const slice columns = conv2d_copied(m, 1, &c->column, m->width, at->cell, at->cells);
    return (conv2d_ahead){
        .x = x + (rows.begin * m->width + columns.begin) * IMAGES, .step = c->column.step * IMAGES,
        .width = m->width * c->row.step * IMAGES, .plane = m->height * m->width * IMAGES,
        .pixels = columns.end, .rows = rows.end, .left = rows.end * channels};
}

/* The taps of a tile whose pixels lie in rows [top, bottom] and columns [left, right] of the grid, without those that lie
   outside x for all of them. */
static inline void conv2d_tile_taps(tile *t, const conv2d_map *m, const conv2d_chunks *c, int64_t top, int64_t bottom,
                                    int64_t left, int64_t right) {
    const slice *rows = &c->inside[0], *columns = &c->inside[1];
    t->a_tap = c->a_tap, t->b_tap = c->b_tap, t->taps = c->entries;
    if (m->channels == 1) t->count = m->taps[1];
    if (top >= rows->begin && bottom < rows->end && left >= columns->begin && right < columns->end) return;
    const slice u = conv2d_taps_inside(m, 0, m->height, top, bottom), v = conv2d_taps_inside(m, 1, m->width, left, right);
    t->a_tap = c->a_some, t->b_tap = c->b_some;
    t->taps = conv2d_tables(m, c, u, v, c->a_some, c->b_some);
    if (m->channels == 1) t->count = v.end - v.begin;
}

/* Whether tiles of p pixels had better begin anew in each row, as more taps at the border can be left out then.
   inside: columns with no tap outside. */
static int conv2d_rowwise(const conv2d_map *m, const rectangle *at, const slice *inside, int64_t p) {
    int64_t taps = 0;
    if (at->cell >= inside->begin && at->cell + at->cells <= inside->end) return 0;
    for (int64_t q = 0; q < at->cells; q += p) {
        const slice v = conv2d_taps_inside(m, 1, m->width, at->cell + q, at->cell + smaller(q + p, at->cells) - 1);
        taps += (v.end - v.begin) * p;
    }
    return taps < at->cells * m->taps[1];
}

/* Fetches what the next tile will write to. */
static inline void conv2d_reach(const tile *t, const tile_shape *shape) {
    for (int f = 0; f < shape->f; f++)
        for (int i = 0; i < shape->p; i++) __builtin_prefetch(t->y + t->y_f[f] + t->y_p[i] + shape->p * VF);
}

/* Where a run of vectors stands: at vector k of `width` in a row of the chunk, whose pixels begin at a and y. */
typedef struct { int64_t row, k, width, a_row, a_column, y_row, y_column, y; const float *a; } conv2d_walk;

static inline void conv2d_place(tile *t, int i, const conv2d_walk *w, int64_t k) {
    t->a[i] = w->a + (uint64_t)k / PIECES * w->a_column + (uint64_t)k % PIECES * VF;
    t->y_p[i] = w->y + (uint64_t)k / PIECES * w->y_column + (uint64_t)k % PIECES * VF;
}

static inline void conv2d_step(conv2d_walk *w, int64_t count) {
    w->k += count;
    if (w->k == w->width) w->k = 0, w->row++, w->a += w->a_row, w->y += w->y_row;
}

/* Tiles of t's filters over the vectors of `at` from pixel (row, 0) on, `run` of them: whole rows. */
static void conv2d_tile_run(tile *t, const tile_shape *shape, const conv2d_map *m, conv2d_chunks *c, const rectangle *at,
                            int64_t row, int64_t run) {
    conv2d_walk w = {.row = row, .width = at->cells * PIECES, .a_row = c->row.pixel * c->block * c->pitch * IMAGES,
                     .a_column = c->column.pixel * IMAGES, .y_row = m->y_step[0] * m->y_width * IMAGES,
                     .y_column = m->y_step[1] * IMAGES};
    w.a = c->copy + row * w.a_row;
    w.y = (m->y_first[0] * m->y_width + m->y_first[1]) * IMAGES + (at->line + row) * w.y_row + at->cell * w.y_column;
    const int reaches = !t->add && c->entries * t->count >= 48;        /* else it costs more than it saves */
    const tile_shape *shorter = tile_for(shape, run % shape->p);
    for (int64_t p = 0; p < run; p += shape->p) {
        const tile_shape *s = run - p < shape->p ? shorter : shape;
        const int64_t top = w.row, left = w.k / PIECES;
        int64_t bottom = top, right = (w.k + s->p - 1) / PIECES;
        if (w.k + s->p <= w.width) {
            for (int i = 0; i < s->p; i++) conv2d_place(t, i, &w, w.k + i);
            conv2d_step(&w, s->p);
        } else {
            for (int i = 0; i < s->p; i++) {
                conv2d_place(t, i, &w, w.k);
                if (p + i + 1 >= run) continue;           /* the last vector again */
                bottom = w.row;
                conv2d_step(&w, 1);
            }
            if (p + s->p >= run) bottom = w.row;
            right = smaller(right, at->cells - 1);
        }
        if (bottom > top) conv2d_tile_taps(t, m, c, at->line + top, at->line + bottom, at->cell, at->cell + at->cells - 1);
        else conv2d_tile_taps(t, m, c, at->line + top, at->line + top, at->cell + left, at->cell + right);
        conv2d_fetch(&c->ahead);
        if (reaches) conv2d_reach(t, s);
        s->run[TILE_VS](t);
    }
}

/* The same with pooling: a tile's pixels are windows of the rows (row, row + 1), side by side. */
static void conv2d_pool_run(tile *t, const tile_shape *shape, const conv2d_map *m, conv2d_chunks *c, const rectangle *at,
                            int64_t row) {
    const int64_t a_row = c->row.pixel * c->block * c->pitch * IMAGES, a_column = c->column.pixel * IMAGES;
    const int64_t windows = at->cells / 2 * PIECES, y = ((at->line + row) / 2 * m->y_width + at->cell / 2) * IMAGES;
    const float *a = c->copy + row * a_row;
    for (int64_t first = 0; first < windows; first += shape->p / 4) {
        const int64_t last = smaller(first + shape->p / 4, windows) - 1;
        for (int i = 0; i < shape->p; i++) {
            const int64_t window = smaller(first + i / 4, last), q = window / PIECES, piece = window % PIECES * VF;
            t->a[i] = a + i / 2 % 2 * a_row + (2 * q + i % 2) * a_column + piece;
            t->y_p[i] = y + q * IMAGES + piece;
        }
        conv2d_tile_taps(t, m, c, at->line + row, at->line + row + 1, at->cell + first / PIECES * 2,
                         at->cell + last / PIECES * 2 + 1);
        conv2d_fetch(&c->ahead);
        shape->run[TILE_VS](t);
    }
}

/* The weights of some filters and `channels` as [filter][tap][channel]: from their places, a multiple of 4 KB apart maybe, they
   would drive one another out of the cache at every use. */
static void conv2d_weights(float *y, const float *w, const conv2d_map *m, const conv2d_chunks *c, int64_t filters,
                           int64_t channels) {
    const int64_t area = m->taps[0] * m->taps[1], run = filters * area;
    if (m->w_filter == area && m->w_tap[0] == m->taps[1] && m->w_tap[1] == 1 && channels % 16 == 0) {     /* a matrix turned */
        for (int64_t i = 0; i < channels; i += 16)
            for (int64_t k = 0; k < run; k += 16)
                transpose_block(y + k * c->block + i, c->block, w + i * m->w_channel + k, m->w_channel, 16, smaller(16, run - k));
        return;
    }
    for (int64_t f = 0; f < filters; f++)
        for (int64_t i = 0; i < channels; i++)
            for (int64_t t = 0; t < area; t++)
                y[(f * area + t) * c->block + i] =
                    w[f * m->w_filter + i * m->w_channel + t / m->taps[1] * m->w_tap[0] + t % m->taps[1] * m->w_tap[1]];
}

/* Tiles over the pixels `at` and filters [first, end) of group g, for the channels that begin at `channel`. */
static void conv2d_tiles(const conv2d_map *m, conv2d_chunks *c, const rectangle *at, int64_t g, int64_t channel,
                         int64_t first, int64_t end) {
    const int64_t vectors = at->lines * at->cells * PIECES, plane = m->y_height * m->y_width * IMAGES;
    const int64_t offset = g * m->filters * plane;
    const int64_t run = m->pool ? 2 * at->cells * PIECES : vectors;
    const tile_shape *shape = tile_chosen(&c->choice, TILE_VS, end - first, run, m->pool ? 4 : 1);
    const int last = channel + c->block >= m->channels;
    const int rowwise = conv2d_rowwise(m, at, &c->inside[1], ceil_div(shape->p, PIECES));
    const int64_t terms = m->taps[0] * m->taps[1] * c->block;
    float bias[TILE_F], scale[TILE_F], shift[TILE_F], weights[WEIGHTS];
    tile t = {.count = smaller(c->block, m->channels - channel), .a_step = c->a_step, .b_step = c->b_step, .add = channel > 0,
              .y = m->y + offset, .bias = last && m->bias ? bias : NULL,
              .scale = last && m->scale ? scale : NULL, .shift = shift,
              .residual = last && m->residual ? m->residual + offset : NULL, .relu = last && m->relu, .pool = m->pool,
              .mask = last && m->mask ? m->mask + offset : NULL};
    const int64_t tiles = ceil_div(end - first, shape->f) *
                          (rowwise && !m->pool ? at->lines * ceil_div(at->cells * PIECES, shape->p) : ceil_div(vectors, shape->p));
    if (c->ahead.left) conv2d_spread(&c->ahead, tiles);
    const float *w = m->weight + g * m->w_group + channel * m->w_channel;
    for (int64_t f = first; f < end; f += shape->f) {
        if (c->packs) conv2d_weights(weights, w + f * m->w_filter, m, c, smaller(shape->f, end - f), t.count);
        for (int i = 0; i < shape->f; i++) {
            const int64_t filter = smaller(f + i, end - 1);
            t.b[i] = w + filter * m->w_filter;
            if (c->packs) t.b[i] = weights + (filter - f) * terms;
            t.y_f[i] = filter * plane;
            if (m->bias) bias[i] = m->bias[g * m->filters + filter];
            if (m->scale) scale[i] = m->scale[g * m->filters + filter], shift[i] = m->shift[g * m->filters + filter];
        }
        if (m->pool) for (int64_t r = 0; r < at->lines; r += 2) conv2d_pool_run(&t, shape, m, c, at, r);
        else if (!rowwise) conv2d_tile_run(&t, shape, m, c, at, 0, vectors);
        else for (int64_t r = 0; r < at->lines; r++) conv2d_tile_run(&t, shape, m, c, at, r, at->cells * PIECES);
    }
}

/* A chunk's pixels, and which block of channels. */
typedef struct { rectangle at; int64_t channel; } conv2d_chunk;

/* The next one, for pixels in rows < end; false when none is left. */
static int conv2d_next(const conv2d_map *m, const conv2d_chunks *c, conv2d_chunk *chunk, int64_t end) {
    rectangle *at = &chunk->at;
    chunk->channel += c->block;
    if (chunk->channel < m->channels) return 1;
    chunk->channel = 0, at->cell += c->columns;
    if (at->cell >= m->columns) at->cell = 0, at->line += c->rows;
    at->lines = smaller(c->rows, end - at->line), at->cells = smaller(c->columns, m->columns - at->cell);
    return at->line < end;
}

/* One part of the map's pixels and filters. False if it needs conv2d_any. */
static int conv2d_batch(const conv2d_map *m, const job *j) {
    enum { FILTERS = 16 };                                /* the unit of filters */
    conv2d_chunks c;
    if (!conv2d_chunks_of(&c, m, j->scratch)) return 0;
    const int64_t cells = ceil_div(m->filters, FILTERS), lines = m->rows / conv2d_unit(m), units = m->groups * lines * cells;
    int64_t unit = units * j->part / j->parts;
    rectangle r;
    while (next_rectangle(&r, &unit, units * (j->part + 1) / j->parts, cells, lines)) {
        const int64_t g = r.line / lines, top = r.line % lines * conv2d_unit(m), rows = r.lines * conv2d_unit(m);
        const int64_t first = r.cell * FILTERS, end = smaller(m->filters, (r.cell + r.cells) * FILTERS);
        const int64_t plane = m->height * m->width * IMAGES;
        const float *x = m->x + g * m->channels * plane;
        conv2d_chunk now = {{top, smaller(c.rows, rows), 0, smaller(c.columns, m->columns)}, 0};
        for (int more = 1; more; ) {
            const conv2d_chunk this = now;
            conv2d_copy(m, &c, x + this.channel * plane, smaller(c.block, m->channels - this.channel), &this.at);
            more = conv2d_next(m, &c, &now, top + rows);
            c.ahead = (conv2d_ahead){0};
            if (more && end - first >= FILTERS)           /* for few filters copies take the time */
                c.ahead = conv2d_look_ahead(m, &c, &now.at, x + now.channel * plane,
                                            smaller(c.block, m->channels - now.channel));
            conv2d_tiles(m, &c, &this.at, g, this.channel, first, end);
        }
    }
    return 1;
}
#endif
