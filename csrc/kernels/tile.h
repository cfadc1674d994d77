/* The one inner loop of convolution and linear layers: a tile of sums of products held in registers,
       y[f][p] = sum over taps t, then over i < count, of a[p][a_tap[t] + i a_step] * b[f][b_tap[t] + i b_step],
   one FMA chain from +0 (or from where an earlier call stopped) for each element. One of a, b may be a broadcast scalar.
   Tails repeat the last pointer: the tile then writes the same value twice. */
#ifndef FASTNN_TILE_H
#define FASTNN_TILE_H
#include "slice.h"

enum { TILE_P = 8, TILE_F = 8 };                                      /* the largest of any shape below */
enum { TILE_VS, TILE_SV, TILE_VV, TILE_MODES };                       /* what a and b are: vectors or scalars */

typedef struct {
    const float *a[TILE_P], *b[TILE_F];
    const int64_t *a_tap, *b_tap;
    int64_t taps, count, a_step, b_step;
    float *y;                           /* y + y_p[p] + y_f[f] */
    int64_t y_p[TILE_P], y_f[TILE_F];
    int add;                            /* y + sum instead of sum */
    int lanes;                          /* TILE_VV alone: lanes to keep, the others of the sum become 0; VF: all */
    /* TILE_VS alone: */
    float *chain;                       /* where a chain cut in pieces waits: shape's f * p vectors */
    int resume, suspend;                /* start from chain; stop there (and write nothing to y) */
    const float *bias;                  /* then add bias[f], f in the tile; NULL: none */
    const float *scale, *shift;         /* then sum * scale[f] + shift[f]; NULL: not */
    const float *residual;              /* then add residual[y_p[p] + y_f[f]]; NULL: none */
    int relu, pool;                     /* pool: only the largest of every four pixels, at the first's y_p (no residual, mask) */
    const float *mask;                  /* then 0 where mask[y_p[p] + y_f[f]] <= 0; NULL: none */
} tile;

static inline vf tile_load(const float *p, int scalar, int uses) {
    const vf a = scalar ? vf_set1(*p) : vf_load(p);
    return uses > 1 ? vf_held(a) : a;
}

static inline vi tile_mask(int lanes) {
    int32_t index[VF];
    for (int i = 0; i < VF; i++) index[i] = i < lanes ? -1 : 0;
    vi mask;
    __builtin_memcpy(&mask, index, sizeof mask);
    return mask;
}

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")                               /* without it GCC keeps the sums in memory */
#endif
#define TILE_EACH for (int f = 0; f < F; f++) UNROLL for (int p = 0; p < P; p++)

static inline __attribute__((always_inline)) void tile_body(const tile *t, const int mode, const int F, const int P) {
    const int a_scalar = mode == TILE_SV, b_scalar = mode == TILE_VS;
    vf sum[TILE_F][TILE_P];
    const float *a[TILE_P], *b[TILE_F];
    UNROLL for (int p = 0; p < P; p++) a[p] = t->a[p];
    UNROLL for (int f = 0; f < F; f++) b[f] = t->b[f];
    UNROLL TILE_EACH sum[f][p] = vf_set1(0);
    if (mode == TILE_VS && t->resume) UNROLL TILE_EACH sum[f][p] = vf_load(t->chain + (f * P + p) * VF);
    const int64_t a_step = t->a_step, b_step = t->b_step, count = t->count;
    for (int64_t tap = 0; tap < t->taps; tap++) {
        int64_t ia = t->a_tap[tap], ib = t->b_tap[tap];
        for (int64_t i = count; i > 0; i--, ia += a_step, ib += b_step) {
            if (F > P) {                                              /* hold the shorter side in registers */
                vf va[TILE_P];
                UNROLL for (int p = 0; p < P; p++) va[p] = tile_load(a[p] + ia, a_scalar, F);
                UNROLL for (int f = 0; f < F; f++) {
                    const vf vb = tile_load(b[f] + ib, b_scalar, P);
                    UNROLL for (int p = 0; p < P; p++) sum[f][p] = vf_fma(va[p], vb, sum[f][p]);
                }
            } else {
                vf vb[TILE_F];
                UNROLL for (int f = 0; f < F; f++) vb[f] = tile_load(b[f] + ib, b_scalar, P);
                UNROLL for (int p = 0; p < P; p++) {
                    const vf va = tile_load(a[p] + ia, a_scalar, F);
                    UNROLL for (int f = 0; f < F; f++) sum[f][p] = vf_fma(va, vb[f], sum[f][p]);
                }
            }
        }
    }
    if (mode == TILE_VS && t->suspend) {
        UNROLL TILE_EACH vf_store(t->chain + (f * P + p) * VF, sum[f][p]);
        return;
    }
    if (mode == TILE_VV && t->lanes < VF) {
        const vi keep = tile_mask(t->lanes);
        UNROLL TILE_EACH sum[f][p] = vf_select(keep, sum[f][p], vf_set1(0));
    }
    if (t->add) UNROLL TILE_EACH sum[f][p] = vf_load(t->y + t->y_p[p] + t->y_f[f]) + sum[f][p];
    if (mode == TILE_VS) {
        if (t->bias) UNROLL TILE_EACH sum[f][p] = sum[f][p] + vf_set1(t->bias[f]);
        if (t->scale) UNROLL TILE_EACH sum[f][p] = vf_fma(sum[f][p], vf_set1(t->scale[f]), vf_set1(t->shift[f]));
        if (P % 4 == 0 && t->pool) {
            UNROLL for (int f = 0; f < F; f++) UNROLL for (int p = 0; p < P; p += 4) {
                vf best = sum[f][p];
                UNROLL for (int k = 1; k < 4; k++) best = vf_larger(best, sum[f][p + k]);
                vf_store(t->y + t->y_p[p] + t->y_f[f], t->relu ? vf_masked(best, best) : best);      /* as before it */
            }
            return;
        }
        if (t->residual) UNROLL TILE_EACH sum[f][p] = sum[f][p] + vf_load(t->residual + t->y_p[p] + t->y_f[f]);
        if (t->relu) UNROLL TILE_EACH sum[f][p] = vf_masked(sum[f][p], sum[f][p]);
        if (t->mask) UNROLL TILE_EACH sum[f][p] = vf_masked(sum[f][p], vf_load(t->mask + t->y_p[p] + t->y_f[f]));
    }
    UNROLL TILE_EACH vf_store(t->y + t->y_p[p] + t->y_f[f], sum[f][p]);
}

/* The shapes (F, P): as many sums as registers hold beside the shorter side and one of the longer (7 x 4: one sum lies on the
   stack, and it is still the fastest), some smaller ones for what is left over. Behind them tenths of a cycle that a term takes,
   of vectors by scalars and of vectors by vectors: measured, with the ends of a tile spread over a hundred terms (8 x 2: estimated). */
#if VF_REGISTERS >= 32
#define TILE_SHAPES(X) X(7, 4, 295, 312) X(4, 7, 295, 312) X(5, 5, 275, 276) X(8, 3, 267, 284) X(8, 2, 180, 210) \
    X(6, 4, 267, 284) X(4, 6, 267, 284) X(3, 8, 267, 284) X(4, 4, 188, 186) X(2, 8, 186, 202) \
    X(1, 8, 133, 134) X(8, 1, 100, 146) X(4, 1, 60, 72)
#else
#define TILE_SHAPES(X) X(4, 3, 130, 130) X(3, 4, 130, 130) X(6, 2, 130, 130) X(2, 6, 130, 130) X(1, 8, 100, 100) \
    X(8, 1, 100, 100) X(4, 1, 90, 90) X(2, 4, 90, 90)
#endif
#define TILE_FUNCTIONS(F, P, ...) \
    static void tile_vs_##F##x##P(const tile *t) { tile_body(t, TILE_VS, F, P); } \
    static void tile_sv_##F##x##P(const tile *t) { tile_body(t, TILE_SV, F, P); } \
    static void tile_vv_##F##x##P(const tile *t) { tile_body(t, TILE_VV, F, P); }
TILE_SHAPES(TILE_FUNCTIONS)

typedef struct { int f, p, cost[TILE_MODES]; void (*run[TILE_MODES])(const tile *t); } tile_shape;
#define TILE_ENTRY(F, P, T, TV) {F, P, {T, T, TV}, {tile_vs_##F##x##P, tile_sv_##F##x##P, tile_vv_##F##x##P}},
static const tile_shape tile_shapes[] = {TILE_SHAPES(TILE_ENTRY)};

#define TILE_SHAPE_EACH(s) for (const tile_shape *s = tile_shapes; s < tile_shapes + sizeof tile_shapes / sizeof *s; s++)

/* The shape of as many f for the last p of a run of tiles, fewer than its own, that does them soonest. */
static __attribute__((noinline)) const tile_shape *tile_shorter(const tile_shape *shape, int64_t p) {
    const tile_shape *best = shape;
    TILE_SHAPE_EACH(s) if (s->f == shape->f && s->p >= p && s->cost[0] < best->cost[0]) best = s;
    return best;
}

static inline const tile_shape *tile_for(const tile_shape *shape, int64_t p) {
    return p < shape->p ? tile_shorter(shape, p) : shape;
}

/* The shape whose tiles, the last of each run aside, compute f x p sums soonest; unit 4: p in fours, the last tile like all. */
static inline const tile_shape *tile_choose(int mode, int64_t f, int64_t p, int unit) {
    const tile_shape *best = tile_shapes;
    int64_t best_cost = INT64_MAX;
    TILE_SHAPE_EACH(s) {
        if (s->p % unit) continue;
        const int64_t rest = p % s->p == 0 ? 0 : unit > 1 ? s->cost[mode] : tile_shorter(s, p % s->p)->cost[mode];
        const int64_t cost = ((f + s->f - 1) / s->f) * (p / s->p * s->cost[mode] + rest);
        if (cost < best_cost) best = s, best_cost = cost;
    }
    return best;
}

/* The same, remembering its last choice: groups of channels after one another are alike, and choosing takes longer than the
   sums of a small one. */
typedef struct { int mode, unit; int64_t f, p; const tile_shape *shape; } tile_choice;

static inline const tile_shape *tile_chosen(tile_choice *c, int mode, int64_t f, int64_t p, int unit) {
    if (!c->shape || c->mode != mode || c->unit != unit || c->f != f || c->p != p)
        *c = (tile_choice){mode, unit, f, p, tile_choose(mode, f, p, unit)};
    return c->shape;
}

/* y = relu(residual + ((bias + sums) * scale + shift)), 0 where mask <= 0, for rows of sums that tiles left in scratch;
   bias_step: 1, or 0 for one bias for all, as it is with scale and shift.
   A row's last vector overlaps the one before where it can: masked stores are slow. */
typedef struct {
    const float *sums, *bias, *scale, *shift, *residual, *mask;
    float *y;
    int64_t rows, count, sums_step, y_step;               /* floats of a row; from row to row */
    int64_t apart;                                        /* from one of y to the next; 0: 1 */
    int bias_step, relu;
} tile_rest;

static inline __attribute__((always_inline)) void tile_finish_rows(const tile_rest *t, const int masked) {
    const vf same = vf_set1(t->bias && !t->bias_step ? *t->bias : 0);
    const int64_t count = t->count, last = masked ? 0 : count - VF;
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t next = 0; next < count; next += VF) {
            const int64_t i = smaller(next, last), at = r * t->y_step + i;
            vf sum = vf_load(t->sums + r * t->sums_step + i);
            if (t->bias) sum = sum + (t->bias_step ? vf_load_run(t->bias + i, masked ? count : VF) : same);
            if (t->scale) sum = vf_fma(sum, vf_set1(*t->scale), vf_set1(*t->shift));
            if (t->residual) sum = sum + vf_load_run(t->residual + at, masked ? count : VF);
            if (t->relu) sum = vf_masked(sum, sum);
            if (t->mask) sum = vf_masked(sum, vf_load_run(t->mask + at, masked ? count : VF));
            if (masked) vf_store_first(t->y + at, sum, (int)count);
            else vf_store(t->y + at, sum);
        }
}


/* The same of 2x2 windows' largest sums, `rows` x `count` windows in two rows of sums each; no residual or mask. */
static void tile_finish_pooled(const tile_rest *t) {
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t next = 0; next < t->count; next += VF) {
            const int64_t i = larger(0, smaller(next, t->count - VF));
            vf best = vf_set1(0);
            UNROLL for (int k = 0; k < 4; k++) {
                const float *row = t->sums + (2 * r + k / 2) * t->sums_step + 2 * i;
                vf sum = k % 2 ? vf_odd(vf_load(row), vf_load(row + VF)) : vf_even(vf_load(row), vf_load(row + VF));
                if (t->bias) sum = sum + vf_set1(*t->bias);
                if (t->scale) sum = vf_fma(sum, vf_set1(*t->scale), vf_set1(*t->shift));
                best = k ? vf_larger(best, sum) : sum;
            }
            if (t->relu) best = vf_masked(best, best);
            vf_store_run(t->y + r * t->y_step + i, best, t->count);
        }
}

/* The same of one sum, at y + at. */
static inline void tile_finish_pixel(const tile_rest *t, float sum, int64_t at) {
    if (t->bias) sum = sum + *t->bias;
    if (t->scale) sum = sf_fma(sum, *t->scale, *t->shift);
    if (t->residual) sum = sum + t->residual[at];
    if (t->relu && sum <= 0) sum = 0;
    t->y[at] = t->mask && t->mask[at] <= 0 ? 0 : sum;
}

/* The same where y's elements lie apart, of one bias. */
static void tile_finish_apart(const tile_rest *t) {
    const int plain = !t->bias && !t->scale && !t->residual && !t->relu && !t->mask;
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t i = 0; i < t->count; i++) {
            const int64_t at = r * t->y_step + i * t->apart;
            const float sum = t->sums[r * t->sums_step + i];
            if (plain) t->y[at] = sum;
            else tile_finish_pixel(t, sum, at);
        }
}

static void tile_finish(const tile_rest *rest) {
    const tile_rest t = *rest;
    if (t.apart > 1) tile_finish_apart(&t);
    else if (t.count < VF) tile_finish_rows(&t, 1);
    else tile_finish_rows(&t, 0);
}

/* a[i][r] = a[r][i] */
static inline __attribute__((always_inline)) void vf_turn(vf *a) {
    vf b[VF];
    UNROLL for (int pass = VF; pass > 1; pass /= 2) {
        UNROLL for (int r = 0; r < VF / 2; r++) {
            b[2 * r] = vf_zip_low(a[r], a[r + VF / 2]);
            b[2 * r + 1] = vf_zip_high(a[r], a[r + VF / 2]);
        }
        UNROLL for (int r = 0; r < VF; r++) a[r] = b[r];
    }
}

#ifndef VF_LOAD_TURNED
static inline __attribute__((always_inline)) void vf_load_turned(vf *a, const float *x, int64_t step) {
    UNROLL for (int r = 0; r < VF; r++, x += step) a[r] = vf_load(x);
    vf_turn(a);
}
#endif

/* y[i][k] = x[k][i] for k < count, zeros from there to k = 16; i < width; both at most 16. */
static inline void transpose_block(float *y, int64_t y_step, const float *x, int64_t x_step, int64_t count, int64_t width) {
    for (int i = 0; i < width; i += VF)
        for (int k = 0; k < 16; k += VF) {
            vf a[VF];
            if (k + VF <= count && i + VF <= width) vf_load_turned(a, x + k * x_step + i, x_step);
            else {
                UNROLL for (int r = 0; r < VF; r++)
                    a[r] = k + r < count ? vf_load_run(x + (k + r) * x_step + i, width - i) : vf_set1(0);
                vf_turn(a);
            }
            float *to = y + i * y_step + k;
            if (i + VF <= width) UNROLL for (int r = 0; r < VF; r++, to += y_step) vf_store(to, a[r]);
            else UNROLL for (int r = 0; r < VF; r++, to += y_step)
                if (i + r < width) vf_store(to, a[r]);
        }
}

#endif
