"""The table that model.summary() prints."""
import numpy as np

from .graph import Batch


def flops(node):
    """Float operations of a node for one row, a multiply-add counted as two; elementwise and pooling ops not counted."""
    out = node.outputs[0].shape
    per_row = int(np.prod([d.coefficient if isinstance(d, Batch) else d for d in out]))
    if node.op.name in ("conv2d", "linear"):
        return 2 * per_row * int(np.prod(node.inputs[1].shape[1:]))
    if node.op.name == "conv_transpose2d":
        return 2 * int(np.prod(node.inputs[0].shape[1:])) * int(np.prod(node.inputs[1].shape[1:]))
    if node.op.name == "matmul":
        return 2 * per_row * int(node.inputs[0].shape[-1])
    if node.op.name in ("lstm", "gru", "rnn"):
        weights = [v for v in node.inputs if v is not None and v.ndim == 2 and not isinstance(v.shape[0], Batch)]
        return 2 * int(node.inputs[0].shape[1]) * sum(int(np.prod(w.shape)) for w in weights)
    return 0


def table(model, shapes):
    """name, layer, output shape, parameters, MFLOPs of every layer, in the order of their use."""
    graph = model.graph(shapes if len(shapes) > 1 else shapes[0])
    modules = dict(model.named_modules())
    rows, counted = [], set()
    for path, value in graph.layers.items():
        module = modules.get(path.split("#")[0])
        if module is None and path or module is model and len(modules) > 1 or module is not None and module.children() and path:
            if module is not None:
                continue
        own = [p for p in (module.parameters() if module is not None else ()) if id(p) not in counted]
        counted.update(id(p) for p in own)
        work = sum(flops(n) for n in graph.nodes if n.scope == path.split("#")[0])
        rows.append((path or type(model).__name__, type(module).__name__ if module is not None else "", str(list(value.shape)),
                     sum(p.numel() for p in own), work))
    rest = [p for p in model.parameters() if id(p) not in counted]
    total, trained = model.parameters(), [p for p in model.parameters() if p.requires_grad]
    if rest:
        rows.append(("(others)", "", "", sum(p.numel() for p in rest), 0))
    lines = [("layer", "type", "output shape", "parameters", "MFLOPs")]
    lines += [(n, t, s, f"{p:,}", f"{w / 1e6:.3f}") for n, t, s, p, w in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    text = ["  ".join(c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))).rstrip() for line in lines]
    text.insert(1, "-" * max(map(len, text)))
    text.append(text[1])
    text.append(f"{sum(p.numel() for p in total):,} parameters, {sum(p.numel() for p in trained):,} of them trained; "
                f"{sum(flops(n) for n in graph.nodes) / 1e6:.3f} MFLOPs a row")
    return "\n".join(text)
