"""A mixed-precision candidate for `build-engine`: plan it, write it for both profiles, and say why."""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from edgecam_calibration.mixed.boundaries import free_floats
from edgecam_calibration.mixed.chain import Chain
from edgecam_calibration.mixed.plan import Plan
from edgecam_calibration.mixed.search import plan_for
from edgecam_calibration.mixed.sensitivity import measure
from edgecam_calibration.mixed.slices import slices_of
from edgecam_calibration.mixed.units import quantized_nodes, segments_of
from edgecam_calibration.mixed.yardstick import Target
from edgecam_calibration.quantize import Calibration, Profile
from edgecam_engines.console import log
from edgecam_engines.engine import Frames
from edgecam_engines.files import write_atomically, write_json
from edgecam_engines.head import Head

PLAN: Final = "plan.json"
RANKED: Final = 16  # photos by which layers are compared, each layer twice
CHECKED: Final = 72  # photos by which sets of layers are: an interval of labels that can tell 92 from 98.5 %
BATCH: Final = 2  # small enough for what one layer hands to the next to stay in the processor's cache


def add_mixed(
    calibration: Calibration,
    head: Head,
    folder: Path,
    models: dict[str, str],
    batches: Sequence[Frames],
    *,
    planned: Profile,
    others: Sequence[Profile] = (),
    target: Target,
) -> dict[str, str]:
    """Plan by one profile; write plan.json and a model for it and for the `others`, if it pays.

    `models` names files in `folder`: "fp32" and the profiles' own. Returns the files that were added,
    "mixed-cpu" and "mixed-tensorrt". `batches` are calibration photos, as `BATCH` frames each.
    """
    ranked, checked = share_out(batches)
    chain = open_chain(calibration, folder / models[planned.name], planned)
    table = measure(chain, head, ranked)
    plan = plan_for(chain, head, table, checked, profile=planned.name, target=target)
    for line in plan.lines():
        log.print(line, markup=False)
    write_json(folder / PLAN, plan.document())
    added = {}
    for profile in (planned, *others) if plan.ships else ():
        name = profile.name.replace("int8", "mixed")
        added[name] = f"models/{name}.onnx"
        write_mixed(calibration, folder / models["fp32"], profile, folder / added[name], plan.nodes)
    return added


def open_chain(calibration: Calibration, rounded: Path, profile: Profile) -> Chain:
    """The float graph and its Q/DQ form, ready to be mixed. Symmetric S8 is computed in float here.

    The float graph is the one that was rounded: calibration may have scaled and lowered channels inside.
    """
    import onnx

    with TemporaryDirectory() as place:
        plain = Path(place) / "float.onnx"
        calibration.write_float(profile, plain)
        shaped = onnx.shape_inference.infer_shapes(onnx.load(plain))
    return Chain(slices_of(shaped, onnx.load(rounded), segments_of(shaped)), fuse=not profile.signed)


def write_mixed(
    calibration: Calibration, plain: Path, profile: Profile, path: Path, kept: Sequence[str]
) -> None:
    """This profile's Q/DQ pairs for all but the nodes in `kept`, and none between two that stay in float."""
    import onnx

    calibration.write(profile, path, kept=kept)
    kept = [*kept, *calibration.floats(profile)]
    model = free_floats(onnx.load(path), quantized_nodes(onnx.load(plain, load_external_data=False), kept))
    write_atomically(path, model.SerializeToString())


def share_out(batches: Sequence[Frames]) -> tuple[Sequence[Frames], Sequence[Frames]]:
    """Photos to rank layers by, and others to check sets of layers with; all for both if they are few."""
    ranked, rest = batches[: RANKED // BATCH], batches[RANKED // BATCH : (RANKED + CHECKED) // BATCH]
    return ranked, rest if len(rest) >= len(ranked) else batches


def read_plan(folder: Path) -> Plan | None:
    """The plan that was made for a bundle; None where none was asked for."""
    file = folder / PLAN
    return Plan.read(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None
