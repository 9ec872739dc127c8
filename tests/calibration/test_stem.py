"""Which convolution stays in float for TensorRT, and that it does."""

from pathlib import Path

import onnx
import pytest
from onnx import helper

from calibration.test_equalize import frames, random_net
from edgecam_calibration.quantization.stem import stem_in_float
from edgecam_calibration.quantize import TENSORRT, Calibration, Recipe, cpu_profile


def mobile_net() -> onnx.ModelProto:
    """The random network without its first expansion: a depthwise convolution reads the stem's ReLU6."""
    model = random_net(1, blocks=1)
    nodes = {node.name: node for node in model.graph.node}
    nodes["stem"].input[1:] = ["expand0.w", "expand0.b"]
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    weights["expand0.w"].CopyFrom(
        helper.make_tensor("expand0.w", 1, [10, 3, 1, 1], [0.01 * (k % 7 - 3) for k in range(30)])
    )
    nodes["stem"].attribute[1].CopyFrom(helper.make_attribute("pads", [0] * 4))
    nodes["expand0.r"].input[0] = "stem"
    nodes["sum0"].input[1] = "project0"
    model.graph.node.remove(nodes["expand0"])
    return model


def test_the_depthwise_convolution_after_the_first_one_is_the_stem() -> None:
    assert stem_in_float(mobile_net(), TENSORRT) == ["deep0"]
    assert stem_in_float(mobile_net(), cpu_profile()) == ["stem", "expand0.r", "deep0"]


@pytest.mark.parametrize("blocks", [0, 2])
def test_a_network_whose_depthwise_convolutions_come_later_has_none(blocks: int) -> None:
    assert stem_in_float(random_net(0, blocks=blocks), TENSORRT) == []


@pytest.mark.parametrize(
    ("profile", "in_float"), [(TENSORRT, True), (cpu_profile(), False)], ids=["trt", "cpu"]
)
def test_its_input_and_weights_stay_in_float(tmp_path: Path, profile: object, in_float: bool) -> None:
    onnx.save(mobile_net(), tmp_path / "net.onnx")
    calibration = Calibration(tmp_path / "net.onnx", [frames(4)])
    for recipe, expected in ((Recipe(), True), (Recipe(float_stem=False), False)):
        calibration.write(profile, tmp_path / "int8.onnx", recipe=recipe)
        (deep,) = [n for n in onnx.load(tmp_path / "int8.onnx").graph.node if n.name == "deep0"]
        assert (deep.input[0] == "expand0.r") is expected
        assert (deep.input[1] == "deep0.w") is expected
