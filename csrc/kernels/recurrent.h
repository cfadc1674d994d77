/* What the recurrent layers share: products of one step with weights packed by recurrent_pack, 16 units side by side.
   LANES 16: units are broadcast to the images in the lanes; LANES 1: 16 units are the lanes. Either way an array of units is
   units x LANES floats in a row, so that what follows the products (the gates) is one loop over floats. */
#ifndef FASTNN_RECURRENT_ONCE
#define FASTNN_RECURRENT_ONCE
#include "linear_tiles.h"

enum { UNITS = 16 };                                      /* units of a packed block */

/* y[f] (+)= sum over k < count of a[k] w[k][f], for F of a block's units and 16 images; one FMA chain each. */
static inline __attribute__((always_inline))
void recurrent_rows(float *y, const float *w, const float *a, int64_t count, int add, const int F) {
    vf sum[UNITS][PIECES];
    UNROLL for (int f = 0; f < F; f++) UNROLL for (int p = 0; p < PIECES; p++) sum[f][p] = vf_set1(0);
    for (int64_t k = count; k > 0; k--, a += IMAGES, w += UNITS) {
        vf va[PIECES];
        __builtin_prefetch(w + 12 * UNITS);               /* they come from L2, a line a term */
        UNROLL for (int p = 0; p < PIECES; p++) va[p] = vf_load(a + p * VF);
        UNROLL for (int f = 0; f < F; f++) {
            const vf weight = vf_set1(w[f]);
            UNROLL for (int p = 0; p < PIECES; p++) sum[f][p] = vf_fma(va[p], weight, sum[f][p]);
        }
    }
    UNROLL for (int f = 0; f < F; f++) UNROLL for (int p = 0; p < PIECES; p++) {
        float *to = y + f * IMAGES + p * VF;
        vf_store(to, add ? vf_load(to) + sum[f][p] : sum[f][p]);
    }
}

/* As many units at once as registers hold. */
static void recurrent_block(float *y, const float *w, const float *a, int64_t count, int add) {
#if VF_REGISTERS >= 32
    enum { F = PIECES == 1 ? 16 : 4, REST = 0 };
#else
    enum { F = PIECES == 2 ? 5 : 2, REST = UNITS % F };   /* 16 = 6 + 5 + 5 */
#endif
    recurrent_rows(y, w, a, count, add, F + REST);
    for (int f = F + REST; f < UNITS; f += F) recurrent_rows(y + f * IMAGES, w + f, a, count, add, F);
}

/* The same for one image: S blocks, units in the lanes. */
static inline __attribute__((always_inline))
void recurrent_lanes(float *const *y, const float *const *w, const float *a, int64_t count, int add, const int S) {
    vf sum[4][PIECES];
    const float *from[4];
    UNROLL for (int s = 0; s < S; s++) from[s] = w[s];
    UNROLL for (int s = 0; s < S; s++) UNROLL for (int p = 0; p < PIECES; p++) sum[s][p] = vf_set1(0);
    for (int64_t k = 0; k < count; k++) {
        const vf value = vf_set1(a[k]);
        UNROLL for (int s = 0; s < S; s++)
            UNROLL for (int p = 0; p < PIECES; p++) sum[s][p] = vf_fma(value, vf_load(from[s] + k * UNITS + p * VF), sum[s][p]);
    }
    UNROLL for (int s = 0; s < S; s++) UNROLL for (int p = 0; p < PIECES; p++) {
        float *to = y[s] + p * VF;
        vf_store(to, add ? vf_load(to) + sum[s][p] : sum[s][p]);
    }
}

static void recurrent_four(float *const *y, const float *const *w, const float *a, int64_t count, int add) {
    recurrent_lanes(y, w, a, count, add, 4);
}
static void recurrent_one(float *const *y, const float *const *w, const float *a, int64_t count, int add) {
    recurrent_lanes(y, w, a, count, add, 1);
}

/* Gates as fractions, so that two of them share one division; about 2 ulp each, 3 where x is far from 0. Both go through
   e^(factor x) = scale (1 + part), scale = 2^k and |factor x - k log 2| <= log(2) / 2 as in simd/math.h; `limit` on |x| keeps
   products of two denominators finite (and NaN stays). c: (e^y - 1 - y) / y^2 for y = factor h, as a polynomial in h. */
static inline __attribute__((always_inline)) vf gate_power(vf x, float factor, float limit, const float *c, vf *part) {
    const vf magic = vf_set1(0x1.8p23f);
    x = vf_at_least(vf_at_most(x, limit), -limit);
    const vf rounded = vf_fma(x, vf_set1(factor * 0x1.715476p0f), magic);
    const vf h = vf_fma(rounded - magic, vf_set1(-0x1.62e43p-1f / factor), x);
    *part = vf_fma(h * h, vf_polynomial(h, c, 4), factor == 2 ? h + h : -h);
    return (vf)(((vi)rounded << 23) + 0x3f800000);
}

/* sigmoid x = 1 / the result */
static inline vf gate_sigmoid(vf x) {
    static const float c[] = {0x1.6a23fp-10f, -0x1.123a0ap-7f, 0x1.5558f2p-5f, -0x1.555492p-3f, 0x1.fffffcp-2f};
    vf part;
    const vf scale = gate_power(x, -1, 43, c, &part);
    return vf_fma(scale, part, scale + vf_set1(1));
}

/* tanh x = the result / *divisor */
static inline vf gate_tanh(vf x, vf *divisor) {
    static const float c[] = {0x1.6a23fp-4f, 0x1.123a0ap-2f, 0x1.5558f2p-1f, 0x1.555492p0f, 0x1.fffffcp0f};
    vf part;
    const vf scale = gate_power(x, 2, 21.5f, c, &part), y = vf_fma(scale, part, scale - vf_set1(1));
    *divisor = y + vf_set1(2);
    return y;
}

static inline void gate_two_sigmoids(vf *a, vf *b) {
    const vf da = gate_sigmoid(*a), db = gate_sigmoid(*b), inverse = vf_set1(1) / (da * db);
    *a = db * inverse;
    *b = da * inverse;
}

static inline void gate_sigmoid_and_tanh(vf *a, vf *b) {
    vf db;
    const vf da = gate_sigmoid(*a), y = gate_tanh(*b, &db), inverse = vf_set1(1) / (da * db);
    *a = db * inverse;
    *b = y * (da * inverse);
}

static inline vf gate_tanh_alone(vf x) {
    vf divisor;
    const vf y = gate_tanh(x, &divisor);
    return y / divisor;
}

static inline void zero_floats(float *y, int64_t count) {
    for (int64_t i = 0; i < count; i += VF) vf_store_run(y + i, vf_set1(0), count - i);
}
static inline void copy_floats(float *y, const float *x, int64_t count) {
    for (int64_t i = 0; i < count; i += VF) vf_store_run(y + i, vf_load_run(x + i, count - i), count - i);
}

static inline void add_floats(float *y, vf x, int64_t left) { vf_store_run(y, vf_load_run(y, left) + x, left); }

/* The order of time: step s of `steps` is at time `recurrent_time`. */
static inline int64_t recurrent_time(int64_t s, int64_t steps, int64_t reverse) { return reverse ? steps - 1 - s : s; }

/* Scratch is handed out piece by piece. */
static inline float *take(float **scratch, int64_t floats) {
    float *p = *scratch;
    *scratch += ceil_div(floats, 16) * 16;
    return p;
}
/* A group's memory, and what lies some floats further; NULL where the value is absent. */
static inline float *group_of(rows r, const job *j) { return r.p ? r.p + j->group * r.stride : NULL; }
static inline float *further(float *p, int64_t floats) { return p ? p + floats : NULL; }

/* What one call does of a forward: blocks begin .. end - 1 of each gate, `at_once` at a time between products and gates
   (LANES 16: one, so that pre, a gate `pitch` floats, stays in L1). A part has blocks of its own where a call is for one
   step; a call for several does them all, since a step needs all of the one before. */
typedef struct { int64_t hidden, width, blocks, padded, begin, end, at_once, pitch; } recurrent_sizes;

static inline recurrent_sizes recurrent_sizes_of(int lanes, int64_t hidden, int64_t count, const job *j) {
    recurrent_sizes r = {.hidden = hidden, .width = hidden * lanes, .blocks = ceil_div(hidden, UNITS)};
    const slice share = slice_of(j, r.blocks, 1);
    r.padded = r.blocks * UNITS;
    r.begin = count == 1 ? share.begin : 0;
    r.end = count == 1 ? share.end : j->part ? 0 : r.blocks;
    r.at_once = lanes == IMAGES ? 1 : larger(r.end - r.begin, 1);
    r.pitch = r.at_once * UNITS * lanes;
    return r;
}

/* y[gate][unit] = first + second for this call's units, either of them may be missing; zeros past the last unit */
static inline void recurrent_biases(const recurrent_sizes *r, float *y, const float *first, const float *second,
                                    int64_t gates) {
    for (int64_t g = 0; g < gates; g++)
        for (int64_t i = r->begin * UNITS; i < r->end * UNITS; i += VF) {
            const int64_t from = g * r->hidden + i, left = larger(r->hidden - i, 0);
            const vf a = first ? vf_load_run(first + from, left) : vf_set1(0);
            const vf b = second ? vf_load_run(second + from, left) : vf_set1(0);
            vf_store(y + g * r->padded + i, a + b);
        }
}

/* the biases of the floats from i on */
static inline vf gate_bias(int lanes, const float *bias, int64_t i) {
    return lanes == IMAGES ? vf_set1(bias[i / IMAGES]) : vf_load(bias + i);
}

/* For each gate and the units of blocks first .. first + blocks - 1: y[gate * y_gate + unit of those] (+)= sum over k of
   a[k] packed[gate][unit][k], chains of 256 along k. `all`: the blocks of a gate in packed. */
static void gate_product(int lanes, float *y, int64_t y_gate, const float *packed, int64_t gates, int64_t all, int64_t first,
                         int64_t blocks, const float *a, int64_t k, int add) {
    for (int64_t c = 0; c < k; c += LINEAR_CHAIN, add = 1) {
        const int64_t count = smaller(LINEAR_CHAIN, k - c);
        float *to[4];
        const float *from[4];
        int64_t streams = 0;
        for (int64_t i = 0; i < gates * blocks; i++) {
            to[streams] = y + i / blocks * y_gate + i % blocks * UNITS * lanes;
            from[streams] = packed + ((i / blocks * all + first + i % blocks) * k + c) * UNITS;
            if (lanes == IMAGES) recurrent_block(to[0], from[0], a + c * lanes, count, add);
            else if (++streams == 4) recurrent_four(to, from, a + c, count, add), streams = 0;
        }
        for (int64_t s = 0; s < streams; s++) recurrent_one(to + s, from + s, a + c, count, add);
    }
}

/* This part's units of a final state; where there is no step, the initial one. */
static inline void recurrent_result(int lanes, const recurrent_sizes *r, float *y, const float *state) {
    const int64_t first = r->begin * UNITS * lanes, count = smaller(r->end * UNITS * lanes, r->width) - first;
    if (count <= 0) return;
    if (state) copy_floats(y + first, state + first, count);
    else zero_floats(y + first, count);
}

/* Images of different lengths: from time `lengths[image]` on an image's sequence is over, and a step there changes nothing. */
static inline vi recurrent_valid(int lanes, const float *lengths, int64_t i, int64_t t) {
    return (vi)(vf_set1((float)t) < (lanes == IMAGES ? vf_load(lengths + i % IMAGES) : vf_set1(lengths[0])));
}

/* y = x where the sequence has this time, else `ended` (NULL: zeros), for this call's units */
static inline void recurrent_choose(int lanes, const recurrent_sizes *r, float *y, const float *x, const float *ended,
                                    const float *lengths, int64_t t) {
    const int64_t end = smaller(r->end * UNITS * lanes, r->width);
    for (int64_t i = r->begin * UNITS * lanes; i < end; i += VF) {
        const vf other = ended ? vf_load_run(ended + i, end - i) : vf_set1(0);
        vf_store_run(y + i, vf_select(recurrent_valid(lanes, lengths, i, t), vf_load_run(x + i, end - i), other), end - i);
    }
}

/* The h that a step began with: h, that of the step before it (at time `earlier`), where there is one (NULL: not) and the
   sequence has that time, else h0, else zeros. */
static inline void recurrent_before(int lanes, float *y, const float *h, const float *h0, const float *lengths,
                                    int64_t earlier, int64_t width) {
    const float *first = h ? h : h0;
    if (!first) zero_floats(y, width);
    else if (!h || !lengths) copy_floats(y, first, width);
    else for (int64_t i = 0; i < width; i += VF) {
        const vf other = h0 ? vf_load_run(h0 + i, width - i) : vf_set1(0);
        const vf before = vf_load_run(h + i, width - i);
        vf_store_run(y + i, vf_select(recurrent_valid(lanes, lengths, i, earlier), before, other), width - i);
    }
}

/* Backward: d, the gradient of the state after time t, becomes d + dy where the sequence has this time, else 0; what passes the
   step by, unchanged, is kept and comes back by recurrent_join. dy may be NULL. */
static inline void recurrent_part(int lanes, float *d, float *kept, const float *dy, const float *lengths, int64_t t,
                                  int64_t width) {
    for (int64_t i = 0; i < width; i += VF) {
        const vi valid = recurrent_valid(lanes, lengths, i, t);
        const vf old = vf_load_run(d + i, width - i);
        vf_store_run(kept + i, vf_select(valid, vf_set1(0), old), width - i);
        vf_store_run(d + i, vf_select(valid, dy ? vf_load_run(dy + i, width - i) + old : old, vf_set1(0)), width - i);
    }
}
static inline void recurrent_join(float *d, const float *kept, int64_t width) {
    for (int64_t i = 0; i < width; i += VF) add_floats(d + i, vf_load_run(kept + i, width - i), width - i);
}

/* The share of x in the gates of blocks first .. : weight_ih x, or what linear_forward has made of it (natural order). */
static void gate_inputs(int lanes, const recurrent_sizes *r, float *pre, int64_t gates, int64_t first, const float *products,
                        const float *packed, const float *x, int64_t in_features) {
    if (!products) {
        gate_product(lanes, pre, r->pitch, packed, gates, r->blocks, first, r->at_once, x, in_features, 0);
        return;
    }
    const int64_t from = first * UNITS * lanes;
    for (int64_t g = 0; g < gates; g++)
        for (int64_t i = 0; i < r->pitch; i += VF)
            vf_store(pre + g * r->pitch + i, vf_load_run(products + g * r->width + from + i, larger(r->width - from - i, 0)));
}
#endif
