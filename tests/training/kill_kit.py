"""A run whose process is killed again and again: python kill_kit.py PHOTOS RUN [DELAY ...]

For each DELAY, go on with the run in a process of its own, and end that with SIGKILL so many seconds after
it has written anything new to the run folder. Then let the run come to its end.
"""

import os
import signal
import sys
import time
from pathlib import Path

import torch

import edgecam_training.finish as finish_module
from edgecam_training.options import Options
from edgecam_training.train import train

# Written after each step, so that many a kill falls into the writing.
OPTIONS = Options(
    input_height=64,
    input_width=64,
    backbone="mobilenet_v3_small",
    pretrained=False,
    dim=64,
    epochs=3,
    batch=4,
    head_epochs=1,
    last_epochs=1,
    clean_epochs=1,
    checkpoint_minutes=1e-9,
)


def go_on(photos: Path, run: Path) -> None:
    torch.set_num_threads(1)
    finish_module.finish = lambda *_: None
    train(photos, run, OPTIONS, resume=(run / "options.json").exists())


def written(run: Path) -> set[tuple[str, int]]:
    """Every file with its time; the half-written come and go."""
    found = set()
    for path in run.glob("*"):
        try:
            found.add((path.name, path.stat().st_mtime_ns))
        except FileNotFoundError:
            continue
    return found


def killed(photos: Path, run: Path, delay: float) -> bool:
    """Whether the process was still at work when its time was over."""
    before = written(run)
    child = os.fork()
    if child == 0:
        go_on(photos, run)
        os._exit(0)
    while written(run) <= before and os.waitpid(child, os.WNOHANG) == (0, 0):
        time.sleep(0.001)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def main() -> None:
    photos, run = Path(sys.argv[1]), Path(sys.argv[2])
    for delay in map(float, sys.argv[3:]):
        print("killed" if killed(photos, run, delay) else "ended", flush=True)
    go_on(photos, run)


if __name__ == "__main__":
    main()
