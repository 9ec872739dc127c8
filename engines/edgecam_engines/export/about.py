"""What an exported file says of itself, in ONNX's metadata_props: text by key, lists and objects as JSON."""

import json
from collections.abc import Mapping
from typing import Any

from edgecam_engines.bundle import Bundle
from edgecam_engines.head import Head


def describe(
    model: Any, bundle: Bundle, *, file: str, precision: str, head: str | None, with_head: Head
) -> None:
    """Set the model's metadata: classes, temperature, what the input must look like, and where it is from."""
    from onnx import helper

    image = model.graph.input[0]
    h, w = bundle.input_hw
    geometry: Mapping[str, str] = bundle.manifest.geometry
    about = {
        "bundle": bundle.manifest.name,
        "classes": json.dumps(list(with_head.classes), ensure_ascii=False),
        "edgecam": bundle.manifest.edgecam,
        "input": json.dumps(
            {
                "name": image.name,
                "layout": "NHWC",
                "channels": "BGR",
                "dtype": "uint8",
                "height": h,
                "width": w,
                **geometry,
            }
        ),
        "precision": precision,
        "source_sha256": bundle.manifest.files[file]["sha256"],
        "temperature": repr(with_head.temperature),
    }
    if head is not None:
        about["head"] = head
    helper.set_model_props(model, about)
