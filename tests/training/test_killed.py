"""kill -9 at any moment costs some steps, and not one bit of the result."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from edgecam_training.checkpoint import Alarm, sweep
from training.photo_kit import make_photos

KILLS = 6


def trained(photos: Path, run: Path, delays: list[float]) -> list[str]:
    """What happened to the process at each delay."""
    paths = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, str(Path(__file__).with_name("kill_kit.py")), str(photos), str(run)]
    done = subprocess.run(
        [*command, *map(str, delays)],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def history(run: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in {"seconds", "images_per_s"}} for row in rows]


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def test_a_run_that_was_killed_ends_as_one_that_was_not(tmp_path: Path) -> None:
    """Kills fall anywhere: in set-up, in a step, in the writing of a checkpoint, between two files."""
    photos = make_photos(tmp_path / "photos", count=6)
    # Unlike other draws, these may differ each time: whatever they are, the result is one.
    delays = [0.0, *(random.uniform(0, 0.8) for _ in range(KILLS - 1))]
    happened = trained(photos, tmp_path / "killed", delays)
    assert happened.count("killed") >= 2
    trained(photos, tmp_path / "straight", [])
    one, other = (
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("killed", "straight")
    )
    assert one["position"] == [3, 0]
    assert same(one, other), delays
    assert history(tmp_path / "killed") == history(tmp_path / "straight")
    assert sorted(p.name for p in (tmp_path / "killed").iterdir()) == sorted(
        p.name for p in (tmp_path / "straight").iterdir()
    )


def test_what_a_killed_process_left_half_written_is_swept_away_and_nothing_else(tmp_path: Path) -> None:
    kept = ("checkpoint.pt", "history.jsonl", "options.json", ".hidden", "curves.png")
    for name in (*kept, ".checkpoint-x1.pt", ".history-abc.jsonl"):
        (tmp_path / name).write_text("x")
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_the_alarm_rings_when_its_minutes_are_over_and_counts_anew() -> None:
    now = 100.0
    alarm = Alarm(2, lambda: now)
    assert not alarm.due()
    now += 119
    assert not alarm.due()
    now += 1
    assert alarm.due()
    assert alarm.due()  # until it is set again
    alarm.restart()
    assert not alarm.due()
    now += 120
    assert alarm.due()
