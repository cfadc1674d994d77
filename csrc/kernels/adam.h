/* adam, every operation rounded to float32 by itself (no FMA), scalars from float64:
   g = gradient + weight_decay * w, or decoupled: w = w * (1 - lr * weight_decay);
   m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * (g * g);
   w = w - (lr / correction1 * m) / (sqrt(v) / sqrt(correction2) + eps). */
static void K(adam)(const adam_args *a, const job *j) {
    float *weight = a->weight, *exp_avg = a->exp_avg, *exp_avg_sq = a->exp_avg_sq;
    const float *gradient = a->gradient;
    vf beta1 = vf_set1((float)a->beta1), take1 = vf_set1((float)(1 - a->beta1)), eps = vf_set1((float)a->eps);
    vf beta2 = vf_set1((float)a->beta2), take2 = vf_set1((float)(1 - a->beta2)), decay = vf_set1((float)a->weight_decay);
    vf step = vf_set1((float)(a->lr / a->correction1)), root = vf_sqrt(vf_set1((float)a->correction2));
    vf shrink = vf_set1((float)(1 - a->lr * a->weight_decay));
    slice s = slice_of(j, a->count, 16);
    for (int64_t i = s.begin; i < s.end; i += VF) {
        int64_t left = s.end - i;
        vf w = vf_load_run(weight + i, left), g = vf_load_run(gradient + i, left);
        if (a->weight_decay != 0 && a->decoupled) w = w * shrink;
        else if (a->weight_decay != 0) g = g + decay * w;
        vf m = beta1 * vf_load_run(exp_avg + i, left) + take1 * g;
        vf v = beta2 * vf_load_run(exp_avg_sq + i, left) + take2 * (g * g);
        vf_store_run(exp_avg + i, m, left);
        vf_store_run(exp_avg_sq + i, v, left);
        vf_store_run(weight + i, w - step * m / (vf_sqrt(v) / root + eps), left);
    }
}
