"""The trainer on tiny photos: what a run leaves, and that stopping and going on changes no bit."""

import json
import math
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import edgecam_training.train as train_module
from edgecam_engines.errors import OutputError, TrainingError
from edgecam_engines.head import load_head
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from edgecam_engines.photo import read_photo
from edgecam_engines.signals import stop_on_signal
from edgecam_training.backbone import DEFAULT, make_backbone
from edgecam_training.batches import Batch
from edgecam_training.judge import Judged
from edgecam_training.mixing import Mixed
from edgecam_training.model import Model, read_tensors
from edgecam_training.optimizer import make_optimizer, set_rates, unfreeze
from edgecam_training.options import Options, load_options
from edgecam_training.penalties import l2_penalty, penalized_weights
from edgecam_training.step import mix, one_step
from edgecam_training.train import train
from training.photo_kit import COLOURS, make_photos

# Four steps an epoch; the first epoch trains the head, the second the last stages too, the third all.
OPTIONS = Options(
    small_share=0.6,
    input_height=64,
    input_width=96,
    backbone="mobilenet_v3_small",
    pretrained=False,
    dim=64,
    epochs=3,
    batch=8,
    head_epochs=1,
    last_epochs=1,
    clean_epochs=1,
    mix_probability=0.7,
)
STEPS = 4


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("data") / "photos", count=12)


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Stands in for export and pictures, which take longer than the training; holds what they were given."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr("edgecam_training.finish.finish", lambda *given: calls.append(given))
    return calls


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int, Callable[[], object]], None]:
    """at_step(epoch, step, act): do something in the middle of that step, once."""

    def arrange(at_epoch: int, at: int, act: Callable[[], object]) -> None:
        def acting(*given: Any, epoch: int, step: int, **team: Any) -> float:
            if (epoch, step) == (at_epoch, at):
                monkeypatch.setattr(train_module, "one_step", one_step)
                act()
            return one_step(*given, epoch=epoch, step=step, **team)

        monkeypatch.setattr(train_module, "one_step", acting)

    return arrange


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def made(**changes: Any) -> tuple[Model, Options]:
    options = replace(OPTIONS, **changes)
    torch.manual_seed(0)
    model = Model(
        3,
        backbone=options.backbone,
        head=options.head,
        dim=options.dim,
        dropout=options.dropout,
        pretrained=options.pretrained,
    )
    return model, options


def a_batch(n: int = 8) -> Batch:
    rng = torch.Generator().manual_seed(3)
    frames = torch.randint(0, 256, (n, 64, 64, 3), dtype=torch.uint8, generator=rng)
    return Batch(frames, torch.arange(n) % 3)


def same_to_the_last_bit(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_to_the_last_bit(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(same_to_the_last_bit(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def checkpoint(run: Path) -> dict[str, Any]:
    return torch.load(run / "checkpoint.pt", weights_only=True)


def files(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.iterdir()}


# -- a whole run


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Judged, Options]]:
    """One run with everything that belongs to it."""
    folder = tmp_path_factory.mktemp("whole")
    options = replace(OPTIONS, epochs=6, backbone=DEFAULT, pretrained=True, lr_backbone=1e-4, lr_head=1e-2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield folder / "run", train(photos, folder / "run", options), options


def test_a_run_learns_what_sets_the_classes_apart(whole: tuple[Path, Judged, Options]) -> None:
    _, judged, _ = whole
    assert judged.report.n == 6
    assert judged.report.top1 >= 0.8


def test_a_run_keeps_its_averaged_weights_mixed_with_the_pretrained_ones(
    whole: tuple[Path, Judged, Options],
) -> None:
    run, _, options = whole
    trained, kept = checkpoint(run)["ema"], read_tensors(run / "weights.safetensors")
    pretrained = make_backbone(DEFAULT, pretrained=True).state_dict()
    name = "body.4.0.block.0.0.weight"
    share = options.pretrained_share
    assert 0 < share < 1
    assert not torch.equal(trained[f"backbone.{name}"], pretrained[name])
    mean = (1 - share) * trained[f"backbone.{name}"] + share * pretrained[name]
    torch.testing.assert_close(kept[f"backbone.{name}"], mean)
    assert torch.equal(kept["classify.weight"], trained["classify.weight"])


def test_a_run_leaves_its_settings_its_split_and_its_history(
    whole: tuple[Path, Judged, Options], photos: Path
) -> None:
    run, judged, options = whole
    assert load_options(run / "options.json") == options
    split = json.loads((run / "split.json").read_text())
    assert split["classes"] == list(COLOURS)
    assert (len(split["train"]), len(split["val"]), split["problems"]) == (30, 6, [])
    assert not {i["sha256"] for i in split["train"]} & {i["sha256"] for i in split["val"]}
    assert Path(split["data"]) == photos
    assert all(Path(i["path"]).parent.name == split["classes"][i["label"]] for i in split["val"])
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert [row["input_hw"] for row in history] == [[64, 64]] * 4 + [[64, 96]] * 2
    assert all(math.isfinite(row["train_loss"]) and row["images_per_s"] > 0 for row in history)
    assert history[-1]["val_top1"] == judged.report.top1
    assert history[-1]["lr_head"] < history[2]["lr_head"]


def test_a_run_leaves_weights_that_give_the_judged_answers(whole: tuple[Path, Judged, Options]) -> None:
    run, judged, options = whole
    model, _ = made(backbone=DEFAULT)
    model.load_state_dict(read_tensors(run / "weights.safetensors"))
    split = json.loads((run / "split.json").read_text())
    from edgecam_engines.geometry import fit_batch

    frames = fit_batch([read_photo(Path(i["path"])) for i in split["val"]], options.input_hw)
    with torch.no_grad():
        logits = model.eval().logits(model(torch.from_numpy(frames))).numpy()
    # But for what all classes share, which was fitted afterwards and stands in the head.
    told = judged.logits - judged.logits.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(logits - logits.mean(axis=1, keepdims=True), told, atol=1e-4)
    np.testing.assert_array_equal(np.load(run / "val_logits.npy"), judged.logits)
    assert judged.labels.tolist() == [i["label"] for i in split["val"]]
    # And so does the graph with its head, without torch.
    head = load_head(run / "head.safetensors")
    assert head.classes == tuple(COLOURS)
    features = OnnxRuntimeEngine(run / "model.onnx", name="onnxruntime-fp32").infer(frames)
    np.testing.assert_allclose(head.logits(features), judged.logits, atol=1e-3)


def test_a_run_leaves_pictures_and_a_page_that_needs_no_other_file(
    whole: tuple[Path, Judged, Options],
) -> None:
    run, _, _ = whole
    for name in ("curves.png", "confusion.png", "overlays.png"):
        assert min(read_photo(run / name).shape[:2]) > 100
    page = (run / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert 'src="http' not in page
    assert all(colour in page for colour in COLOURS)
    assert not [path.name for path in run.iterdir() if path.name.startswith(".")]  # nothing half-written


def test_a_folder_that_holds_a_run_is_not_written_over(
    whole: tuple[Path, Judged, Options], photos: Path
) -> None:
    run, _, _ = whole
    before = files(run)
    with pytest.raises(TrainingError, match="--resume"):
        train(photos, run, OPTIONS)
    assert files(run) == before


# -- stopping and going on


@pytest.fixture(scope="module")
def straight(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The checkpoint at the end of a run that was never stopped."""
    folder = tmp_path_factory.mktemp("straight")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr("edgecam_training.finish.finish", lambda *_: None)
        train(photos, folder / "run", OPTIONS)
    return checkpoint(folder / "run")


@pytest.mark.parametrize(
    ("epoch", "step"),
    [(0, 1), (1, STEPS - 1), (2, 2)],
    ids=["in the first epoch", "at the end of an epoch", "in the last epoch"],
)
def test_a_run_that_was_stopped_goes_on_to_the_same_last_bit(
    photos: Path,
    tmp_path: Path,
    straight: dict[str, Any],
    finished: list[tuple[Any, ...]],
    at_step: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    epoch: int,
    step: int,
) -> None:
    run = tmp_path / "run"
    at_step(epoch, step, press_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        train(photos, run, OPTIONS)
    assert f"edgecam train {photos} --out {run} --resume" in capsys.readouterr().err.replace("\n", " ")
    assert checkpoint(run)["position"] == [epoch, step + 1]  # the step in hand was finished
    assert finished == []
    torch.manual_seed(999)  # another process has another state
    train(photos, run, Options(), resume=True)  # the settings are the run's own
    assert same_to_the_last_bit(checkpoint(run), straight)
    ((_, ema, options, _, _, _, history),) = finished
    assert same_to_the_last_bit(dict(ema.state_dict()), straight["ema"])
    assert options == OPTIONS
    assert [row["epoch"] for row in history] == [1, 2, 3]


def test_two_runs_with_one_seed_are_equal_and_another_seed_differs(
    photos: Path, tmp_path: Path, straight: dict[str, Any], finished: list[tuple[Any, ...]]
) -> None:
    train(photos, tmp_path / "again", OPTIONS)
    assert same_to_the_last_bit(checkpoint(tmp_path / "again"), straight)
    train(photos, tmp_path / "other", replace(OPTIONS, seed=1))
    assert not same_to_the_last_bit(checkpoint(tmp_path / "other")["model"], straight["model"])


def test_a_long_epoch_is_saved_on_the_way_as_often_as_asked(
    photos: Path, tmp_path: Path, finished: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[tuple[int, int, int]] = []
    save = train_module.Checkpoint.save

    def watched(self: Any, position: Any) -> None:
        saved.append((position.epoch, position.step, len(position.losses)))
        save(self, position)

    monkeypatch.setattr(train_module.Checkpoint, "save", watched)
    minutes = iter(range(1000))  # looked at before the first step, after each, and once more for each save
    options = replace(OPTIONS, epochs=1, checkpoint_minutes=2)
    train(photos, tmp_path / "run", options, clock=lambda: 60.0 * next(minutes))
    assert saved == [(0, 1, 1), (0, 3, 3), (1, 0, 0)]


@pytest.mark.parametrize("last", [False, True], ids=["after the first epoch", "after the last"])
def test_ctrl_c_while_an_epoch_is_judged_is_not_forgotten(
    photos: Path,
    tmp_path: Path,
    finished: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    last: bool,
) -> None:
    options = replace(OPTIONS, epochs=1 if last else 2)

    def interrupted(*given: Any, **named: Any) -> Judged:
        monkeypatch.setattr(train_module, "judge", judge)
        press_ctrl_c()
        return judge(*given, **named)

    judge = train_module.judge
    monkeypatch.setattr(train_module, "judge", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(photos, tmp_path / "run", options)
    assert "--resume" in capsys.readouterr().err
    assert checkpoint(tmp_path / "run")["position"] == [1, 0]
    assert finished == []
    train(photos, tmp_path / "run", options, resume=True)
    assert len(finished) == 1


def test_going_on_with_other_photos_is_refused_and_changes_nothing(
    photos: Path, tmp_path: Path, finished: list[tuple[Any, ...]], at_step: Callable[..., None]
) -> None:
    run = tmp_path / "run"
    at_step(0, 1, press_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        train(photos, run, OPTIONS)
    before = files(run)
    others = make_photos(tmp_path / "others", count=12, first=40)
    with pytest.raises(TrainingError, match="other photos or settings"):
        train(others, run, OPTIONS, resume=True)
    assert files(run) == before


def test_going_on_where_there_is_no_run_says_so(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="holds no run to go on with"):
        train(photos, tmp_path / "run", OPTIONS, resume=True)
    assert not (tmp_path / "run").exists()


def test_a_run_that_was_stopped_before_its_first_checkpoint_starts_anew(
    photos: Path,
    tmp_path: Path,
    straight: dict[str, Any],
    finished: list[tuple[Any, ...]],
    at_step: Callable[..., None],
) -> None:
    def killed() -> None:
        raise RuntimeError("the power is gone")

    at_step(0, 2, killed)
    with pytest.raises(RuntimeError, match="power"):
        train(photos, tmp_path / "run", OPTIONS)
    assert not (tmp_path / "run" / "checkpoint.pt").exists()
    train(photos, tmp_path / "run", OPTIONS, resume=True)
    assert same_to_the_last_bit(checkpoint(tmp_path / "run"), straight)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None], ids=["empty", "words", "cut"])
def test_a_damaged_checkpoint_is_explained(
    photos: Path,
    tmp_path: Path,
    finished: list[tuple[Any, ...]],
    content: bytes | None,
) -> None:
    run = tmp_path / "run"
    train(photos, run, replace(OPTIONS, epochs=1))
    path = run / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    with pytest.raises(TrainingError, match=r"checkpoint.pt cannot be read as a checkpoint") as caught:
        train(photos, run, OPTIONS, resume=True)
    assert "weights_only" not in str(caught.value)


def test_the_first_signal_asks_and_the_second_interrupts() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stop_on_signal() as stop:
        assert not stop.asked
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            press_ctrl_c()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


# -- what goes wrong


def test_settings_that_do_not_work_leave_no_run_behind(photos: Path, tmp_path: Path) -> None:
    for wrong in ({"backbone": "resnet19"}, {"head": "round"}, {"mix": "smoothie"}):
        with pytest.raises(TrainingError, match="There is no"):
            train(photos, tmp_path / "run", replace(OPTIONS, **wrong))
        assert not (tmp_path / "run").exists()  # so that the same command, corrected, works


def test_an_unknown_mix_is_answered_with_the_mixes_there_are(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no mix 'smoothie'.*none, cutmix"):
        train(photos, tmp_path / "run", replace(OPTIONS, mix="smoothie"))


def test_a_diverged_loss_ends_the_run_with_advice(
    photos: Path, tmp_path: Path, finished: list[tuple[Any, ...]]
) -> None:
    with pytest.raises(TrainingError, match=r"diverged") as caught:
        train(photos, tmp_path / "run", replace(OPTIONS, lr_head=1e30))
    assert "--lr-head" in str(caught.value)
    assert finished == []


def test_a_full_disk_is_an_output_error_and_leaves_only_whole_files(
    photos: Path, small_disk: Path, finished: list[tuple[Any, ...]]
) -> None:
    run = small_disk / "run"
    with pytest.raises(OutputError, match=r"checkpoint.pt could not be written: No space left"):
        train(photos, run, replace(OPTIONS, epochs=1))
    assert {path.name for path in run.iterdir()} == {"options.json", "split.json", "history.jsonl"}
    json.loads((run / "split.json").read_text())


def test_every_photo_left_out_is_named(
    tmp_path: Path, finished: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_photos(tmp_path / "photos", count=6)
    (data / "red" / "[bold]empty.jpg").write_bytes(b"")  # brackets are no markup
    train(data, tmp_path / "run", replace(OPTIONS, epochs=1))
    assert "[bold]empty.jpg: the file has 0 bytes" in capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "split.json").read_text())["problems"][0]["reason"] == (
        "the file has 0 bytes"
    )


# -- one step


def test_a_step_follows_from_seed_epoch_and_step_alone() -> None:
    after = []
    for noise in (1, 2):
        model, options = made(mix_probability=1.0)
        optimizer = make_optimizer(model, options)
        torch.manual_seed(noise)
        loss = one_step(model, optimizer, a_batch(), options, epoch=0, step=5)
        after.append((loss, model.state_dict()))
    assert after[0][0] == after[1][0]
    assert same_to_the_last_bit(dict(after[0][1]), dict(after[1][1]))


@pytest.mark.parametrize(("epoch", "thaws"), [(0, "nothing"), (1, "the last stages"), (2, "everything")])
def test_what_is_frozen_keeps_its_weights_and_its_statistics(epoch: int, thaws: str) -> None:
    model, options = made()
    unfreeze(model, epoch, options)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = make_optimizer(model, options)
    for step in range(2):
        one_step(model, optimizer, a_batch(), options, epoch=epoch, step=step)
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    body = len(model.backbone.body)
    first = {"nothing": body, "the last stages": model.backbone.taps[0] + 1, "everything": 0}[thaws]
    stages = {int(name.split(".")[2]) for name in changed if name.startswith("backbone.body.")}
    assert stages == set(range(first, body))
    assert any("running_mean" in name for name in changed if name.startswith("head."))
    assert {"classify.weight", "classify.bias"} <= changed


def test_thawing_reaches_everything_and_freezing_comes_back() -> None:
    model, options = made()
    unfreeze(model, 0, options)
    model.eval()  # as judging may leave it
    unfreeze(model, 2, options)
    assert all(p.requires_grad for p in model.parameters())
    assert all(module.training for module in model.modules())


def test_frozen_stages_never_learn() -> None:
    model, options = made(frozen_stages=2)
    for epoch in (1, 2):
        unfreeze(model, epoch, options)
        learns = [any(p.requires_grad for p in stage.parameters()) for stage in model.backbone.body]
        assert learns == [False, False, *learns[2:]]
    assert all(learns[2:])
    assert [stage.training for stage in model.backbone.body[:3]] == [False, False, True]


def test_decay_acts_on_weights_alone_and_every_parameter_is_learned_once() -> None:
    model, options = made(weight_decay=0.02)
    optimizer = make_optimizer(model, options)
    grouped = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(grouped) == len({id(p) for p in grouped}) == len(list(model.parameters()))
    spared = {
        id(p)
        for module in model.modules()
        for name, p in module.named_parameters(recurse=False)
        if name == "bias" or isinstance(module, nn.BatchNorm2d)
    }
    assert spared
    for group in optimizer.param_groups:
        for p in group["params"]:
            assert group["weight_decay"] == (0 if id(p) in spared else 0.02)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert {rates[id(p)] for p in model.backbone.parameters()} == {options.lr_backbone}
    assert {rates[id(p)] for p in (*model.head.parameters(), *model.classify.parameters())} == {
        options.lr_head
    }


@pytest.mark.parametrize("accumulate", [2, 3, 8])
def test_parts_of_a_batch_add_up_to_its_step(accumulate: int) -> None:
    """With norms that keep their statistics; by plain descent, that shows gradients as they are."""
    after = []
    for parts in (1, accumulate):
        model, options = made(accumulate=parts, mix_probability=1.0, dropout=0.0, er=0.0, ecr=0.0, l1=1e-4)
        model.eval()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        loss = one_step(model, optimizer, a_batch(), options, epoch=0, step=0)
        after.append((loss, model.state_dict()))
    (loss, whole), (added, parted) = after
    assert added == pytest.approx(loss, rel=1e-6)
    assert all(torch.allclose(whole[name], parted[name], atol=1e-6) for name in whole)


def test_l2_is_a_term_of_the_loss_and_decay_is_not() -> None:
    """The same step with and without: the loss differs by the penalty exactly."""

    def loss_of(**changes: float) -> tuple[float, float]:
        model, options = made(**changes)
        penalty = l2_penalty(penalized_weights(model)).item()
        return one_step(model, make_optimizer(model, options), a_batch(), options, epoch=0, step=0), penalty

    plain, penalty = loss_of()
    assert loss_of(weight_decay=0.3)[0] == plain
    assert loss_of(l2=1e-3)[0] == pytest.approx(plain + 1e-3 * penalty, rel=1e-5)
    assert loss_of(l1=1e-5)[0] > plain


def test_seams_losses_are_added_with_their_weights() -> None:
    def loss_of(**changes: float) -> float:
        model, options = made(**changes)
        nn.init.normal_(model.classify.weight, std=0.1)  # at zero all maps agree
        return one_step(model, make_optimizer(model, options), a_batch(), options, epoch=0, step=0)

    none, er, ecr = loss_of(er=0, ecr=0), loss_of(er=1, ecr=0), loss_of(er=0, ecr=1)
    assert min(er, ecr) > none
    assert loss_of(er=2, ecr=3) == pytest.approx(none + 2 * (er - none) + 3 * (ecr - none), rel=1e-4)


def test_seams_shrunken_pictures_leave_no_mark_on_the_norms_statistics() -> None:
    def after(**changes: float) -> dict[str, Tensor]:
        model, options = made(**changes)
        model.train()
        one_step(model, make_optimizer(model, options), a_batch(), options, epoch=0, step=0)
        return {name: tensor for name, tensor in model.named_buffers() if "running" in name or "num_" in name}

    without = after(er=0, ecr=0)
    assert same_to_the_last_bit(after(er=1, ecr=1), without)
    model, _ = made()
    assert not any(
        torch.equal(tensor, without[name]) for name, tensor in model.named_buffers() if name in without
    )


def test_rates_rise_over_the_warm_up_and_fall_to_nothing() -> None:
    model, options = made(warmup_epochs=0.5)
    optimizer = make_optimizer(model, options)
    rates = []
    for step in range(100):
        set_rates(optimizer, options, step=step, total=100, per_epoch=20)
        rates.append([group["lr"] for group in optimizer.param_groups])
    head = [row[-1] for row in rates]
    assert head[0] == pytest.approx(options.lr_head / 10)
    assert head[:10] == sorted(head[:10])
    assert head[9] == head[10] == max(head) == options.lr_head
    assert head[10:] == sorted(head[10:], reverse=True)
    assert 0 <= head[-1] < options.lr_head / 1000
    assert all(row[0] / row[-1] == pytest.approx(options.lr_backbone / options.lr_head) for row in rates)


def mixed_share(options: Options, *, clean: bool = False, draws: int = 300) -> float:
    batch = a_batch(4)
    model, _ = made()
    rngs = [torch.Generator().manual_seed(seed) for seed in range(draws)]
    results = [mix(model, batch, options, rng, clean=clean) for rng in rngs]
    return float(np.mean([bool((result.first_share < 1).any()) for result in results]))


def test_batches_are_mixed_as_often_as_asked() -> None:
    # A drawn box may be empty, so a few of the mixed ones are whole all the same.
    assert 0.4 < mixed_share(replace(OPTIONS, mix_probability=0.5)) < 0.6
    assert mixed_share(replace(OPTIONS, mix_probability=1.0)) > 0.95
    assert mixed_share(replace(OPTIONS, mix_probability=0.0)) == 0
    assert mixed_share(replace(OPTIONS, mix="none", mix_probability=1.0)) == 0
    assert mixed_share(replace(OPTIONS, mix_probability=1.0), clean=True) == 0


def test_the_last_epochs_of_a_run_see_unmixed_photos(
    photos: Path, tmp_path: Path, finished: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[float] = []

    def watched(*given: Any, clean: bool) -> Mixed:
        result = mix(*given, clean=clean)
        shares.append(float(result.first_share[0]))
        return result

    monkeypatch.setattr("edgecam_training.step.mix", watched)
    train(photos, tmp_path / "run", replace(OPTIONS, mix_probability=1.0, clean_epochs=1))
    assert len(shares) == 3 * STEPS
    assert min(shares[: 2 * STEPS]) < 1
    assert shares[2 * STEPS :] == [1.0] * STEPS


def test_shares_of_classes_that_are_not_there_are_refused_before_anything_is_written(
    photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"--expect names red, but the classes are .*\n.*=1,"):
        train(photos, tmp_path / "run", replace(OPTIONS, expect={"red": 1.0}))
    assert not (tmp_path / "run").exists()


def test_a_class_is_called_as_often_as_it_is_common_in_use(
    photos: Path, tmp_path: Path, finished: list[tuple[Any, ...]]
) -> None:
    names = sorted(COLOURS)
    for share, called in ((1e6, 6), (1e-6, 0)):
        options = replace(OPTIONS, epochs=1, expect={names[0]: share, **dict.fromkeys(names[1:], 1.0)})
        judged = train(photos, tmp_path / f"run-{called}", options)
        assert load_options(tmp_path / f"run-{called}" / "options.json") == options
        assert int((judged.logits.argmax(axis=1) == 0).sum()) == called
