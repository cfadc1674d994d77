"""Writes the README's table of speeds, between its two markers, from a run of workload_table.py, or from
several (--only) on one machine.

    python bench/workload_table.py --json FILE && python bench/readme_table.py FILE..."""
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


def table(runs):
    """The text between the markers."""
    rows, about = {(r["workload"], r["task"]): r for run in runs for r in run["results"]}, runs[0]["machine"]
    if any(run["machine"] != about for run in runs):
        sys.exit("readme_table: the runs are of different machines, versions or days")
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
    runs = []
    for path in sys.argv[1:]:
        with open(path) as file:
            runs.append(json.load(file))
    made = table(runs)
    with open(README) as file:
        text = file.read()
    with open(README, "w") as file:
        file.write(replaced(text, made))
    print(made)


if __name__ == "__main__":
    main()
