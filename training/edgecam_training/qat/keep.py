"""What learning to be rounded leaves in the run folder: a graph, and the ranges that go with it."""

from pathlib import Path

from edgecam_calibration.learned import LEARNED_GRAPH, Learned, save_learned
from edgecam_training.export import export_onnx
from edgecam_training.qat.student import Student


def keep_student(run: Path, student: Student, input_hw: tuple[int, int]) -> None:
    """Write the student's weights as a graph in float, then every profile's ranges, by tensor name."""
    export_onnx(student.model, input_hw, run / LEARNED_GRAPH)
    grids = {kind: student.ranges_of(kind).grids() for kind in student.kinds}
    plain = {kind: {name: (g.scale, g.zero_point) for name, g in own.items()} for kind, own in grids.items()}
    save_learned(Learned(run / LEARNED_GRAPH, plain))
