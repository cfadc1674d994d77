"""How the examples save a picture."""


def save(path, *drawings):
    """Draws two a row, each by a function of Axes, and saves that under a name ending in .png, .svg or .pdf. ImportError: no
    matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("a picture needs matplotlib: pip install 'fastnn[plots]'") from None
    columns = min(2, len(drawings))
    rows = -(-len(drawings) // columns)
    figure = Figure(figsize=(4.5 * columns, 4.5 * rows), layout="constrained")
    for draw, ax in zip(drawings, figure.subplots(rows, columns, squeeze=False).flat):
        draw(ax)
    figure.savefig(path, dpi=120)
    print(f"\nsaved {path}")
