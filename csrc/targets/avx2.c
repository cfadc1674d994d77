#if defined(__x86_64__) || defined(_M_X64)
#include <stdint.h>
#include <stddef.h>
#define TARGET avx2
#define TARGET_HAS_FMA 1
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi2"))), apply_to = function)
#pragma clang fp contract(off)
#else
#pragma GCC target("avx2,fma,bmi2")
#pragma GCC optimize("fp-contract=off")
#endif
#include "../simd/avx2.h"
#include "target.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
