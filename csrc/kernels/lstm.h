/* lstm_forward and lstm_backward: a group's whole sequence in one call. Formulas in fastnn.h. */
#include "recurrent.h"
#if LANES == 16
enum { LSTM_I, LSTM_F, LSTM_G, LSTM_O, LSTM_GATES, LSTM_C = LSTM_GATES, LSTM_T, LSTM_SAVED };
#endif

/* The gates of the floats [first, first + count) of a step: pre (gates `pitch` apart) and bias to h, c and saved. Two loops
   with short chains of operations: one long one would leave the processor waiting. */
static void K(lstm_gates)(float *pre, int64_t pitch, const float *bias, int64_t padded, float *h, float *c,
                          const float *c_before, float *saved, int64_t width, int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; i += VF) {
        const int64_t at = first + i;
        vf gate[LSTM_GATES];
        UNROLL for (int g = 0; g < LSTM_GATES; g++)
            gate[g] = vf_load(pre + g * pitch + i) + gate_bias(LANES, bias + g * padded, at);
        gate_two_sigmoids(&gate[LSTM_I], &gate[LSTM_F]);
        gate_sigmoid_and_tanh(&gate[LSTM_O], &gate[LSTM_G]);
        const vf old = vf_load_run(c_before + at, count - i);
        vf_store(pre + LSTM_I * pitch + i, vf_fma(gate[LSTM_F], old, gate[LSTM_I] * gate[LSTM_G]));
        vf_store(pre + LSTM_O * pitch + i, gate[LSTM_O]);
        if (saved) UNROLL for (int g = 0; g < LSTM_GATES; g++) vf_store_run(saved + g * width + at, gate[g], count - i);
    }
    for (int64_t i = 0; i < count; i += VF) {
        const int64_t at = first + i, left = count - i;
        const vf cell = vf_load(pre + LSTM_I * pitch + i), squashed = gate_tanh_alone(cell);
        vf_store_run(c + at, cell, left);
        vf_store_run(h + at, vf_load(pre + LSTM_O * pitch + i) * squashed, left);
        if (!saved) continue;
        vf_store_run(saved + LSTM_C * width + at, cell, left);
        vf_store_run(saved + LSTM_T * width + at, squashed, left);
    }
}

static void K(lstm_forward)(const lstm_forward_args *a, const job *j) {
    const recurrent_sizes r = recurrent_sizes_of(LANES, a->hidden, a->count, j);
    const float *x = group_of(a->x, j), *h = group_of(a->h0, j), *c = group_of(a->c0, j);
    float *y = group_of(a->y, j), *cells = group_of(a->cells, j), *saved = group_of(a->saved, j);
    float *products = group_of(a->products, j), *lengths = group_of(a->lengths, j), *free = j->scratch;
    float *pre = take(&free, LSTM_GATES * r.pitch), *bias = take(&free, LSTM_GATES * r.padded);
    float *h_turn[2] = {take(&free, r.width), take(&free, r.width)};
    float *const c_turn = take(&free, r.width), *const c_other = lengths ? take(&free, r.width) : c_turn;
    recurrent_biases(&r, bias, a->bias_ih, a->bias_hh, LSTM_GATES);
    if (a->first == 0 && !c) zero_floats(c_other, r.width);
    for (int64_t s = a->first; s < a->first + a->count; s++) {
        const int64_t t = recurrent_time(s, a->steps, a->reverse), before = recurrent_time(s - 1, a->steps, a->reverse);
        if (s && s == a->first) h = y + before * r.width, c = cells + before * r.width;
        float *h_next = y && !lengths ? y + t * r.width : h_turn[s % 2];
        float *c_next = cells ? cells + t * r.width : s % 2 ? c_other : c_turn;
        float *keep = further(saved, t * LSTM_SAVED * r.width);
        for (int64_t b = r.begin; b < r.end; b += r.at_once) {
            gate_inputs(LANES, &r, pre, LSTM_GATES, b, further(products, t * LSTM_GATES * r.width), a->packed_ih,
                        x + t * a->in_features * LANES, a->in_features);
            if (h) gate_product(LANES, pre, r.pitch, a->packed_hh, LSTM_GATES, r.blocks, b, r.at_once, h, a->hidden, 1);
            const int64_t first = b * UNITS * LANES;
            K(lstm_gates)(pre, r.pitch, bias, r.padded, h_next, c_next, c ? c : c_other, keep, r.width, first,
                          smaller(r.pitch, r.width - first));
        }
        if (lengths) {
            if (y) recurrent_choose(LANES, &r, y + t * r.width, h_next, NULL, lengths, t);
            recurrent_choose(LANES, &r, h_next, h_next, h, lengths, t);
            recurrent_choose(LANES, &r, c_next, c_next, c, lengths, t);
            if (keep) recurrent_choose(LANES, &r, keep + LSTM_C * r.width, keep + LSTM_C * r.width, c, lengths, t);
        }
        h = h_next, c = c_next;
    }
    if (a->h.p) recurrent_result(LANES, &r, group_of(a->h, j), h);
    if (a->c.p) recurrent_result(LANES, &r, group_of(a->c, j), c);
}

/* dh: the gradient of this step's h (through later steps); dc: of c, becomes that of the c before. before: c of the step
   before. totals: the sum of dgates so far. */
static void K(lstm_gates_backward)(float *dgates, float *totals, float *dc, const float *dh, const float *dy,
                                   const float *saved, const float *before, int64_t width) {
    const vf one = vf_set1(1.0f);
    for (int64_t i = 0; i < width; i += VF) {
        const int64_t left = width - i;
        vf gate[LSTM_SAVED], d[LSTM_GATES], total = vf_load(dh + i);
        UNROLL for (int g = 0; g < LSTM_SAVED; g++) gate[g] = vf_load_run(saved + g * width + i, left);
        if (dy) total = vf_load_run(dy + i, left) + total;
        const vf in = gate[LSTM_I], forget = gate[LSTM_F], cell = gate[LSTM_G], out = gate[LSTM_O], squashed = gate[LSTM_T];
        const vf inner = vf_fma(total * out, one - squashed * squashed, vf_load(dc + i));
        d[LSTM_I] = inner * cell * (in * (one - in));
        d[LSTM_F] = (before ? inner * vf_load_run(before + i, left) : vf_set1(0)) * (forget * (one - forget));
        d[LSTM_G] = inner * in * (one - cell * cell);
        d[LSTM_O] = total * squashed * (out * (one - out));
        UNROLL for (int g = 0; g < LSTM_GATES; g++) vf_store_run(dgates + g * width + i, d[g], left);
        if (totals) UNROLL for (int g = 0; g < LSTM_GATES; g++) add_floats(totals + g * width + i, d[g], left);
        vf_store(dc + i, inner * forget);
    }
}

static void K(lstm_backward)(const lstm_backward_args *a, const job *j) {
    if (j->part) return;
    const int64_t hidden = a->hidden, width = hidden * LANES, blocks = ceil_div(hidden, UNITS), padded = blocks * UNITS * LANES;
    float *dy = group_of(a->dy, j);
    const float *saved = group_of(a->saved, j), *y = group_of(a->y, j), *h0 = group_of(a->h0, j);
    const float *c0 = group_of(a->c0, j);
    float *dgates = group_of(a->dgates, j), *before = group_of(a->before, j);
    float *totals = group_of(a->totals, j), *lengths = group_of(a->lengths, j), *free = j->scratch;
    float *dh = take(&free, padded), *dc = take(&free, padded), *dh_kept = take(&free, padded), *dc_kept = take(&free, padded);
    if (totals) zero_floats(totals, LSTM_GATES * width);
    zero_floats(dh, padded);
    zero_floats(dc, padded);
    if (a->dh.p) copy_floats(dh, group_of(a->dh, j), width);
    if (a->dc.p) copy_floats(dc, group_of(a->dc, j), width);
    for (int64_t s = a->steps - 1; s >= 0; s--) {
        const int64_t t = recurrent_time(s, a->steps, a->reverse), earlier = recurrent_time(s - 1, a->steps, a->reverse);
        float *d = dgates + t * LSTM_GATES * width;
        if (lengths) {
            recurrent_part(LANES, dh, dh_kept, further(dy, t * width), lengths, t, width);
            recurrent_part(LANES, dc, dc_kept, NULL, lengths, t, width);
        }
        K(lstm_gates_backward)(d, totals, dc, dh, lengths ? NULL : further(dy, t * width), saved + t * LSTM_SAVED * width,
                               s ? saved + (earlier * LSTM_SAVED + LSTM_C) * width : c0, width);
        if (before) recurrent_before(LANES, before + t * width, s ? y + earlier * width : NULL, h0, lengths, earlier, width);
        if (s || a->dh0.p) gate_product(LANES, dh, 0, a->packed_hh, 1, blocks, 0, blocks, d, LSTM_GATES * hidden, 0);
        if (lengths) recurrent_join(dh, dh_kept, width), recurrent_join(dc, dc_kept, width);
    }
    if (a->dh0.p) copy_floats(group_of(a->dh0, j), dh, width);
    if (a->dc0.p) copy_floats(group_of(a->dc0, j), dc, width);
}
