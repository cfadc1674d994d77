/* sgd, every operation rounded to float32 by itself (no FMA), scalars from float64:
   g = gradient + weight_decay * w; v = momentum * v + (1 - dampening) * g (first step: g); d = nesterov ? g + momentum * v : v;
   w = w - lr * d. */
static void K(sgd)(const sgd_args *a, const job *j) {
    float *weight = a->weight, *velocity = a->velocity;
    const float *gradient = a->gradient;
    vf lr = vf_set1((float)a->lr), momentum = vf_set1((float)a->momentum), decay = vf_set1((float)a->weight_decay);
    vf take = vf_set1((float)(1 - a->dampening));
    slice s = slice_of(j, a->count, 16);
    for (int64_t i = s.begin; i < s.end; i += VF) {
        int64_t left = s.end - i;
        vf w = vf_load_run(weight + i, left), g = vf_load_run(gradient + i, left);
        if (a->weight_decay != 0) g = g + decay * w;
        if (velocity) {
            vf v = a->first ? g : momentum * vf_load_run(velocity + i, left) + take * g;
            vf_store_run(velocity + i, v, left);
            g = a->nesterov ? g + momentum * v : v;
        }
        vf_store_run(weight + i, w - lr * g, left);
    }
}
