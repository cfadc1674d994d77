/* conv2d_backward_weight for few images: x is copied as in conv2d_image.h, so that each tap (channel, u, v) of a block of output
   pixels lies a fixed distance from the next. Lanes are filters, dy being turned and x's pixels broadcast, or, where that takes
   fewer vectors, pixels that run on over the ends of rows, where dy's copy holds zeros. Sums wait in scratch. */
#ifndef FASTNN_CONV2D_WEIGHT_IMAGE_H
#define FASTNN_CONV2D_WEIGHT_IMAGE_H
#include "conv2d_image.h"

enum { PIXEL_CHAIN = 1024, FILTER_CHAIN = 128 };          /* pixels of a block, by what lanes are */
enum { WEIGHT_SUMS = 1 << 16, WEIGHT_DY = 1 << 15, WEIGHT_TAP = 1 << 13, WEIGHT_SLACK = 64 };    /* floats of scratch */

typedef struct {
    const conv2d_map *m;
    conv2d_planes c;                                      /* of a block of pixels */
    rows x, dy;
    tile_choice choice;
    int64_t n;
    int by_filter;                                        /* lanes are filters */
    int64_t pitch;                                        /* of dy's copy: floats a filter, or a pixel where lanes are filters */
    int64_t *tap;                                         /* where each tap of a part begins in the copy of x */
    float *sums, *turned;                                 /* 16 floats a weight, or one; dy's copy */
} weight_image;

/* The blocks, by the shape alone; false if scratch is too small for a single pixel of two channels. */
static int weight_image_of(weight_image *p, const conv2d_map *m, float *scratch) {
    enum { CAPACITY = SCRATCH_FLOATS - WEIGHT_SUMS - WEIGHT_DY - WEIGHT_TAP - 2 * WEIGHT_SLACK };
    conv2d_planes *c = &p->c;
    *c = (conv2d_planes){.row = plane_axis_of(m, 0), .column = plane_axis_of(m, 1)};
    const int64_t pixels = m->rows * m->columns, flat = m->rows * (m->columns + c->column.more);
    const int64_t taps = m->channels * m->taps[0] * m->taps[1];
    /* beside the vectors of products: turning dy; adding up lanes */
    p->by_filter = ceil_div(m->filters, 16) * pixels * (taps + 4) < m->filters * taps * (ceil_div(flat, 16) + 5);
    const int64_t limit = p->by_filter ? FILTER_CHAIN : PIXEL_CHAIN;
    c->columns = smaller(m->columns, limit);
    c->rows = larger(1, smaller(m->rows, limit / (c->columns + (p->by_filter ? 0 : c->column.more))));
    if (c->columns < m->columns) c->rows = 1;
    for (;;) {
        conv2d_planes_size(c);
        if (2 * c->channel <= CAPACITY) break;
        if (c->rows > 1) c->rows = ceil_div(c->rows, 2);
        else if (c->columns > 1) c->columns = ceil_div(c->columns, 2);
        else return 0;
    }
    p->m = m;
    p->sums = scratch;
    p->turned = scratch + WEIGHT_SUMS;
    p->tap = (int64_t *)(p->turned + WEIGHT_DY + WEIGHT_SLACK);
    c->copy = (float *)p->tap + WEIGHT_TAP;
    return 1;
}

/* dy of filters from `dy` on as [filter][pixel], zeros where the planes hold what is between two rows. */
static void weight_image_spread(weight_image *p, const float *dy, int64_t filters, const rectangle *at, int64_t vectors) {
    p->pitch = vectors * 16 + (vectors % 16 ? 0 : 16);
    const int whole = p->c.width == p->m->columns;        /* rows follow one another in dy, and here */
    const int64_t lines = whole ? 1 : at->lines, cells = whole ? at->lines * at->cells : at->cells;
    for (int64_t f = 0; f < filters; f++)
        for (int64_t r = 0; r < lines; r++) {
            const float *from = dy + (f * p->m->rows + at->line + r) * p->m->columns + at->cell;
            float *to = p->turned + f * p->pitch + r * p->c.width;
            const int64_t end = r + 1 < lines ? p->c.width : vectors * 16 - r * p->c.width;
            for (int64_t i = 0; i < end; i += VF)         /* what is written past the end is overwritten later */
                vf_store(to + i, i < cells ? vf_load_run(from + i, cells - i) : vf_set1(0));
        }
}

/* The same as [pixel][filter]. */
static void weight_image_turn(weight_image *p, const float *dy, int64_t filters, const rectangle *at) {
    const int64_t plane = p->m->rows * p->m->columns, pixels = at->lines * at->cells;
    dy += at->line * p->m->columns + at->cell;
    p->pitch = ceil_div(filters, 16) * 16;
    for (int64_t f = 0; f < filters; f += 16)
        for (int64_t i = 0; i < pixels; i += 16)
            transpose_block(p->turned + i * p->pitch + f, p->pitch, dy + f * plane + i, plane, smaller(16, filters - f),
                            smaller(16, pixels - i));
}

/* The chains of a block where lanes are pixels. */
static void weight_image_pixels(weight_image *p, int64_t vectors, const rectangle *part, int add) {
    static const int64_t none[1] = {0};
    const tile_shape *shape = tile_chosen(&p->choice, TILE_VV, part->cells <= 6 ? part->cells : 4, part->lines, 1);
    tile t = {.a_tap = none, .b_tap = none, .taps = 1, .count = vectors, .a_step = 16, .b_step = 16, .add = add, .lanes = VF};
    for (int64_t f = 0; f < part->cells; f += shape->f)
        for (int piece = 0; piece < 16; piece += VF) {
            t.y = p->sums + f * part->lines * 16 + piece;
            for (int i = 0; i < shape->f; i++) {
                const int64_t filter = smaller(i, part->cells - 1 - f);
                t.b[i] = p->turned + (f + filter) * p->pitch + piece;
                t.y_f[i] = filter * part->lines * 16;
            }
            for (int64_t k = 0; k < part->lines; k += shape->p) {
                for (int i = 0; i < shape->p; i++) {
                    const int64_t tap = smaller(k + i, part->lines - 1);
                    t.a[i] = p->c.copy + p->tap[tap] + piece;
                    t.y_p[i] = tap * 16;
                }
                shape->run[TILE_VV](&t);
            }
        }
}

/* The same where they are filters. */
static void weight_image_filters(weight_image *p, const rectangle *at, const rectangle *part, int add) {
    const int64_t vectors = p->pitch / VF;
    const tile_shape *shape = tile_chosen(&p->choice, TILE_VS, part->lines, vectors, 1);
    const int flat = p->c.width == at->cells;             /* one row */
    int64_t a_tap[FILTER_CHAIN], b_tap[FILTER_CHAIN];
    tile t = {.a_tap = a_tap, .b_tap = b_tap, .taps = flat ? 1 : at->lines, .count = flat ? at->lines * at->cells : at->cells,
              .a_step = p->pitch, .b_step = 1, .add = add, .y = p->sums};
    for (int64_t r = 0; r < t.taps; r++) a_tap[r] = r * at->cells * p->pitch, b_tap[r] = r * p->c.width;
    for (int64_t k = 0; k < part->lines; k += shape->f) {
        for (int i = 0; i < shape->f; i++) {
            const int64_t tap = smaller(k + i, part->lines - 1);
            t.b[i] = p->c.copy + p->tap[tap];
            t.y_f[i] = tap * p->pitch;
        }
        for (int64_t f = 0; f < vectors; f += shape->p) {
            for (int i = 0; i < shape->p; i++) {
                t.y_p[i] = smaller(f + i, vectors - 1) * VF;
                t.a[i] = p->turned + t.y_p[i];
            }
            shape->run[TILE_VS](&t);
        }
    }
}

static void weight_image_finish(const weight_image *p, const rectangle *part, float *dweight) {
    const int64_t all = p->m->channels * p->m->taps[0] * p->m->taps[1];
    float block[16 * 16] __attribute__((aligned(64)));
    dweight += part->cell * all + part->line;
    if (!p->by_filter) {
        for (int64_t f = 0; f < part->cells; f++)
            for (int64_t k = 0; k < part->lines; k++) dweight[f * all + k] = tree_sum(p->sums + (f * part->lines + k) * 16);
        return;
    }
    const int64_t pitch = ceil_div(part->cells, 16) * 16;
    for (int64_t f = 0; f < part->cells; f += 16)
        for (int64_t k = 0; k < part->lines; k += 16) {
            const int64_t count = smaller(16, part->lines - k);
            transpose_block(block, 16, p->sums + k * pitch + f, pitch, count, 16);
            for (int64_t i = 0; i < smaller(16, part->cells - f); i++)
                for (int64_t l = 0; l < count; l += VF)
                    vf_store_run(dweight + (f + i) * all + k + l, vf_load(block + i * 16 + l), count - l);
        }
}

/* dweight of a rectangle of group g: lines are taps, cells are filters. */
static void weight_image_part(weight_image *p, const rectangle *part, int64_t g, float *dweight) {
    const conv2d_map *m = p->m;
    conv2d_planes *c = &p->c;
    const int64_t area = m->taps[0] * m->taps[1], plane = m->height * m->width, first = part->line / area;
    conv2d_map some = *m;                                 /* the channels of this part */
    some.channels = (part->line + part->lines - 1) / area + 1 - first;
    for (int64_t i = 0; i < part->lines; i++) {
        const int64_t tap = (part->line + i) % area, channel = (part->line + i) / area - first;
        p->tap[i] = channel * c->channel + conv2d_plane_row(c, tap / m->taps[1]) + conv2d_plane_column(c, tap % m->taps[1]);
    }
    if (!p->by_filter)                                    /* vectors reach past the planes' ends: zeros times numbers */
        for (int64_t i = 0; i < some.channels * c->channel + WEIGHT_SLACK; i += VF) vf_store(c->copy + i, vf_set1(0));
    if (!p->n) __builtin_memset(p->sums, 0, WEIGHT_SUMS * sizeof(float));
    int add = 0;
    for (int64_t n = 0; n < p->n; n++) {
        const float *x = p->x.p + n * p->x.stride + (g * m->channels + first) * plane;
        const float *dy = p->dy.p + n * p->dy.stride + (g * m->filters + part->cell) * m->rows * m->columns;
        for (int64_t row = 0; row < m->rows; row += c->rows)
            for (int64_t column = 0; column < m->columns; column += c->columns, add = 1) {
                const rectangle at = {row, smaller(c->rows, m->rows - row), column, smaller(c->columns, m->columns - column)};
                const int64_t vectors = ceil_div((at.lines - 1) * c->width + at.cells, 16);
                conv2d_planes_copy(&some, c, x, &at);
                if (p->by_filter) {
                    weight_image_turn(p, dy, part->cells, &at);
                    weight_image_filters(p, &at, part, add);
                } else {
                    weight_image_spread(p, dy, part->cells, &at, vectors);
                    weight_image_pixels(p, vectors, part, add);
                }
            }
    }
    weight_image_finish(p, part, dweight);
}

/* One weight at a time, for windows too large to be copied. */
static void weight_image_any(const weight_image *p, const conv2d_map *m, const job *j, float *dweight) {
    const int64_t area = m->taps[0] * m->taps[1], all = m->channels * area;
    const slice s = slice_of(j, m->groups * m->filters * all, 1);
    for (int64_t i = s.begin; i < s.end; i++) {
        const int64_t filter = i / all, channel = filter / m->filters * m->channels + i % all / area;
        const int64_t u = i % area / m->taps[1], v = i % m->taps[1];
        float total = 0;
        for (int64_t n = 0; n < p->n; n++)
            for (int64_t row = 0; row < m->rows; row++) {
                const int64_t line = m->x_first[0] + row * m->x_step[0] + u * m->x_tap[0];
                const float *x = p->x.p + n * p->x.stride + (channel * m->height + line) * m->width;
                const float *dy = p->dy.p + n * p->dy.stride + (filter * m->rows + row) * m->columns;
                float sum = 0;
                for (int64_t q = 0; q < m->columns && line >= 0 && line < m->height; q++) {
                    const int64_t column = m->x_first[1] + q * m->x_step[1] + v * m->x_tap[1];
                    if (column >= 0 && column < m->width) sum = sf_fma(x[column], dy[q], sum);
                }
                total += sum;
            }
        dweight[i] = total;
    }
}

static void conv2d_weight_image(const conv2d_backward_weight_args *a, const job *j) {
    enum { TAPS = 8 };                                    /* units that parts are cut in */
    conv2d_map m;
    conv2d_weight_map(&m, a);
    weight_image p = {.x = a->x, .dy = a->dy, .n = j->n};
    if (!weight_image_of(&p, &m, j->scratch)) {
        weight_image_any(&p, &m, j, a->dweight);
        return;
    }
    const int64_t area = m.taps[0] * m.taps[1], taps = m.channels * area, some = p.by_filter ? 16 : 4;
    const int64_t lines = ceil_div(taps, TAPS), cells = ceil_div(m.filters, some), units = m.groups * lines * cells;
    const int64_t room = (j->scratch + SCRATCH_FLOATS - WEIGHT_SLACK - p.c.copy) / p.c.channel;            /* channels */
    int64_t unit = units * j->part / j->parts;
    rectangle r;
    while (next_rectangle(&r, &unit, units * (j->part + 1) / j->parts, cells, lines)) {
        const int64_t g = r.line / lines, first = r.line % lines * TAPS, end = smaller(taps, first + r.lines * TAPS);
        const int64_t filter_end = smaller(m.filters, (r.cell + r.cells) * some);
        for (int64_t filter = r.cell * some; filter < filter_end; filter += 4 * some) {
            const int64_t filters = smaller(4 * some, filter_end - filter);
            const int64_t sums = p.by_filter ? WEIGHT_SUMS / (ceil_div(filters, 16) * 16) : WEIGHT_SUMS / 16 / filters;
            const int64_t step = smaller(smaller(sums, WEIGHT_TAP / 2), (room - 1) * area);
            for (int64_t tap = first; tap < end; tap += step)
                weight_image_part(&p, &(rectangle){tap, smaller(step, end - tap), filter, filters}, g,
                                  (float *)a->dweight + g * m.w_group);
        }
    }
}
#endif
