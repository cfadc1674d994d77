/* linear_pack: packed[o / 16][k][o % 16], zeros past the last output. */
static void K(linear_pack)(const linear_pack_args *a, const job *j) {
    const slice s = slice_of(j, a->out_features, 16);
    for (int64_t o = s.begin; o < s.end; o += 16)
        linear_pack_block((float *)a->packed + o * a->in_features, (const float *)a->weight + o * a->in_features,
                          a->in_features, s.end - o, a->in_features);
}
