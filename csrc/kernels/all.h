/* Every kernel file, once for LANES 16 and once for LANES 1; files of FLAT kernels once. Order is free. */
#define LANES 16
#include "../simd/lanes.h"
#include "rows.h"
#undef LANES
#define LANES 1
#include "../simd/lanes.h"
#include "rows.h"
#include "flat.h"
#undef LANES
