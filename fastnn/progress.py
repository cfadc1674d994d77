"""What `fit` prints: a bar on a terminal, redrawn at most ten times a second; one line an epoch into files and logs."""
import sys
import time

REDRAW_S = 0.1
BAR = 24


def figures(logs):
    """{"loss": 0.12, ...} as 'loss 0.1200  accuracy 0.9812'."""
    return "  ".join(f"{name} {value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{name} {value:.3e}"
                     for name, value in logs.items())


def duration(seconds):
    """'0.8s', '42s', '3m 05s', '2h 10m'."""
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes}m {seconds:02d}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02d}m"


def bar(done, total):
    """'======      ': the share that is done, `BAR` characters wide."""
    filled = BAR * done // total
    return "=" * filled + " " * (BAR - filled)


class Progress:
    """verbose: 0 nothing, "auto" or 1 a bar on a terminal and lines elsewhere, 2 lines. `epochs`: their number; `steps`: of
    one."""

    def __init__(self, epochs, steps, verbose="auto", stream=None):
        if verbose not in ("auto", 0, 1, 2):
            raise ValueError(f"verbose must be 'auto', 0, 1 or 2, got {verbose!r}")
        self.stream = stream or sys.stdout
        self.epochs, self.steps, self.lines = epochs, steps, bool(verbose)
        self.bar = verbose in ("auto", 1) and verbose is not False and bool(getattr(self.stream, "isatty", lambda: False)())
        self.drawn = self.width = 0

    def begin(self, epoch):
        """An epoch begins (counted from 0)."""
        self.epoch, self.started, self.drawn = epoch, time.perf_counter(), 0.0

    def update(self, step, logs):
        """Step `step` (from 1) is done; logs() gives the figures so far, asked only when drawn."""
        if not self.bar:
            return
        now = time.perf_counter()
        if now - self.drawn >= REDRAW_S and step < self.steps:
            self.drawn = now
            left = (now - self.started) / step * (self.steps - step)
            self._draw(f"epoch {self.epoch + 1}/{self.epochs} [{bar(step, self.steps)}] {step}/{self.steps}  "
                       f"{duration(left)} left  {figures(logs())}")

    def end(self, logs):
        """The epoch and its validation are done."""
        if self.lines:
            text = f"epoch {self.epoch + 1}/{self.epochs}  {duration(time.perf_counter() - self.started)}  {figures(logs)}"
            self._clear()
            print(text, file=self.stream, flush=True)

    def close(self):
        """Leaves the terminal tidy when training is broken off in the middle of an epoch."""
        if self.width:
            print(file=self.stream, flush=True)
            self.width = 0

    def _draw(self, text):
        self.stream.write("\r" + text.ljust(self.width))
        self.stream.flush()
        self.width = len(text)

    def _clear(self):
        if self.width:
            self.stream.write("\r" + " " * self.width + "\r")
            self.width = 0
