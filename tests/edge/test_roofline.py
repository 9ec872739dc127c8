"""The roofline: costs counted by hand, peaks as NVIDIA has them, predictions against published times."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecam.roofline.cost import Cost, Layer, cost_of
from edgecam.roofline.of_bundle import Roofline, in_words
from edgecam.roofline.peaks import ORIN, mode_named
from edgecam.roofline.predict import LAUNCH_S, TRAFFIC, WITHIN, predict, roofline
from edgecam.roofline.published import efficientvit, fit, left_out, published, resnet50
from edgecam_engines.errors import EngineError


def a_model(path: Path) -> Path:
    """A strided convolution, a grouped one, a rectifier, a pool and a product, on a batch of any size."""
    rng = np.random.default_rng(0)
    weights = {"a": (8, 3, 3, 3), "b": (8, 1, 3, 3), "c": (8, 5)}
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["p"], "first", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["p", "b"], ["q"], "second", group=8, pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["q"], ["r"]),
        helper.make_node("ReduceMean", ["r"], ["s"], "pool", axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["s", "c"], ["y"], "last"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(rng.random(shape, np.float32), name) for name, shape in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def test_the_cost_of_each_layer_is_what_one_counts_by_hand(tmp_path: Path) -> None:
    found = cost_of(a_model(tmp_path / "m.onnx"))
    assert found.layers == [
        Layer("first", "Conv", 2 * 8 * 8 * 8 * 27, 3 * 256 + 8 * 64, 8 * 27),
        Layer("second", "Conv", 2 * 8 * 8 * 8 * 9, 2 * 8 * 64, 8 * 9),
        Layer("pool", "ReduceMean", 0, 8 * 64 + 8, 0),
        Layer("last", "MatMul", 2 * 8 * 5, 8 + 5, 8 * 5),
    ]
    assert (found.kernels, found.weights) == (4, 216 + 72 + 40)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"not a model")
    with pytest.raises(EngineError):
        cost_of(tmp_path / "x.onnx")


@pytest.mark.parametrize(("precision", "tera"), [("int8", 85.3), ("fp16", 42.6), ("fp32", 5.3)])
def test_maxn_has_the_peaks_that_nvidia_names(precision: str, tera: float) -> None:
    assert ORIN[0].peak(precision) / 1e12 == pytest.approx(tera, rel=0.01)


@pytest.mark.parametrize(("name", "tera"), [("MODE_50W", 53.5), ("MODE_30W", 20), ("MODE_15W", 10)])
def test_slower_modes_have_fewer_units_at_lower_clocks(name: str, tera: float) -> None:
    mode = mode_named(name)
    assert mode is not None
    assert mode.peak("int8") / 1e12 == pytest.approx(tera, rel=0.03)
    assert mode_named("MODE_7W") is None


@pytest.mark.parametrize(
    ("name", "side", "gmac", "parameters"),
    [
        ("B1", 224, 0.52, 9.1),
        ("B1", 288, 0.86, 9.1),
        ("B2", 224, 1.6, 24),
        ("B3", 224, 4.0, 49),
        ("B3", 288, 6.5, 49),
    ],
)
def test_the_layers_written_down_add_up_to_what_the_paper_says(
    name: str, side: int, gmac: float, parameters: float
) -> None:
    cost = efficientvit(name, side)
    assert cost.flops / 2e9 == pytest.approx(gmac, rel=0.02)
    assert cost.weights / 1e6 == pytest.approx(parameters, rel=0.02)


def test_resnet_50_is_torchvisions() -> None:
    cost = resnet50()
    assert cost.flops / 2e9 == pytest.approx(4.09, rel=0.005)
    assert cost.weights / 1e6 == pytest.approx(25.5, rel=0.005)


def test_each_network_is_predicted_from_the_others_within_what_is_promised() -> None:
    told = left_out(published())
    assert len(told) == 10
    for point, milliseconds in told:
        assert milliseconds == pytest.approx(point.milliseconds, rel=WITHIN), point


def test_the_constants_are_what_fits_the_published_latencies() -> None:
    launch, traffic = fit(published())
    assert launch == pytest.approx(LAUNCH_S, rel=0.005)
    assert traffic == pytest.approx(TRAFFIC, rel=0.005)


def test_a_fit_finds_the_numbers_that_times_were_made_with() -> None:
    made = [
        point._replace(
            milliseconds=1e3 * (4e-6 * point.cost.kernels + 2 * point.cost.activations * size / 204.8e9)
        )
        for point in published()
        for size in [{"fp16": 2, "int8": 1}[point.precision]]
    ]
    assert fit(made) == pytest.approx((4e-6, 2.0))


def test_no_prediction_is_faster_than_the_roofline() -> None:
    heavy = Cost([Layer("x", "Conv", 10**12, 10, 10)])
    told = predict(heavy, "int8", ORIN[0])
    assert told.seconds == told.roofline == roofline(heavy, "int8", ORIN[0])
    assert told.reached == 1
    light = predict(published()[0].cost, "fp16", ORIN[0])
    assert light.reached < 0.3


def test_slower_modes_are_predicted_to_be_slower() -> None:
    times = [predict(published()[0].cost, "fp16", mode).seconds for mode in ORIN]
    assert times == sorted(times)


def test_a_bundle_says_what_it_asks_and_that_the_prediction_is_none_of_a_measurement() -> None:
    told = Roofline(published()[0].cost, "fp16").document(infer_ms=1.48, mode="MAXN")
    assert told["kernels"] == published()[0].cost.kernels
    assert told["measured_gflop_per_s"] == pytest.approx(published()[0].cost.flops / 1.48e-3 / 1e9, rel=1e-3)
    assert told["reached"] == pytest.approx(told["roofline_ms"] / 1.48, abs=1e-3)
    assert told["prediction"]["not_measured"] is True
    assert len(told["layers"]) == told["kernels"]
    assert told["layers"][0].keys() == {"name", "operator", "mflop", "kb", "bound"}
    words = "\n".join(in_words(told))
    assert "layers are bound by memory" in words
    assert words.count("PREDICTION, not measured") == 3
    assert "of the roofline was reached" in words
    elsewhere = Roofline(published()[0].cost, "fp16").document(infer_ms=12.0)
    assert "reached" not in elsewhere
    assert "reached" not in "\n".join(in_words(elsewhere))


def test_layers_say_what_bounds_them() -> None:
    rows = Roofline(resnet50(), "int8").layers()
    assert {row["bound"] for row in rows} == {"arithmetic", "memory"}
    assert rows[-1]["bound"] == "memory"
