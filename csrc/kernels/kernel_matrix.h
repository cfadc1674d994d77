/* kernel_pack and kernel_matrix: the kernel functions of support vector machines. Formulas in fastnn.h. */
#ifndef FASTNN_KERNEL_MATRIX_H
#define FASTNN_KERNEL_MATRIX_H
#include "linear_image.h"

enum { KERNEL_ROWS = 16, KERNEL_CACHED = 1 << 16 };       /* rows at once; floats of packed columns that stay in L2 */

/* packed[c / 16][k][c % 16], and the squares' sums in the order of kernel_matrix's products: k(x, x) of "rbf" is then 1 */
static void K(kernel_pack)(const kernel_pack_args *a, const job *j) {
    const slice s = slice_of(j, a->rows, 16);
    for (int64_t r = s.begin; r < s.end; r += 16) {
        float *packed = (float *)a->packed + r * a->features, *squares = (float *)a->squares + r;
        linear_pack_block(packed, (const float *)a->x + r * a->features, a->features, s.end - r, a->features);
        for (int i = 0; i < 16; i += VF) {
            vf total = vf_set1(0);
            for (int64_t k = 0; k < a->features; k += LINEAR_CHAIN) {
                vf sum = vf_set1(0);
                for (int64_t m = k; m < smaller(a->features, k + LINEAR_CHAIN); m++) {
                    const vf x = vf_load(packed + m * 16 + i);
                    sum = vf_fma(x, x, sum);
                }
                total = k ? total + sum : sum;
            }
            vf_store(squares + i, total);
        }
    }
}

/* What turns a product into k: see fastnn.h. */
typedef struct { int64_t kind, degree, features; float gamma, coef0; } kernel_function;

static inline vf kernel_value(const kernel_function *f, vf product, vf squares) {
    if (f->kind == KERNEL_RBF) {
        const vf distance = squares - (product + product);
        return vf_exp(vf_select((vi)(distance > 0.0f), distance, vf_set1(0)) * vf_set1(-f->gamma));
    }
    vf base = vf_fma(product, vf_set1(f->gamma), vf_set1(f->coef0)), power = vf_set1(1);
    for (int64_t d = f->degree; d > 0; d >>= 1, base = base * base)
        if (d & 1) power = power * base;
    return power;
}

/* y[r, c] = k(x[r], z[c]) for r < rows, at most KERNEL_ROWS, and c < columns, a multiple of 16 */
static void kernel_rows(const kernel_function *f, float *y, int64_t y_step, const float *x, const float *x_squares,
                        const float *packed, const float *squares, int64_t rows, int64_t columns) {
    const linear_map m = {.a = x, .b = packed, .y = y, .a_position = f->features, .a_k = 1, .b_f = f->features * 16, .b_k = 16,
                          .y_position = y_step, .y_f = 16, .k = f->features, .mode = TILE_SV, .a_pieces = 1,
                          .b_pieces = PIECES};
    linear_tiles(&m, &(rectangle){0, rows, 0, columns / VF});
    if (f->kind == KERNEL_LINEAR) return;
    for (int64_t r = 0; r < rows; r++) {
        const vf square = vf_set1(f->kind == KERNEL_RBF ? x_squares[r] : 0);
        for (int64_t c = 0; c < columns; c += VF) {
            float *at = y + r * y_step + c;
            vf_store(at, kernel_value(f, vf_load(at), f->kind == KERNEL_RBF ? square + vf_load(squares + c) : square));
        }
    }
}

/* A block of columns after the other, each for all rows of this part: every parts-th KERNEL_ROWS of them, since with
   `symmetric` the first have most to do. */
static void K(kernel_matrix)(const kernel_matrix_args *a, const job *j) {
    const kernel_function f = {a->kind, a->degree, a->features, (float)a->gamma, (float)a->coef0};
    const int64_t block = larger(16, KERNEL_CACHED / a->features / 16 * 16);
    for (int64_t first = 0; first < a->columns; first += block)
        for (int64_t r = j->part * KERNEL_ROWS; r < a->rows; r += j->parts * KERNEL_ROWS) {
            const int64_t c = a->symmetric ? larger(first, r) : first, end = smaller(a->columns, first + block);
            const int64_t rows = smaller(KERNEL_ROWS, a->rows - r);
            float *y = (float *)a->y + r * a->y_step;
            if (c >= end) continue;
            const float *x_squares = a->x_squares ? (const float *)a->x_squares + r : NULL;
            const float *squares = a->squares ? (const float *)a->squares + c : NULL;
            kernel_rows(&f, y + c, a->y_step, (const float *)a->x + r * a->features, x_squares,
                        (const float *)a->packed + c * a->features, squares, rows, end - c);
            for (int64_t i = larger(c, r + 16); a->symmetric && i < end; i += 16)
                transpose_block((float *)a->y + i * a->y_step + r, a->y_step, y + i, a->y_step, 16, 16);
        }
}
#endif
