"""`edgecam data shards`: a folder of photos as WebDataset shards."""

from pathlib import Path

from edgecam_engines.console import emit, log
from edgecam_engines.console import out as stdout
from edgecam_training.pack import pack


def shards(data: Path, out: Path, *, per_shard: int, seed: int, json: bool) -> None:
    """Make the shards and say what to type next. Raises DataError, OutputError."""
    packed = pack(data, out, per_shard=per_shard, seed=seed)
    for problem in packed.problems:
        log.print(f"left out {problem.path}: {problem.reason}", style="yellow", markup=False)
    if json:
        emit(
            {
                "out": str(out),
                "photos": packed.photos,
                "shards": [str(shard) for shard in packed.shards],
                "left_out": [{"path": str(p.path), "reason": p.reason} for p in packed.problems],
            }
        )
        return
    stdout.print(
        f"{packed.photos} photos in {len(packed.shards)} shards. Next, type:\n    edgecam train {out}",
        markup=False,
    )
