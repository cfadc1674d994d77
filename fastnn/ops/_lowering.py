"""What several lowerings share."""
import copy

from ..graph import Batch
from . import _arguments as arguments


def in_mode(emit, mode):
    """The same emitter for steps of another mode: row steps before a sum over the batch, plain steps after it."""
    other = copy.copy(emit)
    other.mode = mode
    return other


def is_batch(value):
    """Is axis 0 the batch?"""
    return bool(value.shape) and isinstance(value.shape[0], Batch)


def strided_copy(emit, y, x, shape, y_strides, x_strides, y_offset=0, x_offset=0):
    """y[y_offset + ...] = x[x_offset + ...] over any number of axes; neighbours that lie in line on both sides become one."""
    merged = []
    for d, a, b in zip(shape, y_strides, x_strides):
        if d == 1:
            continue
        if merged and (merged[-1][1], merged[-1][2]) == (a * d, b * d):
            merged[-1] = (d * merged[-1][0] if isinstance(d, Batch) else merged[-1][0] * d, a, b)
        else:
            merged.append((d, a, b))
    emit("copy", y=y, x=x, y_offset=y_offset, x_offset=x_offset, shape=emit.pad6([m[0] for m in merged]),
         y_strides=emit.pad6([m[1] for m in merged], 0), x_strides=emit.pad6([m[2] for m in merged], 0))


def each_image(emit, inputs, outputs):
    """Kernels see one image a row. Where a row holds several (leading length m * N), each is copied out and back: yields
    (inputs, outputs), to be used by the steps of one image."""
    images = emit.shape(outputs[0])[0]
    if images == 1:
        yield inputs, outputs
        return
    if isinstance(images, Batch):
        raise NotImplementedError("images cannot be cut out of an array whose axis 0 is not the batch")

    for image in range(images):
        parts = []
        for value in inputs:
            parts.append(None if value is None else emit.temp((1, *emit.shape(value)[1:])))
            if value is not None:
                size = arguments.prod(emit.shape(value)[1:])
                strided_copy(emit, parts[-1], value, (size,), (1,), (1,), x_offset=image * size)
        made = [emit.temp((1, *emit.shape(value)[1:])) for value in outputs]
        yield parts, made
        for value, part in zip(outputs, made):
            size = arguments.prod(emit.shape(value)[1:])
            strided_copy(emit, value, part, (size,), (1,), (1,), y_offset=image * size)


def batch_norm_coefficients(emit, mean, variance, weight, bias, eps):
    """(scale, shift) of a batch norm, made once where they follow from parameters that stay as they are."""
    channels = mean.shape[0]
    return emit.once("batch_norm_coefficients", dict(mean=mean, variance=variance, weight=weight, bias=bias),
                     dict(scale=channels, shift=channels), channels=channels, eps=eps)


def classes_first(emit, value):
    """A (m, C, ...) row as one (C, m, ...): what kernels with one class or channel axis read. Itself where m is 1."""
    shape = emit.shape(value)
    if shape[0] == 1:
        return value
    images, classes, inner = shape[0], shape[1], emit.prod(shape[2:])
    temp = emit.temp((classes, images, inner))
    strided_copy(emit, temp, value, (images, classes, inner), (inner, images * inner, 1), (classes * inner, inner, 1))
    return temp


def images_first(emit, value, temp):
    """The way back of classes_first, where `temp` is another value than `value`."""
    shape = emit.shape(value)
    if temp is not value:
        images, classes, inner = shape[0], shape[1], emit.prod(shape[2:])
        strided_copy(emit, value, temp, (images, classes, inner), (classes * inner, inner, 1), (inner, images * inner, 1))


def like_classes_first(emit, value):
    """Memory for a result that images_first brings into `value`."""
    shape = emit.shape(value)
    return value if shape[0] == 1 else emit.temp((shape[1], shape[0], emit.prod(shape[2:])))
