/* conv2d_pack: for one image, whose lanes are filters: for each group [block of 16 filters][block of channels][u][v][channel]
   [16], zeros past the last filter. turned: for the gradient by the input, where channels and filters change places. */
#ifndef FASTNN_CONV2D_PACK_H
#define FASTNN_CONV2D_PACK_H
/* `channels` x taps weights of up to 16 filters `step` apart, a channel's `from` apart, as [tap][channel][16]. */
static void conv2d_pack_block(float *packed, const float *w, int64_t step, int64_t from, int64_t filters, int64_t channels,
                              int64_t taps) {
    float turned[16 * 16] __attribute__((aligned(64)));
    const int joined = from == taps;                      /* the taps of all channels lie in line */
    const int64_t run = joined ? channels * taps : taps;
    for (int64_t i = 0; i < channels; i += joined ? channels : 1) {
        int64_t tap = 0, channel = i;
        for (int64_t k = 0; k < run; k += 16) {
            const int64_t width = smaller(16, run - k);
            transpose_block(turned, 16, w + i * from + k, step, filters, width);
            for (int64_t l = 0; l < width; l++, tap++) {
                if (tap == taps) tap = 0, channel++;
                float *to = packed + (tap * channels + channel) * 16;
                for (int v = 0; v < 16; v += VF) vf_store(to + v, vf_load(turned + l * 16 + v));
            }
        }
    }
}
#endif

static void K(conv2d_pack)(const conv2d_pack_args *a, const job *j) {
    const int64_t taps = a->kernel[0] * a->kernel[1], block = conv2d_block(a->kernel);
    const int64_t rows = a->filters / a->groups, columns = a->channels / a->groups;       /* of a group's weights */
    const int64_t filters = a->turned ? columns : rows, channels = a->turned ? rows : columns;
    const int64_t step = (a->turned ? 1 : columns) * taps, from = (a->turned ? columns : 1) * taps;
    const int64_t blocks = ceil_div(filters, 16);
    const slice s = slice_of(j, a->groups * blocks, 1);
    for (int64_t b = s.begin; b < s.end; b++) {
        const int64_t f = b % blocks * 16;
        const float *w = (const float *)a->weight + b / blocks * rows * columns * taps + f * step;
        float *packed = (float *)a->packed + b * channels * taps * 16;
        for (int64_t c = 0; c < channels; c += block)
            conv2d_pack_block(packed + c * taps * 16, w + c * from, step, from, smaller(16, filters - f),
                              smaller(block, channels - c), taps);
    }
}
