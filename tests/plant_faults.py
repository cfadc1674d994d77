"""Plants one fault after another in a copy of what is committed, in every kernel and every fusion of plans, and lists which
tests catch it. A fault that nothing catches, or a kernel without a fault here, ends it with exit status 1.

    python tests/plant_faults.py [name ...]        names of kernels or fusions; default: all

Needs a C compiler, Cython, and what the tests need; takes about half a minute a fault. Kernels are compiled for one target,
with little optimisation; a fault in a kernel meets first the cases whose plans run it. Not part of the test run."""
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = "avx2"
FLAGS = "-O1 -std=gnu11 -ffp-contract=off -fvisibility=hidden -pthread -fPIC -Icsrc -w".split()
TESTS = ["tests/test_ops.py", "tests/test_kernels.py", "tests/test_networks_svm.py"]

# (kernel or fusion, file, text that occurs once, what it becomes)
FAULTS = [
    # moving data
    ("gather", "move.h", "if (l < images) row[l] = gathered(", "if (l + 1 < images) row[l] = gathered("),
    ("gather", "move.h", "(size_t)(s.end - s.begin) * 4);\n#endif", "(size_t)(s.end - s.begin - 1) * 4);\n#endif"),
    ("gather", "move.h", "y[i] * scale + shift", "y[i] * scale - shift"),
    ("export", "move.h", "for (int64_t l = 0; l < images && !direct; l++)", "for (int64_t l = 1; l < images && !direct; l++)"),
    ("export", "move.h", "&w, s.begin, s.end - s.begin, a->dtype);\n#endif",
     "&w, s.begin, s.end - s.begin - 1, a->dtype);\n#endif"),
    ("gather_int", "move_int.h", "[image] : image, offset", "[image] : 0, offset"),
    ("check_labels", "move_int.h", "target[i] < a->classes", "target[i] <= a->classes"),
    ("copy", "move.h", "v_load(x + (from + i * w.x[0])", "v_load(x + (from + i * w.y[0])"),
    ("broadcast", "move.h", "v_set1(x[from + i * w.x[0]])", "v_set1(x[from])"),
    ("fill", "move.h", "value = (float)a->value;", "value = (float)a->value + 1;"),
    # elementwise, reductions, products
    ("elementwise", "elementwise.h", "(operand){result[which - 16], -1}", "(operand){result[0], -1}"),
    ("elementwise", "elementwise.def", "relu_backward, 2, v_select(b <= 0.0f", "relu_backward, 2, v_select(b < 0.0f"),
    ("reduce", "reduce.h", "vf_select((vi)(x < y) | (vi)(x != x)", "vf_select((vi)(x > y) | (vi)(x != x)"),
    ("reduce", "reduce.h", "for (int64_t i = 0; i < count; i++) sum[0] += x[i];",
     "for (int64_t i = 1; i < count; i++) sum[0] += x[i];"),
    ("batch_sum", "reduce.h", "i < BLOCK; i++) sum[i] += x[i];", "i < BLOCK; i++) sum[i] = x[i];"),
    ("channel_sum", "reduce.h", "vf_load_run(x + i + h * VF, end - i - h * VF)", "vf_load_run(x + i + h * VF, VF)"),
    ("linear_backward_weight", "linear_weight.h", "to[l] = l < inputs ? x[l * step] : 0;", "to[l] = l < inputs ? x[l] : 0;"),
    ("linear_backward_weight", "linear_weight.h", "l < inputs ? vf_load_run(x + l, inputs - l)", "l < inputs ? vf_load_run(x, inputs - l)"),
    ("batch_sum", "reduce.h", "vf_load_run(x + l, larger(last - l, 0))", "vf_load(x + l)"),
    ("channel_sum", "reduce.h", "for (int64_t l = images_of(j, g, LANES); l < LANES; l++) lane[l] = 0;", ""),
    ("matmul", "matmul.h", "sum[r][c] = vf_fma(factor, column[c], sum[r][c]);",
     "sum[r][c] = vf_fma(-factor, column[c], sum[r][c]);"),
    ("matmul", "matmul.h", "a[r * t->a_strides[0] + k * t->a_strides[1]]", "a[r * t->a_strides[1] + k * t->a_strides[0]]"),
    ("matmul_sum", "matmul.h", "larger(images_of(j, g, LANES) - lane, 0)", "LANES - lane"),
    # softmax, losses
    ("softmax_forward", "softmax.h", "if (kind == SOFTMAX) return x * total;", "if (kind == SOFTMAX) return x / total;"),
    ("softmax_forward", "softmax.h", "m & 1; m >>= 1", "m > 1; m >>= 1"),
    ("softmax_backward", "softmax.h", "y * (x - total)", "y * (x + total)"),
    ("log_softmax_forward", "softmax.h", "return x - maximum - total;", "return x - total;"),
    ("log_softmax_backward", "softmax.h", "vf_fma(-vf_exp(y), total, x)", "vf_fma(vf_exp(y), total, x)"),
    ("cross_entropy_forward", "cross_entropy.h", "out[e] = k.class[e] < 0 ? 0.0f : out[e];", "out[e] = out[e];"),
    ("cross_entropy_backward", "cross_entropy.h", "else for (int64_t c = 0; c < a->classes; c++) to[c * step + e] = 0;", ""),
    ("pick_weight", "cross_entropy.h", "y[column] = c < 0 ? 0.0f : weight", "y[column] = c < 0 ? 1.0f : weight"),
    ("mse_forward", "mse.h", "total / v_set1((float)a->count)", "total"),
    ("mse_backward", "mse.h", "2.0f / (float)a->count", "1.0f / (float)a->count"),
    ("accuracy", "accuracy.h", "(VI)(v > best)", "(VI)(v >= best)"),
    # convolution
    ("conv2d_forward", "conv2d_batch.h", "if (line < 0 || line >= m->height) {", "if (line < 0) {"),
    ("conv2d_forward", "conv2d.h", "m.residual = a->residual.p + j->group * a->residual.stride;\n    K(", "K("),
    ("conv2d_forward", "tile.h", "if (t->scale) UNROLL", "if (0) UNROLL"),
    ("conv2d_forward", "conv2d.h", "if (m->bias) total = total + v_set1(m->bias[filter]);", ""),
    ("conv2d_forward", "conv2d_image.h", "end = inside ? last : 0;", "end = inside ? last - (last > begin) : 0;"),
    ("conv2d_backward_input", "conv2d_map.h", "(kernel - 1 - tap) / tap_step + 1 : 0", "(kernel - 1 - tap) / tap_step : 0"),
    ("conv2d_forward", "conv2d_image.h", "every_second(line + 2 * l,", "every_second(line + 2 * l + 1,"),
    ("conv2d_forward", "conv2d_image.h", "lines, s.begin, s.end - s.begin}", "lines, s.begin, rows / j->parts}"),
    ("conv2d_forward", "conv2d_image.h", "vf_store(sums + w * step + f, t.relu ?", "vf_store(sums + w * step + f, 0 ?"),
    ("conv2d_forward", "tile.h", "best = vf_larger(best, sum[f][p + k]);", "best = vf_larger(sum[f][p + k], best);"),
    ("conv2d_forward", "tile.h", "best = k ? vf_larger(best, sum) : sum;", "best = k ? vf_larger(sum, best) : sum;"),
    ("conv2d_forward", "conv2d_batch.h", "at->cell + last / PIECES * 2 + 1);", "at->cell + last / PIECES * 2);"),
    ("conv2d_forward", "conv2d.h", "best = k ? v_select((VI)(pixel > best)", "best = k > 1 ? v_select((VI)(pixel > best)"),
    ("conv2d_backward_input", "tile.h", "const float sum = t->sums[r * t->sums_step + i];",
     "const float sum = t->sums[r * t->count + i];"),
    ("conv2d_forward", "conv2d_image.h", "u = conv2d_taps_inside(m, 0, m->height, at->line + r, at->line + r);", ""),
    ("conv2d_forward", "conv2d_image.h", "t->count = c->along ? v.end - v.begin : channels", "t->count = c->along ? m->taps[1] : channels"),
    ("conv2d_forward", "conv2d_image.h", "e->relu ? vf_masked(sum, sum) : sum", "sum"),
    ("conv2d_backward_input", "conv2d_image.h", "y[k * apart] = turned", "y[k] = turned"),
    ("conv2d_backward_input", "conv2d_map.h", "    if (m->bias) m->bias += o;\n", ""),
    ("conv2d_backward_input", "conv2d_map.h", "ceil_div(m->filters, 16) * 16 * m->channels * m->area;", "0;"),
    ("conv2d_forward", "conv2d_groups.h", "zero_images(y + of.end * 16, c->width - of.end);", ""),
    ("conv2d_forward", "conv2d_groups.h", "lanes, smaller(16, count - i));", "16, smaller(16, count - i));"),
    ("conv2d_forward", "conv2d_groups.h", "g * m->filters + f, m->filters, lanes)", "g * m->filters + f, 1, lanes)"),
    ("conv2d_forward", "conv2d_groups.h", "column = 0, row++;", "column = 0;"),
    ("conv2d_backward_input", "tile.h", "t->mask && t->mask[at] <= 0 ? 0 : sum", "sum"),
    ("conv2d_backward_input", "conv2d_batch.h", "weights + (filter - f) * terms", "weights"),
    ("conv2d_backward_input", "tile.h", "if (t->bias) sum = sum + *t->bias;", ""),
    ("conv2d_backward_input", "conv2d_map.h", ".shift = a->shift, .relu = (int)a->relu,\n    };\n    m->w_channel = m->w_filter",
     ".shift = a->shift, .relu = 0,\n    };\n    m->w_channel = m->w_filter"),
    ("conv2d_backward_input", "tile.h", "if (t->mask) UNROLL", "if (0) UNROLL"),
    ("conv2d_backward_weight", "conv2d_weight.h", "smaller(IMAGES, p->n - group * IMAGES), part);", "IMAGES, part);"),
    ("conv2d_backward_weight", "conv2d_weight.h", "state[lane] += sum;", "state[lane] = sum;"),
    ("conv2d_pack", "conv2d_pack.h", "(a->turned ? columns : 1) * taps;", "(a->turned ? rows : 1) * taps;"),
    ("conv2d_pack", "conv2d_pack.h", "tap = 0, channel++;", "tap = 0;"),
    ("conv2d_backward_weight", "conv2d_weight_image.h", "whole ? at->lines * at->cells : at->cells", "at->cells"),
    ("winograd_forward", "winograd_batch.h", "if (a->relu) value =", "if (0) value ="),
    ("winograd_forward", "winograd_batch.h", "top + r < a->height", "top + r <= a->height"),
    ("winograd_forward", "winograd_batch.h", "if (g->mask) value =", "if (0) value ="),
    ("winograd_forward", "winograd_image.h", "left = count - i - k;\n                if (a->scale)", "left = count - i - k;\n                if (0)"),
    ("winograd_forward", "winograd_image.h", "+ bias;\n                        if (a->scale)", "+ bias;\n                        if (0)"),
    ("winograd_forward", "winograd_image.h", "vf_load(turned + f * 16 + k) + bias", "vf_load(turned + f * 16 + k)"),
    ("winograd_forward", "winograd_batch.h", "if (k >= rows || q >= columns) continue;", "if (k >= rows) continue;"),
    ("winograd_forward", "winograd_batch.h", "const vf first = r ? vf_larger", "const vf first = 0 ? vf_larger"),
    ("winograd_forward", "winograd_image.h", "r + i % 2 ? vf_larger", "i % 2 ? vf_larger"),
    ("winograd_forward", "winograd_image.h", "out[k][i] + bias", "out[k][i]"),
    ("winograd_forward", "avx2.h", "_mm256_blendv_ps(best, (__m256)c,", "_mm256_blendv_ps(best, best,"),
    ("winograd_backward_weight", "winograd_weight.h", "whole ? tiles * IMAGES : images", "whole ? tiles * IMAGES : IMAGES"),
    ("winograd_pack", "winograd_pack.h", "a->flip ? 8 - (k) : (k)", "a->flip ? (k) : (k)"),
    # linear
    ("linear_forward", "linear.h", ".bias = a->bias, .residual = residual", ".bias = a->bias, .residual = NULL"),
    ("linear_forward", "linear_image.h", ".bias = a->bias ? (const float *)a->bias + first : NULL", ".bias = a->bias"),
    ("linear_backward_input", "linear.h", ".b_f = 1, .b_k = a->in_features", ".b_f = 1, .b_k = a->out_features"),
    ("linear_backward_input", "linear_image.h", "value = vf_masked(value, vf_load_run(m.mask + at, left));", ";"),
    ("linear_backward_input", "linear_image.h", "for (int64_t i = s.end / VF * VF; i < s.end; i++)",
     "for (int64_t i = s.end / VF * VF; i + 1 < s.end; i++)"),
    ("linear_backward_weight_sgd", "linear_weight.h", "row.velocity = (float *)row.velocity + first;", "row.velocity = row.velocity;"),
    ("linear_forward", "linear_tiles.h", "of.a_position = step.a, of.y_position = step.y;", "of.a_position = step.a;"),
    ("linear_backward_input", "linear_tiles.h", "if (m->mask) of.mask += step.mask;", ""),
    ("linear_backward_weight", "linear_weight.h", "t.count = j->n % lanes;", "t.count = lanes;"),
    ("linear_backward_weight", "linear_weight.h", "units > most || at->lines % VF", "units > most"),
    ("linear_backward_weight", "linear_weight.h", "(at->line + k) * step;", "(at->line + k) * u->lanes;"),
    ("linear_backward_weight", "linear_weight.h", "unit % positions * steps[0] * lanes", "unit % positions * lanes"),
    ("linear_pack", "linear_pack.h", "a->in_features, s.end - o, a->in_features",
     "a->in_features, s.end - o + 1, a->in_features"),
    # embedding, layer norm, images of another size
    ("embedding_forward", "embedding.h", "if (row >= 0 && (float)row == index) continue;", "if (row >= 0) continue;"),
    ("embedding_forward", "embedding.h", "weight + r * a->dim + d)", "weight + r * a->dim)"),
    ("embedding_backward", "embedding_flat.h", "r == a->padding_idx", "0"),
    ("embedding_backward", "embedding_flat.h", "slice_of(j, a->dim, 16)", "slice_of(j, a->dim - 1, 16)"),
    ("layer_norm_forward", "layer_norm.h", "if (i + e < count) sum", "if (i + e < count - 1) sum"),
    ("layer_norm_backward", "layer_norm.h", "if (i + e >= count) break;", "if (i + e >= count - 1) break;"),
    ("layer_norm_forward", "layer_norm.h", "if (left < VF) {", "if (0) {"),
    ("layer_norm_backward", "layer_norm.h", "g - gradient));", "g));"),
    ("layer_norm_sums", "layer_norm.h", "sum[i][l] = product[i][l] = 0;", ";"),
    ("interpolate_forward", "interpolate.h", "smaller(first + 1, size - 1)", "first + 1"),
    ("interpolate_forward", "interpolate.h", "(double)out * scale :", "(double)out * scale * 2 :"),
    ("interpolate_backward", "interpolate.h", "v_load(to) + gradient", "gradient"),
    # recurrent layers
    ("recurrent_pack", "recurrent_pack.h", "units = smaller(UNITS, a->units - unit);", "units = UNITS;"),
    ("lstm_forward", "lstm.h", "old, gate[LSTM_I] * gate[LSTM_G])", "old, gate[LSTM_I] + gate[LSTM_G])"),
    ("lstm_backward", "lstm.h", "(forget * (one - forget))", "(forget * (one + forget))"),
    ("gru_forward", "gru.h", "vf_load_run(h + at, left) - gate[GRU_N], gate[GRU_N]", "vf_load_run(h + at, left), gate[GRU_N]"),
    ("gru_backward", "gru.h", "vf_store(dh + i, total * update);", "vf_store(dh + i, total);"),
    ("rnn_forward", "rnn.h", "vf_select((vi)(x <= vf_set1(0)), vf_set1(0), x)", "x"),
    ("rnn_backward", "rnn.h", "result * (vf_set1(1.0f) - value * value)", "result * (vf_set1(1.0f) - value)"),
    # pooling
    ("max_pool2d_forward", "max_pool2d.h", "{whole.end, a->out_width}};\n    for (int64_t c = s.begin; c < s.end; c++)\n",
     "{whole.end, a->out_width - 1}};\n    for (int64_t c = s.begin; c < s.end; c++)\n"),
    ("max_pool2d_backward", "max_pool2d.h", "{whole.end, a->out_width}};\n    for (int64_t c = s.begin; c < s.end; c++) {",
     "{whole.end, a->out_width - 1}};\n    for (int64_t c = s.begin; c < s.end; c++) {"),
    ("max_pool2d_forward", "max_pool2d.h", "for (int t = 1; t < 4; t++)", "for (int t = 1; t < 3; t++)"),
    ("max_pool2d_backward", "max_pool2d.h", "if (mask) value = v_select(", "if (0) value = v_select("),
    ("max_pool2d_backward", "max_pool2d.h", "v_select(best <= v_set1(0.0f)", "v_select(best < best"),
    ("max_pool2d_backward", "max_pool2d.h", "VI better = (VI)(c > best)", "VI better = (VI)(c >= best)"),
    ("avg_pool2d_forward", "avg_pool2d.h", "float divisor = (float)(h.counts * columns);",
     "float divisor = (float)(rows * columns);"),
    ("avg_pool2d_backward", "avg_pool2d.h", "v_load(to) + dy", "dy"),
    ("adaptive_avg_pool2d_forward", "adaptive_avg_pool2d.h", "K(window_sum)(x + l, a->width, h, w) / divisor",
     "K(window_sum)(x + l, a->width, h, w)"),
    ("adaptive_avg_pool2d_forward", "adaptive_avg_pool2d.h", "y[c] = y[c] / (float)pixels", "y[c] = y[c]"),
    ("adaptive_avg_pool2d_backward", "adaptive_avg_pool2d.h", "v_load(dy + l) / divisor", "v_load(dy + l)"),
    # batch norm
    ("batch_norm_statistics", "batch_norm.h", "*sum = tree_sum_lanes(total, images);", "*sum = tree_sum_lanes(total, 16);"),
    ("batch_norm_statistics", "batch_norm.h", "d * d * (count * (more / all))", "0"),
    ("batch_norm_coefficients", "batch_norm_flat.h", "vf_set1((float)a->eps)", "vf_set1(0.0f)"),
    ("batch_norm_forward", "batch_norm.h", "if (a->relu) v = vf_masked(v, v);", ""),
    ("batch_norm_forward", "batch_norm.h", "if (residual) v = v + vf_load_run(residual + i, count - i);", ""),
    ("batch_norm_statistics", "batch_norm.h", "sf_fma(-((float *)a->mean)[c], scale,", "sf_fma(((float *)a->mean)[c], scale,"),
    ("batch_norm_backward", "batch_norm.h", "if (mask) gradient = vf_masked(", "if (0) gradient = vf_masked("),
    ("batch_norm_sums", "batch_norm.h", "for (int64_t l = images; l < LANES; l++) sum[l] = product[l] = 0;", ""),
    ("batch_norm_backward", "batch_norm.h", "k3, gradient - k2)", "k3, gradient)"),
    ("batch_norm_update", "batch_norm_flat.h", "(double)(a->count - 1)", "(double)a->count"),
    # random numbers, updates
    ("dropout", "philox.h", "round < 10", "round < 9"),
    ("dropout", "philox.h", "a[3] = (vu){0} + ((uint64_t)k.step >> 32);", "a[3] = (vu){0};"),
    ("randn_like", "randn_like.h", "w - 2.5f, middle", "w - 2.4f, middle"),
    ("randn_like", "randn_like.h", "w < 5.0f", "w < 6.0f"),
    ("contrastive_divergence_chain", "contrastive_divergence.h", "if (!a->gaussian) sigmoid_run(", "if (a->gaussian) sigmoid_run("),
    ("contrastive_divergence_chain", "contrastive_divergence.h", "sum[v] + vf_load_run(bias +", "sum[v] - vf_load_run(bias +"),
    ("contrastive_divergence_gradient", "contrastive_divergence.h", "factor = t < a->rows ? value : -value;", "factor = value;"),
    ("bernoulli", "philox.h", "(vi)(u < p)", "(vi)(u + 0x1p-10f < p)"),
    ("bernoulli", "philox.h", "(vi)(p != p), p,", "(vi)(p != p), vf_set1(0),"),
    ("sgd", "sgd_run.h", "a.first ? g :", ""),
    ("rmsprop", "rmsprop.h", "v = v - m * m;", "v = v + m * m;"),
    ("rmsprop", "rmsprop.h", "+ take * (g * g)", "+ take * g"),
    ("random_window", "random_window.h", "t.left += (double)(a->out_width - 1), t.step = -1.0;", "t.step = -1.0;"),
    ("random_window", "random_window.h", "inside ? (t >> 1 ? low : 1.0 - low)", "inside ? (t >> 1 ? 1.0 - low : low)"),
    ("adam", "adam.h", "vf_sqrt(v) / root", "vf_sqrt(v)"),
    # support vector machines
    ("kernel_pack", "kernel_matrix.h", "sum = vf_fma(x, x, sum);", "sum = vf_fma(x, x, x);"),
    ("kernel_matrix", "kernel_matrix.h", "if (d & 1) power", "if (d & 2) power"),
    ("svm_solve", "svm_solve.h", "if (t > room_j) t = room_j;", "if (t > room_j) t = room_i;"),
    # fusions and placement
    ("fuse_ends", "plan.py", 'first.extra[name], first.outputs = argument,', 'first.extra[name], first.outputs = None,'),
    ("fuse_ends", "plan.py", "len(readers[value]) == 1 and is_rows(value)", "is_rows(value)"),
    ("fuse_ends", "plan.py", "for n in ENDS[ENDS.index(name):])", "for n in [name])"),
    ("fuse_ends", "plan.py", '("residual", b, a)]', '("residual", b, b)]'),
    ("fuse_ends", "plan.py", '(*item.inputs[1:], item.attrs["eps"])', '(*item.inputs[1:], 0.1)'),
    ("fuse_ends", "plan.py", '[("mask", *item.inputs)]', '[("mask", *item.inputs[::-1])]'),
    ("fuse_ends", "plan.py", "                position[id(first)] = position[id(item)]\n", ""),
    ("fuse_coefficients", "plan.py", 'bias=bias, eps=item.attrs["eps"])', "bias=bias, eps=0.0)"),
    ("fuse_gather", "plan.py", "scale = _constant_beside(item, value)\n", "scale = 1.0\n"),
    ("fuse_gather", "plan.py", 'tuple(axes[d] for d in item.attrs["dims"])',
     'tuple(item.attrs["dims"].index(d) for d in axes)'),
    ("fuse_elementwise", "plan.py", "readers[id(buffer)] != 1", "readers[id(buffer)] < 1"),
    ("fuse_elementwise", "plan.py", '("result", shift - 1) if o is buffer', '("result", 0) if o is buffer'),
    ("fuse_elementwise", "plan.py", '("result", o[1] + shift)', '("result", o[1])'),
    ("place", "plan.py", "not (b.last < buffer.first or buffer.last < b.first)",
     "not (b.last <= buffer.first or buffer.last <= b.first)"),
    ("schedule", "plan.py", "for b in step.reads + step.writes for s in last_write",
     "for b in step.writes for s in last_write"),
]


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


REACHED = """
import json, cases, test_kernels as t
found = {}
for name in t.PLANNED:
    for kind in t.kinds(cases.CASES[name]):
        for n in (5, 37):
            for step in t.made(name, kind).executable.bound(n)[0].steps:
                found.setdefault(step.kernel, {})[name] = None
for name in cases.UPDATES:
    for step in t.run.Executable(t.make_update(name)[0]).bound(1)[0].steps:
        found.setdefault(step.kernel, {})[name] = None
print(json.dumps({kernel: list(names) for kernel, names in found.items()}))
"""


class Copy:
    """What is committed, built for one target."""

    def __init__(self, folder):
        self.folder, self.faulty = Path(folder), False
        archive = subprocess.run(["git", "-C", ROOT, "archive", "HEAD"], check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        dispatch = self.folder / "csrc/dispatch.c"
        text = dispatch.read_text()
        dispatch.write_text(re.sub(r"#define TARGETS\(T\) T\(avx512\).*", f"#define TARGETS(T) T({TARGET})", text))
        self.check(run(sys.executable, "-m", "cython", "-3", "fastnn/native.pyx", cwd=folder))
        include = run(sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('include'))").stdout.strip()
        for source in (self.folder / "fastnn/native.c", *sorted((self.folder / "csrc").glob("*.c"))):
            self.compile(str(source.relative_to(folder)), f"-I{include}", "-DPy_LIMITED_API=0x030B0000")
        self.compile(f"csrc/targets/{TARGET}.c")
        self.link()

    @staticmethod
    def check(result):
        if result.returncode:
            raise RuntimeError(result.stdout + result.stderr)

    def compile(self, source, *flags):
        target = Path(source).stem + ".o"
        self.check(run(os.environ.get("CC", "gcc"), *FLAGS, *flags, "-c", source, "-o", target, cwd=self.folder))

    def link(self):
        objects = sorted(path.name for path in self.folder.glob("*.o"))
        library = "fastnn/native.abi3.so"
        self.check(run(os.environ.get("CC", "gcc"), "-shared", "-pthread", *objects, "-o", library, cwd=self.folder))

    def path(self, file):
        return self.folder / "fastnn" / file if file.endswith(".py") else next((self.folder / "csrc").rglob(file))

    def plant(self, file, old, new):
        """-> the text before, or None where `old` is not there once."""
        before = self.path(file).read_text()
        if before.count(old) != 1:
            return None
        self.path(file).write_text(before.replace(old, new))
        return before

    def build(self, file):
        """Compiles the kernels where they, or the library, are not what they were."""
        faulty = not file.endswith(".py")
        if faulty or self.faulty:
            self.faulty = faulty
            self.compile(f"csrc/targets/{TARGET}.c")
            self.link()

    def python(self, *command):
        environment = dict(os.environ, PYTHONPATH=f"{self.folder}:{self.folder}/tests", FASTNN_NUM_THREADS="2")
        return run(sys.executable, *command, cwd=self.folder, env=environment)

    def reached(self):
        """{kernel: the words that pytest finds the cases by whose plans run it}"""
        result = self.python("-c", REACHED)
        self.check(result)
        found = json.loads(result.stdout)
        return {kernel: [re.split(r"[^\w.+-]", name)[0] for name in names] for kernel, names in found.items()}

    def caught_by(self, words=()):
        """The test functions that fail, of the first few failures. Without `words`: of all tests, until some fail."""
        names = []
        for file in TESTS:
            chosen = ["-k", " or ".join(words)] if words else []
            result = self.python("-m", "pytest", "-q", "--maxfail=3", "-p", "no:cacheprovider", file, *chosen)
            names += re.findall(r"^(?:FAILED|ERROR) \S*?/(test_\w+\.py(?:::\w+)?)", result.stdout, re.M)
            if result.returncode not in (0, 1, 5):
                names.append(f"{Path(file).name} (exit status {result.returncode})")
            if names and not words:
                break
        return list(dict.fromkeys(names))


def main(wanted):
    kernels = re.findall(r"^KERNEL\(\w+, (\w+),", (ROOT / "csrc/kernels.def").read_text(), re.M)
    missed = [f"{k}: no fault is planted in it" for k in kernels if k not in {f[0] for f in FAULTS}]
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(folder)
        print("without a fault:", ", ".join(copy.caught_by()) or "all tests pass", flush=True)
        reached = copy.reached()
        for kernel, file, old, new in FAULTS:
            if wanted and kernel not in wanted:
                continue
            started, before = time.time(), copy.plant(file, old, new)
            if before is None:
                missed.append(f"{kernel}: {file} does not contain {old!r} once")
                continue
            try:
                copy.build(file)
                few = len(reached.get(kernel, ())) < 60
                caught = few and copy.caught_by(reached.get(kernel, ())) or copy.caught_by()
            except RuntimeError as error:
                caught = []
                print(error)
            copy.path(file).write_text(before)
            took = f"{time.time() - started:.0f} s"
            change = f"{file}: `{old}` -> `{new}`".replace("\n", " ")
            print(f"| {kernel} | {change} | {', '.join(caught) or 'NOTHING'} | {took} |", flush=True)
            if not caught:
                missed.append(f"{kernel}: nothing caught {old!r} -> {new!r}")
    print("\n".join(missed) or "every fault was caught")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main(set(sys.argv[1:])))
