/* svm_solve: sequential minimal optimization (Platt 1998) with second-order working sets (Fan, Chen, Lin 2005, JMLR 6, WSS 2).

   A problem's variables are its rows, once (classification) or twice (regression), `copies`. Of variable k with sign s and 0 <=
   alpha <= bound, f is s times the objective's gradient. up is 0 where s alpha can grow, else infinity; low is 0 where it can
   fall. The gap is the largest f of those that can fall less the smallest of those that can grow; moving s alpha from one
   to the other by t changes every f by t (K[i, k] - K[j, k]). So a step is two passes over the problem: choose j, then update f and
   find the next i on the way. f and alpha are float64, kernel values float32. The width of vectors does not reach the bits:
   extremes are exact, and the first of equals wins. */
#include "kernel_matrix.h"

typedef half_vd half_vd_any __attribute__((aligned(8), may_alias));
typedef half_vf half_vf_own __attribute__((aligned(2 * VF)));
typedef int64_t half_vl __attribute__((vector_size(4 * VF)));
typedef int32_t half_vi __attribute__((vector_size(2 * VF)));
enum { SVM_HALF = VF / 2, SVM_BLOCK = 128 };

/* Rows `begin`, `length` of them (multiples of 16, pads have up and low infinite), of the data; a second run of rows likewise.
   Kernel values of rows i, k of runs r, s: gram[(at[r] + i) stride + at[s] + k]; with `capacity` a cache of so many rows. */
typedef struct { int64_t vectors, begin[2], length[2], gram, stride, at[2], capacity, slots; } svm_problem;
typedef struct { double iterations, gap, offset, done; } svm_state;
typedef struct { double least, most; int64_t at_least, at_most; } svm_extremes;

typedef struct {
    const svm_solve_args *a;
    const svm_problem *p;
    int64_t length;                                       /* of both runs */
    double *alpha, *f, *up, *low;
    const double *sign, *bound;
    float *gains;
} svm;

static inline half_vd svm_vector(const double *p) { return *(const half_vd_any *)p; }
static inline half_vd svm_pick(half_vl mask, half_vd a, half_vd b) {
    return (half_vd)(((half_vl)a & mask) | ((half_vl)b & ~mask));
}

/* ---- rows of kernel values ---- */
static void svm_compute_row(const svm *s, float *row, int64_t from) {
    const svm_solve_args *a = s->a;
    const kernel_function f = {a->kind, a->degree, a->features, (float)a->gamma, (float)a->coef0};
    for (int r = 0; r < 2; r++) {
        const int64_t to = s->p->begin[r];
        if (s->p->length[r] > 0)
            kernel_rows(&f, row + s->p->at[r], s->p->stride, (const float *)a->x + from * a->features,
                        (const float *)a->squares + from, (const float *)a->packed + to * a->features,
                        (const float *)a->squares + to, 1, s->p->length[r]);
    }
}

/* slots: where each row lies (-1: nowhere), the clock's hand, then of each place its row and whether it was used of late. */
static float *svm_cached_row(const svm *s, int64_t i, int64_t kept) {
    int64_t *where = (int64_t *)s->a->slots + s->p->slots, *hand = where + s->length, *owner = hand + 1;
    int64_t *used = owner + s->p->capacity;
    float *rows = (float *)s->a->gram + s->p->gram;
    if (where[i] < 0) {
        while (used[*hand] || (kept >= 0 && owner[*hand] == kept)) {
            used[*hand] = 0;
            *hand = (*hand + 1) % s->p->capacity;
        }
        if (owner[*hand] >= 0) where[owner[*hand]] = -1;
        where[i] = *hand;
        owner[*hand] = i;
        *hand = (*hand + 1) % s->p->capacity;
        const int second = i >= s->p->length[0];
        svm_compute_row(s, rows + where[i] * s->p->stride, s->p->begin[second] + i - second * s->p->length[0]);
    }
    used[where[i]] = 1;
    return rows + where[i] * s->p->stride;
}

/* Of row i; kept: a row that must stay in the cache (-1: none). */
static const float *svm_row(const svm *s, int64_t i, int64_t kept) {
    if (s->p->capacity) return svm_cached_row(s, i, kept);
    const int second = i >= s->p->length[0];
    return (const float *)s->a->gram + s->p->gram + (s->p->at[second] + i - second * s->p->length[0]) * s->p->stride;
}

/* ---- the two passes ---- */
static int64_t svm_find(const double *f, const double *barrier, double sign, double value) {
    int64_t k = 0;
    while (f[k] + sign * barrier[k] != value) k++;
    return k;
}

/* f += t (ki - kj) for count variables from `base` on; e: the extremes so far */
static void svm_update_run(const svm *s, svm_extremes *e, int64_t base, const float *ki, const float *kj, double t,
                           int64_t count) {
    const double infinity = __builtin_inf();
    for (int64_t first = 0; first < count; first += SVM_BLOCK) {
        double *f = s->f + base + first, *up = s->up + base + first, *low = s->low + base + first;
        half_vd least = (half_vd){0} + infinity, most = (half_vd){0} - infinity;
        for (int64_t k = 0; k < smaller(SVM_BLOCK, count - first); k += SVM_HALF) {
            const half_vd now = svm_vector(f + k) + t * (half_load(ki + first + k) - half_load(kj + first + k));
            const half_vd a = now + svm_vector(up + k), b = now - svm_vector(low + k);
            *(half_vd_any *)(f + k) = now;
            least = svm_pick(a < least, a, least);
            most = svm_pick(b > most, b, most);
        }
        double smallest = infinity, largest = -infinity;
        for (int l = 0; l < SVM_HALF; l++) {
            smallest = least[l] < smallest ? least[l] : smallest;
            largest = most[l] > largest ? most[l] : largest;
        }
        if (smallest < e->least) e->least = smallest, e->at_least = base + first + svm_find(f, up, 1, smallest);
        if (largest > e->most) e->most = largest, e->at_most = base + first + svm_find(f, low, -1, largest);
    }
}

static svm_extremes svm_update(const svm *s, const float *ki, const float *kj, double t) {
    svm_extremes e = {__builtin_inf(), -__builtin_inf(), -1, -1};
    for (int64_t copy = 0; copy < s->a->copies; copy++)
        for (int r = 0; r < 2; r++)
            svm_update_run(s, &e, copy * s->length + r * s->p->length[0], ki + s->p->at[r], kj + s->p->at[r], t,
                           s->p->length[r]);
    return e;
}

/* The variable that can fall with the largest gain b^2 / a, b = f[k] - fi > 0, a = K[i, i] + K[k, k] - 2 K[i, k]; float32. */
static int64_t svm_choose(const svm *s, const svm_extremes *e, const float *ki, float kii) {
    float best = 0;
    int64_t at = e->at_most;
    for (int64_t copy = 0; copy < s->a->copies; copy++)
        for (int r = 0; r < 2; r++) {
            const float *diagonal = (const float *)s->a->diagonal + s->p->begin[r], *row = ki + s->p->at[r];
            const int64_t base = copy * s->length + r * s->p->length[0], count = s->p->length[r];
            for (int64_t first = 0; first < count; first += SVM_BLOCK) {
                const int64_t block = smaller(SVM_BLOCK, count - first);
                half_vf_own most = {0};
                for (int64_t k = 0; k < block; k += SVM_HALF) {
                    const int64_t v = base + first + k;
                    const half_vd difference = svm_vector(s->f + v) - e->least - svm_vector(s->low + v);
                    const half_vf_own b = __builtin_convertvector(difference, half_vf_own);
                    half_vf_own row_k, a;
                    __builtin_memcpy(&row_k, row + first + k, sizeof row_k);
                    __builtin_memcpy(&a, diagonal + first + k, sizeof a);
                    a = (a + kii) - (row_k + row_k);
                    const half_vi flat = a < SVM_TINY, out = b <= 0;
                    a = (half_vf_own)(((half_vi)a & ~flat) | ((half_vi)((half_vf_own){0} + SVM_TINY) & flat));
                    const half_vf_own gain = (half_vf_own)((half_vi)(b * b / a) & ~out);
                    const half_vi more = gain > most;
                    __builtin_memcpy(s->gains + k, &gain, sizeof gain);
                    most = (half_vf_own)(((half_vi)gain & more) | ((half_vi)most & ~more));
                }
                float largest = 0;
                for (int l = 0; l < SVM_HALF; l++) largest = most[l] > largest ? most[l] : largest;
                if (largest <= best) continue;
                best = largest;
                for (at = 0; s->gains[at] != largest; at++) {}
                at += base + first;
            }
        }
    return at;
}

/* ---- steps ---- */
static void svm_open(const svm *s, int64_t k) {
    const int grows = s->alpha[k] < s->bound[k], falls = s->alpha[k] > 0, positive = s->sign[k] > 0;
    s->up[k] = (positive ? grows : falls) ? 0 : __builtin_inf();
    s->low[k] = (positive ? falls : grows) ? 0 : __builtin_inf();
}

/* sign alpha of k by t, at most as far as it goes (`room`): then exactly to the bound */
static void svm_move(const svm *s, int64_t k, double t, double room) {
    const int grows = (t > 0) == (s->sign[k] > 0);
    const double moved = (t < 0 ? -t : t) == room ? (grows ? s->bound[k] : 0) : s->alpha[k] + s->sign[k] * t;
    s->alpha[k] = moved < s->bound[k] ? moved : s->bound[k];
    svm_open(s, k);
}

static double svm_room(const svm *s, int64_t k, int grows) {
    return grows == (s->sign[k] > 0) ? s->bound[k] - s->alpha[k] : s->alpha[k];
}

static svm_extremes svm_step(const svm *s, const svm_extremes *e) {
    const float *diagonal = s->a->diagonal;
    const int64_t i = e->at_least, i_row = i % s->length;
    const float *ki = svm_row(s, i_row, -1);
    const int64_t first = s->p->length[0];
    const float kii = diagonal[i_row < first ? s->p->begin[0] + i_row : s->p->begin[1] + i_row - first];
    const int64_t j = svm_choose(s, e, ki, kii), j_row = j % s->length;
    const float *kj = svm_row(s, j_row, i_row);
    const float kjj = diagonal[j_row < first ? s->p->begin[0] + j_row : s->p->begin[1] + j_row - first];
    const float kij = ki[j_row < first ? s->p->at[0] + j_row : s->p->at[1] + j_row - first];
    double curvature = (double)kii + kjj - 2.0 * kij;
    if (curvature < SVM_TINY) curvature = SVM_TINY;
    const double room_i = svm_room(s, i, 1), room_j = svm_room(s, j, 0);
    double t = (s->f[j] - s->f[i]) / curvature;
    if (t > room_i) t = room_i;
    if (t > room_j) t = room_j;
    svm_move(s, i, t, room_i);
    svm_move(s, j, -t, room_j);
    return svm_update(s, ki, kj, t);
}

/* The mean f of the variables between their bounds; where there is none, the middle of what the others allow. */
static double svm_offset(const svm *s, const svm_extremes *e) {
    double sum = 0;
    int64_t free = 0;
    for (int64_t k = 0; k < s->a->copies * s->length; k++)
        if (s->up[k] == 0 && s->low[k] == 0) sum += s->f[k], free++;
    return free ? sum / (double)free : (e->least + e->most) / 2;
}

static void svm_run(const svm *s, svm_state *state, int64_t steps) {
    const float *zero = (const float *)s->a->diagonal;
    svm_extremes e = {__builtin_inf(), -__builtin_inf(), -1, -1};
    for (int64_t copy = 0; copy < s->a->copies; copy++)   /* t is 0: only the extremes */
        for (int r = 0; r < 2; r++)
            svm_update_run(s, &e, copy * s->length + r * s->p->length[0], zero + s->p->begin[r], zero + s->p->begin[r], 0,
                           s->p->length[r]);
    for (; e.most - e.least >= s->a->tol && steps > 0; steps--, state->iterations++) e = svm_step(s, &e);
    state->gap = e.most - e.least;
    state->done = !(state->gap >= s->a->tol);
    state->offset = svm_offset(s, &e);
}

/* Problems part, part + parts, ... */
static void K(svm_solve)(const svm_solve_args *a, const job *j) {
    const svm_problem *problems = a->problems;
    svm_state *states = a->states;
    for (int64_t i = j->part; i < a->count; i += j->parts) {
        const svm_problem *p = &problems[i];
        const svm s = {a, p, p->length[0] + p->length[1], (double *)a->alpha + p->vectors, (double *)a->f + p->vectors,
                       (double *)a->up + p->vectors, (double *)a->low + p->vectors, (const double *)a->sign + p->vectors,
                       (const double *)a->bound + p->vectors, j->scratch};
        if (!states[i].done) svm_run(&s, &states[i], a->steps);
    }
}
