"""How well a few photos teach, by every method, in FP32's and in INT8's features, beside scikit-learn.

    python tests/benchmarks/fewshot.py --data GROCERY [--cache bench-out/fewshot.npz] [--draws 5]
        [--precision fp32 int8] [--table top1 beside unknown finetune]

GROCERY holds train/CLASS/* and val/CLASS/* (see grocery.py). Of the 13 classes with most photos, 1, 2, 5, 10
and 20 of `train` teach, drawn anew each time, and all photos of these classes in `val` judge. Features are
those of the backbone's ImageNet classifier (see fewshot_features.py): no network here saw the photos before.
Every method, and scikit-learn's LogisticRegression and NearestCentroid with their defaults, gets the very
same features of the very same draw. Intervals are of the mean over draws (Student's t), so they tell how
much the draw matters; that `val` is small adds to them.

Unknown things: each class in turn is not taught, and the head calibrated to take 5 % of the known photos for
unknown is asked about the class left out, and about half of the data set's other 30 classes; photos of the
other half stand for the bundle's golden ones, 12 as in a bundle, or 60.

Beside old classes: a head of the other 30 classes stands for what a bundle knew; 12 of their `val` photos are
its golden ones and do not judge.

Fine-tuning (`finetune`; not by default, since each draw is a training run of minutes): the trainer trains the
whole network from its ImageNet weights on the same draw of 20 photos a class, and the same photos judge. A
draw that was interrupted goes on, and one that is done is not run again: --out keeps them.
"""

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fewshot_features import Photos, load
from fewshot_finetune import finetuned
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from table import show

from edgecam_engines.head import Head
from edgecam_training.fewshot.beside import Base
from edgecam_training.fewshot.choose import AUTO, METHODS
from edgecam_training.fewshot.fit import Fitted, Taken, fit_head
from edgecam_training.fewshot.reject import fit_rejection

SHOTS = (1, 2, 5, 10, 20)
CLASSES = 13
GOLDEN = 12
T975 = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776, 10: 2.262}  # Student's t by number of draws

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


def taken(pooled: Floats, labels: Labels, k: int) -> Taken:
    return Taken(pooled, pooled[:, :, None, None].astype(np.float16), labels, tuple(map(str, range(k))))


def named(found: Fitted, pooled: Floats) -> Labels:
    return found.head.logits(pooled[:, :, None, None]).argmax(axis=1)


def by_ours(method: str) -> Callable[[Floats, Labels, Floats], Labels]:
    def name(pooled: Floats, labels: Labels, asked: Floats) -> Labels:
        return named(fit_head(taken(pooled, labels, CLASSES), method=method, max_false_reject=None), asked)

    return name


def by_logistic(pooled: Floats, labels: Labels, asked: Floats) -> Labels:
    return np.asarray(LogisticRegression(max_iter=1000).fit(pooled, labels).predict(asked))


def by_centroid(pooled: Floats, labels: Labels, asked: Floats) -> Labels:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one photo a class there is no spread, which it does not need
        return np.asarray(NearestCentroid().fit(pooled, labels).predict(asked))


WAYS = {
    **{method: by_ours(method) for method in (*METHODS, AUTO)},
    "sklearn logistic": by_logistic,
    "sklearn centroid": by_centroid,
}


class Problem:
    """The photos of the largest classes, and of the others."""

    def __init__(self, train: Photos, val: Photos, precision: str) -> None:
        self.large = np.sort(np.argsort(-np.bincount(train.labels), kind="stable")[:CLASSES])
        self.x, self.y = train.features[precision], train.labels
        self.asked, self.truth = val.features[precision], val.labels
        self.is_large = np.isin(self.truth, self.large)

    def drawn(self, shots: int, seed: int) -> Labels:
        """Which photos of `train`, class by class."""
        rng = np.random.default_rng([seed, shots])
        at = [rng.choice(np.flatnonzero(self.y == c), shots, replace=False) for c in self.large]
        return np.concatenate(at)

    def draw(self, shots: int, seed: int) -> tuple[Floats, Labels]:
        return self.x[self.drawn(shots, seed)], np.repeat(np.arange(CLASSES), shots)

    def judging(self) -> tuple[Floats, Labels]:
        return self.asked[self.is_large], np.searchsorted(self.large, self.truth[self.is_large])


def accuracies(problem: Problem, draws: int) -> dict[int, dict[str, NDArray[np.float64]]]:
    asked, truth = problem.judging()
    found: dict[int, dict[str, list[float]]] = {shots: {way: [] for way in WAYS} for shots in SHOTS}
    for shots in SHOTS:
        for seed in range(draws):
            x, y = problem.draw(shots, seed)
            for way, name in WAYS.items():
                found[shots][way].append(float((name(x, y, asked) == truth).mean()))
    return {shots: {way: np.array(all_) for way, all_ in ways.items()} for shots, ways in found.items()}


def unknowns(problem: Problem, draws: int, golden: int, shots: int = 20) -> dict[str, float]:
    """Shares: of the class left out and of 15 other classes, what is called unknown; of known photos of `val`
    that too, which was to be 5 %; and what the heads themselves expect to catch."""
    asked, truth = problem.judging()
    small = np.setdiff1d(np.arange(problem.y.max() + 1), problem.large)
    far = problem.asked[np.isin(problem.truth, small[1::2])]
    pool = problem.x[np.isin(problem.y, small[::2])]
    rows = []
    for seed in range(draws):
        x, y = problem.draw(shots, seed)
        others = pool[np.random.default_rng(seed).choice(len(pool), golden, replace=False)]
        for left in range(CLASSES):
            rest = y != left
            known = x[rest].astype(np.float64), y[rest] - (y[rest] > left)
            found = fit_rejection(*known, CLASSES - 1, others.astype(np.float64))
            assert found is not None
            assert found.rejection is not None
            unseen = problem.x[problem.y == problem.large[left]]
            groups = (unseen, far, asked[truth != left])
            unknown = [found.rejection.score(each) < found.rejection.threshold for each in groups]
            rows.append([*(each.mean() for each in unknown), found.caught.value])
    names = ("class_left_out", "15_other_classes", "known_of_val", "expected_of_left_out")
    return dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))


def beside(problem: Problem, draws: int, shots: int) -> dict[str, float]:
    """Old classes alone, and old and new ones once the new stand beside them."""
    small = np.setdiff1d(np.arange(problem.y.max() + 1), problem.large)
    old = np.isin(problem.y, small)
    length = np.linalg.norm(problem.x[old] - problem.x[old].mean(axis=0), axis=1).mean()
    fitted = LogisticRegression(C=10, max_iter=1000).fit(problem.x[old] / length, problem.y[old])
    head = Head(
        np.asarray(fitted.coef_ / length, np.float32),
        np.asarray(fitted.intercept_, np.float32),
        tuple(f"old {c}" for c in fitted.classes_),
    )
    order = [*fitted.classes_, *problem.large]
    of_old = np.flatnonzero(~problem.is_large & np.isin(problem.truth, fitted.classes_))
    before, was, now = [], [], []
    for seed in range(draws):
        golden = np.random.default_rng(seed).choice(of_old, GOLDEN, replace=False)
        judged = np.setdiff1d(np.arange(len(problem.truth)), golden)
        named_before = head.logits(problem.asked[golden][:, :, None, None]).argmax(axis=1)
        base = Base(head, problem.asked[golden].astype(np.float64), named_before)
        x, y = problem.draw(shots, seed)
        found = fit_head(taken(x, y, CLASSES), base=base, max_false_reject=None)
        said = np.array(order)[named(found, problem.asked[judged])] == problem.truth[judged]
        alone = head.logits(problem.asked[judged][:, :, None, None]).argmax(axis=1)
        is_new = problem.is_large[judged]
        before.append((fitted.classes_[alone] == problem.truth[judged])[~is_new].mean())
        was.append(said[~is_new].mean())
        now.append(said[is_new].mean())
    return {"old_before": float(np.mean(before)), "old": float(np.mean(was)), "new": float(np.mean(now))}


def told(values: NDArray[np.float64]) -> str:
    reach = T975.get(len(values), 2.0) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{100 * values.mean():.1f} ± {100 * reach:.1f}"


def show_accuracies(problem: Problem, precision: str, draws: int) -> None:
    found = accuracies(problem, draws)
    show(
        f"Top-1 on val, {precision} features, {CLASSES} classes, n {problem.is_large.sum()}: "
        f"mean over {draws} draws ± 95 %",
        ("method", *(f"{shots} shots" for shots in SHOTS)),
        [(way, *(told(found[shots][way]) for shots in SHOTS)) for way in WAYS],
        {
            "benchmark": "fewshot",
            "draws": draws,
            "precision": precision,
            "top1": {s: {w: round(float(v.mean()), 4) for w, v in ways.items()} for s, ways in found.items()},
        },
    )


def show_beside(problem: Problem, precision: str, draws: int) -> None:
    rows = {shots: beside(problem, draws, shots) for shots in SHOTS}
    show(
        f"Beside 30 old classes, {precision} features, {GOLDEN} golden photos, mean over {draws} draws",
        ("shots", "old classes before", "old classes", "new classes", "mean of both"),
        [
            (shots, *(f"{v:.1%}" for v in (*row.values(), (row["old"] + row["new"]) / 2)))
            for shots, row in rows.items()
        ],
        {"benchmark": "fewshot beside", "draws": draws, "precision": precision, "beside": rows},
    )


def show_unknowns(problem: Problem, precision: str, draws: int) -> None:
    shares = {golden: unknowns(problem, draws, golden) for golden in (0, GOLDEN, 5 * GOLDEN)}
    show(
        f"Called unknown at 5 % false reject, 20 shots, {precision} features, {draws} draws",
        ("golden photos", *(name.replace("_", " ") for name in shares[0])),
        [(golden, *(f"{share:.1%}" for share in row.values())) for golden, row in shares.items()],
        {"benchmark": "fewshot unknown", "draws": draws, "precision": precision, "unknown": shares},
    )


def show_finetuned(problem: Problem, data: Path, out: Path, draws: int, shots: int = 20) -> None:
    asked, truth = problem.judging()
    rows = []
    for seed in range(draws):
        x, y = problem.draw(shots, seed)
        whole, minutes = finetuned(data, problem.drawn(shots, seed), problem.large, out / f"draw-{seed}")
        rows.append((seed, whole, float((by_ours(AUTO)(x, y, asked) == truth).mean()), minutes))
    whole, taught = (np.mean([row[column] for row in rows]) for column in (1, 2))
    show(
        f"Top-1 on val, {shots} shots of {CLASSES} classes: the whole network trained, and a head taught",
        ("draw", "network trained", "head taught (auto)", "minutes"),
        [(seed, f"{a:.1%}", f"{b:.1%}", f"{m:.1f}") for seed, a, b, m in rows],
        {"benchmark": "fewshot finetune", "draws": draws, "network_top1": whole, "head_top1": taught},
    )


TABLES = {"top1": show_accuracies, "beside": show_beside, "unknown": show_unknowns}
FINETUNE = "finetune"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("bench-out/fewshot.npz"))
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--precision", nargs="+", default=["fp32", "int8"])
    parser.add_argument("--table", nargs="+", choices=[*TABLES, FINETUNE], default=list(TABLES))
    parser.add_argument("--out", type=Path, default=Path("bench-out/fewshot-finetune"))
    asked = parser.parse_args()
    _, train, val = load(asked.data, asked.cache)
    if FINETUNE in asked.table:
        show_finetuned(Problem(train, val, "fp32"), asked.data, asked.out, asked.draws)
    for precision in asked.precision:
        for table in (each for each in asked.table if each != FINETUNE):
            TABLES[table](Problem(train, val, precision), precision, asked.draws)


if __name__ == "__main__":
    main()
