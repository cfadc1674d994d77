#if defined(__x86_64__) || defined(_M_X64)
#include <stdint.h>
#include <stddef.h>
#define TARGET sse2
#if defined(__clang__)
#pragma clang fp contract(off)
#else
#pragma GCC optimize("fp-contract=off")
#endif
#include "../simd/sse2.h"
#include "target.h"
#endif
