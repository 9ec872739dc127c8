"""A bundle's roofline: what its engine asks, what an Orin should do with it, what was reached here."""

from typing import Any, Final, NamedTuple

from edgecam.roofline.cost import Cost, cost_of
from edgecam.roofline.peaks import BANDWIDTH, BYTES, ORIN, mode_named
from edgecam.roofline.predict import ASSUMPTIONS, WITHIN, Prediction, predict
from edgecam_engines.bundle import Bundle

_PRECISIONS: Final = ("int8", "fp16", "fp32")
_SHOWN: Final = 3  # layers; the document has all of them


class Roofline(NamedTuple):
    """Of one bundle's network, for one picture."""

    cost: Cost
    precision: str  # of the engine that the bundle ships; "mixed" counts as int8

    def predictions(self, precision: str) -> list[Prediction]:
        """One for each power mode."""
        return [predict(self.cost, precision, mode) for mode in ORIN]

    def document(self, infer_ms: float | None = None, mode: str | None = None) -> dict[str, Any]:
        """`infer_ms` is the engine's measured p50 for one picture, `mode` the Orin's mode that it ran in."""
        size = BYTES[self.precision]
        told: dict[str, Any] = {
            "precision": self.precision,
            "kernels": self.cost.kernels,
            "gflop": round(self.cost.flops / 1e9, 4),
            "mb_activations": round(self.cost.activations * size / 1e6, 3),
            "mb_weights": round(self.cost.weights * size / 1e6, 3),
            "flop_per_byte": round(self.cost.flops / (size * (self.cost.activations + self.cost.weights)), 1),
        }
        if infer_ms:
            told["measured_gflop_per_s"] = round(self.cost.flops / infer_ms / 1e6, 2)
        here = mode_named(mode)
        if infer_ms and here is not None:
            least = predict(self.cost, self.precision, here).roofline
            told["roofline_ms"] = round(least * 1e3, 4)
            told["reached"] = round(least * 1e3 / infer_ms, 4)
        told["layers"] = self.layers()
        told["prediction"] = {
            "device": "AGX Orin 64 GB",
            "not_measured": True,
            "assumptions": ASSUMPTIONS,
            "within": WITHIN,
            "ms": {
                precision: {
                    each.mode.name: round(each.seconds * 1e3, 3) for each in self.predictions(precision)
                }
                for precision in _PRECISIONS
            },
        }
        return told

    def layers(self) -> list[dict[str, Any]]:
        """Each kernel's share, in order."""
        size = BYTES[self.precision]
        peak = ORIN[0].peak(self.precision)
        return [
            {
                "name": layer.name,
                "operator": layer.operator,
                "mflop": round(layer.flops / 1e6, 3),
                "kb": round((layer.activations + layer.weights) * size / 1e3, 1),
                "bound": "arithmetic"
                if layer.flops / peak > (layer.activations + layer.weights) * size / BANDWIDTH
                else "memory",
            }
            for layer in self.cost.layers
        ]


def of_bundle(bundle: Bundle, precision: str | None = None) -> Roofline:
    """Of the FP32 network that every model of the bundle was made from. Raises EngineError."""
    shipped = (precision or bundle.manifest.engine["precision"]).split("-")[0]
    cost = cost_of(bundle.path / bundle.manifest.models["fp32"])
    return Roofline(cost, shipped if shipped in BYTES else "int8")


def _dearest(layers: list[dict[str, Any]]) -> list[str]:
    """How many layers the memory bounds, and the few that move and compute most."""
    memory = sum(layer["bound"] == "memory" for layer in layers)
    most = sorted(layers, key=lambda layer: -float(layer["mflop"]))[:_SHOWN]
    named = ", ".join(f"{layer['name']} {layer['mflop']:.0f} MFLOP {layer['kb']:.0f} kB" for layer in most)
    return [
        f"{memory} of {len(layers)} layers are bound by memory at an AGX Orin's peaks; the largest: {named}"
    ]


def in_words(told: dict[str, Any]) -> list[str]:
    """For people."""
    ms = told["prediction"]["ms"]
    lines = [
        f"{told['kernels']} kernels, {told['gflop']:.3f} GFLOP, {told['mb_activations']:.1f} MB of "
        f"activations and {told['mb_weights']:.1f} MB of weights in {told['precision']}: "
        f"{told['flop_per_byte']:.0f} FLOP/B"
    ]
    lines += _dearest(told["layers"])
    if "reached" in told:
        lines.append(
            f"{told['reached'] * 100:.0f} % of the roofline was reached: {told['roofline_ms']:.3f} ms at "
            f"this mode's peaks"
        )
    for precision, by_mode in ms.items():
        modes = ", ".join(f"{name} {each:.2f}" for name, each in by_mode.items())
        lines.append(f"PREDICTION, not measured: {precision} on an AGX Orin, ms a picture: {modes}")
    lines.append(f"It supposes: {told['prediction']['assumptions']}.")
    return lines
