"""How long teaching takes: a folder of 5 classes x 20 photos, and one class x 5 shots more.

    python tests/benchmarks/teach_time.py --bundle B.edgecam --data PHOTOS [--rounds 3] [--threads 2]

PHOTOS holds CLASS/*; of its five largest classes 20 photos each are taken, of a sixth 5. The bundle is
copied, the engine is open and warm. "Folder" is from the first file read to the new head in use: photos are
decoded, seen and kept on disk, all methods tried, figures measured. "Shots" is what a running loop waits for:
five frames are seen and kept, and a head is fitted, quickly, to them and the 100 photos that there are, and
is in use. CPU time comes first: on a machine that others use, wall time is theirs as well.
"""

import argparse
import shutil
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np
from table import show

from edgecam.commands.teach_folder import photos_in
from edgecam_engines.bundle import open_bundle
from edgecam_engines.engine import Engine
from edgecam_engines.photo import is_photo, read_photo
from edgecam_training.fewshot.lesson import Ways
from edgecam_training.fewshot.teacher import open_teacher

CLASSES, PHOTOS, SHOTS = 5, 20, 5
STEPS = ("photos in, s", "head, s", "shots in, ms", "head again, ms")


def chosen(data: Path, folder: Path) -> tuple[Path, list[Path]]:
    """A folder of the first photos of the largest classes, and shots of one more."""
    classes = {p: sorted(f for f in p.rglob("*") if is_photo(f)) for p in data.iterdir() if p.is_dir()}
    largest = sorted(classes, key=lambda p: (-len(classes[p]), p.name))[: CLASSES + 1]
    for each in largest[:CLASSES]:
        (folder / each.name).mkdir(parents=True)
        for path in classes[each][:: max(1, len(classes[each]) // PHOTOS)][:PHOTOS]:
            shutil.copy(path, folder / each.name)
    return folder, classes[largest[-1]][:SHOTS]


def once(
    bundle: Path, data: Path, shots: list[Path], engine: Engine, ways: Ways
) -> tuple[list[float], list[float]]:
    """CPU and wall seconds of each step."""
    frames = [read_photo(path) for path in shots]
    cpu, wall = [time.process_time()], [time.monotonic()]

    def note() -> None:
        cpu.append(time.process_time())
        wall.append(time.monotonic())

    with open_teacher(bundle, engine=engine) as teacher:
        for _ in teacher.add_all(photos_in(data)):
            pass
        note()
        teacher.fit(ways)
        note()
        for frame in frames:
            teacher.add(frame, "shots", source="benchmark")
        note()
        teacher.fit(quick=True)
        note()
    return np.diff(cpu).tolist(), np.diff(wall).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--alone", action="store_true")
    asked = parser.parse_args()
    times = []
    with tempfile.TemporaryDirectory() as place:
        data, shots = chosen(asked.data, Path(place) / "photos")
        opened = open_bundle(asked.bundle)
        with closing(opened.engine(threads=asked.threads)) as engine:
            engine.infer(np.zeros((1, *engine.input_hw, 3), np.uint8))
            for number in range(asked.rounds):
                copy = Path(place) / f"{number}.edgecam"
                shutil.copytree(asked.bundle, copy, ignore=shutil.ignore_patterns("taught"))
                times.append(once(copy, data, shots, engine, Ways(alone=asked.alone)))
    cpu, wall = (np.median([each[kind] for each in times], axis=0) for kind in (0, 1))
    scale = np.array([1, 1, 1000, 1000])
    rows = [
        (
            name,
            *(f"{v:.2f}" for v in taken * scale),
            f"{taken[:2].sum():.2f}",
            f"{taken[2:].sum() * 1000:.0f}",
        )
        for name, taken in (("CPU", cpu), ("wall", wall))
    ]
    show(
        f"Teaching {CLASSES} x {PHOTOS} photos, then 1 x {SHOTS}; {opened.manifest.engine['precision']}, "
        f"{asked.threads} threads, median of {asked.rounds}",
        ("", *STEPS, "folder, s", "shots, ms"),
        rows,
        {
            "benchmark": "teach_time",
            "folder_cpu_s": round(float(cpu[:2].sum()), 3),
            "folder_wall_s": round(float(wall[:2].sum()), 3),
            "shots_cpu_ms": round(float(cpu[2:].sum() * 1000), 1),
            "shots_wall_ms": round(float(wall[2:].sum() * 1000), 1),
        },
    )


if __name__ == "__main__":
    main()
