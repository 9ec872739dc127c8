"""How `edgecam train` reads what was typed."""

from pathlib import Path

import pytest

from edgecam.commands.train import continued, parse_shares, parse_size, train
from edgecam_engines.errors import TrainingError
from edgecam_training.options import Options, save_options


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


# -- going on from a finished network


@pytest.fixture
def base(tmp_path: Path) -> str:
    save_options(
        Options(backbone="resnet18", recolour=0.2, mix="fmix", er=0.3, batch=6, epochs=9),
        tmp_path / "options.json",
    )
    return str(tmp_path)


def test_tuning_takes_the_networks_settings_and_those_that_few_photos_want(base: str) -> None:
    found = continued(Options(), base, "bias")
    assert (found.backbone, found.recolour, found.batch) == ("resnet18", 0.2, 6)
    assert (found.mix, found.er, found.balance, found.pretrained) == ("none", 0.0, 1.0, False)
    assert (found.tune, found.init, found.epochs) == ("bias", base, Options().epochs)


def test_what_was_typed_holds_even_where_it_is_the_default(base: str) -> None:
    assert continued(Options(), base, "bias", frozenset({"mix", "batch", "epochs"})).mix == Options().mix
    assert continued(Options(batch=5, mix="gmix"), base, "head").batch == 5
    assert continued(Options(batch=5, mix="gmix"), base, "head").mix == "gmix"


def test_what_learns_cannot_be_said_twice(base: str) -> None:
    with pytest.raises(TrainingError, match="tune says what learns"):
        continued(Options(frozen_stages=2), base, "bias")


def test_an_unknown_kind_of_tuning_is_refused_with_those_there_are(base: str) -> None:
    with pytest.raises(TrainingError, match=r"no --tune most.*head, bias, last-stage, all"):
        continued(Options(), base, "most")


def test_tuning_wants_a_network_to_go_on_from() -> None:
    with pytest.raises(TrainingError, match="--init RUN_OR_BUNDLE --tune head"):
        continued(Options(), "", "head")


def test_a_network_to_go_on_from_wants_to_be_told_with_what(base: str) -> None:
    with pytest.raises(TrainingError, match=r"(?s)--tune head, bias or last-stage .*--qat 1"):
        continued(Options(), base)


def test_another_network_than_the_one_to_go_on_from_is_refused(base: str) -> None:
    with pytest.raises(TrainingError, match=r"has backbone resnet18.*\nLeave --backbone out"):
        continued(Options(backbone="resnet34"), base, "bias")


def test_a_folder_that_is_neither_run_nor_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="neither a finished run nor a bundle"):
        continued(Options(), str(tmp_path), "bias")


def test_a_bundle_of_before_is_refused_with_two_ways_out(fixed_bundle: Path) -> None:
    with pytest.raises(TrainingError, match=r"(?s)--init RUN.*edgecam build-engine RUN"):
        continued(Options(), str(fixed_bundle), "bias")
