"""From a bundle to a file or folder of another tool: chosen, put together, checked, then put in place."""

from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgecam_engines.backends import model_for
from edgecam_engines.bundle import Bundle
from edgecam_engines.engine import Frames
from edgecam_engines.errors import BundleError, DataError, EngineError, OutputError
from edgecam_engines.export.about import describe
from edgecam_engines.export.check import Checked, check_export
from edgecam_engines.export.graph import append_head
from edgecam_engines.export.triton import model_name, write_model
from edgecam_engines.files import write_atomically
from edgecam_engines.geometry import fit_batch
from edgecam_engines.onnx_file import parse_onnx, read_onnx
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from edgecam_engines.photo import BadPhoto, is_photo, read_photo
from edgecam_engines.place import WorkFolder, swap_in

PHOTOS: Final = 16  # that the exported model is checked on, at most


@dataclass(frozen=True)
class Order:
    """What to export."""

    form: str  # "onnx" or "triton"
    with_head: bool = True
    probabilities: bool = False
    head: str | None = None  # by name; otherwise the bundle's default
    precision: str | None = None  # one of the bundle's models, or "int8"; otherwise what it ships
    photos: Path | None = None  # a folder; otherwise the bundle's own
    max_batch: int = 8  # of Triton
    overwrite: bool = False


def export_bundle(bundle: Bundle, out: Path, order: Order) -> dict[str, Any]:
    """Write the file or model folder; what was written, for `--json`.

    Raises OutputError (it exists, or cannot be written), BundleError (no such head or precision),
    DataError (no photo to check with), EngineError (the exported model answers otherwise).
    """
    place = _place(bundle, out, order)
    precision, file = _chosen(bundle, order.precision)
    head_name = order.head or bundle.manifest.head
    head = bundle.head(head_name)
    path = bundle.path / file
    source = read_onnx(path, bundle.digests)
    model = parse_onnx(source, path.name)
    if order.with_head:
        append_head(model, head, probabilities=order.probabilities)
    describe(
        model,
        bundle,
        file=file,
        precision=precision,
        head=head_name if order.with_head else None,
        with_head=head,
    )
    content: bytes = model.SerializeToString()
    outputs = [output.name for output in model.graph.output]
    if not order.with_head and outputs != ["features"]:
        raise EngineError(
            f"{path.name} gives {', '.join(outputs)}, not features. It was not exported by edgecam."
        )
    # Q/DQ pairs for TensorRT saturate in a processor's fused kernels, so they are computed as written.
    fuse = not precision.endswith("-tensorrt")
    frames = _frames(bundle, order.photos)
    with closing(OnnxRuntimeEngine(path, name=precision, content=source, fuse=fuse)) as engine:
        checked = check_export(content, engine, head, frames, outputs=outputs, fuse=fuse)
    if order.form == "triton":
        with WorkFolder(place) as folder:
            write_model(folder, place.name, content, model, head, max_batch=order.max_batch)
            swap_in(folder, place)
    else:
        write_atomically(place, content)
    return _document(place, order, precision, head_name, content, model, checked)


def _place(bundle: Bundle, out: Path, order: Order) -> Path:
    """Where it goes, after making sure, before any work, that nothing is there that nobody gave up."""
    place = out / model_name(bundle.path.resolve().stem) if order.form == "triton" else out
    if order.form == "onnx" and out.suffix != ".onnx":
        raise OutputError(f"An ONNX file's name ends in .onnx. Type: --out {out.with_suffix('.onnx')}")
    if order.form == "triton" and out.is_file():
        raise OutputError(f"{out} is a file; a model repository is a folder. Choose another --out.")
    if place.is_dir() if order.form == "onnx" else place.is_file():
        raise OutputError(f"{place} is in the way. Choose another --out.")
    if place.exists() and not order.overwrite:
        raise OutputError(f"{place} exists already. Choose another --out, or replace it with --overwrite.")
    return place


def _chosen(bundle: Bundle, asked: str | None) -> tuple[str, str]:
    """The name of one of the bundle's models, and its file."""
    models, shipped = bundle.manifest.models, bundle.manifest.engine
    if asked is None:
        return next((name for name, file in models.items() if file == shipped["model"]), "fp32"), shipped[
            "model"
        ]
    name = model_for(asked, shipped["backend"])
    if name not in models:
        raise BundleError(f"{bundle.path.name} has no {asked!r} model. It has: {', '.join(models)}.")
    return name, models[name]


def _frames(bundle: Bundle, folder: Path | None) -> Frames:
    """Real photos, fitted to the input: of a folder, or those that the bundle carries."""
    if folder is not None:
        found = sorted(path for path in folder.rglob("*") if is_photo(path) and path.is_file())
        found = [found[i] for i in np.linspace(0, len(found) - 1, min(PHOTOS, len(found))).astype(int)]
    else:
        found = [bundle.path / name for name in sorted(bundle.manifest.files) if is_photo(Path(name))][
            :PHOTOS
        ]
    frames = []
    for path in found:
        try:
            frames.append(read_photo(path))
        except BadPhoto:
            continue
    if not frames:
        where = f"{folder} holds no readable photos" if folder else f"{bundle.path.name} carries no photos"
        raise DataError(
            f"{where}, and what is exported is checked on real ones first. Give some, of any classes:\n"
            f"    edgecam export {bundle.path} --photos DIR ..."
        )
    return fit_batch(frames, bundle.input_hw)


def _document(
    place: Path, order: Order, precision: str, head: str, content: bytes, model: Any, checked: Checked
) -> dict[str, Any]:
    return {
        "out": str(place),
        "format": order.form,
        "precision": precision,
        "head": head if order.with_head else None,
        "outputs": {
            output.name: [
                dim.dim_value if dim.HasField("dim_value") else dim.dim_param
                for dim in output.type.tensor_type.shape.dim
            ]
            for output in model.graph.output
        },
        "sha256": sha256(content).hexdigest(),
        "bytes": len(content),
        "checked": {"photos": checked.photos, "relative_error": checked.errors},
    }
