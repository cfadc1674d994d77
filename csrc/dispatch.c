/* dispatch.c: which kernels there are, which targets this CPU can run, and which one is in use. */
#include "execute.h"
#include <stdatomic.h>
#include <string.h>

#define ROWS_IN(f) "ROWS_IN " #f ";"
#define ROWS_OUT(f) "ROWS_OUT " #f ";"
#define IN(f) "IN " #f ";"
#define OUT(f) "OUT " #f ";"
#define INOUT(f) "INOUT " #f ";"
#define INT(f) "INT " #f ";"
#define NUM(f) "NUM " #f ";"
#define INTS(f, k) "INTS " #f " " #k ";"
#define NUMS(f, k) "NUMS " #f " " #k ";"
#define KERNEL(space, name, fields) {#name, #space, fields, SPACE_##space, sizeof(name##_args) / 8},
const fastnn_kernel_info fastnn_kernels[] = {
#include "kernels.def"
};
const int64_t fastnn_kernel_count = sizeof fastnn_kernels / sizeof *fastnn_kernels;

#define ELEMENTWISE(name, operands, ...) {#name, operands},
const fastnn_elementwise_info fastnn_elementwise[] = {
#include "kernels/elementwise.def"
    {NULL, 0}
};
const int64_t fastnn_elementwise_count = sizeof fastnn_elementwise / sizeof *fastnn_elementwise - 1;

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>
/* By cpuid and xgetbv: __builtin_cpu_supports knows nothing under some compilers' run-time libraries. */
static int has_ymm_or_zmm(unsigned wanted) {
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 27))) return 0;  /* OSXSAVE */
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & wanted) == wanted;                                     /* the system saves these registers */
}
static int can_avx2(void) {
    unsigned a, b, c, d;
    if (!has_ymm_or_zmm(0x06) || !__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 12))) return 0;  /* FMA */
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    unsigned avx2_bmi2 = 1u << 5 | 1u << 8;
    return (b & avx2_bmi2) == avx2_bmi2;
}
static int can_avx512(void) {
    unsigned a, b, c, d, f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    return can_avx2() && has_ymm_or_zmm(0xe6) && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & f_dq_bw_vl) == f_dq_bw_vl;
}
static int can_sse2(void) { return 1; }
#define TARGETS(T) T(avx512) T(avx2) T(sse2)
#elif defined(__aarch64__)
static int can_neon(void) { return 1; }
#define TARGETS(T) T(neon)
#else
#error "fastnn has no kernels for this architecture"
#endif

typedef struct { const char *name; fastnn_table table; int (*can_run)(void); } target;
#define TARGET_TABLE(name) extern const kernel_fn fastnn_table_##name[][2];
TARGETS(TARGET_TABLE)
#define TARGET_ENTRY(name) {#name, fastnn_table_##name, can_##name},
static const target targets[] = {TARGETS(TARGET_ENTRY)};  /* best first */
enum { N_TARGETS = sizeof targets / sizeof *targets };
static const target *_Atomic current;

static const target *find(const char *name) {
    for (int i = 0; i < N_TARGETS; i++)
        if ((!name || strcmp(name, targets[i].name) == 0) && targets[i].can_run()) return &targets[i];
    return NULL;
}

static const target *in_use(void) {
    const target *t = atomic_load_explicit(&current, memory_order_acquire);
    if (!t) atomic_store_explicit(&current, t = find(NULL), memory_order_release);
    return t;
}

int64_t fastnn_targets(const char **names, int64_t room) {
    int64_t count = 0;
    for (int i = 0; i < N_TARGETS; i++)
        if (targets[i].can_run() && count < room) names[count++] = targets[i].name;
    return count;
}

int fastnn_set_target(const char *name) {
    const target *t = find(name);
    if (t) atomic_store_explicit(&current, t, memory_order_release);
    return t ? 0 : -1;
}

const char *fastnn_target(void) { return in_use()->name; }
fastnn_table fastnn_current_table(void) { return in_use()->table; }
fastnn_table fastnn_table_of(const char *name) { const target *t = find(name); return t ? t->table : NULL; }
