#if defined(__aarch64__)
#include <stdint.h>
#include <stddef.h>
#define TARGET neon
#define TARGET_HAS_FMA 1
#if defined(__clang__)
#pragma clang fp contract(off)
#else
#pragma GCC optimize("fp-contract=off")
#endif
#include "../simd/neon.h"
#include "target.h"
#endif
