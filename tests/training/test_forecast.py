"""What is said before tuning starts: from a trial that leaves no mark, with figures that can be counted."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from edgecam_training import forecast as forecast_module
from edgecam_training.begin import Photos
from edgecam_training.distributed import ALONE
from edgecam_training.forecast import Forecast, forecast, peak_of, spoken, tell
from edgecam_training.model import Model
from edgecam_training.options import Options
from training.qat_kit import pictures, small_model

PHOTOS = Photos(pictures(10), np.arange(10) % 3)
VAL = pictures(6, seed=1)


def options_for(tune: str) -> Options:
    return Options(
        input_height=64, input_width=96, batch=4, epochs=5, head_epochs=0, last_epochs=0, small_share=0.0,
        mix="none", er=0.0, ecr=0.0, init="x", tune=tune,
    )  # fmt: skip


def found(tune: str, model: Model | None = None) -> Forecast:
    """By a clock that shows one second more each time it is looked at."""
    seconds = iter(range(100))
    return forecast(
        model or small_model(),
        PHOTOS,
        VAL,
        options_for(tune),
        ALONE,
        epochs=5,
        clock=lambda: float(next(seconds)),
    )


def test_time_is_that_of_all_steps_and_judgements() -> None:
    # 3 steps in one second; 10 photos make 3 steps of 4; 4 of 6 judged in another second.
    assert found("head").step == pytest.approx(1 / 3)
    assert found("head").seconds == pytest.approx(5 * (3 / 3 + 6 / 4))


def test_memory_is_counted_from_what_learns() -> None:
    head = found("head")
    assert head.learning == 3 * 64 + 3
    assert head.optimizer == 3 * 4 * head.learning  # a gradient and two averages
    model = small_model()
    numbers = [*model.parameters(), *model.buffers()]
    assert head.weights == 2 * sum(t.numel() * t.element_size() for t in numbers)
    assert head.peak == 0 or head.peak > 1e7


def test_less_is_kept_the_less_learns() -> None:
    head, bias, whole = (found(tune).activations for tune in ("head", "bias", "all"))
    assert head < bias < whole / 3


def test_a_trial_leaves_no_mark() -> None:
    model = small_model()
    before = copy.deepcopy(model.state_dict())
    found("all", model)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(p.grad is None for p in model.parameters())
    assert all(p.requires_grad for p in model.parameters())
    assert not model.training


def test_it_is_said_in_words_with_what_to_type_to_have_it_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(forecast_module.log, "print", lambda line, **_: said.append(line))
    figures = Forecast(150.0, 0.25, 195, 30_000, 8_000_000, 2_340, 12_300_000, 1_250_000_000)
    tell(figures, options_for("all"), epochs=5)
    (line,) = said
    assert "195 of 30,000 weights learn" in line
    assert "about 2 minutes for 5 epochs" in line
    assert "250 ms" in line
    assert "about 1.25 GB at the peak" in line
    assert "12.3 MB that a step keeps" in line
    assert "--epochs 2" in line
    assert "--tune head" in line
    assert "--batch 2, --tune bias or --save-memory" in line


def test_durations_are_spoken_as_people_do() -> None:
    assert [spoken(s) for s in (0.2, 45.4, 100, 3600, 2 * 3600)] == [
        "1 s", "45 s", "2 minutes", "60 minutes", "2.0 hours",
    ]  # fmt: skip


def test_the_peak_of_a_process_is_at_least_what_it_has(tmp_path: Path) -> None:
    torch.zeros(1)
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    assert peak_of(torch.device("cpu")) >= 0.9 * pages * 4096 or not pages
