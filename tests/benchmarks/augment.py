"""What `edgecam data augment` buys where photos are few, at equal cost.

    python tests/benchmarks/augment.py --data GROCERY [--classes 8] [--photos 10] [--per-class 20]
        [--epochs 30] [--size 160] [--seeds 0,1,2] [--out bench-out/augment]

GROCERY holds train/CLASS/*.jpg and val/CLASS/*.jpg (see grocery.py); any data set laid out so will do. For
each seed, `photos` of each of the `classes` largest classes are drawn from train to learn from. What is left
of train, at most MOST_TEST a class, is the test; val only draws the curves. Three rows:

    plain      the photos alone
    longer     the same, twice as many steps: what a teacher and a student cost together
    augmented  `plain` is the teacher; photos and composites together, as many steps as `plain`

So augmented against longer is the comparison at equal cost (but for the seconds that the composites take,
which are printed). Each finished row is appended to results.jsonl, so the command can be stopped and started
again. The default trains nine networks on at most 240 photos each for 30 epochs or as long.
"""

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np
from table import show

from edgecam_calibration.assess import answer
from edgecam_calibration.classification.paired import compare
from edgecam_calibration.evaluate import Labelled
from edgecam_calibration.run import open_run
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from edgecam_engines.photo import is_photo
from edgecam_training.composite.terms import generator
from edgecam_training.options import Options
from edgecam_training.recompose.fill import Blur
from edgecam_training.recompose.make import make
from edgecam_training.recompose.order import Order, Tools
from edgecam_training.recompose.photos import find
from edgecam_training.recompose.teacher import open_teacher
from edgecam_training.train import train

ARMS: Final = ("plain", "longer", "augmented")
MOST_TEST: Final = 40  # photos of a class
LEAST_TEST: Final = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--classes", type=int, default=8)
    parser.add_argument("--photos", type=int, default=10)
    parser.add_argument("--per-class", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--out", type=Path, default=Path("bench-out/augment"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    same_settings(asked)
    results = asked.out / "results.jsonl"
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    seeds = [int(seed) for seed in asked.seeds.split(",")]
    for seed in seeds:
        for arm in ARMS:
            if (seed, arm) not in {(row["seed"], row["arm"]) for row in done}:
                done.append(one_row(asked, seed, arm))
                with results.open("a") as file:
                    file.write(json.dumps(done[-1]) + "\n")
    report([row for row in done if row["seed"] in seeds], asked)


def same_settings(asked: argparse.Namespace) -> None:
    """Rows of other settings must not end up in one table."""
    settings = {name: str(value) for name, value in vars(asked).items() if name not in ("out", "seeds")}
    file = asked.out / "settings.json"
    if file.exists() and json.loads(file.read_text()) != settings:
        raise SystemExit(f"{asked.out} holds rows of other settings, see {file}. Choose another --out.")
    file.write_text(json.dumps(settings, indent=2) + "\n")


def one_row(asked: argparse.Namespace, seed: int, arm: str) -> dict[str, Any]:
    """Train one network and ask it about the test photos, once, with the weights of the last epoch."""
    folder = asked.out / f"seed-{seed}"
    test = lay_out(asked, seed, folder)
    data, epochs, making, about = folder / "few", asked.epochs, 0.0, {}
    if arm == "longer":
        epochs *= 2
    if arm == "augmented":
        data, began = folder / "augmented", time.monotonic()
        with open_teacher(folder / "run-plain", threads=2) as teacher:
            order = Order(asked.per_class, seed=seed, with_originals=True)
            about = make(find(folder / "few", seed=seed), order, Tools(teacher, Blur()), data)["classes"]
        making = time.monotonic() - began
        more = len(photos_in(data / "train")) / len(photos_in(folder / "few" / "train"))
        epochs = max(4, round(epochs / more))
    run = folder / f"run-{arm}"
    shutil.rmtree(run, ignore_errors=True)
    began = time.monotonic()
    options = Options(input_height=asked.size, input_width=asked.size, epochs=epochs, seed=seed)
    train(data, run, options)
    minutes = (time.monotonic() - began) / 60
    opened = open_run(run)
    with closing(OnnxRuntimeEngine(opened.model, name="onnxruntime-fp32", threads=2)) as engine:
        answers = answer(engine, opened.head, test)
    return {
        "seed": seed,
        "arm": arm,
        "epochs": epochs,
        "labels": answers.labels.tolist(),
        "called": answers.called.tolist(),
        "minutes": round(minutes, 2),
        "composing_minutes": round(making / 60, 2),
        "made": {name: found["made"] for name, found in about.items()},
    }


def lay_out(asked: argparse.Namespace, seed: int, folder: Path) -> list[Labelled]:
    """folder/few with links to the photos to learn from and to val; returns the test photos."""
    few, test = folder / "few", []
    shutil.rmtree(few, ignore_errors=True)
    for label, name in enumerate(largest(asked.data / "train", asked.classes)):
        own = photos_in(asked.data / "train" / name)
        drawn = [own[k] for k in generator(seed, name).permutation(len(own))]
        learnt, rest = drawn[: asked.photos], drawn[asked.photos :][:MOST_TEST]
        if len(rest) < LEAST_TEST:
            raise SystemExit(f"{name} has {len(own)} photos; {asked.photos + LEAST_TEST} are needed.")
        link(learnt, few / "train" / name)
        link(photos_in(asked.data / "val" / name), few / "val" / name)
        test += [Labelled(path, label) for path in rest]
    return test


def photos_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if is_photo(path))


def largest(root: Path, count: int) -> list[str]:
    """The classes with most photos, in alphabetical order."""
    sizes = {path.name: len(photos_in(path)) for path in root.iterdir() if path.is_dir()}
    return sorted(sorted(sizes, key=lambda name: (-sizes[name], name))[:count])


def link(photos: Sequence[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for path in photos:
        (folder / path.name).symlink_to(path.absolute())


def report(rows: Sequence[dict[str, Any]], asked: argparse.Namespace) -> None:
    """Means over seeds, and the paired difference over all answers of all seeds."""
    by_arm = {arm: [row for row in rows if row["arm"] == arm] for arm in ARMS}
    top1 = {arm: [share(row) for row in own] for arm, own in by_arm.items()}
    lines, document = [], {"benchmark": "augment", "seeds": len(by_arm["plain"])}
    _, against = gathered(by_arm["longer"])
    for arm, own in by_arm.items():
        labels, called = gathered(own)
        versus = compare(labels, called, against, asked.classes, rng=np.random.default_rng(0))
        gain, spread = versus.top1_difference, np.std(top1[arm], ddof=1) if len(own) > 1 else 0.0
        low, high = gain.ci95
        lines.append(
            (
                arm,
                f"{np.mean(top1[arm]):.1%}",
                f"{spread:.1%}",
                "" if arm == "longer" else f"{100 * gain.value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})",
                own[0]["epochs"],
                f"{np.mean([row['minutes'] for row in own]):.1f}",
                f"{np.mean([row['composing_minutes'] for row in own]):.1f}",
            )
        )
        document |= {f"{arm}_top1": float(np.mean(top1[arm])), f"{arm}_less_longer_ci95": [low, high]}
    made = [sum(row["made"].values()) / len(row["made"]) for row in by_arm["augmented"]]
    n = len(by_arm["plain"][0]["labels"])
    show(
        f"{asked.classes} classes, {asked.photos} photos and {np.mean(made):.1f} new ones each, {n} to test",
        ("photos", "top-1", "spread of seeds", "points against longer", "epochs", "minutes", "composing"),
        lines,
        {**document, "n_a_seed": n, "composites_a_class": float(np.mean(made))},
    )


def share(row: dict[str, Any]) -> float:
    return float(np.mean(np.array(row["labels"]) == row["called"]))


def gathered(rows: Sequence[dict[str, Any]]) -> tuple[Any, Any]:
    """Labels and answers of all seeds, one after another."""
    labels, called = (np.concatenate([row[key] for row in rows]) for key in ("labels", "called"))
    return labels.astype(np.int64), called.astype(np.int64)


if __name__ == "__main__":
    main()
