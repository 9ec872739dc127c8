"""Which regularizer helps what: answers, maps, speed and memory on pictures with exact boxes and masks.

    python tests/benchmarks/ablation.py [--seeds 0,1,2] [--rows none,cutmix] [--docs docs]

Makes its data set with `edgecam data composite`, then trains every row of ablation_rows.py with every seed,
all with the same budget, each in a process of its own. A finished run is appended to results.jsonl, so the
command can be stopped and started again. Thresholds of mIoU are chosen on val; MaxBoxAccV2 and PxAP take
the best, as published. With --docs, the table and the picture are written there. Sized to take
at most four hours on two cores.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from ablation_rows import DEFAULT, PLAIN, ROWS
from ablation_table import chart, markdown, summary
from table import show

from edgecam_engines.processor import cpu_model

HERE: Final = Path(__file__).parent
PER_CLASS: Final = {"per-class": 40, "val-per-class": 10, "test-per-class": 30}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--rows", default=";".join(ROWS), help="separated by ;")
    parser.add_argument("--out", type=Path, default=Path("bench-out/ablation"))
    parser.add_argument("--docs", type=Path, help="folder for ablation.md and ablation.png")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each (%(default)s)")
    asked = parser.parse_args()
    seeds, rows = [int(seed) for seed in asked.seeds.split(",")], asked.rows.split(";")
    if unknown := sorted({*rows} - {*ROWS}):
        parser.error(f"there is no row {unknown[0]!r}. Rows: {'; '.join(ROWS)}")
    asked.out.mkdir(parents=True, exist_ok=True)
    data = make_data(asked.out)
    results = asked.out / "results.jsonl"
    wanted = [(row, seed) for seed in seeds for row in rows]
    done = {(found["row"], found["seed"]) for found in finished(results)}
    with ThreadPoolExecutor(asked.jobs) as pool:
        left = [key for key in wanted if key not in done]
        for number, found in enumerate(pool.map(lambda key: one_run(*key, data, asked.out), left), 1):
            with results.open("a") as file:
                file.write(json.dumps(found) + "\n")
            print(f"{number} of {len(left)}: {found['row']}, seed {found['seed']}", file=sys.stderr)
    report([found for found in finished(results) if (found["row"], found["seed"]) in wanted], asked.docs)


def make_data(out: Path) -> Path:
    """The composite data set, made once; the same bytes everywhere."""
    data = out / "data"
    if not data.exists():
        sizes = [word for name, count in PER_CLASS.items() for word in (f"--{name}", str(count))]
        command = [sys.executable, "-m", "edgecam", "data", "composite", "--out", str(data), *sizes]
        subprocess.run(command, check=True)
    return data


def budget(row: str) -> str:
    """What a stored run must have been made with to count: its settings and the size of its data set."""
    told = json.dumps([asdict(PLAIN), ROWS[row], PER_CLASS], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def finished(results: Path) -> list[dict[str, Any]]:
    """Runs made with today's settings; the last line may have been cut off by whatever stopped us."""
    found = []
    for line in results.read_text().splitlines() if results.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["row"] in ROWS and row["budget"] == budget(row["row"]):
            found.append(row)
    return found


def one_run(row: str, seed: int, data: Path, out: Path) -> dict[str, Any]:
    """Train and judge in a process of its own, so that its memory is its own."""
    run = out / "runs" / f"{list(ROWS).index(row):02d}-{seed}"
    command = [sys.executable, str(HERE / "ablation_run.py"), "--row", row, "--seed", str(seed)]
    done = subprocess.run(
        [*command, "--data", str(data), "--run", str(run)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{row}, seed {seed} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "budget": budget(row)}


def report(runs: list[dict[str, Any]], docs: Path | None) -> None:
    table = summary(runs, plain="none")
    show(
        f"The ablation: {PLAIN.epochs} epochs of {10 * PER_CLASS['per-class']} photos, mean (95 % interval)",
        table.header,
        table.rows,
        {"benchmark": "ablation", "default": DEFAULT, "rows": table.document},
    )
    if docs is not None:
        (docs / "ablation.md").write_text(markdown(table, runs, PLAIN, PER_CLASS, cpu_model() or "unknown"))
        chart(table, docs / "ablation.png")


if __name__ == "__main__":
    main()
