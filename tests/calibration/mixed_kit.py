"""Small networks of the shape that edgecam exports, with a layer that INT8 ruins where a test wants one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgecam_calibration.mixed.chain import Chain
from edgecam_calibration.mixed.write import open_chain, write_mixed
from edgecam_calibration.quantize import Calibration, Profile
from edgecam_engines.engine import Frames
from edgecam_engines.head import Head

HW = (16, 16)
WIDTH = 8  # channels throughout
U8 = Profile("int8-cpu", signed=False, reduce_range=True, quantize_bias=True)


def frames(n: int, seed: int = 0) -> Frames:
    """Smooth pictures, since noise has no map worth comparing."""
    rng = np.random.default_rng(seed)
    rough = rng.integers(0, 256, (n, 4, 4, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return rough.astype(np.uint8)


def network(ruined: int | None = None, *, layers: int = 5, seed: int = 0) -> onnx.ModelProto:
    """Convolutions with ReLU named body.K.0, one residual addition, and a last shift as in our heads.

    Layer `ruined` has weights a thousand times as large as its others for a channel that is always zero.
    They change nothing in float, but take all steps of the scales. No tensor between layers suffers, which
    would be its maker's harm as much as its reader's.
    """
    rng = np.random.default_rng(seed)
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], "to_planes", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["numbers"], "to_numbers", to=TensorProto.FLOAT),
        helper.make_node("Sub", ["numbers", "mean"], ["centred"], "centre"),
    ]
    constants: dict[str, NDArray[Any]] = {
        "mean": np.float32(127),
        "shift": rng.normal(0, 0.1, (1, WIDTH, 1, 1)).astype(np.float32),
        "scale": np.ones((1, WIDTH, 1, 1), np.float32),
    }
    tensor, wide = "centred", 3
    for k in range(layers):
        gain = 0.01 if k == 0 else 1.0
        weight = rng.normal(0, gain * (2 / (wide * 9)) ** 0.5, (WIDTH, wide, 3, 3)).astype(np.float32)
        bias = rng.normal(0, 0.1, WIDTH).astype(np.float32)
        if ruined is not None and k == ruined - 1:
            weight[0], bias[0] = 0, -0.1
        if ruined is not None and k == ruined:
            weight[:, 0] *= 1000
        constants[f"body.{k}.0.weight"] = weight
        constants[f"body.{k}.0.bias"] = bias
        nodes.append(
            helper.make_node(
                "Conv",
                [tensor, f"body.{k}.0.weight", f"body.{k}.0.bias"],
                [f"sum{k}"],
                f"conv{k}",
                pads=[1] * 4,
            )
        )
        tensor, wide = f"sum{k}", WIDTH
        if k == layers - 1:
            nodes.append(helper.make_node("Add", [tensor, f"out{k - 1}"], ["both"], f"add{k}"))
            tensor = "both"
        nodes.append(helper.make_node("Relu", [tensor], [f"out{k}"], f"relu{k}"))
        tensor = f"out{k}"
    nodes += [
        helper.make_node("Mul", [tensor, "scale"], ["scaled"], "mul"),
        helper.make_node("Add", ["scaled", "shift"], ["features"], "last"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", *HW, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", WIDTH, *HW])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def head(seed: int = 0) -> Head:
    weight = np.random.default_rng(seed).normal(0, 1, (3, WIDTH)).astype(np.float32)
    return Head(weight - weight.mean(axis=0), np.zeros(3, np.float32), ("a", "b", "c"))


@dataclass
class Rig:
    """A network, calibrated, in one profile."""

    folder: Path
    profile: Profile
    calibration: Calibration
    chain: Chain

    @property
    def plain(self) -> Path:
        return self.folder / "fp32.onnx"

    def mixed(self, kept: list[str]) -> Path:
        """The file with these units in float."""
        path = self.folder / "mixed.onnx"
        nodes = [node for unit in self.chain.units if unit.name in kept for node in unit.nodes]
        write_mixed(self.calibration, self.plain, self.profile, path, nodes)
        return path


def rig(folder: Path, profile: Profile, model: onnx.ModelProto) -> Rig:
    """Calibrate and open."""
    onnx.save(model, folder / "fp32.onnx")
    calibration = Calibration(folder / "fp32.onnx", [frames(8, seed=1)])
    calibration.write(profile, folder / "int8.onnx")
    return Rig(folder, profile, calibration, open_chain(calibration, folder / "int8.onnx", profile))
