/* rmsprop, every operation rounded to float32 by itself (no FMA), scalars from float64:
   g = gradient + weight_decay * w; s = alpha * s + (1 - alpha) * (g * g); centred: m = alpha * m + (1 - alpha) * g, s - m * m;
   d = g / (sqrt(s) + eps); with a velocity v = momentum * v + d, d = v; w = w - lr * d. */
static void K(rmsprop)(const rmsprop_args *a, const job *j) {
    float *weight = a->weight, *square_avg = a->square_avg, *grad_avg = a->grad_avg, *velocity = a->velocity;
    const float *gradient = a->gradient;
    vf lr = vf_set1((float)a->lr), alpha = vf_set1((float)a->alpha), take = vf_set1((float)(1 - a->alpha));
    vf eps = vf_set1((float)a->eps), decay = vf_set1((float)a->weight_decay), momentum = vf_set1((float)a->momentum);
    slice s = slice_of(j, a->count, 16);
    for (int64_t i = s.begin; i < s.end; i += VF) {
        int64_t left = s.end - i;
        vf w = vf_load_run(weight + i, left), g = vf_load_run(gradient + i, left);
        if (a->weight_decay != 0) g = g + decay * w;
        vf v = alpha * vf_load_run(square_avg + i, left) + take * (g * g);
        vf_store_run(square_avg + i, v, left);
        if (grad_avg) {
            vf m = alpha * vf_load_run(grad_avg + i, left) + take * g;
            vf_store_run(grad_avg + i, m, left);
            v = v - m * m;
            v = vf_select(v < 0.0f, vf_set1(0.0f), v);              /* rounding: a variance is not negative */
        }
        vf d = g / (vf_sqrt(v) + eps);
        if (velocity) {
            d = momentum * vf_load_run(velocity + i, left) + d;
            vf_store_run(velocity + i, d, left);
        }
        vf_store_run(weight + i, w - lr * d, left);
    }
}
