/* recurrent_pack: packed[gate][unit / 16][k][unit % 16], zeros past the last unit. */
static void K(recurrent_pack)(const recurrent_pack_args *a, const job *j) {
    const int64_t blocks = ceil_div(a->units, UNITS);
    const slice s = slice_of(j, a->gates * blocks, 1);
    for (int64_t b = s.begin; b < s.end; b++) {
        const int64_t unit = b % blocks * UNITS, units = smaller(UNITS, a->units - unit);
        float *packed = (float *)a->packed + b * a->in_features * UNITS;
        const float *w = a->weight, *row = w + (b / blocks * a->units + unit) * a->in_features;
        if (!a->transposed) linear_pack_block(packed, row, a->in_features, units, a->in_features);
        else for (int64_t k = 0; k < a->in_features; k++)
            for (int i = 0; i < UNITS; i += VF)
                vf_store(packed + k * UNITS + i, vf_load_run(w + k * a->units + unit + i, larger(units - i, 0)));
    }
}
