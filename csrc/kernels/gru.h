/* gru_forward and gru_backward, as lstm.h. The new gate keeps its two products apart: n = tanh(nx + r nh). */
#include "recurrent.h"
#if LANES == 16
enum { GRU_R, GRU_Z, GRU_N, GRU_NH, GRU_SAVED, GRU_GATES = 3 };
#endif

/* pre: r, z, nx, nh of the floats [first, first + count), pitch apart; h: of the step before */
static void K(gru_gates)(const float *pre, int64_t pitch, const float *bias, int64_t padded, float *next, const float *h,
                         float *saved, int64_t width, int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; i += VF) {
        const int64_t at = first + i, left = count - i;
        vf gate[GRU_SAVED];
        UNROLL for (int g = 0; g < GRU_SAVED; g++)
            gate[g] = vf_load(pre + g * pitch + i) + gate_bias(LANES, bias + g * padded, at);
        gate_two_sigmoids(&gate[GRU_R], &gate[GRU_Z]);
        gate[GRU_N] = gate_tanh_alone(vf_fma(gate[GRU_R], gate[GRU_NH], gate[GRU_N]));
        vf_store_run(next + at, vf_fma(gate[GRU_Z], vf_load_run(h + at, left) - gate[GRU_N], gate[GRU_N]), left);
        if (saved) UNROLL for (int g = 0; g < GRU_SAVED; g++) vf_store_run(saved + g * width + at, gate[g], left);
    }
}

static void K(gru_forward)(const gru_forward_args *a, const job *j) {
    const recurrent_sizes r = recurrent_sizes_of(LANES, a->hidden, a->count, j);
    const float *x = group_of(a->x, j), *h = group_of(a->h0, j), *bias_ih = a->bias_ih, *bias_hh = a->bias_hh;
    const float *packed_hh = a->packed_hh, *packed_n = packed_hh + GRU_N * r.padded * r.hidden;
    float *y = group_of(a->y, j), *saved = group_of(a->saved, j), *products = group_of(a->products, j);
    float *lengths = group_of(a->lengths, j), *free = j->scratch;
    float *pre = take(&free, GRU_SAVED * r.pitch), *bias = take(&free, GRU_SAVED * r.padded);
    float *turn[2] = {take(&free, r.width), take(&free, r.width)};
    recurrent_biases(&r, bias, bias_ih, bias_hh, GRU_N);
    recurrent_biases(&r, bias + GRU_N * r.padded, bias_ih ? bias_ih + GRU_N * r.hidden : NULL, NULL, 1);
    recurrent_biases(&r, bias + GRU_NH * r.padded, bias_hh ? bias_hh + GRU_N * r.hidden : NULL, NULL, 1);
    if (a->first == 0 && !h) zero_floats(turn[1], r.width);
    for (int64_t s = a->first; s < a->first + a->count; s++) {
        const int64_t t = recurrent_time(s, a->steps, a->reverse);
        if (s && s == a->first) h = y + recurrent_time(s - 1, a->steps, a->reverse) * r.width;
        float *next = y && !lengths ? y + t * r.width : turn[s % 2], *of_h = pre + GRU_NH * r.pitch;
        for (int64_t b = r.begin; b < r.end; b += r.at_once) {
            gate_inputs(LANES, &r, pre, GRU_GATES, b, further(products, t * GRU_GATES * r.width), a->packed_ih,
                        x + t * a->in_features * LANES, a->in_features);
            zero_floats(of_h, r.pitch);
            if (h) gate_product(LANES, pre, r.pitch, packed_hh, GRU_N, r.blocks, b, r.at_once, h, r.hidden, 1);
            if (h) gate_product(LANES, of_h, 0, packed_n, 1, r.blocks, b, r.at_once, h, r.hidden, 0);
            const int64_t first = b * UNITS * LANES;
            K(gru_gates)(pre, r.pitch, bias, r.padded, next, h ? h : turn[1], further(saved, t * GRU_SAVED * r.width), r.width,
                         first, smaller(r.pitch, r.width - first));
        }
        if (lengths) {
            if (y) recurrent_choose(LANES, &r, y + t * r.width, next, NULL, lengths, t);
            recurrent_choose(LANES, &r, next, next, h, lengths, t);
        }
        h = next;
    }
    if (a->h.p) recurrent_result(LANES, &r, group_of(a->h, j), h);
}

/* dh: the gradient of this step's h through later steps, becomes what goes to the step before past the products. before: its h.
   totals: the sums of dr, dz, dn, dn r so far. */
static void K(gru_gates_backward)(float *dx, float *dgates, float *totals, float *dh, const float *dy, const float *saved,
                                  const float *before, int64_t width) {
    const vf one = vf_set1(1.0f);
    for (int64_t i = 0; i < width; i += VF) {
        const int64_t left = width - i;
        vf gate[GRU_SAVED], total = vf_load(dh + i);
        UNROLL for (int g = 0; g < GRU_SAVED; g++) gate[g] = vf_load_run(saved + g * width + i, left);
        if (dy) total = vf_load_run(dy + i, left) + total;
        const vf reset = gate[GRU_R], update = gate[GRU_Z], new = gate[GRU_N];
        const vf h = before ? vf_load_run(before + i, left) : vf_set1(0);
        const vf dn = total * (one - update) * (one - new * new);
        const vf dr = dn * gate[GRU_NH] * (reset * (one - reset)), dz = total * (h - new) * (update * (one - update));
        vf_store_run(dx + i, dr, left);
        vf_store_run(dx + GRU_Z * width + i, dz, left);
        vf_store_run(dx + GRU_N * width + i, dn, left);
        vf_store_run(dgates + i, dr, left);
        vf_store_run(dgates + GRU_Z * width + i, dz, left);
        vf_store_run(dgates + GRU_N * width + i, dn * reset, left);
        vf_store(dh + i, total * update);
        if (!totals) continue;
        add_floats(totals + i, dr, left);
        add_floats(totals + GRU_Z * width + i, dz, left);
        add_floats(totals + GRU_N * width + i, dn, left);
        add_floats(totals + GRU_NH * width + i, dn * reset, left);
    }
}

static void K(gru_backward)(const gru_backward_args *a, const job *j) {
    if (j->part) return;
    const int64_t hidden = a->hidden, width = hidden * LANES, blocks = ceil_div(hidden, UNITS), padded = blocks * UNITS * LANES;
    float *dy = group_of(a->dy, j);
    const float *saved = group_of(a->saved, j), *y = group_of(a->y, j), *h0 = group_of(a->h0, j);
    float *dx = group_of(a->dx_gates, j), *dgates = group_of(a->dgates, j);
    float *before = group_of(a->before, j), *lengths = group_of(a->lengths, j);
    float *totals = group_of(a->totals, j), *free = j->scratch, *dh = take(&free, padded), *kept = take(&free, padded);
    float *chosen = take(&free, padded);
    if (totals) zero_floats(totals, GRU_SAVED * width);
    zero_floats(dh, padded);
    if (a->dh.p) copy_floats(dh, group_of(a->dh, j), width);
    for (int64_t s = a->steps - 1; s >= 0; s--) {
        const int64_t t = recurrent_time(s, a->steps, a->reverse), at = t * GRU_GATES * width;
        const int64_t earlier = recurrent_time(s - 1, a->steps, a->reverse);
        const float *h = s ? y + earlier * width : h0;
        if (lengths) {
            recurrent_part(LANES, dh, kept, further(dy, t * width), lengths, t, width);
            recurrent_before(LANES, chosen, s ? h : NULL, h0, lengths, earlier, width);
            h = chosen;
        }
        K(gru_gates_backward)(dx + at, dgates + at, totals, dh, lengths ? NULL : further(dy, t * width),
                              saved + t * GRU_SAVED * width, h, width);
        if (before) recurrent_before(LANES, before + t * width, h, NULL, NULL, t, width);
        if (s || a->dh0.p) gate_product(LANES, dh, 0, a->packed_hh, 1, blocks, 0, blocks, dgates + at, GRU_GATES * hidden, 1);
        if (lengths) recurrent_join(dh, kept, width);
    }
    if (a->dh0.p) copy_floats(group_of(a->dh0, j), dh, width);
}
