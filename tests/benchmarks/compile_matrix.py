"""Whether NVIDIA's parser and compiler take every network that the trainer can make.

    python tests/benchmarks/compile_matrix.py [--all] [--only mobilenet]

Without --all, a covering set: each backbone, head and size at least once. Every case is written in FP32, FP16
and INT8 (symmetric Q/DQ) and compiled by `tensorrt_rtx` on the processor for SM86, with profiles for batches
up to 1, 8 and 16. It is a proof of compilation: there is no SM87 among the targets and nothing is run. It
leaves with 1 if anything is refused. Seconds are CPU time of compiling, without the export.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from table import show

sys.path.insert(0, str(Path(__file__).parents[1]))

from training.compile_kit import Outcome, compile_case, covering_cases, every_case


def main() -> int:
    """Compile, and print one row a case."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="every backbone with every head at every size")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    asked = parser.parse_args()
    import tensorrt_rtx as trt

    cases = [case for case in (every_case() if asked.all else covering_cases()) if asked.only in str(case)]
    rows, refused, seconds = [], [], defaultdict(list)
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            outcomes = list(compile_case(case, Path(folder), trt))
        for outcome in outcomes:
            seconds[outcome.precision].append(outcome.seconds)
        refused += [outcome for outcome in outcomes if outcome.sidecar is None]
        rows.append([str(case), *_told(outcomes)])
        print(f"{case}: {rows[-1][1]}", file=sys.stderr)
    show(
        f"{len(cases)} networks compiled for SM86 by {trt.__name__} {trt.__version__}, on a processor",
        ("network", "compiled", "CPU seconds each"),
        rows,
        {
            "networks": len(cases),
            "compilations": sum(map(len, seconds.values())),
            "refused": [{**outcome.case._asdict(), "precision": outcome.precision} for outcome in refused],
            "cpu_seconds": {name: round(sum(all_of) / len(all_of), 3) for name, all_of in seconds.items()},
            "target": "SM86, proof of compilation",
            "tensorrt_rtx": trt.__version__,
        },
    )
    for outcome in refused:
        print(f"\n{outcome.case}, {outcome.precision}, batch {outcome.max_batch}: {outcome.reason}")
    return bool(refused)


def _told(outcomes: list[Outcome]) -> tuple[str, str]:
    good = sum(outcome.sidecar is not None for outcome in outcomes)
    mean = sum(outcome.seconds for outcome in outcomes) / len(outcomes)
    return f"{good} of {len(outcomes)}", f"{mean:.2f}"


if __name__ == "__main__":
    sys.exit(main())
