"""What TensorRT made of a model: each layer with what it computes in, from the engine inspector."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

# The inspector's words for what a tensor holds, in lower case.
_TYPES: Final = {
    "int8": "int8",
    "fp8": "fp8",
    "e4m3": "fp8",
    "half": "fp16",
    "fp16": "fp16",
    "bf16": "bf16",
    "bfloat16": "bf16",
    "float": "fp32",
    "fp32": "fp32",
    "uint8": "uint8",
    "int32": "int32",
    "int64": "int64",
    "bool": "bool",
}
_MOVES: Final = frozenset({"Reformat", "NoOp", "Shuffle", "Signal", "Wait", "MemcpyDeviceToDevice"})
_ORDER: Final = ("int8", "fp8", "fp16", "bf16", "fp32")


class Layer(NamedTuple):
    """One layer of a built engine."""

    name: str  # of the ONNX nodes in it, joined by " + "
    kind: str  # TensorRT's type
    precision: str  # "int8", "fp16", "fp32", ...; "?" where the inspector does not say
    on_dla: bool


class Layers(NamedTuple):
    """An engine's layers, and those that compute in more than was asked for."""

    layers: list[Layer]
    fell_back: list[Layer]

    def document(self) -> dict[str, Any]:
        """The summary, as it stands in the report and in `--json`."""
        return {
            "layers": len(self.layers),
            "precisions": dict(Counter(one.precision for one in self.layers)),
            "on_dla": sum(one.on_dla for one in self.layers),
            "fell_back": [one.name for one in self.fell_back],
        }

    def __str__(self) -> str:
        counted = Counter(one.precision for one in self.layers).most_common()
        told = ", ".join(f"{count} in {precision}" for precision, count in counted)
        back = ""
        if self.fell_back:
            names = ", ".join(one.name for one in self.fell_back[:3])
            more = f" and {len(self.fell_back) - 3} more" if len(self.fell_back) > 3 else ""
            back = f"; {len(self.fell_back)} in a higher precision than asked: {names}{more}"
        return f"{len(self.layers)} layers{': ' if told else ''}{told}{back}"


def inspect_engine(trt: Any, engine: Any, image: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """The inspector's own report for an input of `shape`; empty where it gives none that can be read."""
    inspector = engine.create_engine_inspector()
    context = engine.create_execution_context()
    # Without a context whose shapes are known, formats are "N/A due to dynamic shapes".
    if context is not None and context.set_input_shape(image, shape):
        inspector.execution_context = context
    try:
        report = json.loads(inspector.get_engine_information(trt.LayerInformationFormat.JSON))
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}


def layers_of(report: Mapping[str, Any], precision: str) -> Layers:
    """The layers of a report, judged by the precision that was asked for.

    Layers that only move numbers are listed and never said to fall back.
    """
    entries = report.get("Layers")
    found = [_layer(entry) for entry in entries] if isinstance(entries, list) else []
    asked = _ORDER.index(precision) if precision in _ORDER else len(_ORDER)
    above = set(_ORDER[asked + 1 :])
    back = [one for one in found if one.precision in above and one.kind not in _MOVES]
    return Layers(found, back)


def _layer(entry: Any) -> Layer:
    if not isinstance(entry, Mapping):  # only names, where the engine was built without details
        return Layer(str(entry), "?", "?", False)
    kind = str(entry.get("LayerType", "?"))
    name = str(entry.get("Name", "?"))
    return Layer(name, kind, _precision(entry), "DLA" in kind.upper())


def _precision(entry: Mapping[str, Any]) -> str:
    """What a layer computes in: its weights' type, since a float layer may read INT8; else what it reads."""
    weights = entry.get("Weights")
    if isinstance(weights, Mapping) and (kind := _type(str(weights.get("Type", "")))) != "?":
        return kind
    tensors = entry.get("Inputs") or entry.get("Outputs")
    told = [t for t in tensors if isinstance(t, Mapping)] if isinstance(tensors, list) else []
    kinds = [_type(str(t.get("Format/Datatype") or t.get("Datatype") or t.get("Format") or "")) for t in told]
    known = [kind for kind in kinds if kind in _ORDER]
    return min(known, key=_ORDER.index) if known else next((kind for kind in kinds if kind != "?"), "?")


def _type(told: str) -> str:
    """ "Half" or "Row major linear FP16 format (with kCHW)" -> "fp16"."""
    words = re.split(r"[^a-z0-9]+", told.lower())
    return next((_TYPES[word] for word in words if word in _TYPES), "?")
