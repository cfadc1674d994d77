/* Winograd for one image: lanes are 16 channels on the way to V, 16 filters from U on. Pixels are turned by transposing blocks
   of 16 x 16 in registers, before the first transform and after the last. */
#ifndef FASTNN_WINOGRAD_IMAGE_H
#define FASTNN_WINOGRAD_IMAGE_H
#include "winograd_batch.h"

/* m[p][f] = sum over c < count of v[p * v_step + c] u[f][c * 16], chains of `chain` channels: p tiles broadcast, f vectors of
   filters, of which 16 at a time are u_step apart. */
typedef void winograd_image_product(const float *u, int64_t u_step, const float *v, int64_t v_step, float *m, int64_t m_step,
                                    int64_t count, int64_t chain);

INLINE void winograd_image_body(const float *u, int64_t u_step, const float *v, int64_t v_step, float *m, int64_t m_step,
                                int64_t count, int64_t chain, const int F, const int P) {
    for (int64_t c = 0; c < count; c += chain) {
        vf sum[4][8];
        UNROLL TILE_EACH sum[f][p] = vf_set1(0);
        for (int64_t i = c; i < smaller(count, c + chain); i++) {
            vf b[4];
            UNROLL for (int f = 0; f < F; f++) b[f] = vf_held(vf_load(u + f * VF / 16 * u_step + f * VF % 16 + i * 16));
            UNROLL for (int p = 0; p < P; p++) {
                const vf a = tile_load(v + p * v_step + i, 1, F);
                UNROLL for (int f = 0; f < F; f++) sum[f][p] = vf_fma(a, b[f], sum[f][p]);
            }
        }
        if (c) UNROLL TILE_EACH sum[f][p] = vf_load(m + p * m_step + f * VF) + sum[f][p];
        UNROLL TILE_EACH vf_store(m + p * m_step + f * VF, sum[f][p]);
    }
}

/* The shapes (vectors of filters, tiles). */
#if VF_REGISTERS < 32
#define WINOGRAD_IMAGE_SHAPES(X) X(2, 6) X(2, 4) X(2, 2) X(2, 1)
#elif defined(__AVX512F__)
#define WINOGRAD_IMAGE_SHAPES(X) X(4, 6) X(4, 4) X(4, 2) X(4, 1) X(2, 8) X(2, 4) X(2, 2) X(2, 1) X(1, 8) X(1, 4) X(1, 2) X(1, 1)
#else
#define WINOGRAD_IMAGE_SHAPES(X) X(4, 6) X(4, 4) X(4, 2) X(4, 1)
#endif
#define WINOGRAD_IMAGE_FUNCTION(F, P) \
    static void winograd_image_##F##x##P(const float *u, int64_t u_step, const float *v, int64_t v_step, float *m, \
                                         int64_t m_step, int64_t count, int64_t chain) { \
        winograd_image_body(u, u_step, v, v_step, m, m_step, count, chain, F, P); \
    }
WINOGRAD_IMAGE_SHAPES(WINOGRAD_IMAGE_FUNCTION)
typedef struct { int vectors, tiles; winograd_image_product *run; } winograd_image_shape;
#define WINOGRAD_IMAGE_ENTRY(F, P) {F, P, winograd_image_##F##x##P},
static const winograd_image_shape winograd_image_shapes[] = {WINOGRAD_IMAGE_SHAPES(WINOGRAD_IMAGE_ENTRY)};

/* The shape for so many vectors of filters and tiles: never more than there are of either. */
static const winograd_image_shape *winograd_image_choose(int64_t vectors, int64_t tiles) {
    const winograd_image_shape *best = NULL;
    int64_t best_cost = INT64_MAX;
    for (size_t i = 0; i < sizeof winograd_image_shapes / sizeof *winograd_image_shapes; i++) {
        const winograd_image_shape *s = &winograd_image_shapes[i];
        const int64_t cost = ceil_div(tiles, s->tiles) * ceil_div(vectors, s->vectors) * larger(8, s->vectors * s->tiles + 2);
        if (s->vectors <= vectors && s->tiles <= tiles && cost < best_cost) best = s, best_cost = cost;
    }
    return best;
}

/* A rectangle of tiles, and how much of it is done at once. */
typedef struct {
    winograd_plan p;
    int64_t lines, cells;                                 /* rows of tiles, tiles of a row, of a block */
    int64_t v_tile, m_tile;                               /* floats of a tile: all channels, the filters at once */
    float *strip;                                         /* pixels with 16 channels or filters in the lanes */
} winograd_image_plan;

static int64_t winograd_image_strip(const winograd_forward_args *a, int64_t lines, int64_t cells) {
    return 16 * larger((4 * lines + 2) * a->width, 16 * lines * cells);
}

static winograd_image_plan winograd_image_plan_of(const winograd_forward_args *a, int64_t lines, float *scratch) {
    enum { ROOM = SCRATCH_FLOATS - 2 * 16 * WINOGRAD_AREA - 6 * IMAGES };
    winograd_image_plan q = {.p = {.a = a, .across = ceil_div(a->out_width, WINOGRAD_OUT), .v = scratch}};
    q.p.filters = smaller(64, ceil_div(a->filters, 16) * 16);
    q.v_tile = ceil_div(a->channels, 16) * 16;
    q.lines = lines, q.cells = q.p.across;
    while (WINOGRAD_AREA * q.lines * q.cells * (q.v_tile + q.p.filters) + winograd_image_strip(a, q.lines, q.cells) > ROOM) {
        if (q.lines > 1) q.lines = ceil_div(q.lines, 2);
        else q.cells = ceil_div(q.cells, 2);
    }
    q.p.block = q.lines * q.cells;
    const int64_t most = ROOM - winograd_image_strip(a, q.lines, q.cells) - WINOGRAD_AREA * q.p.block * q.v_tile;
    q.p.filters = smaller(ceil_div(a->filters, 16) * 16, most / (WINOGRAD_AREA * q.p.block) / 64 * 64);
    if (q.p.filters == 0) q.p.filters = most / (WINOGRAD_AREA * q.p.block) / 16 * 16;
    q.m_tile = q.p.filters;
    q.p.v_step = q.p.block * q.v_tile + 16;
    q.p.m_step = q.p.block * q.m_tile + 16;
    q.p.m = q.p.v + WINOGRAD_AREA * q.p.v_step;
    q.p.zeros = q.p.m + WINOGRAD_AREA * q.p.m_step;
    q.strip = q.p.zeros + 6 * IMAGES;
    zero_images(q.p.zeros, 6);
    return q;
}

/* V of the tiles at: 16 channels at a time. */
static void winograd_image_input(const winograd_image_plan *q, const float *x, const rectangle *at) {
    const winograd_forward_args *a = q->p.a;
    const int64_t row = larger(0, at->line * WINOGRAD_OUT - a->padding[0]), plane = a->height * a->width;
    const int64_t end = smaller(a->height, (at->line + at->lines) * WINOGRAD_OUT - a->padding[0] + 2);
    const int64_t pixels = larger(0, end - row) * a->width;
    for (int64_t c = 0; c < a->channels; c += 16) {
        for (int64_t i = 0; i < pixels; i += 16)
            transpose_block(q->strip + i * 16, 16, x + c * plane + row * a->width + i, plane, smaller(16, a->channels - c),
                            smaller(16, pixels - i));
        for (int64_t t = 0; t < at->lines; t++)
            winograd_windows(&q->p, q->strip, row, 0, 1, (at->line + t) * q->p.across + at->cell, at->cells,
                             q->p.v + t * at->cells * q->v_tile + c, 0, q->v_tile);
    }
}

static void winograd_image_products(const winograd_image_plan *q, int64_t filter, int64_t filters, int64_t tiles) {
    const int64_t channels = q->p.a->channels, u_step = ceil_div(q->p.a->filters, 16) * channels * 16;
    const int64_t vectors = ceil_div(filters, 16) * 16 / VF;
    for (int k = 0; k < WINOGRAD_AREA; k++) {
        const winograd_image_shape *s;
        for (int64_t f = 0; f < vectors; f += s->vectors) {
            s = winograd_image_choose(vectors - f, tiles);
            const float *u = (const float *)q->p.a->packed + k * u_step + (filter + f * VF) / 16 * 16 * channels + f * VF % 16;
            for (int64_t t = 0; t < tiles; t += s->tiles) {
                const int64_t tile = smaller(t, tiles - s->tiles);    /* the last ones again */
                s->run(u, channels * 16, q->p.v + k * q->p.v_step + tile * q->v_tile, q->v_tile,
                       q->p.m + k * q->p.m_step + tile * q->m_tile + f * VF, q->m_tile, channels, winograd_chain(channels));
            }
        }
    }
}

/* Pixels of 16 filters at most, turned and finished; first: where y's first one of the first filter is. */
static void winograd_image_pixels(const winograd_forward_args *a, const float *strip, int64_t filter, int64_t count,
                                  const winograd_rows *g, int64_t first) {
    const int64_t plane = a->out_height * a->out_width, filters = smaller(16, a->filters - filter);
    float turned[16 * 16];
    for (int64_t i = 0; i < count; i += 16) {
        transpose_block(turned, 16, strip + i * 16, 16, smaller(16, count - i), 16);
        for (int64_t f = 0; f < filters; f++) {
            const vf bias = vf_set1(a->bias ? ((const float *)a->bias)[filter + f] : -0.0f);
            const vf scale = vf_set1(a->scale ? ((const float *)a->scale)[filter + f] : 1.0f);
            const vf shift = vf_set1(a->scale ? ((const float *)a->shift)[filter + f] : -0.0f);
            for (int64_t k = 0; k < smaller(16, count - i); k += VF) {
                vf value = vf_load(turned + f * 16 + k) + bias;
                const int64_t at = first + f * plane + i + k, left = count - i - k;
                if (a->scale) value = vf_fma(value, scale, shift);
                if (g->residual) value = value + vf_load_run(g->residual + at, left);
                if (a->relu) value = vf_masked(value, value);
                if (g->mask) value = vf_masked(value, vf_load_run(g->mask + at, left));
                vf_store_run(g->y + at, value, left);
            }
        }
    }
}

/* The same of max-pooled pixels: 2x2 of each tile, with bias, scale and ReLU before, filters in the lanes. */
static void winograd_image_pool(const winograd_image_plan *q, const rectangle *at, int64_t filter, const float *m,
                                const winograd_rows *g) {
    const winograd_forward_args *a = q->p.a;
    const int64_t top = at->line * 2, left = at->cell * 2, width = at->cells * 2;
    winograd_forward_args pooled = {.filters = a->filters, .out_height = a->out_height / 2, .out_width = a->out_width / 2};
    for (int piece = 0; piece < 16; piece += VF) {
        const int64_t some = larger(0, a->filters - filter - piece);
        const vf bias = a->bias ? vf_load_run((const float *)a->bias + filter + piece, some) : vf_set1(-0.0f);
        const vf scale = a->scale ? vf_load_run((const float *)a->scale + filter + piece, some) : vf_set1(1.0f);
        const vf shift = a->scale ? vf_load_run((const float *)a->shift + filter + piece, some) : vf_set1(-0.0f);
        for (int64_t t = 0; t < at->lines * at->cells; t++) {
            vf best[2][2];
            UNROLL for (int r = 0; r < 2; r++) {
                vf out[2][4];
                winograd_output_rows(m + t * q->m_tile + piece, q->p.m_step, r, out);
                UNROLL for (int k = 0; k < 2; k++)
                    UNROLL for (int i = 0; i < 4; i++) {
                        vf value = out[k][i] + bias;
                        if (a->scale) value = vf_fma(value, scale, shift);
                        if (a->relu) value = vf_masked(value, value);
                        best[k][i / 2] = r + i % 2 ? vf_larger(best[k][i / 2], value) : value;
                    }
            }
            float *pixel = q->strip + (t / at->cells * 2 * width + t % at->cells * 2) * 16 + piece;
            UNROLL for (int k = 0; k < 2; k++)
                UNROLL for (int i = 0; i < 2; i++) vf_store(pixel + (k * width + i) * 16, best[k][i]);
        }
    }
    const int64_t rows = smaller(at->lines * 2, pooled.out_height - top), columns = smaller(width, pooled.out_width - left);
    for (int64_t r = 0; r < rows; r++)
        winograd_image_pixels(&pooled, q->strip + r * width * 16, filter, columns, g,
                              (filter * pooled.out_height + top + r) * pooled.out_width + left);
}

static void winograd_image_output(const winograd_image_plan *q, const rectangle *at, int64_t filter, const float *m,
                                  const winograd_rows *g) {
    const winograd_forward_args *a = q->p.a;
    const int64_t top = at->line * WINOGRAD_OUT, left = at->cell * WINOGRAD_OUT, width = at->cells * WINOGRAD_OUT;
    const int64_t rows = smaller(at->lines * WINOGRAD_OUT, a->out_height - top), columns = smaller(width, a->out_width - left);
    for (int64_t t = 0; t < at->lines * at->cells; t++)
        for (int piece = 0; piece < 16; piece += VF)
            UNROLL for (int r = 0; r < 2; r++) {
                vf out[2][4];
                winograd_output_rows(m + t * q->m_tile + piece, q->p.m_step, r, out);
                const int64_t row = t / at->cells * WINOGRAD_OUT + r, column = t % at->cells * WINOGRAD_OUT;
                float *pixel = q->strip + (row * width + column) * 16 + piece;
                UNROLL for (int k = 0; k < 2; k++)
                    UNROLL for (int i = 0; i < 4; i++) vf_store(pixel + (2 * k * width + i) * 16, out[k][i]);
            }
    const int64_t first = (filter * a->out_height + top) * a->out_width + left, whole = width == a->out_width;
    for (int64_t r = 0; r < (whole ? 1 : rows); r++)      /* whole rows lie in line */
        winograd_image_pixels(a, q->strip + r * width * 16, filter, whole ? rows * columns : columns, g,
                              first + r * a->out_width);
}

/* Parts are rows of tiles, or filters where there are few tiles. */
static void winograd_image(const winograd_forward_args *a, const job *j) {
    const int64_t across = ceil_div(a->out_width, WINOGRAD_OUT), down = ceil_div(a->out_height, WINOGRAD_OUT);
    const int by_rows = down >= j->parts && across * down >= 4 * j->parts;
    const job whole = {.parts = 1};
    const slice rows = slice_of(by_rows ? j : &whole, down, 1), filters = slice_of(by_rows ? &whole : j, a->filters, 16);
    const winograd_rows g = winograd_rows_of(a, j);
    if (rows.begin >= rows.end || filters.begin >= filters.end) return;
    const winograd_image_plan q = winograd_image_plan_of(a, rows.end - rows.begin, j->scratch);
    for (int64_t line = rows.begin; line < rows.end; line += q.lines)
        for (int64_t cell = 0; cell < across; cell += q.cells) {
            const rectangle at = {line, smaller(q.lines, rows.end - line), cell, smaller(q.cells, across - cell)};
            winograd_image_input(&q, g.x, &at);
            for (int64_t f = filters.begin; f < filters.end; f += q.p.filters) {
                const int64_t count = smaller(q.p.filters, filters.end - f);
                winograd_image_products(&q, f, count, at.lines * at.cells);
                for (int64_t i = 0; i < count; i += 16)
                    (a->pool ? winograd_image_pool : winograd_image_output)(&q, &at, f + i, q.p.m + i, &g);
            }
        }
}
#endif
