/* sgd: formulas in fastnn.h. */
#include "sgd_run.h"

static void K(sgd)(const sgd_args *a, const job *j) { sgd_slice(a, slice_of(j, a->count, 16)); }
