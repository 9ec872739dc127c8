"""How `edgecam train` reads what was typed."""

from pathlib import Path

import pytest

from edgecam.commands.train import parse_shares, parse_size, train
from edgecam_engines.errors import TrainingError
from edgecam_training.options import Options


def test_a_size_is_a_side_or_two() -> None:
    assert parse_size("224") == (224, 224)
    assert parse_size("192x320") == (192, 320)


@pytest.mark.parametrize("wrong", ["", "big", "192x", "192x320x3", "-64"])
def test_what_is_no_size_is_refused(wrong: str) -> None:
    with pytest.raises(TrainingError, match="is not a size"):
        parse_size(wrong)


def test_shares_are_read_by_class_and_a_name_may_hold_an_equals_sign() -> None:
    assert parse_shares("") == {}
    assert parse_shares("defective=0.1, a=b=0.9") == {"defective": 0.1, "a=b": 0.9}


@pytest.mark.parametrize("wrong", ["defective", "defective=", "defective=few"])
def test_what_is_no_share_is_refused(wrong: str) -> None:
    with pytest.raises(TrainingError, match="is not a list of shares"):
        parse_shares(wrong)


def test_mixes_are_explained_when_asked_and_once_the_run_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    done: list[str] = []
    monkeypatch.setattr("edgecam_training.train.train", lambda *_, **__: done.append("trained"))
    monkeypatch.setattr(
        "edgecam_training.mixing.explain.explain_run", lambda run: done.append(f"explained {run}")
    )
    train(tmp_path, tmp_path / "run", Options(), val=None, resume=False, json=False)
    assert done == ["trained"]
    train(tmp_path, tmp_path / "run", Options(), val=None, resume=False, json=False, explain_mix=True)
    assert done == ["trained", "trained", f"explained {tmp_path / 'run'}"]
