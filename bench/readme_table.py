"""Writes the README's table of speeds, between its two markers, from a run of workload_table.py.

    python bench/workload_table.py --json FILE && python bench/readme_table.py FILE [README.md]"""
import json
import os
import sys
import textwrap

README = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "README.md")
MARKERS = "<!-- speed: made by bench/readme_table.py -->", "<!-- end of speed -->"
TASKS = {"train": "training step of 64", "predict64": "predict 64", "predict1": "predict 1"}
NAMES = {"torch": "PyTorch", "torch_last": "PyTorch, channels-last", "onnxruntime": "ONNX Runtime",
         "onnxruntime_1": "ONNX Runtime, one thread", "openvino": "OpenVINO", "ncnn": "ncnn"}
PACKAGES = {"torch": "PyTorch", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "ncnn": "ncnn", "numpy": "NumPy"}


def shown(seconds):
    """Three digits of milliseconds, or of microseconds."""
    value, unit = (seconds * 1e3, "ms") if seconds >= 1e-3 else (seconds * 1e6, "us")
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"


def cell(row):
    if row is None:
        return "-"
    return shown(row["seconds"]["fastnn"]) + (f", **{row['ratio']:.1f}x** {NAMES[row['peer']]}" if row["peer"] else "")


def table(run):
    """The text between the markers."""
    rows, about = {(r["workload"], r["task"]): r for r in run["results"]}, run["machine"]
    lines = ["| workload | " + " | ".join(TASKS.values()) + " |", "|---" * (len(TASKS) + 1) + "|"]
    for name in dict.fromkeys(workload for workload, _ in rows):
        lines.append(f"| {name} | " + " | ".join(cell(rows.get((name, task))) for task in TASKS) + " |")
    versions = ", ".join(f"{PACKAGES[k]} {v}" for k, v in about["versions"].items() if k in PACKAGES)
    note = ("fastnn's time, and how many times longer the fastest other library takes (medians, taking turns). "
            f"{about['processor']}, {about['threads']} threads on {about['cores']} cores, target {about['target']}; "
            f"fastnn {about['fastnn']}, {versions}; {about['date']}.")
    return "\n".join([*lines, "", *textwrap.wrap(note, 120)])


def replaced(text, between):
    """The README with new lines between its markers."""
    start, end = (text.index(marker) for marker in MARKERS)
    return text[:start + len(MARKERS[0])] + "\n" + between + "\n" + text[end:]


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    path = sys.argv[2] if len(sys.argv) > 2 else README
    with open(sys.argv[1]) as file:
        made = table(json.load(file))
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(replaced(text, made))
    print(made)


if __name__ == "__main__":
    main()
