"""A training step of 64 while other processes are busy on the same cores, over its quiet time; PyTorch's in the same run.

    python bench/neighbours.py [--neighbours 2] [--json FILE] [--only lstm] [--turns 9]

Quiet and busy turns alternate: the neighbours, which do nothing but count, are stopped and continued (SIGSTOP, SIGCONT). With
as many neighbours as cores a fair share of the time would make a step twice as long; the goal is at most 2.5 times."""
import os
import signal
import statistics
import subprocess
import sys
import time

import workloads
from alternate import arguments, finish, turn, use_torch
from peers import our_training_step, their_training_step


class Neighbours:
    """Busy processes, at work inside `with neighbours:`."""

    def __init__(self, count):
        self.processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
        self.__exit__()

    def __enter__(self):
        for p in self.processes:
            p.send_signal(signal.SIGCONT)

    def __exit__(self, *_):
        for p in self.processes:
            p.send_signal(signal.SIGSTOP)

    def close(self):
        for p in self.processes:
            p.kill()
            p.wait()


def measure(functions, neighbours, turns, seconds):
    """{name: [(quiet, busy) seconds a call]}"""
    times = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(turns):
        for name, function in functions.items():
            time.sleep(0.02)
            quiet = turn(function, seconds)
            with neighbours:
                time.sleep(0.02)
                times[name].append((quiet, turn(function, seconds)))
    return times


def main():
    options, rows = arguments(__doc__, turns=5, neighbours=os.cpu_count() or 2, seconds=0.3), []
    torch = use_torch()
    torch.set_grad_enabled(True)
    neighbours = Neighbours(options.neighbours)
    print(f"{options.neighbours} busy neighbours; ms a training step of 64, quiet and busy, how many times longer (median of "
          "turns)")
    try:
        for name in workloads.SHAPES:
            if options.only not in name:
                continue
            functions = {"fastnn": our_training_step(name, 64), "torch": their_training_step(name, 64)}
            for engine, pairs in measure(functions, neighbours, options.turns, options.seconds).items():
                quiet, busy = (statistics.median(side) for side in zip(*pairs))
                slower = statistics.median(b / q for q, b in pairs)
                rows.append({"workload": name, "engine": engine, "quiet": quiet, "busy": busy, "times": slower})
                print(f"{name:10s} {engine:7s} {quiet * 1e3:9.2f} {busy * 1e3:9.2f} {slower:7.2f}x", flush=True)
    finally:
        neighbours.close()
    finish(options, rows, {e: max(r["times"] for r in rows if r["engine"] == e) for e in ("fastnn", "torch")})


if __name__ == "__main__":
    main()
