/* Winograd with 16 images in the lanes. */
#ifndef FASTNN_WINOGRAD_BATCH_H
#define FASTNN_WINOGRAD_BATCH_H
#include "conv2d_batch.h"
#include "winograd_transform.h"

/* Channels of one chain, which are also those that V holds at once: few where there are many, so that a block has four tiles
   and the transformed weights, too large for any cache, are read seldom. */
static inline int64_t winograd_chain(int64_t channels) { return channels <= 128 ? 128 : 64; }

/* m[f][p] = sum over c < count of u[c * 16 + f] v[c * v_step + p], or that added to m: f filters broadcast, p vectors. */
typedef void winograd_product(const float *u, const float *v, int64_t v_step, float *m, int64_t m_step, int64_t count, int add);

INLINE void winograd_product_body(const float *u, const float *v, int64_t v_step, float *m, int64_t m_step, int64_t count,
                                  int add, const int F, const int P) {
    vf sum[16][6];
    UNROLL TILE_EACH sum[f][p] = vf_set1(0);
    for (; count > 0; count--, u += 16, v += v_step) {
        vf a[6];
        UNROLL for (int p = 0; p < P; p++) a[p] = vf_held(vf_load(v + p * VF));
        UNROLL for (int f = 0; f < F; f++) {
            const vf b = tile_load(u + f, 1, P);
            UNROLL for (int p = 0; p < P; p++) sum[f][p] = vf_fma(a[p], b, sum[f][p]);
        }
    }
    if (add) UNROLL TILE_EACH sum[f][p] = vf_load(m + f * m_step + p * VF) + sum[f][p];
    UNROLL TILE_EACH vf_store(m + f * m_step + p * VF, sum[f][p]);
}

/* The shapes (filters, vectors), by vectors; filters divide 16. */
#if VF_REGISTERS >= 32
#define WINOGRAD_SHAPES(X) X(16, 1) X(8, 2) X(8, 3) X(4, 4) X(4, 5) X(4, 6)
#else
#define WINOGRAD_SHAPES(X) X(8, 1) X(4, 2) X(4, 3)
#endif
#define WINOGRAD_FUNCTION(F, P) \
    static void winograd_product_##F##x##P(const float *u, const float *v, int64_t v_step, float *m, int64_t m_step, \
                                           int64_t count, int add) { \
        winograd_product_body(u, v, v_step, m, m_step, count, add, F, P); \
    }
WINOGRAD_SHAPES(WINOGRAD_FUNCTION)
typedef struct { int filters; winograd_product *run; } winograd_shape;
#define WINOGRAD_ENTRY(F, P) {F, winograd_product_##F##x##P},
static const winograd_shape winograd_shapes[] = {WINOGRAD_SHAPES(WINOGRAD_ENTRY)};
enum { WINOGRAD_P = sizeof winograd_shapes / sizeof *winograd_shapes };

typedef struct {
    const winograd_forward_args *a;
    int64_t across, tiles;                                /* tiles of a row of tiles; of an image */
    int64_t block, filters, channels;                     /* tiles, filters, channels at once */
    int64_t v_step, m_step;                               /* from one of the 36 elements to the next */
    float *v, *m, *zeros;                                 /* zeros: a row of a window */
} winograd_plan;

static winograd_plan winograd_plan_of(const winograd_forward_args *a, float *scratch) {
    enum { ROOM = (SCRATCH_FLOATS - 2 * 16 * WINOGRAD_AREA - 6 * IMAGES) / WINOGRAD_AREA / IMAGES };
    winograd_plan p = {.a = a, .across = ceil_div(a->out_width, WINOGRAD_OUT), .v = scratch};
    p.tiles = p.across * ceil_div(a->out_height, WINOGRAD_OUT);
    p.channels = smaller(a->channels, winograd_chain(a->channels));
    p.block = VF_REGISTERS >= 32 ? larger(2, smaller(12, 256 / p.channels)) : p.channels <= 16 ? 6 : 3;     /* 4 x 3 products */
    p.block = smaller(larger(p.tiles, 1), p.block);
    p.block = ceil_div(p.tiles, larger(1, ceil_div(p.tiles, p.block)));
    p.filters = smaller(ceil_div(a->filters, 16) * 16, (ROOM / larger(1, p.block) - p.channels) / 16 * 16);
    p.v_step = p.channels * p.block * IMAGES + 16;        /* + 16: no powers of two */
    p.m_step = p.filters * p.block * IMAGES + 16;
    p.m = p.v + WINOGRAD_AREA * p.v_step;
    p.zeros = p.m + WINOGRAD_AREA * p.m_step;
    zero_images(p.zeros, 6);
    return p;
}

/* Has what a window of a later plane adds to those left and above it fetched: planes lie far apart, where no hardware looks ahead. */
enum { WINOGRAD_AHEAD = 2 };
INLINE void winograd_ahead(const float *corner, int64_t line) {
    UNROLL for (int r = 2; r < 6; r++)
        UNROLL for (int q = 2; q < 6; q++) __builtin_prefetch(corner + r * line + q * IMAGES);
}

/* V of the windows of `tiles` tiles of one row of them: count planes of x, whose rows from `first_row` on are at x; in V planes
   are v_plane apart, tiles v_tile. */
static void winograd_windows(const winograd_plan *p, const float *x, int64_t first_row, int64_t plane, int64_t count,
                             int64_t tile, int64_t tiles, float *v, int64_t v_plane, int64_t v_tile) {
    const winograd_forward_args *a = p->a;
    const int64_t top = tile / p->across * WINOGRAD_OUT - a->padding[0];
    const int64_t start = tile % p->across * WINOGRAD_OUT - a->padding[2];
    const int64_t line = a->width * IMAGES, at = ((top - first_row) * a->width + start) * IMAGES;
    const int whole = top >= 0 && top + 6 <= a->height;
    for (int64_t c = 0; c < count; c++)
        for (int64_t t = 0; t < tiles; t++) {
            const int64_t left = start + t * WINOGRAD_OUT;
            const float *corner = x + c * plane + at + t * WINOGRAD_OUT * IMAGES;
            float *to = v + c * v_plane + t * v_tile;
            if (count > 1) winograd_ahead(corner + WINOGRAD_AHEAD * plane, line);
            if (whole && left >= 0 && left + 6 <= a->width) {
                for (int piece = 0; piece < IMAGES; piece += VF) {
                    const float *q = corner + piece;
                    const float *const row[6] = {q, q + line, q + 2 * line, q + 3 * line, q + 4 * line, q + 5 * line};
                    winograd_input_tile(row, IMAGES, 0, 6, to + piece, p->v_step);
                }
                continue;
            }
            const int first = (int)smaller(6, larger(0, -left)), end = (int)larger(first, smaller(6, a->width - left));
            for (int piece = 0; piece < IMAGES; piece += VF) {
                const float *row[6];
                for (int r = 0; r < 6; r++)
                    row[r] = piece + (top + r >= 0 && top + r < a->height ? corner + r * line : p->zeros);
                winograd_input_tile(row, IMAGES, first, end, to + piece, p->v_step);
            }
        }
}

/* The same for any tiles [tile, tile + tiles), row by row, images in the lanes. */
static void winograd_batch_input(const winograd_plan *p, const float *x, int64_t channels, int64_t tile, int64_t tiles,
                                 float *v, int64_t v_plane) {
    const int64_t plane = p->a->height * p->a->width * IMAGES;
    for (int64_t t = 0, run; t < tiles; t += run) {
        run = smaller(tiles - t, p->across - (tile + t) % p->across);
        winograd_windows(p, x, 0, plane, channels, tile + t, run, v + t * IMAGES, v_plane, IMAGES);
    }
}

/* What a group of images is read from and written to. NULL: absent. */
typedef struct { const float *x, *residual, *mask; float *y; } winograd_rows;

static inline winograd_rows winograd_rows_of(const winograd_forward_args *a, const job *j) {
    return (winograd_rows){.x = a->x.p + j->group * a->x.stride, .y = a->y.p + j->group * a->y.stride,
                           .residual = a->residual.p ? a->residual.p + j->group * a->residual.stride : NULL,
                           .mask = a->mask.p ? a->mask.p + j->group * a->mask.stride : NULL};
}

/* M of the filters [filter, filter + filters), both multiples of 16. */
static void winograd_batch_product(const winograd_plan *p, int64_t filter, int64_t filters, int64_t channel, int64_t channels,
                                   int64_t tiles) {
    const int64_t u_step = ceil_div(p->a->filters, 16) * p->a->channels * 16, row = p->block * IMAGES, vectors = tiles * PIECES;
    const int64_t runs = ceil_div(vectors, WINOGRAD_P);
    for (int k = 0; k < WINOGRAD_AREA; k++)
        for (int64_t f = 0; f < filters; f += 16) {
            const float *u = (const float *)p->a->packed + k * u_step + (filter + f) * p->a->channels + channel * 16;
            for (int64_t r = 0; r < runs; r++) {
                const int64_t first = vectors * r / runs, count = vectors * (r + 1) / runs - first;
                const winograd_shape *shape = &winograd_shapes[count - 1];
                const float *v = p->v + k * p->v_step + first * VF;
                float *m = p->m + k * p->m_step + f * row + first * VF;
                for (int64_t i = 0; i < 16; i += shape->filters)
                    shape->run(u + i, v, row, m + i * row, row, channels, channel > 0);
            }
        }
}

/* Rows k of two pooled ones of a tile, of which `value` holds the first (r 0) or second line of each window. y: of one filter. */
INLINE void winograd_pool_rows(const winograd_forward_args *a, float *y, int64_t top, int64_t left, vf value[2][4], const int r) {
    const int64_t width = a->out_width / 2, rows = a->out_height / 2 - top / 2, columns = width - left / 2;
    float *at = y + (top / 2 * width + left / 2) * IMAGES;
    UNROLL for (int k = 0; k < 2; k++)
        UNROLL for (int q = 0; q < 2; q++) {
            if (k >= rows || q >= columns) continue;
            float *to = at + (k * width + q) * IMAGES;
            const vf first = r ? vf_larger(vf_load(to), value[k][2 * q]) : value[k][2 * q];
            vf_store(to, vf_larger(first, value[k][2 * q + 1]));
        }
}

/* y of one filter in so many tiles, with the epilogue: their rows r and r + 2, each from left to right as it lies in memory.
   m: element 0. */
INLINE void winograd_batch_rows(const winograd_plan *p, int64_t tile, int64_t tiles, int64_t filter, const float *m,
                                const winograd_rows *g, const int r) {
    const winograd_forward_args *a = p->a;
    const vf bias = vf_set1(a->bias ? ((const float *)a->bias)[filter] : -0.0f);
    const vf scale = vf_set1(a->scale ? ((const float *)a->scale)[filter] : 1.0f);
    const vf shift = vf_set1(a->scale ? ((const float *)a->shift)[filter] : -0.0f);
    int64_t down = tile / p->across, across = tile % p->across;
    for (int64_t t = 0; t < tiles; t++, m += IMAGES) {
        const int64_t top = down * WINOGRAD_OUT, left = across * WINOGRAD_OUT;
        const int64_t rows = a->out_height - top, columns = a->out_width - left;
        const int64_t at = ((filter * a->out_height + top) * a->out_width + left) * IMAGES;
        if (++across == p->across) across = 0, down++;
        for (int piece = 0; piece < IMAGES; piece += VF) {
            vf out[2][4];
            winograd_output_rows(m + piece, p->m_step, r, out);
            UNROLL for (int k = 0; k < 2; k++) {
                const int64_t line = at + (r + 2 * k) * a->out_width * IMAGES + piece;
                UNROLL for (int q = 0; q < 4; q++) {
                    if (r + 2 * k >= rows || q >= columns) continue;
                    vf value = out[k][q] + bias;
                    if (a->scale) value = vf_fma(value, scale, shift);
                    if (g->residual) value = value + vf_load(g->residual + line + q * IMAGES);
                    if (a->relu) value = vf_masked(value, value);
                    if (g->mask) value = vf_masked(value, vf_load(g->mask + line + q * IMAGES));
                    if (a->pool) out[k][q] = value;
                    else vf_store(g->y + line + q * IMAGES, value);
                }
            }
            if (a->pool)
                winograd_pool_rows(a, g->y + filter * (a->out_height / 2) * (a->out_width / 2) * IMAGES + piece, top, left, out, r);
        }
    }
}

static void winograd_batch_output(const winograd_plan *p, int64_t tile, int64_t tiles, int64_t filter, const float *m,
                                  const winograd_rows *g) {
    winograd_batch_rows(p, tile, tiles, filter, m, g, 0);
    winograd_batch_rows(p, tile, tiles, filter, m, g, 1);
}

static void winograd_batch(const winograd_forward_args *a, const job *j) {
    const winograd_plan p = winograd_plan_of(a, j->scratch);
    const int64_t plane = a->height * a->width * IMAGES, row = p.block * IMAGES;
    const winograd_rows g = winograd_rows_of(a, j);
    const slice s = slice_of(j, p.tiles, p.block);
    for (int64_t tile = s.begin; tile < s.end; tile += p.block) {
        const int64_t tiles = smaller(p.block, s.end - tile);
        for (int64_t f = 0; f < a->filters; f += p.filters) {
            const int64_t filters = smaller(p.filters, ceil_div(a->filters - f, 16) * 16);
            for (int64_t c = 0; c < a->channels; c += p.channels) {
                const int64_t channels = smaller(p.channels, a->channels - c);
                if (f == 0 || p.channels < a->channels)
                    winograd_batch_input(&p, g.x + c * plane, channels, tile, tiles, p.v, row);
                winograd_batch_product(&p, f, filters, c, channels, tiles);
            }
            for (int64_t i = 0; i < smaller(filters, a->filters - f); i++)
                winograd_batch_output(&p, tile, tiles, f + i, p.m + i * row, &g);
        }
    }
}
#endif
