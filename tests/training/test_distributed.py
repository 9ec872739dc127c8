"""Two processes against one: the same batches, the same gradients, one voice."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgecam_training.distributed import ALONE, Team
from edgecam_training.mixing import Mixed
from edgecam_training.step import own_parts, taken
from training.photo_kit import make_photos
from training.team_kit import CASES, RUNS, Done, steps_of, two_processes, whole_run


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """photos/, and what two processes left: 0.pt, 1.pt and a run for each of RUNS."""
    folder = tmp_path_factory.mktemp("together")
    make_photos(folder / "photos", count=11)  # the last of four batches is smaller, and odd
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        two_processes(folder / "photos", folder)
    return folder


def done_by(together: Path, rank: int, name: str) -> Done:
    return Done(*torch.load(together / f"{rank}.pt", weights_only=True)[name])


def furthest(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    assert a.keys() == b.keys()
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in a)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.norms_learn])
def test_two_processes_take_the_step_of_one(together: Path, name: str) -> None:
    """Exact but for the order of sums: 1e-6 on weights that the steps move by more than 1e-3."""
    alone = steps_of(CASES[name], ALONE)
    for rank in range(2):
        done = done_by(together, rank, name)
        assert done.losses == pytest.approx(alone.losses, rel=CASES[name].tolerance)
        assert furthest(done.state, alone.state) < CASES[name].tolerance
    start = steps_of(CASES[name], ALONE, steps=0)
    assert furthest(start.state, alone.state) > 1e-3  # there was something to agree on


def test_processes_agree_to_the_last_bit(together: Path) -> None:
    for name in CASES:
        one, other = done_by(together, 0, name), done_by(together, 1, name)
        assert one.losses == other.losses
        assert furthest(one.state, other.state) == 0


def test_norms_that_learn_see_each_part_by_itself_and_keep_the_mean_of_what_they_saw(together: Path) -> None:
    """Not the step of one process, but close: their statistics after one step differ by a tenth of it."""
    name = "norms that learn"
    alone, start = steps_of(CASES[name], ALONE), steps_of(CASES[name], ALONE, steps=0)
    done = done_by(together, 0, name)
    assert done.losses != alone.losses
    assert done.losses == pytest.approx(alone.losses, rel=0.1)
    means = [key for key in start.state if key.endswith("running_mean") and "body.0" in key]
    for key in means:  # of the first norm: the mean over all photos is the mean of the halves' means
        moved = (alone.state[key] - start.state[key]).abs().max()
        assert moved > 0
        assert (done.state[key] - alone.state[key]).abs().max() < 0.1 * moved
    counted = [key for key in start.state if key.endswith("num_batches_tracked")]
    assert all(done.state[key] == alone.state[key] for key in counted)


def history(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("name", "tolerance"), [("norms kept", 1e-3), ("norms learn", 0.05)])
def test_a_whole_run_of_two_is_the_run_of_one(
    together: Path, tmp_path: Path, name: str, tolerance: float
) -> None:
    """Adam turns a gradient's sign into a step, so whole runs agree less well than gradients do."""
    whole_run(together / "photos", tmp_path / "alone", norms_learn=RUNS[name])
    alone, both = history(tmp_path / "alone"), history(together / name)
    assert [row["train_loss"] for row in both] == pytest.approx(
        [row["train_loss"] for row in alone], rel=tolerance
    )
    assert [row["val_loss"] for row in both] == pytest.approx(
        [row["val_loss"] for row in alone], rel=tolerance
    )
    assert [path.name for path in sorted((together / name).iterdir())] == [
        path.name for path in sorted((tmp_path / "alone").iterdir())
    ]


def test_one_process_can_go_on_with_what_two_began(together: Path) -> None:
    """The checkpoint says nothing of how many there were, and their split is the same."""
    split = json.loads((together / "norms kept" / "split.json").read_text())
    assert (len(split["train"]), len(split["val"])) == (27, 6)
    state = torch.load(together / "norms kept" / "checkpoint.pt", weights_only=True)
    assert state["position"] == [2, 0]


# -- parts of a batch


def a_mixed(n: int) -> Mixed:
    share = torch.rand(n)
    return Mixed(torch.zeros(n, 1, 1, 3), torch.arange(n), torch.arange(n), share, 1 - share)


@pytest.mark.parametrize("n", [1, 2, 5, 8, 13])
@pytest.mark.parametrize(("size", "accumulate"), [(1, 1), (2, 1), (1, 3), (3, 2), (4, 4)])
def test_parts_hold_every_photo_once_and_their_shares_sum_to_one(n: int, size: int, accumulate: int) -> None:
    seen, shares = [], 0.0
    for rank in range(size):
        parts = own_parts(n, accumulate, Team(rank, size))
        assert parts  # nobody may miss the exchange of gradients
        for part in parts:
            some, share = taken(a_mixed(n), part, of=size * accumulate)
            assert len(some.first) >= 1
            seen += some.first.tolist() if share else []
            shares += share
            assert share in {0.0, len(some.first) / n}
    assert sorted(seen) == list(range(n))
    assert shares == pytest.approx(1)


def test_parts_differ_by_one_photo_at_most() -> None:
    sizes = [len(taken(a_mixed(13), part, of=6)[0].first) for part in range(6)]
    assert max(sizes) - min(sizes) <= 1
    np.testing.assert_equal(sum(sizes), 13)
