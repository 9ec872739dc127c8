"""One calibration, two INT8 profiles of one graph. Precision lives in the ONNX file.

TensorRT wants symmetric S8 and no quantized bias; a CPU wants U8 activations with S8 weights, whose
range is halved where the processor's 16-bit sums would saturate (x86 without VNNI).
"""

import copy
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgecam_calibration.quantization.bias import bias_errors
from edgecam_calibration.quantization.cache import cached, key, observations_folder
from edgecam_calibration.quantization.centre import centre
from edgecam_calibration.quantization.equalize import Scales, equalize
from edgecam_calibration.quantization.graph import constants, convolutions, replace_constants
from edgecam_calibration.quantization.layers import LayerError, layer_errors
from edgecam_calibration.quantization.observe import Observations, observe
from edgecam_calibration.quantization.pairs import before_rectifiers, quantized_tensors, with_pairs
from edgecam_calibration.quantization.profiles import TENSORRT, Profile, cpu_profile
from edgecam_calibration.quantization.ranges import METHODS
from edgecam_calibration.quantization.stem import stem_in_float
from edgecam_calibration.quantization.weights import ROUNDINGS, OnGrid
from edgecam_engines.engine import Frames
from edgecam_engines.errors import EngineError
from edgecam_engines.files import write_atomically, write_json

__all__ = ["TENSORRT", "Calibration", "Profile", "Recipe", "cached_calibration", "cpu_profile"]


@dataclass(frozen=True)
class Recipe:
    """How what was observed becomes integers."""

    ranges: str = "mse"  # a key of METHODS
    equalized: bool = True
    rounding: str = "outputs"  # a key of ROUNDINGS
    centred: bool = True  # for symmetric profiles
    bias_correction: bool = False
    float_stem: bool = True


DEFAULT: Final = Recipe()
# Weights and tensors as they are: what training with rounding starts from, which finds better ones itself.
# The stem stays in float here too: no weights and ranges make good what its filters do to rounding.
PLAIN: Final = Recipe(equalized=False, rounding="nearest", centred=False)


class Calibration:
    """What was seen of every tensor over the calibration frames; observed once, used by every profile."""

    def __init__(self, onnx_file: Path, batches: Iterable[Frames], *, seed: int = 0) -> None:
        import onnx

        _check_input(onnx_file)
        tensors = quantized_tensors(onnx.load(onnx_file))
        self._prepare(onnx_file, observe(onnx_file, tensors, batches, rng=np.random.default_rng(seed)))

    @classmethod
    def from_observations(cls, onnx_file: Path, seen: Observations) -> "Calibration":
        """Of a pass made earlier over the same graph."""
        calibration = cls.__new__(cls)
        calibration._prepare(onnx_file, seen)
        return calibration

    def _prepare(self, onnx_file: Path, seen: Observations) -> None:
        self._file, self.seen = onnx_file, seen
        # Found once, since a search for the layers to keep in float writes many models.
        self._ranges: dict[tuple[str, bool, bool], dict[str, tuple[float, float]]] = {}
        self._on_grid: dict[tuple[bool, str, int, str], OnGrid] = {}

    def write(
        self,
        profile: Profile,
        path: Path,
        *,
        kept: Collection[str] = (),
        recipe: Recipe = DEFAULT,
        ranges: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        """Write the graph with this profile's Q/DQ pairs; the nodes named in `kept` stay in float.

        So does the stem, if the recipe says so. `ranges` (low, high) stand in
        the place of those that were observed.
        """
        model, scales = self.prepared(recipe)
        never = stem_in_float(model, profile) if recipe.float_stem else []
        steps = self._round(model, scales, profile, recipe, {*kept, *never})
        found = self.ranges(recipe, scales, symmetric=profile.signed)
        found |= _around(self._centre(model, scales, profile, recipe)) | dict(ranges or {})
        if recipe.bias_correction:
            reference, _ = self.prepared(recipe)
            self._centre(reference, scales, profile, recipe)
            floats = replace(profile, quantize_bias=False)
            trial = with_pairs(copy.deepcopy(model), floats, found, steps, kept=kept, never=never)
            biases = constants(model)
            errors = bias_errors(reference, trial, self.seen.sample)
            replace_constants(model, {name: biases[name] + error for name, error in errors.items()})
        quantized = with_pairs(model, profile, found, steps, kept=kept, never=never)
        write_atomically(path, quantized.SerializeToString())

    def prepared(self, recipe: Recipe = DEFAULT) -> tuple[Any, Scales]:
        """The graph before quantizing, with shapes, equalized if the recipe says so, and by how much."""
        from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

        model = load_model_with_shape_infer(self._file)
        return model, equalize(model, self.seen.tensors) if recipe.equalized else {}

    def floats(self, profile: Profile, *, recipe: Recipe = DEFAULT) -> list[str]:
        """Names of the convolutions that the recipe itself leaves in float."""
        return stem_in_float(self.prepared(recipe)[0], profile) if recipe.float_stem else []

    def write_float(self, profile: Profile, path: Path, *, recipe: Recipe = DEFAULT) -> None:
        """Write the graph that this profile rounds: FP32's answers, channels scaled and lowered."""
        model, scales = self.prepared(recipe)
        self._centre(model, scales, profile, recipe)
        write_atomically(path, model.SerializeToString())

    def ranges(self, recipe: Recipe, scales: Scales, *, symmetric: bool) -> dict[str, tuple[float, float]]:
        """The range of each tensor in the prepared graph."""
        key = (recipe.ranges, recipe.equalized, symmetric)
        if key not in self._ranges:
            method = METHODS[recipe.ranges]
            self._ranges[key] = {
                name: method(histograms.merged(scales.get(name, 1.0)), symmetric)
                for name, histograms in self.seen.tensors.items()
            }
        return dict(self._ranges[key])

    def write_scales(self, path: Path, *, recipe: Recipe = DEFAULT) -> None:
        """Symmetric activation scales of the FP32 graph as it stands, for builders that take no Q/DQ nodes.

        A JSON object, tensor -> scale: a value is its integer times the scale.
        """
        plain, graph = replace(recipe, equalized=False, centred=False), self.prepared(PLAIN)[0]
        ranges = self.ranges(plain, {}, symmetric=True)
        ranges |= {first: ranges[then] for first, then in before_rectifiers(graph).items() if then in ranges}
        write_json(path, {name: high / 127 for name, (_, high) in ranges.items() if high > 0})

    def layer_errors(
        self, profile: Profile, quantized: Path, *, recipe: Recipe = DEFAULT, frames: int = 4
    ) -> list[LayerError]:
        """How far each convolution of a written profile is from FP32 on a few calibration frames."""
        model, scales = self.prepared(recipe)
        lowered = self._centre(model, scales, profile, recipe)
        return layer_errors(self._file, quantized, scales, lowered, self.seen.sample[:frames])

    def _centre(self, model: Any, scales: Scales, profile: Profile, recipe: Recipe) -> dict[str, float]:
        if not (profile.signed and recipe.centred):
            return {}
        return centre(model, self.ranges(recipe, scales, symmetric=False))

    def _round(
        self, model: Any, scales: Scales, profile: Profile, recipe: Recipe, kept: Collection[str]
    ) -> dict[str, Any]:
        """Put the weights on their grids, in place. Returns each weight's steps."""
        arrays, steps = constants(model), {}
        for conv in convolutions(model):
            if conv.name in kept:
                continue
            key = (recipe.equalized, recipe.rounding, profile.most, conv.name)
            if key not in self._on_grid:
                moments = self.seen.inputs[conv.name]
                if conv.given in scales:
                    moments = moments.scaled(scales[conv.given])
                self._on_grid[key] = ROUNDINGS[recipe.rounding](arrays[conv.weight], moments, profile.most)
            found = self._on_grid[key]
            arrays[conv.weight] = found.weight
            arrays[conv.bias] = arrays[conv.bias] + found.bias_shift
            steps[conv.weight] = found.step
        replace_constants(model, arrays)
        return steps


def _around(lowered: dict[str, float]) -> dict[str, tuple[float, float]]:
    return {name: (-shift, shift) for name, shift in lowered.items()}


def cached_calibration(
    onnx_file: Path, photos: Sequence[Path], batches: Callable[[], Iterable[Frames]], *, seed: int = 0
) -> Calibration:
    """A calibration on these photos, which `batches` reads, or what was kept of the same one."""
    path = observations_folder() / f"{key(onnx_file, photos, seed=seed)}.observed"
    seen = cached(path, lambda: Calibration(onnx_file, batches(), seed=seed).seen)
    return Calibration.from_observations(onnx_file, seen)


def _check_input(onnx_file: Path) -> None:
    import onnx

    inputs = onnx.load(onnx_file, load_external_data=False).graph.input
    if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type != onnx.TensorProto.UINT8:
        raise EngineError(f"{onnx_file.name} does not take one uint8 image. It was not exported by edgecam.")
