/* Compiles every kernel for TARGET, whose vector operations have been included, and exports its table. No include guard. */
#ifdef __FAST_MATH__
#error "fastnn must not be compiled with -ffast-math: its bits are promised"
#endif
#include "../fastnn.h"
#include "../kernels/all.h"

#define TABLE_JOIN2(target) fastnn_table_##target
#define TABLE_JOIN(target) TABLE_JOIN2(target)
#define NAME_JOIN2(name, target, lanes) name##_##target##_##lanes
#define NAME_JOIN(name, target, lanes) NAME_JOIN2(name, target, lanes)
#define ENTRY_ROW(name) {(kernel_fn)NAME_JOIN(name, TARGET, 1), (kernel_fn)NAME_JOIN(name, TARGET, 16)},
#define ENTRY_GROUPS(name) ENTRY_ROW(name)
#define ENTRY_REDUCE(name) {NULL, (kernel_fn)NAME_JOIN(name, TARGET, 16)},
#define ENTRY_SUM(name) ENTRY_ROW(name)
#define ENTRY_FLAT(name) {(kernel_fn)NAME_JOIN(name, TARGET, 1), NULL},
#define KERNEL(space, name, fields) ENTRY_##space(name)

/* [kernel in kernels.def's order][0: LANES 1 (FLAT kernels too), 1: LANES 16] */
extern const kernel_fn TABLE_JOIN(TARGET)[][2];
const kernel_fn TABLE_JOIN(TARGET)[][2] = {
#include "../kernels.def"
};
