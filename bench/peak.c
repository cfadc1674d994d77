/* What the machine can do, for one thread: chains of multiply-adds in registers, and copying. peak.py compiles it by ISA. */
#include <stdint.h>
#include <string.h>

#ifdef __AVX512F__
#define WIDTH 16
#define CHAINS 20                                   /* of 32 registers; latency 4, two a cycle: at least 8 */
#elif defined(__AVX2__)
#define WIDTH 8
#define CHAINS 12
#else
#define WIDTH 4
#define CHAINS 10
#endif
typedef float vector __attribute__((vector_size(4 * WIDTH)));

/* Floating-point operations done: count times CHAINS multiply-adds of WIDTH floats. */
int64_t multiply_adds(int64_t count, float *out) {
  vector sums[CHAINS], a, b;                        /* the inner loops unrolled, the sums stay in registers */
  for (int i = 0; i < WIDTH; i++) a[i] = 0.999f, b[i] = 1e-3f;
#pragma GCC unroll 32
  for (int c = 0; c < CHAINS; c++) sums[c] = b * (float)c;
  for (int64_t i = 0; i < count; i++) {
#pragma GCC unroll 32
    for (int c = 0; c < CHAINS; c++) sums[c] = sums[c] * a + b;
    __asm__ volatile("" : "+x"(a), "+x"(b));        /* nothing may be moved out of the loop */
  }
  vector total = sums[0];
#pragma GCC unroll 32
  for (int c = 1; c < CHAINS; c++) total += sums[c];
  memcpy(out, &total, sizeof total);
  return count * CHAINS * WIDTH * 2;
}

/* A plain loop, not memcpy, whose string instructions crawl on some machines where addresses agree modulo 4 KB. */
void copy(vector *restrict to, const vector *restrict from, int64_t bytes, int64_t repeats) {
  for (int64_t r = 0; r < repeats; r++) {
    for (int64_t i = 0; i < bytes / (int64_t)sizeof *to; i += 4) {
      vector a = from[i], b = from[i + 1], c = from[i + 2], d = from[i + 3];
      to[i] = a, to[i + 1] = b, to[i + 2] = c, to[i + 3] = d;
    }
    __asm__ volatile("" ::: "memory");
  }
}
