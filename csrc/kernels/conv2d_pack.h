/* conv2d_pack: [block of 16 filters][block of channels][u][v][channel][16], zeros past the last filter: for one image, whose
   lanes are filters. Used where no 16 filters lie in two groups of channels. */
static void K(conv2d_pack)(const conv2d_pack_args *a, const job *j) {
    const int64_t taps = a->kernel[0] * a->kernel[1], channels = a->channels / a->groups, block = conv2d_block(a->kernel);
    const slice s = slice_of(j, a->filters, 16);
    for (int64_t f = s.begin; f < s.end; f += 16) {
        const float *w = (const float *)a->weight + f * channels * taps;
        float *packed = (float *)a->packed + f * channels * taps;
        for (int64_t c = 0; c < channels; c += block)
            for (int64_t t = 0; t < taps; t++)
                for (int64_t i = c; i < smaller(channels, c + block); i++, packed += 16)
                    for (int k = 0; k < 16; k++) packed[k] = f + k < a->filters ? w[(k * channels + i) * taps + t] : 0;
    }
}
