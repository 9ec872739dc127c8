"""A finished network learns new classes from a few photos: which part to let learn, and what that costs.

    python tests/benchmarks/tune.py --data GROCERY --base bench-out/tune-base [--new 5] [--shots 20]
        [--draws 3] [--epochs 12] [--tunes head bias last-stage all]

GROCERY holds train/CLASS/* and val/CLASS/* (see grocery.py). The classes with most photos, `--new` of them,
are what the base network never saw: it is trained with the default recipe on all others, once, and kept in
`--base` (as long as grocery.py takes). Then `--shots` photos of each new class, drawn anew each time, teach,
and `val` judges. The old classes are rehearsed with 20 photos each, the default.

Each training is a process of its own, one kind of tuning after the other within a draw, so that the highest
resident memory is its own. "Kept" is what one step keeps for the way back; "foretold" is the time that was
announced before it began, of the time that its epochs then took.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from table import show

from edgecam.commands.train import continued
from edgecam_training.options import TUNES, Options


def linked(folder: Path, photos: dict[str, list[Path]]) -> Path:
    """FOLDER/CLASS/PHOTO as links."""
    for name, paths in photos.items():
        for number, path in enumerate(paths):
            link = folder / name / f"{number:04}-{path.name}"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
    return folder


def photos_in(folder: Path) -> dict[str, list[Path]]:
    return {
        each.name: sorted(p for p in each.rglob("*") if p.is_file())
        for each in sorted(folder.iterdir())
        if each.is_dir()
    }


def one(data: Path, val: Path, run: Path, options: Options) -> dict[str, Any]:
    """Train here; what it cost and how well it answers."""
    from edgecam_training.train import train

    judged = train(data, run, options, val=val)
    told = json.loads((run / "forecast.json").read_text())
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    took, used = sum(row["seconds"] for row in rows), resource.getrusage(resource.RUSAGE_SELF)
    return {
        "recall": {each.name: (each.recall, each.support) for each in judged.report.per_class},
        "cpu_s": used.ru_utime + used.ru_stime,
        "epochs_s": took,
        "foretold": told["seconds"] / took,
        "kept_bytes": told["activations"],
        "peak_bytes": 1024 * used.ru_maxrss,
        "learning": told["learning"],
    }


def apart(arguments: list[str]) -> dict[str, Any]:
    """The same in a process of its own, on this one's import path."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def share(found: dict[str, Any], names: set[str]) -> float:
    """Of the photos of these classes, those that were named rightly."""
    rows = [row for name, row in found["recall"].items() if name in names and row[1]]
    return float(sum(recall * n for recall, n in rows) / sum(n for _, n in rows))


def spread(values: list[float], scale: float = 1.0, digits: int = 1) -> str:
    low, high = min(values) * scale, max(values) * scale
    return f"{np.mean(values) * scale:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def train_base(folder: Path, base: Path, old: dict[str, list[Path]], val: dict[str, list[Path]]) -> None:
    from edgecam_training.train import train

    options = Options(min_photos=2)
    train(linked(folder / "old", old), base, options, val=linked(folder / "old-val", val))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--new", type=int, default=5)
    parser.add_argument("--shots", type=int, default=20)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=Options().epochs)
    parser.add_argument("--tunes", nargs="+", choices=TUNES, default=list(TUNES))
    parser.add_argument("--only", nargs=4, metavar=("DATA", "VAL", "RUN", "SEED"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        data, val, run, seed = asked.only
        options = continued(Options(epochs=asked.epochs), str(asked.base), asked.tunes[0])
        print(json.dumps(one(Path(data), Path(val), Path(run), replace(options, seed=int(seed)))))
        return
    train, val = photos_in(asked.data / "train"), photos_in(asked.data / "val")
    counts = Counter({name: len(paths) for name, paths in train.items()})
    new = {name for name, _ in counts.most_common(asked.new)}
    found: dict[str, list[dict[str, Any]]] = {tune: [] for tune in asked.tunes}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not (asked.base / "model.onnx").is_file():
            old = [{k: v for k, v in part.items() if k not in new} for part in (train, val)]
            train_base(asked.base.with_name(f"{asked.base.name}-photos"), asked.base, *old)
        judges = linked(folder / "val", {k: v for k, v in val.items() if k in new})
        for draw in range(asked.draws):
            rng = np.random.default_rng([draw, asked.shots])
            few = {
                k: [train[k][i] for i in rng.permutation(len(train[k]))[: asked.shots]] for k in sorted(new)
            }
            data = linked(folder / f"new-{draw}", few)
            for tune in asked.tunes:
                began, run = time.monotonic(), folder / f"{tune}-{draw}"
                given = ["--data", str(asked.data), "--base", str(asked.base), "--tunes", tune]
                given += [
                    "--epochs",
                    str(asked.epochs),
                    "--only",
                    str(data),
                    str(judges),
                    str(run),
                    str(draw),
                ]
                found[tune].append(apart(given))
                print(f"draw {draw}, {tune}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    known = {name for name in val if name not in new}
    show(
        f"{asked.new} new classes from {asked.shots} photos each, beside {len(known)} old ones; "
        f"mean (lowest to highest) of {asked.draws} draws",
        ("tune", "weights that learn", "new %", "old %", "processor s", "kept MB", "peak MB", "foretold"),
        [
            (
                tune,
                f"{rows[0]['learning']:,}",
                spread([share(row, new) for row in rows], 100),
                spread([share(row, known) for row in rows], 100),
                spread([row["cpu_s"] for row in rows], 1, 0),
                spread([row["kept_bytes"] for row in rows], 1e-6),
                spread([row["peak_bytes"] for row in rows], 1e-6, 0),
                spread([row["foretold"] for row in rows], 1, 2),
            )
            for tune, rows in found.items()
        ],
        {"benchmark": "tune", "new": asked.new, "shots": asked.shots, "draws": asked.draws, "found": found},
    )


if __name__ == "__main__":
    main()
