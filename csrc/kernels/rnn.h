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
    if (j->part) return;
    const int64_t hidden = a->hidden, width = hidden * LANES, blocks = ceil_div(hidden, UNITS), padded = blocks * UNITS;
    const int64_t at_once = blocks_at_once(LANES, blocks), pitch = at_once * UNITS * LANES;
    const float *x = group_of(a->x, j);
    float *free = j->scratch, *pre = take(&free, pitch), *bias = take(&free, padded);
    float *turn[2] = {take(&free, padded * LANES), take(&free, padded * LANES)}, *h = turn[0];
    recurrent_biases(bias, a->bias_ih, a->bias_hh, 1, hidden);
    if (a->h0.p) copy_floats(h, group_of(a->h0, j), width);
    else zero_floats(h, padded * LANES);
    for (int64_t s = 0; s < a->steps; s++) {
        const int64_t t = recurrent_time(s, a->steps, a->reverse);
        float *next = a->y.p ? group_of(a->y, j) + t * width : turn[(s + 1) % 2];
        for (int64_t b = 0; b < blocks; b += at_once) {
            gate_product(LANES, pre, 0, a->packed_ih, 1, blocks, b, at_once, x + t * a->in_features * LANES, a->in_features, 0);
            gate_product(LANES, pre, 0, a->packed_hh, 1, blocks, b, at_once, h, hidden, 1);
            const int64_t first = b * UNITS * LANES;
            K(rnn_gate)(pre, bias, next, a->relu, first, smaller(pitch, width - first));
        }
        h = next;
    }
    if (a->h.p) copy_floats(group_of(a->h, j), h, width);
}

static void K(rnn_backward)(const rnn_backward_args *a, const job *j) {
    if (j->part) return;
    const int64_t hidden = a->hidden, width = hidden * LANES, blocks = ceil_div(hidden, UNITS), padded = blocks * UNITS * LANES;
    const float *dy = group_of(a->dy, j), *y = group_of(a->y, j);
    const float *h0 = group_of(a->h0, j);
    float *dgates = group_of(a->dgates, j), *before = group_of(a->before, j);
    float *free = j->scratch, *dh = take(&free, padded);
    zero_floats(dh, padded);
    if (a->dh.p) copy_floats(dh, group_of(a->dh, j), width);
    for (int64_t s = a->steps - 1; s >= 0; s--) {
        const int64_t t = recurrent_time(s, a->steps, a->reverse);
        const float *h = y + t * width;
        float *d = dgates + t * width;
        for (int64_t i = 0; i < width; i += VF) {
            const int64_t left = width - i;
            const vf value = vf_load_run(h + i, left), total = dy ? vf_load_run(dy + t * width + i, left) + vf_load(dh + i) : vf_load(dh + i);
            const vf result = a->relu ? vf_select((vi)(value <= vf_set1(0)), vf_set1(0), total) : total * (vf_set1(1.0f) - value * value);
            vf_store_run(d + i, result, left);
        }
        if (before) recurrent_before(before + t * width, s ? y + recurrent_time(s - 1, a->steps, a->reverse) * width : h0, width);
        if (s || a->dh0.p) gate_product(LANES, dh, 0, a->packed_hh, 1, blocks, 0, blocks, d, hidden, 0);
    }
    if (a->dh0.p) copy_floats(group_of(a->dh0, j), dh, width);
}
