/* gather_int and check_labels: integers of whole batches, to and from plain arrays. */
static void K(gather_int)(const gather_int_args *a, const job *j) {
    walk w = walk_over(a->shape, a->strides, NULL);
    slice s = slice_of(j, j->n, 1);
    for (int64_t image = s.begin; image < s.end; image++) {
        int64_t row = a->index ? ((const int64_t *)a->index)[image] : image, offset, unused;
        int64_t *y = (int64_t *)a->y + image * w.count;
        for (int64_t done = 0, run; done < w.count; done += run) {
            run = walk_run(&w, done, &offset, &unused);
            const char *x = (const char *)a->x + row * a->row_stride + offset;
#define CASE(name, type, value) case DTYPE_##name: \
                for (int64_t i = 0; i < run; i++) { \
                    type v; __builtin_memcpy(&v, x + i * w.x[0], sizeof v); y[done + i] = (int64_t)(value); \
                } \
                break;
            switch (a->dtype) { DTYPE_CASES }
#undef CASE
        }
    }
}

static void K(check_labels)(const check_labels_args *a, const job *j) {
    const int64_t *target = a->target;
    slice s = slice_of(j, j->n * a->count, 16);
    for (int64_t i = s.begin; i < s.end; i++) {
        if ((target[i] >= 0 && target[i] < a->classes) || target[i] == a->ignore_index) continue;
        report(j, i);
        return;
    }
}
