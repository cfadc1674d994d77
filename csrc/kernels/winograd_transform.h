/* The transforms of Winograd's F(4x4, 3x3) with the points 0, +-sqrt(1/2), +-sqrt(2), infinity: a tile of 4 x 4 outputs is
       A^T [sum over channels (G w G^T) * (B^T x B)] A,    * element by element, x a window of 6 x 6.
   Columns first, then rows. Each 1-D transform is one fixed sequence of operations on vectors, whatever lies in the lanes:
   so images in the lanes, channels in the lanes and every target give the same bits. +-p share their even and odd parts, and
   a 2-D transform makes one pair of rows at a time, so that what lies between columns and rows stays in registers.
   Source: Lavin and Gray, Fast algorithms for convolutional neural networks, arXiv:1509.09308; points as in Barabasz et al.,
   Error analysis and improving the accuracy of Winograd convolution for deep neural networks, arXiv:1803.10986. */
#ifndef FASTNN_WINOGRAD_TRANSFORM_H
#define FASTNN_WINOGRAD_TRANSFORM_H
#include "tile.h"

enum { WINOGRAD_OUT = 4, WINOGRAD_IN = 6, WINOGRAD_AREA = 36 };
#define ROOT_HALF 0.70710678118654752440f
#define INLINE static inline __attribute__((always_inline))

/* B^T: 6 -> 6. even -+ odd sqrt(1/2) are the results at a pair of points. */
INLINE vf winograd_input_0(vf d0, vf d2, vf d4) { return vf_fma(vf_set1(-2.5f), d2, d0 + d4); }
INLINE vf winograd_input_5(vf d1, vf d3, vf d5) { return vf_fma(vf_set1(-2.5f), d3, d1 + d5); }
INLINE void winograd_pair(vf even, vf odd, vf *plus, vf *minus) {
    *plus = vf_fma(vf_set1(ROOT_HALF), odd, even);
    *minus = vf_fma(vf_set1(-ROOT_HALF), odd, even);
}
INLINE void winograd_input_12(vf d1, vf d2, vf d3, vf d4, vf *t1, vf *t2) {
    winograd_pair(vf_fma(vf_set1(-2), d2, d4), vf_fma(vf_set1(-2), d1, d3), t1, t2);
}
INLINE void winograd_input_34(vf d1, vf d2, vf d3, vf d4, vf *t3, vf *t4) {
    winograd_pair(vf_fma(vf_set1(-0.5f), d2, d4), vf_fma(vf_set1(2), d3, -d1), t3, t4);
}
INLINE void winograd_input(const vf d[6], float *v, int64_t step) {
    vf t1, t2, t3, t4;
    winograd_input_12(d[1], d[2], d[3], d[4], &t1, &t2);
    winograd_input_34(d[1], d[2], d[3], d[4], &t3, &t4);
    vf_store(v, winograd_input_0(d[0], d[2], d[4]));
    vf_store(v + step, t1);
    vf_store(v + 2 * step, t2);
    vf_store(v + 3 * step, t3);
    vf_store(v + 4 * step, t4);
    vf_store(v + 5 * step, winograd_input_5(d[1], d[3], d[5]));
}

/* V = B^T x B of one window: x's rows, `step` floats a column, of which [first, end) are inside and the others 0;
   V's element k at v + k v_step. */
INLINE void winograd_input_tile(const float *const row[6], int64_t step, int first, int end, float *v, int64_t v_step) {
#define AT(r, q) (q >= first && q < end ? vf_load(row[r] + q * step) : vf_set1(0))
    vf a[6], b[6];
    UNROLL for (int q = 0; q < 6; q++) a[q] = winograd_input_0(AT(0, q), AT(2, q), AT(4, q));
    winograd_input(a, v, v_step);
    UNROLL for (int q = 0; q < 6; q++) winograd_input_12(AT(1, q), AT(2, q), AT(3, q), AT(4, q), &a[q], &b[q]);
    winograd_input(a, v + 6 * v_step, v_step);
    winograd_input(b, v + 12 * v_step, v_step);
    UNROLL for (int q = 0; q < 6; q++) winograd_input_34(AT(1, q), AT(2, q), AT(3, q), AT(4, q), &a[q], &b[q]);
    winograd_input(a, v + 18 * v_step, v_step);
    winograd_input(b, v + 24 * v_step, v_step);
    UNROLL for (int q = 0; q < 6; q++) a[q] = winograd_input_5(AT(1, q), AT(3, q), AT(5, q));
    winograd_input(a, v + 30 * v_step, v_step);
#undef AT
}

/* A^T: 6 -> 4: outputs 0 and 2 of the sums of pairs, 1 and 3 of their differences. */
INLINE void winograd_output_02(vf m0, vf m1, vf m2, vf m3, vf m4, vf *y0, vf *y2) {
    const vf near = m1 + m2, far = m3 + m4;
    *y0 = (m0 + near) + far;
    *y2 = vf_fma(vf_set1(0.5f), near, far + far);
}
INLINE void winograd_output_13(vf m1, vf m2, vf m3, vf m4, vf m5, vf *y1, vf *y3) {
    const vf near = m1 - m2, far = m3 - m4;
    *y1 = vf_set1(ROOT_HALF) * vf_fma(vf_set1(2), far, near);
    *y3 = vf_fma(vf_set1(0.5f * ROOT_HALF), vf_fma(vf_set1(8), far, near), m5);
}
INLINE void winograd_output(const vf m[6], vf y[4]) {
    winograd_output_02(m[0], m[1], m[2], m[3], m[4], &y[0], &y[2]);
    winograd_output_13(m[1], m[2], m[3], m[4], m[5], &y[1], &y[3]);
}

/* Rows r and r + 2 (r: 0 or 1) of y = A^T m A. */
INLINE void winograd_output_rows(const float *m, int64_t step, int r, vf y[2][4]) {
#define AT(k) vf_load(m + ((k) * 6 + q) * step)
    vf a[6], b[6];
    UNROLL for (int q = 0; q < 6; q++) {
        if (r == 0) winograd_output_02(AT(0), AT(1), AT(2), AT(3), AT(4), &a[q], &b[q]);
        else winograd_output_13(AT(1), AT(2), AT(3), AT(4), AT(5), &a[q], &b[q]);
    }
    winograd_output(a, y[0]);
    winograd_output(b, y[1]);
#undef AT
}

/* G: 3 -> 6. */
INLINE void winograd_weight(vf w0, vf w1, vf w2, vf u[6]) {
    const vf near = vf_fma(vf_set1(0.5f), w2, w0), far = vf_fma(vf_set1(2), w2, w0);
    vf plus, minus;
    u[0] = w0;
    winograd_pair(near, w1, &plus, &minus);
    u[1] = vf_set1(-2.0f / 3) * plus;
    u[2] = vf_set1(-2.0f / 3) * minus;
    winograd_pair(far, w1 + w1, &plus, &minus);
    u[3] = vf_set1(1.0f / 6) * plus;
    u[4] = vf_set1(1.0f / 6) * minus;
    u[5] = w2;
}

/* A: 4 -> 6, of dy for the gradient of the weight; its ends are d0 and d3. */
INLINE void winograd_dy_12(vf d0, vf d1, vf d2, vf d3, vf *t1, vf *t2) {
    winograd_pair(vf_fma(vf_set1(0.5f), d2, d0), vf_fma(vf_set1(0.5f), d3, d1), t1, t2);
}
INLINE void winograd_dy_34(vf d0, vf d1, vf d2, vf d3, vf *t3, vf *t4) {
    winograd_pair(vf_fma(vf_set1(2), d2, d0), vf_fma(vf_set1(4), d3, d1 + d1), t3, t4);
}
INLINE void winograd_dy(vf d0, vf d1, vf d2, vf d3, vf t[6]) {
    t[0] = d0;
    winograd_dy_12(d0, d1, d2, d3, &t[1], &t[2]);
    winograd_dy_34(d0, d1, d2, d3, &t[3], &t[4]);
    t[5] = d3;
}

/* G^T: 6 -> 3. */
INLINE void winograd_dweight(const vf s[6], vf w[3]) {
    const vf near = s[1] + s[2], far = s[3] + s[4], near_odd = s[1] - s[2], far_odd = s[3] - s[4];
    w[0] = vf_fma(vf_set1(1.0f / 6), far, vf_fma(vf_set1(-2.0f / 3), near, s[0]));
    w[1] = vf_set1(ROOT_HALF * 2 / 3) * vf_fma(vf_set1(0.5f), far_odd, -near_odd);
    w[2] = vf_fma(vf_set1(1.0f / 3), far - near, s[5]);
}
#endif
