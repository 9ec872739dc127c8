"""How often `edgecam bench --against` errs: the same bundle against itself, and against itself made slower.

    python tests/benchmarks/compare_power.py BUNDLE [--tries 20] [--load 1] [--slower 0.05]

Meanwhile `--load` programs keep the processor busy in bursts. The slower one spends a known share more
processor time on every frame. Each try starts both programs sixteen times over, as the command does, for 64
frames each: a minute with a network of 10 ms, more where others use the machine.
"""

import argparse
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from table import show

from edgecam.bench.against import rival, serve_lines
from edgecam.bench.compare import Comparison
from edgecam.bench.duel import LEAST_FRAMES, PROCESSES, duel
from edgecam.bench.order import Order
from edgecam.bench.scenarios import Work
from edgecam.bench.timing import REAL, Clock
from edgecam.commands.bench import opened

BURSTS = """
import random, time
rng = random.Random({seed})
while True:
    end = time.monotonic() + rng.uniform(0.01, 0.3)
    while time.monotonic() < end:
        sum(range(1000))
    time.sleep(rng.uniform(0.01, 0.2))
"""


class Slower:
    """Work that takes a known share more processor time."""

    def __init__(self, work: Work, share: float, cpu: Clock) -> None:
        self._work, self._share, self._cpu = work, share, cpu

    def ready(self, frames: int, /) -> None:
        self._work.ready(frames)

    def answer(self, frames: int, /) -> None:
        before = self._cpu()
        self._work.answer(frames)
        spent = self._cpu() - before
        while self._cpu() < before + spent * (1 + self._share):
            pass


@contextmanager
def busy(programs: int) -> Iterator[None]:
    """Other programs that work in bursts, each in its own rhythm."""
    started = [
        subprocess.Popen([sys.executable, "-c", BURSTS.replace("{seed}", str(seed))])
        for seed in range(programs)
    ]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--load", type=int, default=1, help="programs that work in bursts meanwhile")
    parser.add_argument("--slower", type=float, default=0.05, help="share that is planted")
    parser.add_argument("--processes", type=int, default=PROCESSES, help="of each program in one try")
    parser.add_argument("--frames", type=int, default=LEAST_FRAMES, help="of each process")
    parser.add_argument("--lines", type=float, help=argparse.SUPPRESS)  # be the program, this much slower
    asked = parser.parse_args()
    if asked.lines is not None:
        order = Order()
        with opened(asked.bundle, order) as ready:
            work = Slower(ready.loop, asked.lines, REAL.cpu)
            serve_lines(work, REAL, ready.name, sys.stdin, sys.stdout, warm_up=order.warm_up)
        return
    with busy(asked.load):
        same = [attempt(asked, 0.0) for _ in range(asked.tries)]
        slower = [attempt(asked, asked.slower) for _ in range(asked.tries)]
    report(asked, same, slower)


def attempt(asked: argparse.Namespace, share: float) -> Comparison:
    """One comparison. Both sides are the same program but for the share, so their loops are alike."""
    a, b = (
        shlex.join([sys.executable, __file__, str(asked.bundle), "--lines", str(each)])
        for each in (0.0, share)
    )
    told = duel(
        lambda: rival(a), lambda: rival(b), frames=asked.frames, warm_up=5, processes=asked.processes
    ).compared(on_cpu=True)
    print(f"planted {share * 100:.0f} %: {told.in_words()}", file=sys.stderr)
    return told


def report(asked: argparse.Namespace, same: list[Comparison], slower: list[Comparison]) -> None:
    rows = []
    for name, told in (("itself", same), (f"itself, {asked.slower * 100:.0f} % slower", slower)):
        verdicts = Counter(each.verdict for each in told)
        ratios = sorted(each.ratio for each in told)
        rows.append(
            (
                name,
                *(verdicts[verdict] for verdict in ("no difference", "B is slower", "B is faster")),
                f"{ratios[len(ratios) // 2]:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})",
            )
        )
    show(
        f"{asked.bundle.name}, {asked.tries} tries each, {asked.load} busy programs, processor time",
        ("against", "no difference", "slower", "faster", "ratio: median (lowest to highest)"),
        rows,
        {
            "benchmark": "compare_power",
            "tries": asked.tries,
            "same_no_difference": rows[0][1],
            "planted_found": rows[1][2],
            "planted_share": asked.slower,
        },
    )


if __name__ == "__main__":
    main()
