"""The six workloads beside every other library that is installed: a training step of 64, predictions of 64 and of 1.

    python bench/workload_table.py [--json FILE] [--only lstm] [--turns 7] [--seconds 0.1]

The libraries take turns in one process, resting between them until their threads sleep; the ratio is the fastest other's time
over fastnn's, the median over the turns. `readme_table.py FILE` writes the README's table from the file. What a step is in
each: peers.py."""
import statistics
import tempfile

import workloads
from alternate import alternate, arguments, better, finish, ratio, use_torch
from peers import predictions, training_steps

TASKS = {"train": "training step of 64", "predict64": "predict 64", "predict1": "predict 1"}


def measure(name, task, folder, turns, seconds):
    functions, missing = (training_steps(name, 64), {}) if task == "train" else predictions(name, int(task[7:]), folder)
    times = alternate(functions, turns, seconds, rest=0.02)
    medians = {engine: statistics.median(taken) for engine, taken in times.items()}
    peer = better(times, [e for e in times if e != "fastnn"]) if len(times) > 1 else None
    return {"workload": name, "task": task, "seconds": medians, "peer": peer, "missing": missing,
            "ratio": ratio(times[peer], times["fastnn"]) if peer else None}


def main():
    options, rows = arguments(__doc__, turns=7, seconds=0.1), []
    use_torch()
    with tempfile.TemporaryDirectory() as folder:
        for name in workloads.SHAPES:
            for task in TASKS:
                if options.only not in f"{name} {task}":
                    continue
                row = measure(name, task, folder, options.turns, options.seconds)
                rows.append(row)
                print(f"{name:10s} {task:9s} {row['ratio'] or float('nan'):5.2f}x of {row['peer']}   ms: " +
                      "  ".join(f"{e} {t * 1e3:.3f}" for e, t in row["seconds"].items()) +
                      "".join(f"  [{e}: {why}]" for e, why in row["missing"].items()), flush=True)
    finish(options, rows)


if __name__ == "__main__":
    main()
