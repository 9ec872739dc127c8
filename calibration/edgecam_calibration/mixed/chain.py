"""Runs a network segment by segment, each in float or in INT8 as asked, and reuses what it ran before."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.mixed.slices import Slice
from edgecam_calibration.mixed.units import Unit
from edgecam_engines.engine import Features, Frames

Live = dict[str, NDArray[Any]]  # tensors that a later segment reads


class _Stage(NamedTuple):
    """A slice, opened."""

    unit: Unit | None
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    plain: Any  # onnxruntime.InferenceSession
    rounded: Any


class Trace(NamedTuple):
    """One run over all frames, as far as it may be taken up again."""

    kept: frozenset[str]  # units in float
    features: Features
    states: dict[int, list[Live]]  # before the stage of this number, one entry a batch


class Chain:
    """Any mixture of float and INT8 units, without building a model for each.

    Opening a model takes longer than running it on a few photos, so each unit is opened twice, once for
    all mixtures. `fuse` as in OnnxRuntimeEngine: this CPU's integer kernels, or Q/DQ pairs in float.
    """

    def __init__(self, slices: Sequence[Slice], *, fuse: bool, threads: int = 1) -> None:
        self._stages = [
            _Stage(
                s.segment.unit,
                s.reads,
                s.makes,
                _open(s.plain, fuse, threads),
                None if s.rounded is None else _open(s.rounded, fuse, threads),
            )
            for s in slices
        ]
        self.units = [stage.unit for stage in self._stages if stage.unit is not None]
        last_read = {name: k for k, stage in enumerate(self._stages) for name in stage.reads}
        self._done_after = [
            [name for name, last in last_read.items() if last == k] for k in range(len(self._stages))
        ]
        blocks = [stage.unit.block if stage.unit else None for stage in self._stages]
        # Between blocks little is alive; within them activations are several times as wide.
        self._resumable = {k for k in range(1, len(blocks)) if blocks[k] and blocks[k] != blocks[k - 1]}

    def trace(self, batches: Sequence[Frames], kept: Collection[str] = ()) -> Trace:
        """Run all stages over all batches, and keep what it takes to start again at any block."""
        states: dict[int, list[Live]] = {k: [] for k in self._resumable}
        features = [self._run(self._fed(batch), 0, frozenset(kept), states) for batch in batches]
        return Trace(frozenset(kept), np.concatenate(features), states)

    def features(self, batches: Sequence[Frames], kept: Collection[str]) -> Features:
        """(n, h, w, 3) frames in batches -> (n, d, gh, gw), with the units of these names in float."""
        return np.concatenate([self._run(self._fed(batch), 0, frozenset(kept)) for batch in batches])

    def resume(self, traces: Sequence[Trace], kept: Collection[str]) -> Features:
        """The same for the frames of the traces, from where the best of them and `kept` part."""
        kept = frozenset(kept)
        start, trace = max(((self._parting(t, kept), t) for t in traces), key=lambda found: found[0])
        if start == len(self._stages):
            return trace.features
        return np.concatenate([self._run(dict(live), start, kept) for live in trace.states[start]])

    def _parting(self, trace: Trace, kept: frozenset[str]) -> int:
        """The last stage at which a run can be taken up that has gone as `kept` asks up to there."""
        differing = trace.kept ^ kept
        first = next(
            (k for k, stage in enumerate(self._stages) if stage.unit and stage.unit.name in differing), None
        )
        if first is None:
            return len(self._stages)
        return max((k for k in trace.states if k <= first), default=0)

    def _fed(self, frames: Frames) -> Live:
        return {self._stages[0].reads[0]: frames}

    def _run(
        self,
        live: Live,
        start: int,
        kept: frozenset[str],
        states: dict[int, list[Live]] | None = None,
    ) -> Features:
        """From stage `start` to the end, on one batch."""
        for k, stage in enumerate(self._stages[start:], start):
            if states is not None and k in states:
                states[k].append(dict(live))
            is_plain = stage.unit is None or stage.unit.name in kept
            session = stage.plain if is_plain else stage.rounded
            made = session.run(None, {name: live[name] for name in stage.reads})
            live.update(zip(stage.makes, made, strict=True))
            for name in self._done_after[k]:
                live.pop(name, None)
        (features,) = (live[name] for name in self._stages[-1].makes)
        return np.asarray(features, np.float32)


def _open(model: bytes, fuse: bool, threads: int) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # each would keep its own, for over a hundred models
    if not fuse:  # pairs stay pairs, yet convolutions keep their fast float kernels
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
