/* winograd_backward_weight: dweight = G^T [sum over tiles and images of (B^T x B) * (A dy A^T)] G. Images, in the lanes of x,
   are what is summed over: dy is transposed so that its lanes hold filters, and x's elements are broadcast. */
#ifndef FASTNN_WINOGRAD_WEIGHT_H
#define FASTNN_WINOGRAD_WEIGHT_H
#include "winograd_batch.h"

/* tiles of a chain; channels and filters of the sums held at once; channels of V at once */
enum { SUM_TILES = 4, SUM_CHANNELS = 128, SUM_FILTERS = 32, SUM_V = 8 };

typedef struct {
    winograd_plan x;                                      /* the windows: V's channels */
    const winograd_backward_weight_args *a;
    int64_t filters, d_step, s_step;                      /* floats of a row; from one of the 36 elements to the next */
    float *d, *sums, *turned;
} winograd_weight_plan;

/* A dy A^T of one tile of one image, 16 filters in the lanes; d: 4 x 4 pixels, 16 images of 16 filters each. */
INLINE void winograd_dy_tile(const float *dy, float *d, int64_t step) {
#define AT(r, q) vf_load(dy + ((r) * 4 + (q)) * 16 * IMAGES)
    vf a[4], b[4], t[6];
#define ROW(values, row) \
    winograd_dy(values[0], values[1], values[2], values[3], t); \
    UNROLL for (int k = 0; k < 6; k++) vf_store(d + ((row) * 6 + k) * step, t[k])
    UNROLL for (int q = 0; q < 4; q++) a[q] = AT(0, q);
    ROW(a, 0);
    UNROLL for (int q = 0; q < 4; q++) winograd_dy_12(AT(0, q), AT(1, q), AT(2, q), AT(3, q), &a[q], &b[q]);
    ROW(a, 1);
    ROW(b, 2);
    UNROLL for (int q = 0; q < 4; q++) winograd_dy_34(AT(0, q), AT(1, q), AT(2, q), AT(3, q), &a[q], &b[q]);
    ROW(a, 3);
    ROW(b, 4);
    UNROLL for (int q = 0; q < 4; q++) a[q] = AT(3, q);
    ROW(a, 5);
#undef ROW
#undef AT
}

/* D[36][tile][image][filter] of one tile and 16 filters; dy: of this group of images. */
static void winograd_weight_dy(const winograd_weight_plan *p, const float *dy, int64_t tile, int64_t filter, int64_t images,
                               float *d) {
    const winograd_backward_weight_args *a = p->a;
    const int64_t top = tile / p->x.across * WINOGRAD_OUT, left = tile % p->x.across * WINOGRAD_OUT;
    const int64_t plane = a->out_height * a->out_width * IMAGES, filters = smaller(16, a->filters - filter);
    for (int64_t r = 0; r < 4; r++)
        for (int64_t q = 0; q < 4; q++) {
            float *to = p->turned + (r * 4 + q) * 16 * IMAGES;
            const float *from = dy + filter * plane + ((top + r) * a->out_width + left + q) * IMAGES;
            if (top + r >= a->out_height || left + q >= a->out_width) {
                zero_images(to, 16);
                continue;
            }
            transpose_block(to, 16, from, plane, filters, 16);
            for (int64_t f = 0; f < filters; f++) __builtin_prefetch(from + f * plane + WINOGRAD_OUT * IMAGES);    /* the next tile */
        }
    for (int64_t n = 0; n < images; n++)
        for (int piece = 0; piece < 16; piece += VF)
            winograd_dy_tile(p->turned + n * 16 + piece, d + n * p->filters + piece, p->d_step);
}

/* s[c][o] += a chain over `runs` times `count` terms of v[c][term] d[term][o]: C channels broadcast, P vectors of filters. */
typedef void winograd_weight_product(const float *v, int64_t v_channel, const float *d, float *s, int64_t width, int64_t runs,
                                     int64_t count);

INLINE void winograd_weight_body(const float *v, int64_t v_channel, const float *d, float *s, int64_t width, int64_t runs,
                                 int64_t count, const int C, const int P) {
    vf sum[8][2];
    UNROLL for (int c = 0; c < C; c++) UNROLL for (int p = 0; p < P; p++) sum[c][p] = vf_set1(0);
    for (; runs > 0; runs--, v += IMAGES, d += IMAGES * width)
        for (int64_t i = 0; i < count; i++) {
            vf b[2];
            UNROLL for (int p = 0; p < P; p++) b[p] = vf_held(vf_load(d + i * width + p * VF));
            UNROLL for (int c = 0; c < C; c++) {
                const vf x = tile_load(v + c * v_channel + i, 1, P);
                UNROLL for (int p = 0; p < P; p++) sum[c][p] = vf_fma(x, b[p], sum[c][p]);
            }
        }
    UNROLL for (int c = 0; c < C; c++)
        UNROLL for (int p = 0; p < P; p++) {
            float *to = s + c * width + p * VF;
            vf_store(to, vf_load(to) + sum[c][p]);
        }
}

#define WINOGRAD_SUM_FUNCTION(C, P) \
    static void winograd_weight_##C##x##P(const float *v, int64_t v_channel, const float *d, float *s, int64_t width, \
                                          int64_t runs, int64_t count) { \
        winograd_weight_body(v, v_channel, d, s, width, runs, count, C, P); \
    }
#if VF_REGISTERS >= 32
#define WINOGRAD_SUM_SHAPES(X, P) X(1, P) X(2, P) X(3, P) X(4, P) X(5, P) X(6, P) X(7, P) X(8, P)
#else
#define WINOGRAD_SUM_SHAPES(X, P) X(1, P) X(2, P) X(3, P) X(4, P) X(5, P) X(6, P)
#endif
WINOGRAD_SUM_SHAPES(WINOGRAD_SUM_FUNCTION, 1)
WINOGRAD_SUM_SHAPES(WINOGRAD_SUM_FUNCTION, 2)
#define WINOGRAD_SUM_ENTRY(C, P) winograd_weight_##C##x##P,
static winograd_weight_product *const winograd_weight_products[2][VF_REGISTERS >= 32 ? 8 : 6] = {
    {WINOGRAD_SUM_SHAPES(WINOGRAD_SUM_ENTRY, 1)}, {WINOGRAD_SUM_SHAPES(WINOGRAD_SUM_ENTRY, 2)}};

/* The chains of a block of tiles, added to the sums of the channels [channel, channel + channels) of the part. */
static void winograd_weight_products_of(const winograd_weight_plan *p, int64_t channel, int64_t channels, int64_t tiles,
                                        int64_t images) {
    const int64_t whole = images == IMAGES, row = SUM_TILES * IMAGES, most = VF_REGISTERS >= 32 ? 8 : 6;
    const int64_t runs = ceil_div(channels, most);
    for (int k = 0; k < WINOGRAD_AREA; k++)
        for (int64_t f = 0; f < p->filters; f += 2 * VF) {
            const int pair = p->filters - f >= 2 * VF;
            for (int64_t r = 0; r < runs; r++) {
                const int64_t c = channels * r / runs, count = channels * (r + 1) / runs - c;
                winograd_weight_products[pair][count - 1](
                    p->x.v + k * p->x.v_step + c * row, row, p->d + k * p->d_step + f,
                    p->sums + k * p->s_step + (channel + c) * p->filters + f, p->filters, whole ? 1 : tiles,
                    whole ? tiles * IMAGES : images);
            }
        }
}

/* dweight of 16 filters and one channel: G^T s G. */
static void winograd_weight_store(const winograd_weight_plan *p, const float *s, int64_t filter, int64_t channel) {
    float w[9 * 16], *dweight = (float *)p->a->dweight + (filter * p->a->channels + channel) * 9;
    for (int lane = 0; lane < 16; lane += VF) {
        vf t[6][3], column[6], row[3];
        UNROLL for (int q = 0; q < 6; q++) {
            UNROLL for (int r = 0; r < 6; r++) column[r] = vf_load(s + (r * 6 + q) * p->s_step + lane);
            winograd_dweight(column, t[q]);
        }
        UNROLL for (int u = 0; u < 3; u++) {
            UNROLL for (int q = 0; q < 6; q++) column[q] = t[q][u];
            winograd_dweight(column, row);
            UNROLL for (int v = 0; v < 3; v++) vf_store(w + (u * 3 + v) * 16 + lane, row[v]);
        }
    }
    for (int64_t f = 0; f < smaller(16, p->a->filters - filter); f++)
        for (int k = 0; k < 9; k++) dweight[f * p->a->channels * 9 + k] = w[k * 16 + f];
}

/* A rectangle of dweight: lines are filters (from a multiple of 16), cells are channels. */
static void winograd_weight_part(winograd_weight_plan *p, const rectangle *at, const job *j) {
    const winograd_backward_weight_args *a = p->a;
    const int64_t plane = a->height * a->width * IMAGES;
    p->filters = ceil_div(at->lines, 16) * 16;
    p->d_step = SUM_TILES * IMAGES * p->filters + 16;
    p->s_step = at->cells * p->filters + 16;
    p->d = p->x.v + WINOGRAD_AREA * p->x.v_step;
    p->sums = p->d + WINOGRAD_AREA * p->d_step;
    zero_images(p->sums, WINOGRAD_AREA * p->s_step / IMAGES);
    for (int64_t group = 0; group * IMAGES < j->n; group++) {
        const float *x = a->x.p + group * a->x.stride + at->cell * plane, *dy = a->dy.p + group * a->dy.stride;
        const int64_t images = images_of(j, group, IMAGES);
        for (int64_t tile = 0; tile < p->x.tiles; tile += SUM_TILES) {
            const int64_t tiles = smaller(SUM_TILES, p->x.tiles - tile);
            for (int64_t t = 0; t < tiles; t++)
                for (int64_t f = 0; f < p->filters; f += 16)
                    winograd_weight_dy(p, dy, tile + t, at->line + f, images, p->d + t * IMAGES * p->filters + f);
            for (int64_t c = 0; c < at->cells; c += SUM_V) {
                const int64_t channels = smaller(SUM_V, at->cells - c);
                winograd_batch_input(&p->x, x + c * plane, channels, tile, tiles, p->x.v, SUM_TILES * IMAGES);
                winograd_weight_products_of(p, c, channels, tiles, images);
            }
        }
    }
    for (int64_t c = 0; c < at->cells; c++)
        for (int64_t f = 0; f < p->filters; f += 16)
            winograd_weight_store(p, p->sums + c * p->filters + f, at->line + f, at->cell + c);
}

static void winograd_weight_run(const winograd_backward_weight_args *a, const job *j) {
    const winograd_forward_args f = {.channels = a->channels, .height = a->height, .width = a->width,
                                     .padding = {a->padding[0], a->padding[1], a->padding[2], a->padding[3]}};
    winograd_weight_plan p = {.a = a, .turned = j->scratch};
    p.x = (winograd_plan){.a = &f, .across = ceil_div(a->out_width, WINOGRAD_OUT), .v_step = SUM_V * SUM_TILES * IMAGES + 16,
                          .zeros = j->scratch + 16 * 16 * IMAGES, .v = j->scratch + 16 * 16 * IMAGES + 6 * IMAGES};
    p.x.tiles = p.x.across * ceil_div(a->out_height, WINOGRAD_OUT);
    zero_images(p.x.zeros, 6);
    const int64_t lines = ceil_div(a->filters, 16), cells = ceil_div(a->channels, SUM_V);
    int64_t unit = lines * cells * j->part / j->parts;
    rectangle r;
    while (next_rectangle(&r, &unit, lines * cells * (j->part + 1) / j->parts, cells, lines)) {
        const int64_t f_end = smaller(a->filters, (r.line + r.lines) * 16);
        const int64_t c_end = smaller(a->channels, (r.cell + r.cells) * SUM_V);
        for (int64_t f = r.line * 16; f < f_end; f += SUM_FILTERS)
            for (int64_t c = r.cell * SUM_V; c < c_end; c += SUM_CHANNELS) {
                const rectangle at = {f, smaller(SUM_FILTERS, f_end - f), c, smaller(SUM_CHANNELS, c_end - c)};
                winograd_weight_part(&p, &at, j);
            }
    }
}
#endif
