"""Whether NVIDIA's parser and compiler take every network that the trainer can make.

    python tests/benchmarks/compile_matrix.py [--all] [--only mobilenet] [--out matrix.jsonl] [--limit 280]

Without --all, a covering set: each backbone, head and size at least once. Every case is written in FP32, FP16
and INT8 (symmetric Q/DQ) and compiled by `tensorrt_rtx` on the processor for SM86, with profiles for batches
up to 1, 8 and 16. It is a proof of compilation: there is no SM87 among the targets and nothing is run. It
leaves with 1 if anything is refused. Seconds are CPU time of compiling, without the export.

Each case has a process of its own, which may take `--limit` seconds of processor time; what is not compiled
by then is recorded as that, and is no refusal. `--out` keeps every case when it is done: the same command
goes on where it was stopped, and tries again what had less time. Delete the file when the code has changed.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from table import show

sys.path.insert(0, str(Path(__file__).parents[1]))

from training.compile_kit import BATCHES, PRECISIONS, Case, compile_case, covering_cases, every_case

EACH: Final = len(PRECISIONS) * len(BATCHES)  # compilations of a case
LATER: Final = 5  # seconds from the soft limit, which asks, to the hard one, which kills


@dataclass(frozen=True)
class Row:
    """What became of one case."""

    case: str
    seconds: list[float]  # of processor time, of each compilation
    refused: list[str]  # why, of those that were
    limit: int  # seconds of processor time that it had
    in_time: bool
    tensorrt_rtx: str

    def told(self) -> tuple[str, str, str]:
        """For people."""
        good = f"{len(self.seconds) - len(self.refused)} of {EACH}"
        late = "" if self.in_time else f", the rest not compiled in {self.limit} s"
        mean = f"{sum(self.seconds) / len(self.seconds):.2f}" if self.seconds else "-"
        return self.case, good + late, mean


def main() -> int:
    """Compile what is not compiled yet, and print one row a case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="every backbone with every head at every size")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--out", type=Path, help="JSON lines to go on with")
    parser.add_argument("--limit", type=int, default=280, help="seconds of processor time for one case")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    cases = {str(case): case for case in every_case()}
    if asked.case:
        return compile_one(cases[asked.case], asked.limit)
    import tensorrt_rtx as trt

    wanted = [str(case) for case in (every_case() if asked.all else covering_cases())]
    wanted = [name for name in wanted if asked.only in name]
    done = finished(asked.out, trt.__version__, asked.limit)
    for number, name in enumerate(wanted, 1):
        if name not in done:
            done[name] = compiled(name, asked.limit, trt.__version__)
            keep(asked.out, done[name])
            print(f"{number} of {len(wanted)}: {', '.join(done[name].told())}", file=sys.stderr, flush=True)
    rows = [done[name] for name in wanted]
    report(rows, trt.__version__)
    return any(row.refused for row in rows)


def compile_one(case: Case, limit: int) -> int:
    """In a process of its own: one line of JSON for each compilation, as it is done."""
    import tensorrt_rtx as trt

    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + LATER))
    with tempfile.TemporaryDirectory() as folder:
        for outcome in compile_case(case, Path(folder), trt):
            refused = outcome.reason if outcome.sidecar is None else None
            named = f"{outcome.precision}, batch {outcome.max_batch}: {refused}" if refused else ""
            print(json.dumps({"seconds": outcome.seconds, "refused": named}), flush=True)
    return 0


def compiled(case: str, limit: int, version: str) -> Row:
    """What a process of its own makes of a case in its time. Leaves with its words if it fails otherwise."""
    with tempfile.TemporaryDirectory() as folder:  # its temporary files, which it cannot remove when killed
        command = [sys.executable, __file__, "--case", case, "--limit", str(limit)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "TMPDIR": folder}
        )
    late = done.returncode in {-signal.SIGXCPU, -signal.SIGKILL}
    if done.returncode and not late:
        raise SystemExit(f"{case} could not be tried:\n{done.stderr}")
    outcomes: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    refused = [f"{case}, {outcome['refused']}" for outcome in outcomes if outcome["refused"]]
    return Row(case, [outcome["seconds"] for outcome in outcomes], refused, limit, not late, version)


def finished(out: Path | None, version: str, limit: int) -> dict[str, Row]:
    """Rows of this compiler that came to an end, or had as much time; a last line may have been cut off."""
    found: dict[str, Row] = {}
    for line in out.read_text().splitlines() if out is not None and out.exists() else []:
        try:
            row = Row(**json.loads(line))
        except ValueError:
            continue
        if row.tensorrt_rtx == version and (row.in_time or row.limit >= limit):
            found[row.case] = row
    return found


def keep(out: Path | None, row: Row) -> None:
    """Add a row to the file, on a line of its own."""
    if out is None:
        return
    cut_off = out.exists() and not out.read_text().endswith("\n") and out.stat().st_size > 0
    with out.open("a") as file:
        file.write("\n" * cut_off + json.dumps(asdict(row)) + "\n")


def report(rows: list[Row], version: str) -> None:
    """The table, one JSON line, and why what was refused was."""
    seconds = [second for row in rows for second in row.seconds]
    show(
        f"{len(rows)} networks compiled for SM86 by tensorrt_rtx {version}, on a processor",
        ("network", "compiled", "CPU seconds each"),
        [row.told() for row in rows],
        {
            "networks": len(rows),
            "compilations": len(seconds),
            "refused": [reason for row in rows for reason in row.refused],
            "not_in_time": {row.case: row.limit for row in rows if not row.in_time},
            "cpu_seconds_mean": round(sum(seconds) / len(seconds), 3) if seconds else None,
            "target": "SM86, proof of compilation",
            "tensorrt_rtx": version,
        },
    )
    for row in rows:
        print("".join(f"\n{reason}" for reason in row.refused), end="")


if __name__ == "__main__":
    sys.exit(main())
