"""The CAM identity, and the exported graph: the network's numbers, and nothing in it but what is fast."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

from edgecam_engines.engine import Frames
from edgecam_engines.errors import OutputError, TrainingError
from edgecam_engines.head import Head
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from edgecam_training.backbone import DEFAULT
from edgecam_training.export import Exported, export_onnx, spell_out_pooling
from edgecam_training.graph import fold_pads, name_after_order
from edgecam_training.model import ClassHead, Model, read_tensors

FAST_OPS = {"Conv", "Clip", "Add", "Mul", "MatMul", "Softmax", "Reshape", "Transpose", "Cast", "Sub"}
CLASSES = 4
FEATURES_ATOL = 3e-4  # of features up to 8, rounded over some sixty layers and multiplied by a factor


def trained_looking(backbone: str, head: str = "linear") -> Model:
    """Random weights; gains, shifts and statistics as a training would leave them, so that nothing is 0 or
    1, and what is in a frame is still to be told from the features."""
    torch.manual_seed(0)
    model = Model(CLASSES, backbone=backbone, head=head, dim=64, dropout=0.3, pretrained=False)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.2)
        norm.momentum = 1.0  # the statistics are those of the one batch below
    for name, parameter in model.head.named_parameters():
        if "gate" in name:
            nn.init.normal_(parameter, std=0.2)
        if name.endswith("merge.weight"):
            nn.init.normal_(parameter, std=0.05)
    nn.init.normal_(model.classify.weight, std=0.1)
    nn.init.normal_(model.classify.bias, std=0.1)
    with torch.no_grad():
        model(torch.from_numpy(frames_of(16, (64, 96))))
    return model.eval().requires_grad_(False)


def frames_of(n: int, hw: tuple[int, int]) -> Frames:
    """Patches of colour, fine and coarse, so that frames differ at every stride."""
    rng = np.random.default_rng(n)
    layers = [
        rng.integers(0, 128, size=(n, hw[0] // cell, hw[1] // cell, 3), dtype=np.uint8)
        .repeat(cell, axis=1)
        .repeat(cell, axis=2)
        for cell in (1, 32)
    ]
    return layers[0] + layers[1]


class Export(NamedTuple):
    model: Model
    path: Path
    hw: tuple[int, int]

    @property
    def graph(self) -> onnx.ModelProto:
        return onnx.load(self.path)

    def by_torch(self, frames: Frames) -> np.ndarray:
        return self.model(torch.from_numpy(frames)).numpy()

    def by_onnxruntime(self, frames: Frames) -> np.ndarray:
        engine = OnnxRuntimeEngine(self.path, name="onnxruntime-fp32")
        assert engine.input_hw == self.hw
        return engine.infer(frames)


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """The default backbone at a size whose sides differ."""
    hw = (64, 96)
    path = tmp_path_factory.mktemp("default") / "model.onnx"
    model = trained_looking(DEFAULT)
    export_onnx(model, hw, path)
    return Export(model, path, hw)


@pytest.fixture(scope="module")
def torchvisions(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """A backbone with a mean and a scale for each channel, whose BatchNorms are not in chains."""
    hw = (64, 64)
    path = tmp_path_factory.mktemp("torchvision") / "model.onnx"
    model = trained_looking("resnet18", head="plain")
    export_onnx(model, hw, path)
    return Export(model, path, hw)


def assert_same(ours: np.ndarray, theirs: np.ndarray, atol: float = 1e-4) -> None:
    assert ours.shape == theirs.shape
    assert theirs.std() > 0.1  # a comparison of constants would say nothing
    np.testing.assert_allclose(ours, theirs, atol=atol, rtol=0)


# -- the identity


@pytest.mark.parametrize("head", ["linear", "plain"])
def test_the_mean_of_a_map_and_the_bias_are_the_logit_in_torch(head: str) -> None:
    model = trained_looking("mobilenet_v3_small", head)
    features = model(torch.from_numpy(frames_of(3, (64, 128))))
    assert features.shape == (3, 64, 4, 8)
    cams = model.cams(features)
    assert cams.shape == (3, CLASSES, 4, 8)
    assert_same(
        (cams.mean(dim=(2, 3)) + model.classify.effective()[1]).numpy(), model.logits(features).numpy()
    )


def test_the_mean_of_a_map_and_the_bias_are_the_logit_through_onnxruntime(default: Export) -> None:
    frames = frames_of(3, default.hw)
    features = default.by_onnxruntime(frames)
    weight, bias = (part.numpy() for part in default.model.classify.effective())
    head = Head(weight, bias, tuple("abcd"))
    by_torch = default.model.logits(default.model(torch.from_numpy(frames))).numpy()
    for k in range(CLASSES):
        means = head.cam(features, [k] * 3).mean(axis=(1, 2)) + bias[k]
        np.testing.assert_allclose(means, head.logits(features)[:, k], atol=1e-4, rtol=0)
        np.testing.assert_allclose(means, by_torch[:, k], atol=1e-4, rtol=0)


def test_what_all_classes_have_in_common_is_in_no_map_and_no_logit() -> None:
    """A softmax cannot see it, so nothing would ever train it away."""
    model = trained_looking("mobilenet_v3_small")
    features = model(torch.from_numpy(frames_of(2, (64, 64))))
    cams, logits = model.cams(features), model.logits(features)
    np.testing.assert_allclose(cams.sum(dim=1).numpy(), 0, atol=1e-4)
    with torch.no_grad():
        model.classify.weight += torch.randn(64)
        model.classify.bias += 3.0
    assert_same(model.cams(features).numpy(), cams.numpy())
    assert_same(model.logits(features).numpy(), logits.numpy())


def test_expected_shares_move_the_answers_by_their_logarithm_and_training_starts_even() -> None:
    head = ClassHead(8, 2).eval()
    head.expect(torch.tensor([0.1, 0.9]), shown=torch.tensor([300, 300]))
    pooled = torch.zeros(1, 8)
    torch.testing.assert_close(head(pooled).softmax(dim=1), torch.tensor([[0.1, 0.9]]))
    torch.testing.assert_close(head.train()(pooled).softmax(dim=1), torch.tensor([[0.5, 0.5]]))


def test_expecting_the_shares_that_are_shown_changes_nothing() -> None:
    torch.manual_seed(0)
    head = ClassHead(8, 3)
    nn.init.normal_(head.weight)
    pooled = torch.randn(4, 8)
    before = head(pooled)
    head.expect(torch.tensor([2.0, 4.0, 6.0]), shown=torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(head(pooled), before)


def test_an_untrained_class_head_prefers_nothing() -> None:
    model = Model(CLASSES, backbone="resnet18", head="plain", dim=64, dropout=0.0, pretrained=False).eval()
    features = model(torch.from_numpy(frames_of(1, (64, 64))))
    assert not model.logits(features).any()
    assert not model.cams(features).any()


def test_dropout_rests_when_the_network_is_judged() -> None:
    model = trained_looking("mobilenet_v3_small")
    features = model(torch.from_numpy(frames_of(2, (64, 64))))
    assert torch.equal(model.logits(features), model.logits(features))
    model.train()
    assert not torch.equal(model.logits(features), model.logits(features))


def test_the_network_sees_blue_where_the_camera_says_blue() -> None:
    """BGR frames: swapping the channels of the frame is swapping what the backbone is given."""
    model = trained_looking("mobilenet_v3_small")
    seen: list[Tensor] = []
    model.backbone.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    frame = np.zeros((1, 64, 64, 3), dtype=np.uint8)
    frame[..., 0] = 200  # blue
    model(torch.from_numpy(frame))
    assert seen[0].mean(dim=(0, 2, 3)).tolist() == [0, 0, 200]


def test_an_unknown_head_is_answered_with_the_heads_there_are() -> None:
    with pytest.raises(TrainingError, match=r"no head 'round'.*linear, plain, moe, linear-elu, linear-relu"):
        Model(2, backbone="resnet18", head="round", dim=64, dropout=0, pretrained=False)


# -- the graph


def test_the_features_of_the_net_under_test_depend_on_the_frame(
    default: Export, torchvisions: Export
) -> None:
    """Or the comparisons below would hold for a graph that ignores its input."""
    for export in (default, torchvisions):
        features = export.by_torch(frames_of(5, export.hw))
        assert features.std(axis=0).mean() > 0.2


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_exported_graph_gives_the_networks_features_for_any_batch(default: Export, n: int) -> None:
    frames = frames_of(n, default.hw)
    assert_same(default.by_onnxruntime(frames), default.by_torch(frames), FEATURES_ATOL)


@pytest.mark.parametrize("value", [0, 255])
def test_the_edges_of_a_black_and_of_a_white_frame_are_the_networks_too(default: Export, value: int) -> None:
    """The border is zero after the mean is taken, not before: folding the mean would show here."""
    frames = np.full((1, *default.hw, 3), value, dtype=np.uint8)
    assert_same(default.by_onnxruntime(frames), default.by_torch(frames), FEATURES_ATOL)


@pytest.mark.parametrize("n", [1, 3])
def test_a_backbone_with_a_mean_for_each_channel_is_exported_exactly_too(
    torchvisions: Export, n: int
) -> None:
    frames = frames_of(n, torchvisions.hw)
    assert_same(torchvisions.by_onnxruntime(frames), torchvisions.by_torch(frames))
    white = np.full((n, *torchvisions.hw, 3), 255, dtype=np.uint8)
    assert_same(torchvisions.by_onnxruntime(white), torchvisions.by_torch(white))


def test_only_fast_operators_are_in_the_graph(default: Export) -> None:
    assert {node.op_type for node in default.graph.graph.node} <= FAST_OPS


def test_padding_and_norms_cost_nothing_in_the_graph(default: Export) -> None:
    graph = default.graph.graph
    assert not [node.name for node in graph.node if node.op_type in {"Pad", "BatchNormalization"}]
    # Lite0's five stride-2 convolutions pad more after than before, as TensorFlow does.
    pads = [
        tuple(attribute.ints)
        for node in graph.node
        if node.op_type == "Conv"
        for attribute in node.attribute
        if attribute.name == "pads"
    ]
    lopsided = [p for p in pads if p[:2] != p[2:]]
    assert Counter(lopsided) == {(0, 0, 1, 1): 3, (1, 1, 2, 2): 2}


def test_preprocessing_is_a_transpose_of_bytes_a_cast_and_one_number(default: Export) -> None:
    graph = default.graph.graph
    first = graph.node[:4]
    assert [node.op_type for node in first] == ["Transpose", "Cast", "Sub", "Conv"]
    assert first[0].input[0] == graph.input[0].name
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    assert constants[first[2].input[1]].tolist() == 127
    assert constants[first[2].input[1]].ndim == 0


def test_the_graph_says_what_goes_in_and_out(default: Export) -> None:
    graph = default.graph.graph
    (given,), (made,) = graph.input, graph.output
    assert (given.name, made.name) == ("frames", "features")
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert made.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    dims = [d.dim_value or d.dim_param for d in given.type.tensor_type.shape.dim]
    assert dims == ["n", 64, 96, 3]
    assert [d.dim_value or d.dim_param for d in made.type.tensor_type.shape.dim][1:] == [64, 4, 6]
    assert default.graph.opset_import[0].version == 18
    assert not any(tensor.external_data for tensor in graph.initializer)  # one file


def test_every_node_has_a_name_of_its_own_that_says_what_it_is(default: Export) -> None:
    nodes = default.graph.graph.node
    assert len({node.name for node in nodes}) == len(nodes)
    assert all(node.name.rpartition("_")[0] == node.op_type for node in nodes)


def test_exporting_leaves_the_network_as_it_was() -> None:
    model = trained_looking("mobilenet_v3_small").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    Exported(model)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert model.training


def test_a_graph_that_finds_no_room_is_an_output_error_and_leaves_nothing(
    default: Export, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Program:
        model_proto = default.graph  # 14 MB; the export itself is not the point here

    monkeypatch.setattr("edgecam_training.export.torch.onnx.export", lambda *_, **__: Program)
    with pytest.raises(OutputError, match="No space left"):
        export_onnx(default.model, default.hw, small_disk / "model.onnx")
    assert list(small_disk.iterdir()) == []


# -- padding is folded only where it is the same thing


def padded_conv(*, pads: list[int], value: float = 0.0, mode: str = "constant") -> onnx.ModelProto:
    """Pad, then a 3 x 3 convolution that pads by one itself, over (1, 2, 6, 6)."""
    helper = onnx.helper
    weight = np.random.default_rng(0).normal(size=(2, 2, 3, 3)).astype(np.float32)
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 2, 6, 6])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    pad = helper.make_node("Pad", ["x", "amounts", "value"], ["wide"], mode=mode)
    conv = helper.make_node("Conv", ["wide", "weight"], ["y"], pads=[1, 1, 1, 1])
    constants = [
        numpy_helper.from_array(np.array(pads, dtype=np.int64), "amounts"),
        numpy_helper.from_array(np.array(value, dtype=np.float32), "value"),
        numpy_helper.from_array(weight, "weight"),
    ]
    graph = helper.make_graph([pad, conv], "padded", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(model: onnx.ModelProto) -> np.ndarray:
    import onnxruntime as ort

    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).normal(size=(1, 2, 6, 6)).astype(np.float32)
    return np.asarray(session.run(None, {"x": x})[0])


def test_zero_padding_moves_into_the_convolution_and_changes_nothing() -> None:
    before = run(padded_conv(pads=[0, 0, 0, 1, 0, 0, 2, 3]))
    folded = fold_pads(padded_conv(pads=[0, 0, 0, 1, 0, 0, 2, 3]))
    assert [node.op_type for node in folded.graph.node] == ["Conv"]
    np.testing.assert_allclose(run(folded), before, atol=1e-6)


@pytest.mark.parametrize(
    ("pads", "value", "mode"),
    [
        ([0, 0, 1, 1, 0, 0, 1, 1], 0.5, "constant"),  # a grey border is no zero border
        ([0, 0, 1, 1, 0, 0, 1, 1], 0.0, "reflect"),
        ([0, 0, -1, 0, 0, 0, 0, 0], 0.0, "constant"),  # a crop
    ],
)
def test_padding_that_a_convolution_cannot_do_stays(pads: list[int], value: float, mode: str) -> None:
    before = run(padded_conv(pads=pads, value=value, mode=mode))
    kept = fold_pads(padded_conv(pads=pads, value=value, mode=mode))
    assert [node.op_type for node in kept.graph.node] == ["Pad", "Conv"]
    np.testing.assert_allclose(run(kept), before, atol=1e-6)


def test_pooling_to_one_cell_becomes_the_mean_that_it_is_and_other_pooling_stays() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), SqueezeExcitation(8, 4), nn.AdaptiveAvgPool2d((2, 3))).eval()
    x = torch.randn(2, 3, 12, 15)
    expected = net(x)
    spell_out_pooling(net)
    torch.testing.assert_close(net(x), expected)
    assert [tuple(m.output_size) for m in net.modules() if isinstance(m, nn.AdaptiveAvgPool2d)] == [(2, 3)]


def test_nodes_are_numbered_by_kind() -> None:
    assert [node.name for node in name_after_order(padded_conv(pads=[0] * 8)).graph.node] == [
        "Pad_0",
        "Conv_0",
    ]


def test_weights_that_cannot_be_read_are_a_training_error(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    with pytest.raises(TrainingError, match=r"weights.safetensors holds no weights"):
        read_tensors(path)
    path.write_bytes(b"not weights")
    with pytest.raises(TrainingError, match=r"weights.safetensors holds no weights"):
        read_tensors(path)
