"""Observations kept between builds, bias correction, and the report by layer."""

import copy
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from calibration.test_equalize import frames, random_net, run
from edgecam_calibration.quantization.bias import bias_errors
from edgecam_calibration.quantization.cache import KEPT, cached, key
from edgecam_calibration.quantization.graph import constants, replace_constants, run_between
from edgecam_calibration.quantization.layers import LayerError, cosine, sqnr_db, table, write_layers
from edgecam_calibration.quantization.observe import SAMPLE, Observations, observe
from edgecam_calibration.quantization.pairs import quantized_tensors
from edgecam_calibration.quantize import DEFAULT, TENSORRT, Calibration, cached_calibration
from edgecam_engines.tensorrt.dla import read_scales


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("net") / "model.onnx"
    onnx.save(random_net(1, blocks=2), path)
    return path


@pytest.fixture(scope="module")
def calibration(net: Path) -> Calibration:
    return Calibration(net, [frames(8, seed=k) for k in range(3)])


def refuse() -> Observations:
    raise AssertionError("it should have been found")


# -- what is observed


def test_observing_in_batches_or_at_once_sees_the_same_ranges(net: Path) -> None:
    names = quantized_tensors(onnx.load(net))
    whole = frames(8)
    one = observe(net, names, [whole], rng=np.random.default_rng(0))
    many = observe(net, names, [whole[:3], whole[3:]], rng=np.random.default_rng(0))
    assert one.frames == many.frames == 8
    for name in names:
        np.testing.assert_allclose(one.tensors[name].high, many.tensors[name].high, rtol=1e-5)
        assert one.tensors[name].counts.sum() == many.tensors[name].counts.sum()


def test_only_the_first_few_frames_are_kept(net: Path) -> None:
    seen = observe(net, [], [frames(SAMPLE - 3), frames(9, seed=1)], rng=np.random.default_rng(0))
    np.testing.assert_array_equal(seen.sample, np.concatenate([frames(SAMPLE - 3), frames(9, seed=1)[:3]]))


# -- the cache


def test_what_was_kept_is_what_was_observed(tmp_path: Path, calibration: Calibration, net: Path) -> None:
    cached(tmp_path / "a.observed", lambda: calibration.seen)
    found = Calibration.from_observations(net, cached(tmp_path / "a.observed", refuse))
    for name, path in ((found, tmp_path / "found.onnx"), (calibration, tmp_path / "made.onnx")):
        name.write(TENSORRT, path)
    assert (tmp_path / "found.onnx").read_bytes() == (tmp_path / "made.onnx").read_bytes()


@settings(max_examples=20, deadline=None)
@given(cut=st.floats(0, 0.999), flip=st.booleans())
def test_a_file_that_is_cut_short_or_altered_is_made_again(
    tmp_path_factory: pytest.TempPathFactory, calibration: Calibration, cut: float, flip: bool
) -> None:
    path = tmp_path_factory.mktemp("cache") / "a.observed"
    cached(path, lambda: calibration.seen)
    whole = path.read_bytes()
    place = int(cut * len(whole))
    path.write_bytes(whole[:place] + (bytes([whole[place] ^ 1]) + whole[place + 1 :] if flip else b""))
    again = []
    cached(path, lambda: again.append(1) or calibration.seen)
    assert again
    assert path.read_bytes() == whole


def test_a_folder_that_cannot_be_written_costs_the_cache_only(
    tmp_path: Path, calibration: Calibration
) -> None:
    (tmp_path / "file").write_text("no folder")
    assert cached(tmp_path / "file" / "a.observed", lambda: calibration.seen) is calibration.seen


def test_the_oldest_files_go(tmp_path: Path, calibration: Calibration) -> None:
    for number in range(KEPT + 3):
        cached(tmp_path / f"{number}.observed", lambda: calibration.seen)
    assert len([*tmp_path.iterdir()]) == KEPT
    assert (tmp_path / f"{KEPT + 2}.observed").exists()


def test_the_key_follows_the_graph_the_photos_and_the_seed_and_nothing_else(tmp_path: Path) -> None:
    for name, content in (("g", b"1"), ("h", b"2"), ("a", b"3"), ("b", b"4"), ("c", b"4")):
        (tmp_path / name).write_bytes(content)
    g, h, a, b, c = (tmp_path / name for name in "ghabc")
    same = key(g, [a, b], seed=0)
    assert same == key(g, [b, a], seed=0) == key(g, [a, c], seed=0)
    assert len({same, key(h, [a, b], seed=0), key(g, [a], seed=0), key(g, [a, b], seed=1)}) == 4


def test_a_second_calibration_of_the_same_photos_reads_none(
    tmp_path: Path, net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "photo").write_bytes(b"1")
    first = cached_calibration(net, [tmp_path / "photo"], lambda: [frames(4)])
    second = cached_calibration(net, [tmp_path / "photo"], lambda: pytest.fail("read again"))
    np.testing.assert_array_equal(first.seen.sample, second.seen.sample)


# -- bias correction


def test_after_correction_every_convolution_has_fp32s_mean() -> None:
    """Weights that are wrong on purpose, and a clip between them."""
    reference, wrong = random_net(4, blocks=2), random_net(4, blocks=2)
    rng = np.random.default_rng(0)
    arrays = constants(wrong)
    replace_constants(
        wrong, {n: a * (1 + 0.3 * rng.normal(size=a.shape)) for n, a in arrays.items() if n[-2:] == ".w"}
    )
    convs = [node for node in reference.graph.node if node.op_type == "Conv"]
    names = [node.output[0] for node in convs]

    def errors(model: onnx.ModelProto) -> float:
        pairs = zip(*(run_between(m, {"image": frames()}, names) for m in (reference, model)), strict=True)
        return max(float(np.abs((a - b).mean(axis=(0, 2, 3))).max()) for a, b in pairs)

    assert errors(wrong) > 0.1
    fixed = copy.deepcopy(wrong)
    found = bias_errors(reference, wrong, frames())
    assert set(found) == {node.input[2] for node in convs}
    replace_constants(fixed, {name: constants(wrong)[name] + error for name, error in found.items()})
    assert errors(fixed) < 1e-4


def test_a_part_of_a_graph_answers_as_the_whole() -> None:
    model = random_net(2, blocks=2)
    (middle,) = run_between(model, {"image": frames()}, ["sum0"])
    (last,) = run_between(model, {"sum0": middle}, ["features"])
    np.testing.assert_allclose(last, run(model, frames()), rtol=1e-3, atol=1e-3)


# -- the report by layer


def test_decibels_and_cosines_by_hand() -> None:
    wanted = np.array([[[10.0, 12.0]]])  # one channel; around its mean: -1, 1
    assert sqnr_db(wanted, wanted + 0.1) == pytest.approx(20.0)
    assert sqnr_db(wanted, wanted) == np.inf
    assert sqnr_db(np.ones((1, 1, 2)), np.zeros((1, 1, 2))) == -np.inf
    assert cosine(np.array([1.0, 0.0]), np.array([1.0, 1.0])) == pytest.approx(np.sqrt(0.5))
    assert cosine(np.zeros(2), np.zeros(2)) == 1
    assert cosine(np.ones(2), np.zeros(2)) == 0


def test_every_convolution_is_reported_whatever_equalizing_did(
    tmp_path: Path, calibration: Calibration
) -> None:
    calibration.write(TENSORRT, tmp_path / "int8.onnx")
    found = calibration.layer_errors(TENSORRT, tmp_path / "int8.onnx")
    blocks = [f"{part}{block}" for block in (0, 1) for part in ("expand", "deep", "project")]
    assert [each.node for each in found] == ["stem", *blocks, "last"]
    assert all(12 < each.sqnr_db < 80 for each in found), found
    assert all(each.cosine > 0.97 for each in found), found


def test_the_report_is_json_and_a_picture(tmp_path: Path) -> None:
    errors = [LayerError("a", "x", 20.0, 0.99), LayerError("b", "y", float("inf"), 1.0)]
    write_layers(tmp_path, {"int8-cpu": errors, "int8-tensorrt": errors[:1]})
    document = json.loads((tmp_path / "layers.json").read_text())
    assert document["int8-cpu"][1] == {"node": "b", "tensor": "y", "sqnr_db": None, "cosine": 1.0}
    assert (tmp_path / "layers.png").read_bytes()[1:4] == b"PNG"


def test_the_table_has_a_row_a_convolution_and_blanks_where_a_profile_has_none() -> None:
    a, b = LayerError("a", "x", 20.0, 0.99), LayerError("b", "y", float("inf"), 1.0)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(table({"cpu": [a, b], "trt": [b]}))
    lines = [line for line in console.export_text().splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in line.strip()[1:-1].split("│")] for line in lines] == [
        ["a", "20.0", "0.9900", "", ""],
        ["b", "inf", "1.0000", "inf", "1.0000"],
    ]


def test_the_scales_in_the_side_file_are_those_of_the_fp32_graph(
    tmp_path: Path, calibration: Calibration
) -> None:
    """It is the FP32 graph that a DLA is built from: nothing in it was scaled or lowered."""
    as_it_stands = replace(DEFAULT, equalized=False, centred=False)
    calibration.write(TENSORRT, tmp_path / "int8.onnx", recipe=as_it_stands)
    calibration.write_scales(tmp_path / "scales.json")
    scales = read_scales(tmp_path / "scales.json")
    plain = calibration.prepared(as_it_stands)[0].graph
    assert scales.keys() <= {name for node in plain.node for name in [*node.input, *node.output]}
    model = onnx.load(tmp_path / "int8.onnx")
    arrays = constants(model)
    pairs = {n.input[0]: float(arrays[n.input[1]]) for n in model.graph.node if n.op_type == "QuantizeLinear"}
    pinned = pairs.pop("centred")
    assert pinned == 1
    assert len(pairs) > 5
    for name, scale in pairs.items():
        assert scales[name] == pytest.approx(scale, rel=1e-5)
