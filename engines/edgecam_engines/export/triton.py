"""A model for NVIDIA's Triton Inference Server: NAME/config.pbtxt, NAME/labels.txt, NAME/1/model.onnx."""

import re
from pathlib import Path
from typing import Any, Final

from edgecam_engines.head import Head

_QUEUE_MICROSECONDS: Final = (
    2000  # how long a frame may wait for others; about a tenth of a camera's interval
)


def model_name(name: str) -> str:
    """A bundle's name as Triton takes it: letters, digits, dot, dash and underscore."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "edgecam"


def write_model(folder: Path, name: str, content: bytes, model: Any, head: Head, *, max_batch: int) -> None:
    """Everything of one model into an empty folder; `model` is `content`, parsed."""
    (folder / "1").mkdir()
    (folder / "1" / "model.onnx").write_bytes(content)
    labels = [" ".join(label.splitlines()) for label in head.classes]  # one line each
    (folder / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    (folder / "config.pbtxt").write_text(config(name, model, max_batch=max_batch), encoding="utf-8")


def config(name: str, model: Any, *, max_batch: int) -> str:
    """The model's configuration in protobuf's text form.

    A graph with a free batch is batched by the server; one with a fixed batch is served as it is.
    """
    free = not model.graph.input[0].type.tensor_type.shape.dim[0].HasField("dim_value")
    lines = [f'name: "{name}"', 'backend: "onnxruntime"', f"max_batch_size: {max_batch if free else 0}"]
    for kind, tensors in (("input", model.graph.input), ("output", model.graph.output)):
        for tensor in tensors:
            label = tensor.name in ("logits", "probabilities")
            lines += [
                f"{kind} {{",
                f'  name: "{tensor.name}"',
                f"  data_type: {'TYPE_UINT8' if kind == 'input' else 'TYPE_FP32'}",
                f"  dims: [ {', '.join(map(str, _dims(tensor, free)))} ]",
                *(['  label_filename: "labels.txt"'] if label else []),
                "}",
            ]
    if free:
        lines += ["dynamic_batching {", f"  max_queue_delay_microseconds: {_QUEUE_MICROSECONDS}", "}"]
    return "\n".join(lines) + "\n"


def _dims(tensor: Any, free: bool) -> list[int]:
    """Without the batch where the server adds it; -1 for any other free side."""
    dims = tensor.type.tensor_type.shape.dim[1 if free else 0 :]
    return [dim.dim_value if dim.HasField("dim_value") else -1 for dim in dims]
