"""Weights out of an exported graph make the network that was exported."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edgecam_engines.errors import TrainingError
from edgecam_training.export import export_onnx
from edgecam_training.unfold import unfold
from training.qat_kit import HW, pictures, small_model


@pytest.mark.parametrize("head", ["linear", "plain", "moe"])
def test_a_network_filled_from_its_graph_gives_its_features(tmp_path: Path, head: str) -> None:
    there = small_model(head, seed=1)
    graph = tmp_path / "fp32.onnx"
    export_onnx(there, HW, graph)
    here = small_model(head, seed=2)
    frames = torch.from_numpy(pictures(3))
    with torch.no_grad():
        wanted, before = there(frames), here(frames)
        unfold(graph, graph.read_bytes(), here, HW)
        found = here.eval()(frames)
    assert float((before - wanted).abs().max()) > 0.1
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


def test_the_graph_of_another_network_is_refused(tmp_path: Path) -> None:
    graph = tmp_path / "fp32.onnx"
    export_onnx(small_model("plain"), HW, graph)
    with pytest.raises(TrainingError, match="--init RUN"):
        unfold(graph, graph.read_bytes(), small_model("linear"), HW)


def test_a_graph_that_computes_something_else_with_the_same_weights_is_refused(tmp_path: Path) -> None:
    graph = tmp_path / "fp32.onnx"
    export_onnx(small_model("plain"), HW, graph)
    document = onnx.load(graph)
    clip = next(node for node in document.graph.node if node.op_type == "Clip")
    high = onnx.numpy_helper.from_array(np.array(3.0, np.float32), "three")
    document.graph.initializer.append(high)
    clip.input[2] = "three"
    graph.write_bytes(document.SerializeToString())
    with pytest.raises(TrainingError, match="features differ"):
        unfold(graph, graph.read_bytes(), small_model("plain"), HW)
