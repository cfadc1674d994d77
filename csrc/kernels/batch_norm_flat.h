/* batch_norm_coefficients and batch_norm_update, in this order of float32 operations:
   scale = weight / sqrt(variance + eps); shift = fma(-mean, scale, bias);
   running = (1 - momentum) * running + momentum * batch, where batch's variance is first multiplied by count / (count - 1). */
static void K(batch_norm_coefficients)(const batch_norm_coefficients_args *a, const job *j) {
    const float *mean = a->mean, *variance = a->variance, *weight = a->weight, *bias = a->bias;
    slice s = slice_of(j, a->channels, 16);
    for (int64_t c = s.begin; c < s.end; c += VF) {
        int64_t left = s.end - c;
        vf one = vf_set1(1.0f), scale = weight ? vf_load_run(weight + c, left) : one;
        scale = scale / vf_sqrt(vf_load_run(variance + c, left) + vf_set1((float)a->eps));
        vf shift = vf_fma(-vf_load_run(mean + c, left), scale, bias ? vf_load_run(bias + c, left) : vf_set1(0.0f));
        vf_store_run((float *)a->scale + c, scale, left);
        vf_store_run((float *)a->shift + c, shift, left);
    }
}

static void K(batch_norm_update)(const batch_norm_update_args *a, const job *j) {
    if (j->part != 0) return;                                 /* one counter, few channels: one job does it all */
    float *running_mean = a->running_mean, *running_variance = a->running_variance;
    const float *mean = a->mean, *variance = a->variance;
    int64_t seen = *(int64_t *)a->num_batches_tracked += 1;
    double momentum = a->momentum < 0 ? 1.0 / (double)seen : a->momentum;
    float keep = (float)(1 - momentum), take = (float)momentum;
    float unbiased = a->count > 1 ? (float)((double)a->count / (double)(a->count - 1)) : 1.0f;
    for (int64_t c = 0; c < a->channels; c++) {
        running_mean[c] = keep * running_mean[c] + take * mean[c];
        running_variance[c] = keep * running_variance[c] + take * (variance[c] * unbiased);
    }
}
