/* embedding_backward: parts are columns of the table; every row of it is summed in the order of its uses. */
static void K(embedding_backward)(const embedding_backward_args *a, const job *j) {
    slice s = slice_of(j, a->dim, 16);
    const float *x = a->x;
    int64_t width = s.end - s.begin;
    if (width <= 0) return;
    float *dweight = (float *)a->dweight + s.begin;
    const float *dy = (const float *)a->dy + s.begin;
    for (int64_t r = 0; r < a->embeddings; r++) __builtin_memset(dweight + r * a->dim, 0, 4 * (size_t)width);
    for (int64_t i = 0; i < a->count; i++) {
        int64_t r = embedding_row(x[i], a->embeddings);
        if (r < 0 || r == a->padding_idx) continue;
        float *to = dweight + r * a->dim;
        const float *from = dy + i * a->dim;
        for (int64_t k = 0; k < width; k += VF)
            vf_store_run(to + k, vf_load_run(to + k, width - k) + vf_load_run(from + k, width - k), width - k);
    }
}
