/* rnn_forward and rnn_backward, as lstm.h: one gate, whose result is h. */
#include "recurrent.h"

static void K(rnn_gate)(const float *pre, const float *bias, float *next, int64_t relu, int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; i += VF) {
        const vf x = vf_load(pre + i) + gate_bias(LANES, bias, first + i);
        const vf h = relu ? vf_select((vi)(x <= vf_set1(0)), vf_set1(0), x) : gate_tanh_alone(x);
        vf_store_run(next + first + i, h, count - i);
    }
}

static void K(rnn_forward)(const rnn_forward_args *a, const job *j) {
    const recurrent_sizes r = recurrent_sizes_of(LANES, a->hidden, a->count, j);
    const float *x = group_of(a->x, j), *h = group_of(a->h0, j);
    float *y = group_of(a->y, j), *products = group_of(a->products, j), *lengths = group_of(a->lengths, j), *free = j->scratch;
    float *pre = take(&free, r.pitch), *bias = take(&free, r.padded);
    float *turn[2] = {take(&free, r.width), take(&free, r.width)};
    recurrent_biases(&r, bias, a->bias_ih, a->bias_hh, 1);
    for (int64_t s = a->first; s < a->first + a->count; s++) {
        const int64_t t = recurrent_time(s, a->steps, a->reverse);
        if (s && s == a->first) h = y + recurrent_time(s - 1, a->steps, a->reverse) * r.width;
        float *next = y && !lengths ? y + t * r.width : turn[s % 2];
        for (int64_t b = r.begin; b < r.end; b += r.at_once) {
            gate_inputs(LANES, &r, pre, 1, b, further(products, t * r.width), a->packed_ih, x + t * a->in_features * LANES,
                        a->in_features);
            if (h) gate_product(LANES, pre, 0, a->packed_hh, 1, r.blocks, b, r.at_once, h, r.hidden, 1);
            const int64_t first = b * UNITS * LANES;
            K(rnn_gate)(pre, bias, next, a->relu, first, smaller(r.pitch, r.width - first));
        }
        if (lengths) {
            if (y) recurrent_choose(LANES, &r, y + t * r.width, next, NULL, lengths, t);
            recurrent_choose(LANES, &r, next, next, h, lengths, t);
        }
        h = next;
    }
    if (a->h.p) recurrent_result(LANES, &r, group_of(a->h, j), h);
}

static void K(rnn_backward)(const rnn_backward_args *a, const job *j) {
    if (j->part) return;
    const int64_t hidden = a->hidden, width = hidden * LANES, blocks = ceil_div(hidden, UNITS), padded = blocks * UNITS * LANES;
    float *dy = group_of(a->dy, j);
    const float *y = group_of(a->y, j);
    const float *h0 = group_of(a->h0, j);
    float *dgates = group_of(a->dgates, j), *before = group_of(a->before, j), *lengths = group_of(a->lengths, j);
    float *totals = group_of(a->totals, j), *free = j->scratch, *dh = take(&free, padded), *kept = take(&free, padded);
    if (totals) zero_floats(totals, width);
    zero_floats(dh, padded);
    if (a->dh.p) copy_floats(dh, group_of(a->dh, j), width);
    for (int64_t s = a->steps - 1; s >= 0; s--) {
        const int64_t t = recurrent_time(s, a->steps, a->reverse);
        const float *h = y + t * width;
        float *d = dgates + t * width;
        if (lengths) recurrent_part(LANES, dh, kept, further(dy, t * width), lengths, t, width);
        for (int64_t i = 0; i < width; i += VF) {
            const int64_t left = width - i;
            vf value = vf_load_run(h + i, left), result = vf_load(dh + i);
            if (dy && !lengths) result = vf_load_run(dy + t * width + i, left) + result;
            if (a->relu) result = vf_select((vi)(value <= vf_set1(0)), vf_set1(0), result);
            else result = result * (vf_set1(1.0f) - value * value);
            vf_store_run(d + i, result, left);
            if (totals) add_floats(totals + i, result, left);
        }
        const int64_t earlier = recurrent_time(s - 1, a->steps, a->reverse);
        if (before) recurrent_before(LANES, before + t * width, s ? y + earlier * width : NULL, h0, lengths, earlier, width);
        if (s || a->dh0.p) gate_product(LANES, dh, 0, a->packed_hh, 1, blocks, 0, blocks, d, hidden, 0);
        if (lengths) recurrent_join(dh, kept, width);
    }
    if (a->dh0.p) copy_floats(group_of(a->dh0, j), dh, width);
}
