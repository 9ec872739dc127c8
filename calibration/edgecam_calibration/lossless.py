"""Whether an FP16 file loses anything on real photos, computed as hardware with FP16 would round.

ONNX Runtime on a CPU is no judge of it: it computes FP16 graphs in FP32 from end to end, so that even an
overflow goes unseen. Here every tensor of the file that is FP16 is rounded to it, infinity included.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecam_calibration.graph import tensor_kinds
from edgecam_calibration.maps import cam_ious
from edgecam_engines.engine import Features, Frames
from edgecam_engines.head import Head
from edgecam_engines.onnx_file import parse_onnx, read_onnx
from edgecam_engines.onnxruntime import OnnxRuntimeEngine


@dataclass(frozen=True)
class Loss:
    """What FP16 changes against FP32, over `photos` photos."""

    photos: int
    finite: bool  # no feature is infinite or not a number
    features: float | None  # relative L2 error over all photos; None where they are not finite
    labels: float  # share of photos that keep their label
    cam_iou_mean: float
    cam_iou_least: float

    @property
    def free(self) -> bool:
        """Loss-free: labels stay, and every map marks the same place to within its edge."""
        return self.finite and self.labels == 1 and self.cam_iou_least >= 0.95

    def document(self) -> dict[str, Any]:
        """For the file beside the model."""
        return {**asdict(self), "loss_free": self.free}


def check_fp16(fp32: Path, fp16: Path, head: Head, batches: Sequence[Frames]) -> Loss:
    """Compare the two files' features, maps and labels on photos fitted to the input."""
    rounded = as_rounded(parse_onnx(read_onnx(fp16), fp16.name)).SerializeToString()
    with (
        closing(OnnxRuntimeEngine(fp32, name="fp32", fuse=False)) as whole,
        closing(OnnxRuntimeEngine(fp16, name="fp16, rounded", fuse=False, content=rounded)) as half,
    ):
        pairs = [(whole.infer(batch), half.infer(batch)) for batch in batches]
        input_hw = whole.input_hw
    wanted = np.concatenate([one for one, _ in pairs])
    got = np.concatenate([other for _, other in pairs])
    return _compare(wanted, got, head, input_hw)


def _compare(wanted: Features, got: Features, head: Head, input_hw: tuple[int, int]) -> Loss:
    if not np.isfinite(got).all():
        return Loss(len(wanted), False, None, 0.0, 0.0, 0.0)
    labels = head.logits(wanted).argmax(axis=1)
    ious = cam_ious(head.cam(wanted, labels), head.cam(got, labels), input_hw)
    return Loss(
        photos=len(wanted),
        finite=True,
        features=float(np.linalg.norm(got - wanted) / max(np.linalg.norm(wanted), 1e-30)),
        labels=float((head.logits(got).argmax(axis=1) == labels).mean()),
        cam_iou_mean=float(ious.mean()),
        cam_iou_least=float(ious.min()),
    )


def as_rounded(model: Any) -> Any:
    """An FP16 graph as an FP32 graph that rounds to FP16 wherever the file says FP16. Changes `model`.

    Each operator computes in FP32 and its result is rounded once, as with FP16 units that add in FP32.
    """
    from onnx import TensorProto, helper, numpy_helper

    kinds = tensor_kinds(model)
    graph = model.graph
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        graph.node.append(node)
        kept = graph.node[-1]
        for attribute in kept.attribute:
            if attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT
            if attribute.t.data_type == TensorProto.FLOAT16:
                attribute.t.CopyFrom(
                    numpy_helper.from_array(numpy_helper.to_array(attribute.t).astype(np.float32))
                )
        for place, name in enumerate(kept.output):
            if kinds.get(name) == TensorProto.FLOAT16:
                kept.output[place] = f"{name}/whole"
                graph.node.append(
                    helper.make_node("Cast", [f"{name}/whole"], [f"{name}/half"], to=TensorProto.FLOAT16)
                )
                graph.node.append(helper.make_node("Cast", [f"{name}/half"], [name], to=TensorProto.FLOAT))
    del graph.value_info[:]
    return model
