/* fastnn.h: the arguments of every kernel, and what each computes. No Python here.

   Memory. A value that has one row an image lives as `rows`: images in groups of LANES, feature f of lane l of group g at
       p[g * stride + f * LANES + l]
   where a feature is the index of an element inside its row in C order (for an image: (c, h, w)). LANES is 16 in batches
   (every vector full of images, no tails) and 1 for few rows, where a row is then plain C order. Lanes past the last
   image hold garbage: kernels compute on it, and whatever sums over the batch leaves it out.
   Everything else (weights, sums over the batch) is a plain array in C order, PyTorch's axes.

   Bits. Each output element is one fixed sequence of operations, set by the layer's shape alone: not by LANES, the batch,
   the number of threads, `part`, or the instruction set (those with FMA). A sum of products runs as FMA chains from +0
   over blocks in a fixed order, block sums added in ascending order; bias last, then residual, then ReLU.

   Rules. No reads or writes outside the buffers, no malloc, no libm, no static data that is written. Outputs may hold
   anything before (NaN included) and never overlap inputs, unless said otherwise. */
#ifndef FASTNN_H
#define FASTNN_H
#include <stddef.h>
#include <stdint.h>

/* A value with one row an image. stride 0: the same row for every group (LANES 1 only). p NULL: absent. */
typedef struct { float *p; int64_t stride; } rows;

/* The share of a kernel's work that one call does. n: images in the batch. group: which LANES of them (ROW kernels);
   groups: how many, from that one on (GROUPS kernels of LANES 16, else 1).
   part of parts: a slice of the independent outputs (rows of an image, channels, weights; an empty slice is fine).
   scratch: SCRATCH_FLOATS floats of this thread's, 64-byte aligned, contents undefined. error: set by checks. */
typedef struct { int64_t n, group, part, parts; float *scratch; int64_t *error; int64_t groups; } job;

enum { SCRATCH_FLOATS = 1 << 18 };
enum { DTYPE_FLOAT32, DTYPE_FLOAT64, DTYPE_UINT8, DTYPE_INT8, DTYPE_INT16, DTYPE_UINT16, DTYPE_INT32, DTYPE_UINT32,
       DTYPE_INT64, DTYPE_UINT64, DTYPE_BOOL };
enum { REDUCE_SUM, REDUCE_MEAN, REDUCE_MAX, REDUCE_MIN };
enum { KERNEL_LINEAR, KERNEL_POLY, KERNEL_RBF };
#define SVM_TINY 1e-12f                                  /* the least curvature of a step */

#define ROWS_IN(f) rows f;
#define ROWS_OUT(f) rows f;
#define IN(f) const void *f;
#define OUT(f) void *f;
#define INOUT(f) void *f;
#define INT(f) int64_t f;
#define NUM(f) double f;
#define INTS(f, k) int64_t f[k];
#define NUMS(f, k) double f[k];
#define KERNEL(space, name, fields) typedef struct { fields } name##_args;
#include "kernels.def"
#undef KERNEL
#undef ROWS_IN
#undef ROWS_OUT
#undef IN
#undef OUT
#undef INOUT
#undef INT
#undef NUM
#undef INTS
#undef NUMS

/* What each kernel computes (rows are written per image; C, H, W = channels, height, width).

gather      y[i] = x[r, i] * scale + offset, cast to float32 first; r = index ? index[n] : n (int64). `shape` is the row's
            shape padded in front with 1s, strides and row_stride are x's in bytes (any sign, any alignment).
            scale 1 and offset 0 copy exactly.
export      y[n, i] = x[i]: the opposite, into an array of dtype float32, float64, int64 or bool with any strides (bytes).
gather_int  the same as gather for integers, to int64: y[n, prod(shape)], C order. Integer and bool dtypes only.
check_labels  error where a target (int64, count of them per image) is outside [0, classes) and not ignore_index:
            *error = 1 + its flat position. Writes nothing else.
copy        y[y_offset + sum i_d y_strides_d] = x[x_offset + sum i_d x_strides_d] over shape (strides in features, any sign).
broadcast   y[i] = x[sum i_d x_strides_d], y in C order of shape; x a plain float array (strides in floats).
fill        y[i] = value, count features.

elementwise y = program(x0 .. x5), element by element, count features. The program has `length` instructions of four words
            (opcode, a, b, c): an operand 0..5 is an input, 8..15 is constant 0..7, 16 + j the result of instruction j, -1
            is unused. The result is the last instruction's. Opcodes: elementwise.def, each with its formula.
            y may be one of the inputs (same buffer).
reduce      x as (outer, count, inner) -> y (outer, inner): sum, mean (sum / count), max, min (NaN wins). A sum is chains of
            256 in ascending order, chain sums added in ascending order.
batch_sum   x as (outer, features) per image -> y[features] = sum over images and outer; mean: divided by n * outer.
            Lane l of group g is image 16 g + l: a double a lane and feature over ascending (g, outer), then the tree over
            lanes (i+8, i+4, i+2, i+1), rounded once to float32.
channel_sum y[c] = sum over images and pixels of x[c, p] (a bias gradient): chains of 256 pixels a lane, block sums
            added ascending, the tree over lanes, groups added ascending.
matmul      y[i, j] = sum_k a[i, k] b[k, j] a row; a_const / b_const (plain) are read instead of a / b when not NULL; strides in
            elements for (first, second) index, so that transposes cost nothing. Chains of 256 along k.
matmul_sum  y[i, j] = sum over images and k of a[i, k] b[k, j], plain result.

softmax_forward   y = exp(x - max) / sum exp(x - max) over count, x as (outer, count, inner).
softmax_backward  dx = y (dy - sum dy y).
log_softmax_forward   y = x - max - log sum exp(x - max).        log_softmax_backward  dx = dy - exp(y) sum dy.
cross_entropy_forward   x (classes, inner) logits; target int64 [n, inner] or probabilities (classes, inner), one of the two:
            loss[i] = -sum_c q_c log_softmax(x)_c w_c, q the one-hot or probabilities smoothed: q (1 - s) + s / classes;
            weight [classes] may be NULL (all 1). 0 where target == ignore_index.
cross_entropy_backward  dx[c, i] = dy[i] (softmax(x)_c sum_k q_k w_k - q_c w_c); 0 where ignored.
            Both take exp and log from simd/math.h.
pick_weight y[i] = weight[target[n, i]] (1 where weight is NULL), 0 where ignored or not in [0, classes): the divisor of a
            weighted mean.
mse_forward loss = sum_i (x_i - target_i)^2 / count;   mse_backward  dx_i = dy (2 / count) (x_i - target_i).
accuracy    y[i] = 1 where argmax_c x[c, i] (first of ties) is the target, or the argmax of the probabilities; else 0.
            classes == 1: (x > 0.5) == target. 0 where ignored.

conv2d_forward   y[o, p, q] = relu(residual + fma(bias[o] + sum_{i,u,v} x[g(o) + i, p s0 - pt + u d0, q s1 - pl + v d1]
            weight[o, i, u, v], scale[o], shift[o])); scale NULL: without scale and shift. padding = (top,
            bottom, left, right), zeros. weight (filters, channels/groups, kernel...), natural order. packed: conv2d_pack's
            result where lanes had better be filters, or NULL (LANES 16 never needs it). bias, residual may be NULL; relu 0 or
            1.
            pool: then max_pool2d of 2x2, stride 2, whose result y is (without residual; stride and dilation 1, channels of one
            block).
            Order of the sum: (block of input channels, u, v, channel in the block), blocks of 32 channels where u*v <= 9, 16
            where <= 25, else 8; 256 where the kernel is 1x1. One FMA chain from +0 a block, block sums added ascending.
conv2d_backward_input   dx = mask <= 0 ? 0 : relu(residual + fma(bias + the transpose of the forward, scale, shift)): sum over (block
            of filters, u, v, filter), blocks as above. bias, scale and shift [channels] and relu: where it is a transposed
            convolution's forward. residual, mask may be NULL here and below. packed as above, `turned`.
conv2d_backward_weight  dweight[o, i, u, v] = sum over images and pixels of dy[o, p, q] x[...]: for each group ascending, for each
            block of output pixels (as many whole rows as hold 64; a row wider than 64 is cut after every 64) an FMA chain a
            lane, block sums added ascending a lane to +0, lanes past n dropped; at last a tree over lanes (i+8, i+4, i+2, i+1).
conv2d_pack  weights for LANES 1 in the order that conv2d_forward wants: its own business, filters of a group rounded up to
            a multiple of 16: groups * ceil(filters / groups / 16) * 16 * (channels / groups) * u * v floats. turned: in that
            of conv2d_backward_input, where channels and filters change places.
winograd_forward   conv2d_forward of a 3x3 kernel, stride 1, dilation 1, groups 1, by Winograd's F(4x4, 3x3) (points, transforms
            and their order in winograd_transform.h). packed: winograd_pack's result. The product over channels is one FMA chain
            from +0 a block of 128 channels (64 where there are more than 128), block sums added ascending; then the output
            transform, bias, scale, residual, ReLU, mask. pool: then max_pool2d of 2x2, stride 2, whose result y is (no
            residual or mask then). Padding may be negative. Channels and both widths are at most 1024 (a row
            of one image must fit scratch). One non-finite input may spoil its tiles, of 4x4 outputs, in all filters.
            The gradient by the input is the same kernel: x is dy, y is dx, channels and filters are exchanged, the weight is
            flipped, and the padding is 2 less the forward's.
winograd_backward_weight  conv2d_backward_weight of the same layers. The 36 products: for each group ascending, for each block of 4
            tiles in row-major order, one FMA chain from +0 over (tile, image), images past n left out; chain sums added
            ascending to +0; at last the transform to 3x3.
winograd_pack  the transformed weights: 36 * ceil(filters / 16) * 16 * channels floats. flip: weight is (channels, filters, 3, 3),
            taken turned by 180 degrees.
linear_forward   y[t, o] = relu(residual + (bias[o] + sum_k x[t, k] weight[o, k])), t < positions; chains of 256 along k.
linear_backward_input   dx[t, k] = mask <= 0 ? 0 : residual + sum_o dy[t, o] weight[o, k], chains of 256 along o.
linear_backward_weight  dweight[o, k] = sum over images n and t of dy x: pairs (group, t) ascending, chains over the lanes
            (those below n) of 16 pairs. Steps: features from position to position, and from one o or k to the next; a 1x1
            convolution's gradient is the same with its pixels for positions.
linear_backward_weight_sgd  sgd of weight with that gradient, which is stored nowhere.
linear_pack  as conv2d_pack: ((out_features + 15) / 16) * in_features * 16 floats.

lstm_forward  of x (steps, in_features), per image, for times t = 0 .. steps - 1 (reverse: steps - 1 .. 0), * elementwise:
                i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of (weight_ih x[t] + weight_hh h + (bias_ih + bias_hh))
                c = f c + i g,  y[t] = h = o tanh c
            hidden units; weights (4 hidden, ...) with the gates' rows in this order (PyTorch's), packed by recurrent_pack. h0, c0
            (NULL: zeros) are h and c before the first time, h and c those after the last. saved (steps, 6, hidden): i, f, g, o,
            c, tanh c; cells (steps, hidden): c. NULL leaves out y, cells, h, c, saved, or a bias. Order of a sum: chains of 256
            along x[t], then along h, each added to those before it, then the sum of the biases. products (steps, 4 hidden):
            weight_ih x made before by linear_forward, the same bits (NULL: not). One call does the `count` times from the
            first-th on, of which it can cut only a single one into parts; for first > 0 y and cells hold the times before.
            lengths (one an image; NULL: steps): times t >= lengths change nothing, their y is 0, but their x must be finite; then
            first is 0, and count steps. The same in the backward, which passes dh and dc on there and ignores dy.
lstm_backward  from dy, dh, dc (of y, h, c; NULL: zeros): dgates (steps, 4, hidden), the gradient of what the four functions are
            applied to; totals (4, hidden), its sum over the steps in the order of the backward; dh0, dc0; before (steps,
            hidden), the h that each time began with: weight_hh's gradient is then linear_backward_weight of dgates and before,
            weight_ih's that of dgates and x. packed_hh is packed with transposed = 1. Chains of 256 along the gates' rows.
            NULL leaves out before, totals, dh0, dc0.
gru_forward   the same with r, z = sigmoid(weight_ih x[t] + weight_hh h + (bias_ih + bias_hh)), rows r, z, n:
                nh = weight_hh h + bias_hh,  n = tanh(weight_ih x[t] + bias_ih + r nh),  y[t] = h = n + z (h - n)
            saved (steps, 4, hidden): r, z, n, nh.
gru_backward  dx_gates (steps, 3, hidden), the gradient of weight_ih x[t], and dgates, of weight_hh h; totals (4, hidden): of
            r, z, n, nh.
rnn_forward   h = tanh or relu of (weight_ih x[t] + weight_hh h + (bias_ih + bias_hh)).
recurrent_pack  weight (gates * units, in_features) as packed[gate][unit / 16][k][unit % 16], zeros past the last unit; transposed:
            weight is (in_features, units), gates 1. gates * ceil(units / 16) * 16 * in_features floats.

max_pool2d_forward   windows clipped to the image; the first of ties wins, the last NaN over all; padding is never chosen.
max_pool2d_backward  each dy goes to its window's winner, found again from x by the same rule; overlaps add in ascending
            order of the output pixel. Then 0 where mask <= 0.
avg_pool2d_forward   sum over the window's pixels in row-major order / divisor: kernel area clipped to the padded image where
            count_include_pad, else the number of real pixels (PyTorch's rule, ceil_mode included).
adaptive_avg_pool2d  windows [floor(p H / OH), ceil((p + 1) H / OH)).

batch_norm_statistics  mean[c], variance[c] (biased) over images and pixels: float64 Chan combination of blocks (group, channel),
            each with its own mean first. scale, shift (NULL: not wanted): as batch_norm_coefficients makes them of these.
batch_norm_coefficients  scale = weight / sqrt(variance + eps), shift = bias - mean * scale (weight, bias NULL: 1, 0).
batch_norm_forward   y = relu(residual + fma(x, scale[c], shift[c])).
batch_norm_sums  dbias[c] = sum dy, dweight[c] = sum dy (x - mean) / sqrt(variance + eps).
batch_norm_backward  training: dx = weight / sqrt(variance + eps) * (dy - dbias / m - xhat dweight / m), m = n * pixels; else without
            the two sums (dbias, dweight then unused, may be NULL). weight NULL: 1. Then 0 where mask <= 0.
batch_norm_update  running = (1 - momentum) running + momentum * batch, the variance unbiased (count / (count - 1), as PyTorch;
            count = elements a channel); num_batches_tracked (int64) += 1; momentum < 0: cumulative average 1 / (num_batches_tracked + 1).

layer_norm_forward  of x (outer, count): mean[o], rstd[o] = 1 / sqrt(variance + eps) (NULL: not wanted), the variance biased;
            y[o, i] = fma((x - mean) rstd, weight[i], bias[i]) (weight, bias NULL: 1, 0). Sums over count: element i to virtual lane
            i mod 16, then a tree by halves; here and below.
layer_norm_backward dx = rstd (g - sum g / count - xhat sum(g xhat) / count), g = dy weight[i], xhat = (x - mean) rstd.
layer_norm_sums     dweight[i] = sum over images and outer of dy xhat, dbias[i] = sum of dy: chains of 256 positions a lane, block sums
            in float64 over ascending (group, block), then the tree over lanes.

interpolate_forward y[c, p, q] of x[c] at row p * scale[0], column q * scale[1] rounded down (in float32); bilinear: at
            (p + 0.5) scale - 0.5 (align_corners: p * scale), at least 0, of the pixels a = floor and b = the next, at most the last:
            x_a (1 - s) + x_b s, s the share behind a; first along the row, then between the two rows.
interpolate_backward  dx = the transpose: outputs ascending, strips of 1024 columns one after another.

embedding_forward   y[t, d] = weight[x[t], d], t < positions, weight (embeddings, dim); x[t] is a float. Where it is no whole number of
            [0, embeddings): zeros, and *error = 1 + the first such place, flat over the batch.
embedding_backward  dweight[r, d] = sum over i < count, ascending, of dy[i, d] where x[i] is r; row padding_idx (-1: none) stays 0. x, dy
            hold the whole batch in C order.

dropout     y[i] = keep(i) ? x[i] / (1 - p) : 0; keep(i) = u >= p, u = word (i & 3) of Philox4x32-10(key (seed, stream), counter
            (image lo, i >> 2, step lo, step hi)) >> 8, times 2^-24. The backward is the same kernel on dy.
randn_like  y[i] = the standard normal quantile of u + 2^-25, u as dropout's.
bernoulli   y[i] = u < x[i] ? 1 : 0, u as dropout's; NaN where x is NaN.
random_window  y[c, p, q] = x[c] at row m + cos(t) v - sin(t) h, column k + sin(t) v + cos(t) h, bilinear, 0 outside: (m, k) the image's
            middle ((height - 1) / 2, ...), v = top + p - m, h = left + q - k (mirrored: left + out_width - 1 - q - k). With k0 .. k3
            the image's words 0 .. 3 (as dropout's) >> 8, u = k 2^-24: mirrored = u0 < flip, t = 2 (2 u3 - 1) half_angle,
            top = (k1 (height + 2 padding - out_height + 1) >> 24) - padding, left of k2 likewise. In float64; the four pixels' shares
            that are not 0 are added in row-major order and rounded once. sin and cos by their series (random_window.h).

contrastive_divergence_chain  for each row, units being model of all rows, then data: data = sigmoid(weight v + hidden_bias);
            h = the row of chains, of which there are chain_rows, else coins of data; k times: the visible mean = sigmoid(h weight
            + visible_bias) (gaussian: without sigmoid), sample = its coins (gaussian: mean + randn), model = sigmoid(weight
            sample + hidden_bias), h = its coins (keep 0: not the last time). states = h with chain_rows 0, else chains with its
            first rows from h. Coin t (0: of data, 2 i + 1 and 2 i + 2 of step i) is bernoulli's with stream + 65536 t, randn
            likewise. packed: linear_pack's. A product is one FMA chain from +0 over what is not 0, ascending, then the bias. At
            most 65536 units.
contrastive_divergence_gradient  with the same units: dweight[h, i] = share (sum model[n, h] sample[n, i] - sum data[n, h]
            v[n, i]), share = 1 / rows (of none: 1): one FMA chain from +0 over the rows of the first sum, then of the second,
            where sample or v is not 0. dhidden[h] = share * sum of (model - data), dvisible of (sample - v), rows ascending.

sgd         g += weight_decay w; v = first ? g : momentum v + (1 - dampening) g (v kept where velocity is not NULL);
            w -= lr (nesterov ? g + momentum v : v).                                            (PyTorch's SGD)
rmsprop     g += weight_decay w; s = alpha s + (1 - alpha) g^2 (square_avg); grad_avg not NULL: m = alpha m + (1 - alpha) g, and
            max(0, s - m^2) for s; d = g / (sqrt(s) + eps); velocity not NULL: v = momentum v + d, and v for d; w -= lr d.
                                                                                                (PyTorch's RMSprop)
adam        g += weight_decay w (decoupled: w -= lr weight_decay w first); m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
            w -= lr / correction1 * m / (sqrt(v) / sqrt(correction2) + eps), corrections 1 - beta^t.      (PyTorch's Adam, AdamW)

kernel_pack packed as linear_pack's, of rows x features, rows a multiple of 16; squares[r] = sum_k x[r, k]^2, summed as products.
kernel_matrix  y[r, c] = k(x[r], z[c]), rows y_step apart, z packed, its columns a multiple of 16. p = sum_k x[r, k] z[c, k]
            (chains of 256): linear p; poly (gamma p + coef0)^degree by squaring; rbf exp(-gamma max(0, squares of x + of z - 2 p)).
            symmetric: x is z (rows a multiple of 16 too), and half of the work is saved. The squares may be NULL but for rbf.
svm_solve   min_alpha 1/2 sum_kl s_k s_l alpha_k alpha_l K[k, l] + sum p_k alpha_k, sum s alpha = 0, 0 <= alpha <= bound, for
            `count` problems, each at most `steps` steps further; svm_solve.h says how the problems lie in the arrays and what
            the states are. Before the first call f = s p at alpha = 0. done becomes 1 where the gap is below tol. gram: kernel
            values, or room for a cache of rows, which are then computed from x, packed and squares. */

typedef void (*kernel_fn)(const void *args, const job *j);

#endif
