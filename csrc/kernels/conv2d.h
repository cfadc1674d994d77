/* conv2d: forward, and its two gradients. Formulas and the order of sums in fastnn.h. */
#include "conv2d_map.h"
#include "conv2d_batch.h"
#include "conv2d_image.h"
#include "conv2d_groups.h"
#include "conv2d_weight.h"
#include "conv2d_weight_image.h"

/* One filter's pixel of the grid, of LANES images from `piece` on. */
static V K(conv2d_pixel)(const conv2d_map *m, int64_t filter, int64_t row, int64_t column, int64_t piece) {
    const int64_t g = filter / m->filters, plane = m->height * m->width, y_plane = m->y_height * m->y_width;
    const float *w = m->weight + g * m->w_group + filter % m->filters * m->w_filter;
    const float *x = m->x + g * m->channels * plane * LANES;
    V total = v_set1(0);
    for (int64_t c = 0; c < m->channels; c += m->block) {
        V sum = v_set1(0);
        for (int64_t t = 0; t < m->taps[0] * m->taps[1]; t++) {
            const int64_t u = t / m->taps[1], v = t % m->taps[1];
            const int64_t xr = m->x_first[0] + row * m->x_step[0] + u * m->x_tap[0];
            const int64_t xc = m->x_first[1] + column * m->x_step[1] + v * m->x_tap[1];
            if (xr < 0 || xr >= m->height || xc < 0 || xc >= m->width) continue;
            for (int64_t i = c; i < smaller(m->channels, c + m->block); i++)
                sum = v_fma(v_load(x + (i * plane + xr * m->width + xc) * LANES + piece),
                            v_set1(w[i * m->w_channel + u * m->w_tap[0] + v * m->w_tap[1]]), sum);
        }
        total = c ? total + sum : sum;
    }
    const int64_t at = (filter * y_plane + (m->y_first[0] + row * m->y_step[0]) * m->y_width
                        + m->y_first[1] + column * m->y_step[1]) * LANES + piece;
    if (m->bias) total = total + v_set1(m->bias[filter]);
    if (m->scale) total = v_fma(total, v_set1(m->scale[filter]), v_set1(m->shift[filter]));
    if (m->residual) total = total + v_load(m->residual + at);
    if (m->relu) total = v_select(total <= v_set1(0), v_set1(0), total);
    if (m->mask) total = v_select(v_load(m->mask + at) <= v_set1(0), v_set1(0), total);
    return total;
}

/* One pixel at a time, for windows too large to be copied. */
static void K(conv2d_any)(const conv2d_map *m, const job *j) {
    const int64_t unit = conv2d_unit(m), lines = m->rows / unit;
    const slice s = slice_of(j, m->groups * m->filters * lines, 1);
    for (int64_t line = s.begin; line < s.end; line++)
        for (int64_t n = 0; n < m->columns / unit * (LANES / VL); n++) {
            const int64_t filter = line / lines, row = line % lines, column = n / (LANES / VL), piece = n % (LANES / VL) * VL;
            V best = v_set1(0);
            for (int64_t k = 0; k < unit * unit; k++) {
                const V pixel = K(conv2d_pixel)(m, filter, row * unit + k / 2, column * unit + k % 2, piece);
                best = k ? v_select((VI)(pixel > best) | (VI)(pixel != pixel), pixel, best) : pixel;
            }
            const int64_t y_row = m->y_first[0] + row * m->y_step[0], y_column = m->y_first[1] + column * m->y_step[1];
            v_store(m->y + ((filter * m->y_height + y_row) * m->y_width + y_column) * LANES + piece, best);
        }
}

static void K(conv2d_run)(const conv2d_map *m, const job *j) {
    const int done = LANES == 16 ? conv2d_batch(m, j) : conv2d_groups(m, j) || conv2d_image(m, j);
    if (!done) K(conv2d_any)(m, j);
}

static void K(conv2d_forward)(const conv2d_forward_args *a, const job *j) {
    conv2d_map m;
    conv2d_forward_map(&m, a);
    m.x = a->x.p + j->group * a->x.stride;
    m.y = a->y.p + j->group * a->y.stride;
    if (a->residual.p) m.residual = a->residual.p + j->group * a->residual.stride;
    K(conv2d_run)(&m, j);
}

/* All grids of groups [first, end). */
static void K(conv2d_backward_groups)(const conv2d_backward_input_args *a, const job *j, int64_t first, int64_t end) {
    conv2d_map m;
    for (int64_t i = 0; i < a->stride[0]; i++)
        for (int64_t k = 0; k < a->stride[1]; k++) {
            conv2d_backward_map(&m, a, i, k);
            m.x = a->dy.p + j->group * a->dy.stride;
            m.y = a->dx.p + j->group * a->dx.stride;
            if (a->residual.p) m.residual = a->residual.p + j->group * a->residual.stride;
            if (a->mask.p) m.mask = a->mask.p + j->group * a->mask.stride;
            conv2d_some_groups(&m, first, end, LANES);
            if (m.rows && m.columns) K(conv2d_run)(&m, j);
        }
}

/* As many groups at once as one image's lanes hold (conv2d_groups.h): each grid finds dx's lines, of which
   another wrote a part, in L2. */
static void K(conv2d_backward_input)(const conv2d_backward_input_args *a, const job *j) {
    const int64_t some = LANES == 1 && a->stride[0] * a->stride[1] > 1 ? 16 : a->groups;
    for (int64_t g = 0; g < a->groups; g += some)
        K(conv2d_backward_groups)(a, j, g, smaller(a->groups, g + some));
}

static void K(conv2d_backward_weight)(const conv2d_backward_weight_args *a, const job *j) {
    if (LANES == 16) conv2d_weight(a, j);
    else conv2d_weight_image(a, j);
}
