/* What kernels of every kind share: their share of the work, and vectors at the end of a run. */
#ifndef FASTNN_SLICE
#define FASTNN_SLICE

/* part of parts of count independent outputs, cut at multiples of unit */
typedef struct { int64_t begin, end; } slice;
static inline slice slice_of(const job *j, int64_t count, int64_t unit) {
    int64_t units = (count + unit - 1) / unit, end = units * (j->part + 1) / j->parts * unit;
    return (slice){units * j->part / j->parts * unit, end < count ? end : count};
}

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* the images that a group of so many lanes holds */
static inline int64_t images_of(const job *j, int64_t group, int64_t lanes) { return smaller(lanes, j->n - group * lanes); }

/* *error = 1 + place, the smallest of all that are reported */
static inline void report(const job *j, int64_t place) {
    int64_t known = __atomic_load_n(j->error, __ATOMIC_RELAXED);
    while ((known == 0 || known > place + 1) &&
           !__atomic_compare_exchange_n(j->error, &known, place + 1, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
}

/* a vector of which `left` floats (1 or more, maybe many) remain in the run */
static inline vf vf_load_run(const float *p, int64_t left) { return left >= VF ? vf_load(p) : vf_load_first(p, (int)left); }
static inline void vf_store_run(float *p, vf a, int64_t left) {
    if (left >= VF) vf_store(p, a);
    else vf_store_first(p, a, (int)left);
}

#ifndef VF_COMPRESS                                        /* avx512.h has it, and says what it does */
static inline int64_t vf_compress(float *value, int32_t *place, vf x, int32_t first) {
    int64_t n = 0;
    float each[VF];
    uint32_t bits[VF];
    vf_store(each, x);
    __builtin_memcpy(bits, each, sizeof bits);
    for (int i = 0; i < VF; i++) {
        value[n] = each[i], place[n] = first + i;
        n += (bits[i] << 1) != 0;
    }
    return n;
}
#endif

/* a, 0 where b <= 0: ReLU where both are the same, its gradient where b is its result */
static inline vf vf_masked(vf a, vf b) { return vf_select((vi)(b <= vf_set1(0)), vf_set1(0), a); }

/* the sum of 16 lanes, a tree by halves */
typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));
static inline float tree_sum(const float *lane) {
    const quad *q = (const quad *)lane;
    quad s = (q[0] + q[2]) + (q[1] + q[3]);
    return (s[0] + s[2]) + (s[1] + s[3]);
}

/* the same of 16 lanes in float64, of which so many hold images */
enum { VD16 = 32 / VF };
static inline double tree_sum_lanes(const half_vd *sum, int64_t images) {
    half_vd v[VD16];
    double lane[16];
    __builtin_memcpy(v, sum, sizeof v);
    if (images < 16) {
        __builtin_memcpy(lane, v, sizeof lane);
        for (int64_t l = images; l < 16; l++) lane[l] = 0;
        __builtin_memcpy(v, lane, sizeof v);
    }
#pragma GCC unroll 4
    for (int half = VD16 / 2; half > 0; half /= 2)
#pragma GCC unroll 4
        for (int i = 0; i < half; i++) v[i] += v[i + half];
    __builtin_memcpy(lane, v, sizeof v[0]);
#pragma GCC unroll 4
    for (int half = VF / 4; half > 0; half /= 2)
#pragma GCC unroll 4
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}
#endif
