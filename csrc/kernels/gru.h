/* gru_forward and gru_backward, as lstm.h. The new gate keeps its two products apart: n = tanh(nx + r nh). */
#include "recurrent.h"
#if LANES == 16
enum { GRU_R, GRU_Z, GRU_N, GRU_NH, GRU_SAVED, GRU_GATES = 3 };
#endif

/* pre: r, z, nx, nh of the floats [first, first + count), pitch apart; h: of the step before */
static void K(gru_gates)(const float *pre, int64_t pitch, const float *bias, int64_t padded, float *next, const float *h, float *saved,
                         int64_t width, int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; i += VF) {
        const int64_t at = first + i, left = count - i;
        vf gate[GRU_SAVED];
        UNROLL for (int g = 0; g < GRU_SAVED; g++) gate[g] = vf_load(pre + g * pitch + i) + gate_bias(LANES, bias + g * padded, at);
        gate_two_sigmoids(&gate[GRU_R], &gate[GRU_Z]);
        gate[GRU_N] = gate_tanh_alone(vf_fma(gate[GRU_R], gate[GRU_NH], gate[GRU_N]));
        vf_store_run(next + at, vf_fma(gate[GRU_Z], vf_load_run(h + at, left) - gate[GRU_N], gate[GRU_N]), left);
        if (saved) UNROLL for (int g = 0; g < GRU_SAVED; g++) vf_store_run(saved + g * width + at, gate[g], left);
    }
}

static void K(gru_forward)(const gru_forward_args *a, const job *j) {
    if (j->part) return;
    const int64_t hidden = a->hidden, width = hidden * LANES, blocks = ceil_div(hidden, UNITS), padded = blocks * UNITS;
    const int64_t at_once = blocks_at_once(LANES, blocks), pitch = at_once * UNITS * LANES, input = a->in_features;
    const float *x = group_of(a->x, j), *packed_hh = a->packed_hh;
    float *free = j->scratch, *pre = take(&free, GRU_SAVED * pitch), *bias = take(&free, GRU_SAVED * padded);
    float *turn[2] = {take(&free, padded * LANES), take(&free, padded * LANES)}, *h = turn[0];
    const float *bias_ih = a->bias_ih, *bias_hh = a->bias_hh;
    recurrent_biases(bias, bias_ih, bias_hh, GRU_N, hidden);
    recurrent_biases(bias + GRU_N * padded, bias_ih ? bias_ih + GRU_N * hidden : NULL, NULL, 1, hidden);
    recurrent_biases(bias + GRU_NH * padded, bias_hh ? bias_hh + GRU_N * hidden : NULL, NULL, 1, hidden);
    if (a->h0.p) copy_floats(h, group_of(a->h0, j), width);
    else zero_floats(h, padded * LANES);
    for (int64_t s = 0; s < a->steps; s++) {
        const int64_t t = recurrent_time(s, a->steps, a->reverse);
        float *next = a->y.p ? group_of(a->y, j) + t * width : turn[(s + 1) % 2];
        float *saved = a->saved.p ? group_of(a->saved, j) + t * GRU_SAVED * width : NULL;
        for (int64_t b = 0; b < blocks; b += at_once) {
            gate_product(LANES, pre, pitch, a->packed_ih, GRU_GATES, blocks, b, at_once, x + t * input * LANES, input, 0);
            gate_product(LANES, pre, pitch, packed_hh, GRU_N, blocks, b, at_once, h, hidden, 1);
            gate_product(LANES, pre + GRU_NH * pitch, 0, packed_hh + GRU_N * padded * hidden, 1, blocks, b, at_once, h, hidden, 0);
            const int64_t first = b * UNITS * LANES;
            K(gru_gates)(pre, pitch, bias, padded, next, h, saved, width, first, smaller(pitch, width - first));
        }
        h = next;
    }
    if (a->h.p) copy_floats(group_of(a->h, j), h, width);
}

/* dh: the gradient of this step's h through later steps, becomes what goes to the step before past the products. before: its h. */
static void K(gru_gates_backward)(float *dx, float *dgates, float *dh, const float *dy, const float *saved, const float *before,
                                  int64_t width) {
    const vf one = vf_set1(1.0f);
    for (int64_t i = 0; i < width; i += VF) {
        const int64_t left = width - i;
        vf gate[GRU_SAVED], total = vf_load(dh + i);
        UNROLL for (int g = 0; g < GRU_SAVED; g++) gate[g] = vf_load_run(saved + g * width + i, left);
        if (dy) total = vf_load_run(dy + i, left) + total;
        const vf reset = gate[GRU_R], update = gate[GRU_Z], new = gate[GRU_N], h = before ? vf_load_run(before + i, left) : vf_set1(0);
        const vf dn = total * (one - update) * (one - new * new);
        const vf dr = dn * gate[GRU_NH] * (reset * (one - reset)), dz = total * (h - new) * (update * (one - update));
        vf_store_run(dx + i, dr, left);
        vf_store_run(dx + GRU_Z * width + i, dz, left);
        vf_store_run(dx + GRU_N * width + i, dn, left);
        vf_store_run(dgates + i, dr, left);
        vf_store_run(dgates + GRU_Z * width + i, dz, left);
        vf_store_run(dgates + GRU_N * width + i, dn * reset, left);
        vf_store(dh + i, total * update);
    }
}

static void K(gru_backward)(const gru_backward_args *a, const job *j) {
    if (j->part) return;
    const int64_t hidden = a->hidden, width = hidden * LANES, blocks = ceil_div(hidden, UNITS), padded = blocks * UNITS * LANES;
    const float *dy = group_of(a->dy, j), *saved = group_of(a->saved, j);
    const float *y = group_of(a->y, j), *h0 = group_of(a->h0, j);
    float *dx = group_of(a->dx_gates, j), *dgates = group_of(a->dgates, j);
    float *before = group_of(a->before, j);
    float *free = j->scratch, *dh = take(&free, padded);
    zero_floats(dh, padded);
    if (a->dh.p) copy_floats(dh, group_of(a->dh, j), width);
    for (int64_t s = a->steps - 1; s >= 0; s--) {
        const int64_t t = recurrent_time(s, a->steps, a->reverse), at = t * GRU_GATES * width;
        const float *h = s ? y + recurrent_time(s - 1, a->steps, a->reverse) * width : h0;
        K(gru_gates_backward)(dx + at, dgates + at, dh, dy ? dy + t * width : NULL, saved + t * GRU_SAVED * width, h, width);
        if (before) recurrent_before(before + t * width, h, width);
        if (s || a->dh0.p) gate_product(LANES, dh, 0, a->packed_hh, 1, blocks, 0, blocks, dgates + at, GRU_GATES * hidden, 1);
    }
    if (a->dh0.p) copy_floats(group_of(a->dh0, j), dh, width);
}
