#ifndef FASTNN_SGD_RUN_H
#define FASTNN_SGD_RUN_H
/* sgd of a run of weights, every operation rounded to float32 by itself (no FMA), scalars from float64:
   g = gradient + weight_decay * w; v = momentum * v + (1 - dampening) * g (first step: g); d = nesterov ? g + momentum * v : v;
   w = w - lr * d. */
static inline __attribute__((always_inline))
void sgd_run(const sgd_args *args, slice s, const int decays, const int moves, const int nesterov) {
    const sgd_args a = *args;                             /* a store to a weight does not change it */
    float *weight = a.weight, *velocity = a.velocity;
    const float *gradient = a.gradient;
    const vf lr = vf_set1((float)a.lr), momentum = vf_set1((float)a.momentum), decay = vf_set1((float)a.weight_decay);
    const vf take = vf_set1((float)(1 - a.dampening));
    for (int64_t i = s.begin; i < s.end; i += VF) {
        const int64_t left = s.end - i;
        const vf w = vf_load_run(weight + i, left);
        vf g = vf_load_run(gradient + i, left);
        if (decays) g = g + decay * w;
        if (moves) {
            const vf v = a.first ? g : momentum * vf_load_run(velocity + i, left) + take * g;
            vf_store_run(velocity + i, v, left);
            g = nesterov ? g + momentum * v : v;
        }
        vf_store_run(weight + i, w - lr * g, left);
    }
}

static void sgd_slice(const sgd_args *a, slice s) {
    if (!a->velocity) {
        if (a->weight_decay != 0) sgd_run(a, s, 1, 0, 0);
        else sgd_run(a, s, 0, 0, 0);
    } else if (a->nesterov) sgd_run(a, s, a->weight_decay != 0, 1, 1);
    else if (a->weight_decay != 0) sgd_run(a, s, 1, 1, 0);
    else sgd_run(a, s, 0, 1, 0);
}
#endif
