/* random_window: where the window lies, how it is turned and whether it is mirrored follows from an image's own Philox words; all
   of that in float64, so that a copied pixel is exact and every target has the same bits. */
#include "philox.h"
#ifndef FASTNN_RANDOM_WINDOW
#define FASTNN_RANDOM_WINDOW
/* the source of output pixel (p, q): row = top + p, column = left + q or left - q, turned about the image's middle */
typedef struct { double top, left, step, cosine, sine; } placement;

/* sin x and cos x by their series, |x| <= pi / 2 */
static inline double sine_of(double x) {
    double s = x * x, y = 1.0;
    for (int k = 16; k > 0; k -= 2) y = 1.0 - y * s / (double)(k * (k + 1));
    return x * y;
}
static inline double cosine_of(double x) {
    double s = x * x, y = 1.0;
    for (int k = 17; k > 0; k -= 2) y = 1.0 - y * s / (double)(k * (k + 1));
    return y;
}

static inline int64_t random_choice(uint32_t word, int64_t count) { return ((int64_t)(word >> 8) * count) >> 24; }

/* words: four of the image, `apart` places from one to the next */
static inline placement random_placement(const random_window_args *a, const uint32_t *words, int apart) {
    placement t;
    int64_t rows = a->height + 2 * a->padding[0] - a->out_height + 1, columns = a->width + 2 * a->padding[1] - a->out_width + 1;
    int mirrored = (double)(words[0] >> 8) * 0x1p-24 < a->flip;
    double half = ((double)(words[3 * apart] >> 8) * 0x1p-23 - 1.0) * a->half_angle, s = sine_of(half), c = cosine_of(half);
    t.top = (double)(random_choice(words[apart], rows) - a->padding[0]);
    t.left = (double)(random_choice(words[2 * apart], columns) - a->padding[1]);
    t.step = 1.0;
    if (mirrored) t.left += (double)(a->out_width - 1), t.step = -1.0;
    t.cosine = 1.0 - 2.0 * s * s, t.sine = 2.0 * s * c;
    return t;
}

/* the four pixels around a place, and their shares; those outside the image have none */
typedef struct { int64_t at[4]; double share[4]; } neighbours;
static inline neighbours neighbours_of(double row, double column, int64_t height, int64_t width) {
    neighbours n;
    int64_t i = (int64_t)row, k = (int64_t)column;
    i -= (double)i > row, k -= (double)k > column;                             /* floor */
    double low = row - (double)i, right = column - (double)k;
    for (int t = 0; t < 4; t++) {
        int64_t r = i + (t >> 1), c = k + (t & 1);
        int inside = r >= 0 && r < height && c >= 0 && c < width;
        n.at[t] = inside ? r * width + c : 0;
        n.share[t] = inside ? (t >> 1 ? low : 1.0 - low) * (t & 1 ? right : 1.0 - right) : 0.0;
    }
    return n;
}
#endif

static void K(random_window)(const random_window_args *a, const job *j) {
    uint32_t words[64];
    slice s = slice_of(j, a->out_height, 1);
    double middle_row = (double)(a->height - 1) / 2, middle_column = (double)(a->width - 1) / 2;
    philox_strip(words, (philox_key){a->seed, a->step, a->stream}, LANES, j->group * LANES, 0);
    for (int l = 0; l < LANES; l++) {
        placement t = random_placement(a, words + l, LANES);
        const float *x = a->x.p + j->group * a->x.stride + l;
        float *y = a->y.p + j->group * a->y.stride + l;
        for (int64_t p = s.begin; p < s.end; p++)
            for (int64_t q = 0; q < a->out_width; q++) {
                double down = t.top + (double)p - middle_row, across = t.left + t.step * (double)q - middle_column;
                neighbours n = neighbours_of(middle_row + (t.cosine * down - t.sine * across),
                                             middle_column + (t.sine * down + t.cosine * across), a->height, a->width);
                for (int64_t c = 0; c < a->channels; c++) {
                    double total = 0.0;
                    for (int k = 0; k < 4; k++)
                        if (n.share[k] != 0.0) total += n.share[k] * (double)x[(c * a->height * a->width + n.at[k]) * LANES];
                    y[((c * a->out_height + p) * a->out_width + q) * LANES] = (float)total;
                }
            }
    }
}
