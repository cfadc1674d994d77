/* contrastive_divergence: chains of samples of a restricted Boltzmann machine, and the gradient they give. Whatever a sum is
   over is listed first, places and values, without the zeros: samples are coins, and images are mostly dark. */
#include "philox.h"
#include "tile.h"

typedef struct { const int32_t *place; const float *value; int64_t count; } sparse_row;

/* The elements of x that are not 0, a list in `place` and `value`, which have room for all and a vector more. */
static sparse_row sparse_list(const float *x, int64_t count, int32_t *place, float *value) {
    int64_t n = 0, i = 0;
    for (; i + VF <= count; i += VF) n += vf_compress(value + n, place + n, vf_load(x + i), (int32_t)i);
    if (i < count) n += vf_compress(value + n, place + n, vf_load_run(x + i, count - i), (int32_t)i);
    return (sparse_row){place, value, n};
}

/* A matrix that lists pick rows of: 16 columns from 16 b on of row i at w + b block + i row, `columns` of them. */
typedef struct { const float *w; int64_t block, row, columns; } sparse_matrix;

/* y = the sum over a list of value * row of m, columns [first, first + vectors x VF), + bias; full: all of them are there. */
static inline __attribute__((always_inline))
void sparse_sums(float *y, const sparse_row *list, const sparse_matrix *m, int64_t first, const float *bias, const int vectors,
                 const int full) {
    const sparse_row x = *list;
    const int64_t row = m->row, rest = m->columns - first;
    const float *w[4];
    vf sum[4];
    UNROLL for (int v = 0; v < vectors; v++) {
        w[v] = m->w + (first + v * VF) / 16 * m->block + (first + v * VF) % 16;
        sum[v] = vf_set1(0);
    }
    for (int64_t n = 0; n < x.count; n++) {
        const vf a = vf_set1(x.value[n]);
        const int64_t at = x.place[n] * row;
        UNROLL for (int v = 0; v < vectors; v++)
            sum[v] = vf_fma(a, full ? vf_load(w[v] + at) : vf_load_run(w[v] + at, rest), sum[v]);
    }
    UNROLL for (int v = 0; v < vectors; v++) {
        const int64_t left = m->columns - first - v * VF;
        vf_store_run(y + first + v * VF, sum[v] + vf_load_run(bias + first + v * VF, left), left);
    }
}

/* The products of `rows` lists and m, with bias, to rows of y: a block of columns of m after the other, which stays in L1. */
static void sparse_product(float *y, const sparse_row *x, int64_t rows, const sparse_matrix *m, const float *bias) {
    int64_t first = 0;
    for (; first + 4 * VF <= m->columns; first += 4 * VF)
        for (int64_t r = 0; r < rows; r++) sparse_sums(y + r * m->columns, &x[r], m, first, bias, 4, 1);
    for (; first < m->columns; first += VF)
        for (int64_t r = 0; r < rows; r++)
            if (first + VF <= m->columns) sparse_sums(y + r * m->columns, &x[r], m, first, bias, 1, 1);
            else sparse_sums(y + r * m->columns, &x[r], m, first, bias, 1, 0);
}

static void sigmoid_run(float *y, int64_t count) {
    for (int64_t i = 0; i < count; i += VF) vf_store_run(y + i, vf_sigmoid(vf_load_run(y + i, count - i)), count - i);
}

/* y = a sample of units with these means: coins, or gaussian ones. */
static void sample_run(float *y, const float *mean, int64_t count, int gaussian, philox_key key, int64_t row) {
    uint32_t word[64];
    for (int64_t i = 0; i < count; i += 64) {
        philox_strip(word, key, 1, row, i);
        for (int64_t l = 0; l < smaller(64, count - i); l += VF) {
            const int64_t left = count - i - l;
            const vf p = vf_load_run(mean + i + l, left);
            vf_store_run(y + i + l, gaussian ? p + randn_quantile(philox_whole(word + l)) : philox_coin(p, word + l), left);
        }
    }
}

enum { CHAINS = 16 };                                     /* rows at once */

typedef struct {
    const contrastive_divergence_chain_args *a;
    int64_t first, rows;                                  /* the rows in hand */
    sparse_row list[CHAINS];
    int32_t *place;                                       /* the lists' memory, a * units of each */
    float *value;
    int64_t units;
} chain_rows;

static void chain_list(chain_rows *c, const float *x, int64_t count) {
    for (int64_t r = 0; r < c->rows; r++)
        c->list[r] = sparse_list(x + r * count, count, c->place + r * c->units, c->value + r * c->units);
}

static void chain_sample(const chain_rows *c, float *y, const float *mean, int64_t count, int gaussian, int64_t coin) {
    const philox_key key = {c->a->seed, c->a->step, c->a->stream + coin * 65536};
    for (int64_t r = 0; r < c->rows; r++) sample_run(y + r * count, mean + r * count, count, gaussian, key, c->first + r);
}

/* The hidden units' probabilities given the visible units x. */
static void chain_hidden(chain_rows *c, float *mean, const float *x) {
    const contrastive_divergence_chain_args *a = c->a;
    const sparse_matrix turned = {a->packed, a->visible * 16, 16, a->hidden};
    chain_list(c, x, a->visible);
    sparse_product(mean, c->list, c->rows, &turned, a->hidden_bias);
    sigmoid_run(mean, c->rows * a->hidden);
}

/* The visible units' means given the hidden states h. */
static void chain_visible(chain_rows *c, float *mean, const float *h) {
    const contrastive_divergence_chain_args *a = c->a;
    const sparse_matrix weight = {a->weight, 16, a->visible, a->visible};
    chain_list(c, h, a->hidden);
    sparse_product(mean, c->list, c->rows, &weight, a->visible_bias);
    if (!a->gaussian) sigmoid_run(mean, c->rows * a->visible);
}

static void chain_run(chain_rows *c) {
    const contrastive_divergence_chain_args *a = c->a;
    const float *v = (const float *)a->v + c->first * a->visible;
    float *model = (float *)a->units + c->first * a->hidden, *data = model + a->rows * a->hidden;
    float *sample = (float *)a->sample + c->first * a->visible;
    float *h = (float *)(c->first + c->rows <= a->chain_rows ? a->states : a->h) + c->first * a->hidden;
    chain_hidden(c, data, v);
    const int64_t given = larger(0, smaller(c->rows, a->chain_rows - c->first)) * a->hidden;      /* states that go on */
    if (given < c->rows * a->hidden) chain_sample(c, h, data, a->hidden, 0, 0);
    if (given) __builtin_memcpy(h, (const float *)a->chains + c->first * a->hidden, (size_t)given * 4);
    for (int64_t i = 0; i < a->k; i++) {
        chain_visible(c, sample, h);                      /* the mean, where its sample will be */
        chain_sample(c, sample, sample, a->visible, (int)a->gaussian, 2 * i + 1);
        chain_hidden(c, model, sample);
        if (i + 1 < a->k || a->keep) chain_sample(c, h, model, a->hidden, 0, 2 * i + 2);
    }
    const int64_t kept = a->chain_rows ? given : a->keep * c->rows * a->hidden;
    float *states = (float *)a->states + c->first * a->hidden;
    if (kept && states != h) __builtin_memcpy(states, h, (size_t)kept * 4);
}

/* Parts are rows. */
static void K(contrastive_divergence_chain)(const contrastive_divergence_chain_args *a, const job *j) {
    const slice s = slice_of(j, a->rows, 1);
    const int64_t units = larger(a->visible, a->hidden) + VF, most = smaller(CHAINS, SCRATCH_FLOATS / 2 / units);
    for (int64_t r = s.begin; r < s.end; r += most) {
        chain_rows c = {.a = a, .first = r, .rows = smaller(most, s.end - r), .units = units,
                        .place = (int32_t *)j->scratch, .value = j->scratch + most * units};
        chain_run(&c);
    }
    const int64_t done = a->rows * a->hidden, rest = a->chain_rows * a->hidden - done;      /* states that no row moves */
    if (j->part == 0 && rest > 0)
        __builtin_memcpy((float *)a->states + done, (const float *)a->chains + done, (size_t)rest * 4);
}

/* y[i] = the sum over rows of model[n, i] - data[n, i], columns [s), times share. */
static void contrast_bias(float *y, const float *model, const float *data, int64_t rows, int64_t columns, slice s,
                          float share) {
    for (int64_t i = s.begin; i < s.end; i += VF) {
        const int64_t left = s.end - i;
        vf sum = vf_set1(0);
        for (int64_t n = 0; n < rows; n++)
            sum = sum + (vf_load_run(model + n * columns + i, left) - vf_load_run(data + n * columns + i, left));
        vf_store_run(y + i, sum * vf_set1(share), left);
    }
}

enum { COLUMNS = 16, TERMS = 32, TILE = VF_REGISTERS / 2 * VF };         /* visible units, terms, hidden units at once */

/* Terms of COLUMNS visible units: what the units' rows are multiplied by, and bit t of some[i]: term t of column i is not 0. */
typedef struct { float factor[TERMS * COLUMNS]; uint32_t some[COLUMNS]; } contrast_terms;

/* The terms [first, end) of `columns` visible units from the i-th on: the samples, then what the data takes away. */
static void contrast_take(contrast_terms *c, const contrastive_divergence_gradient_args *a, int64_t i, int64_t columns,
                          int64_t first, int64_t end) {
    const float *sample = a->sample, *v = a->v;
    for (int64_t k = 0; k < columns; k += VF) {
        vi some = (vi){0};
        for (int64_t t = first; t < end; t++) {
            const float *x = t < a->rows ? sample + t * a->visible : v + (t - a->rows) * a->visible;
            const vf value = vf_load_run(x + i + k, columns - k), factor = t < a->rows ? value : -value;
            some |= (vi)(value != 0) & (int32_t)(1u << (t - first));
            vf_store(c->factor + (t - first) * COLUMNS + k, factor);
        }
        __builtin_memcpy(c->some + k, &some, sizeof some);
    }
}

/* y[i][h] = share (y[i][h] + the sum over terms of column i of factor * units[term][h]), TILE hidden units h; add 0: y is not
   read; full: all units are there, else `left`. */
static inline __attribute__((always_inline))
void contrast_sums(float *y, const contrast_terms *c, int64_t columns, const float *units, int64_t step, int64_t left, int add,
                   float share, const int full) {
    for (int64_t i = 0; i < columns; i++, y += TILE) {
        vf sum[TILE / VF];
        UNROLL for (int v = 0; v < TILE / VF; v++) sum[v] = vf_set1(0);
        if (add) UNROLL for (int v = 0; v < TILE / VF; v++) sum[v] = vf_load(y + v * VF);
        for (uint32_t some = c->some[i]; some; some &= some - 1) {
            const int t = __builtin_ctz(some);
            const vf a = vf_set1(c->factor[t * COLUMNS + i]);
            const float *row = units + t * step;
            UNROLL for (int v = 0; v < TILE / VF; v++)
                if (full) sum[v] = vf_fma(a, vf_load(row + v * VF), sum[v]);
                else if (v * VF < left) sum[v] = vf_fma(a, vf_load_run(row + v * VF, left - v * VF), sum[v]);
        }
        UNROLL for (int v = 0; v < TILE / VF; v++) vf_store(y + v * VF, sum[v] * vf_set1(share));
    }
}

/* dweight[h][i] = t[i][h]. */
static void contrast_turn(float *dweight, int64_t step, const float *t, int64_t columns, int64_t hidden) {
    float turned[16 * 16];
    for (int64_t h = 0; h < hidden; h += 16) {
        const int64_t some = smaller(16, hidden - h);
        if (columns == 16) transpose_block(dweight + h * step, step, t + h, TILE, 16, some);
        else {
            transpose_block(turned, 16, t + h, TILE, columns, some);
            for (int64_t k = 0; k < some; k++) __builtin_memcpy(dweight + (h + k) * step, turned + k * 16, (size_t)columns * 4);
        }
    }
}

/* dweight of `columns` visible units from the i-th on. */
static void contrast_columns(const contrastive_divergence_gradient_args *a, int64_t i, int64_t columns, float share,
                             float *scratch) {
    contrast_terms c;
    const float *units = a->units;
    for (int64_t h = 0; h < a->hidden; h += TILE) {
        const int64_t left = a->hidden - h;
        if (!a->rows) __builtin_memset(scratch, 0, 4 * COLUMNS * TILE);
        for (int64_t first = 0; first < 2 * a->rows; first += TERMS) {
            const float *from = units + first * a->hidden + h;
            const float some = first + TERMS < 2 * a->rows ? 1 : share;
            if (h == 0 || 2 * a->rows > TERMS)            /* else they are still there */
                contrast_take(&c, a, i, columns, first, smaller(first + TERMS, 2 * a->rows));
            if (left >= TILE) contrast_sums(scratch, &c, columns, from, a->hidden, left, first > 0, some, 1);
            else contrast_sums(scratch, &c, columns, from, a->hidden, left, first > 0, some, 0);
        }
        contrast_turn((float *)a->dweight + h * a->visible + i, a->visible, scratch, columns, smaller(TILE, left));
    }
}

/* Parts are visible units, and hidden ones for their bias. */
static void K(contrastive_divergence_gradient)(const contrastive_divergence_gradient_args *a, const job *j) {
    const slice visible = slice_of(j, a->visible, COLUMNS), hidden = slice_of(j, a->hidden, VF);
    const float share = 1.0f / (float)larger(a->rows, 1), *units = a->units;
    for (int64_t i = visible.begin; i < visible.end; i += COLUMNS)
        contrast_columns(a, i, smaller(COLUMNS, visible.end - i), share, j->scratch);
    contrast_bias(a->dvisible, a->sample, a->v, a->rows, a->visible, visible, share);
    contrast_bias(a->dhidden, units, units + a->rows * a->hidden, a->rows, a->hidden, hidden, share);
}
