"""Drawing a graph as SVG, without Graphviz: nodes in columns by depth, edges as lines."""


def svg(graph):
    """The graph as the text of an SVG picture: inputs on top, a box an op with its output shape, parameters in its label."""
    depth, boxes = {}, []
    for value in graph.inputs:
        depth[value] = 0
        boxes.append((value.node, 0, f"input {list(value.shape)}", ""))
    for node in graph.nodes:
        level = 1 + max([depth.get(v, -1) for v in node.inputs if v is not None], default=-1)
        for out in node.outputs:
            depth[out] = level
        states = [v for v in node.inputs if v is not None and v.node.op.name == "state"]
        label = node.op.name + (f"  {' '.join('x'.join(map(str, v.shape)) or '1' for v in states)}" if states else "")
        boxes.append((node, level, label, f"{list(node.outputs[0].shape)} {node.scope}".strip()))
    columns, place = {}, {}
    width, height = 230, 64
    for node, level, label, below in boxes:
        column = columns[level] = columns.get(level, -1) + 1
        place[id(node)] = (20 + column * (width + 20), 20 + level * height)
    parts = []
    for node, level, label, below in boxes:
        x, y = place[id(node)]
        for v in node.inputs:
            if v is not None and id(v.node) in place:
                px, py = place[id(v.node)]
                parts.append(f'<line x1="{px + width / 2}" y1="{py + 40}" x2="{x + width / 2}" y2="{y}" stroke="#888"/>')
    for node, level, label, below in boxes:
        x, y = place[id(node)]
        parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="40" rx="5" fill="#eef4fb" stroke="#47a"/>'
                     f'<text x="{x + 8}" y="{y + 17}" font-weight="bold">{_escape(label)}</text>'
                     f'<text x="{x + 8}" y="{y + 33}">{_escape(below)}</text>')
    right = max([x for x, _ in place.values()], default=0) + width + 20
    bottom = max([y for _, y in place.values()], default=0) + height
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{right}" height="{bottom}" font-family="sans-serif" font-size="12">'
            + "".join(parts) + "</svg>")


def _escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
